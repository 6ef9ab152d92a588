"""A year of a release, as its steward and a recipient type it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from deepfixcx.images import phantom, write_png
from deepfixcx.release import load_codes

Run = Callable[..., Result]


def deliver(folder: Path, patients: range, visits: int = 2) -> Path:
    """Write two images of each patient and their table."""
    folder.mkdir()
    lines = ["file,patient,sick"]
    for patient in patients:
        chest = np.asarray(phantom(np.random.default_rng(patient), size=32))
        for visit in range(visits):
            noise = np.random.default_rng([patient, visit]).normal(0, 0.03, (32, 32))
            name = f"{patient}-{visit}.png"
            pixels = (chest + noise).clip(0, 1).astype(np.float32)
            write_png(folder / name, pixels[None], bits=8)
            lines.append(f"{name},MRN-{patient},{patient % 2}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


def ids(home: Path) -> dict[str, str]:
    """Return the ID of each source that the private folder names."""
    with (home / "shared.private/sources.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["source"]: row["source_id"] for row in rows if row["source_id"]}


@pytest.mark.slow
def test_delivery_addition_repair_withdrawal_audit_and_report(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home, setting = tmp_path, ("-J", 2, "-P", 4, "--output", "both", "--workers", 1)

    def call(*words: object) -> str:
        done = run(*words)
        assert done.exit_code == 0, done.output
        return done.output

    january = deliver(home / "january", range(12))
    call("privatize", january, "shared", *setting, "--patient", "patient")
    first = ids(home)
    assert len(first) == 24

    april = deliver(home / "april", range(11, 18))  # two images are known
    call("privatize", april, "shared", *setting, "--patient", "patient", "--add")
    second = ids(home)
    assert first.items() <= second.items()
    assert len(second) == 24 + 12
    shutil.copytree("shared", "copy")
    codes, names = load_codes("shared")
    kept = dict(zip(names, codes.array, strict=True))

    image = next((home / "shared/images").rglob("*.png"))
    content = image.read_bytes()
    image.unlink()  # a disk lost it
    assert run("verify", "shared").exit_code == 3
    call("privatize", january, "shared", *setting, "--patient", "patient", "--resume")
    assert image.read_bytes() == content
    call("verify", "shared")

    call("withdraw", "shared", "--patient", "MRN-3", "--notice", "notice.json")
    call("apply-withdrawal", "notice.json", "copy")
    call("verify", "copy")
    gone = {second[f"3-{visit}.png"] for visit in (0, 1)}
    assert ids(home).items() == {k: v for k, v in second.items() if v not in gone}.items()
    codes, names = load_codes("copy")
    assert np.array_equal(codes.array, [kept[name] for name in names])
    traces = [each.encode() for each in gone] + [kept[each].tobytes() for each in gone]
    for folder in ("shared", "shared.private", "copy"):
        for path in (home / folder).rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            assert not any(trace in content for trace in traces), path.name
    same = {path.relative_to(home / "shared"): path.read_bytes() for path in files(home / "shared")}
    assert same == {path.relative_to(home / "copy"): path.read_bytes() for path in files("copy")}

    call("privatize", april, "shared", *setting, "--patient", "patient", "--add")
    assert gone.isdisjoint(ids(home).values())
    said = call("audit", "shared", "--against", april, "--workers", 1, "--json", "audited.json")
    assert "patients are the pseudonyms of the release" in " ".join(said.split())
    assert "MRN-" not in Path("shared.audit/audit.json").read_text() + said
    audited = json.loads(Path("audited.json").read_text())
    assert (audited["images"], audited["patients"]) == (14, 7)
    call("report", "shared", "-o", "report.html")
    history = json.loads(Path("shared/dataset.json").read_text())["history"]
    assert [each["change"] for each in history] == ["addition", "withdrawal"]


def files(folder: str | Path) -> list[Path]:
    return [path for path in Path(folder).absolute().rglob("*") if path.is_file()]


def test_files_with_the_same_bytes_are_reported_across_files_and_deliveries(
    run: Run, tmp_path: Path
) -> None:
    deliver(tmp_path / "in", range(3), visits=1)
    shutil.copy(tmp_path / "in/0-0.png", tmp_path / "in/other.png")
    Image.open(tmp_path / "in/1-0.png").save(tmp_path / "in/again.jpg", quality=95)
    (tmp_path / "in/empty.png").touch()
    (tmp_path / "in/void.png").touch()  # failed files are no duplicates
    setting = (tmp_path / "shared", "-J", 2, "-P", 2, "--workers", 1, "--no-tables")
    words = (*setting, "--json", tmp_path / "j.json")

    def call(where: Path, *more: object) -> tuple[str, dict[str, Any], dict[str, str]]:
        done = run("privatize", where, *words, *more)
        with (tmp_path / "shared.private/sources.csv").open(newline="") as file:
            groups = {row["source"]: row["duplicate"] for row in csv.DictReader(file)}
        figures = json.loads((tmp_path / "j.json").read_text())
        return " ".join(done.output.split()), figures, {k: v for k, v in groups.items() if v}

    said, figures, groups = call(tmp_path / "in")
    assert "1 file has the bytes of another file of the release" in said
    assert (figures["duplicate_files"], figures["duplicates_left_out"]) == (1, 0)
    assert groups == {"0-0.png": "1", "other.png": "1"}
    near = sorted(ids(tmp_path)[name] for name in ("1-0.png", "again.jpg"))
    assert f"1 file has nearly the code of another file: {' = '.join(near)}" in said
    assert figures["near_duplicates"] == [near]
    assert run("report", tmp_path / "shared", "-o", tmp_path / "r.html").exit_code == 0
    page = (tmp_path / "r.html").read_text()
    assert "2 files have nearly the " in page  # the page knows no bytes of sources
    assert " = ".join(near) in page
    deliver(tmp_path / "later", range(2, 4), visits=1)
    said, figures, groups = call(tmp_path / "later", "--add")
    assert "1 file left out: their bytes are in the release" in said
    assert (figures["duplicate_files"], figures["duplicates_left_out"]) == (1, 1)
    assert groups == {"0-0.png": "1", "other.png": "1"}
    metadata = (tmp_path / "shared/manifest.csv").read_text() + (
        tmp_path / "shared/dataset.json"
    ).read_text()
    assert "duplicate" not in metadata


def test_a_setting_that_keeps_half_of_the_values_warns(run: Run, tmp_path: Path) -> None:
    deliver(tmp_path / "in", range(2))
    large = run("privatize", tmp_path / "in", tmp_path / "out", "-J", 2, "-P", 8, "--workers", 1)
    assert "keeps 100 % of the values" in large.output
    assert "4.0 times as large in memory" in large.output
    small = run("privatize", tmp_path / "in", tmp_path / "small", "-J", 2, "-P", 2, "--workers", 1)
    assert "warning" not in small.output
