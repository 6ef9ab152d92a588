"""Images of a dataset as one array: pixels of one size, or codes of the images as they are.

One rule for channels: a file whose three channels are equal is gray. Where ``channels`` is None,
all become gray if all are gray; otherwise gray ones are repeated three times. With ``channels=1``
colour becomes gray (0.299 R + 0.587 G + 0.114 B) before anything else; with 3, gray is repeated.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from deepfixcx import __version__
from deepfixcx.codec import Codec
from deepfixcx.datasets import ImageRecord
from deepfixcx.errors import ImageFileError, ModelError, PixelsShapeError, TrainingStoppedError
from deepfixcx.images.reading import open_image
from deepfixcx.io.files import make_folder, write_file
from deepfixcx.learn.baselines import resize, unit_pixels
from deepfixcx.learn.mapping import Done, Failure, Image, Report, WorkerPool, map_images
from deepfixcx.spec import CodecSpec

__all__ = ["Channels", "CodeCache", "Failure", "Loaded", "encode_records", "load_pixels"]

FORMAT_VERSION = 1
PREFIX = 2
"""Letters of a digest that name its file."""

Codes = dict[str, NDArray[np.float32]]


class CodeCache:
    """The codes of one spec in a folder."""

    def __init__(self, folder: Path, spec: CodecSpec, *, gray: bool) -> None:
        self._spec = spec
        name = f"{FORMAT_VERSION} {__version__} {gray} {spec.to_json()}"
        self._folder = folder / hashlib.sha256(name.encode()).hexdigest()[:16]
        try:
            make_folder(self._folder)
        except OSError as error:
            raise ModelError(
                f"the cache {folder.name!r} cannot be made: {error.strerror}; choose another folder"
            ) from None

    @staticmethod
    def part_of(digest: str) -> str:
        """Return which file holds a digest."""
        return digest[:PREFIX]

    def find(self, digests: list[str]) -> Codes:
        """Return the codes that are there, by digest, each (C, 4**J, P, P)."""
        found: Codes = {}
        wanted = set(digests)
        for part in sorted({self.part_of(digest) for digest in wanted}):
            codes = self._load(part)
            found |= {digest: codes[digest] for digest in codes.keys() & wanted}
        return found

    def add(self, codes: Mapping[str, NDArray[np.float32]]) -> None:
        """Write codes, beside those that are there; a reader never sees half a file."""
        for part in sorted({self.part_of(digest) for digest in codes}):
            new = {digest: code for digest, code in codes.items() if self.part_of(digest) == part}
            whole = dict(sorted((self._load(part) | new).items()))
            path = self._folder / f"{part}.safetensors"
            if os.path.lexists(path) and not self._load(part):
                continue  # damaged, or not of this cache: it stays, and these codes are not kept
            try:
                data = safetensors.numpy.save(whole)
                write_file(path, data, mode=0o600, replace=True, durable=False)
            except OSError as error:
                raise TrainingStoppedError(
                    f"the cache of codes cannot be written: {error.strerror}; free disk space or "
                    "choose another folder"
                ) from None

    def _load(self, part: str) -> Codes:
        """Return the codes of a file; none if one entry of it is no code of this cache."""
        path = self._folder / f"{part}.safetensors"
        try:
            codes = {} if path.is_symlink() else safetensors.numpy.load(path.read_bytes())
        except (OSError, SafetensorError, ValueError, KeyError):
            return {}
        own = all(digest.startswith(part) and self._fits(code) for digest, code in codes.items())
        return codes if own else {}

    def _fits(self, code: NDArray[np.float32]) -> bool:
        shaped = code.ndim > 1 and code.shape == self._spec.code_shape(len(code))
        return shaped and code.dtype == np.float32 and bool(np.isfinite(code).all())


Channels = Literal[1, 3]

HASHING_THREADS = 4


@dataclass(frozen=True, eq=False, slots=True)
class Loaded:
    """Images of a dataset that could be used, and those that could not.

    Attributes
    ----------
    array : ndarray of float32
        Pixels (N, C, side, side), or codes (N, C, 4**J, P, P).
    places : ndarray of int64, shape (N,)
        Which record each row is of, in ascending order.
    failures : tuple of Failure
        The others.
    """

    array: NDArray[np.float32]
    places: NDArray[np.int64]
    failures: tuple[Failure, ...]


def load_pixels(
    records: Sequence[ImageRecord],
    side: int,
    *,
    channels: Channels | None = None,
    workers: int | WorkerPool = 1,
    report: Report | None = None,
) -> Loaded:
    """Read images and make them all squares of one size.

    Parameters
    ----------
    records : sequence of ImageRecord
        The images; `Dataset.records`.
    side : int
        Height and width, in pixels. The whole image is squeezed into the square (Lanczos filter,
        which looks at all pixels when it makes an image smaller).
    channels : {None, 1, 3}
        See above.
    workers : int or WorkerPool
        Processes; see `map_images`.
    report : callable, optional
        Receives how many images are done, and of how many.

    Returns
    -------
    Loaded
        Pixels (N, C, side, side) in [0, 1].

    Raises
    ------
    PixelsShapeError
        `side` is not positive.

    Examples
    --------
    >>> import tempfile
    >>> from deepfixcx.images import write_png
    >>> path = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_png(path, np.linspace(0, 1, 48).reshape(1, 6, 8), bits=16)
    >>> loaded = load_pixels([ImageRecord(path), ImageRecord(path.parent / "gone.png")], side=4)
    >>> loaded.array.shape, loaded.failures[0].error
    ((1, 1, 4, 4), 'UnreadableFileError')
    """
    if side < 1:
        raise PixelsShapeError(f"side must be a positive number of pixels, got {side}")
    outcomes = map_images(records, _Shrink(side, channels == 1), workers=workers, report=report)
    return _collect(outcomes, (channels or 1, side, side), channels)


def encode_records(
    records: Sequence[ImageRecord],
    spec: CodecSpec,
    *,
    channels: Channels | None = None,
    workers: int | WorkerPool = 1,
    cache: str | os.PathLike[str] | None = None,
    report: Report | None = None,
) -> Loaded:
    """Read images and encode each in its own size.

    Parameters
    ----------
    records : sequence of ImageRecord
        The images; `Dataset.records`.
    spec : CodecSpec
        How to encode.
    channels : {None, 1, 3}
        See above.
    workers : int or WorkerPool
        Processes; see `map_images`.
    cache : path-like, optional
        Folder in which codes are kept. They are found again by the content of a file, its spec and
        the version of deepfixcx, so it can serve many datasets and specs. It holds codes: treat it
        as you treat them.
    report : callable, optional
        Receives how many of the images that were not in the cache are done, and of how many.

    Returns
    -------
    Loaded
        Codes (N, C, 4**J, P, P); a trailing F axis where the spec has several poolings.

    Raises
    ------
    ModelError
        The cache cannot be made.
    TrainingStoppedError
        The cache cannot be written, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> from deepfixcx.images import write_png
    >>> path = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_png(path, np.linspace(0, 1, 48).reshape(1, 6, 8), bits=16)
    >>> encode_records([ImageRecord(path)], CodecSpec(level=1, patches=2)).array.shape
    (1, 1, 4, 2, 2)
    """
    spec.refuse_volumes("reading a dataset of originals")
    encode = _Encode(spec, channels == 1)
    shape = spec.code_shape(channels or 1)
    if cache is None:
        outcomes = map_images(records, encode, workers=workers, report=report)
        results = (
            Done(each.place, each.result[1]) if isinstance(each, Done) else each
            for each in outcomes
        )
        return _collect(results, shape, channels)
    kept = CodeCache(Path(cache), spec, gray=channels == 1)
    return _collect(_with_cache(records, encode, kept, workers, report), shape, channels)


# -- helpers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shrink:
    """An image becomes a square; it travels to another process."""

    side: int
    gray: bool

    def __call__(self, image: Image) -> NDArray[np.float32]:
        return resize(unit_pixels(image.pixels, gray=self.gray), self.side, self.side)


@dataclass(frozen=True, slots=True)
class _Encode:
    """An image becomes its digest and its code; it travels to another process."""

    spec: CodecSpec
    gray: bool

    def __call__(self, image: Image) -> tuple[str, NDArray[np.float32]]:
        pixels = (
            unit_pixels(image.pixels, gray=True)
            if self.gray and len(image.pixels) > 1
            else image.pixels
        )
        return image.digest, Codec(self.spec).encode(pixels).array[0]


def _with_cache(
    records: Sequence[ImageRecord],
    encode: _Encode,
    cache: CodeCache,
    workers: int | WorkerPool,
    report: Report | None,
) -> Iterator[Done[NDArray[np.float32]] | Failure]:
    """Yield the codes that are kept, then those that had to be made, and keep these."""
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        digests = list(threads.map(_digest, [record.path for record in records]))
    known = cache.find([digest for digest in digests if digest])
    order = sorted(range(len(records)), key=lambda place: digests[place])
    missing = []
    for place in order:
        if digests[place] in known:
            yield Done(place, known[digests[place]])
        else:
            missing.append(place)
    chosen = [records[place] for place in missing]
    new: dict[str, NDArray[np.float32]] = {}
    for outcome in map_images(chosen, encode, workers=workers, report=report):
        place = missing[outcome.place]
        if isinstance(outcome, Failure):
            yield replace(outcome, place=place)
            continue
        digest, code = outcome.result
        # Sorted by digest, so that a file of the cache is complete when another one begins.
        if new and cache.part_of(digest) != cache.part_of(next(iter(new))):
            cache.add(new)
            new = {}
        new[digest] = code
        yield Done(place, code)
    cache.add(new)


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or nothing if it cannot be read; reading it reports why."""
    try:
        with open_image(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ImageFileError):
        return ""


def _collect(
    outcomes: Iterable[Done[NDArray[np.float32]] | Failure],
    shape: tuple[int, ...],
    channels: Channels | None,
) -> Loaded:
    """Lay the images that could be used into one array, all with the same number of channels."""
    done: dict[int, NDArray[np.float32]] = {}
    failures = []
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            done[outcome.place] = outcome.result
    places = np.array(sorted(done), np.int64)
    count: int = channels or max((len(image) for image in done.values()), default=1)
    array = np.empty((len(places), count, *shape[1:]), np.float32)
    for row, place in enumerate(places):
        array[row] = done.pop(place)  # one channel is repeated
    return Loaded(array, places, tuple(sorted(failures, key=lambda failure: failure.place)))
