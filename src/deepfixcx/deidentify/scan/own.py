"""What a release says of itself: words of its format and numbers that it counts.

A patient may be called Max, or a station 000001; a release has ``max_pixels`` and ``000001.png``
all the same. What may stand is decided by place: the known columns of ``manifest.csv`` and the
known keys of ``dataset.json``; anything else in these files is searched like any other text.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from deepfixcx.deidentify.scan.needles import Needle
from deepfixcx.io.tables import read_rows

__all__ = ["Own"]

MANIFEST, ABOUT, FORMAT = "manifest.csv", "dataset.json", "deepfixcx.release"
COUNTED: Final = frozenset(
    {"frame", "code_row", "channels", "height", "width", "bits", "masked"}
    | {"source_id", "image_file", "dicom_file", "code_file", "spec"}
)
"""Columns of a manifest that hold numbers of the release."""

FAILURES: Final = "failures.csv"
OWN_NAME: Final = re.compile(r"(images|dicom|codes)/[\d-]+\.(png|dcm|safetensors)")
"""Names of files that hold nothing but words and numbers of the release."""

NUMBERED: Final = re.compile(r"(?:images|dicom|codes)/(?:[\w-]*?)0*\d+(?:-\d+)*\.\w+|0*\d+")
_WORD: Final = re.compile(r"[a-z]+|\d+")


class Own:
    """The words and numbers of a release."""

    def __init__(self, folder: Path, words: Collection[str] = ()) -> None:
        self.words = frozenset(word for text in words for word in _WORD.findall(text.lower()))
        self.checksum: str | None = None
        self._numbers: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()
        self._columns: list[str] = []
        self.hashes: dict[str, str] = {}
        self._most = 0
        try:
            if not (folder / ABOUT).is_file():  # a pipe would wait for its writer
                return
            content = (folder / ABOUT).read_bytes()
            about = json.loads(content)
        except (OSError, ValueError):
            return
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            return
        self.checksum = sha256(content).hexdigest()
        self._numbers = frozenset(self._counted(about))
        options = about.get("options")
        neutral = not isinstance(options, dict) or options.get("names") != "keep"
        papers = about.get("papers")
        if isinstance(papers, dict):
            self.hashes |= {str(name): str(digest) for name, digest in papers.items()}
        self._read_manifest(folder / MANIFEST)
        self._most *= neutral  # names that were kept are no numbers of the release

    def why(self, name: str, where: str, needle: Needle, line: str, column: int) -> str:
        """Return why a string may stand at a place of the release's own files."""
        text = needle.text.lower()
        if self.checksum is None:
            return ""
        if where == "file name":
            named = OWN_NAME.fullmatch(name)
            if name in self._names and named and text in named.groups():
                return "of the release's own format, in the name of a file"
            known = name in self._names and self._is_running(text) and NUMBERED.fullmatch(name)
            return "number of the release's own, in the name of a file" if known else ""
        if where != "file":
            return ""
        spoken = text.isalpha() and text in self.words
        if name == ABOUT:
            counted = text in self._numbers and f'"{text}' not in line
            return f"of the release's own format, in {ABOUT}" if spoken or counted else ""
        if name == MANIFEST:
            return self._why_in_manifest(text, line, column, spoken)
        if name == FAILURES:
            own = spoken and (len(_cells(line[:column])) > 2 or line.startswith("source_id,"))
            return f"of the release's own format, in {FAILURES}" if own else ""
        if name.endswith(".safetensors") and spoken:
            return "of the release's own format"
        return ""

    def _why_in_manifest(self, text: str, line: str, column: int, spoken: bool) -> str:
        why = f"of the release's own format, in {MANIFEST}"
        row, cell = _cells(line), len(_cells(line[:column])) - 1
        if row[0] == self._columns[0]:
            return why if spoken else ""
        if cell >= min(len(self._columns), len(row)):
            return ""
        value = row[cell].strip()
        if self._columns[cell] == "spec" or spoken:
            return why if spoken or text.isdigit() else ""
        column_name = self._columns[cell]
        named = column_name == "source_id" or column_name.endswith("_file")
        counted = column_name in COUNTED and text.isdigit() and NUMBERED.fullmatch(value)
        if not counted or (named and not self._is_running(text)):
            return ""
        return f"number of the release's own, in {MANIFEST}"

    def _is_running(self, text: str) -> bool:
        return text.isdigit() and len(text) < 12 and 0 <= int(text) <= self._most

    def _counted(self, value: Any) -> Iterator[str]:
        """Yield the digits of what stands under known keys."""
        if isinstance(value, dict):
            for key, inner in value.items():
                if set(_WORD.findall(str(key).lower())) <= self.words:
                    yield from self._counted(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from self._counted(inner)
        elif isinstance(value, int | float):
            yield str(value)

    def _read_manifest(self, path: Path) -> None:
        self._columns = [""]
        try:
            if not path.is_file():
                return
            with path.open(newline="", encoding="utf-8") as file:
                rows = read_rows(file)
                self._columns = next(rows, [""])
                files = [each for each in self._columns if each.endswith("_file")]
                listed = [dict(zip(self._columns, row, strict=False)) for row in rows if row]
                self._most = len(listed)
                self._names = frozenset(row[each] for row in listed for each in files if row[each])
                self.hashes |= {
                    row[each]: row.get(each.replace("_file", "_sha256"), "")
                    for row in listed
                    for each in files
                    if row[each]
                }
        except (OSError, UnicodeDecodeError, csv.Error, KeyError):
            self._names = frozenset()


def _cells(line: str) -> list[str]:
    """Return the cells of a line of a table, or of its beginning."""
    return next(csv.reader([line]), [""]) or [""]
