"""``deepfixcx inspect``: what lies in a folder, and what of it cannot be read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx.cli._console import console, default_workers, error_console, panel, write_json

if TYPE_CHECKING:
    from deepfixcx.images import ImageFacts

__all__ = ["command"]

SOME_FAILED = 3
MOST_ROWS = 40


def command(
    where: Annotated[
        Path,
        typer.Argument(metavar="IN", help="Folder, image, or .csv with a column 'path' or 'file'."),
    ],
    workers: Annotated[int | None, typer.Option(help="Processes; default: the cores.")] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Count files that declare more pixels as unreadable.")
    ] = None,
    names: Annotated[
        bool,
        typer.Option("--names", help="Also print which files cannot be used, by name."),
    ] = False,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the closing figures for machines.")
    ] = None,
) -> None:
    """List what a folder holds: formats, sizes, bit depths, frames, unreadable files.

    Every image is opened and decoded, as a release would do; nothing is written.

    Example: [bold]deepfixcx inspect xrays[/bold]
    """
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    from deepfixcx.images import DEFAULT_MAX_PIXELS
    from deepfixcx.release import survey

    with error_console.status("looking at the files") as status:
        found = survey(
            where,
            workers=default_workers() if workers is None else workers,
            max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
            report=lambda done, files: status.update(f"looking at file {done} of {files}"),
        )
    facts = [fact for _, fact in found.facts]
    readable = [fact for fact in facts if not fact.problem]
    kinds = Counter(_kind(fact) for fact in readable)
    table = Table(box=SIMPLE)
    for title in ("files", "format", "photometric", "bits", "size", "frames", "stored as"):
        table.add_column(title, no_wrap=title != "stored as")
    for kind, files in kinds.most_common(MOST_ROWS):
        table.add_row(str(files), *kind)
    console.print(table)
    problems = Counter((fact.problem, fact.reason) for fact in facts if fact.problem)
    if problems:
        console.print(_problem_table(problems))
    if names:  # only when asked for: a file name may be a patient's
        for source, fact in found.facts:
            if fact.problem:
                console.print(f"{fact.problem}  {escape(source.name)}", soft_wrap=True)
    figures = {
        "command": "inspect",
        "files": len(facts),
        "files_readable": len(readable),
        "files_unreadable": len(facts) - len(readable),
        "files_skipped": len(found.skipped),
        "images": sum(fact.frames for fact in readable),
        "formats": dict(Counter(fact.format for fact in readable)),
        "problems": dict(Counter(fact.problem for fact in facts if fact.problem)),
        "smallest_height": min((fact.height for fact in readable), default=0),
        "smallest_width": min((fact.width for fact in readable), default=0),
    }
    write_json(json, figures)
    _close(figures, len(kinds))
    if problems:
        raise typer.Exit(SOME_FAILED)


def _kind(fact: ImageFacts) -> tuple[str, str, str, str, str, str]:
    size = f"{fact.height} x {fact.width}"
    # "JPEG 2000 Image Compression (Lossless Only)" is too long for a table
    stored = re.split(r"[,(]| Image Compression", fact.transfer_syntax)[0].strip()
    return fact.format, fact.photometric, str(fact.bits), size, str(fact.frames), stored


def _problem_table(problems: Counter[tuple[str, str]]) -> object:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("files", "cannot be used because", "reason", box=SIMPLE)
    for (problem, reason), files in problems.most_common():
        table.add_row(str(files), problem, reason)
    return table


def _close(figures: dict[str, object], kinds: int) -> None:
    unreadable = figures["files_unreadable"]
    rows = [
        ("readable", f"{figures['files_readable']} of {figures['files']} files, "
                     f"{figures['images']} images"),
        ("unreadable", str(unreadable or "none")),
    ]  # fmt: skip
    if figures["files_skipped"]:
        rows.append(("skipped", f"{figures['files_skipped']} of other kinds"))
    if kinds > MOST_ROWS:
        rows.append(("shown", f"the {MOST_ROWS} most frequent of {kinds} kinds"))
    rows.append(("next", "deepfixcx privatize IN OUT --level 3 --patches 4"))
    panel("inspect", rows, good=not unreadable)
