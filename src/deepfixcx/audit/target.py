"""What an audit attacks: a release, its originals, and which of these are copies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.audit.features import Array, patient_numbers
from deepfixcx.audit.membership import Remake
from deepfixcx.audit.reconstruction.attackers import Released, numbers_of, resize
from deepfixcx.errors import AuditError

__all__ = ["NEAR", "Copies", "PublicImages", "Target", "find_copies", "perceptual_distances"]


@dataclass(frozen=True, eq=False)
class PublicImages:
    """Images of patients who are not in the release, as anyone may hold them."""

    images: Array | None  # None where only their features are known
    encoded: Array
    patients: NDArray[np.str_]
    labels: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Target:
    """A release, and its owner's data on the images it was made from."""

    released: Released
    images: Array | None  # Small originals; None where records are features of another encoder
    encoded: Array  # What a holder of the images brings into the form of the release
    patients: NDArray[np.str_]
    members: Sequence[Sequence[int]] | None = None
    labels: ArrayLike | None = None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    record_labels: ArrayLike | None = None
    label_names: tuple[str, ...] = ()
    remake: Remake | None = None
    public: PublicImages | None = None
    raw: Array | None = None  # Features before protection, where there are no images

    def reference(self) -> Array:
        """Return what nothing was removed from: images, or the features before protection."""
        if self.images is not None:
            return self.images
        return self.encoded if self.raw is None else self.raw

    @property
    def synthetic(self) -> bool:
        """Whether records are of no image, so that nothing can be linked or reconstructed."""
        return self.members is not None and not any(map(len, self.members))

    def members_of_each(self) -> Sequence[Sequence[int]]:
        """Return the source images of each record."""
        count = len(numbers_of(self.released))
        return [(image,) for image in range(count)] if self.members is None else self.members

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a record for each source image that is in one or more, and which image that is."""
        record_of: dict[int, int] = {}
        for record, images in enumerate(self.members_of_each()):
            for image in images:
                record_of.setdefault(image, record)
        places = sorted(record_of)
        return np.array([record_of[place] for place in places]), np.array(places, np.int64)

    def is_plain(self) -> bool:
        """Whether every image is released once, as the holder of the image would encode it."""
        behind = self.members_of_each()
        places = [image for images in behind for image in images]
        if len(places) != len(behind) or sorted(places) != list(range(len(self.encoded))):
            return False
        return np.array_equal(numbers_of(self.released), self.encoded[places])

    def check(self) -> None:
        """Refuse parts that do not belong together, or that hold no numbers."""
        counts = len(self.reference()), len(self.encoded), len(self.patients)
        if len(set(counts)) > 1:
            raise AuditError(f"images, encoded images and patients are as many, got {counts}")
        records = len(numbers_of(self.released))
        if self.record_labels is not None and len(np.asarray(self.record_labels)) != records:
            raise AuditError(
                f"there are {records} records and released labels of "
                f"{len(np.asarray(self.record_labels))}; the release is damaged"
            )
        for name, values in (
            ("records", numbers_of(self.released)),
            ("encoded images", self.encoded),
            ("originals", self.reference()),
        ):
            if not np.isfinite(values).all():
                raise AuditError(f"the {name} hold NaN or infinity; make the release again")


NEAR = 0.05
"""Perceptual distance below which two images are copies.

