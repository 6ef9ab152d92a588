"""What is written down about each frame and each file of a release."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from deepfixcx.release.plan import ReleaseOptions

__all__ = ["FileDone", "Record", "ShardResult", "SourceSeen", "kept_depth", "kept_values"]


@dataclass(frozen=True)  # without slots, which make pickling slow
class Record:
    """One row of the manifest: one frame of one input, or one input that failed."""

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
    """What became of one input, for the progress."""

    failed: bool
    images: int = 0
    bytes_in: int = 0
    bytes_kept: int = 0


@dataclass(frozen=True)  # without slots, which make pickling slow
class SourceSeen:
    """Which bytes an input held when it was worked; for the private ledger alone."""

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
