"""Images that stand twice in a release: the same bytes, DICOM object, or nearly equal codes.

Codes are compared by the distance of codes of length 1, ‖a/‖a‖ − b/‖b‖‖, which does not change with
brightness. At J = 3 and P = 4, 600 X-rays of ``cxr_nih`` saved again as JPEG of quality 50 to 90
move by at most 0.010, and the two most similar of different bytes are 0.021 apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.code import Code
from deepfixcx.release.tables import Fetch

__all__ = ["Duplicates", "Groups", "near_duplicates"]

NEAR = 0.01
"""Largest distance of codes that are nearly equal."""

AXES, FITTED = 16, 256
"""Principal axes on which codes are compared first, and the codes that they are computed of."""

BLOCK, MOST_COMPARED, MOST_FOUND = 256, 4096, 8
"""Codes of a block; codes that a block is compared with, and neighbours of one code, at most: so
the time is linear whatever the release holds. What goes beyond is found through its neighbours."""

HELD_BYTES = 1 << 25
"""Codes that are held to compare candidates."""

Groups = tuple[tuple[str, ...], ...]
"""IDs of sources that belong together."""


WORDS = {
    "content": "the bytes of another file of the release",
    "instance": "the SOP Instance UID of another file, with other bytes",
    "near": "nearly the code of another file",
}
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Duplicates:
    """IDs of sources that are in a release twice, in groups."""

    content: Groups = ()
    """Sources with the same bytes."""
    instance: Groups = ()
    """Sources with the same SOP Instance UID and different bytes."""
    near: Groups = ()
    """Sources of different bytes with nearly equal codes; empty without codes."""

    def count(self, kind: str) -> int:
        """Return how many sources are besides the first of their group."""
        groups: Groups = getattr(self, kind)
        return sum(len(ids) - 1 for ids in groups)

    def sentences(self, *, with_ids: bool) -> list[str]:
        """Return what a closing panel and a report say, with the IDs of the first groups."""
        said = []
        for kind, what in WORDS.items():
            groups: Groups = getattr(self, kind)
            shown = ", ".join(" = ".join(ids[:MOST_SHOWN]) for ids in groups[:MOST_SHOWN])
            more = " …" * any(len(each) > MOST_SHOWN for each in (groups, *groups))
            listed = f": {shown}{more}" if with_ids and kind != "content" else ""
            if copies := self.count(kind):
                said.append(f"{counted(copies, 'file has', 'files have')} {what}{listed}")
        return said

    def columns(self) -> dict[str, Groups]:
        """Return the groups by their column in the private table of sources."""
        return {
            "duplicate": self.content,
            "same_instance": self.instance,
            "near_duplicate": self.near,
        }


Codes = NDArray[np.float32]
Where = list[tuple[str, int, int]]
"""File, row and source of each code; files one after the other."""


class Coded(Protocol):
    """What is used of a row of the manifest."""

    @property
    def source_id(self) -> str: ...

    @property
    def code_file(self) -> str: ...

    @property
    def code_row(self) -> int: ...

    @property
    def channels(self) -> int: ...


def near_duplicates(fetch: Fetch, records: Iterable[Coded], same: Groups = ()) -> Groups:
    """Return the IDs of sources with nearly equal codes; sources of `same` bytes count as one.

    Time and memory are linear: 17 values a code are kept, and files of codes are read one by one.
    """
    ids: dict[str, int] = {}
    where: dict[int, Where] = {}
    for each in records:
        if each.code_file:
            source = ids.setdefault(each.source_id, len(ids))
            place = (each.code_file, each.code_row, source)
            where.setdefault(each.channels, []).append(place)
    parents = list(range(len(ids)))
    for group in same:
        known = [ids[name] for name in group if name in ids]
        for other in known[1:]:
            _join(parents, known[0], other)
    before = [_root(parents, source) for source in range(len(ids))]
    for codes in where.values():
        firsts = sorted(each for each in codes if before[each[2]] == each[2])
        for one, other in _near_pairs(fetch, firsts):
            _join(parents, one, other)
    names, groups = list(ids), dict[int, list[int]]()
    for source in range(len(ids)):
        groups.setdefault(_root(parents, source), []).append(source)
    return tuple(
        tuple(sorted(names[source] for source in group))
        for group in groups.values()
        if len({before[source] for source in group}) > 1
    )


def _join(parents: list[int], one: int, other: int) -> None:
    first, last = sorted((_root(parents, one), _root(parents, other)))
    parents[last] = first


def _root(parents: list[int], place: int) -> int:
    while parents[place] != place:
        parents[place] = parents[parents[place]]
        place = parents[place]
    return place


def _near_pairs(fetch: Fetch, where: Where) -> Iterator[tuple[int, int]]:
    """Yield pairs of sources that have nearly equal codes."""
    points, kept = _points(fetch, where)
    if len(points) < 2:
        return
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *_candidates(points)])
    pairs = np.sort(kept[pairs], axis=1)
    pairs = pairs[np.lexsort(pairs.T[::-1])]  # neighbours in files: each is opened less often
    sources = np.array([source for _, _, source in where])
    pairs = pairs[sources[pairs[:, 0]] != sources[pairs[:, 1]]]
    step = 0
    while step < len(pairs):
        some = pairs[step : step + max(1, _held(fetch, where))]
        step += len(some)
        rows, places = np.unique(some, return_inverse=True)
        blocks, _ = zip(*_codes(fetch, [where[row] for row in rows]), strict=True)
        codes = np.concatenate(blocks)
        one, other = codes[places.reshape(some.shape).T]
        near = np.linalg.norm(one - other, axis=1) <= NEAR
        yield from sources[some[near]].tolist()


def _held(fetch: Fetch, where: Where) -> int:
    """Return how many pairs of codes are held at once."""
    with fetch(where[0][0]) as path:
        return int(HELD_BYTES // (2 * Code.load(path).array[0].nbytes))


def _codes(fetch: Fetch, where: Sequence[tuple[str, int, int]]) -> Iterator[tuple[Codes, Codes]]:
    """Yield codes of length 1, (N, D), file by file, with their lengths before."""
    for name, rows in groupby(where, key=lambda place: place[0]):
        with fetch(name) as path:
            array = Code.load(path).array
        chosen = array[[row for _, row, _ in rows]].reshape(-1, array[0].size)
        lengths = np.linalg.norm(chosen, axis=1)
        yield chosen / np.maximum(lengths, np.float32(1e-20))[:, None], lengths


def _points(fetch: Fetch, where: Where) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return codes on principal axes, with what is off these axes as the last value.

    Distances of these points are at most those of the codes. Codes of black images are left out.
    """
    few = where[:: -(-len(where) // FITTED)]
    blocks, _ = zip(*_codes(fetch, few), strict=True)
    sample = np.concatenate(blocks)
    center = sample.mean(axis=0)
    _, _, axes = np.linalg.svd(sample - center, full_matrices=False)
    axes = axes[:AXES]
    points, lengths = [], []
    for block, before in _codes(fetch, where):
        block -= center
        on = block @ axes.T
        off = np.sqrt(np.maximum((block**2).sum(axis=1) - (on**2).sum(axis=1), 0))
        points.append(np.concatenate([on, off[:, None]], axis=1))
        lengths.append(before)
    kept = np.flatnonzero(np.concatenate(lengths) > 0)
    return np.concatenate(points)[kept], kept


def _candidates(points: NDArray[np.float32]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of places of points that are near each other.

    They are sorted by the first axis, so that near ones follow each other.
    """
    order = np.argsort(points[:, 0], kind="stable")
    points = points[order]
    squares = (points**2).sum(axis=1)
    for start in range(0, len(points), BLOCK):
        stop = min(start + BLOCK, len(points))
        end = int(np.searchsorted(points[:, 0], points[stop - 1, 0] + NEAR, "right"))
        end = min(end, stop + MOST_COMPARED)
        distances = squares[start:stop, None] + squares[None, start:end]
        distances -= 2 * points[start:stop] @ points[start:end].T
        one, other = np.nonzero(distances <= NEAR**2 + 1e-6)
        one, other = one[other > one], other[other > one]
        rank = np.arange(len(one)) - np.searchsorted(one, one)
        few = rank < MOST_FOUND
        yield order[np.stack([one[few], other[few]], axis=1) + start]
