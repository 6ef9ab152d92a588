"""The plan of a release: what each input will be called, and in which shard it is worked.

A plan depends on the list of inputs and the options alone, never on workers or on time, so the same
command makes the same release, and a stopped one can go on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, overload

import numpy as np

from deepfixcx.choices import Independent, Names, Retained, Size, Storage, Written
from deepfixcx.errors import SpecError
from deepfixcx.images import DEFAULT_MAX_PIXELS
from deepfixcx.images.masking import Mask
from deepfixcx.mechanisms.pixel_noise import PixelNoise
from deepfixcx.release.listing import Listing, Source, Sources
from deepfixcx.release.naming import KeptNames, Naming, NeutralNames
from deepfixcx.release.storage import RemoteFile
from deepfixcx.spec import CodecSpec

__all__ = ["LIMITS", "Plan", "Planned", "PlannedItems", "ReleaseOptions", "make_plan"]

PLAN_VERSION = 1
SECRET_PLAN_VERSION = 2
"""Of releases with noise, whose order version 0.1 drew from names and sizes."""

LIMITS = (
    "Codes and privatized images keep enough to train classifiers, and also enough to match two "
    "images of one patient about as well as raw pixels do. This release is smaller and harder to "
    "turn back into pictures; it is not anonymous by itself."
)

LEAST_SHARD, LARGEST_SHARD, SHARDS_WANTED = 16, 1024, 64


@dataclass(frozen=True)  # without slots, which make pickling slow
class ReleaseOptions:
    """Everything about a release that changes its bytes.

    Parameters
    ----------
    spec : CodecSpec
        The codec.
    output : {"images", "codes", "both", "dicom"}
        What to write.
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
        What may stay of the headers with ``output="dicom"``: dates, shifted by the same weeks for
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
        self.spec.refuse_volumes("a release")
        for name, allowed in (
            ("output", get_args(Written)),
            ("size", get_args(Size)),
            ("dtype", get_args(Storage)),
            ("names", get_args(Names)),
        ):
            if getattr(self, name) not in allowed:
                raise SpecError(
                    f"{name} is one of {', '.join(allowed)}, got {getattr(self, name)!r}"
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
        if self.retain and self.output != "dicom":
            raise SpecError(
                "retain requires output 'dicom': images and codes contain no header values"
            )
        if self.seed < 0:
            raise SpecError(f"a seed is a whole number from 0, got {self.seed}")
        if self.max_pixels < 1:
            raise SpecError(f"max_pixels is a number from 1, got {self.max_pixels}")
        self._check_noise()

    @property
    def limits(self) -> str:
        """What the metadata say of the privacy of such a release."""
        return LIMITS

    def papers(self) -> dict[str, bytes]:
        """Return metadata files beside the manifest, by their names."""
        return {}

    def _check_noise(self) -> None:
        if self.noise is None:
            return
        if self.noise.spec != self.spec:
            raise SpecError(f"the noise is for codes of {self.noise.spec}, got {self.spec}")
        if self.output == "dicom" or self.mask is not None:
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


@dataclass(frozen=True)  # without slots, which make pickling slow
class Planned:
    """One input with its place in the release."""

    source: Source
    source_id: str
    image_stem: str


class PlannedItems(Sequence[Planned]):
    """Every input with its place, made when it is asked for: names and paths take much memory."""

    def __init__(self, sources: Listing, naming: Naming) -> None:
        self._sources, self._naming = sources, naming

    def __len__(self) -> int:
        """Return the number of inputs."""
        return len(self._sources)

    @overload
    def __getitem__(self, place: int) -> Planned: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Planned, ...]: ...

    def __getitem__(self, place: int | slice) -> Planned | tuple[Planned, ...]:
        """Make one, or a few."""
        if isinstance(place, slice):
            return tuple(map(self._planned, range(*place.indices(len(self)))))
        return self._planned(range(len(self))[place])

    def __iter__(self) -> Iterator[Planned]:
        """Make one after the other."""
        return map(self._planned, range(len(self)))

    def _planned(self, place: int) -> Planned:
        source = self._sources[place]
        source_id = self._naming.source_id(place, source.name)
        return Planned(source, source_id, self._naming.image_stem(place, source.name))


