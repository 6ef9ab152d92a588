"""What the commands that learn share: the dataset that is named, and bars for long work."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deepfixcx.cli._console import error_console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from deepfixcx.choices import Blank, Layout, Uncertain
    from deepfixcx.datasets import Dataset
    from deepfixcx.learn.fitting import Epoch, Fitted

__all__ = [
    "LearningBar",
    "TerminatedError",
    "find_dataset",
    "read_as",
    "see_own_modules",
    "stops_cleanly",
]


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came: a scheduler such as Slurm ends the program."""


@contextmanager
def stops_cleanly() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, so that what is done is kept."""

    def stop(*_: object) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def find_dataset(
    where: Path,
    labels: str,
    layout: Layout | None,
    uncertain: Uncertain | None,
    blank: Blank | None,
    patient: str | None = None,
) -> Dataset:
    """Read the dataset that the options of a command name."""
    from deepfixcx.datasets import load_dataset

    return load_dataset(
        where, layout, labels=labels, uncertain=uncertain, blank=blank, patient=patient
    )


def read_as(
    layout: Layout | None, uncertain: Uncertain | None, blank: Blank | None, patient: str | None
) -> list[str]:
    """Return the words of a command line that read a dataset in the same way again."""
    named = {"layout": layout, "uncertain": uncertain, "blank": blank, "patient": patient}
    return [word for name, value in named.items() if value for word in (f"--{name}", value)]


def see_own_modules(model: str | None) -> None:
    """Let ``package.module:Class`` be found in the folder where the command is run."""
    if model is not None and ":" in model and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


class LearningBar:
    """A bar on the terminal: images read, then epochs with loss and AUC."""

    def __init__(self, epochs: int | None = None) -> None:
        self._epochs = epochs

    def __enter__(self) -> LearningBar:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._bar: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            Remaining(),
            console=error_console,
            disable=not error_console.is_terminal,
            transient=True,
        )
        self._reading: TaskID = self._bar.add_task("reading", total=None, figures="")
        self._training: TaskID | None = None
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def read(self, done: int, images: int) -> None:
        """Show how many images are read."""
        self._bar.update(self._reading, completed=done, total=images)

    def trained(self, epoch: Epoch, fitted: Fitted) -> None:
        """Show how training goes."""
        if self._training is None:
            self._training = self._bar.add_task("training", total=self._epochs, figures="")
        auc = "" if math.isnan(epoch.auc) else f"  AUC {epoch.auc:.3f}, best {fitted.best_auc:.3f}"
        figures = f"loss {epoch.train_loss:.3f}{auc}"
        self._bar.update(self._training, completed=epoch.number, figures=figures)
