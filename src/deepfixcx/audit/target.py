"""What an audit attacks: a release, its originals as a data set, and which of these are copies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx._words import counted
from deepfixcx.audit.features import Array, patient_numbers
from deepfixcx.audit.inference import above_median
from deepfixcx.audit.linkage.labels import encode_columns
from deepfixcx.audit.reconstruction.attackers import Released, numbers_of, resize
from deepfixcx.audit.tracing import Remake
from deepfixcx.datasets import Dataset, FeatureMatrix
from deepfixcx.errors import AuditError

__all__ = [
    "NEAR",
    "Copies",
    "PublicImages",
    "Target",
    "check_patients",
    "column_of",
    "find_copies",
    "guessed_attributes",
    "known_columns",
    "perceptual_distances",
    "target_of_features",
]


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
    budget: tuple[float, float] | None = None  # Epsilon and delta for a patient, as stated

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


ATTRIBUTES = ("sex", "view", "site", "hospital", "institution", "scanner", "manufacturer")
"""Columns that are guessed where the table has them, beside the age."""


def target_of_features(
    released: FeatureMatrix,
    *,
    raw: FeatureMatrix | None = None,
    public: FeatureMatrix | None = None,
    known: tuple[str, ...] = (),
) -> Target:
    """Make the target of an audit of a matrix of features, of any encoder.

    Parameters
    ----------
    released : FeatureMatrix
        What is shared, with the labels that are shared beside it.
    raw : FeatureMatrix, optional
        The features before protection, row by row; the released ones by default.
    public : FeatureMatrix, optional
        Features of other patients in the form of the released ones, on which attackers train.
    known : tuple of str
        Columns that the attacker knows for both images, such as ``"view"``.

    Returns
    -------
    Target
        For `audit_release`. Reconstruction is not attacked: there are no images.

    Raises
    ------
    AuditError
        Patients are missing or written in several ways, rows do not belong together, or a patient
        is public and released.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> patients = np.arange(60) // 2
    >>> features = generator.normal(size=(30, 8))[patients] + generator.normal(0, 0.1, (60, 8))
    >>> target = target_of_features(FeatureMatrix.of(features, patients.tolist()))
    >>> target.images is None, target.encoded.shape
    (True, (60, 8))
    """
    dataset = released.dataset
    check_patients(dataset, "the features")
    if raw is not None and raw.dataset.patients.tolist() != dataset.patients.tolist():
        raise AuditError(
            "the released and the original features are not of the same patients row by row; "
            "write both in one order"
        )
    for name in known:
        if not any(column_of(dataset, name)):
            raise AuditError(f"the features have no values in a column {name!r}")
    encoded = released.array
    if raw is not None and raw.array.shape == released.array.shape:
        encoded = raw.array
    labels = known_columns(dataset, known)
    shared = len(dataset.label_names)
    return Target(
        released=released.array,
        images=None,
        encoded=encoded,
        patients=dataset.patients,
        labels=labels if labels.shape[1] else None,
        attributes=guessed_attributes(dataset),
        record_labels=labels[:, :shared] if shared else None,
        label_names=dataset.label_names,
        public=None if public is None else _public(public, released, known),
        raw=None if raw is None else raw.array,
    )


def _public(public: FeatureMatrix, released: FeatureMatrix, known: tuple[str, ...]) -> PublicImages:
    check_patients(public.dataset, "the public features")
    both = set(public.dataset.patients.tolist()) & set(released.dataset.patients.tolist())
    if both:
        raise AuditError(
            f"{counted(len(both), 'patient is', 'patients are')} in both matrices; public "
            "features must be of other patients"
        )
    if public.array.shape[1] != released.array.shape[1]:
        raise AuditError(
            f"public features have {public.array.shape[1]} numbers and released ones "
            f"{released.array.shape[1]}; bring them into the form of the release"
        )
    if public.dataset.label_names != released.dataset.label_names:
        raise AuditError("public and released features have different labels; name them")
    labels = known_columns(public.dataset, known)
    return PublicImages(
        None, public.array, public.dataset.patients, labels if labels.shape[1] else None
    )


def known_columns(dataset: Dataset, columns: tuple[str, ...]) -> NDArray[np.float32]:
    """Return labels and known columns of each image, (N, L): labels first, NaN where unknown."""
    labels = np.array(dataset.labels, np.float32).reshape(len(dataset), -1)
    if not columns:
        return labels
    known = encode_columns([column_of(dataset, name) for name in columns])
    return np.concatenate([labels, known], axis=1)


def column_of(dataset: Dataset, name: str) -> list[str]:
    """Return the view, or another attribute, of each image; "" where it is not known."""
    if name == "view":
        return [record.view or "" for record in dataset.records]
    return [record.attributes.get(name, "") for record in dataset.records]


def check_patients(dataset: Dataset, table: str) -> None:
    """Refuse a table without patients, or whose IDs may write one patient in two ways."""
    if not dataset.has_patients:
        missing = sum(record.patient is None for record in dataset.records)
        raise AuditError(
            f"{missing:,} of {counted(len(dataset), 'row')} of {table!r} have no patient ID; "
            f"add them, or name the column that holds them with --patient"
        )
    written: dict[str, set[str]] = {}
    for name in set(dataset.patients.tolist()):
        plain = name.strip().casefold()
        number = plain.removesuffix(".0") if plain.removesuffix(".0").isdigit() else plain
        written.setdefault(number.lstrip("0") if number.isdigit() else number, set()).add(name)
    twice = sum(len(names) > 1 for names in written.values())
    if twice:
        raise AuditError(
            f"{table!r} spells {counted(twice, 'patient ID', 'patient IDs')} in several "
            "ways (such as 7, 07 and 7.0, or p1 and P1), so that one patient would count as "
            "several; use one spelling for each ID"
        )


def guessed_attributes(dataset: Dataset) -> dict[str, list[str]]:
    """Return what could be guessed: values of two kinds or more."""
    columns = {
        name: [record.attributes.get(name, "") for record in dataset.records] for name in ATTRIBUTES
    }
    columns["view"] = [record.view or "" for record in dataset.records]
    ages = above_median([record.attributes.get("age", "") for record in dataset.records])
    columns["age above the median"] = ages
    return {name: values for name, values in columns.items() if len({*values} - {""}) > 1}
