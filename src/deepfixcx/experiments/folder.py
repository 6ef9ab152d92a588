"""The folder of a long trial of many settings, such as a sweep: what is done stays after a stop.

In it lie ``KIND.json`` (what is tried), ``rows/`` (a file for each setting that is done) and, once
all are, ``KIND.csv`` and ``failures.csv``. No file holds a name of a file or of a patient.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from deepfixcx import __version__
from deepfixcx.datasets import Dataset
from deepfixcx.errors import DeepfixcxError, OverwriteError, TrainingStoppedError
from deepfixcx.experiments.rows import AnyRow
from deepfixcx.io.files import make_folder
from deepfixcx.io.folders import OwnFolder
from deepfixcx.io.results import claimed_folder
from deepfixcx.io.tables import TableWriter
from deepfixcx.learn.mapping import Failure
from deepfixcx.learn.parts import fingerprint, release_of

__all__ = ["Progress", "Say", "TrialFolder", "TrialKind"]

ROWS, FAILURES = "rows", "failures.csv"


Progress = Callable[[str, int, int], None]
"""Receives what is being done, how many rows are done, and of how many."""

Say = Callable[[str], None]
"""Receives what is being done."""


@dataclass(frozen=True, slots=True)
class TrialKind(Generic[AnyRow]):
    """What is tried: a sweep, say."""

    name: str  # In files and messages
    version: int  # Of the files
    row: type[AnyRow]
    error: type[DeepfixcxError]  # Raised where a folder cannot be used

    @property
    def about(self) -> str:
        """Name of the file that says what is tried."""
        return f"{self.name}.json"

    @property
    def table(self) -> str:
        """Name of the table at the end."""
        return f"{self.name}.csv"


@dataclass(frozen=True, eq=False, slots=True)
class TrialFolder(Generic[AnyRow]):
    """A folder that one trial uses, locked; made by `TrialFolder.claim`."""

    kind: TrialKind[AnyRow]  # What is tried
    own: OwnFolder  # The folder
    # What decides the result, as plain JSON values by name: labels, images, options, version
    identity: dict[str, Any]
    # Checksum of the release that the images are of; None for other images
    release: str | None = None

    @classmethod
    @contextmanager
    def claim(
        cls,
        kind: TrialKind[AnyRow],
        place: Path,
        dataset: Dataset,
        options: dict[str, Any],
        *,
        resume: bool,
        overwrite: bool,
    ) -> Iterator[TrialFolder[AnyRow]]:
        """Lock a folder, and see that it may be used, before anything is read."""
        with claimed_folder(place, kind.error) as own:
            folder = cls(kind, own, _identity(dataset, options), release_of(dataset))
            folder._check(resume=resume, overwrite=overwrite)
            yield folder

    @property
    def place(self) -> Path:
        """The folder."""
        return self.own.folder

    def _check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that holds something else; remove an earlier trial, if that is asked."""
        kind, place = self.kind, self.place
        if all(path.name.startswith(".") for path in place.iterdir()):
            return
        if not (place / kind.about).is_file():
            raise kind.error(f"the folder {place.name!r} is not empty; choose a new folder")
        rows = (f"{ROWS}/{path.name}" for path in (place / ROWS).glob("*.json"))
        self.own.recognize(kind.about, [*rows, kind.table, FAILURES, kind.about])
        if overwrite:
            others = (name for name in self.own.listed if name != kind.about)
            self._forget(*others, kind.table, FAILURES, kind.about)  # last: a kill leaves a trial
        elif not resume:
            raise kind.error(
                f"the folder {place.name!r} holds an earlier {kind.name}; continue with "
                "--resume, or replace it with --overwrite"
            )
        elif changes := _differences(self._about()["identity"], self.identity):
            raise kind.error(
                f"the {kind.name} in {place.name!r} differs in {', '.join(changes)}; use the "
                "settings it was started with, or replace it with --overwrite"
            )

    def begin(self, content: str) -> None:
        """Write what is tried, or see that the images are still those of the rows on the disk."""
        if (self.place / self.kind.about).is_file():
            if self._about()["content"] != content:
                raise self.kind.error(
                    f"the images differ from those at the start of the {self.kind.name}; start "
                    "again with --overwrite"
                )
            self._forget(self.kind.table, FAILURES)
            self._make_rows()
            return
        about = {
            **self._format,
            "identity": self.identity,
            "content": content,
            "release_checksum": self.release,
        }
        self._write(self.kind.about, json.dumps(about, indent=2) + "\n")
        self._make_rows()

    def _make_rows(self) -> None:
        try:
            make_folder(self.place / ROWS)
        except OSError as error:
            raise TrainingStoppedError(
                f"the folder {self.place.name!r} cannot be made: {error.strerror}; choose another "
                f"place"
            ) from None

    def row(self, name: str) -> AnyRow | None:
        """Return a row that is done, or None."""
        path = self.place / ROWS / f"{name}.json"
        if not path.is_file():
            return None
        if not self.own.is_own(self.place, f"{ROWS}/{name}.json"):
            raise self.kind.error(
                f"the row {name} of the {self.kind.name} was changed after deepfixcx wrote it; "
                f"delete {ROWS}/{name}.json and go on with --resume, which measures it again"
            )
        return self.kind.row.from_json(path.read_text("utf-8"))

    def keep(self, row: AnyRow) -> AnyRow:
        """Write a row that is done; return it as a resumed trial will read it."""
        text = row.to_json()
        self._write(f"{ROWS}/{row.name}.json", text)
        return self.kind.row.from_json(text)

    def try_all(
        self,
        settings: Mapping[str, Callable[[Say], AnyRow]],
        progress: Progress | None,
        skipping: tuple[type[DeepfixcxError], ...] = (),
    ) -> tuple[list[AnyRow], list[tuple[str, str]]]:
        """Measure every setting that has no row on the disk; return all rows and those skipped."""
        rows: list[AnyRow] = []
        skipped: list[tuple[str, str]] = []
        for done, (name, measure) in enumerate(settings.items()):

            def say(step: str, done: int = done) -> None:
                if progress is not None:
                    progress(step, done, len(settings))

            row = self.row(name)
            if row is None:
                try:
                    measured = measure(say)
                except skipping as error:
                    skipped.append((name, str(error)))
                    continue
                row = self.keep(measured)
            rows.append(row)
        return rows, skipped

    def finish(self, table: str, failures: Sequence[Failure], figures: Mapping[str, bytes]) -> None:
        """Write the table of all rows, that of the images that were not used, and figures."""
        for name, content in figures.items():
            self._write(name, content)
        self._write(FAILURES, _failures_as_csv(failures))
        self._write(self.kind.table, table)

    def _write(self, name: str, content: bytes | str) -> None:
        try:
            self.own.write(self.place, name, content)
        except OverwriteError as error:
            raise self.kind.error(f"{error}, then continue with --resume") from None
        except OSError as error:
            raise TrainingStoppedError(
                f"{name!r} cannot be written: {error.strerror}; free disk space or choose "
                "another folder"
            ) from None

    @property
    def _format(self) -> dict[str, Any]:
        return {"format": f"deepfixcx.{self.kind.name}", "version": self.kind.version}

    def _forget(self, *names: str) -> None:
        there = [name for name in names if os.path.lexists(self.place / name)]
        if left := [name for name in there if not self.own.is_own(self.place, name)]:
            raise self.kind.error(
                f"{left[0]!r} in {self.place.name!r} was not made by deepfixcx, or was changed "
                "since; move it or choose another folder"
            )
        self.own.remove(self.place, names)

    def _about(self) -> dict[str, Any]:
        damaged = self.kind.error(
            f"the folder {self.place.name!r} holds a damaged {self.kind.name}, or one of another "
            "version of deepfixcx; start again with --overwrite"
        )
        try:
            about = json.loads((self.place / self.kind.about).read_text("utf-8"))
            known = {name: about[name] for name in self._format} == self._format
            content, identity = str(about["content"]), dict(about["identity"])
        except (OSError, ValueError, KeyError, TypeError):
            raise damaged from None
        if not known:
            raise damaged
        return {"identity": identity, "content": content}


def _identity(dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the result of a trial, as JSON gives it back."""
    identity = {
        **options,
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
    writer = TableWriter(text)
    writer.writerow(["image", "error", "reason"])
    writer.writerows([each.place + 1, each.error, each.reason] for each in failures)
    return text.getvalue()
