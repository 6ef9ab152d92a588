"""The page of a node shows its queues and reasons, and nothing of an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepfixcx.node.ledger import NodeLedger
from deepfixcx.node.records import Made, Outcome
from deepfixcx.node.status import folder_status
from deepfixcx.studio.releases import Library
from tests.node.conftest import CANARY
from tests.studio.conftest import serving


def worked(folder: Path) -> Path:
    """Write the ledger of a node that has sent, kept, quarantined and given up something."""
    (folder / "spool" / "inbox").mkdir(parents=True)
    (folder / "spool" / "inbox" / "1.dcm").write_text(CANARY)
    ledger = NodeLedger(folder / "spool")
    for number in range(6):
        ledger.receive(f"{CANARY}{number}", f"{CANARY}{number}", CANARY, 1000)
    items = ledger.waiting(0, 10)
    reason = "route ct: the pixels <b>show</b> text; paint it with --mask"
    ledger.finish([(items[0], Outcome(reason=reason))])
    for item in items[1:5]:
        made = (CANARY, "1.2", CANARY, "1.2", CANARY, CANARY, 900)
        ledger.finish([(item, Outcome((Made("ct", *made, ("archive", "year")),)))])
    first, second, *_ = ledger.queue("archive", 9, None, 5.0)
    ledger.sent([(first.number, first.content)])
    ledger.refuse(second, "refused with status 0xa900", dead=True)
    ledger.close()
    return folder / "spool"


def test_the_studio_finds_a_node_and_shows_none_of_its_objects(tmp_path: Path) -> None:
    spool = worked(tmp_path)
    library = Library(tmp_path)
    assert [(each.kind, each.path) for each in library.find("node")] == [("node", spool)]
    assert not library.pictures()


def test_tables_of_a_node_have_counts_names_and_reasons_alone(tmp_path: Path) -> None:
    pytest.importorskip("nicegui", reason="needs the extra studio")
    from deepfixcx.studio.page_node import Rates, panels_of, summary_of

    status, rates = folder_status(worked(tmp_path)), Rates()
    panels = {panel.title: panel for panel in panels_of(status, rates)}
    assert panels["Routes"].rows == (("ct", "4", ""),)
    assert panels["Queues"].rows == (("ct", "archive", "2", "1"), ("ct", "year", "4", "0"))
    assert panels["Destinations"].rows[0] == ("archive", "2", "1", "1", "")
    assert panels["Quarantine"].rows == (
        ("1", "ct", "the pixels <b>show</b> text; paint it with --mask"),
    )
    assert panels["Dead letters"].rows == (("1", "archive", "refused with status 0xa900"),)
    assert summary_of(status, rates).startswith("stopped; what waits is kept · 6 objects received")
    assert CANARY not in repr((panels, summary_of(status, rates)))
    rates.take({"objects": 3})
    rates.take({"objects": 9})
    assert float(rates.text("objects").removesuffix("/s")) > 0


@pytest.mark.slow
def test_the_page_shows_no_value_of_an_object(browser: Any, tmp_path: Path) -> None:
    worked(tmp_path)
    with serving(str(tmp_path), cwd=tmp_path) as studio:
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        received: list[str] = []
        tab.on(
            "websocket",
            lambda socket: socket.on("framereceived", lambda frame: received.append(str(frame))),
        )
        tab.goto(studio.url)
        tab.goto(f"{studio.origin}/node")
        tab.get_by_text("refused with status 0xa900").wait_for()
        assert tab.locator("nav a[aria-current=page]").inner_text() == "Node"
        assert not tab.locator("#main td b").count()
        ledger = NodeLedger(tmp_path / "spool")
        (delivery, *_) = ledger.queue("year", 9, None, 5.0)
        ledger.sent([(delivery.number, delivery.content)])
        tab.get_by_role("cell", name="3", exact=True).first.wait_for()
        sent = tab.content() + "".join(map(str, received))
        assert "0xa900" in "".join(map(str, received))
        assert not [word for word in (CANARY, "Quxfoobar") if word in sent]
