"""The program tesseract: words in a picture, with their places and how sure it is of them."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from typing import Final, NamedTuple

__all__ = ["Word", "has_tesseract", "read_picture"]

PROGRAM: Final = "tesseract"
SECONDS: Final = 120


class Word(NamedTuple):
    """A word, how sure tesseract is of it in per cent, and its place in pixels."""

    text: str
    sure: float
    left: int
    top: int
    width: int
    height: int


def has_tesseract() -> bool:
    """Return whether the program is installed."""
    return shutil.which(PROGRAM) is not None


def read_picture(png: bytes) -> list[Word]:
    """Read the words in a PNG; an OSError says that the program does not work."""
    # Page segmentation 11: text anywhere, in no order.
    command = [PROGRAM, "stdin", "stdout", "--psm", "11", "tsv"]
    # Its own threads wait for each other more than they help.
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(
            command, input=png, capture_output=True, check=True, timeout=SECONDS, env=environment
        )
    except subprocess.SubprocessError as error:
        raise OSError("tesseract failed") from error
    text = done.stdout.decode("utf-8", "replace")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [
        Word(row["text"].strip(), float(row["conf"]), *(int(row.get(each) or 0) for each in PLACE))
        for row in rows
        if row.get("text") and row["text"].strip()
    ]


PLACE: Final = ("left", "top", "width", "height")
