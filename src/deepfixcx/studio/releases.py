"""What lies in the folder of the studio, and the images of a release, sorted and filtered."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.choices import IMAGE_SUFFIXES
from deepfixcx.errors import DeepfixcxError
from deepfixcx.images.reading import open_image
from deepfixcx.io.release_files import checksum_of, is_release
from deepfixcx.node.ledger import LEDGER
from deepfixcx.release import PrivateFolder, read_status
from deepfixcx.release.release import Release
from deepfixcx.report.html import for_screen, png_bytes
from deepfixcx.report.html_originals import Originals
from deepfixcx.report.html_release import ReleaseFacts, Shared, detail_left, readable
from deepfixcx.studio.uploads import Reader

__all__ = [
    "SORTS",
    "Entry",
    "Found",
    "Gallery",
    "Library",
    "bins_of",
    "chosen_entries",
    "filters_of",
    "measure_of",
    "open_gallery",
]

DEPTH = 3
READERS = 4
MOST_ENTRIES = 20_000
"""The search ends after this many files and folders: the folder may hold a dataset."""
MOST_IMAGES = 5_000
PRIVATE = ".private"
"""End of the name of private folders: plain codes before a mechanism are not a release."""
RESULTS = frozenset({"sweep.csv", "frontier.csv", "audit.json", "attribution.json", "model.json"})
"""Files beside which images are figures of results."""
SIGNATURE = 128
"""The last bytes of a PNG file, in which a figure of this package has its checksum."""
PARTS = frozenset({"images", "codes", "rows"})
"""Folders of a release, which are not listed themselves."""


@dataclass(frozen=True, slots=True)
class Found:
    """A release, model, result or node, with its name in the folder of the studio."""

    kind: str
    name: str
    path: Path
    finished: bool = True


class Library:
    """The contents of a folder, and the sources of its releases where the user names them."""

    def __init__(
        self,
        folder: Path | None,
        originals: Path | None = None,
        patients: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder = folder
        self.originals = originals
        self.patients = patients
        self.reader, self.thumbs = Reader(), Reader()
        self.measures: dict[tuple[Path, str, str], dict[Shared, float | None]] = {}

    def pictures(self) -> dict[str, Path]:
        """Return the images in the folder by their relative paths, without figures of commands."""
        if self.folder is None:
            return {}
        found: dict[str, Path] = {}
        for path, files in self.sources():
            for name in files:
                if len(found) == MOST_IMAGES:
                    return found
                if Path(name).suffix.lower() in IMAGE_SUFFIXES and not _is_figure(path / name):
                    found[self.name_of(path / name)] = path / name
        return found

    def sources(self) -> Iterator[tuple[Path, list[str]]]:
        """Yield folders that are no release and no result, with the names of their files."""
        for path, files in self._folders():
            if not is_release(path) and not files & RESULTS:
                yield path, sorted(files)

    def find(self, *kinds: str) -> list[Found]:
        """Return what there is of some kinds, sorted by name; the folder is read anew each time."""
        found = [each for path, files in self._folders() for each in self._kinds(path, files)]
        return sorted((each for each in found if each.kind in kinds), key=lambda each: each.name)

    def _kinds(self, path: Path, files: set[str]) -> Iterator[Found]:
        name = self.name_of(path)
        if checksum_of(path) or _running(path):
            yield Found("release", name, path, bool(checksum_of(path)))
        if _format(path / "model.json", files) == "deepfixcx.model":
            yield Found("model", name, path)
        if LEDGER in files:
            yield Found("node", name, path)
        if "sweep.csv" in files:
            yield Found("sweep", name, path)
        if "frontier.csv" in files or "frontier.json" in files:
            yield Found("frontier", name, path, "frontier.csv" in files)
        for file in sorted(files):
            if file.endswith(".json") and _format(path / file, files) == "deepfixcx.audit":
                yield Found("audit", self.name_of(path / file), path / file)

    def name_of(self, path: Path) -> str:
        """Return the name of a file or folder as seen from the folder of the studio."""
        if self.folder is None or path == self.folder:
            return path.name
        return path.relative_to(self.folder).as_posix()

    def _folders(self) -> Iterator[tuple[Path, set[str]]]:
        """Yield folders with the names of their files, top down; links are not followed."""
        if self.folder is None:
            return
        seen = 0
        for where, folders, files in os.walk(self.folder):
            path = Path(where)
            yield path, set(files)
            seen += len(files) + len(folders)
            deep = len(path.relative_to(self.folder).parts) >= DEPTH
            if seen > MOST_ENTRIES or deep or LEDGER in files:  # what a node holds is no dataset
                folders.clear()
            own = bool(checksum_of(path)) or _running(path)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and not name.endswith(PRIVATE)
                and not (own and name in PARTS)
            )


def _is_figure(path: Path) -> bool:
    """Return whether a file is a figure that a command of this package wrote."""
    if path.suffix != ".png":
        return False
    try:
        with open_image(path) as file:  # a pipe would wait for its writer
            file.seek(-SIGNATURE, os.SEEK_END)
            return b"tEXtdeepfixcx" in file.read()
    except (OSError, DeepfixcxError):
        return False


def _running(path: Path) -> bool:
    """Return whether a folder is an unfinished release, which has a ledger beside it."""
    return PrivateFolder.of(path).has_ledger


def _format(path: Path, files: set[str]) -> str:
    """Return the format that a JSON file declares."""
    if path.name not in files:
        return ""
    try:
        about = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(about.get("format", "")) if isinstance(about, dict) else ""


SORTS = {
    "manifest": "in the order of the release",
    "detail": "most detail first",
    "plain": "least detail first",
    "alike": "least changed first",
    "changed": "most changed first",
}
"""Orders of a gallery; the last two need originals."""

BINS = 12
NEEDS_ORIGINALS = frozenset({"alike", "changed"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a gallery, or one file that failed (`image` is None)."""

    image: Shared | None
    name: str
    error: str = ""
    reason: str = ""
    detail: float | None = None
    alike: float | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Filters that the entry passes."""
        if self.image is None:
            return ("failed", self.error)
        colour = "colour" if self.image.channels == 3 else "gray"
        return ("done", colour, "several frames") if self.image.frame else ("done", colour)

    def measured(self, measure: str, value: float | None) -> Entry:
        """Return the entry with a measure."""
        if measure == "alike":
            return replace(self, alike=value)
        return replace(self, detail=value)

    def words(self, measure: str) -> str:
        """Return the text below its picture: the measure that images are sorted by."""
        if self.image is None:
            return self.error
        if measure == "alike":
            return "" if self.alike is None else f"SSIM {self.alike:.2f}"
        return "" if self.detail is None else f"detail {self.detail:.3f}"


@dataclass(eq=False)
class Gallery:
    """A release as pictures; `facts` of an unfinished one hold only what reading images needs."""

    folder: Path
    state: str
    entries: tuple[Entry, ...]
    facts: ReleaseFacts
    originals: Originals | None = None
    files: int = 0
    files_ended: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)
    patients: Mapping[str, str] = field(default_factory=dict)

    def measure(self, entries: Sequence[Entry], name: str) -> dict[Shared, float | None]:
        """Measure the detail of some images, or their similarity to their originals."""
        images = [entry.image for entry in entries if entry.image is not None]
        one = self._detail if name == "detail" else self._alike
        with ThreadPoolExecutor(READERS) as readers:
            return dict(zip(images, readers.map(one, images), strict=True))

    def _detail(self, image: Shared) -> float | None:
        pixels = readable(self.facts, image)
        return None if pixels is None else detail_left(pixels)

    def _alike(self, image: Shared) -> float | None:
        return None if self.originals is None else self.originals.likeness(self.facts, image)

    def take(self, name: str, values: Mapping[Shared, float | None]) -> None:
        """Give each entry its measure, where that is known."""
        self.entries = tuple(
            entry
            if entry.image is None or entry.image not in values
            else entry.measured(name, values[entry.image])
            for entry in self.entries
        )

    def picture(self, image: Shared, side: int) -> bytes:
        """Return what a recipient sees of an image, or the values of a record, as PNG."""
        if self.facts.vectors:
            return png_bytes(self._values[image.source_id])
        return png_bytes(for_screen(self.facts.pixels(image), side))

    @cached_property
    def _values(self) -> dict[str, NDArray[np.uint8]]:
        """Records as fields of grey: black the smallest value of the release, white the largest."""
        records = Release.open(self.folder).records()
        low, high = np.quantile(records.array, [0.01, 0.99], axis=0)
        shares = ((records.array - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
        across = math.ceil(math.sqrt(shares.shape[1]))
        down = math.ceil(shares.shape[1] / across)
        fields = np.full((len(shares), down * across), 128, np.uint8)
        fields[:, : shares.shape[1]] = np.rint(255 * shares)
        zoom = max(1, 64 // across)
        shaped = fields.reshape(-1, down, across).repeat(zoom, axis=1).repeat(zoom, axis=2)
        return dict(zip(records.source_ids, shaped, strict=True))


def open_gallery(folder: Path, originals: Path | None = None) -> Gallery:
    """Open a release that is finished, running or stopped."""
    private = PrivateFolder.of(folder)
    status = None
    if private.has_ledger:
        status = read_status(folder)
    if status is not None and status.state != "finished":
        return _unfinished(folder, private, status.state, status.files,
                           status.files_done + status.files_failed)  # fmt: skip
    facts = ReleaseFacts.read(folder)
    found, notes = None, [each.words for each in facts.applied]
    if originals is not None and facts.records is None:
        try:
            found = Originals.find(originals, private.path)
            found.check(facts.images)
        except DeepfixcxError:
            found = None
            notes.append("the --originals are not the sources of this release")
    entries = [Entry(image, image.name) for image in facts.images]
    entries += [Entry(None, name, error, reason) for name, error, reason in facts.failures]
    if mask := facts.about["options"].get("mask"):
        notes.append(f"masked: {mask}")
    files = facts.totals["files"]
    return Gallery(folder, "finished", tuple(entries), facts, found, files, files, tuple(notes))


def _unfinished(
    folder: Path, private: PrivateFolder, state: str, files: int, ended: int
) -> Gallery:
    """Show the records that the ledger of a release has by now."""
    spec, rows = private.records()
    about: dict[str, Any] = {"options": {"spec": spec}, "totals": {}, "software": {}, "papers": {}}
    done = tuple(Shared.of_row(row) for row in rows if row["status"] == "done")
    failed = [row for row in rows if row["status"] == "failed"]
    facts = ReleaseFacts(folder, about, done, (), "")
    entries = [Entry(image, image.name) for image in done]
    entries += [Entry(None, row["source_id"], row["error"], row["reason"]) for row in failed]
    return Gallery(folder, state, tuple(entries), facts, None, files, ended)


def filters_of(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """Return the filters of entries with the number that passes each; errors last."""
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
    """Return the entries that pass a filter and a search, sorted."""
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
    """Return the attribute of an entry that an order sorts by."""
    return "alike" if sort in NEEDS_ORIGINALS else "detail"


def _lies(value: float | None, between: tuple[float, float]) -> bool:
    return value is not None and between[0] <= value < between[1]


def bins_of(entries: Sequence[Entry], measure: str) -> list[tuple[float, float, int]]:
    """Divide the range of a measure into equal bins; return (start, end, count) of each."""
    values = [value for entry in entries if (value := getattr(entry, measure)) is not None]
    if not values or min(values) == max(values):
        return []
    low, step = min(values), (max(values) - min(values)) / BINS
    ends = [low + step * number for number in range(BINS)] + [math.inf]
    return [
        (left, right, sum(_lies(value, (left, right)) for value in values))
        for left, right in pairwise(ends)
    ]
