"""``deepfixcx inspect``: what lies in a folder, and what of it cannot be read."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepfixcx._words import counted, plain
from deepfixcx.cli._console import (
    SOME_FAILED,
    console,
    default_workers,
    error_console,
    panel,
    program,
    skipped_words,
    write_json,
)
from deepfixcx.cli._options import (
    INPUTS,
    JSON,
    MAX_PIXELS,
    SUGGESTED_LEVEL,
    SUGGESTED_PATCHES,
    VOLUMES,
    WORKERS,
)

if TYPE_CHECKING:
    from rich.table import Table

    from deepfixcx.images import ImageFacts


__all__ = ["command"]

MOST_ROWS = 40

Kind = tuple[str, str, str]
"""Format, photometric interpretation and bits of a file."""


def command(
    where: Annotated[str, INPUTS],
    workers: Annotated[int | None, WORKERS] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    volumes: Annotated[bool, VOLUMES] = False,
    names: Annotated[
        bool,
        typer.Option(
            "--show-names",
            help=("Also print the names of unreadable files and of files with notes."),
        ),
    ] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """List what a folder holds: formats, sizes, bit depths, frames, unreadable files.

    Every image is opened and decoded, as for a release. Nothing is written.

    Example: deepfixcx inspect xrays
    """
    from rich.markup import escape

    from deepfixcx.images import DEFAULT_MAX_PIXELS
    from deepfixcx.release import survey
    from deepfixcx.release.inputs import hidden_part

    with error_console.status("reading the files") as status:
        found = survey(
            where,
            workers=default_workers() if workers is None else workers,
            max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
            report=lambda done, files: status.update(f"reading file {done} of {files}"),
            volumes=volumes,
        )
    facts = [fact for _, fact in found.facts]
    readable = [fact for fact in facts if not fact.problem]
    kinds = _by_kind(readable)
    console.print(_kind_table(kinds, "slices" if volumes else "images"))
    problems = Counter((fact.problem, fact.reason) for fact in facts if fact.problem)
    if problems:
        console.print(_problem_table(problems))
    notes = Counter(note for fact in readable for note in fact.notes)
    if notes:
        console.print(_note_table(notes))
    if names:  # only when asked for: a file name may be a patient's
        for source, fact in found.facts:
            if fact.problem:
                console.print(
                    f"{escape(plain(source.name, one_line=True))}: {fact.problem}, {fact.reason}"
                )
            for note in fact.notes:
                console.print(f"{escape(plain(source.name, one_line=True))}: {escape(note)}")
    figures = {
        "command": "inspect",
        "files": len(facts),
        "files_readable": len(readable),
        "files_unreadable": len(facts) - len(readable),
        "files_hidden": sum(map(bool, map(hidden_part, found.skipped))),
        "files_skipped": len(found.skipped),
        "images": sum(fact.frames for fact in readable),
        "files_with_notes": sum(bool(fact.notes) for fact in readable),
        "formats": dict(Counter(fact.format for fact in readable)),
        "problems": dict(Counter(fact.problem for fact in facts if fact.problem)),
        "notes": dict(notes),
        "smallest_height": min((fact.height for fact in readable), default=0),
        "smallest_width": min((fact.width for fact in readable), default=0),
    }
    write_json(json, figures)
    small = 0 if volumes else sum(map(_too_small, readable))
    _close(figures, len(kinds), small, names, volumes)
    if problems:
        raise typer.Exit(SOME_FAILED)


def _by_kind(facts: list[ImageFacts]) -> list[tuple[Kind, list[ImageFacts]]]:
    """Group files that differ in their size alone, the most frequent kind first."""
    kinds = defaultdict(list)
    for fact in facts:
        format_ = f"{fact.format} {_stored(fact.transfer_syntax)}".rstrip()
        kinds[format_, fact.photometric, str(fact.bits)].append(fact)
    return sorted(kinds.items(), key=lambda kind: -len(kind[1]))


def _stored(transfer_syntax: str) -> str:
    """Shorten the name of a transfer syntax to what a table has room for."""
    if transfer_syntax.endswith("Endian"):
        return "deflated" if transfer_syntax.startswith("Deflated") else "uncompressed"
    name = re.split(r"[,(]| Image Compression", transfer_syntax)[0].strip()
    return name.replace("High-Throughput", "HT")


def _kind_table(kinds: list[tuple[Kind, list[ImageFacts]]], frames: str) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("files", no_wrap=True)
    table.add_column("format")
    for title in ("photometric", "bits", "height", "width", frames):
        table.add_column(title, no_wrap=True)
    for (format_, photometric, bits), facts in kinds[:MOST_ROWS]:
        heights, widths = ([getattr(f, side) for f in facts] for side in ("height", "width"))
        images = str(sum(fact.frames for fact in facts))
        sizes = (_range(heights), _range(widths))
        table.add_row(str(len(facts)), format_, photometric, bits, *sizes, images)
    return table


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"


def _problem_table(problems: Counter[tuple[str, str]]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("files", "cannot be used because", "reason", box=SIMPLE, pad_edge=False)
    for (problem, reason), files in problems.most_common():
        table.add_row(str(files), problem, reason)
    return table


def _note_table(notes: Counter[str]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("files", "read although", box=SIMPLE, pad_edge=False)
    for note, files in notes.most_common():
        table.add_row(str(files), note)
    return table


def _too_small(fact: ImageFacts) -> bool:
    """Return whether the settings suggested at the end do not fit an image."""
    from deepfixcx.errors import ImageTooSmallError
    from deepfixcx.spec import CodecSpec

    try:
        CodecSpec(SUGGESTED_LEVEL, SUGGESTED_PATCHES).cells(fact.height, fact.width)
    except ImageTooSmallError:
        return True
    return False


def _close(figures: dict[str, Any], kinds: int, too_small: int, names: bool, volumes: bool) -> None:
    unreadable = figures["files_unreadable"]
    settings = f"--level {SUGGESTED_LEVEL} --patches {SUGGESTED_PATCHES}"
    settings = f"--volumes {settings}" if volumes else settings
    rows = [
        ("readable", f"{figures['files_readable']:,} of {counted(figures['files'], 'file')}, "
                     f"{counted(figures['images'], 'slice' if volumes else 'image')}"),
        ("unreadable", str(unreadable or "none")),
    ]  # fmt: skip
    if unreadable and not names:
        rows[-1] = ("unreadable", f"{unreadable}; list them with --show-names")
    if figures["files_skipped"]:
        rows.append(("skipped", skipped_words(figures["files_skipped"], figures["files_hidden"])))
    if kinds > MOST_ROWS:
        rows.append(("shown", f"the {MOST_ROWS} most frequent of {kinds} kinds"))
    if too_small:
        rows.append(("too small", f"{counted(too_small, 'file')} for {settings}"))
    rows.append(("next", f"{program()} privatize IN OUT {settings}"))
    panel("inspect", rows, good=not unreadable)
