"""What Release shows: the images of a release, finished or running, sorted and filtered."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from deepfixcx.errors import DeepfixcxError, ReleaseError
from deepfixcx.release import private_folder, read_status
from deepfixcx.report.html_originals import Originals
from deepfixcx.report.html_release import ReleaseFacts, Shared, detail_left, readable

__all__ = [
    "SORTS",
    "Entry",
    "Gallery",
    "bins_of",
    "chosen_entries",
    "filters_of",
    "measure_of",
    "open_gallery",
]

SORTS = {
    "manifest": "in the order of the release",
    "detail": "most detail left first",
    "plain": "least detail left first",
    "alike": "least changed first",
    "changed": "most changed first",
}
"""Orders of a gallery; the last two need originals."""

BINS = 12
NEEDS_ORIGINALS = frozenset({"alike", "changed"})
COLUMNS = ("source_id", "frame", "status", "image_file", "code_file", "code_row", "channels",
           "height", "width", "error", "reason")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a gallery, or one file that failed.

    Attributes
    ----------
    image : Shared or None
        None for a file that failed.
    name : str
        What the release calls it.
    error, reason : str
        Why it failed.
    detail, alike : float or None
        Detail left, and SSIM to its original, where they are known.
    """

    image: Shared | None
    name: str
    error: str = ""
    reason: str = ""
    detail: float | None = None
    alike: float | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Filters that it passes."""
        if self.image is None:
            return ("failed", self.error)
        colour = "colour" if self.image.channels == 3 else "gray"
        return ("done", colour, "several frames") if self.image.frame else ("done", colour)

    @property
    def words(self) -> str:
        """What stands below its picture."""
        if self.image is None:
            return self.error
        if self.alike is not None:
            return f"SSIM {self.alike:.2f}"
        return f"detail {self.detail:.3f}" if self.detail is not None else ""


@dataclass(eq=False)
class Gallery:
    """A release as pictures.

    Attributes
    ----------
    folder : Path
        Where it lies.
    state : str
        ``"running"``, ``"stopped"`` or ``"finished"``.
    entries : tuple of Entry
        In the order of the release.
    facts : ReleaseFacts
        Of a running release, only what reading images needs.
    originals : Originals or None
        Only where the user gave them.
    files, files_ended : int
        Inputs in all, and those that are done or failed; 0 where no ledger says so.
    notes : tuple of str
        Masks and mechanisms.
    """

    folder: Path
    state: str
    entries: tuple[Entry, ...]
    facts: ReleaseFacts
    originals: Originals | None = None
    files: int = 0
    files_ended: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)

    def measured(self, report: Callable[[int, int], None] | None = None) -> tuple[Entry, ...]:
        """Return the entries with what opening every image tells; takes its time.

        Parameters
        ----------
        report : callable
            Called with the entries that are done, and those in all.
        """
        entries = []
        for number, entry in enumerate(self.entries, start=1):
            entries.append(self._measured(entry))
            if report is not None:
                report(number, len(self.entries))
        return tuple(entries)

    def _measured(self, entry: Entry) -> Entry:
        if entry.image is None or entry.detail is not None:
            return entry
        pixels = readable(self.facts, entry.image)
        detail = None if pixels is None else detail_left(pixels)
        alike = None
        if self.originals is not None:
            alike = self.originals.likeness(self.facts, entry.image)
        return replace(entry, detail=detail, alike=alike)


def open_gallery(folder: Path, originals: Path | None = None) -> Gallery:
    """Open a release that is finished, running or stopped.

    Parameters
    ----------
    folder : Path
        The release.
    originals : Path, optional
        The folder that it was made of.

    Raises
    ------
    ReleaseError
        It is none, or its papers or its ledger are damaged.
    """
    private = private_folder(folder)
    status = None
    if (private / "ledger.sqlite").is_file():
        status = read_status(folder)
    if status is not None and status.state != "finished":
        return _unfinished(folder, private, status.state, status.files,
                           status.files_done + status.files_failed)  # fmt: skip
    facts = ReleaseFacts.read(folder)
    found, notes = None, [each.words for each in facts.applied]
    if originals is not None and facts.records is None:
        try:
            found = Originals.find(originals, private)
            found.check(facts.images)
        except DeepfixcxError:
            found = None
            notes.append("the originals that were named are not of this release")
    entries = [Entry(image, image.name) for image in facts.images]
    entries += [Entry(None, name, error, reason) for name, error, reason in facts.failures]
    if mask := facts.about["options"].get("mask"):
        notes.append(f"masked: {mask}")
    files = facts.totals["files"]
    return Gallery(folder, "finished", tuple(entries), facts, found, files, files, tuple(notes))


def _unfinished(folder: Path, private: Path, state: str, files: int, ended: int) -> Gallery:
    """Read what the ledger of a release knows by now; nothing is written to it."""
    address = f"{(private / 'ledger.sqlite').absolute().as_uri()}?mode=ro"
    query = f"SELECT {', '.join(COLUMNS)} FROM records ORDER BY shard, place"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            rows = [dict(zip(COLUMNS, row, strict=True)) for row in database.execute(query)]
            identity = dict(database.execute("SELECT name, value FROM identity"))
        options = {"spec": json.loads(identity["spec"])}
    except (sqlite3.Error, KeyError, ValueError):
        raise ReleaseError(
            "the ledger is being written, or damaged; ask again in a moment"
        ) from None
    about: dict[str, Any] = {"options": options, "totals": {}, "software": {}, "papers": {}}
    done = tuple(Shared.of_row(row) for row in rows if row["status"] == "done")
    failed = [row for row in rows if row["status"] == "failed"]
    facts = ReleaseFacts(folder, about, done, (), "")
    entries = [Entry(image, image.name) for image in done]
    entries += [Entry(None, row["source_id"], row["error"], row["reason"]) for row in failed]
    return Gallery(folder, state, tuple(entries), facts, None, files, ended)


def filters_of(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """Return what entries can be filtered by, with how many pass; errors last.

    Examples
    --------
    >>> filters_of([Entry(None, "1", "EmptyFileError"), Entry(None, "2", "DecodeError")])
    [('failed', 2), ('DecodeError', 1), ('EmptyFileError', 1)]
    """
    counts = Counter(kind for entry in entries for kind in entry.kinds)
    first = ("done", "gray", "colour", "several frames", "failed")
    known = [(name, counts[name]) for name in first if counts[name]]
    return known + sorted((name, count) for name, count in counts.items() if name not in first)


def chosen_entries(
    entries: Sequence[Entry],
    *,
    kind: str = "",
    words: str = "",
    sort: str = "manifest",
    between: tuple[float, float] | None = None,
) -> list[Entry]:
    """Return the entries that pass a filter and a search, sorted.

    Parameters
    ----------
    entries : sequence of Entry
        All.
    kind : str
        One of `filters_of`; empty for all.
    words : str
        Part of a name.
    sort : str
        One of `SORTS`; entries of which the measure is not known come last.
    between : pair of float, optional
        Only entries whose measure lies from the one to below the other; infinity has no end.

    Examples
    --------
    >>> entries = [Entry(None, "7", "A", detail=0.1), Entry(None, "17", "B", detail=0.2)]
    >>> [entry.name for entry in chosen_entries(entries, words="7", sort="detail")]
    ['17', '7']
    """
    found = [
        entry
        for entry in entries
        if (not kind or kind in entry.kinds) and words.strip().lower() in entry.name.lower()
    ]
    if sort == "manifest":
        return found
    measure = measure_of(sort)
    if between is not None:
        found = [entry for entry in found if _lies(getattr(entry, measure), between)]
    sign = 1 if sort in ("plain", "changed") else -1

    def place(entry: Entry) -> tuple[bool, float]:
        value = getattr(entry, measure)
        return value is None, 0.0 if value is None else sign * value

    return sorted(found, key=place)


def measure_of(sort: str) -> str:
    """Return by which attribute of an entry an order goes."""
    return "alike" if sort in NEEDS_ORIGINALS else "detail"


def _lies(value: float | None, between: tuple[float, float]) -> bool:
    return value is not None and between[0] <= value < between[1]


def bins_of(entries: Sequence[Entry], measure: str) -> list[tuple[float, float, int]]:
    """Divide the range of a measure into equal bins; return their ends and how many lie in each.

    The last bin has no upper end, so that each entry of which the measure is known lies in one.

    Examples
    --------
    >>> entries = [Entry(None, "7", detail=value) for value in (0.0, 0.25, 1.0)]
    >>> [count for _, _, count in bins_of(entries, "detail")]
    [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    >>> bins_of(entries, "alike")
    []
    """
    values = [value for entry in entries if (value := getattr(entry, measure)) is not None]
    if not values or min(values) == max(values):
        return []
    low, step = min(values), (max(values) - min(values)) / BINS
    ends = [low + step * number for number in range(BINS)] + [math.inf]
    return [
        (left, right, sum(_lies(value, (left, right)) for value in values))
        for left, right in pairwise(ends)
    ]
