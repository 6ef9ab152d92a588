"""``deepfixcx status``: how far a release is."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import panel, program, write_json
from deepfixcx.cli._options import JSON, PRIVATE_OF

if TYPE_CHECKING:
    from deepfixcx.release import ReleaseStatus

__all__ = ["command"]

MOST_NAMES = 10
CODES = {"finished": 0, "running": 4, "stopped": 5, "withdrawing": 5}
"""Exit codes, for scripts and monitoring."""


def command(
    folder: Annotated[str, typer.Argument(metavar="OUT", help="Release folder, or its URL.")],
    private: Annotated[str | None, PRIVATE_OF] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Show the progress of a release and the command that continues it.

    Reads the ledger in the private folder and changes nothing. Exit code 0: finished, 4: running,
    5: stopped; the same command with --resume continues it.

    Example: deepfixcx status shared
    """
    from deepfixcx.release import read_status
    from deepfixcx.release.storage import locate

    status = read_status(folder, private)
    figures = {"command": "status", "release": str(locate(folder)), **asdict(status)}
    write_json(json, figures)
    share = status.shards_done / status.shards if status.shards else 0
    rows = [
        ("state", _state(status)),
        ("done", f"{status.files_done:,} of {_files(status)}, {share:.0%} of the shards"),
        ("failed", str(status.files_failed or "none")),
        ("shards", f"{status.shards_done} of {status.shards} done, {status.attempts} starts"),
    ]
    if status.quarantined:
        rows.append(("quarantined", _quarantined(status)))
    rows.append(("next", _next_step(status, folder)))
    good = status.state not in ("stopped", "withdrawing") and not (
        status.files_failed or status.quarantined
    )
    panel("status", rows, good=good)
    if code := CODES[status.state]:
        raise typer.Exit(code)


def _files(status: ReleaseStatus) -> str:
    files = counted(status.files, "file")
    if not status.files_public:
        return files
    return f"{files} ({status.files - status.files_public:,} of IN, {status.files_public:,} public)"


def _state(status: ReleaseStatus) -> str:
    return {
        "running": "running: a process is writing to it",
        "finished": "finished",
        "withdrawing": "a withdrawal is unfinished",
        "stopped": "stopped before the end; finished work is kept",
    }[status.state]


def _quarantined(status: ReleaseStatus) -> str:
    files = f"{status.quarantined} stopped their worker process twice"
    names = status.quarantined_ids[:MOST_NAMES]
    more = ", …" if len(status.quarantined_ids) > MOST_NAMES else ""
    return f"{files}: {', '.join(names)}{more}" if names else files


def _next_step(status: ReleaseStatus, folder: str) -> str:
    if status.state == "running":
        return "wait, or stop it with Ctrl-C in its terminal: written files are kept"
    if status.state == "withdrawing":
        return "run the same deepfixcx withdraw again"
    if status.state == "finished":
        return f"{program()} verify {shlex.quote(folder)}"
    if not status.again:
        return "run the same command again with --resume"
    if Path(status.again_in) == Path.cwd():
        return status.again
    return f"in {status.again_in}: {status.again}"
