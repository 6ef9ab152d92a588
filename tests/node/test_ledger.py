"""The ledger of a node: what waits, what is idle, and what is put back."""

from __future__ import annotations

import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepfixcx.node.config import Limits
from deepfixcx.node.inbox import Answers, Inbox
from deepfixcx.node.ledger import NodeLedger
from deepfixcx.node.records import Made, Outcome
from deepfixcx.node.status import folder_status


def made(study: str, content: str) -> Made:
    return Made("all", content, "1.2", f"9.{content}", "1.2.3", study, "1", 10, ("archive",))


@pytest.fixture
def ledger(tmp_path: Path) -> NodeLedger:
    return NodeLedger(tmp_path)


def test_a_study_is_idle_when_all_that_arrived_in_time_is_processed(
    ledger: NodeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()

    def receive(content: str, seconds_ago: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now - seconds_ago)
        assert ledger.receive(content, f"1.{content}", "CT1", 10) == "new"
        monkeypatch.setattr(time, "time", lambda: now)

    receive("1", 100)
    (first,) = ledger.waiting(0, 10)
    ledger.finish([(first, Outcome((made("7", "1"),)))])
    assert len(ledger.queue("archive", 10, 30.0, 5.0)) == 1
    receive("2", 2)  # a busy node: this one belongs to no study that was idle before
    assert len(ledger.queue("archive", 10, 30.0, 5.0)) == 1
    receive("3", 90)  # this one may belong to the study
    assert not ledger.queue("archive", 10, 30.0, 5.0)
    assert len(ledger.queue("archive", 10, None, 5.0)) == 1
    late = next(each for each in ledger.waiting(0, 10) if each.content == "3")
    ledger.finish([(late, Outcome((made("8", "3"),)))])
    assert len(ledger.queue("archive", 10, 30.0, 5.0)) == 2


def test_what_was_given_up_or_quarantined_is_put_back(ledger: NodeLedger) -> None:
    for content in ("1", "2"):
        ledger.receive(content, f"1.{content}", "CT1", 10)
    one, two = ledger.waiting(0, 10)
    ledger.finish([(one, Outcome((made("7", "1"),))), (two, Outcome(reason="damaged"))])
    (delivery,) = ledger.queue("archive", 10, None, 5.0)
    ledger.refuse(delivery, "refused", dead=True)
    assert not ledger.queue("archive", 10, None, 5.0)
    assert (ledger.committed("1.1"), ledger.committed("1.2")) == (False, False)
    assert ledger.retry() == (1, 1)
    assert len(ledger.queue("archive", 10, None, 5.0)) == 1
    assert [each.content for each in ledger.waiting(0, 10)] == ["2"]
    assert ledger.sent([(delivery.number, delivery.content)]) == [delivery.content]
    assert not ledger.needed("1")


def test_answers_that_a_kill_left_are_recorded_where_number_and_content_fit(
    ledger: NodeLedger, tmp_path: Path
) -> None:
    inbox = Inbox(tmp_path, ledger, Limits())
    for number in range(4):
        ledger.receive(f"c{number}", f"1.{number}", "CT1", 10)
    ledger.finish([(each, Outcome((made("7", each.content),))) for each in ledger.waiting(0, 9)])
    answers = Answers(inbox, "archive")
    with answers.open():
        one, two, three, _ = ledger.queue("archive", 10, None, 5.0)
        answers.add(one)
        answers.add(two)
    assert len(ledger.queue("archive", 10, None, 5.0)) == 4  # and here it is killed
    with (tmp_path / "answers.archive").open("a") as file:
        file.write(f"{three.number} {one.content}\nx\n{three.number} {three.content}")
    answers = Answers(inbox, "archive")
    with answers.open():
        waiting = [each.content for each in ledger.queue("archive", 10, None, 5.0)]
        assert waiting == ["c2", "c3"]
        assert not (tmp_path / "answers.archive").read_bytes()
        for _ in range(16):
            answers.add(three)
    assert [each.content for each in ledger.queue("archive", 10, None, 5.0)] == ["c3"]


def test_a_full_disk_keeps_room_for_results_and_the_ledger(
    ledger: NodeLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [10_000_000]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    (tmp_path / "inbox").mkdir()
    inbox = Inbox(tmp_path, ledger, Limits(free_mb=4))
    assert not inbox.full(3_000_000)
    assert "free_mb" in inbox.full(3_000_001)
    assert inbox.take((bytes(1_000_000),), "1.2.3", "CT1") == "new"
    assert inbox.take((bytes(2_999_999),), "1.2.4", "CT1") == "full"
    assert not inbox.low()

    def unwritten(*_: object) -> str:
        raise sqlite3.OperationalError

    monkeypatch.setattr(ledger, "receive", unwritten)
    assert inbox.take((b"an object",), "1.2.5", "CT1") == "full"
    free[0] = 1_999_999
    inbox = Inbox(tmp_path, ledger, Limits(free_mb=4))
    assert inbox.low()
    inbox.stop_sweeping()
    inbox.sweep()
    inbox.clean("inbox")
    assert len(list((tmp_path / "inbox").iterdir())) == 1


def test_old_delivered_objects_are_forgotten_and_stay_counted(
    ledger: NodeLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(tmp_path, ledger, Limits())
    now = time.time()
    for number in range(7):  # 0 to 4 are old; 0 is quarantined, 1 waits
        monkeypatch.setattr(time, "time", lambda n=number: now - (100 if n < 5 else 1))
        ledger.receive(str(number), f"1.{number}", "CT1", 10)
        ledger.receive(str(number), f"1.{number}", "CT1", 10)
    monkeypatch.undo()
    items = ledger.waiting(0, 10)
    ledger.finish([(items[0], Outcome(reason="damaged"))])
    ledger.finish([(each, Outcome((made("7", each.content),))) for each in items[1:]])
    for delivery in ledger.queue("archive", 10, None, 5.0):
        if delivery.content != "1":
            ledger.sent([(delivery.number, delivery.content)])
    before = folder_status(tmp_path)
    last = 0
    while last := inbox.forget(now - 50, last, most=2):
        pass
    after = folder_status(tmp_path)
    assert replace(after, oldest_s=0.0) == replace(before, oldest_s=0.0)
    assert after.objects == {"received": 0, "done": 6, "quarantined": 1}
    assert (after.repeated, after.bytes) == (7, 70)
    assert after.queues == [("all", "archive", 1, 0)]
    assert ledger.rows("SELECT content FROM objects ORDER BY id") == [
        ("0",),
        ("1",),
        ("5",),
        ("6",),
    ]
    assert ledger.rows("SELECT count(*) FROM made") == ledger.rows(
        "SELECT count(*) FROM deliveries"
    )
    assert ledger.receive("2", "1.2", "CT1", 10) == "new"
