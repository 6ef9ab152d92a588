"""What a release folder states, read for people: metadata, images, what each image keeps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.choices import CONTENTS
from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError, ReleaseError
from deepfixcx.images import read_image
from deepfixcx.packets import pixel_scale
from deepfixcx.release import Release
from deepfixcx.report.words import Kept
from deepfixcx.spec import CodecSpec

__all__ = [
    "Applied",
    "ReleaseFacts",
    "Shared",
    "applied_in",
    "detail_left",
    "readable",
    "spread_out",
]

MOST = 1 << 63
"""Counts are smaller: of bytes, of values, of patients."""

NOT_PARAMETERS = frozenset({"mechanism", "guarantee", "steps"})


@dataclass(frozen=True, slots=True)
class Applied:
    """One mechanism of a release."""

    name: str
    parameters: str
    guarantee: str

    @property
    def words(self) -> str:
        """Name and parameters in a line."""
        return f"{self.name} ({self.parameters})" if self.parameters else self.name


def applied_in(manifests: Sequence[Any]) -> tuple[Applied, ...]:
    """Read the manifests of mechanisms, a chain as its steps."""
    return tuple(_flat(manifests))


def _flat(manifests: Sequence[Any]) -> Iterator[Applied]:
    for each in manifests:
        if not isinstance(each, Mapping):
            yield Applied(str(each), "", "")
        elif isinstance(each.get("steps"), list):
            yield from _flat(each["steps"])
        else:
            parameters = ", ".join(
                f"{name.replace('_', ' ')} = {_short(value)}"
                for name, value in each.items()
                if name not in NOT_PARAMETERS and value not in (None, "", [])
            )
            name = str(each.get("mechanism", "a mechanism without a name"))
            yield Applied(name, parameters, str(each.get("guarantee", "")))


def _short(value: object) -> str:
    """Return a parameter in words; of a long list, how many there are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        listed = ", ".join(map(str, value))
        return listed if len(listed) <= 60 else f"{len(value)} of them"
    return str(value)


@dataclass(frozen=True, slots=True)
class Shared:
    """One image of a release."""

    source_id: str
    frame: int
    image_file: str
    code_file: str
    code_row: int
    channels: int
    height: int
    width: int
    dicom_file: str = ""
    masked: int = 0
    masked_share: float = 0.0

    @classmethod
    def of_row(cls, row: Mapping[str, str]) -> Shared:
        """Read a row of the manifest."""
        return cls(
            row["source_id"],
            int(row["frame"]),
            row["image_file"],
            row["code_file"],
            int(row["code_row"]),
            int(row["channels"]),
            int(row["height"]),
            int(row["width"]),
            row.get("dicom_file") or "",
            int(row.get("masked") or 0),
            float(row.get("masked_share") or 0),
        )

    @property
    def name(self) -> str:
        """Its id, with the frame where that is not the first."""
        return self.source_id + (f", frame {self.frame + 1}" if self.frame else "")


