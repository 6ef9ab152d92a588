"""``deepfixcx report`` as a user types it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from deepfixcx.images import phantom, write_png
from deepfixcx.io.folders import write_own
from deepfixcx.io.results import write_result
from deepfixcx.release import ReleaseOptions, privatize_dataset, release_checksum
from deepfixcx.spec import CodecSpec
from tests.studio.results import write_results

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-report")
    (folder / "scans").mkdir()
    for number in range(3):
        pixels = phantom(np.random.default_rng(number), 64)
        write_png(folder / "scans" / f"{number}.png", pixels[np.newaxis], bits=8)
    privatize_dataset(folder / "scans", folder / "shared", ReleaseOptions(CodecSpec(2, 4)))
    write_results(folder)
    return folder


def test_report_takes_what_lies_beside_the_release(run: Run, shelf: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["report", str(shelf / "shared"), "-o", str(tmp_path / "r.html")]
    done = run(*words, "--json", figures)
    assert done.exit_code == 0, done.output
    assert "not anonymous" in done.output.replace("\n", " ")
    reported = json.loads(figures.read_text("utf-8"))
    assert reported["audit"] is True
    assert reported["originals_shown"] is False
    assert reported["bytes"] == (tmp_path / "r.html").stat().st_size


def test_everything_can_be_named(run: Run, shelf: Path, tmp_path: Path) -> None:
    given = {"audit": "shared.audit", "evaluation": "evaluation.json", "sweep": "sweep"}
    given |= {"frontier": "frontier", "originals": "scans", "private": "shared.private"}
    options = [word for name, place in given.items() for word in (f"--{name}", str(shelf / place))]
    out = tmp_path / "r.html"
    words = ["report", str(shelf / "shared"), "-o", str(out), *options, "--include-originals"]
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "protect the report like the originals" in done.output
    assert "pneumonia" in out.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "-o", "r.html"], "not a release"),
        (["shared", "-o", "r.txt"], "r.html"),
        (["shared", "-o", "r.html", "--format", "pdf"], "r.pdf"),
        (["shared", "-o", "none/r.html"], "no folder"),
        (["shared", "-o", "r.html", "--audit", "sweep/sweep.csv"], "sweep.csv"),
        (["shared", "-o", "r.html", "--evaluation", "sweep/sweep.csv"], "evaluate --json wrote"),
        (["shared", "-o", "r.html", "--originals", "nowhere"], "no folder"),
        (["shared", "-o", "r.html", "--originals", "sweep"], "holds no original of the release"),
        (["shared", "-o", "r.html", "--include-originals"], "requires --originals"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(
    run: Run, shelf: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(shelf)
    before = set(shelf.rglob("*"))
    done = run("report", *words)
    assert done.exit_code == 2
    assert said in done.output.replace("\n", "")
    assert set(shelf.rglob("*")) == before


def test_a_report_is_not_replaced_unasked(run: Run, shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    out.write_text("mine", "utf-8")
    words = ["report", str(shelf / "shared"), "-o", str(out)]
    assert run(*words).exit_code == 2
    assert run(*words, "--overwrite").exit_code == 2
    assert out.read_text("utf-8") == "mine"
    out.unlink()
    assert run(*words).exit_code == 0
    assert run(*words).exit_code == 2
    assert run(*words, "--overwrite").exit_code == 0
    assert out.read_text("utf-8").startswith("<!doctype html>")


BOUND = {
    "audit": "shared.audit/audit.json",
    "evaluation": "evaluation.json",
    "sweep": "sweep/sweep.json",
    "frontier": "frontier/frontier.json",
    "evidence": "shared.evidence/summary.json",
}


@pytest.mark.parametrize("name", BOUND)
def test_results_of_another_release_are_named_in_red_and_not_shown(
    run: Run, shelf: Path, tmp_path: Path, name: str
) -> None:
    for each in ("shared", "shared.audit", "sweep", "frontier"):
        shutil.copytree(shelf / each, tmp_path / each)
    shutil.copy(shelf / "evaluation.json", tmp_path)
    (tmp_path / "shared.evidence").mkdir()
    counts = ("files", "files_found", "files_failed", "findings", "strings", "sources_read")
    (tmp_path / BOUND["evidence"]).write_text(json.dumps(dict.fromkeys(counts, 0)))
    path = tmp_path / BOUND[name]
    values = json.loads(path.read_text()) if path.exists() else {}
    given = path if name == "evaluation" else path.parent
    out = tmp_path / "r.html"
    words = ["report", tmp_path / "shared", "-o", out, "--overwrite", f"--{name}", given]

    def report(**more: object) -> Result:
        path.write_text(json.dumps({**values, **more}))
        return run(*map(str, words), "--json", str(tmp_path / "reported.json"))

    other = report(release_checksum="0" * 64)
    assert other.exit_code == 3
    assert "belongs to another release" in " ".join(other.output.split())
    alert = re.search(r'<header><p class="alert" role="alert">([^<]*)</p>', out.read_text("utf-8"))
    assert alert is not None
    assert "belongs to another release" in alert[1]
    assert (json.loads((tmp_path / "reported.json").read_text())["bound"]) == []
    unbound = report()
    assert unbound.exit_code == 0, unbound.output
    assert re.search("names? no release", out.read_text("utf-8"))
    what = "scan" if name == "evidence" else name
    assert what in json.loads((tmp_path / "reported.json").read_text())["not_bound"]
    own = report(release_checksum=release_checksum(tmp_path / "shared"))
    assert own.exit_code == 0, own.output
    reported = json.loads((tmp_path / "reported.json").read_text())
    assert what in reported["bound"]
    assert what not in reported["not_bound"]
    page = re.sub("</?a[^>]*>", "", out.read_text("utf-8"))  # terms lead to their definitions
    assert "this release (checksum" in page


def test_an_evaluation_says_what_it_is_of(run: Run, shelf: Path, tmp_path: Path) -> None:
    values = json.loads((shelf / "evaluation.json").read_text())
    path, out = tmp_path / "e.json", tmp_path / "r.html"

    def report(**more: object) -> Result:
        path.write_text(json.dumps({**values, **more}))
        words = [shelf / "shared", "-o", out, "--overwrite", "--evaluation", path]
        return run("report", *map(str, words))

    assert "model on original images" in " ".join(report(on="original", spec=None).output.split())
    other = report(on="codes", spec="J=3 P=4 haar l1")
    assert "another codec" in " ".join(other.output.split())
    note = "the model was trained on these images, so values are too optimistic"
    assert report(on="codes", spec="J=2 P=4 haar l1", notes=[note]).exit_code == 0
    assert note[4:] in out.read_text("utf-8")


@pytest.mark.parametrize("name", BOUND)
def test_results_that_were_edited_are_refused(
    run: Run, shelf: Path, tmp_path: Path, name: str
) -> None:
    given = {"audit": "shared.audit", "sweep": "sweep", "frontier": "frontier"}
    place = tmp_path / given.get(name, "given")
    if name in given:
        shutil.copytree(shelf / given[name], place)
    else:
        place.mkdir()
    files = {"evaluation": "evaluation.json", "evidence": "summary.json", "audit": "audit.json"}
    path = place / files.get(name, f"{name}.csv")
    if name == "evidence":
        counts = ("files", "files_found", "files_failed", "findings", "strings", "sources_read")
        path.write_text(json.dumps(dict.fromkeys(counts, 0)))
    content = (shelf / path.name if name == "evaluation" else path).read_bytes()
    path.unlink(missing_ok=True)
    if name == "evaluation":
        write_result(path, json.dumps(json.loads(content), indent=2).encode() + b"\n", ".json")
    else:
        write_own(place, path.name, content)
    given_path = path if name == "evaluation" else place
    words = ["report", shelf / "shared", "-o", tmp_path / "r.html", f"--{name}", given_path]
    assert run(*map(str, words)).exit_code == 0
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    done = run(*map(str, words), "--overwrite")
    assert done.exit_code == 2, done.output
    assert f"{path.name!r} was changed after deepfixcx wrote it" in " ".join(done.output.split())


@pytest.mark.parametrize("change", ["planted", "changed", "missing"])
def test_a_release_that_differs_from_its_manifest_has_no_report(
    run: Run, shelf: Path, tmp_path: Path, change: str
) -> None:
    """An audit and a scan of the release name the same checksum, and were of other files."""
    shutil.copytree(shelf / "shared", tmp_path / "shared")
    code = min((tmp_path / "shared" / "codes").iterdir())
    if change == "planted":
        (tmp_path / "shared" / "notes.txt").write_text("Doe Jane")
    elif change == "changed":
        code.write_bytes(code.read_bytes()[:-1] + b"\x01")
    else:
        code.unlink()
    done = run("report", str(tmp_path / "shared"), "-o", str(tmp_path / "r.html"))
    assert done.exit_code == 3, done.output
    assert "differs from its manifest in 1 file" in " ".join(done.output.split())
    page = (tmp_path / "r.html").read_text("utf-8")
    assert '<p class="alert" role="alert">This release fails verification' in page
