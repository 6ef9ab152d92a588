"""The attacks of an audit in their order, each as a function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from deepfixcx.audit.candidates import attack_own_record, attack_subset_sum
from deepfixcx.audit.carriers import attack_rare_labels
from deepfixcx.audit.features import Array, patient_numbers
from deepfixcx.audit.inference import attack_inference
from deepfixcx.audit.linkage.attack import LABELS, link_records
from deepfixcx.audit.linkage.pairs import Records
from deepfixcx.audit.linkage.trial import GalleryCurve, Public
from deepfixcx.audit.membership import attack_release_membership
from deepfixcx.audit.reconstruction import attack_reconstruction, attack_signs
from deepfixcx.audit.reconstruction.attack import Inversion
from deepfixcx.audit.reconstruction.attackers import Released, numbers_of
from deepfixcx.audit.result import (
    RAW,
    RAW_FEATURES,
    RAW_IMAGES,
    AttackResult,
    figure_of,
    result_of_means,
)
from deepfixcx.audit.target import Copies, PublicImages, Target
from deepfixcx.audit.tracing import budget_note, shown_epsilon
from deepfixcx.code import Code
from deepfixcx.errors import AuditError

__all__ = ["REFERENCE", "UNIQUE", "Found", "Step", "steps"]

QUICK_LINKERS = ("distance", "whitening")
FULL_LINKERS = (*QUICK_LINKERS, "siamese-mlp", "siamese-cnn")
QUICK_INVERTERS = ("plain", "neighbour", "ridge", "interpolation")
FULL_INVERTERS = (*QUICK_INVERTERS, "ridge-ssim", "variation", "unet")
SLOW_INVERTER, MOST_SLOW = "variation", 60
"""It searches each image by itself, so it is shown only so many."""

DECODERS = ("plain", "interpolation", "variation")
"""They undo the transform, so that they need codes."""

BESIDE_LABELS = "whitening"
"""The attacker who is also given labels, and who also trains on public images alone."""

PUBLIC_INVERTER = "ridge"
RUNS = 32
"""Releases that are made again to measure membership of each patient; half of that for codes."""

REFERENCE = "reference"
"""Not an attack on the release, but the same on images as they are, or on labels it lacks."""

UNIQUE = "unique patients"
"""Share of the patients whose released labels no other patient has."""

Step = Callable[[], Sequence[AttackResult]]
"""Makes one attack."""


@dataclass(eq=False, slots=True)
class Found:
    """What is known so far: later attacks use it."""

    copies: Copies
    results: list[AttackResult] = field(default_factory=list)
    curves: list[GalleryCurve] = field(default_factory=list)
    best: tuple[float, Inversion, str] | None = None
    notes: tuple[str, ...] = ()

    def raw_area(self, attacker: str) -> float | None:
        """Return what an attacker reaches on raw images, once that is known."""
        areas = [
            each.value.value
            for each in self.results
            if each.mode in RAW and (each.attacker, each.figure) == (attacker, "AUC")
        ]
        return areas[0] if areas else None


def steps(
    target: Target, found: Found, full: bool, seed: int, samples: int
) -> Iterator[tuple[str, Step]]:
    """Yield the name of each attack, and how it is made."""
    if target.synthetic:
        yield "membership, released again", partial(_released_again, target, full, seed)
        if target.remake is not None and target.budget is not None:
            yield "the budget of a patient", partial(_budget, target, found, full, seed)
        return
    released = Records(numbers_of(target.released), target.members)
    plain = target.is_plain()
    raw = RAW_FEATURES if target.images is None else RAW_IMAGES
    if target.record_labels is not None:
        yield "labels that single out patients", partial(_unique, target, seed)
    for attacker in FULL_LINKERS if full else QUICK_LINKERS:
        for mode, records, probes in (
            (raw, Records(target.reference()), None),
            ("released-released", released, None),
            ("released-raw", released, Records(target.encoded)),
        ):
            name = f"linkage, {mode}, {attacker}"
            if mode == "released-raw" and plain:
                yield name, partial(_again, found, attacker)
            else:
                yield name, _Linkage(target, found, attacker, mode, records, probes, seed, samples)
    if target.public is not None:
        for mode, looked_for in (
            ("released-released", None),
            ("released-raw", Records(target.encoded)),
        ):
            yield (
                f"linkage, {mode}, trained on public images",
                _Linkage(
                    target, found, BESIDE_LABELS, mode, released, looked_for, seed, samples, True
                ),
            )
    if target.images is not None:
        yield from _reconstructions(target, found, full, seed, samples)
    for name in target.attributes:
        yield f"inference, {name}", partial(_inferred, target, name, seed)
    if target.record_labels is not None:
        yield "carriers of rare labels", partial(_carriers, target, seed)
    yield "membership, candidates", partial(_candidates, target, seed)
    if target.remake is not None:
        yield "membership, released again", partial(_released_again, target, full, seed)


def _reconstructions(
    target: Target, found: Found, full: bool, seed: int, samples: int
) -> Iterator[tuple[str, Step]]:
    for attacker in FULL_INVERTERS if full else QUICK_INVERTERS:
        if attacker not in DECODERS or isinstance(target.released, Code):
            yield f"reconstruction, {attacker}", _Inversion(target, found, attacker, seed)
    if target.public is not None and target.public.images is not None:
        yield (
            "reconstruction, trained on public images",
            _Inversion(target, found, PUBLIC_INVERTER, seed, True),
        )
    yield "linkage of reconstructions", partial(_inverted, target, found, seed, samples)


@dataclass(frozen=True, eq=False)
class _Linkage:
    """One linkage attack, with labels beside where the release or the attacker has them."""

    target: Target
    found: Found
    attacker: str
    mode: str
    records: Records
    probes: Records | None
    seed: int
    samples: int
    trained_on_public: bool = False

    def __call__(self) -> Sequence[AttackResult]:
        target, raw = self.target, self.mode in RAW
        public = None
        if self.trained_on_public and target.public is not None:
            other = target.public
            labels = None if other.labels is None else np.asarray(other.labels, np.float32)
            public = Public(Records(other.encoded), patient_numbers(other.patients), labels)
        linkage = link_records(
            self.records,
            target.patients,
            probes=self.probes,
            attacker=self.attacker,
            labels=target.labels,
            beside=target.labels is not None and self.attacker == BESIDE_LABELS and not raw,
            copies=self.found.copies.pairs,
            public=public,
            seed=self.seed,
            samples=self.samples,
            raw=self.found.raw_area(self.attacker),
        )
        if raw:
            return [
                replace(each, attack=REFERENCE, mode=self.mode, valid=True, reason="")
                for each in linkage.results
            ]
        end = ", public images" if self.trained_on_public else ""
        self.found.curves += [
            replace(each, attacker=each.attacker + end) for each in linkage.curves
        ]
        return [
            replace(each, attacker=each.attacker + end, attack=self._kind(each))
            for each in linkage.results
        ]

    def _kind(self, result: AttackResult) -> str:
        """Labels alone attack a release only where they are in it."""
        alone = result.attacker == LABELS and self.target.record_labels is None
        return REFERENCE if alone else result.attack


def _again(found: Found, attacker: str) -> Sequence[AttackResult]:
    """Repeat the results among records: of plain codes, an image from elsewhere is one more."""
    mode = "released-raw"
    mine = (attacker, f"{attacker} + {LABELS}", LABELS if attacker == BESIDE_LABELS else attacker)
    found.curves += [
        replace(each, mode=mode)
        for each in found.curves
        if each.attacker in mine and each.mode == "released-released"
    ]
    return [
        replace(each, mode=mode)
        for each in found.results
        if each.mode == "released-released" and each.attacker in mine
    ]


@dataclass(frozen=True, eq=False)
class _Inversion:
    """One attacker who makes images of records; the best one's images are looked up afterwards."""

    target: Target
    found: Found
    attacker: str
    seed: int
    trained_on_public: bool = False

    def __call__(self) -> Sequence[AttackResult]:
        target = self.target
        images = _images(target)
        records, places = target.pairs()
        public = None
        if self.trained_on_public and target.public is not None:
            encoded: Released = target.public.encoded
            if isinstance(target.released, Code):
                sizes = np.tile(target.released.sizes[:1], (len(encoded), 1))
                encoded = Code(target.public.encoded, target.released.spec, sizes)
            public = encoded, _images(target.public), target.public.patients
        inversion = attack_reconstruction(
            target.released[records],
            images[places],
            target.patients[places],
            attacker=self.attacker,
            public=public,
            most=MOST_SLOW if self.attacker == SLOW_INVERTER else None,
            seed=self.seed,
        )
        gain = figure_of(inversion.results, "SSIM").gain.value
        if len(inversion.places) == len(places) and (
            self.found.best is None or gain > self.found.best[0]
        ):
            self.found.best = gain, inversion, self.attacker
        end = ", public images" if self.trained_on_public else ""
        return [replace(each, attacker=each.attacker + end) for each in inversion.results]


