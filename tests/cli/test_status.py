"""``deepfixcx status`` and ``deepfixcx verify``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from deepfixcx.release import private_folder
from deepfixcx.release.ledger import Ledger

Run = Callable[..., Result]


@pytest.fixture
def out(run: Run, images: Path, tmp_path: Path) -> Path:
    """A finished release of six images."""
    words = ["-J", 2, "-P", 3, "--workers", 1]
    assert run("privatize", images, tmp_path / "out", *words).exit_code == 0
    return tmp_path / "out"


def test_status_of_a_finished_release(run: Run, out: Path, tmp_path: Path) -> None:
    result = run("status", out, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert "6 of 6 files" in result.output
    assert f"verify {out}" in result.output
    reported = json.loads((tmp_path / "figures.json").read_text())
    assert (reported["state"], reported["files_done"], reported["quarantined"]) == (
        "finished",
        6,
        0,
    )


def test_status_of_a_stopped_release_says_what_goes_on(
    run: Run, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(private_folder(out) / "ledger.sqlite") as ledger:
        ledger.reopen(0)
        ledger.died("000002", "", 2)
    result = run("status", out)
    assert result.exit_code == 5
    assert "stopped before the end" in result.output
    assert "0 of 6 files" in result.output
    assert "1 stopped their worker process twice: 000002" in result.output
    assert "--resume" in result.output
    monkeypatch.chdir(tmp_path)
    assert "--resume" in run("status", out).output


def test_status_needs_a_release(run: Run, tmp_path: Path) -> None:
    result = run("status", tmp_path)
    assert result.exit_code == 2
    assert "not a release" in result.output


def test_verify_of_a_sound_and_of_a_damaged_release(run: Run, out: Path, tmp_path: Path) -> None:
    result = run("verify", out, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert "13 of 13 files" in result.output
    assert json.loads((tmp_path / "figures.json").read_text())["sound"] is True
    image = next((out / "images").rglob("*.png"))
    image.unlink()
    (out / "more.txt").touch()
    result = run("verify", out, "--json", tmp_path / "figures.json")
    assert result.exit_code == 3
    assert image.name in result.output
    assert "more.txt" in result.output
    assert "image_file_bytes" in result.output
    reported = json.loads((tmp_path / "figures.json").read_text())
    assert reported["missing"] == [image.relative_to(out).as_posix()]
    assert reported["unlisted"] == ["more.txt"]


def test_verify_of_a_release_with_more_in_it(run: Run, out: Path) -> None:
    (out / "show.png").touch()
    result = run("verify", out)
    assert result.exit_code == 3
    assert "not in the manifest  show.png" in result.output
    said = " ".join(result.output.replace("│", " ").split())
    assert "delete the unexpected ones, listed above, before you share the release" in said
    assert "copy the release again" not in said
    (out / "show.png").unlink()
    assert run("verify", out).exit_code == 0


def test_verify_needs_a_finished_release(run: Run, out: Path) -> None:
    (out / "dataset.json").unlink()
    result = run("verify", out)
    assert result.exit_code == 2
    assert "not finished" in result.output


def test_status_of_another_or_a_changed_release_is_refused(
    run: Run, out: Path, images: Path
) -> None:
    """A finished release in the place of this one says nothing of this one."""
    twin = out.with_name("twin")
    assert run("privatize", images, twin, "-J", 2, "-P", 3, "--workers", 1).exit_code == 0
    done = run("status", out, "--private", private_folder(twin))
    assert done.exit_code == 2
    assert "another private folder" in " ".join(done.output.split())
    about = (out / "dataset.json").read_text()
    (out / "dataset.json").write_text(about.replace("neutral", "keep"))
    done = run("status", out)
    assert done.exit_code == 2
    assert "was changed after the release was made" in " ".join(done.output.split())
