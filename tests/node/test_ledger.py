"""The ledger of a node: what waits, what is idle, and what is put back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deepfixcx.node.ledger import Made, NodeLedger, Outcome


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
    assert ledger.sent(delivery)
    assert not ledger.needed("1")
