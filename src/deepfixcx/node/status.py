"""How far a node is: counts for its operator, as values, as a panel and for Prometheus.

Reasons are those of errors of deepfixcx, and names are those of the configuration: nothing here
was read from an object.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deepfixcx.errors import NodeError
from deepfixcx.io.folders import in_use
from deepfixcx.node.config import NodeConfig
from deepfixcx.node.inbox import LOCK
from deepfixcx.node.ledger import GONE, LEDGER, OPEN

__all__ = ["NodeStatus", "conformance", "folder_status", "metrics", "node_status"]

MOST_REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node has done and what waits.

    Attributes
    ----------
    running : bool
        Whether a node runs in the folder now.
    objects : dict
        Objects by state: ``received`` (waiting), ``done``, ``quarantined``.
    repeated, bytes : int
        Objects that were sent again, and bytes of all objects.
    deliveries : dict
        For each destination, deliveries by state: ``waiting``, ``sent``, ``dead``.
    routes : dict
        Results of each route.
    quarantine, dead : list of tuple
        Reasons, each with its number of objects or deliveries.
    oldest_s : float
        Seconds that the oldest waiting delivery has waited.
    counters : dict
        Other counts, such as refused associations.
    queues : list of tuple
        Route, destination, and how many of its results wait there and are dead.

    Examples
    --------
    >>> node_status(read_config("node.toml")).dead  # doctest: +SKIP
    [('archive', 'refused with status 0xa900', 2)]
    """

    running: bool
    objects: dict[str, int]
    repeated: int
    bytes: int
    deliveries: dict[str, dict[str, int]]
    routes: dict[str, int]
    quarantine: list[tuple[str, int]]
    dead: list[tuple[str, str, int]]
    oldest_s: float
    counters: dict[str, int]
    queues: list[tuple[str, str, int, int]] = field(default_factory=list)


def node_status(config: NodeConfig) -> NodeStatus:
    """Read how far a node is; change nothing.

    Parameters
    ----------
    config : NodeConfig
        From `read_config`.

    Returns
    -------
    NodeStatus
        Counts and reasons.

    Raises
    ------
    NodeError
        The node never ran, or its ledger cannot be read.

    Examples
    --------
    >>> node_status(read_config("node.toml")).objects["done"]  # doctest: +SKIP
    1204
    """
    return folder_status(
        config.folder, list(config.destinations), [route.name for route in config.routes]
    )


def folder_status(
    folder: Path, destinations: Sequence[str] = (), routes: Sequence[str] = ()
) -> NodeStatus:
    """Read how far the node of a folder is; names are those that its ledger has, and these."""
    path = folder / LEDGER
    if not path.is_file():
        raise NodeError("the node has never run with this configuration; start it first")
    try:
        with closing(_reading(path)) as database:
            return _status(
                folder, destinations, routes, lambda query: database.execute(query).fetchall()
            )
    except sqlite3.Error:
        raise NodeError(
            f"the ledger {path.name!r} cannot be read; check its permissions and the disk"
        ) from None


def _reading(path: Path) -> sqlite3.Connection:
    # In WAL mode a reader needs to write its own lock, so the mode is rw and not ro.
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)
    database.execute("PRAGMA query_only = ON")
    return database


def _status(
    folder: Path, destinations: Sequence[str], routes: Sequence[str], ask: Any
) -> NodeStatus:
    counters = dict(ask("SELECT name, value FROM counters"))
    gone = {name: counters.pop(name) for name in list(counters) if name.startswith(f"{GONE} ")}
    before: dict[tuple[str, str], int] = {}
    for name, value in gone.items():
        _, kind, which = (*name.split(" ", 2), "")[:3]
        before[kind, which] = value
    objects = {"received": 0, "done": 0, "quarantined": 0}
    objects |= dict(ask("SELECT state, count(*) FROM objects GROUP BY state"))
    objects["done"] += before.get(("objects", ""), 0)
    deliveries = {name: {"waiting": 0, "sent": 0, "dead": 0} for name in destinations}
    made = dict.fromkeys(routes, 0)
    query = "SELECT destination, state, count(*) FROM deliveries GROUP BY destination, state"
    sent = [(name, "sent", count) for (kind, name), count in before.items() if kind == "sent"]
    for name, state, count in [*ask(query), *sent]:
        states = deliveries.setdefault(name, {"waiting": 0, "sent": 0, "dead": 0})
        states[state] += count
    query = "SELECT route, count(*) FROM made GROUP BY route"
    results = [(name, count) for (kind, name), count in before.items() if kind == "results"]
    for name, count in [*ask(query), *results]:
        made[name] = made.get(name, 0) + count
    ((repeated, size),) = ask("SELECT sum(repeats), sum(bytes) FROM objects")
    ((oldest,),) = ask(f"SELECT min(changed) FROM deliveries WHERE {OPEN} AND state = 'waiting'")
    return NodeStatus(
        in_use(folder / LOCK),
        objects,
        int(repeated or 0) + before.get(("repeats", ""), 0),
        int(size or 0) + before.get(("bytes", ""), 0),
        deliveries,
        made,
        ask(
            "SELECT reason, count(*) FROM objects WHERE state = 'quarantined' GROUP BY reason "
            f"ORDER BY 2 DESC LIMIT {MOST_REASONS}"
        ),
        ask(
            "SELECT destination, reason, count(*) FROM deliveries WHERE state = 'dead' "
            f"AND {OPEN} GROUP BY destination, reason ORDER BY 3 DESC LIMIT {MOST_REASONS}"
        ),
        0.0 if oldest is None else max(0.0, time.time() - oldest),
        counters,
        ask(
            "SELECT route, destination, sum(state = 'waiting'), sum(state = 'dead') "
            f"FROM deliveries JOIN made ON made.id = deliveries.made WHERE {OPEN} "
            "GROUP BY route, destination ORDER BY route, destination"
        ),
    )


