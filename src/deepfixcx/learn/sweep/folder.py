"""The folder of a sweep: what is swept, the rows that are done, and the tables at the end.

In it lie ``sweep.json`` (what is swept), ``rows/`` (a file for each setting that is done) and, once
all are, ``sweep.csv`` and ``failures.csv``. No file holds a name of a file or of a patient.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepfixcx import __version__
from deepfixcx.datasets import Dataset
from deepfixcx.errors import ModelError, ModelFileError, TrainingStoppedError
from deepfixcx.learn._files import write_whole
from deepfixcx.learn.mapping import Failure
from deepfixcx.learn.parts import fingerprint
from deepfixcx.learn.sweep.options import SweepOptions
from deepfixcx.learn.sweep.rows import Row, rows_as_csv

__all__ = ["SweepFolder"]

ABOUT, ROWS = "sweep.json", "rows"
TABLE, FAILURES = "sweep.csv", "failures.csv"
FORMAT = {"format": "deepfixcx.sweep", "version": 2}


@dataclass(frozen=True, eq=False, slots=True)
class SweepFolder:
    """A folder that one sweep may use.

    Attributes
    ----------
    place : Path
        The folder; it need not exist yet.
    identity : dict
        What decides the result, as plain JSON values by name: labels, images, options, version.
    """

    place: Path
    identity: dict[str, Any]

    @classmethod
    def claim(
        cls, place: Path, dataset: Dataset, options: SweepOptions, *, resume: bool, overwrite: bool
    ) -> SweepFolder:
        """See that a folder may be used, before anything is read.

        Raises
        ------
        ModelError
            It is in use, or holds a sweep of something else; the message says what differs.
        ModelFileError
            It holds a damaged sweep.
        """
        folder = cls(place, _identity(dataset, options))
        if not place.exists():
            return folder
        if not place.is_dir():
            raise ModelError(f"{place.name!r} is a file; name a folder for the sweep")
        if not any(place.iterdir()):
            return folder
        if not (place / ABOUT).is_file():
            raise ModelError(f"the folder {place.name!r} holds other things; name a new one")
        if overwrite:
            shutil.rmtree(place / ROWS, ignore_errors=True)
            folder._forget(TABLE, FAILURES, ABOUT)
        elif not resume:
            raise ModelError(
                f"the folder {place.name!r} holds an earlier sweep; --resume goes on with it, "
                f"--overwrite replaces it"
            )
        elif others := _differences(folder._about()["identity"], folder.identity):
            raise ModelError(
                f"the folder {place.name!r} holds a sweep that differs in {', '.join(others)}; "
                f"give what it was begun with, or replace it with --overwrite"
            )
        return folder

    def begin(self, content: str) -> None:
        """Write what is swept, or see that the images are still those of the rows that are there.

        Raises
        ------
        ModelError
            The images are others.
        TrainingStoppedError
            The folder cannot be made.
        """
        if (self.place / ABOUT).is_file():
            if self._about()["content"] != content:
                raise ModelError(
                    "the images are not those with which the sweep began; --overwrite starts it "
                    "anew"
                )
            self._forget(TABLE, FAILURES)
            return
        try:
            (self.place / ROWS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingStoppedError(
                f"the folder {self.place.name!r} cannot be made: {error.strerror}; choose another "
                f"place"
            ) from None
        about = {**FORMAT, "identity": self.identity, "content": content}
        write_whole(self.place / ABOUT, (json.dumps(about, indent=2) + "\n").encode())

    def row(self, name: str) -> Row | None:
        """Return a row that is done, or None."""
        path = self.place / ROWS / f"{name}.json"
        return Row.from_json(path.read_text("utf-8")) if path.is_file() else None

    def keep(self, row: Row) -> Row:
        """Write a row that is done; return it as a resumed sweep will read it."""
        text = row.to_json()
        write_whole(self.place / ROWS / f"{row.name}.json", text.encode())
        return Row.from_json(text)

    def finish(self, rows: Sequence[Row], failures: Sequence[Failure]) -> None:
        """Write the tables."""
        write_whole(self.place / TABLE, rows_as_csv(rows).encode())
        write_whole(self.place / FAILURES, _failures_as_csv(failures).encode())

    def _forget(self, *names: str) -> None:
        for name in names:
            (self.place / name).unlink(missing_ok=True)

    def _about(self) -> dict[str, Any]:
        damaged = ModelFileError(
            f"the folder {self.place.name!r} holds a damaged sweep, or one of another version of "
            f"deepfixcx; --overwrite starts it anew"
        )
        try:
            about = json.loads((self.place / ABOUT).read_text("utf-8"))
            known = {name: about[name] for name in FORMAT} == FORMAT
            content, identity = str(about["content"]), dict(about["identity"])
        except (OSError, ValueError, KeyError, TypeError):
            raise damaged from None
        if not known:
            raise damaged
        return {"identity": identity, "content": content}


def _identity(dataset: Dataset, options: SweepOptions) -> dict[str, Any]:
    """Return what decides the result of a sweep, as JSON gives it back."""
    identity = {
        **options.to_dict(),
        "labels": list(dataset.label_names),
        "images": fingerprint(dataset),
        "version": __version__,
    }
    return dict(json.loads(json.dumps(identity)))


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name what differs, such as ``folds (5, now 3)``; images are named without their hash."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [
        name if name == "images" else f"{name} ({before.get(name)}, now {now.get(name)})"
        for name in names
    ]


def _failures_as_csv(failures: Sequence[Failure]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "error", "reason"])
    writer.writerows([each.place + 1, each.error, each.reason] for each in failures)
    return text.getvalue()
