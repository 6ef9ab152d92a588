"""The plan of a release: what each input will be called, and in which shard it is worked.

A plan depends on the list of inputs and the options alone, never on workers or on time, so the same
command makes the same release, and a stopped one can go on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np

from deepfixcx.choices import Names, Output, Size, Storage
from deepfixcx.errors import SpecError
from deepfixcx.images import DEFAULT_MAX_PIXELS
from deepfixcx.release.sources import Source, Sources
from deepfixcx.release.store import RemoteFile
from deepfixcx.spec import CodecSpec

__all__ = ["Plan", "Planned", "ReleaseOptions", "make_plan"]

PLAN_VERSION = 1
LEAST_SHARD, LARGEST_SHARD, SHARDS_WANTED = 16, 1024, 64


@dataclass(frozen=True)  # without slots, which make pickling slow
class ReleaseOptions:
    """Everything about a release that changes its bytes.

    Parameters
    ----------
    spec : CodecSpec
        The codec.
    output : {"images", "codes", "both"}
        What to write.
    size : {"compact", "original"}
        Size of the privatized images.
    dtype : {"float32", "float16", "uint8"}
        How the numbers of codes are stored.
    names : {"neutral", "keep"}
        Number files and folders, or call them as their sources.
    seed : int
        Chooses, together with names and sizes of the inputs, the order in which they are numbered.
    max_pixels : int
        Images that declare more pixels are refused.

    Raises
    ------
    SpecError
        An option is not one of those allowed.
    """

    spec: CodecSpec
    output: Output = "both"
    size: Size = "compact"
    dtype: Storage = "float32"
    names: Names = "neutral"
    seed: int = 0
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __post_init__(self) -> None:
        """Refuse an option that is not allowed."""
        for name, allowed in (
            ("output", get_args(Output)),
            ("size", get_args(Size)),
            ("dtype", get_args(Storage)),
            ("names", get_args(Names)),
        ):
            if getattr(self, name) not in allowed:
                raise SpecError(
                    f"{name} is one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        if self.seed < 0 or self.max_pixels < 1:
            raise SpecError("seed must not be negative, and max_pixels must be positive")

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        return asdict(self) | {"spec": self.spec.to_dict()}


@dataclass(frozen=True)  # without slots, which make pickling slow
class Planned:
    """One input with its place in the release.

    Attributes
    ----------
    source : Source
        The input file.
    source_id : str
        What the release calls it: a number, or its own name.
    image_stem : str
        Path of its privatized image below ``images/``, without suffix.
    """

    source: Source
    source_id: str
    image_stem: str


@dataclass(frozen=True)  # without slots, which make pickling slow
class Plan:
    """Every input in release order, cut into shards."""

    options: ReleaseOptions
    items: tuple[Planned, ...]
    skipped: tuple[str, ...]
    shard_size: int

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self.items) // self.shard_size)

    def shard(self, number: int) -> tuple[Planned, ...]:
        """Return the inputs of one shard."""
        return self.items[number * self.shard_size : (number + 1) * self.shard_size]

    def path_of(self, source_id: str) -> Path | RemoteFile:
        """Return where an input lies."""
        return next(item.source.path for item in self.items if item.source_id == source_id)

    def identity(self) -> dict[str, str]:
        """Return what must agree for a release to be resumed: its inputs and each option."""
        options = self.options.to_dict()
        return {
            "plan version": str(PLAN_VERSION),
            "inputs": _listing_hash(item.source for item in self.items).hex(),
            **{name: json.dumps(value, sort_keys=True) for name, value in options.items()},
        }


def make_plan(sources: Sources, options: ReleaseOptions) -> Plan:
    """Give the inputs numbers in a shuffled order and cut them into shards.

    The order is shuffled because the alphabetical order of file names can itself tell names. The
    names and sizes of all inputs take part in the shuffle, so that nobody who lacks them can undo
    it, and the same inputs still give the same order.

    Parameters
    ----------
    sources : Sources
        From `find_sources`.
    options : ReleaseOptions
        `names` and `seed` are used here.

    Returns
    -------
    Plan
        The same for the same inputs and options.
    """
    secret = int.from_bytes(_listing_hash(sources.found), "big")
    generator = np.random.default_rng([options.seed, secret])
    order = generator.permutation(len(sources.found))
    shuffled = [sources.found[place] for place in order]
    if options.names == "keep":
        stems = _kept_stems(source.name for source in shuffled)
        ids = [source.name for source in shuffled]
    else:
        folders = _neutral_folders((_inside(source.name) for source in sources.found), generator)
        digits = max(6, len(str(len(shuffled))))
        ids = [f"{number:0{digits}d}" for number in range(1, len(shuffled) + 1)]
        stems = [
            folders[_folder(_inside(source.name))] + number
            for source, number in zip(shuffled, ids, strict=True)
        ]
    items = tuple(map(Planned, shuffled, ids, stems))
    size = min(max(-(-len(items) // SHARDS_WANTED), LEAST_SHARD), LARGEST_SHARD)
    return Plan(options, items, sources.skipped, size)


def _listing_hash(sources: Iterable[Source]) -> bytes:
    """Return one hash of the names and sizes of all inputs."""
    listing = hashlib.sha256()
    for source in sorted(sources, key=lambda source: source.name):
        listing.update(f"{source.name}\0{source.size}\0".encode())
    return listing.digest()


def _inside(name: str) -> str:
    """Return a path of a table without whatever would lead out of the release folder."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _neutral_folders(names: Iterable[str], generator: np.random.Generator) -> dict[str, str]:
    """Map each folder to a numbered one at the same depth: the tree keeps its form."""
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {"."}
    neutral = {"": ""}
    numbers = generator.permutation(len(folders)) + 1
    for folder, number in zip(sorted(folders), numbers, strict=True):
        neutral[folder] = f"{neutral[_folder(folder)]}folder-{number:04d}/"
    return neutral


def _kept_stems(names: Iterable[str]) -> list[str]:
    """Drop the suffix where that is unambiguous: a.png -> a, but a.png and a.jpg stay whole."""
    names = list(names)
    wanted = [str(PurePosixPath(_inside(name)).with_suffix("")) for name in names]
    twice = {stem for stem, count in Counter(wanted).items() if count > 1}
    taken = set(wanted) - twice
    stems = []
    for name, stem in zip(names, wanted, strict=True):
        # frames of one file are called STEM.frame0001, so no other file may look like that
        ambiguous = stem in twice or re.search(r"\.frame\d+$", stem)
        chosen = f"{_inside(name)}.image" if ambiguous else stem
        while ambiguous and chosen in taken:
            chosen += "_"
        taken.add(chosen)
        stems.append(chosen)
    return stems
