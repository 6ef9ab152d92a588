"""The plan of a release: what each input will be called, and in which shard it is worked.

A plan depends on the list of inputs and the options alone, never on workers or on time, so the same
command makes the same release, and a stopped one can go on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol, overload

import numpy as np

from deepfixcx.io.release_files import ABOUT, FAILURES, MANIFEST, is_leaf
from deepfixcx.release.inputs import Listing, Source, Sources
from deepfixcx.release.options import ReleaseOptions
from deepfixcx.release.storage import Input

if TYPE_CHECKING:
    from deepfixcx.release.dicom_output import DicomOutput
    from deepfixcx.release.ledger import FileDone, ShardResult
    from deepfixcx.release.places import Place

__all__ = ["After", "Plan", "Planned", "PlannedItems", "ShardJob", "folder_number", "make_plan",
           "shard_size"]  # fmt: skip

PLAN_VERSION = 1
SECRET_PLAN_VERSION = 2
"""Of releases with noise, whose order version 0.1 drew from names and sizes."""

LEAST_SHARD, LARGEST_SHARD, SHARDS_WANTED = 16, 1024, 64
LEAST_DIGITS = 6
_OUTWARD = re.compile(r"(?:^|(?<=/))\.{0,2}(?:/|$)")
"""Parts of a path that are empty, . or .."""


@dataclass(frozen=True)  # without slots, which make pickling slow
class Planned:
    """One input with its place in the release."""

    source: Source
    source_id: str
    image_stem: str
    patient: str = field(default="", repr=False)
    """Who it is of by a table, for DICOM files that are made of it."""


@dataclass(frozen=True, slots=True)
class After:
    """What a release has before a later delivery: shards, numbers that were given, and folders."""

    shards: int = 0
    places: int = 0
    folders: int = 0


@dataclass(frozen=True, slots=True)
class ShardJob:
    """One shard of a plan, as a worker gets it."""

    number: int
    items: tuple[Planned, ...] = field(repr=False)  # names of files, which must not be printed
    options: ReleaseOptions
    place: Place
    dicom: DicomOutput | None = None

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, FileDone], None],
        quarantine: frozenset[str],
    ) -> ShardResult:
        """Privatize every file of the shard; return when its results outlast a crash."""
        from deepfixcx.release.shard import work_shard  # numba and decoders, for workers alone

        return work_shard(self, started, done, quarantine)


class PlannedItems(Sequence[Planned]):
    """Every input with its place, made when it is asked for: names and paths take much memory."""

    def __init__(
        self, sources: Listing, naming: Naming, dropped: frozenset[int] = frozenset()
    ) -> None:
        self._sources, self._naming, self.dropped = sources, naming, dropped

    def __len__(self) -> int:
        """Return the number of inputs."""
        return len(self._sources) - len(self.dropped)

    def without(self, dropped: frozenset[int]) -> PlannedItems:
        """Return the same inputs without those at some places; the others keep theirs."""
        return PlannedItems(self._sources, self._naming, dropped)

    def places(self, start: int, stop: int) -> list[int]:
        """Return the places of inputs within a range of places."""
        here = range(start, min(stop, len(self._sources)))
        return [place for place in here if place not in self.dropped]

    @overload
    def __getitem__(self, place: int) -> Planned: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Planned, ...]: ...

    def __getitem__(self, place: int | slice) -> Planned | tuple[Planned, ...]:
        """Make one, or a few."""
        places = self.places(0, len(self._sources))
        if isinstance(place, slice):
            return next(self.parts([places[place]]))
        return next(self.parts([[places[place]]]))[0]

    def __iter__(self) -> Iterator[Planned]:
        """Make one after the other."""
        starts = range(0, len(self._sources), LARGEST_SHARD)
        return chain.from_iterable(
            self.parts(self.places(start, start + LARGEST_SHARD) for start in starts)
        )

    def parts(self, places: Iterable[Iterable[int]]) -> Iterator[tuple[Planned, ...]]:
        """Make the inputs at some places, a tuple for each set of places."""
        named, stem_of = self._naming.source_id, self._naming.image_stem
        for some in map(tuple, places):
            made = []
            for place, source in zip(some, self._sources.at(some), strict=True):
                name = source.name
                made.append(Planned(source, named(place, name), stem_of(place, name)))
            yield tuple(made)


@dataclass(frozen=True, eq=False)
class Plan:
    """Every input in release order, cut into shards.

    Attributes
    ----------
    options : ReleaseOptions
        What to do with them.
    items : sequence of Planned
        The inputs with their places; made when they are asked for.
    skipped : tuple of str
        Names of files that are no images.
    shard_size : int
        Inputs of a shard; the last may have fewer.
    inputs : str
        Hash of the names of all inputs.
    order : str
        Hash of the names and sizes of all inputs when the release was started, which decides their
        order: a file that is repaired later keeps its place.
    after : After
        What earlier deliveries made.
    left_out : tuple of (str, str)
        Names of inputs that are no part of it, and why.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from deepfixcx.images import write_png
    >>> from deepfixcx.release import find_sources
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(20):
    ...     write_png(folder / f"{number}.png", np.zeros((1, 8, 8), np.float32), bits=8)
    >>> from deepfixcx.spec import CodecSpec
    >>> plan = make_plan(find_sources(folder), ReleaseOptions(CodecSpec(1, 2)))
    >>> len(plan.items), plan.shards
    (20, 2)
    """

    options: ReleaseOptions
    items: PlannedItems
    skipped: tuple[str, ...]
    shard_size: int
    inputs: str
    order: str
    after: After = After()
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-(len(self.items) + len(self.items.dropped)) // self.shard_size)

    @property
    def numbers(self) -> range:
        """Numbers of the shards, which follow those of earlier deliveries."""
        return range(self.after.shards, self.after.shards + self.shards)

    def without(self, is_withdrawn: Callable[[str], bool]) -> Plan:
        """Return the plan without the inputs that were withdrawn; the others keep their places."""
        names = enumerate(item.source_id for item in self.items)
        gone = frozenset(place for place, name in names if is_withdrawn(name))
        return replace(self, items=self.items.without(gone))

    def shard(self, number: int) -> tuple[Planned, ...]:
        """Return the inputs of one shard."""
        return next(self.items.parts([self.places(number)]))

    def places(self, number: int) -> list[int]:
        """Return the places of the inputs of one shard."""
        first = (number - self.after.shards) * self.shard_size
        return self.items.places(first, first + self.shard_size)

    def files_of(self, number: int) -> int:
        """Return how many inputs one shard has."""
        return len(self.places(number))

    def path_of(self, source_id: str) -> Input:
        """Return where an input lies."""
        return next(item.source.path for item in self.items if item.source_id == source_id)

    def needs(self, name: str) -> bool:
        """Return whether a release by this plan may have a file of this name."""
        if name in (MANIFEST, FAILURES, ABOUT, *self.options.papers()) or is_leaf(name):
            return True
        room, _, rest = name.partition("/")
        if room == "codes" and self.options.writes("code"):
            return re.fullmatch(r"shard-\d+-\d+\.safetensors", rest) is not None
        if room not in ("images", "dicom") or not self.options.writes(room.removesuffix("s")):
            return False
        image = ".nii.gz" if self.options.spec.ndim == 3 else ".png"
        suffix = image if room == "images" else ".dcm"
        stem = re.sub(r"\.frame\d{4,}$", "", rest.removesuffix(suffix))
        return rest.endswith(suffix) and any(item.image_stem == stem for item in self.items)

    def identity(self) -> dict[str, str]:
        """Return what must agree for a release to be resumed: its inputs and each option."""
        options = self.options.to_dict()
        return {
            "plan version": str(
                PLAN_VERSION if self.options.noise is None else SECRET_PLAN_VERSION
            ),
            "inputs": self.inputs,
            "order": self.order,
            **{name: json.dumps(value, sort_keys=True) for name, value in options.items()},
        }


def make_plan(
    sources: Sources,
    options: ReleaseOptions,
    secret: str = "",
    order: str = "",
    after: After | None = None,
) -> Plan:
    """Give the inputs numbers in a shuffled order and cut them into shards.

    The order is shuffled because the alphabetical order of file names can reveal names. The
    names and sizes of all inputs take part in the shuffle, so that an attacker who lacks them
    cannot undo it, and the same inputs still give the same order. With noise nothing but the noisy
    codes may depend on pixels, and sizes of files do: then a secret takes part, and names only.

    Parameters
    ----------
    sources : Sources
        From `find_sources`.
    options : ReleaseOptions
        `names` and `seed` are used here.
    secret : str
        Hexadecimal; used with noise, where it decides the order.
    order : str
        `Plan.order` of the run that goes on: sizes may differ by now, and no input changes places.
    after : After, optional
        What earlier deliveries made: shards, numbers and folders follow those.

    Returns
    -------
    Plan
        The same for the same inputs, options and secret.

    Examples
    --------
    >>> from deepfixcx.release import find_sources
    >>> plan = make_plan(find_sources("xrays"), ReleaseOptions(CodecSpec(3, 4)))  # doctest: +SKIP
    """
    found = sources.found if isinstance(sources.found, Listing) else Listing(sources.found)
    inputs, listing = _hashes(found)
    order_hash, after = order or listing, after or After()
    if options.noise is None:
        generator = np.random.default_rng([options.seed, int(order_hash, 16)])
        places = generator.permutation(len(found))
    else:
        generator = np.random.default_rng(int(secret or "0", 16))
        places = np.array(found.by_name(), np.int64)[generator.permutation(len(found))]
    shuffled = found.select(places)
    naming: Naming
    if options.names == "keep":
        naming = KeptNames(shuffled.names())
    else:
        naming = NeutralNames(found.names(), generator, after)
    items, size = PlannedItems(shuffled, naming), shard_size(len(found))
    return Plan(options, items, sources.skipped, size, inputs, order_hash, after)


def shard_size(inputs: int) -> int:
    """Return how many inputs a shard has."""
    return min(max(-(-inputs // SHARDS_WANTED), LEAST_SHARD), LARGEST_SHARD)


def folder_number(name: str) -> int:
    """Return the largest number of a neutral folder in the name of a released file."""
    return max(map(int, re.findall(r"(?:^|/)folder-(\d+)/", name)), default=0)


def _hashes(sources: Listing) -> tuple[str, str]:
    """Return one hash of the names of all inputs, and one of their names and sizes."""
    names, listing = hashlib.sha256(), hashlib.sha256()
    each = list(sources.names())
    for place in sources.by_name():
        names.update(f"{each[place]}\0".encode())
        listing.update(f"{each[place]}\0{sources.sizes[place]}\0".encode())
    return names.hexdigest(), listing.hexdigest()


# -- names -----------------------------------------------------------------------------------


class Naming(Protocol):
    """Gives each input, by its place in release order and its own name, what it is called."""

    def source_id(self, place: int, name: str) -> str:
        """Return what the release calls the input."""

    def image_stem(self, place: int, name: str) -> str:
        """Return the path of its privatized image, without suffix."""


class NeutralNames:
    """Numbers from 1 in release order, in folders that are numbered at random."""

    def __init__(self, names: Iterable[str], generator: np.random.Generator, after: After) -> None:
        count, above = after.places, set()
        for name in names:
            count += 1
            above.add(_folder(_inside(name)))
        folders = {str(each) for name in above for each in (PurePosixPath(name) / "x").parents}
        folders -= {"."}
        self._digits = max(LEAST_DIGITS, len(str(count)))
        self._folders = {"": ""}
        self._first = after.places + 1
        numbers = generator.permutation(len(folders)) + after.folders + 1
        for folder, number in zip(sorted(folders), numbers, strict=True):
            self._folders[folder] = f"{self._folders[_folder(folder)]}folder-{number:04d}/"

    def source_id(self, place: int, _: str) -> str:
        """Return the number of the input."""
        return f"{place + self._first:0{self._digits}d}"

    def image_stem(self, place: int, name: str) -> str:
        """Return its number in its folder: the tree keeps its form."""
        folder = _OUTWARD.sub("", name).rstrip("/").rpartition("/")[0]
        return f"{self._folders[folder]}{place + self._first:0{self._digits}d}"


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
        """Return its path below the input, as far as needed to distinguish it from others."""
        return self._unclear.get(name) or _without_suffix(name)


def _inside(name: str) -> str:
    """Return a path of a table without whatever would lead out of the release folder."""
    return _OUTWARD.sub("", name).rstrip("/")


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _without_suffix(name: str) -> str:
    return str(PurePosixPath(_inside(name)).with_suffix(""))
