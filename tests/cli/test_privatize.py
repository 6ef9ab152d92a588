"""``deepfixcx privatize`` as a user types it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from typer.testing import Result

from deepfixcx import Code
from deepfixcx.cli._console import reason_rows
from deepfixcx.cli._options import parse_patches
from deepfixcx.errors import SpecError

Run = Callable[..., Result]

JSON_NAMES = {
    "code_file_bytes",
    "code_files",
    "command",
    "dicom_file_bytes",
    "dicom_files",
    "duplicate_files",
    "duplicate_instances",
    "near_duplicate_files",
    "near_duplicates",
    "same_instance",
    "patients",
    "duplicates_left_out",
    "file_checksum",
    "files",
    "files_done",
    "files_failed",
    "files_hidden",
    "files_kept",
    "files_skipped",
    "image_file_bytes",
    "images",
    "images_per_second",
    "images_this_run",
    "kept_bytes",
    "kept_values",
    "legible_from",
    "table_file_bytes",
    "files_changed",
    "files_gone",
    "files_new",
    "unmasked_images",
    "masked_images",
    "masked_share",
    "notes",
    "legible_images",
    "private",
    "ratio_disk",
    "ratio_memory",
    "release",
    "release_file_bytes",
    "seconds",
    "source_bytes",
    "source_file_bytes",
    "source_values",
}
"""Promised in docs/command-line.md: a name may be added, none may change."""


def test_all_done_is_zero_and_the_panel_says_what_came_of_it(
    run: Run, images: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    result = run(
        "privatize", images, tmp_path / "out", "-J", 2, "-P", "3x4", "--output", "both",
        "--workers", 1, "--json", figures,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "6 of 6 files" in result.output
    assert "deepfixcx show" in result.output
    reported = json.loads(figures.read_text())
    assert set(reported) == JSON_NAMES
    assert reported["kept_values"] == 6 * 16 * 3 * 4
    assert reported["source_values"] == sum(48 * (40 + number) for number in range(6))
    assert reported["ratio_memory"] == round(
        reported["source_values"] / (4 * reported["kept_values"]), 2
    )
    on_disk = sum(
        path.stat().st_size
        for folder in ("images", "codes")
        for path in (tmp_path / "out" / folder).rglob("*.*")
    )
    assert reported["release_file_bytes"] == on_disk
    tables = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.parquet"))
    assert reported["table_file_bytes"] == tables > 0
    assert "--no-tables" in result.output


def test_images_in_which_a_mask_painted_nothing_are_counted(
    run: Run, images: Path, tmp_path: Path
) -> None:
    rule = {"rows": 48, "columns": 40, "regions": [[0, 0, 12, 40]]}
    rules = {"otherwise": "keep", "rules": [rule]}
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    figures = tmp_path / "figures.json"
    result = run(
        "privatize", images, tmp_path / "out", "-J", 2, "-P", 3, "--workers", 1,
        "--mask", tmp_path / "rules.json", "--json", figures,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    panel = " ".join(result.output.replace("│", "").split())
    assert "painted black, in 1 of 6 images; nothing in 5" in panel
    assert re.search(r"painted area: \d{6} \(25 %\)", panel)
    reported = json.loads(figures.read_text())
    assert reported["unmasked_images"] == 5
    assert reported["masked_share"] == pytest.approx(0.25 / 6)
    with (tmp_path / "out" / "manifest.csv").open() as file:
        shares = sorted(float(row["masked_share"]) for row in csv.DictReader(file))
    assert shares == [0, 0, 0, 0, 0, 0.25]


def test_some_failed_is_three_and_they_are_listed(run: Run, images: Path, tmp_path: Path) -> None:
    (images / "bad.png").write_text("no picture")
    result = run("privatize", images, tmp_path / "out", "-J", 2, "-P", 3)
    assert result.exit_code == 3
    assert "failures.csv" in result.output
    assert "NotAnImageError" in (tmp_path / "out" / "failures.csv").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-J", 0, "-P", 3], "level must be a whole number from 1 to 12"),
        (["-J", 2, "-P", "many"], "--patches is a number such as 4"),
        (["-J", 2, "-P", 3, "--wavelet", "none"], "unknown wavelet 'none'"),
        (["-J", 2, "-P", 3, "--output", "all"], "--output is any of images, codes, dicom"),
        (["-J", 2, "-P", 3, "--workers", 0], "workers must be at least 1"),
        (["-J", 2, "-P", 3, "--resume", "--overwrite"], "exclude each other"),
    ],
)
def test_bad_arguments_are_two_and_say_what_is_allowed(
    run: Run, images: Path, tmp_path: Path, words: list[object], message: str
) -> None:
    result = run("privatize", images, tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_missing_settings_are_two(run: Run, images: Path, tmp_path: Path) -> None:
    result = run("privatize", images, tmp_path / "out")
    assert result.exit_code == 2
    assert "--level" in result.output


def test_missing_folder_is_two(run: Run, tmp_path: Path) -> None:
    result = run("privatize", tmp_path / "nowhere", tmp_path / "out", "-J", 2, "-P", 3)
    assert result.exit_code == 2
    assert "no file or folder" in result.output


@pytest.mark.parametrize(
    ("words", "pooling"),
    [([], "l1"), (["--pooling", "l2"], "l2"), (["--pooling", "l1,max"], ("l1", "max"))],
)
def test_settings_reach_the_codes(
    run: Run, images: Path, tmp_path: Path, words: list[str], pooling: object
) -> None:
    run(
        "privatize", images, tmp_path / "out", "-J", 1, "-P", 5, "--wavelet", "db2",
        "--boundary", "periodic", "--grid", "padded", "--output", "codes", *words,
    )  # fmt: skip
    spec = Code.load(next((tmp_path / "out" / "codes").iterdir())).spec
    assert (spec.level, spec.grid_shape, spec.wavelet) == (1, (5, 5), "db2")
    assert (spec.boundary, spec.grid, spec.pooling) == ("periodic", "padded", pooling)


def test_resume_and_overwrite(run: Run, images: Path, tmp_path: Path) -> None:
    words = ("privatize", images, tmp_path / "out", "-J", 2, "-P", 3)
    assert run(*words).exit_code == 0
    assert run(*words).exit_code == 2
    assert "nothing to do" in run(*words, "--resume").output
    assert run(*words, "--overwrite").exit_code == 0


def test_small_max_pixels_refuses(run: Run, images: Path, tmp_path: Path) -> None:
    result = run("privatize", images, tmp_path / "out", "-J", 2, "-P", 3, "--max-pixels", 48 * 42)
    assert result.exit_code == 3
    assert "3 of 6 files" in result.output


def test_figures_that_cannot_be_written_say_so(run: Run, images: Path, tmp_path: Path) -> None:
    result = run(
        "privatize", images, tmp_path / "out", "-J", 2, "-P", 3, "--json", tmp_path / "no" / "x"
    )
    assert result.exit_code == 2
    assert "--json" in result.output


def test_no_header_value_reaches_any_output(run: Run, tmp_path: Path) -> None:
    """Canaries in a readable DICOM, a damaged one, and their file and folder names."""
    folder = tmp_path / "CANARY-ward"
    folder.mkdir()
    dataset = Dataset()
    source = get_testdata_file("CT_small.dcm", read=True)
    assert isinstance(source, Dataset)
    dataset = source
    for keyword in ("PatientName", "PatientID", "StudyDescription", "InstitutionName"):
        setattr(dataset, keyword, f"CANARY-{keyword}")
    dataset.save_as(folder / "CANARY-file.dcm")
    whole = (folder / "CANARY-file.dcm").read_bytes()
    (folder / "CANARY-cut.dcm").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "CANARY-odd.dcm").write_bytes(whole.replace(b"128", b"CAN"))
    figures = tmp_path / "figures.json"
    result = run(
        "privatize", folder, tmp_path / "out", "-J", 2, "-P", 3, "--output", "both",
        "--json", figures,
    )  # fmt: skip
    assert result.exit_code == 3
    assert "CANARY" not in result.output + figures.read_text()
    for path in (tmp_path / "out").rglob("*"):
        assert "CANARY" not in str(path.relative_to(tmp_path))
        assert path.is_dir() or b"CANARY" not in path.read_bytes()


@pytest.mark.parametrize(("text", "patches"), [("4", 4), ("4x6", (4, 6)), ("4X6", (4, 6))])
def test_patches_are_read(text: str, patches: object) -> None:
    assert parse_patches(text) == patches


@pytest.mark.parametrize("text", ["", "x", "4x", "4x5x6", "-1", "four"])
def test_other_patches_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_patches(text)


def test_when_every_file_fails_the_panel_says_why(run: Run, images: Path, tmp_path: Path) -> None:
    result = run("privatize", images, tmp_path / "out", "-J", 7, "-P", 4)
    assert result.exit_code == 3
    assert "fewer than the 4x4 cells" in result.output
    assert "no file could be used" in result.output
    assert "nothing to do" not in result.output


def test_private_folder_where_it_is_asked_for(run: Run, images: Path, tmp_path: Path) -> None:
    figures, private = tmp_path / "figures.json", tmp_path / "safe" / "private"
    words = ["privatize", images, tmp_path / "out", "-J", 2, "-P", 3, "--private", private]
    result = run(*words, "--json", figures)
    assert result.exit_code == 0, result.output
    assert json.loads(figures.read_text())["private"] == str(private)
    assert (private / "sources.csv").exists()
    assert not (tmp_path / "out.private").exists()
    assert "6 of 6 files" in run("status", tmp_path / "out", "--private", private).output
    assert run("status", tmp_path / "out").exit_code == 2


def test_urls_in_and_out(run: Run, images: Path, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="the extra [remote] is not installed")
    store = fsspec.filesystem("memory")
    for path in images.iterdir():
        store.pipe_file(f"memory://cli/in/{path.name}", path.read_bytes())
    words = ["privatize", "memory://cli/in", "memory://cli/out", "-J", 2, "-P", 3]
    refused = run(*words)
    assert refused.exit_code == 2
    assert "--private" in refused.output
    result = run(*words, "--private", tmp_path / "private", "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "figures.json").read_text())["release"] == "memory://cli/out"
    reported = run("status", "memory://cli/out", "--private", tmp_path / "private")
    assert "verify memory://cli/out" in reported.output
    result = run("verify", "memory://cli/out", "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "figures.json").read_text())["release"] == "memory://cli/out"
    store.rm("memory://cli", recursive=True)


def test_reasons_in_the_panel_sum_to_the_failures(run: Run, images: Path, tmp_path: Path) -> None:
    (images / "a.png").touch()
    (images / "b.png").write_text("no picture")
    (images / "c.png").write_bytes((images / "0.png").read_bytes()[:200])
    words = ["privatize", images, "-J", 2, "-P", 3, "--max-pixels", 48 * 44]
    result = run(*words[:2], tmp_path / "out", *words[2:])
    assert "failed 4, listed" in " ".join(result.output.split())
    assert result.output.count("1 × ") == 3
    assert "and 1 for another reason" in result.output
    (images / "c.png").unlink()
    result = run(*words[:2], tmp_path / "other", *words[2:])
    assert result.output.count("1 × ") == 3
    assert "another reason" not in result.output


def test_reasons_beyond_the_third_are_counted() -> None:
    reasons = [("a", 9), ("b", 5), ("c", 3), ("d", 2), ("e", 1)]
    assert reason_rows(reasons)[-1] == ("", "and 3 for 2 other reasons")
    assert reason_rows(reasons[:4])[-1] == ("", "and 2 for another reason")
    assert reason_rows([]) == []


def test_after_nothing_was_privatized_overwrite_begins_again(
    run: Run, images: Path, tmp_path: Path
) -> None:
    words = ["privatize", images, tmp_path / "out", "-P", 4]
    refused = run(*words, "-J", 7)
    assert "run again with --overwrite" in refused.output
    assert len((tmp_path / "out" / "failures.csv").read_text().splitlines()) == 7
    assert run(*words, "-J", 2).exit_code == 2
    assert run(*words, "-J", 2, "--overwrite").exit_code == 0
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_verify_names_what_is_not_there(run: Run, images: Path, tmp_path: Path) -> None:
    for where, reason in (
        (tmp_path / "nosuch", "there is no file or folder"),
        (images / "0.png", "is a file; a release is a folder"),
        (images, "has no dataset.json"),
    ):
        result = run("verify", where)
        assert result.exit_code == 2
        assert reason in result.output
