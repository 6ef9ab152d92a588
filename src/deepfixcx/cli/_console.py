"""What every command prints with: progress, the closing panel, errors, JSON, sizes in words."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from deepfixcx._words import byte_size, counted, plain
from deepfixcx.io.results import write_result

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from deepfixcx.release import Progress, Summary
    from deepfixcx.release.run_log import RunLog

__all__ = [
    "INTERRUPTED",
    "SOME_FAILED",
    "ReleaseBar",
    "StepBar",
    "byte_size",
    "changed_rows",
    "default_workers",
    "duplicate_rows",
    "error_console",
    "fail",
    "kept_rows",
    "logged",
    "mask_rows",
    "panel",
    "program",
    "progress_bar",
    "ratio",
    "reason_rows",
    "resuming_command",
    "skipped_words",
    "smaller",
    "stopping",
    "warn",
    "warn_insecure",
    "write_json",
]


STAND_INS = dict(zip("×→–—…·≤≥−\u00a0\u202f", "x>--..<>-  ", strict=True))
"""For terminals whose encoding lacks them; of the same width, so that borders stay straight."""


class PlainConsole(Console):
    """Prints text that may come from files, so that a terminal obeys none of it."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn text with markup into what is printed."""
        return super().render_str(plain(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Turn anything into segments of text and style."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else self._showable(plain(text)), style, control)

    def _showable(self, text: str) -> str:
        """Return text with a stand-in of the same width for what the encoding does not have."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return "".join(map(self._stand_in, text))
        return text

    def _stand_in(self, sign: str) -> str:
        try:
            sign.encode(self.encoding)
        except UnicodeEncodeError:
            return STAND_INS.get(sign, "?")
        return sign


console = PlainConsole(highlight=False)
error_console = PlainConsole(stderr=True, highlight=False)

SOME_FAILED = 3
"""Exit code: done, but some inputs failed, or a check found a difference or an identifier."""

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

MOST_REASONS = 3
MOST_KEPT = 5

SECONDS_A_LINE = 30
"""Between two lines on progress where there is no terminal."""


def panel(title: str, rows: Sequence[tuple[str, str]], *, good: bool = True) -> None:
    """Print the closing panel of a command: what came of it, line by line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(escape(plain(name)), escape(plain(text, one_line=True)))
    border = "green" if good else "yellow"
    console.print(Panel(table, title=title, border_style=border, expand=False))


def reason_rows(reasons: Sequence[tuple[str, int]]) -> list[tuple[str, str]]:
    """Return rows of a panel that say why files failed, the most frequent reasons first."""
    rows = [("", f"{count} × {reason}") for reason, count in reasons[:MOST_REASONS]]
    others = [count for _, count in reasons[MOST_REASONS:]]
    if others:
        why = "another reason" if len(others) == 1 else f"{len(others)} other reasons"
        rows.append(("", f"and {sum(others)} for {why}"))
    return rows


def kept_rows(names: Sequence[str], lock_note: str = "") -> list[tuple[str, str]]:
    """Return rows of a panel on files in a folder that deepfixcx did not make, and on its lock."""
    rows = [("lock", lock_note)] if lock_note else []
    if names:
        shown = ", ".join(names[:MOST_KEPT])
        more = f" and {len(names) - MOST_KEPT} more" if len(names) > MOST_KEPT else ""
        rows.append(("not touched", f"{shown}{more}: not made by deepfixcx, or changed since"))
    return rows


def skipped_words(skipped: int, hidden: int) -> str:
    """Say how many files were skipped, and why."""
    parts = [(skipped - hidden, "of other kinds"), (hidden, "hidden")]
    return ", ".join(f"{count:,} {why}" for count, why in parts if count)


def changed_rows(summary: Summary, *, neutral: bool) -> list[tuple[str, str]]:
    """Return rows of a panel on inputs that changed, went or came since an earlier run."""

    def shown(ids: Sequence[str]) -> str:
        return f": {', '.join(ids[:MOST_KEPT])}{' …' * (len(ids) > MOST_KEPT)}" if neutral else ""

    rows = []
    if ids := summary.changed:
        files = f"{counted(len(ids), 'file')} since an earlier run"
        rows.append(("changed", f"{files}, processed again with their shards{shown(ids)}"))
    if ids := summary.gone:
        files = f"{counted(len(ids), 'source')} cannot be read any more"
        rows.append(("gone", f"{files}; earlier results stay{shown(ids)}"))
    if summary.new:
        files = f"{counted(summary.new, 'file')} of IN since the release was started"
        rows.append(("new", f"{files}, left out; add them with --add"))
    return rows


def duplicate_rows(summary: Summary, *, neutral: bool) -> list[tuple[str, str]]:
    """Return rows of a panel on patients, and on files that are in a release twice."""
    totals, who = summary.totals, []
    if patients := totals["patients"]:
        who = [("patients", f"{patients:,}, as pseudonyms in the column patient of manifest.csv")]
    rows = summary.duplicates.sentences(with_ids=neutral)
    if copies := totals["duplicates_left_out"]:
        rows.append(f"{counted(copies, 'file')} left out: their bytes are in the release")
    if rows:
        rows[-1] += "; the private sources.csv lists them"
    return who + [("duplicates" if not place else "", text) for place, text in enumerate(rows)]


def mask_rows(summary: Summary, *, neutral: bool) -> list[tuple[str, str]]:
    """Say what area a mask painted, in which images, and in how many nothing."""
    painted = summary.masked
    images = counted(len(painted) + summary.unmasked_images, "image")
    share = 100 * summary.masked_share
    text = f"on average {share:.2g} % of an image painted black, in {len(painted):,} of {images}"
    if summary.unmasked_images:
        unmasked = f"nothing in {summary.unmasked_images} (masked = 0 in manifest.csv)"
        text += f"; {unmasked}: check these images"
    shown = ", ".join(f"{name} ({100 * area:.2g} %)" for name, area in painted[:MOST_KEPT])
    more = f" and {len(painted) - MOST_KEPT:,} more" if len(painted) > MOST_KEPT else ""
    rows = [("mask", text)]
    if painted and neutral:
        rows.append(("", f"painted area: {shown}{more}; masked_share in manifest.csv lists all"))
    return rows


def fail(message: str) -> None:
    """Print one error."""
    error_console.print(
        f"[bold red]error[/bold red] {escape(plain(message, one_line=True))}", soft_wrap=True
    )


def warn(message: str) -> None:
    """Print one warning, on the stream of errors."""
    error_console.print(
        f"[bold yellow]warning[/bold yellow] {escape(plain(message, one_line=True))}",
        soft_wrap=True,
    )


def warn_insecure(*, scheduler: bool) -> None:
    """Print what a scheduler without TLS allows others to do, where one was chosen."""
    if scheduler:
        warn(
            "the scheduler has no TLS: every account that can connect to it can run code as you, "
            "and names of source files and the key of pseudonyms cross the network unencrypted"
        )


def write_json(path: Path | None, figures: Mapping[str, object]) -> None:
    """Write the figures of the closing panel for machines, where a path was given."""
    if path is not None:
        content = json.dumps(figures, indent=2, sort_keys=True) + "\n"
        write_result(path, content.encode(), ".json")


def ratio(before: float, after: float) -> float | None:
    """Return how many times smaller something became, or None where there is nothing."""
    return round(before / after, 2) if after else None


def program() -> str:
    """Return what a user types to call this program: its name, or its place if not on the path."""
    called = sys.argv[0]
    if shutil.which("deepfixcx") or Path(called).name != "deepfixcx":
        return "deepfixcx"
    return shlex.quote(called)


def default_workers() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resuming_command() -> str:
    """Return the command line that goes on with what this one began."""
    arguments = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    return f"{program()} {shlex.join([*arguments, '--resume'])}"


@contextmanager
def stopping() -> Iterator[None]:
    """Print how to continue where the user stops a release."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(
            "Stopped. All files written so far are complete; continue with:\n  "
            f"{resuming_command()}"
        )
        raise


class StepBar:
    """Shows how many images are read, and then which step is done, of how many."""

    def __init__(self, command: str, *, resumable: bool = False) -> None:
        self._command = command
        self._resumable = resumable

    def __enter__(self) -> StepBar:
        self._bar = progress_bar(self._command)
        self._task = self._bar.add_task(self._command, total=None, said="reading")
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if self._resumable and kind is not None and issubclass(kind, KeyboardInterrupt):
            console.print(
                f"Stopped. Finished settings are kept; continue with:\n  {resuming_command()}"
            )

    def read(self, done: int, total: int) -> None:
        """Show how many images are read."""
        self._bar.update(self._task, total=total, completed=done)

    def step(self, step: str, done: int, total: int) -> None:
        """Show what is being done."""
        self._bar.update(self._task, total=total, completed=done, said=step)


class ReleaseBar:
    """Shows images/s, bytes in and kept, failed files, and the time left.

    Without a terminal it is a line from time to time.
    """

    def __init__(self, command: str = "privatize") -> None:
        self._command = command

    def __enter__(self) -> ReleaseBar:
        self._bar = progress_bar(self._command)
        self._task = self._bar.add_task(self._command, total=None, said="")
        self._bar.start()
        self._began = self._printed = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def report(self, progress: Progress) -> None:
        """Show how far the run is."""
        now = time.monotonic()
        speed = progress.images / max(now - self._began, 1e-9)
        flow = f"{byte_size(progress.bytes_in)} → {byte_size(progress.bytes_kept)}"
        failed = f"  {progress.files_failed} failed" if progress.files_failed else ""
        done, said = progress.files_before + progress.files_done, f"{speed:.0f} images/s  {flow}"
        self._bar.update(self._task, total=progress.files, completed=done, said=f"{said}{failed}")
        if not error_console.is_terminal and now - self._printed >= SECONDS_A_LINE:
            self._printed = now
            files = counted(progress.files, "file")
            self._line(f"{done:,} of {files}  {said}{failed}")

    def waiting(self, log: RunLog | None) -> Callable[[str], None]:
        """Return what shows what a run waits for, and enters it in its log."""

        def show(reason: str) -> None:
            self._bar.update(self._task, said=reason)
            if not error_console.is_terminal:
                self._line(f"waiting: {reason}")
            if log is not None:
                log.waits(reason)

        return show

    def _line(self, text: str) -> None:
        error_console.print(f"{self._command}: {escape(text)}", soft_wrap=True)


@contextmanager
def logged(
    path: Path | None, command: str, where: str, folder: str, private: str | None
) -> Iterator[RunLog | None]:
    """Open the log of a run, which lies in no folder of the release, if one is wanted."""
    if path is None:
        yield None
        return
    from deepfixcx.io.files import check_apart
    from deepfixcx.release.folders import private_of
    from deepfixcx.release.run_log import RunLog
    from deepfixcx.release.storage import locate

    release = locate(folder)
    places = {
        "IN": locate(where),
        "OUT": release,
        "the private folder": private_of(release, private),
    }
    check_apart({"the log": path}, {what: p for what, p in places.items() if isinstance(p, Path)})
    with RunLog(path, command) as log:
        yield log


def progress_bar(text: str) -> Bar:
    """Return a bar of the one form, hidden where errors go into a file."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    return Progress(
        TextColumn(text),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        Remaining(),
        console=error_console,
        disable=not error_console.is_terminal,
        transient=True,
    )


def smaller(before: object, after: object) -> str:
    """Say how many bytes became how many, with the ratio."""
    if not isinstance(before, int) or not isinstance(after, int) or not after:
        return "no data"
    if not before:
        return f"{byte_size(after)}  (source size unknown: remote store)"
    factor = before / after
    text = f"1 : {factor:.1f}" if factor >= 1 else f"{1 / factor:.1f} times larger"
    return f"{byte_size(before)} → {byte_size(after)}  ({text})"