def _inverted(target: Target, found: Found, seed: int, samples: int) -> Sequence[AttackResult]:
    """Look up the patients of the best reconstructions, and count the signs that are right."""
    if found.best is None:
        return []
    _, inversion, attacker = found.best
    records, places = target.pairs()
    results: list[AttackResult] = []
    if isinstance(target.released, Code):
        results += attack_signs(
            target.released.spec, _images(target)[places], inversion.images, inversion.means,
            target.patients[places], attacker=attacker, seed=seed,
        )  # fmt: skip
    once = np.unique(records, return_index=True)[1]
    behind = target.members_of_each()
    linkage = link_records(
        Records(inversion.images[once], [behind[record] for record in records[once]]),
        target.patients,
        probes=Records(_images(target)),
        labels=target.labels,
        copies=found.copies.pairs,
        seed=seed,
        samples=samples,
        raw=found.raw_area(BESIDE_LABELS),
    )
    found.curves += [replace(each, mode="inverted-raw") for each in linkage.curves]
    return [*results, *(replace(each, mode="inverted-raw") for each in linkage.results)]


def _inferred(target: Target, name: str, seed: int) -> Sequence[AttackResult]:
    records, places = target.pairs()
    labels = None if target.labels is None else np.asarray(target.labels, np.float32)
    return [
        attack_inference(
            numbers_of(target.released[records]),
            np.asarray(target.attributes[name])[places],
            target.patients[places],
            name=name,
            raw=target.reference()[places],
            labels=None if labels is None else labels[places],
            seed=seed,
        )
    ]