@dataclass(frozen=True, eq=False)
class Plan:
    """Every input in release order, cut into shards.

    Attributes
    ----------
    options : ReleaseOptions
        What to do with them.
    items : sequence of Planned
        The inputs with their places; made when they are asked for.
    skipped : tuple of str
        Names of files that are no images.
    shard_size : int
        Inputs of a shard; the last may have fewer.
    inputs : str
        Hash of the names and sizes of all inputs.

    Examples
    --------
    >>> import tempfile
    >>> from deepfixcx.images import write_png
    >>> from deepfixcx.release import find_sources
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(20):
    ...     write_png(folder / f"{number}.png", np.zeros((1, 8, 8), np.float32), bits=8)
    >>> plan = make_plan(find_sources(folder), ReleaseOptions(CodecSpec(1, 2)))
    >>> len(plan.items), plan.shards
    (20, 2)
    """

    options: ReleaseOptions
    items: PlannedItems
    skipped: tuple[str, ...]
    shard_size: int
    inputs: str

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self.items) // self.shard_size)

    def shard(self, number: int) -> tuple[Planned, ...]:
        """Return the inputs of one shard."""
        return self.items[number * self.shard_size : (number + 1) * self.shard_size]

    def files_of(self, number: int) -> int:
        """Return how many inputs one shard has."""
        return min(self.shard_size, len(self.items) - number * self.shard_size)

    def path_of(self, source_id: str) -> Path | RemoteFile:
        """Return where an input lies."""
        return next(item.source.path for item in self.items if item.source_id == source_id)

    def needs(self, name: str) -> bool:
        """Return whether a release by this plan may have a file of this name."""
        if name in ("manifest.csv", "failures.csv", "dataset.json", *self.options.papers()):
            return True
        room, _, rest = name.partition("/")
        if room == "codes" and self.options.output in ("codes", "both"):
            return re.fullmatch(r"shard-\d+-\d+\.safetensors", rest) is not None
        made = {"images": ["images"], "both": ["images"], "dicom": ["dicom"], "codes": []}
        made["deidentified"] = made["dicom"]
        if room not in made[self.options.output]:
            return False
        suffix = ".png" if room == "images" else ".dcm"
        stem = re.sub(r"\.frame\d{4,}$", "", rest.removesuffix(suffix))
        return rest.endswith(suffix) and any(item.image_stem == stem for item in self.items)

    def identity(self) -> dict[str, str]:
        """Return what must agree for a release to be resumed: its inputs and each option."""
        options = self.options.to_dict()
        return {
            "plan version": str(
                PLAN_VERSION if self.options.noise is None else SECRET_PLAN_VERSION
            ),
            "inputs": self.inputs,
            **{name: json.dumps(value, sort_keys=True) for name, value in options.items()},
        }


def make_plan(sources: Sources, options: ReleaseOptions, secret: str = "") -> Plan:
    """Give the inputs numbers in a shuffled order and cut them into shards.

    The order is shuffled because the alphabetical order of file names can itself tell names. The
    names and sizes of all inputs take part in the shuffle, so that an attacker who lacks them
    cannot undo it, and the same inputs still give the same order. With noise nothing but the noisy
    codes may depend on pixels, and sizes of files do: then a secret takes part, and names only.

    Parameters
    ----------
    sources : Sources
        From `find_sources`.
    options : ReleaseOptions
        `names` and `seed` are used here.
    secret : str
        Hexadecimal; used with noise, where it decides the order.

    Returns
    -------
    Plan
        The same for the same inputs, options and secret.

    Examples
    --------
    >>> from deepfixcx.release import find_sources
    >>> plan = make_plan(find_sources("xrays"), ReleaseOptions(CodecSpec(3, 4)))  # doctest: +SKIP
    """
    found = sources.found if isinstance(sources.found, Listing) else Listing(sources.found)
    inputs = _listing_hash(found)
    if options.noise is None:
        generator = np.random.default_rng([options.seed, int.from_bytes(inputs, "big")])
        order = generator.permutation(len(found))
    else:
        generator = np.random.default_rng(int(secret or "0", 16))
        order = np.array(found.by_name(), np.int64)[generator.permutation(len(found))]
    shuffled = found.select(order)
    naming: Naming
    if options.names == "keep":
        naming = KeptNames(source.name for source in shuffled)
    else:
        naming = NeutralNames((source.name for source in found), generator)
    size = min(max(-(-len(found) // SHARDS_WANTED), LEAST_SHARD), LARGEST_SHARD)
    return Plan(options, PlannedItems(shuffled, naming), sources.skipped, size, inputs.hex())


def _listing_hash(sources: Listing) -> bytes:
    """Return one hash of the names and sizes of all inputs."""
    listing = hashlib.sha256()
    for place in sources.by_name():
        source = sources[place]
        listing.update(f"{source.name}\0{source.size}\0".encode())
    return listing.digest()
