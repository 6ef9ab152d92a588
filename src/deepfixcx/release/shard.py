"""Work off one shard: read each file, encode it, write what the options ask for.

A shard is the unit of work and of resuming. Its bytes depend on its files and the options alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError, ReleaseStoppedError, WorkerDiedError
from deepfixcx.images import ImageFrames, read_image, write_png
from deepfixcx.release.plan import Planned, ReleaseOptions

__all__ = ["FileDone", "Record", "ShardJob", "kept_depth", "kept_values"]

PART_BYTES = 1 << 26
"""A file of codes holds at most so many bytes of float32 numbers (and always one image)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the manifest: one frame of one input, or one input that failed.

    Attributes
    ----------
    source_id : str
        What the release calls the input.
    frame : int
        Number of the frame in its file, from 0.
    status : str
        ``"done"`` or ``"failed"``.
    image_file, code_file : str
        Where the result is, relative to the release folder; empty where there is none.
    code_row : int
        Row of the file of codes, -1 where there is none.
    channels, height, width : int
        Shape of the source frame, 0 for a failed file.
    bits : int
        Depth at which the source's pixels count, 8 or 16.
    image_dtype, code_dtype : str
        Dtype of the stored image and of the stored code.
    spec : str
        The codec, in short.
    image_sha256, code_sha256 : str
        Hash of the whole file.
    error, reason : str
        Name of the error and what to do, for a failed file.
    """

    source_id: str
    frame: int = 0
    status: str = "done"
    image_file: str = ""
    code_file: str = ""
    code_row: int = -1
    channels: int = 0
    height: int = 0
    width: int = 0
    bits: int = 0
    image_dtype: str = ""
    code_dtype: str = ""
    spec: str = ""
    image_sha256: str = ""
    code_sha256: str = ""
    error: str = ""
    reason: str = ""

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the columns, in order."""
        return [field.name for field in fields(cls)]


@dataclass(frozen=True, slots=True)
class FileDone:
    """What became of one input, for the progress.

    Attributes
    ----------
    failed : bool
        Whether it is listed among the failures.
    images : int
        Frames it held.
    bytes_in : int
        Size of the source file.
    bytes_kept : int
        Bytes of what is kept of its pixels, in memory.
    """

    failed: bool
    images: int = 0
    bytes_in: int = 0
    bytes_kept: int = 0