On 601 public X-rays no two different exposures are nearer (the nearest of one patient have 0.055,
of two patients 0.107); JPEG of quality 30, a gamma of 0.7, a lower contrast, half of the
resolution, noise and a rotation by one degree stay below.
"""

LIKELY = 0.5
"""Images of two patients are compared at all shifts where they are nearer than this without one."""

SIDE, EDGE, SHIFT = 64, 4, 2
FINE, COARSE = 1.0, 4.0
"""Standard deviations, in pixels of 64: what lies between is compared."""


@dataclass(frozen=True, eq=False, slots=True)
class Copies:
    """Pairs of copies among images."""

    pairs: Any
    identical: int
    near: int
    across: int

    def notes(self) -> tuple[str, ...]:
        """Return what a reader of an audit should know."""
        notes = []
        if self.identical or self.near:
            notes.append(
                f"{self.identical} pairs of identical and {self.near} pairs of near-identical "
                f"images of one patient are not counted as linkage"
            )
        if self.across:
            notes.append(
                f"{self.across} pairs of identical or near-identical images are listed under two "
                "patient IDs; if they are of one patient, linkage is stronger than measured: "
                "check the table"
            )
        return tuple(notes)


def find_copies(images: Array | None, patients: NDArray[Any]) -> Copies:
    """Find images that are copies of each other; none where there are no originals."""
    owners = patient_numbers(patients)
    if images is None:
        images = np.arange(len(owners), dtype=np.float32)[:, None]
    digests = [hashlib.sha256(np.ascontiguousarray(each).tobytes()).digest() for each in images]
    equal = np.unique(np.array([each.hex() for each in digests]), return_inverse=True)[1]
    identical = {pair for pair in _pairs_within(equal)}
    near = set()
    if images.ndim == 4:  # rows of features are copies where they are equal
        maps = _maps(images)
        for one, other in _candidates(maps, owners):
            if (one, other) not in identical and _distance(maps[one], maps[other]) < NEAR:
                near.add((one, other))
    both = sorted(identical | near)
    across = sum(bool(owners[one] != owners[other]) for one, other in both)
    within = sum(bool(owners[one] == owners[other]) for one, other in identical)
    sparse = require("scipy.sparse", extra="audit")
    rows, columns = np.array(both, np.int64).reshape(-1, 2).T
    pairs = sparse.csr_array(
        (np.ones(len(both), np.int32), (rows, columns)), shape=(len(images), len(images))
    )
    return Copies(pairs + pairs.T, within, len(both) - across - within, across)


def perceptual_distances(one: Array, other: Array) -> NDArray[np.float64]:
    """Return the distance of each two images (N, C, S, S): 0 for equal ones, about 1 for others."""
    return np.array([_distance(a, b) for a, b in zip(_maps(one), _maps(other), strict=True)])


def _maps(images: Array) -> Array:
    """Return what is compared of each image, (N, 64, 64)."""
    ndimage = require("scipy.ndimage", extra="audit")
    gray = resize(np.asarray(images, np.float32).mean(axis=1), SIDE, SIDE)

    def blur(values: Array, deviation: float) -> Array:
        return np.asarray(ndimage.gaussian_filter(values, (0, deviation, deviation)), np.float32)

    detail = blur(gray, FINE) - blur(gray, COARSE)
    contrast = np.sqrt(blur(detail**2, 2 * COARSE))
    contrast += 0.3 * contrast.mean(axis=(1, 2), keepdims=True)
    return np.asarray(detail / np.maximum(contrast, 1e-6), np.float32)


def _unit(windows: Array) -> Array:
    flat = windows.reshape(len(windows), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12))


def _distance(one: Array, other: Array) -> float:
    inner = slice(EDGE, SIDE - EDGE)
    steps = range(-SHIFT, SHIFT + 1)
    moved = np.stack(
        [
            other[EDGE + down : SIDE - EDGE + down, EDGE + right : SIDE - EDGE + right]
            for down in steps
            for right in steps
        ]
    )
    return 1 - float((_unit(moved) @ _unit(one[None, inner, inner])[0]).max())


def _candidates(maps: Array, owners: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield all pairs of one patient, and those of two patients that are alike without a shift."""
    yield from _pairs_within(owners)
    inner = _unit(maps[:, EDGE:-EDGE, EDGE:-EDGE])
    for start in range(0, len(inner), 512):
        alike = inner[start : start + 512] @ inner.T > 1 - LIKELY
        for one, other in zip(*np.nonzero(alike), strict=True):
            if start + one < other and owners[start + one] != owners[other]:
                yield int(start + one), int(other)


def _pairs_within(groups: NDArray[Any]) -> Iterator[tuple[int, int]]:
    order = np.argsort(groups, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        for row, one in enumerate(places.tolist()):
            yield from ((one, other) for other in places[row + 1 :].tolist())
