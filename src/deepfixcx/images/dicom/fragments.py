"""The compressed frames of a DICOM file: neither more nor fewer than the header says."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets

from deepfixcx.errors import ContradictoryHeaderError, DamagedImageError, UnsupportedImageError
from deepfixcx.images.dicom.layout import Layout

__all__ = ["compressed_frames", "contradiction", "inflated", "of_size", "other_frames"]

_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0c", b"\xff\x0a")
"""First bytes of JPEG and JPEG-LS, of JPEG 2000, of boxes around it or JPEG XL, of JPEG XL."""

_AGAIN: Final = "copy the file again from its source"
_CORRECT: Final = "correct the header, or export the image again"


def compressed_frames(dataset: Dataset, layout: Layout) -> list[bytes]:
    """Separate the frames, and refuse a number of them that is not the header's."""
    content = getattr(dataset, layout.keyword)
    offsets = parse_basic_offsets(content)
    behind_table = BytesIO(content)
    behind_table.seek(8 + 4 * len(offsets))
    fragments = [each for each in generate_fragments(behind_table) if each]
    wanted = layout.frames
    if not fragments:
        raise DamagedImageError(f"the pixels have no frames; {_AGAIN}")
    codestreams = layout.family not in ("encapsulated", "deflate", "RLE")
    if len(fragments) == wanted:
        frames = fragments
    elif codestreams or layout.family == "encapsulated":
        frames = list(_joined(fragments, dataset, content, layout, offsets))
    else:  # PS3.5 A.4.2: in RLE each frame is one fragment
        raise other_frames(len(fragments))
    if len(frames) != wanted:
        raise other_frames(len(frames))
    return frames


def _joined(
    fragments: list[bytes], dataset: Dataset, content: bytes, layout: Layout, offsets: list[int]
) -> Iterator[bytes]:
    """Put together frames that are more, or fewer, than the fragments."""
    extended = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    if all(extended) or len(offsets) == layout.frames > 1:
        yield from generate_frames(
            content,
            number_of_frames=layout.frames,
            extended_offsets=extended if all(extended) else None,
        )
        return
    begins = [fragment.startswith(_STARTS) for fragment in fragments]
    if not begins[0] or layout.family == "encapsulated":
        begins = [True] + [False] * (len(fragments) - 1)
    starts = [place for place, first in enumerate(begins) if first]
    for start, end in zip(starts, [*starts[1:], len(fragments)], strict=True):
        yield b"".join(fragments[start:end])


def of_size(frames: list[bytes], layout: Layout) -> Iterator[bytes]:
    """Cut the padding off uncompressed frames."""
    if layout.frame_bits % 8 and layout.frames > 1:
        raise UnsupportedImageError(
            "encapsulated frames of 1 bit per pixel are not read; save the image uncompressed"
        )
    size = -(-layout.frame_bits // 8)
    for frame in frames:
        if not 0 <= len(frame) - size <= 1:
            raise contradiction("size")
        yield frame[:size]


def inflated(frame: bytes, layout: Layout) -> bytes:
    """Inflate one frame, whose size is known (PS3.5 A.4.13: RFC 1951)."""
    size = -(-layout.frame_bits // 8)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(frame, size + 1)
    if len(content) != size or not inflater.eof:
        if len(content) < size and not inflater.eof:
            raise DamagedImageError(f"a compressed frame is truncated; {_AGAIN}")
        raise contradiction("size")
    return next(of_size([content], layout))


def other_frames(found: int) -> ContradictoryHeaderError:
    """Return the error for another number of frames than the header's."""
    return ContradictoryHeaderError(
        f"the pixels contain {found} frames, but Number of Frames is absent or different; "
        "correct Number of Frames in the header"
    )


def contradiction(what: str) -> ContradictoryHeaderError:
    """Return the error for frames that are not what the header says."""
    return ContradictoryHeaderError(
        f"the compressed frames contradict the header in their {what}; {_CORRECT}"
    )
