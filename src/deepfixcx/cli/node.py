"""``deepfixcx node``: DICOM objects from the network in, de-identified objects out."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import byte_size, console, panel, program, write_json
from deepfixcx.cli._options import JSON

if TYPE_CHECKING:
    from deepfixcx.node import NodeConfig

__all__ = ["command"]

ACTIONS = ("status", "retry", "check", "conformance")


def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[ACTION]",
            help="status, retry, check or conformance; without one the node runs.",
        ),
    ],
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="Configuration of the node (TOML).")
    ] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Run a DICOM node that de-identifies and forwards.

    Objects are acknowledged once they are on the disk, and sent until their destinations accept
    them. status shows the queues, retry repeats what was quarantined or given up, check reads the
    configuration, conformance prints the DICOM conformance statement. Ctrl-C ends the node.

    Example: deepfixcx node node.toml
    """
    from deepfixcx.errors import NodeError
    from deepfixcx.node import read_config

    if config is None:
        what, config = "run", Path(what)
    if what not in (*ACTIONS, "run"):
        raise NodeError(f"{what!r} is no action of node; it is one of {', '.join(ACTIONS)}")
    settings = read_config(config)
    if what == "run":
        _run(settings)
    elif what == "status":
        _status(settings, json, config)
    elif what == "retry":
        _retry(settings)
    elif what == "check":
        console.print(
            f"The configuration is valid: {counted(len(settings.routes), 'route')}, "
            f"{counted(len(settings.destinations), 'destination')}."
        )
    else:
        from deepfixcx.node import conformance

        typer.echo(conformance(settings), nl=False)


def _run(settings: NodeConfig) -> None:
    from deepfixcx.node.service import run_until

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    run_until(settings, stopped)


def _retry(settings: NodeConfig) -> None:
    from deepfixcx.node.ledger import NodeLedger
    from deepfixcx.node.status import node_status

    node_status(settings)  # the node has run before
    objects, letters = NodeLedger(settings.folder).retry()
    console.print(
        f"{counted(objects, 'quarantined object')} and {counted(letters, 'dead letter')} are back "
        "in their queues."
    )


def _status(settings: NodeConfig, json: Path | None, config: Path) -> None:
    from deepfixcx.node import node_status

    status = node_status(settings)
    write_json(json, {"command": "node status", "title": settings.title, **asdict(status)})
    objects = status.objects
    rows = [
        ("state", "running" if status.running else "stopped; what waits is kept"),
        (
            "objects",
            f"{sum(objects.values()):,} ({byte_size(status.bytes)}), {objects['received']:,} wait, "
            f"{status.repeated:,} sent again",
        ),
        ("quarantined", f"{objects['quarantined']:,}" if objects["quarantined"] else "none"),
    ]
    rows += [("", f"{count:,}  {reason}") for reason, count in status.quarantine]
    for name, states in status.deliveries.items():
        words = ", ".join(f"{count:,} {state}" for state, count in states.items())
        rows.append((name, words))
    rows += [("dead", f"{count:,}  {name}: {reason}") for name, reason, count in status.dead]
    if status.objects["quarantined"] or status.dead:
        rows.append(("next", f"remove the cause, then: {program()} node retry {config}"))
    panel("node", rows, good=status.running and not status.dead)
