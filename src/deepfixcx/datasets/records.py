"""What is known of one image of a dataset, and of one that could not be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ImageRecord", "Problem"]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a dataset. Its text form shows neither its patient nor its file.

    Attributes
    ----------
    path : Path
        Absolute.
    patient : str or None
        None where the dataset does not say.
    study : str or None
        Of one patient; two patients may have studies of the same name.
    view : str or None
        For example ``"AP"``, ``"PA"``, ``"LATERAL"``.
    labels : tuple of float, length L
        1 for yes, 0 for no, NaN where unknown.
    known : tuple of bool, length L
        Which labels are known.
    split : str or None
        ``"train"``, ``"validation"`` or ``"test"`` where the dataset comes split, or another word
        of its own, such as ``"additional"``.
    attributes : mapping of str to str
        Whatever else is known, such as ``sex`` (``"F"``, ``"M"``) and ``age`` (years).

    Examples
    --------
    >>> ImageRecord(Path("/scans/1.png"), patient="p7", view="PA", labels=(1.0,), known=(True,))
    ImageRecord(view='PA', labels=(1.0,), known=(True,), split=None)
    """

    path: Path = field(repr=False)
    patient: str | None = field(default=None, repr=False)
    study: str | None = field(default=None, repr=False)
    view: str | None = None
    labels: tuple[float, ...] = ()
    known: tuple[bool, ...] = ()
    split: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """One image or row that could not be used.

    Attributes
    ----------
    source : str
        Name of the table, or ``"folder"``.
    row : int
        Row of the table as a spreadsheet counts, so that the first below the header is 2; or the
        place in the sorted list of the folder's files, from 1.
    error : str
        Name of the error, such as ``"EmptyFileError"``.
    reason : str
        Its message, which names nobody.
    path : Path or None
        The file, for those who may see it; not in the text form.

    Examples
    --------
    >>> print(Problem("manifest.csv", 8, "EmptyFileError", "the file has no bytes"))
    manifest.csv, row 8: EmptyFileError: the file has no bytes
    """

    source: str
    row: int
    error: str
    reason: str
    path: Path | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.source}, row {self.row}: {self.error}: {self.reason}"
