"""Work off one shard: read each file, encode it, write what the options ask for.

A shard is the unit of work and of resuming. Its bytes depend on its files and the options alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import (
    CodeError,
    DeepfixcxError,
    ReleaseStoppedError,
    UnreadableFileError,
    WorkerDiedError,
)
from deepfixcx.images import ImageFrames, read_image, write_png
from deepfixcx.release.content import open_hashed, stamp_of
from deepfixcx.release.parts import CodeParts, sha256_of
from deepfixcx.release.places import Outbox, Place
from deepfixcx.release.plan import Planned, ReleaseOptions
from deepfixcx.release.records import (
    FileDone,
    Record,
    ShardResult,
    SourceSeen,
    kept_depth,
    kept_values,
)

__all__ = ["ShardJob"]


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
    place : Place
        Where the release is made.
    """

    number: int
    items: tuple[Planned, ...] = field(repr=False)  # names of files, which must not be printed
    options: ReleaseOptions
    place: Place

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, FileDone], None],
        quarantine: frozenset[str],
    ) -> ShardResult:
        """Privatize every file of the shard; return when its results outlast a crash.

        Parameters
        ----------
        started, done : callable
            Told the id of each file before, and its figures after.
        quarantine : frozenset of str
            Ids of files that are recorded as failed without being opened.

        Returns
        -------
        ShardResult
            Records in the order of the shard; failed files are rows of their own.

        Raises
        ------
        ReleaseStoppedError
            The release cannot be written, or a store does not answer. Whatever is wrong with an
            input is a record.
        """
        try:
            with self.place.outbox() as outbox:
                return self._work(outbox, started, done, quarantine)
        except CodeError as error:
            raise ReleaseStoppedError(f"codes cannot be stored: {error}") from None
        except OSError as error:
            raise ReleaseStoppedError(
                f"{self.place.made_in} cannot be written: {error.strerror}; make room or change "
                f"its permissions, then run the same command with --resume"
            ) from None

    def _work(
        self,
        outbox: Outbox,
        started: Callable[[str], None],
        done: Callable[[str, FileDone], None],
        quarantine: frozenset[str],
    ) -> ShardResult:
        codec = Codec(self.options.spec)
        parts = CodeParts(self.number, outbox.folder, self.options.dtype)
        records: list[Record] = []
        sources: list[SourceSeen] = []
        for item in self.items:
            started(item.source_id)
            loaded, seen = _load(self, item, codec, quarantine)
            sources.append(seen)
            if isinstance(loaded, Record):
                records.append(loaded)
                figures = FileDone(failed=True, bytes_in=item.source.size)
            else:
                frames, codes = loaded
                rows = _write_images(self, outbox, codec, item, frames, codes)
                if self.options.output != "images":
                    parts.add(codes, rows)
                records += rows
                kept = sum(kept_values(row, self.options) for row in rows)
                depth = kept_depth(rows[0], self.options)
                figures = FileDone(False, len(rows), item.source.size, kept * depth // 8)
            done(item.source_id, figures)
        records = parts.finish(records)
        outbox.add(dict.fromkeys(row.code_file for row in records if row.code_file))
        outbox.send()
        return ShardResult(records, sources)


def _load(
    job: ShardJob, item: Planned, codec: Codec, quarantine: frozenset[str]
) -> tuple[tuple[ImageFrames, Code] | Record, SourceSeen]:
    """Read, hash and encode one file, or say in a record why that cannot be done."""
    seen = SourceSeen(item.source_id, stamp_of(item.source.path), "")
    try:
        if item.source.problem is not None:
            raise item.source.problem
        if item.source_id in quarantine:
            raise WorkerDiedError(
                "a worker process died on this file twice, most likely in a decoder; "
                "convert the file with another program"
            )
        stream, content = open_hashed(item.source.path)
        seen = replace(seen, content=content)
        with stream:
            frames = read_image(stream, max_pixels=job.options.max_pixels)
        return (frames, codec.encode(frames.pixels)), seen
    except ReleaseStoppedError:
        raise
    except UnreadableFileError as error:
        seen = replace(seen, stamp="")  # a later run tries it again, whatever its stamp is then
        name, reason = type(error).__name__, str(error)
    except DeepfixcxError as error:
        name, reason = type(error).__name__, str(error)
    except Exception as error:  # one file must never stop a release
        # The text of a foreign exception may quote the file, so only its name is kept.
        name = type(error).__name__
        reason = "an unexpected error while reading or encoding; please report it"
    return Record(item.source_id, status="failed", error=name, reason=reason), seen


def _write_images(
    job: ShardJob,
    outbox: Outbox,
    codec: Codec,
    item: Planned,
    frames: ImageFrames,
    codes: Code,
) -> list[Record]:
    channels, height, width = frames.pixels.shape[1:]
    spec = str(codec.spec)
    rows = [
        Record(
            item.source_id,
            frame,
            channels=channels,
            height=height,
            width=width,
            bits=frames.bits,
            spec=spec,
        )
        for frame in range(len(codes))
    ]
    if job.options.output == "codes":
        return rows
    for frame in range(len(codes)):
        suffix = f".frame{frame:04d}" if len(codes) > 1 else ""
        name = f"images/{item.image_stem}{suffix}.png"
        target = outbox.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        image = codec.decode(codes[frame], job.options.size)[0]
        write_png(target, image, bits=frames.bits)
        rows[frame] = replace(
            rows[frame],
            image_file=name,
            image_dtype=f"uint{frames.bits}",
            image_sha256=sha256_of(target),
        )
        outbox.add([name])
    return rows
