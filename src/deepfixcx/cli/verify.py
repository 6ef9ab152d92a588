"""``deepfixcx verify``: whether a release is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import counted, plain
from deepfixcx.cli._console import (
    SOME_FAILED,
    byte_size,
    console,
    default_workers,
    error_console,
    panel,
    program,
    write_json,
)
from deepfixcx.cli._options import JSON, WORKERS

if TYPE_CHECKING:
    from deepfixcx.release import Verification

__all__ = ["command"]

MOST_NAMES = 20


def command(
    folder: Annotated[str, typer.Argument(metavar="OUT", help="Release folder, or its URL.")],
    workers: Annotated[int | None, WORKERS] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Check every file of a release against its checksums and its manifest.

    Needs only OUT, so a recipient can run it. It proves that a release is consistent, not who made
    it: compare the checksum with the one that the sender names. Exit code 3 if a file is missing,
    changed, unexpected or contradictory.

    Example: deepfixcx verify shared
    """
    from deepfixcx.release import verify_release
    from deepfixcx.release.storage import locate

    with error_console.status("hashing") as status:
        found = verify_release(
            folder,
            workers=default_workers() if workers is None else workers,
            report=lambda done, files: status.update(f"hashing file {done} of {files}"),
        )
    figures = {
        "command": "verify",
        "release": str(locate(folder)),
        "sound": found.sound,
        "files": found.files,
        "files_sound": found.files_sound,
        "bytes_read": found.bytes_read,
        "missing": found.missing,
        "changed": found.changed,
        "unlisted": found.unlisted,
        "links": found.links,
        "empty": found.empty,
        "contradictions": found.contradictions,
        "withdrawing": found.withdrawing,
        "counts": {name: list(counts) for name, counts in found.counts.items()},
        "seal": found.checksum,
        "release_checksum": found.checksum,
    }
    write_json(json, figures)
    _print_names(found)
    _close(found)
    if not found.sound:
        raise typer.Exit(SOME_FAILED)


def _print_names(found: Verification) -> None:
    from rich.markup import escape

    for word, names in (
        ("missing", found.missing),
        ("changed", found.changed),
        ("not in the manifest", found.unlisted),
        ("link or special file", found.links),
        ("empty folder", found.empty),
        ("contradiction", found.contradictions),
    ):
        for name in names[:MOST_NAMES]:
            console.print(
                f"[bold]{word}[/bold]  {escape(plain(name, one_line=True))}", soft_wrap=True
            )
        if len(names) > MOST_NAMES:
            console.print(f"… and {len(names) - MOST_NAMES} more; --json lists all")


def _close(found: Verification) -> None:
    files = counted(found.files, "file")
    rows = [
        ("consistent", f"{found.files_sound:,} of {files}, {byte_size(found.bytes_read)}"),
        ("missing", str(len(found.missing) or "none")),
        ("changed", str(len(found.changed) or "none")),
        ("unexpected", str(len(found.unlisted) + len(found.links) + len(found.empty) or "none")),
        ("contradictory", str(len(found.contradictions) or "none")),
    ]
    rows += [
        ("count", f"{name}: dataset.json states {said}, found {there}")
        for name, (said, there) in found.counts.items()
    ]
    if found.withdrawing:
        rows.append(("withdrawal", "unfinished"))
    rows.append(("checksum", f"{found.checksum}  (SHA-256 of dataset.json)"))
    rows.append(("next", _next_step(found)))
    panel("verify", rows, good=found.sound)


def _next_step(found: Verification) -> str:
    if found.sound:
        return (
            "all files match the manifest, which shows consistency, not origin: compare the "
            "checksum with the one that the sender names"
        )
    if found.withdrawing:
        return "run the same deepfixcx withdraw, or deepfixcx apply-withdrawal, again"
    strange = found.unlisted or found.links or found.empty
    if found.missing and not (found.changed or strange):
        return f"copy the release again; its sender can run {program()} privatize … --resume"
    if not (found.missing or found.changed or found.counts or found.contradictions):
        return (
            "all files of the manifest match it; delete the unexpected ones, listed above, before "
            "you share the release"
        )
    return "do not use this copy; copy the release again from its sender"