# -- Prometheus -------------------------------------------------------------------------------


def metrics(status: NodeStatus) -> str:
    """Return the counts in the text format of Prometheus."""
    return "\n".join(_lines(status)) + "\n"


def _lines(status: NodeStatus) -> Iterator[str]:
    yield from _metric("objects", "Objects by state.", "gauge")
    for state, count in status.objects.items():
        yield f'deepfixcx_node_objects{{state="{state}"}} {count}'
    yield from _metric("deliveries", "Results by destination and state.", "gauge")
    for name, states in status.deliveries.items():
        for state, count in states.items():
            yield f'deepfixcx_node_deliveries{{destination="{name}",state="{state}"}} {count}'
    yield from _metric("results_total", "Results of each route.", "counter")
    for name, count in status.routes.items():
        yield f'deepfixcx_node_results_total{{route="{name}"}} {count}'
    plain = {
        "repeated_total": ("Objects that were sent again.", "counter", status.repeated),
        "received_bytes_total": ("Bytes of all objects.", "counter", status.bytes),
        "oldest_waiting_seconds": ("Age of the oldest waiting result.", "gauge", status.oldest_s),
    }
    for name in ("associations_refused", "associations_aborted"):
        counted = (f"{name.replace('_', ' ').capitalize()}.", "counter", status.counters.get(name))
        plain[f"{name}_total"] = (counted[0], counted[1], counted[2] or 0)
    for name, (text, kind, value) in plain.items():
        yield from _metric(name, text, kind)
        yield f"deepfixcx_node_{name} {value}"


def _metric(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP deepfixcx_node_{name} {text}"
    yield f"# TYPE deepfixcx_node_{name} {kind}"


# -- conformance ------------------------------------------------------------------------------


def conformance(config: NodeConfig) -> str:
    """Return the DICOM conformance statement of a node, as Markdown.

    Parameters
    ----------
    config : NodeConfig
        From `read_config`.

    Returns
    -------
    str
        SOP classes, roles, transfer syntaxes and limits of this very configuration.

    Raises
    ------
    MissingExtraError
        pynetdicom is not installed.

    Examples
    --------
    >>> print(conformance(read_config("node.toml")))  # doctest: +SKIP
    # DICOM conformance statement of the node DEEPFIXCX
    """
    from pydicom.uid import UID
    from pynetdicom import __version__ as version

    from deepfixcx import __version__
    from deepfixcx.node.receiving import COMMITMENT, SYNTAXES, VERIFICATION, storage_classes

    limits, classes = config.limits, storage_classes()
    out = [
        f"# DICOM conformance statement of the node {config.title}",
        "",
        f"deepfixcx {__version__} with pynetdicom {version}. Query and retrieve are not supported: "
        "the node has no archive.",
        "",
        "| service | SOP classes | role | peers |",
        "|---|---|---|---|",
        f"| Verification | {VERIFICATION} | SCP | configured sources ({len(config.sources)}) |",
        f"| Storage | {len(classes)} classes, below | SCP | configured sources |",
        f"| Storage Commitment Push Model | {COMMITMENT} | SCP | sources with host and port; the "
        "result is sent on a new association |",
    ]
    for place in config.destinations.values():
        if place.kind == "dicom":
            out.append(f"| Storage | classes of what is sent | SCU | {place.title} |")
        if place.kind == "stow":
            out.append(f"| STOW-RS | application/dicom | user agent | {place.name} |")
    if config.web is not None:
        out.append("| STOW-RS | application/dicom | origin server | clients with the token |")
    out += [
        "",
        f"Associations at one time: {limits.associations}. Longest PDU: {limits.pdu_kb} KiB. "
        f"Largest object: {limits.object_mb} MB. Idle connections are closed after "
        f"{limits.idle_s} s. The called AE title must be {config.title}; other calling AE titles "
        "than those of the sources are rejected. Asynchronous operations and extended negotiation "
        "are not supported.",
        "",
        "| status of C-STORE | meaning |",
        "|---|---|",
        "| 0000 | the object is on the disk and in the ledger, or was so before |",
        "| A700 | too little free space for the object and its result, or too many objects wait |",
        "| C000 | the SOP Class UID or SOP Instance UID is not valid |",
        "",
        "## Transfer syntaxes",
        "",
        *(f"- {UID(each).name} ({each})" for each in SYNTAXES),
        "",
        "A result has the transfer syntax of its source. Uncompressed results are also offered in "
        "Explicit and Implicit VR Little Endian.",
        "",
        "## Storage SOP classes",
        "",
        *(f"- {UID(each).name} ({each})" for each in classes),
    ]
    return "\n".join(out) + "\n"
