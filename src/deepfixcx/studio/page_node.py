"""Node: the queues of a DICOM node, its rates, and what it withheld and why.

Everything here is a count, a name of the configuration or a reason of deepfixcx: no value of an
object is read.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from deepfixcx._words import counted
from deepfixcx.errors import DeepfixcxError
from deepfixcx.node.status import NodeStatus, folder_status
from deepfixcx.studio.elements import (
    LibraryPage,
    alert,
    block,
    card,
    choice,
    heading,
    note,
    remember,
    say,
    words,
)
from deepfixcx.studio.releases import Library
from deepfixcx.studio.workspace import Workspace

__all__ = ["NodePage", "Panel", "panels_of"]

SECONDS = 3.0
"""Between two readings of the ledger."""

READINGS = 20
"""Readings over which a rate is measured."""

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One table of the page; without rows a sentence stands in its place."""

    title: str
    head: Row
    rows: tuple[Row, ...]
    nothing: str


class Rates:
    """Counts of the last readings, and how fast they grew."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque(maxlen=READINGS)

    def take(self, counts: dict[str, int]) -> None:
        """Add the counts of now."""
        self._seen.append((time.monotonic(), counts))

    def text(self, name: str) -> str:
        """Return how many a second there were; nothing until there are two readings."""
        if len(self._seen) < 2:
            return ""
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        rate = (now.get(name, 0) - before.get(name, 0)) / max(last - first, 0.001)
        return f"{rate:.1f}/s" if rate >= 0.05 or not rate else f"{60 * rate:.1f}/min"


def panels_of(status: NodeStatus, rates: Rates) -> list[Panel]:
    """Return the tables that show a node."""
    waiting = {(route, name): (wait, dead) for route, name, wait, dead in status.queues}
    routes = [
        (route, name, f"{wait:,}", f"{dead:,}") for (route, name), (wait, dead) in waiting.items()
    ]
    idle = sorted(set(status.routes) - {route for route, _ in waiting})
    return [
        Panel(
            "Routes",
            ("Route", "Results", "Rate"),
            tuple(
                (name, f"{count:,}", rates.text(f"route {name}"))
                for name, count in sorted(status.routes.items())
            ),
            "No route has made a result yet.",
        ),
        Panel(
            "Queues",
            ("Route", "Destination", "Waiting", "Dead letters"),
            tuple(routes),
            f"Nothing waits: {counted(len(idle), 'route')} delivered everything."
            if idle
            else "Nothing waits.",
        ),
        Panel(
            "Destinations",
            ("Destination", "Waiting", "Sent", "Dead letters", "Rate"),
            tuple(
                (
                    name,
                    *(f"{states[each]:,}" for each in ("waiting", "sent", "dead")),
                    rates.text(f"destination {name}"),
                )
                for name, states in sorted(status.deliveries.items())
            ),
            "Nothing was sent yet.",
        ),
        Panel(
            "Quarantine",
            ("Objects", "Route", "Reason"),
            tuple((f"{count:,}", *_of_route(reason)) for reason, count in status.quarantine),
            "No object is in quarantine.",
        ),
        Panel(
            "Dead letters",
            ("Results", "Destination", "Reason"),
            tuple((f"{count:,}", name, reason) for name, reason, count in status.dead),
            "No result was given up.",
        ),
    ]


def _of_route(reason: str) -> tuple[str, str]:
    """Return the route that a reason begins with, and the rest; all routes have none."""
    found = re.fullmatch(r"route ([A-Za-z0-9][^:]*): (.*)", reason, re.DOTALL)
    return (found[1], found[2]) if found else ("all", reason)


def summary_of(status: NodeStatus, rates: Rates) -> str:
    """Return the line above the tables."""
    total = sum(status.objects.values())
    rate = rates.text("objects")
    parts = [
        "running" if status.running else "stopped; what waits is kept",
        f"{counted(total, 'object')} received" + (f" ({rate})" if rate else ""),
        f"{status.objects['received']:,} waiting for a profile",
        f"{status.repeated:,} sent again",
    ]
    if status.oldest_s >= 1:
        parts.append(f"the oldest waiting result waits for {_duration(status.oldest_s)}")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


class NodePage(LibraryPage):
    """The page of one tab."""

    def __init__(self, tab: Workspace, library: Library) -> None:
        super().__init__(tab, library)
        self.chosen, self.rates = 0, Rates()
        self._shown: list[Panel] = []

    async def build(self) -> None:
        """Make the elements, then show the first node."""
        self.found = await asyncio.to_thread(self.library.find, "node")
        with block("div", "page node", id_="main", tabindex="-1"):
            heading("Node", 1)
            if not self.found:
                words("There is no folder of a DICOM node in this folder. Start a node, and open "
                      "the studio on the folder of its configuration:", "p")  # fmt: skip
                words("deepfixcx node node.toml\ndeepfixcx studio .", "pre")
                return
            with block("div", "toolbar"):
                self.chosen = self.asked_for("node")
                choice("Node", {"": self.named()}, str(self.chosen), self._open, name="node")
            self.status = words("", "p", "about", role="status")
            self.failure = alert()
            self.tables = block("div", "wide-cards")
            ui.timer(SECONDS, self._look)
        await self._open(str(self.chosen))

    async def _open(self, number: str) -> None:
        if not number.isdigit() or int(number) >= len(self.found):
            return
        self.chosen, self.rates, self._shown = int(number), Rates(), []
        remember("/node", node=self.chosen)
        await self._look()

    async def _look(self) -> None:
        """Read the ledger again, and draw what has changed."""
        path = self.found[self.chosen].path
        try:
            status = await asyncio.to_thread(folder_status, path)
        except DeepfixcxError as error:
            self.failure.set_text(f"{error}.")
            return
        self.failure.set_text("")
        self.rates.take(
            {
                "objects": sum(status.objects.values()),
                **{f"route {name}": count for name, count in status.routes.items()},
                **{f"destination {name}": each["sent"] for name, each in status.deliveries.items()},
            }
        )
        say(self.status, summary_of(status, self.rates))
        panels = panels_of(status, self.rates)
        if panels != self._shown:
            self._shown = panels
            self._draw(panels, withheld=bool(status.quarantine or status.dead))

    def _draw(self, panels: Sequence[Panel], *, withheld: bool) -> None:
        self.tables.clear()
        with self.tables, block("div", "stack"):
            for panel in panels:
                with card(panel.title, label=panel.title):
                    if not panel.rows:
                        note(panel.nothing)
                        continue
                    _table(panel)
                    if withheld and panel.title in ("Quarantine", "Dead letters"):
                        note("Remove the cause, then run: deepfixcx node retry CONFIG")


def _table(panel: Panel) -> None:
    with block("div", "listed", tabindex="0", role="group", aria_label=panel.title), block("table"):
        with block("thead"), block("tr"):
            for text in panel.head:
                words(text, "th", scope="col")
        with block("tbody"):
            for row in panel.rows:
                with block("tr"):
                    for text in row:
                        words(text, "td")
