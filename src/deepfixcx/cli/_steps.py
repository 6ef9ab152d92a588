"""A bar on the terminal for work of many steps: images read, then settings or attacks."""

from __future__ import annotations

from deepfixcx.cli._console import console, error_console, resuming_command

__all__ = ["StepBar"]


class StepBar:
    """Shows how many images are read, and then which step is done, of how many."""

    def __init__(self, command: str, *, resumable: bool = False) -> None:
        self._command = command
        self._resumable = resumable

    def __enter__(self) -> StepBar:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._bar = Progress(
            TextColumn(self._command),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[step]}"),
            Remaining(),
            console=error_console,
            disable=not error_console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(self._command, total=None, step="reading")
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
        self._bar.update(self._task, total=total, completed=done, step=step)