@dataclass(frozen=True, slots=True)
class ShardJob:
    """One shard of a plan, as a worker gets it.

    Attributes
    ----------
    number : int
        Number of the shard.
    items : tuple of Planned
        Its files.
    options : ReleaseOptions
        What to do with them.
    folder : Path
        The release folder.
    """

    number: int
    items: tuple[Planned, ...]
    options: ReleaseOptions
    folder: Path

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, FileDone], None],
        quarantine: frozenset[str],
    ) -> list[Record]:
        """Privatize every file of the shard.

        Parameters
        ----------
        started, done : callable
            Told the id of each file before, and its figures after.
        quarantine : frozenset of str
            Ids of files that are recorded as failed without being opened.

        Returns
        -------
        list of Record
            In the order of the shard; failed files are rows of their own.

        Raises
        ------
        ReleaseStoppedError
            The release folder cannot be written. Whatever is wrong with an input is a record.
        """
        codec = Codec(self.options.spec)
        parts = _CodeParts(self)
        records: list[Record] = []
        try:
            for item in self.items:
                started(item.source_id)
                loaded = _load(self, item, codec, quarantine)
                if isinstance(loaded, Record):
                    records.append(loaded)
                    figures = FileDone(failed=True, bytes_in=item.source.size)
                else:
                    frames, codes = loaded
                    rows = _write_images(self, codec, item, frames, codes)
                    if self.options.output != "images":
                        parts.add(codes, rows)
                    records += rows
                    kept = sum(kept_values(row, self.options) for row in rows)
                    depth = kept_depth(rows[0], self.options)
                    figures = FileDone(False, len(rows), item.source.size, kept * depth // 8)
                done(item.source_id, figures)
            return parts.finish(records)
        except OSError as error:
            raise ReleaseStoppedError(
                f"the release folder cannot be written: {error.strerror}; make room or change "
                f"its permissions, then run the same command with --resume"
            ) from None


def kept_values(record: Record, options: ReleaseOptions) -> int:
    """Return how many numbers are kept of one frame: those of its code, or of its image."""
    if options.output != "images":
        return options.spec.numbers(record.channels)
    height, width = record.height, record.width
    if options.size == "compact":
        height, width = options.spec.compact_shape()
    return record.channels * height * width


def kept_depth(record: Record, options: ReleaseOptions) -> int:
    """Return the bits of each number that is kept."""
    return record.bits if options.output == "images" else 8 * np.dtype(options.dtype).itemsize


def _load(
    job: ShardJob, item: Planned, codec: Codec, quarantine: frozenset[str]
) -> tuple[ImageFrames, Code] | Record:
    """Read and encode one file, or say in a record why that cannot be done."""
    try:
        if item.source.problem is not None:
            raise item.source.problem
        if item.source_id in quarantine:
            raise WorkerDiedError(
                "a worker process died on this file twice, most likely in a decoder; "
                "convert the file with another program"
            )
        frames = read_image(item.source.path, max_pixels=job.options.max_pixels)
        return frames, codec.encode(frames.pixels)
    except DeepfixcxError as error:
        name, reason = type(error).__name__, str(error)
    except Exception as error:  # one file must never stop a release
        # The text of a foreign exception may quote the file, so only its name is kept.
        name = type(error).__name__
        reason = "an unexpected error while reading or encoding; please report it"
    return Record(item.source_id, status="failed", error=name, reason=reason)


def _write_images(
    job: ShardJob, codec: Codec, item: Planned, frames: ImageFrames, codes: Code
) -> list[Record]:
    channels, height, width = frames.pixels.shape[1:]
    row = Record(
        item.source_id,
        channels=channels,
        height=height,
        width=width,
        bits=frames.bits,
        spec=str(codec.spec),
    )
    rows = [replace(row, frame=frame) for frame in range(len(codes))]
    if job.options.output == "codes":
        return rows
    for frame in range(len(codes)):
        suffix = f".frame{frame:04d}" if len(codes) > 1 else ""
        name = f"images/{item.image_stem}{suffix}.png"
        target = job.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        image = codec.decode(codes[frame], job.options.size)[0]
        write_png(target, image, bits=frames.bits)
        rows[frame] = replace(
            rows[frame],
            image_file=name,
            image_dtype=f"uint{frames.bits}",
            image_sha256=_sha256(target),
        )
    return rows


class _CodeParts:
    """Collects codes and writes them in files of bounded size, one number of channels a file."""

    def __init__(self, job: ShardJob) -> None:
        self._job = job
        self._waiting: dict[int, list[Code]] = {}
        self._places: dict[tuple[str, int], tuple[str, int]] = {}
        self._keys: dict[int, list[tuple[str, int]]] = {}
        self._hashes: dict[str, str] = {}

    def add(self, codes: Code, rows: list[Record]) -> None:
        """Take the codes of one file, frame by frame."""
        waiting = self._waiting.setdefault(codes.channels, [])
        keys = self._keys.setdefault(codes.channels, [])
        for frame, row in enumerate(rows):
            code = codes[frame]
            if waiting and (len(waiting) + 1) * code.array.nbytes > PART_BYTES:
                self._write(codes.channels)
            waiting.append(code)
            keys.append((row.source_id, row.frame))

    def finish(self, records: list[Record]) -> list[Record]:
        """Write what is left, and tell each record where its code went."""
        for channels in sorted(self._waiting):
            self._write(channels)
        return [self._with_place(record) for record in records]

    def _write(self, channels: int) -> None:
        codes, keys = self._waiting[channels], self._keys[channels]
        if not codes:
            return
        name = f"codes/shard-{self._job.number:05d}-{len(self._hashes):02d}.safetensors"
        target = self._job.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        Code.concatenate(codes).save(target, self._job.options.dtype)
        self._hashes[name] = _sha256(target)
        self._places |= {key: (name, row) for row, key in enumerate(keys)}
        codes.clear()
        keys.clear()

    def _with_place(self, record: Record) -> Record:
        if (record.source_id, record.frame) not in self._places:
            return record
        name, row = self._places[record.source_id, record.frame]
        return replace(
            record,
            code_file=name,
            code_row=row,
            code_dtype=self._job.options.dtype,
            code_sha256=self._hashes[name],
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
