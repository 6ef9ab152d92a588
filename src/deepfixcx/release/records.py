"""What is written down about each frame and each file of a release."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from deepfixcx.release.plan import ReleaseOptions

__all__ = ["FileDone", "Record", "ShardResult", "SourceSeen", "kept_depth", "kept_values"]


@dataclass(frozen=True)  # without slots, which make pickling slow
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
    image_file, dicom_file, code_file : str
        Where the result is, relative to the release folder; empty where there is none. All frames
        of an input are in one DICOM file.
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
    image_sha256, dicom_sha256, code_sha256 : str
        Hash of the whole file.
    masked : int
        Regions that were painted black, on every frame alike.
    masked_share : float
        Share of the pixels that was painted black, from 0 to 1.
    notes : str
        What the file says and what was not followed, such as a window beside all values. It stays
        in the private folder: its words may be those of a patient's name.
    error, reason : str
        Name of the error and what to do, for a failed file.
    """

    source_id: str
    frame: int = 0
    status: str = "done"
    image_file: str = ""
    dicom_file: str = ""
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
    dicom_sha256: str = ""
    code_sha256: str = ""
    masked: int = 0
    masked_share: float = 0.0
    notes: str = ""
    error: str = ""
    reason: str = ""

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the columns, in order."""
        return [field.name for field in fields(cls)]

    @classmethod
    def public_columns(cls) -> list[str]:
        """Names of the columns of the manifest, in order."""
        return [name for name in cls.columns() if name != "notes"]

    def files(self) -> list[str]:
        """Names of the files that hold its results."""
        return [name for name in (self.image_file, self.dicom_file, self.code_file) if name]


@dataclass(frozen=True)  # without slots, which make pickling slow
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


@dataclass(frozen=True)  # without slots, which make pickling slow
class SourceSeen:
    """Which bytes an input held when it was worked; for the private ledger alone.

    Attributes
    ----------
    source_id : str
        What the release calls the input.
    stamp : str
        What the file system says of the file, from before it was read; empty if it says nothing.
    content : str
        SHA-256 of its bytes; empty where it was not read.
    """

    source_id: str
    stamp: str
    content: str


@dataclass(frozen=True)  # without slots, which make pickling slow
class ShardResult:
    """What a worker returns of one shard: rows of the manifest, and what it read."""

    records: list[Record]
    sources: list[SourceSeen]


def kept_values(record: Record, options: ReleaseOptions) -> int:
    """Return how many numbers are kept of one frame: those of its code, or of its image."""
    if options.output in ("codes", "both"):
        return options.spec.numbers(record.channels)
    height, width = record.height, record.width
    if options.size == "compact":
        height, width = options.spec.compact_shape()
    return record.channels * height * width


def kept_depth(record: Record, options: ReleaseOptions) -> int:
    """Return the bits of each number that is kept."""
    has_codes = options.output in ("codes", "both")
    return 8 * np.dtype(options.dtype).itemsize if has_codes else record.bits
