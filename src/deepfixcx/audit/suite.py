"""Every attack that a release allows, one after the other, with what could not be tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import Array
from deepfixcx.audit.inference import attack_inference
from deepfixcx.audit.linkage import Records, attack_linkage
from deepfixcx.audit.reconstruction import attack_reconstruction, attack_signs
from deepfixcx.audit.reconstruction.released import Released, numbers_of
from deepfixcx.audit.result import AttackResult
from deepfixcx.code import Code
from deepfixcx.errors import AuditError

__all__ = ["Audit", "Progress", "Target", "audit_release"]

QUICK_LINKERS = ("distance", "whitening")
FULL_LINKERS = (*QUICK_LINKERS, "siamese-mlp", "siamese-cnn")
QUICK_INVERTERS = ("plain", "neighbour", "ridge", "ridge-ssim")
FULL_INVERTERS = (*QUICK_INVERTERS, "variation", "unet")
SLOW_INVERTER, MOST_SLOW = "variation", 60
"""It searches each image by itself, so it is shown only so many."""

DECODERS = ("plain", "variation")
"""They undo the transform, so that they need codes."""

INVERTED = "ridge"
"""Whose images are looked up again and asked for signs."""

REFERENCE = "reference"
"""Not an attack on the release, but the same on what nothing was taken from."""

NEVER_TESTED = (
    "attackers with more images than these: with ten thousand patients a network links better",
    "what a released model has learned by heart (membership): see deepfixcx.audit.membership",
    "several releases of the same images put together",
    "writing that is burned into images, faces, and whatever else can be read or recognized by eye",
    "tables, labels and dates that are shared beside the codes",
)

NO_CODES = (
    "undoing the transform, as whoever receives codes can: the records of this release are rows of "
    "numbers, not codes, so that there is none to undo; attackers that learn from other people's "
    "images were tried instead"
)

Progress = Callable[[str, int, int], None]
"""Told what is being attacked, how many attacks are done, and of how many."""


@dataclass(frozen=True, eq=False)
class Target:
    """A release, and what its owner knows of the images it was made of.

    Attributes
    ----------
    released : Code, or ndarray of shape (R, ...)
        What was released.
    images : ndarray of float32, shape (N, C, S, S)
        The source images in [0, 1], 64 to 128 pixels a side.
    encoded : ndarray of float32, shape (N, ...)
        The source images in the form of the release, by whoever holds the images: codes by the same
        spec, without any mechanism that is not known.
    patients : ndarray, shape (N,)
        Whose the source images are.
    members : sequence of sequences of int, optional
        Source images of each record; left away, record r is image r.
    labels : array_like, shape (N, L), optional
        What may be known beside the codes, as in `attack_linkage`.
    attributes : mapping of str to sequence of N words
        What could be inferred, such as the sex; empty where unknown.
    """

    released: Released
    images: Array
    encoded: Array
    patients: NDArray[np.str_]
    members: Sequence[Sequence[int]] | None = None
    labels: ArrayLike | None = None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)

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
        """Whether every image is released once, as whoever holds it would encode it."""
        behind = self.members_of_each()
        places = [image for images in behind for image in images]
        if len(places) != len(behind) or sorted(places) != list(range(len(self.encoded))):
            return False
        return np.array_equal(numbers_of(self.released), self.encoded[places])


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of all attacks.

    Attributes
    ----------
    results : tuple of AttackResult
        In the order in which they were made.
    untested : tuple of str
        What nobody tried here, and why.
    images, patients : int
        How many there were.
    full : bool
        Whether networks attacked, too.
    seed : int
        Of everything random.
    """

    results: tuple[AttackResult, ...]
    untested: tuple[str, ...]
    images: int
    patients: int
    full: bool
    seed: int


def audit_release(
    target: Target,
    *,
    full: bool = False,
    seed: int = 0,
    samples: int = 1000,
    report: Progress | None = None,
) -> Audit:
    """Attack a release in every way that is known here.

    The same target and seed give the same results.

    Parameters
    ----------
    target : Target
        The release and its sources.
    full : bool
        Also train networks: siamese ones to link, and a U-Net to invert; and search images one by
        one. That takes many minutes rather than one or two.
    seed : int
        Of folds, attackers and intervals.
    samples : int
        Draws of patients for each interval.
    report : callable, optional
        Told before each attack what it is, how many are done and of how many.

    Returns
    -------
    Audit
        An attack that cannot be made is named in `Audit.untested`.

    Raises
    ------
    AuditError
        There are not as many images, encoded images and patients.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.images import phantom
    >>> images = np.stack([phantom(np.random.default_rng(n // 2), 32)[None] for n in range(60)])
    >>> code = Codec(level=2, patches=2).encode(images)
    >>> patients = (np.arange(60) // 2).astype(str)
    >>> audit = audit_release(Target(code, images, code.array, patients), samples=100)
    >>> sorted({result.attack for result in audit.results})
    ['linkage', 'reconstruction', 'reference']
    """
    counts = len(target.images), len(target.encoded), len(target.patients)
    if len(set(counts)) > 1:
        raise AuditError(f"images, encoded images and patients are as many, got {counts}")
    plan = list(_steps(target, full, seed, samples))
    results: list[AttackResult] = []
    untested: list[str] = []
    for number, (name, step) in enumerate(plan):
        if report is not None:
            report(name, number, len(plan))
        try:
            results += step(tuple(results))
        except AuditError as error:
            untested.append(f"{name}: {error}")
    if not isinstance(target.released, Code):
        untested.append(NO_CODES)
    if not full:
        untested.append("siamese networks, a U-Net and searching image by image: --full does")
    if not target.attributes:
        untested.append("inference: the table tells no sex, age, view or site")
    if report is not None:
        report("done", len(plan), len(plan))
    patients = len(np.unique(target.patients))
    every = (*untested, *NEVER_TESTED)
    return Audit(tuple(results), every, len(target.images), patients, full, seed)