def _unique(target: Target, seed: int) -> Sequence[AttackResult]:
    """Count the patients whose released labels no other patient has."""
    owners, labels = patient_numbers(target.patients), _image_labels(target)
    released = np.unique([image for each in target.members_of_each() for image in each])
    rows = np.nan_to_num(labels[released], nan=2)
    patterns = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    whose = owners[released]
    patients_of = np.array(
        [len(np.unique(whose[patterns == each])) for each in range(patterns.max() + 1)]
    )
    alone = np.full(int(owners.max()) + 1, np.nan)
    alone[np.unique(whose)] = 0
    alone[whose[patients_of[patterns] == 1]] = 1
    return [
        result_of_means(
            "linkage", "labels", LABELS, UNIQUE, alone, 0.0, chance=0.0, seed=seed,
            reference="Sweeney 2002, doi:10.1142/S0218488502001648",
        )
    ]  # fmt: skip


def _carriers(target: Target, seed: int) -> Sequence[AttackResult]:
    return attack_rare_labels(
        numbers_of(target.released),
        np.asarray(target.record_labels, np.float64),
        target.encoded,
        _image_labels(target),
        target.patients,
        names=target.label_names,
        copies=_copies(target),
        seed=seed,
    )


def _candidates(target: Target, seed: int) -> Sequence[AttackResult]:
    """Look for members among all images; public ones are no members."""
    records, behind = numbers_of(target.released), target.members_of_each()
    held, owners = target.encoded, np.asarray(target.patients).astype(np.str_)
    if target.public is not None:
        held = np.concatenate([held, target.public.encoded])
        others = np.char.add("public\0", np.asarray(target.public.patients).astype(np.str_))
        owners = np.concatenate([owners, others])
    labels = target.record_labels
    results = list(attack_own_record(records, held, behind, owners, labels=labels, seed=seed))
    first = {tuple(sorted(each)): row for row, each in reversed(list(enumerate(behind)))}
    rows = sorted(first.values())
    if max(map(len, behind)) > 1:
        sums = attack_subset_sum(
            records[rows], held, [behind[row] for row in rows], owners, seed=seed
        )
        results += sums
    return results


def _released_again(target: Target, full: bool, seed: int) -> Sequence[AttackResult]:
    if target.remake is None:
        return []
    runs = RUNS if target.encoded[0].size <= RUNS else RUNS // 2
    return attack_release_membership(
        target.remake,
        target.encoded,
        _image_labels(target),
        target.patients,
        runs=2 * RUNS if full else runs,
        seed=seed,
    )


def _budget(target: Target, found: Found, full: bool, seed: int) -> Sequence[AttackResult]:
    """Compare the stated epsilon with what an attacker shows of it; a note states both."""
    if target.remake is None or target.budget is None:
        return []
    bound = shown_epsilon(
        target.remake, target.encoded, _image_labels(target), target.patients,
        delta=target.budget[1], runs=(16 if full else 4) * RUNS, seed=seed,
    )  # fmt: skip
    found.notes += (budget_note(bound, *target.budget),)
    return []


def _images(target: Target | PublicImages) -> Array:
    if target.images is None:
        raise AuditError("there are no images to compare reconstructions with")
    return target.images


def _image_labels(target: Target) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the labels of each image that are released beside its record."""
    labels = np.asarray(target.labels, np.float64).reshape(len(target.patients), -1)
    return labels[:, : len(target.label_names)]


def _copies(target: Target) -> int:
    """Return how many records were drawn for each image, as a release states."""
    behind = [tuple(sorted(each)) for each in target.members_of_each()]
    return max(1, round(len(behind) / len(set(behind))))
