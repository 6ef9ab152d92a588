"""All inputs of a release in little memory: about a name and twenty bytes for each.

A release of ten million files is planned in one process. As objects with paths they would fill ten
gigabytes there; as the bytes of their names, one after the other, they need one.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from deepfixcx.errors import ImageFileError
from deepfixcx.release.storage import RemoteFile

__all__ = ["Listing", "Source", "Sources"]


@dataclass(frozen=True)  # without slots, which make pickling slow
class Source:
    """One input file.

    Attributes
    ----------
    path : Path or RemoteFile
        Where it is.
    name : str
        Its path below the input folder, with forward slashes; or as a table lists it.
    size : int
        Its bytes, 0 where it cannot be asked.
    problem : ImageFileError or None
        Why it cannot even be tried: a folder that may not be listed, or a loop of links.

    Examples
    --------
    >>> Source(Path("scans/a/1.dcm"), "a/1.dcm", size=512).name
    'a/1.dcm'
    """

    path: Path | RemoteFile
    name: str
    size: int = 0
    problem: ImageFileError | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Every input, sorted by name, and the names of the files that are not inputs."""

    found: Sequence[Source]
    skipped: tuple[str, ...] = ()


class Listing(Sequence[Source]):
    """Inputs in an order, kept as bytes; a `Source` is made whenever one is asked for."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])
        self._sizes = array("Q")
        self._odd: dict[int, Source] = {}
        self._rule: _Rule | None = None
        for source in sources:
            self._append(source)

    def __len__(self) -> int:
        """Return the number of inputs."""
        return len(self._sizes)

    @overload
    def __getitem__(self, place: int) -> Source: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Source, ...]: ...

    def __getitem__(self, place: int | slice) -> Source | tuple[Source, ...]:
        """Make one input, or a few."""
        if isinstance(place, slice):
            return tuple(map(self._source, range(*place.indices(len(self)))))
        return self._source(range(len(self))[place])

    def __iter__(self) -> Iterator[Source]:
        """Make one input after the other."""
        return map(self._source, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Return whether the same inputs stand in the same order."""
        if not isinstance(other, Listing):
            return NotImplemented
        return len(self) == len(other) and all(map(Source.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def select(self, places: Iterable[int]) -> Listing:
        """Return inputs in another order, or some of them."""
        return Listing(map(self._source, map(int, places)))

    def by_name(self) -> list[int]:
        """Return the places of all inputs, sorted by name."""
        names = [source.name for source in self]
        return sorted(range(len(names)), key=names.__getitem__)

    # -- helpers ------------------------------------------------------------------------------

    def _append(self, source: Source) -> None:
        rule = self._rule or _Rule.of(source)
        text = rule.short(source) if rule is not None else None
        if text is None:
            self._odd[len(self)] = source
        else:
            self._rule = rule
            self._text += text
        self._ends.append(len(self._text))
        self._sizes.append(source.size)

    def _source(self, place: int) -> Source:
        if self._rule is None or place in self._odd:
            return self._odd[place]
        text = bytes(self._text[self._ends[place] : self._ends[place + 1]])
        return self._rule.long(text, self._sizes[place])


class _Rule:
    """How sources that lie in one folder, or below one URL, are made of their names."""

    def __init__(self, prefix: str, url: str | None) -> None:
        self._prefix, self._url = prefix, url
        self._make: Callable[[str, str, int], Path | RemoteFile] = (
            self._near if url is None else self._far
        )

    @classmethod
    def of(cls, source: Source) -> _Rule | None:
        """Return the rule of the first source, or None where it follows none."""
        if isinstance(source.path, RemoteFile):
            path, url = source.path.path, source.path.url
        else:
            path, url = os.fspath(source.path), None
        return cls(path.removesuffix(source.name), url) if path.endswith(source.name) else None

    def short(self, source: Source) -> bytes | None:
        """Return a source as bytes, or None where they would not tell it."""
        stamp = source.path.stamp if isinstance(source.path, RemoteFile) else ""
        if source.problem is not None or "\0" in source.name + stamp:
            return None
        if source.path != self._make(source.name, stamp, source.size):
            return None
        return f"{source.name}\0{stamp}".encode()

    def long(self, text: bytes, size: int) -> Source:
        """Return the source that `short` wrote."""
        name, _, stamp = text.decode().partition("\0")
        return Source(self._make(name, stamp, size), name, size)

    def _near(self, name: str, _: str, __: int) -> Path:
        return Path(self._prefix + name)

    def _far(self, name: str, stamp: str, size: int) -> RemoteFile:
        return RemoteFile(self._url or "", self._prefix + name, stamp, size)
