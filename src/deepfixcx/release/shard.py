"""Process one shard: read each file, encode it, write what the options ask for.

A shard is the unit of work and of resuming. Its bytes depend on its files and the options alone.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

from deepfixcx.choices import Storage
from deepfixcx.code import Code, check_storable, code_bytes
from deepfixcx.codec import Codec
from deepfixcx.errors import (
    CodeError,
    DeepfixcxError,
    MechanismError,
    OverwriteError,
    ReleaseStoppedError,
    UnreadableFileError,
    WorkerDiedError,
)
from deepfixcx.images import ImageFrames, inspect_image, read_image
from deepfixcx.images.masking import Region, paint, painted_share
from deepfixcx.images.plain import png_bytes
from deepfixcx.images.reading import read_header
from deepfixcx.release.deidentified import DeidentifyOptions, KeptFile, deidentified_file
from deepfixcx.release.dicom_output import DicomSource
from deepfixcx.release.ledger import (
    FileDone,
    Record,
    ShardResult,
    SourceSeen,
)
from deepfixcx.release.options import ReleaseOptions, kept_depth, kept_values
from deepfixcx.release.places import Outbox
from deepfixcx.release.plan import Planned, ShardJob
from deepfixcx.release.storage import instance_of, open_hashed, stamp_of
from deepfixcx.release.volumes import read_input, volume_results

if TYPE_CHECKING:
    from deepfixcx.images.dicom.reading import DicomHeader
    from deepfixcx.images.volumes import Volume
    from deepfixcx.release.dicom_output import DicomOutput

__all__ = ["CodeParts", "encoded_file", "file_results", "make_results", "work_shard"]


def work_shard(
    job: ShardJob,
    started: Callable[[str], None],
    done: Callable[[str, FileDone], None],
    quarantine: frozenset[str],
) -> ShardResult:
    """Privatize every file of a shard; return when its results outlast a crash."""
    try:
        with job.place.outbox(shard=job.number) as outbox:
            return _work(job, outbox, started, done, quarantine)
    except CodeError as error:
        raise ReleaseStoppedError(f"codes cannot be stored: {error}") from None
    except OverwriteError as error:
        raise ReleaseStoppedError(f"{error}, then run the same command with --resume") from None
    except OSError as error:
        raise ReleaseStoppedError(
            f"{job.place.made_in} cannot be written: {error.strerror}; free disk space or "
            "change its permissions, then run the same command with --resume"
        ) from None


def _work(
    job: ShardJob,
    outbox: Outbox,
    started: Callable[[str], None],
    done: Callable[[str, FileDone], None],
    quarantine: frozenset[str],
) -> ShardResult:
    codec, options = Codec(job.options.spec), job.options
    numbers = options.spec.numbers(1)
    parts = CodeParts(job.number, outbox, options.dtype)
    records: list[Record] = []
    sources: list[SourceSeen] = []
    for item in job.items:
        started(item.source_id)
        made, seen = make_results(job, item, codec, quarantine)
        rows = _put(outbox, item, made) if made.files else made.rows
        sources.append(seen)
        records += rows
        if rows[0].error:
            figures = FileDone(failed=True, bytes_in=item.source.size)
        else:
            if made.codes is not None:
                parts.add(made.codes, rows)
            kept = sum(kept_values(row, options, numbers) for row in rows)
            depth = kept_depth(rows[0], options)
            figures = FileDone(False, len(rows), item.source.size, kept * depth // 8)
        done(item.source_id, figures)
    records = parts.finish(records)
    outbox.send()
    return ShardResult(records, sources)


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Made:
    """The results of one file before they are written: its rows, its files, and its codes."""

    rows: list[Record]
    files: dict[str, bytes] = field(default_factory=dict)
    codes: Code | None = None


def make_results(
    job: ShardJob, item: Planned, codec: Codec, quarantine: frozenset[str]
) -> tuple[Made, SourceSeen]:
    """Read, hash, mask and encode one file; an exception of any type becomes its record."""
    seen = SourceSeen(item.source_id, stamp_of(item.source.path), "")
    try:
        if item.source.problem is not None:
            raise item.source.problem
        if item.source_id in quarantine:
            raise WorkerDiedError(
                "a worker process stopped on this file twice, probably in a decoder; convert "
                "the file with another program"
            )
        if job.options.spec.ndim == 3:
            volume, content = read_input(item.source.path, job.options.max_pixels)
            seen = replace(seen, content=content)
            if isinstance(volume, DeepfixcxError):
                raise volume
            return _of_volume(job, codec, item, volume, content), seen
        stream, content = open_hashed(item.source.path)
        seen = replace(seen, content=content)
        with stream:
            loaded = encoded_file(job.options, job.dicom, codec, item, stream, content)
            seen = replace(seen, instance=instance_of(stream))
        return file_results(job.options, job.dicom, codec, item, loaded), seen
    except (ReleaseStoppedError, KeyboardInterrupt, SystemExit):
        raise
    except UnreadableFileError as error:
        seen = replace(seen, stamp="")  # a later run tries it again, whatever its stamp is then
        return _failed(item, error), seen
    except BaseException as error:  # a panic of a compiled library is no Exception
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        return _failed(item, error), seen


def _of_volume(job: ShardJob, codec: Codec, item: Planned, volume: Volume, content: str) -> Made:
    rows, files, codes = volume_results(job, codec, item, volume, content)
    if codes is not None:
        check_storable(codes.array, job.options.dtype)
    return Made(rows, files, codes)


def _put(outbox: Outbox, item: Planned, made: Made) -> list[Record]:
    """Write the files of one input; a name that no file can have is a failure of the input."""
    try:
        digests = {name: outbox.put(name, content) for name, content in made.files.items()}
    except (OSError, DeepfixcxError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return _failed(item, error).rows
        raise  # the disk or the store: this stops the release
    except Exception as error:
        return _failed(item, error).rows
    return [
        replace(
            row,
            image_sha256=digests.get(row.image_file, ""),
            dicom_sha256=digests.get(row.dicom_file, ""),
        )
        for row in made.rows
    ]


def _failed(item: Planned, error: BaseException) -> Made:
    """Return the record of a file that failed, with the text of our own errors alone.

    The text of a foreign exception may quote the file, so only its type is kept.
    """
    reason = "an unexpected error while reading, encoding or writing; please report it"
    if isinstance(error, DeepfixcxError):
        reason = str(error)
    name = type(error).__name__
    return Made([Record(item.source_id, status="failed", error=name, reason=reason)])


def encoded_file(
    options: ReleaseOptions,
    dicom: DicomOutput | None,
    codec: Codec,
    item: Planned,
    stream: BinaryIO,
    content: str,
) -> Loaded | KeptFile:
    """Read, mask and encode one file; `content` tells it from others."""
    if isinstance(options, DeidentifyOptions) and dicom is not None:
        return deidentified_file(options, dicom.deidentifier, item, stream)
    frames = read_image(stream, max_pixels=options.max_pixels)
    if options.noise is not None:
        _check_fixed(stream, frames)
    wanted = dicom is not None or options.mask is not None
    header = read_header(stream) if wanted else None
    regions: tuple[Region, ...] = ()
    if options.mask is not None:
        regions = options.mask.regions(frames.pixels, {} if header is None else header.dataset)
        frames = replace(frames, pixels=paint(frames.pixels, regions))
    noise = options.noise
    code = codec.encode(frames.pixels) if noise is None else noise.encode(frames.pixels)
    if options.mechanisms:
        from deepfixcx.mechanisms.independent import INDEPENDENT

        for name in options.mechanisms:
            code = replace(code, array=INDEPENDENT[name].represent(code.array))
    return Loaded(frames, code, header, content, regions)


def _check_fixed(stream: BinaryIO, frames: ImageFrames) -> None:
    """Refuse images whose pixels, or number of channels, depend on other pixels."""
    stream.seek(0)
    palette = inspect_image(stream, decode=False).photometric == "palette"
    if palette or frames.bits != 8 or frames.format in ("DICOM", "NIfTI"):
        what = "an image with a palette" if palette else f"{frames.format} of {frames.bits} bits"
        raise MechanismError(
            f"noise is defined for 8-bit images, and this is {what}, whose range or channels may "
            "depend on all its pixels; convert it with fixed settings first"
        )


PART_BYTES = 1 << 26
"""A file of codes holds at most so many bytes of float32 numbers (and always one image)."""


class CodeParts:
    """Collects codes and writes them in files of bounded size, one number of channels a file."""

    def __init__(self, number: int, outbox: Outbox, dtype: Storage) -> None:
        self._number, self._outbox, self._dtype = number, outbox, dtype
        self._waiting: dict[int, list[Code]] = {}
        self._places: dict[tuple[str, int], tuple[str, int]] = {}
        self._keys: dict[int, list[tuple[str, int]]] = {}
        self._hashes: dict[str, str] = {}
        self.sizes: dict[str, int] = {}

    def add(self, codes: Code, rows: list[Record]) -> None:
        """Take the codes of one file, frame by frame."""
        waiting = self._waiting.setdefault(codes.channels, [])
        keys = self._keys.setdefault(codes.channels, [])
        for frame, row in enumerate(rows):
            code = codes if len(rows) == 1 else codes[frame]
            if waiting and (len(waiting) + 1) * code.array.nbytes > PART_BYTES:
                self._write(codes.channels)
            waiting.append(code)
            keys.append((row.source_id, row.frame))

    def finish(self, records: list[Record]) -> list[Record]:
        """Write the remaining codes, and set the file and row of each record."""
        for channels in sorted(self._waiting):
            self._write(channels)
        return [self._with_place(record) for record in records]

    def _write(self, channels: int) -> None:
        codes, keys = self._waiting[channels], self._keys[channels]
        if not codes:
            return
        name = f"codes/shard-{self._number:05d}-{len(self._hashes):02d}.safetensors"
        code = Code.concatenate(codes)
        content = code_bytes(code.array, code.sizes, code.spec, self._dtype)
        self._hashes[name] = self._outbox.put(name, content)
        self.sizes[name] = len(content)
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
            code_dtype=self._dtype,
            code_sha256=self._hashes[name],
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """One input: read, masked and encoded."""

    frames: ImageFrames
    codes: Code
    header: DicomHeader | None
    content: str
    regions: tuple[Region, ...]

    @property
    def source(self) -> DicomSource:
        """What it gives to a DICOM file."""
        return DicomSource(self.header, self.content, self.frames, len(self.regions))


def file_results(
    options: ReleaseOptions,
    dicom: DicomOutput | None,
    codec: Codec,
    item: Planned,
    loaded: Loaded | KeptFile,
) -> Made:
    """Make the images or DICOM of one input; codes of many inputs share a file."""
    if isinstance(loaded, KeptFile):
        name = f"dicom/{item.image_stem}.dcm"
        return Made([replace(row, dicom_file=name) for row in loaded.rows], {name: loaded.content})
    rows = _rows(codec, item, loaded)
    files: dict[str, bytes] = {}
    if options.writes("image"):
        rows, files = _images(options, codec, item, loaded, rows)
    if dicom is not None:
        name = f"dicom/{item.image_stem}.dcm"
        source = replace(loaded.source, patient=item.patient)
        files[name] = dicom.content(source, list(codec.decode(loaded.codes, options.size)))
        patient = dicom.patient(source)
        rows = [replace(row, patient=patient, dicom_file=name) for row in rows]
    if not options.writes("code"):
        return Made(rows, files)
    check_storable(loaded.codes.array, options.dtype)
    return Made(rows, files, loaded.codes)


def _rows(codec: Codec, item: Planned, loaded: Loaded) -> list[Record]:
    channels, height, width = loaded.frames.pixels.shape[1:]
    spec = str(codec.spec)
    return [
        Record(
            item.source_id,
            frame,
            channels=channels,
            height=height,
            width=width,
            bits=loaded.frames.bits,
            spec=spec,
            masked=len(loaded.regions),
            masked_share=round(painted_share(loaded.regions, height, width), 4),
            notes="; ".join(loaded.frames.notes),
        )
        for frame in range(len(loaded.codes))
    ]


def _images(
    options: ReleaseOptions, codec: Codec, item: Planned, loaded: Loaded, rows: list[Record]
) -> tuple[list[Record], dict[str, bytes]]:
    codes, bits = loaded.codes, loaded.frames.bits
    files: dict[str, bytes] = {}
    for frame, row in enumerate(rows):
        suffix = f".frame{frame:04d}" if len(codes) > 1 else ""
        name = f"images/{item.image_stem}{suffix}.png"
        files[name] = png_bytes(codec.decode(codes[frame], options.size)[0], bits=bits)
        rows[frame] = replace(row, image_file=name, image_dtype=f"uint{bits}")
    return rows, files