# -- helpers ----------------------------------------------------------------------------------

Step = Callable[[tuple[AttackResult, ...]], Sequence[AttackResult]]
"""Told what is known already, makes one attack."""


def _steps(target: Target, full: bool, seed: int, samples: int) -> Iterator[tuple[str, Step]]:
    """Yield the name of each attack, and how it is made."""
    released = Records(numbers_of(target.released), target.members)
    linkers, plain = FULL_LINKERS if full else QUICK_LINKERS, target.is_plain()
    for attacker in linkers:
        for mode, records, probes in (
            ("raw images", Records(target.images), None),
            ("released-released", released, None),
            ("released-raw", released, Records(target.encoded)),
        ):
            if mode == "released-raw" and plain:
                yield f"linkage, {mode}, {attacker}", _again(attacker, mode)
                continue
            yield (
                f"linkage, {mode}, {attacker}",
                _linkage(target, attacker, mode, records, probes, seed, samples),
            )
    for attacker in FULL_INVERTERS if full else QUICK_INVERTERS:
        if attacker in DECODERS and not isinstance(target.released, Code):
            continue
        yield f"reconstruction, {attacker}", _reconstruction(target, attacker, seed, samples)
    for name in target.attributes:
        yield f"inference, {name}", _inference(target, name, seed, samples)


def _linkage(
    target: Target,
    attacker: str,
    mode: str,
    records: Records,
    probes: Records | None,
    seed: int,
    samples: int,
) -> Step:
    def attack(known: tuple[AttackResult, ...]) -> Sequence[AttackResult]:
        results = attack_linkage(
            records,
            target.patients,
            probes=probes,
            attacker=attacker,
            labels=target.labels,
            seed=seed,
            samples=samples,
            raw=_raw_area(known, attacker),
        )
        if mode != "raw images":
            return results
        return [
            replace(each, attack=REFERENCE, mode=mode, valid=True, reason="") for each in results
        ]

    return attack


def _again(attacker: str, mode: str) -> Step:
    """Repeat what was found among the records: an image from elsewhere is one more of these."""

    def repeat(known: tuple[AttackResult, ...]) -> Sequence[AttackResult]:
        return [
            replace(each, mode=mode)
            for each in known
            if (each.attack, each.mode, each.attacker) == ("linkage", "released-released", attacker)
        ]

    return repeat


def _raw_area(known: tuple[AttackResult, ...], attacker: str) -> float | None:
    areas = [
        each.value.value
        for each in known
        if (each.attack, each.attacker, each.figure) == (REFERENCE, attacker, "AUC")
    ]
    return areas[0] if areas else None


def _reconstruction(target: Target, attacker: str, seed: int, samples: int) -> Step:
    def attack(known: tuple[AttackResult, ...]) -> Sequence[AttackResult]:
        records, places = target.pairs()
        released = target.released[records]
        images, patients = target.images[places], target.patients[places]
        most = MOST_SLOW if attacker == SLOW_INVERTER else None
        inversion = attack_reconstruction(
            released, images, patients, attacker=attacker, most=most, seed=seed, samples=samples
        )
        results = list(inversion.results)
        if attacker != INVERTED:
            return results
        if isinstance(target.released, Code):
            results += attack_signs(
                target.released.spec, images, inversion.images, inversion.means, patients,
                attacker=attacker, seed=seed, samples=samples,
            )  # fmt: skip
        once = np.unique(records, return_index=True)[1]
        behind = target.members_of_each()
        shown = Records(inversion.images[once], [behind[record] for record in records[once]])
        linked = attack_linkage(
            shown, target.patients, probes=Records(target.images), labels=target.labels, seed=seed,
            samples=samples, raw=_raw_area(known, "whitening"),
        )  # fmt: skip
        return [*results, *(replace(each, mode="inverted-raw") for each in linked)]

    return attack


def _inference(target: Target, name: str, seed: int, samples: int) -> Step:
    def attack(_: tuple[AttackResult, ...]) -> Sequence[AttackResult]:
        records, places = target.pairs()
        labels = None if target.labels is None else np.asarray(target.labels, np.float32)
        return [
            attack_inference(
                numbers_of(target.released[records]),
                np.asarray(target.attributes[name])[places],
                target.patients[places],
                name=name,
                raw=target.images[places],
                labels=None if labels is None else labels[places],
                seed=seed,
                samples=samples,
            )
        ]

    return attack
