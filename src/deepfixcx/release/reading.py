"""Read the codes of a release back, in the order of its manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepfixcx._words import TableReader
from deepfixcx.code import Code
from deepfixcx.errors import ReleaseError
from deepfixcx.release.places import Place, place_of
from deepfixcx.release.storage import locate

__all__ = ["load_codes"]


def load_codes(folder: str | Path, channels: int = 1) -> tuple[Code, list[str]]:
    """Load every code of a release, and the id of the source of each.

    Parameters
    ----------
    folder : path-like
        A release with codes; may be a URL, as a str.
    channels : int
        1 for gray images, 3 for colour: codes of both kinds cannot stand in one array.

    Returns
    -------
    code : Code
        All codes with so many channels, in the order of the manifest.
    source_ids : list of str
        The id of the source of each row, to join labels with. A file of several frames has its
        id on several rows.

    Raises
    ------
    ReleaseError
        The folder is no finished release, or holds no such code, or cannot be reached.
    CodeFileError
        A file of codes is damaged.

    Examples
    --------
    >>> code, source_ids = load_codes("shared")  # doctest: +SKIP
    >>> embedding = code.embedding()  # doctest: +SKIP
    """
    place = place_of(locate(folder))
    if not place.has("manifest.csv"):
        raise ReleaseError(
            f"{str(folder)!r} has no manifest.csv: it is no release, or one that was not finished"
        )
    with place.fetched("manifest.csv") as path, path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in TableReader(file) if row["code_file"]]
    chosen = [row for row in rows if int(row["channels"]) == channels]
    if not chosen:
        there = sorted({int(row["channels"]) for row in rows})
        made = "its records are vectors: read them with load_records"
        if not place.has("records.safetensors"):
            made = "it was made without --output codes or both"
        hint = f"but of {there}" if there else made
        raise ReleaseError(f"{str(folder)!r} has no codes of {channels} channels; {hint}")
    files = list(dict.fromkeys(row["code_file"] for row in chosen))
    codes = [_load(place, name) for name in files]
    first_rows = np.cumsum([0, *(len(code) for code in codes)])
    first_row = dict(zip(files, first_rows, strict=False))
    places = [first_row[row["code_file"]] + int(row["code_row"]) for row in chosen]
    return Code.concatenate(codes)[np.array(places)], [row["source_id"] for row in chosen]


def _load(place: Place, name: str) -> Code:
    with place.fetched(name) as path:
        return Code.load(path)
