"""What a release is made with: options that decide its bytes, and options of a run that do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast, get_args

import numpy as np

from deepfixcx.choices import (
    CONTENTS,
    Engine,
    Independent,
    Names,
    Output,
    Retained,
    Size,
    Storage,
    Written,
)
from deepfixcx.errors import SpecError
from deepfixcx.images.frames import DEFAULT_MAX_PIXELS
from deepfixcx.spec import CodecSpec

if TYPE_CHECKING:
    from deepfixcx.images.masking import Mask
    from deepfixcx.mechanisms.pixel_noise import PixelNoise
    from deepfixcx.release.leaves import Leaves
    from deepfixcx.release.ledger import Record
    from deepfixcx.release.run import Progress
    from deepfixcx.release.run_log import RunLog

__all__ = [
    "LIMITS",
    "ReleaseOptions",
    "RunOptions",
    "kept_depth",
    "kept_of",
    "kept_values",
    "output_named",
    "sides_of",
    "source_values",
    "values_of",
]

LIMITS = (
    "Codes and privatized images keep enough to train classifiers, and also enough to match two "
    "images of one patient about as well as raw pixels do. This release is smaller and harder to "
    "turn back into pictures; it is not anonymous by itself."
)


@dataclass(frozen=True)  # without slots, which make pickling slow
class ReleaseOptions:
    """Everything about a release that changes its bytes.

    Parameters
    ----------
    spec : CodecSpec
        The codec.
    output : {"images", "codes", "both", "dicom", "images,dicom", "codes,dicom", ...}
        What to write: privatized images, codes, both, images as DICOM, or several of these; see
        `output_named`.
    size : {"compact", "original"}
        Size of the privatized images.
    dtype : {"float32", "float16", "uint8"}
        How the numbers of codes are stored.
    names : {"neutral", "keep"}
        Number files and folders, or call them as their sources.
    seed : int
        Chooses, together with names and sizes of the inputs, the order in which they are numbered.
        With noise the order is drawn from a secret, because a size depends on pixels.
    max_pixels : int
        Images that declare more pixels are refused.
    retain : tuple of {"dates", "patient", "device", "descriptors"}
        What may stay of the headers with DICOM output: dates, shifted by the same weeks for
        all images of a patient; sex, age and the like; the device; harmless words of descriptions.
    mechanisms : tuple of {"bands", "quantization"}
        What is done to every code, in this order, before it is stored or made into an image; see
        `deepfixcx.mechanisms`.
    mask : Mask, optional
        What is painted black on every frame before it is encoded.
    noise : PixelNoise, optional
        Encodes in place of the codec, of the same spec. It is drawn once for every image and never
        again; only 8-bit pictures can be encoded so.

    Raises
    ------
    SpecError
        An option is not one of those allowed, or has no use with this output.

    Examples
    --------
    >>> options = ReleaseOptions(CodecSpec(level=3, patches=4), output="codes", dtype="float16")
    >>> options.names, options.seed
    ('neutral', 0)
    """

    spec: CodecSpec
    output: Written = "both"
    size: Size = "compact"
    dtype: Storage = "float32"
    names: Names = "neutral"
    seed: int = 0
    max_pixels: int = DEFAULT_MAX_PIXELS
    retain: tuple[Retained, ...] = ()
    mechanisms: tuple[Independent, ...] = ()
    mask: Mask | None = None
    noise: PixelNoise | None = None

    def __post_init__(self) -> None:
        """Refuse an option that is not allowed."""
        for name, allowed in (
            ("output", tuple(CONTENTS)),
            ("size", get_args(Size)),
            ("dtype", get_args(Storage)),
            ("names", get_args(Names)),
        ):
            if getattr(self, name) not in allowed:
                raise SpecError(
                    f"{name} is one of {'; '.join(allowed)}, got {getattr(self, name)!r}"
                )
        if unknown := set(self.retain) - set(get_args(Retained)):
            raise SpecError(
                f"retain is any of {', '.join(get_args(Retained))}, got {sorted(unknown)}"
            )
        if others := sorted(set(self.mechanisms) - set(get_args(Independent))):
            raise SpecError(
                f"the mechanisms of an ordinary release are {', '.join(get_args(Independent))}, "
                f"got {', '.join(others)}; for others, which need labels, use "
                "deepfixcx.release.privatize_protected"
            )
        if len(set(self.mechanisms)) < len(self.mechanisms):
            raise SpecError(f"a mechanism is named twice: {', '.join(self.mechanisms)}")
        if self.retain and not (self.writes("dicom") and self.output != "deidentified"):
            raise SpecError(
                "retain requires output 'dicom': images and codes contain no header values"
            )
        if self.seed < 0:
            raise SpecError(f"a seed is a whole number from 0, got {self.seed}")
        if self.max_pixels < 1:
            raise SpecError(f"max_pixels is a number from 1, got {self.max_pixels}")
        if self.spec.ndim == 3:
            self._check_volumes()
        self._check_noise()

    def writes(self, kind: str) -> bool:
        """Return whether such a release has files of a kind: image, code or dicom."""
        return kind in CONTENTS[self.output]

    @property
    def limits(self) -> str:
        """What the metadata say of the privacy of such a release."""
        return LIMITS

    def papers(self) -> dict[str, bytes]:
        """Return metadata files beside the manifest, by their names."""
        return {}

    def _check_volumes(self) -> None:
        """Refuse what is defined for images alone."""
        named = {
            "a mask": self.mask is not None,
            "noise": self.noise is not None,
            "a mechanism": bool(self.mechanisms),
        }
        for what, asked in named.items():
            if asked:
                self.spec.refuse_volumes(what)
        if self.writes("dicom") and self.output != "dicom":
            raise SpecError(
                "of a volume DICOM output has a file for each slice, and other outputs one for all "
                "slices; make a release of --output dicom alone"
            )

    def _check_noise(self) -> None:
        if self.noise is None:
            return
        if self.noise.spec != self.spec:
            raise SpecError(f"the noise is for codes of {self.noise.spec}, got {self.spec}")
        if self.writes("dicom") or self.mask is not None:
            raise SpecError(
                "noise requires unchanged 8-bit images: a mask and DICOM output can depend on "
                "all pixels; omit --mask and --output dicom"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return plain | {
            "spec": self.spec.to_dict(),
            "retain": sorted(set(self.retain)),
            "mechanisms": list(self.mechanisms),
            "mask": self.mask.name if self.mask is not None else None,
            "noise": None if self.noise is None else self.noise.name,
        }


class RunOptions(TypedDict, total=False):
    """How a release is run; none of these changes a byte of its images and codes.

    Attributes
    ----------
    private : str or Path, optional
        Folder of this machine for the names of the sources and the ledger; by default the one
        beside the release. A release at a URL needs one.
    key : str or Path, optional
        File of the key that pseudonyms are made with, for DICOM output; made where there is
        none. By default it lies in the private folder. Give several releases one key, and the same
        patient has one pseudonym in all of them.
    pseudonyms : str or Path, optional
        Table (.csv) to write of who is whose pseudonym, for DICOM output; rows that it has
        stay. It must lie neither in the release nor in the input.
    patient : str, optional
        Column of patients of the table IN, or ``PatientID`` for those of DICOM headers: each image
        gets the pseudonym of its patient in the manifest.
    workers : int
        Processes, 1 by default. What lies in ``memory://`` is worked in this process.
    engine : {"local", "dask"}
        Processes of this machine, or a dask cluster.
    scheduler : str, optional
        Address of dask's scheduler; without it, a cluster of so many workers on this machine.
    insecure_scheduler : bool
        Use a scheduler without TLS. Every account that can connect to it can run code as you.
    resume : bool
        Go on with a release that was stopped; its inputs and options must be the same.
    add : bool
        Put inputs that are new into a finished release; those with the same bytes are left out.
    overwrite : bool
        Remove an earlier release of deepfixcx in that folder first.
    report : callable
        Called with the progress after each file.
    waiting : callable
        Called about every 20 s with what the run waits for, while dask has no worker.
    log : RunLog, optional
        Log for monitoring.
    again : str
        The command line that goes on with this release, for `read_status`; kept in the private
        folder.
    leaves : Leaves, optional
        What people state about the release, and whether it gets tables in Parquet.

    Examples
    --------
    >>> run: RunOptions = {"workers": 4, "resume": True}
    """

    private: str | Path | None
    key: str | Path | None
    pseudonyms: str | Path | None
    patient: str | None
    workers: int
    engine: Engine
    scheduler: str | None
    insecure_scheduler: bool
    resume: bool
    add: bool
    overwrite: bool
    report: Callable[[Progress], None] | None
    waiting: Callable[[str], None] | None
    log: RunLog | None
    again: str
    leaves: Leaves | None


def output_named(text: str) -> Output:
    """Return the output that the words of --output name, in any order; refuse unknown words."""
    words = {word.strip() for word in text.split(",")}
    words = words - {"both"} | ({"images", "codes"} if "both" in words else set())
    kinds = {word.removesuffix("s") for word in words}
    for known in get_args(Output):
        if CONTENTS[known] == kinds and words <= {"images", "codes", "dicom"}:
            return cast("Output", known)
    raise SpecError(f"--output is any of images, codes, dicom, with commas between; got {text!r}")


def kept_values(record: Record, options: ReleaseOptions, numbers: int) -> int:
    """Return how many values are kept of one frame: `numbers` a channel of its code, or pixels."""
    if options.writes("code"):
        return record.channels * numbers
    sides = record.depth, record.height, record.width
    return record.channels * _kept_pixels(options.spec, options.output, options.size, sides)


def _kept_pixels(spec: CodecSpec, output: object, size: object, sides: tuple[int, int, int]) -> int:
    """Return the pixels of one channel of an image, of a volume, or of one slice as DICOM."""
    kept = spec.compact_shape() if size == "compact" else (max(1, sides[0]), *sides[1:])
    return math.prod(kept[-2:] if output == "dicom" else kept)


def source_values(record: Record, options: ReleaseOptions) -> int:
    """Return how many values the source of a record has."""
    sides = record.depth, record.height, record.width
    return record.channels * _source_pixels(options.output, record.frame, sides)


def _source_pixels(output: object, frame: int, sides: tuple[int, int, int]) -> int:
    """Return the pixels of one channel; those of a volume count once for its DICOM slices."""
    if sides[0] and output == "dicom" and frame:
        return 0
    return math.prod((max(1, sides[0]), *sides[1:]))


def kept_depth(record: Record, options: ReleaseOptions) -> int:
    """Return the bits of each number that is kept."""
    return 8 * np.dtype(options.dtype).itemsize if options.writes("code") else record.bits


def sides_of(row: Mapping[str, str]) -> tuple[int, int, int]:
    """Return slices, height and width of the source of a row of the manifest; 0 slices: 2-D."""
    return int(row.get("depth") or 0), int(row["height"]), int(row["width"])


def values_of(row: Mapping[str, str], options: Mapping[str, Any]) -> int:
    """Return how many values the source of a row of the manifest has."""
    pixels = _source_pixels(options.get("output"), int(row["frame"]), sides_of(row))
    return int(row["channels"]) * pixels


def kept_of(row: Mapping[str, str], options: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many values a release keeps of one image, and the bits of each."""
    channels, bits = int(row["channels"]), int(row["bits"])
    output = options.get("output", "both")
    if output == "deidentified":
        return values_of(row, options), bits
    spec = CodecSpec.from_dict(options["spec"])
    if "code" in CONTENTS[output]:
        return channels * spec.numbers(1), 8 * np.dtype(options["dtype"]).itemsize
    return channels * _kept_pixels(spec, output, options.get("size"), sides_of(row)), bits
