"""Progress on the terminal: of a release file by file, and of work in a few steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deepfixcx.cli._console import byte_size, console, error_console, resuming_command

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from deepfixcx.release import Progress

__all__ = ["ReleaseBar", "StepBar"]


class StepBar:
    """Shows how many images are read, and then which step is done, of how many."""

    def __init__(self, command: str, *, resumable: bool = False) -> None:
        self._command = command
        self._resumable = resumable

    def __enter__(self) -> StepBar:
        self._bar = _bar(self._command)
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
    """Shows images/s, bytes in and kept, failed files, and the time left."""

    def __enter__(self) -> Callable[[Progress], None]:
        self._bar = _bar("privatize")
        self._task = self._bar.add_task("privatize", total=None, said="")
        self._bar.start()
        return self._report

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _report(self, progress: Progress) -> None:
        elapsed = self._bar.tasks[0].elapsed or 0
        speed = progress.images / elapsed if elapsed else 0
        flow = f"{byte_size(progress.bytes_in)} → {byte_size(progress.bytes_kept)}"
        failed = f"  {progress.files_failed} failed" if progress.files_failed else ""
        self._bar.update(
            self._task,
            total=progress.files,
            completed=progress.files_before + progress.files_done,
            said=f"{speed:.0f} images/s  {flow}{failed}",
        )


def _bar(command: str) -> Bar:
    """Return a bar of the one form, hidden where errors go into a file."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    return Progress(
        TextColumn(command),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        Remaining(),
        console=error_console,
        disable=not error_console.is_terminal,
        transient=True,
    )
