"""What inputs are called in a release: by number in a tree of numbered folders, or as they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np

__all__ = ["KeptNames", "Naming", "NeutralNames"]

LEAST_DIGITS = 6


class Naming(Protocol):
    """Gives each input, by its place in release order and its own name, what it is called."""

    def source_id(self, place: int, name: str) -> str:
        """Return what the release calls the input."""

    def image_stem(self, place: int, name: str) -> str:
        """Return the path of its privatized image, without suffix."""


class NeutralNames:
    """Numbers from 1 in release order, in folders that are numbered at random."""

    def __init__(self, names: Iterable[str], generator: np.random.Generator) -> None:
        count, folders = 0, set()
        for name in names:
            count += 1
            folders |= {str(parent) for parent in PurePosixPath(_inside(name)).parents}
        folders -= {"."}
        self._digits = max(LEAST_DIGITS, len(str(count)))
        self._folders = {"": ""}
        numbers = generator.permutation(len(folders)) + 1
        for folder, number in zip(sorted(folders), numbers, strict=True):
            self._folders[folder] = f"{self._folders[_folder(folder)]}folder-{number:04d}/"

    def source_id(self, place: int, _: str) -> str:
        """Return the number of the input."""
        return f"{place + 1:0{self._digits}d}"

    def image_stem(self, place: int, name: str) -> str:
        """Return its number in its folder: the tree keeps its form."""
        return self._folders[_folder(_inside(name))] + self.source_id(place, name)


class KeptNames:
    """Names as they are, without suffix where that is unambiguous."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(names)
        counts = Counter(map(_without_suffix, names))
        taken = {stem for stem, count in counts.items() if count == 1}
        self._unclear: dict[str, str] = {}
        for name in names:
            stem = _without_suffix(name)
            # frames of one file are called STEM.frame0001, so no other file may look like that
            if counts[stem] > 1 or re.search(r"\.frame\d+$", stem):
                chosen = f"{_inside(name)}.image"
                while chosen in taken:
                    chosen += "_"
                taken.add(chosen)
                self._unclear[name] = chosen

    def source_id(self, _: int, name: str) -> str:
        """Return the input's own name."""
        return name

    def image_stem(self, _: int, name: str) -> str:
        """Return its own path below the input, as far as that tells it from others."""
        return self._unclear.get(name) or _without_suffix(name)


def _inside(name: str) -> str:
    """Return a path of a table without whatever would lead out of the release folder."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _without_suffix(name: str) -> str:
    return str(PurePosixPath(_inside(name)).with_suffix(""))
