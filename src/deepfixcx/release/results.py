"""What is written of one input: privatized images, or one DICOM file with all its frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.images import ImageFrames
from deepfixcx.images.masking import Region, painted_share
from deepfixcx.images.png import png_bytes
from deepfixcx.release.dicom_output import DicomOutput, DicomSource
from deepfixcx.release.places import Outbox
from deepfixcx.release.plan import Planned, ReleaseOptions
from deepfixcx.release.records import Record

if TYPE_CHECKING:
    from deepfixcx.images.dicom.reading import DicomHeader

__all__ = ["Loaded", "write_results"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """One input: read, masked and encoded."""

    frames: ImageFrames
    codes: Code
    header: DicomHeader | None
    content: str
    regions: tuple[Region, ...]


def write_results(
    options: ReleaseOptions,
    dicom: DicomOutput | None,
    outbox: Outbox,
    codec: Codec,
    item: Planned,
    loaded: Loaded,
) -> list[Record]:
    """Write what the options ask for of one input, except codes, which many inputs share a file of.
    """
    rows = _rows(codec, item, loaded)
    if options.output in ("images", "both"):
        return _write_images(options, outbox, codec, item, loaded, rows)
    if dicom is not None:
        return _write_dicom(options, dicom, outbox, codec, item, loaded, rows)
    return rows


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


def _write_images(
    options: ReleaseOptions,
    outbox: Outbox,
    codec: Codec,
    item: Planned,
    loaded: Loaded,
    rows: list[Record],
) -> list[Record]:
    codes, bits = loaded.codes, loaded.frames.bits
    for frame in range(len(codes)):
        suffix = f".frame{frame:04d}" if len(codes) > 1 else ""
        name = f"images/{item.image_stem}{suffix}.png"
        image = codec.decode(codes[frame], options.size)[0]
        content = outbox.put(name, png_bytes(image, bits=bits))
        rows[frame] = replace(
            rows[frame], image_file=name, image_dtype=f"uint{bits}", image_sha256=content
        )
    return rows


def _write_dicom(
    options: ReleaseOptions,
    dicom: DicomOutput,
    outbox: Outbox,
    codec: Codec,
    item: Planned,
    loaded: Loaded,
    rows: list[Record],
) -> list[Record]:
    name = f"dicom/{item.image_stem}.dcm"
    source = DicomSource(loaded.header, loaded.content, loaded.frames, len(loaded.regions))
    images = list(codec.decode(loaded.codes, options.size))
    content = outbox.put(name, dicom.content(source, images))
    return [replace(row, dicom_file=name, dicom_sha256=content) for row in rows]