@dataclass(frozen=True, eq=False)
class ReleaseFacts:
    """A finished release."""

    folder: Path
    about: Mapping[str, Any]
    images: tuple[Shared, ...]
    failures: tuple[tuple[str, str, str], ...]
    checksum: str

    @classmethod
    def read(cls, folder: Path) -> ReleaseFacts:
        """Read the metadata of a release."""
        release = Release.open(folder)
        release.check_manifest()
        about, rows = release.about, release.rows
        try:
            done = tuple(Shared.of_row(row) for row in rows if row["status"] == "done")
            failed = tuple(
                (row["source_id"], row["error"], row["reason"])
                for row in rows
                if row["status"] == "failed"
            )
            _check(about)
            facts = cls(folder, about, done, failed, release.checksum)
            _ = facts.spec, facts.totals["images"], about["software"]["deepfixcx"]
            sizes = [side for each in done for side in (each.channels, each.height, each.width)]
            if min(sizes, default=1) < 1 or facts.spec.numbers(1) >= MOST:
                raise ValueError("sizes")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ReleaseError(
                f"the metadata of {str(folder)!r} is damaged; deepfixcx verify names the fault"
            ) from None
        facts.spec.refuse_volumes("a page on a release")
        return facts

    @property
    def spec(self) -> CodecSpec:
        """The codec."""
        return CodecSpec.from_dict(self.about["options"]["spec"])

    @property
    def totals(self) -> Mapping[str, int]:
        """What was counted."""
        totals: Mapping[str, int] = self.about["totals"]
        return totals

    def holds(self, kind: str) -> bool:
        """Return whether dataset.json states files of a kind: image, code or dicom."""
        return kind in CONTENTS.get(str(self.about["options"].get("output", "both")), ())

    @property
    def applied(self) -> tuple[Applied, ...]:
        """What was done beside the codec."""
        return applied_in(self.about.get("mechanisms", []))

    @property
    def mechanism_names(self) -> tuple[str, ...]:
        """What was asked for beside the codec, as commands call it; ``("plain",)`` for nothing."""
        options = self.about["options"]
        asked = options.get("mechanisms") or options.get("mechanism") or ()
        names = asked.split(",") if isinstance(asked, str) else map(str, asked)
        return tuple(names) or ("plain",)

    @property
    def noun(self) -> str:
        """What one entry of the release is: an image, a frame of a DICOM file, or a record."""
        if self.records is not None:
            return "record"
        return "frame" if self.about["options"].get("output") == "dicom" else "image"

    @property
    def records(self) -> Mapping[str, Any] | None:
        """What a release by a mechanism says of its records; None for one of images."""
        found = self.about.get("records")
        return found if isinstance(found, dict) else None

    @property
    def vectors(self) -> bool:
        """Whether records are rows of numbers: without bands or cells, and no pictures."""
        return len((self.records or {}).get("shape") or ()) == 1

    @property
    def has_codes(self) -> bool:
        """Whether there is anything that ``audit`` could attack."""
        return self.records is not None or any(each.code_file for each in self.images)

    def usual_size(self) -> tuple[int, ...]:
        """Return channels, height and width that most sources have, each counted once."""
        if self.records is not None:
            channels = self.images[0].channels if self.images else 1
            if not self.states_sizes:
                return channels, *self.spec.compact_shape()
            count = max(int(self.records.get("images") or 1), 1)
            side = math.isqrt(max(int(self.totals["source_values"]) // count // channels, 1))
            return channels, side, side
        sources = {each.source_id: each for each in reversed(self.images)}
        sizes = Counter((each.channels, each.height, each.width) for each in sources.values())
        return sizes.most_common(1)[0][0] if sizes else (1, *self.spec.compact_shape())

    @property
    def states_sizes(self) -> bool:
        """Whether the release states how large its sources were."""
        return bool(self.totals.get("source_values"))

    def kept(self) -> Kept:
        """Count the numbers that are kept of an image of the usual size, or that a record has."""
        channels, height, width = self.usual_size()
        if self.records is not None and self.records.get("shape"):
            return Kept(math.prod(map(int, self.records["shape"])), channels * height * width)
        return Kept.of_image(self.spec, channels, height, width)

    def reasons(self) -> list[tuple[str, str, int]]:
        """Return names of errors, reasons, and how many files failed for each; most first."""
        counts = Counter((error, reason) for _, error, reason in self.failures)
        return [(error, reason, count) for (error, reason), count in counts.most_common()]

    def pixels(self, image: Shared) -> NDArray[np.float32]:
        """Return what a recipient sees of an image, (C, H, W) in [0, 1]."""
        if file := image.image_file or image.dicom_file:
            frames = read_image(self._inside(file)).pixels
            frame = 0 if image.image_file else image.frame
            if frame >= len(frames):
                raise ReleaseError("a file has fewer frames than the manifest says")
            found = frames[frame]
            return np.asarray(found * np.float32(pixel_scale(found)), np.float32)
        if not image.code_file:
            raise ReleaseError("the release holds neither image nor code of it")
        code = self.code(image)
        decoded = np.asarray(Codec(code.spec).decode(code, "compact"), np.float32)
        shown: NDArray[np.float32] = decoded[0].clip(0, 1)
        return shown

    def code(self, image: Shared) -> Code:
        """Return the code of an image."""
        if not image.code_file:
            raise ReleaseError("the release holds no codes")
        try:
            return self.codes(image.code_file)[image.code_row]
        except IndexError:
            raise ReleaseError("a file of codes is too short") from None

    def codes(self, name: str) -> Code:
        """Return all codes of a file that the manifest names."""
        try:
            return Code.load(self._inside(name))
        except OSError:
            raise ReleaseError("a file of codes is missing") from None

    def _inside(self, name: str) -> Path:
        """Return the path of a file of the release; a name that leads out of it is refused."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ReleaseError("the manifest names a file outside the release")
        return self.folder / path


def _check(about: Mapping[str, Any]) -> None:
    """Raise a TypeError where counts are no counts, or names no texts."""
    options, records = about["options"], about.get("records") or {}
    counts = [*about["totals"].values(), *(records.get("shape") or [])]
    counts += [records.get(name) or 0 for name in ("images", "public_images", "min_patients")]
    names = [*(options.get("labels") or []), *(options.get("retain") or [])]
    names += [*(options.get("mechanisms") or []), *(records.get("labels_dropped") or [])]
    if not all(type(each) is int and 0 <= each < MOST for each in counts):
        raise TypeError("a count")
    if not (all(isinstance(each, str) for each in names) and isinstance(about["software"], dict)):
        raise TypeError("a name")
    if not isinstance(about.get("mechanisms", []), list):
        raise TypeError("mechanisms")


def detail_left(pixels: NDArray[np.float32]) -> float:
    """Return how much fine structure a recipient sees: differences between neighbouring pixels."""
    squares = [float((np.diff(pixels, axis=axis) ** 2).sum()) for axis in (1, 2)]
    count = sum(pixels.size // pixels.shape[axis] * (pixels.shape[axis] - 1) for axis in (1, 2))
    return float((sum(squares) / count) ** 0.5) if count else 0.0


def spread_out(images: Sequence[Shared], most: int) -> list[Shared]:
    """Return at most so many images, evenly from first to last."""
    if len(images) <= most:
        return list(images)
    return [images[number * len(images) // most] for number in range(most)]


def readable(facts: ReleaseFacts, image: Shared) -> NDArray[np.float32] | None:
    """Return what a recipient sees of an image; None where it cannot be read."""
    try:
        return facts.pixels(image)
    except DeepfixcxError:
        return None
