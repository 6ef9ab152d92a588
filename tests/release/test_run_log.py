"""The log of a run: what a monitor needs, and no name of a file."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from deepfixcx import CodecSpec
from deepfixcx.choices import Names
from deepfixcx.cli import _console
from deepfixcx.errors import ReleaseError
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.release.cluster import _wait
from deepfixcx.release.run import Progress
from deepfixcx.release.run_log import RunLog
from tests.release.conftest import rows, write_gray

CANARY = "Doe^Jane"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("names", ["neutral", "keep"])
def test_log_has_shards_and_ids_of_failed_files_and_no_name(tmp_path: Path, names: Names) -> None:
    images, path = tmp_path / CANARY, tmp_path / "run.jsonl"
    for number in range(17):
        write_gray(images / f"{CANARY}-{number:02d}.png", 20, 20, number)
    (images / f"{CANARY}-bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + CANARY.encode())
    options = ReleaseOptions(CodecSpec(1, 2), output="codes", names=names)
    with RunLog(path, "privatize") as log:
        privatize_dataset(images, tmp_path / "out", options, log=log)
    found = lines(path)
    events = [line["event"] for line in found]
    assert (events[0], events[1], events[-1]) == ("start", "work", "end")
    assert sorted(events[2:-1]) == ["failed", "shard", "shard"]
    (failed,) = [line for line in found if line["event"] == "failed"]
    (row,) = rows(tmp_path / "out" / "failures.csv")
    assert failed["id"] == (row["source_id"] if names == "neutral" else None)
    assert (found[-1]["status"], found[-1]["files_done"], found[-1]["files_failed"]) == (
        "done", 18, 1,
    )  # fmt: skip
    assert CANARY not in path.read_text()
    assert str(tmp_path) not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_log_beats_and_says_how_a_run_ended_without_its_message(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    def run() -> None:
        with RunLog(path, "privatize", every=0.02) as log:
            log.waits("no worker")
            until = time.monotonic() + 60
            while "heartbeat" not in path.read_text():
                assert time.monotonic() < until
                time.sleep(0.01)
            raise ReleaseError(CANARY)

    with pytest.raises(ReleaseError):
        run()
    assert lines(path)[-1]["status"] == "stopped"
    assert lines(path)[-1]["error"] == "ReleaseError"
    assert CANARY not in path.read_text()
    with pytest.raises(KeyboardInterrupt), RunLog(path, "privatize"):
        raise KeyboardInterrupt
    assert [line["event"] for line in lines(path)].count("start") == 2
    assert lines(path)[-1]["status"] == "interrupted"


def test_run_says_that_it_waits_for_dask_workers() -> None:
    class Cluster:
        def has_ready(self) -> bool:
            return bool(told)

        def nthreads(self) -> dict[str, int]:
            return {}

    told: list[str] = []
    _wait(Cluster(), Cluster(), told.append, had_workers=False)
    assert told == ["the dask scheduler has no worker; start one, the run continues by itself"]


def test_progress_without_a_terminal_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _console.ReleaseBar() as bar:
        bar.report(Progress(files=9, files_done=1))
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(_console, "SECONDS_A_LINE", 0)
        bar.report(Progress(files=9, files_done=2, files_failed=1))
        bar.waiting(None)("a reason")
    first, second = capsys.readouterr().err.splitlines()
    assert re.match(r"privatize: 2 of 9 files  0 images/s .* 1 failed$", first)
    assert second == "privatize: waiting: a reason"


def test_log_replaces_no_other_file_and_follows_no_link(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for path in (other, tmp_path / "link", tmp_path / "none" / "run.jsonl"):
        with pytest.raises(ReleaseError, match="log"), RunLog(path, "privatize"):
            raise AssertionError
    assert other.read_text() == "mine"
    assert not (tmp_path / "new").exists()
