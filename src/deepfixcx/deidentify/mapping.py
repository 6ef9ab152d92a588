"""Which pseudonym is whose: a table for the steward alone."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from pydicom.dataset import Dataset

from deepfixcx.deidentify.key import refuse_inside
from deepfixcx.deidentify.patient import patient_of
from deepfixcx.deidentify.silence import silence
from deepfixcx.errors import DeidentifyError, OverwriteError
from deepfixcx.io.files import write_file
from deepfixcx.io.folders import exclusive
from deepfixcx.io.tables import TableWriter, read_rows

__all__ = ["MappingTable"]

COLUMNS = ("issuer_or_birth_date", "patient", "pseudonym")


class MappingTable:
    """A table of patients and their pseudonyms, kept apart from what is shared.

    Nothing needs it: the key alone gives the same pseudonyms again. It is for the way back, when a
    finding has to reach the patient.

    Parameters
    ----------
    path : path-like
        The table, a ``.csv`` file. If it exists, its rows stay.
    apart_from : path-like
        Folder that is going to be shared; a table in it is refused.

    Raises
    ------
    DeidentifyError
        The file lies in `apart_from`, or is no such table.

    Examples
    --------
    >>> import tempfile
    >>> from pydicom import examples
    >>> from deepfixcx.deidentify import Deidentifier, Key, Profile
    >>> _, actions = Deidentifier(Profile(), Key(bytes(32))).apply(examples.ct)
    >>> folder = Path(tempfile.mkdtemp())
    >>> table = MappingTable(folder / "patients.csv", apart_from=folder / "shared")
    >>> table.add(examples.ct, actions.pseudonym)
    >>> table.save()
    >>> len((folder / "patients.csv").read_text().splitlines())
    2
    """

    def __init__(self, path: str | os.PathLike[str], *, apart_from: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        refuse_inside(self.path, Path(apart_from), "the table of patients")
        self._rows: dict[tuple[str, ...], None] = {}
        if self.path.exists():
            self._rows = dict.fromkeys(self._read())

    def add(self, source: Dataset, pseudonym: str) -> None:
        """Note who a pseudonym stands for.

        Parameters
        ----------
        source : Dataset
            A header of the patient, not de-identified.
        pseudonym : str
            What stands for the patient, as `Deidentifier` says.
        """
        with silence():
            kind, *known = patient_of(source)
        if kind == "name":  # name and date of birth, and the date stands first here
            known.reverse()
        self._rows[(*[""] * (2 - len(known)), *known, pseudonym)] = None

    def __len__(self) -> int:
        """Return how many patients the table names."""
        return len(self._rows)

    def save(self) -> None:
        """Write the table, readable by its owner alone.

        Raises
        ------
        DeidentifyError
            It cannot be written.
        """
        try:
            with contextlib.suppress(OverwriteError):  # it is there
                write_file(self.path, _as_csv({}), mode=0o600)
            with exclusive(self.path):
                self._rows |= dict.fromkeys(self._read())  # of another process since
                write_file(self.path, _as_csv(self._rows), mode=0o600, replace=True)
        except OSError as error:
            raise DeidentifyError(
                f"the table of patients cannot be written: {error.strerror}"
            ) from None

    def _read(self) -> list[tuple[str, ...]]:
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [tuple(row) for row in read_rows(file)]
        except (OSError, UnicodeDecodeError, csv.Error):
            rows = []
        if not rows or rows[0] != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
            raise DeidentifyError(
                f"{self.path.name!r} is no table of patients of deepfixcx; choose another file"
            )
        return rows[1:]


def _as_csv(rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO(newline="")
    TableWriter(text, "\r\n").writerows([COLUMNS, *sorted(rows)])
    return text.getvalue()
