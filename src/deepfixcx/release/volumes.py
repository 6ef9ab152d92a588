"""Volumes in a release: the files of a DICOM series become one input, and its voxels one code."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.images.frames import SNIFFED_BYTES, ImageFrames, sniff
from deepfixcx.images.reading import guarded
from deepfixcx.images.volumes import (
    Volume,
    move_affine,
    read_series,
    read_volume,
    stored_order,
    stored_places,
)
from deepfixcx.release.dicom_output import DicomOutput, DicomSource
from deepfixcx.release.inputs import Source
from deepfixcx.release.ledger import Record
from deepfixcx.release.options import sides_of
from deepfixcx.release.places import Place
from deepfixcx.release.plan import Planned, ShardJob
from deepfixcx.release.storage import Input, Series, content_of_files, open_hashed
from deepfixcx.spec import CodecSpec

__all__ = ["SAME_PIXELS", "join_series", "read_input", "volume_fault", "volume_results"]

SAME_PIXELS = {"float32": 0.01, "float16": 0.02, "uint8": 0.08}
"""Mean difference of an image from that of its code, by how the code was rounded after it."""


def join_series(sources: Iterable[Source]) -> Iterator[Source]:
    """Yield each input, and one in place of the files of a DICOM series, named as their first."""
    series: dict[tuple[str, ...], list[Source]] = {}
    for source in sources:
        if key := _series_of(source):
            series.setdefault(key, []).append(source)
        else:
            yield source
    for members in series.values():
        if len(members) == 1:
            yield members[0]
            continue
        members.sort(key=lambda source: source.name)
        files = tuple(each.path for each in members if not isinstance(each.path, Series))
        yield Source(Series(files), members[0].name, sum(each.size for each in members))


def _series_of(source: Source) -> tuple[str, ...]:
    """Return what identifies the series of a slice; empty for any other file."""
    if source.problem is not None:
        return ()
    with suppress(DeepfixcxError):  # it is an input alone, and fails with its own reason
        stream, _ = open_hashed(source.path)
        with stream:
            if sniff(stream.read(SNIFFED_BYTES)) == "DICOM":
                from deepfixcx.images.dicom.series import series_of

                stream.seek(0)
                return guarded(lambda: series_of(stream))
    return ()


def read_input(where: Input, max_pixels: int) -> tuple[Volume | DeepfixcxError, str]:
    """Read one input and hash its bytes; return its volume, or why it is none, and the hash."""
    if not isinstance(where, Series):
        stream, content = open_hashed(where)
        with stream:
            try:
                return read_volume(stream, max_pixels=max_pixels), content
            except DeepfixcxError as error:
                return error, content
    digests: list[str] = []
    slices = where.slices(digests)
    found: Volume | DeepfixcxError
    try:
        found = read_series(slices, max_pixels=max_pixels)
    except DeepfixcxError as error:
        found = error
        slices.close()
        for file in where.files[len(digests) :]:  # the hash is that of all files
            stream, digest = open_hashed(file)
            stream.close()
            digests.append(digest)
    return found, content_of_files(digests)


def volume_results(
    job: ShardJob, codec: Codec, item: Planned, volume: Volume, content: str
) -> tuple[list[Record], dict[str, bytes], Code | None]:
    """Encode the volumes of one input; return rows, files and codes."""
    options = job.options
    codes = codec.encode(volume.voxels)
    depth, height, width = volume.size
    row = Record(
        item.source_id,
        channels=1,
        height=height,
        width=width,
        bits=volume.bits,
        spec=str(codec.spec),
        notes="; ".join(volume.notes),
        depth=depth,
    )
    rows = [replace(row, frame=frame) for frame in range(len(codes))]
    if job.dicom is not None:
        return *_as_series(job.dicom, codec, item, volume, content, row, codes), None
    files: dict[str, bytes] = {}
    if options.writes("image"):
        rows, files = _as_nifti(job, codec, item, volume, rows, codes)
    return rows, files, codes if options.writes("code") else None


def _as_nifti(
    job: ShardJob, codec: Codec, item: Planned, volume: Volume, rows: list[Record], codes: Code
) -> tuple[list[Record], dict[str, bytes]]:
    """Make a NIfTI file of each reconstruction, placed as its source is."""
    from deepfixcx.images.dicom.geometry import lattice_of
    from deepfixcx.images.nifti import nifti_bytes

    lattice = lattice_of(codec.spec, job.options.size, *volume.size)
    affine = move_affine(volume.affine, lattice.offset, lattice.step)
    files: dict[str, bytes] = {}
    named = []
    for frame, row in enumerate(rows):
        suffix = f".frame{frame:04d}" if len(rows) > 1 else ""
        name = f"images/{item.image_stem}{suffix}.nii.gz"
        decoded = np.asarray(codec.decode(codes[frame], job.options.size), np.float32)[0, 0]
        files[name] = nifti_bytes(decoded, affine, volume.turned, bits=volume.bits)
        named.append(replace(row, image_file=name, image_dtype=f"uint{volume.bits}"))
    return named, files


def _as_series(
    dicom: DicomOutput,
    codec: Codec,
    item: Planned,
    volume: Volume,
    content: str,
    row: Record,
    codes: Code,
) -> tuple[list[Record], dict[str, bytes]]:
    """Make a DICOM series of a reconstruction: one file and one row for each slice."""
    from pydicom.uid import UID

    from deepfixcx.images.dicom.geometry import Lattice, lattice_of
    from deepfixcx.images.dicom.reading import DicomHeader
    from deepfixcx.images.dicom.series import moved_headers

    size = dicom.options.size
    decoded = np.asarray(codec.decode(codes, size), np.float32)[0, 0]
    lattice = lattice_of(codec.spec, size, *volume.size)
    affine = move_affine(volume.affine, lattice.offset, lattice.step)
    before, after = (stored_places(volume.turned, shape) for shape in (volume.size, decoded.shape))
    # of the stored axes: new places as places of the source
    moved = before @ np.linalg.inv(volume.affine) @ affine @ np.linalg.inv(after)
    moved = np.round(moved, 9)
    offset, step = moved[:3, 3][::-1], np.diag(moved)[:3][::-1]
    in_plane = Lattice(tuple(map(float, offset[1:])), tuple(map(float, step[1:])))
    stored = stored_order(decoded, volume.turned)
    shape = stored_order(volume.voxels[0, 0], volume.turned).shape[1:]
    like = np.broadcast_to(np.float32(0), (1, 1, *shape))  # its size alone is used
    frames = ImageFrames(like, volume.bits, "DICOM")
    headers = guarded(lambda: moved_headers(volume, float(offset[0]), float(step[0]), len(stored)))
    rows, files = [], {}
    for place, (header, pixels) in enumerate(zip(headers, stored, strict=True)):
        meta = getattr(header, "file_meta", None)
        syntax = UID(str(meta.get("TransferSyntaxUID", ""))) if meta is not None else UID("")
        made_of = DicomHeader(header, syntax, like.size * volume.bits // 8)
        source = DicomSource(
            made_of,
            f"{content} {place}",
            frames,
            0,
            patient=item.patient,
            slices=volume.size[0],
            lattice=in_plane,
        )
        name = f"dicom/{item.image_stem}.frame{place:04d}.dcm"
        files[name] = dicom.content(source, [pixels[np.newaxis]])
        patient = dicom.patient(source)
        rows.append(replace(row, frame=place, dicom_file=name, patient=patient))
    return rows, files


def volume_fault(
    place: Place, row: Mapping[str, str], spec: CodecSpec, size: str, code: Code | None
) -> str:
    """Say what is wrong with the NIfTI file of a row of the manifest; empty if nothing is."""
    from deepfixcx.images.nifti import is_bare_volume

    bits = int(row["bits"])
    sides = spec.compact_shape() if size == "compact" else sides_of(row)
    try:
        with place.fetched(row["image_file"]) as path:
            content = path.read_bytes()
        found = read_volume(io.BytesIO(content), max_pixels=2 * math.prod(sides))
    except (DeepfixcxError, OSError):
        return "a volume cannot be read"
    if not is_bare_volume(content, bits):
        return "the file of a volume holds data other than voxels of its depth"
    if (found.size, f"uint{bits}") != (sides, row["image_dtype"]):
        return "the size or depth of a volume differs from manifest.csv or dataset.json"
    if code is not None:
        one = code[int(row["code_row"])]
        made = Codec(spec).decode(one, "compact" if size == "compact" else "original")
        differences = np.abs(np.clip(made[0], 0, 1) - found.voxels[0])
        if float(differences.mean()) > SAME_PIXELS[row["code_dtype"]]:
            return "a volume does not match its code"
    return ""
