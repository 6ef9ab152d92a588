"""No command writes into a release: it is shared as it lies there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from deepfixcx.io.folders import write_own
from deepfixcx.io.release_files import is_release, release_around

Run = Callable[..., Result]


@pytest.fixture
def release(run: Run, images: Path, tmp_path: Path) -> Path:
    done = run("privatize", images, tmp_path / "shared", "-J", 2, "-P", 2, "--workers", 1)
    assert done.exit_code == 0, done.output
    return tmp_path / "shared"


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(
    "line",
    [
        "show images/0.png -o shared/show.png",
        "show images/0.png -o shared/codes/show.png",
        "show images/0.png -o images/../shared/show.png",
        "explain images/0.png -o shared/why",
        "explain images/0.png -o shared",
        "predict model images -o shared/scores.csv",
        "train xrays --labels sick -o shared/model",
        "train xrays --labels sick -o model --cache shared/cache",
        "evaluate model xrays --cache shared/cache",
        "sweep xrays --labels sick -o shared/sweep",
        "frontier xrays --labels sick -o shared/frontier",
        "report shared -o shared/report.html",
        "audit shared --against images --patients p.csv -o shared/audit",
        "scan shared --against images -o shared/evidence",
        "scan shared/images --against images",
        "scan shared --against images --json shared/x.json",
        "inspect images --json shared/x.json",
        "status shared --json shared/x.json",
        "verify shared --json shared/x.json",
        "privatize images other -J 2 -P 2 --json shared/x.json",
        "bench --json shared/x.json",
    ],
)
def test_nothing_is_written_into_a_release(
    line: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = run(*line.split())
    assert done.exit_code == 2, done.output
    assert "lies in the release, which is shared; choose another -" in done.output
    assert sorted(tmp_path.rglob("*")) == before


def test_beside_a_release_is_fine(run: Run, release: Path, images: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "show.png", tmp_path / "shared.private" / "show.png"):
        done = run("show", images / "0.png", "-o", out, "--json", out.with_suffix(".json"))
        assert done.exit_code == 0, done.output
    assert run("verify", release).exit_code == 0


def test_a_link_into_a_release_is_seen_through(
    run: Run, release: Path, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "harmless").symlink_to(release / "images", target_is_directory=True)
    done = run("show", images / "0.png", "-o", tmp_path / "harmless" / "show.png")
    assert done.exit_code == 2
    assert "lies in the release" in done.output


@pytest.mark.parametrize("text", ["{}", "[1]", "no JSON", '{"format": "another"}', None])
def test_folders_of_others_are_no_releases(text: str | None, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").touch()
    if text is not None:
        (tmp_path / "dataset.json").write_text(text, "utf-8")
    assert release_around(tmp_path / "not" / "there") is None
    about = {"format": "deepfixcx.release"}
    (tmp_path / "dataset.json").write_text(json.dumps(about), "utf-8")
    assert release_around(tmp_path / "not" / "there") == tmp_path.resolve()
    (tmp_path / "manifest.csv").unlink()
    assert not is_release(tmp_path)


@pytest.mark.parametrize("line", ["explain images/0.png -o", "train xrays --labels sick -o"])
def test_no_result_is_written_over_a_private_folder(
    line: str, release: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = run(*line.split(), f"{release}.private", "--overwrite")
    assert done.exit_code == 2, done.output
    assert "is the private folder of a release; choose another -o" in done.output
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("made", ["model.json", "images.csv", ""])
@pytest.mark.parametrize("more", [(), ("--overwrite",), ("--resume",)])
def test_no_other_result_becomes_a_private_folder(
    made: str, more: tuple[str, ...], release: Path, run: Run, tmp_path: Path
) -> None:
    """Whatever deepfixcx made: its marker alone does not make a folder private."""
    folder = tmp_path / "result" if made else release
    folder.mkdir(exist_ok=True)
    if made:
        write_own(folder, made, "a result")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    words = ("-J", 2, "-P", 2, "--workers", 1, "--private", folder, *more)
    done = run("privatize", tmp_path / "images", tmp_path / "other", *words)
    assert done.exit_code == 2, done.output
    assert "is not empty; choose another folder with --private" in done.output
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
