"""``--dry-run`` of privatize and deidentify: what a release would take, and what would fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deepfixcx._words import byte_size, counted
from deepfixcx.choices import CONTENTS
from deepfixcx.cli._console import (
    SOME_FAILED,
    panel,
    reason_rows,
    skipped_words,
    write_json,
)

if TYPE_CHECKING:
    from deepfixcx.release.options import ReleaseOptions, RunOptions
    from deepfixcx.release.surveying import Estimate

__all__ = ["end_with_estimate"]


def end_with_estimate(
    command: str,
    where: str | Path,
    folder: str | Path,
    options: ReleaseOptions,
    run: RunOptions,
    json: Path | None,
) -> None:
    """Print an estimate in place of a release; exit with 3 if files or the disk would fail it."""
    from deepfixcx.release.leaves import Leaves
    from deepfixcx.release.surveying import estimate_release

    made = estimate_release(where, folder, options, **run)
    repeated = bool(CONTENTS[options.output] & {"image", "code"})
    tables = (run.get("leaves") or Leaves()).with_tables and repeated
    needed = made.release_bytes[2] * (1 + tables)
    short = made.free_bytes is not None and needed > made.free_bytes
    figures = {"command": command, "dry_run": True, "release": str(folder)}
    write_json(json, figures | asdict(made) | {"reasons": dict(made.reasons)})
    panel(f"{command} --dry-run", _rows(made, tables=tables, short=short), good=not made.failed)
    if made.failed or short:
        raise typer.Exit(SOME_FAILED)


def _rows(made: Estimate, *, tables: bool, short: bool) -> list[tuple[str, str]]:
    size = f", {byte_size(made.source_file_bytes)}" if made.source_file_bytes else ""
    rows = [("found", f"{counted(made.files, 'file')}{size}")]
    if made.skipped:
        rows.append(("skipped", skipped_words(made.skipped, made.hidden)))
    rows.append(("sample", f"{counted(made.sampled, 'file')} processed; nothing was written"))
    rows += _failures(made)
    if (size_of := made.release_bytes)[0]:
        rows += [
            ("time", f"about {_seconds(made.seconds[0])}{_limits(made, made.seconds, _seconds)}"),
            ("", "without a wait for a slow disk"),
            ("size", f"about {byte_size(size_of[0])}{_limits(made, size_of, byte_size)}"),
        ]
        if tables:
            rows.append(("tables", "up to the same size again; omit with --no-tables"))
    if made.free_bytes is not None:
        enough = "; the release may need more" if short else ""
        rows.append(("free", f"{byte_size(made.free_bytes)}{enough}"))
    return [*rows, ("next", "the same command without --dry-run")]


def _failures(made: Estimate) -> list[tuple[str, str]]:
    _, least, most = (made.files * share for share in made.failed_share)
    if not made.failed:
        shown = f"none of the sample, at most {counted(round(most), 'file')} of all (95 %)"
        return [("fail", "none" if made.sampled == made.files else shown)]
    shown = f"{made.failed} of {made.sampled} sampled files"
    if made.sampled < made.files:
        shown += f", so {round(least):,} to {round(most):,} of all {made.files:,} (95 %)"
    return [("fail", shown), *reason_rows(made.reasons)]


def _limits(
    made: Estimate, limits: tuple[float, float, float], word: Callable[[float], str]
) -> str:
    if made.sampled == made.files:
        return ""
    return f" (95 % interval {word(limits[1])} to {word(limits[2])})"


def _seconds(count: float) -> str:
    """Return a time in a readable unit."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if count >= 2 * size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} s"
