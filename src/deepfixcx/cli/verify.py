"""``deepfixcx verify``: whether a release is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import (
    console,
    default_workers,
    error_console,
    megabytes,
    panel,
    program,
    write_json,
)
from deepfixcx.cli._options import JSON, WORKERS

if TYPE_CHECKING:
    from deepfixcx.release import Verification

__all__ = ["command"]

SOMETHING_WRONG = 3
MOST_NAMES = 20


def command(
    folder: Annotated[str, typer.Argument(metavar="OUT", help="Release folder, or its URL.")],
    workers: Annotated[int | None, WORKERS] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Hash every file of a release again and compare it with the manifest.

    Needs OUT alone, so whoever received a release can run it. Exit code 3 if anything is missing,
    changed, or not named in the manifest.

    Example: deepfixcx verify shared
    """
    from deepfixcx.release import verify_release
    from deepfixcx.release.urls import locate

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
        "counts": {name: list(counts) for name, counts in found.counts.items()},
        "seal": found.seal,
    }
    write_json(json, figures)
    _print_names(found)
    _close(found)
    if not found.sound:
        raise typer.Exit(SOMETHING_WRONG)


def _print_names(found: Verification) -> None:
    from rich.markup import escape

    for word, names in (
        ("missing", found.missing),
        ("changed", found.changed),
        ("not in the manifest", found.unlisted),
    ):
        for name in names[:MOST_NAMES]:
            console.print(f"[bold]{word}[/bold]  {escape(name)}", soft_wrap=True)
        if len(names) > MOST_NAMES:
            console.print(f"… and {len(names) - MOST_NAMES} more; --json lists all")


def _close(found: Verification) -> None:
    files = counted(found.files, "file")
    rows = [
        ("sound", f"{found.files_sound:,} of {files}, {megabytes(found.bytes_read)}"),
        ("missing", str(len(found.missing) or "none")),
        ("changed", str(len(found.changed) or "none")),
        ("unlisted", str(len(found.unlisted) or "none")),
    ]
    rows += [
        ("count", f"{name}: dataset.json says {said}, there are {there}")
        for name, (said, there) in found.counts.items()
    ]
    rows.append(("seal", f"{found.seal}  of dataset.json: the same for the same release"))
    rows.append(("next", _next_step(found)))
    panel("verify", rows, good=found.sound)


def _next_step(found: Verification) -> str:
    if found.sound:
        return "it is what its papers say; compare the seal with that of whoever made it"
    if found.missing and not (found.changed or found.unlisted):
        return f"copy it again; whoever made it can run {program()} privatize … --resume"
    if not (found.missing or found.changed or found.counts):
        return (
            "what the manifest names is as it was made; delete what it does not name, listed "
            "above, before it is shared"
        )
    return "do not use it; copy it again from where it was made"
