"""What the commands that learn share: the dataset, table or release that is named, and a bar."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepfixcx._words import counted
from deepfixcx.cli._console import progress_bar
from deepfixcx.errors import ModelError
from deepfixcx.io.release_files import holds_codes, holds_records, is_release
from deepfixcx.io.tables import Table, has_table_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import TaskID

    from deepfixcx.choices import Blank, Layout, Uncertain
    from deepfixcx.datasets import Dataset
    from deepfixcx.learn.classifier import ReleasedInputs
    from deepfixcx.learn.fitting import Epoch, Fitted

__all__ = [
    "LearningBar",
    "ListedTable",
    "TerminatedError",
    "find_codes",
    "find_dataset",
    "find_listed",
    "find_released",
    "left_out",
    "range_rows",
    "read_as",
    "refuse_released",
    "see_own_modules",
    "stops_cleanly",
]


MANY = 0.05
"""From this share of images outside the range on, the panel warns of their scores."""


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
    from deepfixcx.learn.received import LabelTable, image_dataset, named_table

    if (table := named_table(labels)) and is_release(where):
        from deepfixcx.release import Release

        read = LabelTable.read(*table, patient, uncertain, blank)
        return image_dataset(where.resolve(), Release.open(where).rows, read)
    return load_dataset(
        where, layout, labels=labels, uncertain=uncertain, blank=blank, patient=patient
    )


def left_out(dataset: Dataset) -> tuple[str, ...]:
    """Return a note on rows and files of a dataset that cannot be used, if there are any."""
    reasons = Counter(f"{each.error}: {each.reason}" for each in dataset.problems)
    if not reasons:
        return ()
    what = counted(len(dataset.problems), "row or file", "rows or files")
    return (f"{what} left out of the dataset; most often {reasons.most_common(1)[0][0]}",)


@dataclass(slots=True)
class ListedTable:
    """The images that a table lists; then the rows without one, each with its reason."""

    paths: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)


def find_listed(where: Path, patient: str | None) -> ListedTable | None:
    """Read which images a table lists, None where it is no table."""
    from deepfixcx.datasets.files import local_path
    from deepfixcx.datasets.table import listed_images
    from deepfixcx.errors import DatasetError

    if not has_table_name(where.name) or not where.is_file():
        if patient is not None:
            raise ModelError(
                f"--patient requires a table, and {str(where)!r} is not one; omit it, or list the "
                "images in a table"
            )
        return None
    made, of_bad = ListedTable(), []
    for each in listed_images(Table(where), patient):
        try:
            if each.problem is not None:
                raise each.problem
            made.paths.append(where.parent / local_path(each.path, "an image"))
        except DatasetError as error:
            name = each.path or f"row {each.number} of {where.name}"
            made.bad.append((name, str(error)))
            of_bad.append(each.patient)
        else:
            made.names.append(each.path)
            made.patients.append(each.patient)
    made.patients += of_bad
    return made


def find_codes(
    where: Path,
    labels: str,
    uncertain: Uncertain | None,
    blank: Blank | None,
    patient: str | None,
    names: tuple[str, ...] = (),
) -> ReleasedInputs | None:
    """Return the codes of a release with a table of labels; None where there is none of both."""
    from deepfixcx.learn.received import LabelTable, code_inputs, named_table
    from deepfixcx.release import Release

    table = named_table(labels)
    if table is None or not is_release(where) or not holds_codes(where) or holds_records(where):
        return None
    read = LabelTable.read(table[0], table[1] or names, patient, uncertain, blank)
    release = Release.open(where)
    release.check_manifest()
    code, ids = release.codes()
    pseudonyms = {row["source_id"]: row.get("patient", "") for row in release.rows}
    return code_inputs(code, ids, read, pseudonyms, release.checksum)


def find_released(
    where: Path, labels: str, layout: str | None, patient: str | None = None
) -> ReleasedInputs | None:
    """Return the records of a release that has labels; None where it is something else."""
    from deepfixcx.datasets.labels import parse_labels
    from deepfixcx.learn.classifier import ReleasedInputs
    from deepfixcx.release import Release

    if not holds_records(where):
        return None
    if (layout, patient) != (None, None):
        raise ModelError(
            f"{where.name!r} was made with a mechanism, so it has no layout and no patient "
            "table; omit --layout and --patient"
        )
    release = Release.open(where)
    records = release.records()
    wanted = [rule.name for rule in parse_labels(labels)]
    inputs = ReleasedInputs.of(records.array, records.labels, release.mechanism(), wanted)
    return replace(inputs, checksum=release.checksum)


def refuse_released(where: Path) -> None:
    """Refuse to judge a model on the records of a release."""
    if holds_records(where):
        raise ModelError(
            f"{where.name!r} was made with a mechanism: models are trained on its records and "
            "evaluated on images; give a dataset of other patients with these labels, and "
            "--part all"
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
        self._bar = progress_bar("{task.description}")
        self._reading: TaskID = self._bar.add_task("reading", total=None, said="")
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
            self._training = self._bar.add_task("training", total=self._epochs, said="")
        auc = "" if math.isnan(epoch.auc) else f"  AUC {epoch.auc:.3f}, best {fitted.best_auc:.3f}"
        said = f"loss {epoch.train_loss:.3f}{auc}"
        self._bar.update(self._training, completed=epoch.number, said=said)


def range_rows(outside: NDArray[np.bool_] | int | None, images: int) -> list[tuple[str, str]]:
    """Say how many images lie outside the range of the training images; nothing if unknown."""
    if outside is None or not images:
        return []
    count = outside if isinstance(outside, int) else int(outside.sum())
    share = f"{100 * count / images:.0f} %, expected 1 %"
    words = f"{count:,} of {counted(images, 'image')} outside the training range ({share})"
    if count > max(2, MANY * images):
        words += ": these scores are not reliable"
    return [("range", words)]
