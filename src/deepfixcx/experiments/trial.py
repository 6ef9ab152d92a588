"""One mechanism on trial: how useful what it releases is, and how well attackers do on it.

Everything is divided by patient, and done as ``privatize`` does it: labels that few patients share
are not released, and the mechanism is fitted on public patients, with noise where noise comes
first. Utility is that of a classifier which learned from a release of some of the other patients,
on unprotected images of the rest, brought into the form of the release. Attackers get a release of
all other patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import flatten, patient_numbers
from deepfixcx.audit.features import patient_folds as folds_of_patients
from deepfixcx.audit.linkage import ATTACKERS, attack_linkage
from deepfixcx.audit.linkage import Records as Targets
from deepfixcx.audit.linkage.labels import label_distances
from deepfixcx.audit.linkage.pairs import Fit, Pairs, Similarity
from deepfixcx.audit.reconstruction import attack_reconstruction
from deepfixcx.audit.reconstruction.attackers import Released
from deepfixcx.audit.result import AttackResult
from deepfixcx.errors import AuditError, MechanismError
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.measures import Interval, auc_difference, auc_interval, roc_auc
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import Estimate
from deepfixcx.mechanisms import Mechanism, Records
from deepfixcx.mechanisms.protocol import FittedChain, FittedMechanism
from deepfixcx.mechanisms.records import MIN_PATIENTS, safe_labels
from deepfixcx.mechanisms.resampling import FittedResampling

__all__ = [
    "WITH_LABELS",
    "LabelledAttacker",
    "Trial",
    "Utility",
    "beside_labels",
    "divide_patients",
    "patient_folds",
]

Places = NDArray[np.int64]


def divide_patients(patients: NDArray[np.str_], public: float, seed: int) -> tuple[Places, Places]:
    """Return the places of the images of public patients and of released ones, drawn at random.

    Patients with several images, without whom no patient could be linked, and patients with one
    are divided in the same proportion.
    """
    owners, numbers, images = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(owners))
    is_public = np.zeros(len(owners), bool)
    for kind in (order[images[order] > 1], order[images[order] == 1]):
        is_public[kind[: round(public * len(kind))]] = True
    if is_public.all() or not is_public.any():
        raise MechanismError(
            f"{len(owners)} patients cannot be divided with a public share of {public:g}; use "
            "another share or more patients"
        )
    return np.flatnonzero(is_public[numbers]), np.flatnonzero(~is_public[numbers])


def patient_folds(patients: NDArray[np.str_], folds: int, seed: int) -> Places:
    """Return the fold of each image, so that none shares a patient with another fold."""
    owners = patient_numbers(patients)
    try:
        return folds_of_patients(owners, folds, np.random.default_rng(seed))[owners]
    except AuditError as error:
        raise MechanismError(str(error)) from None


Array = NDArray[np.float32]


class LabelledAttacker:
    """Add standard scores of two similarities: of records by another attacker, and of labels."""

    __name__ = "with labels"

    def __init__(self, labels: int, attacker: str = "whitening") -> None:
        self._labels = labels
        self._fit: Fit = ATTACKERS[attacker]

    def __call__(self, training: Pairs, seed: int) -> Similarity:
        """Train on what stands before the labels."""
        count = self._labels
        stripped = replace(
            training,
            all_probes=training.all_probes[:, :-count],
            all_gallery=training.all_gallery[:, :-count],
        )
        compare = self._fit(stripped, seed)

        def both(probes: Array, gallery: Array) -> Array:
            by_code = compare(probes[:, :-count], gallery[:, :-count])
            by_label = -label_distances(probes[:, -count:], gallery[:, -count:])
            return _standard(by_code) + _standard(by_label)

        return both


def beside_labels(array: Array, labels: Array) -> Array:
    """Return records as vectors that end with their labels, unknown ones as one half."""
    known = np.nan_to_num(labels, nan=0.5).astype(np.float32)
    return np.concatenate([flatten(array), known], axis=1)


def _standard(values: Array) -> Array:
    deviation = float(values.std())
    centred = values - values.mean()
    return np.asarray(centred / deviation if deviation > 0 else centred, np.float32)


UTILITY_FOLDS = 5
ATTACK_FOLDS = 3
IMAGES_A_COMPONENT = 12
"""Of the classifier, as in `LogisticCodes`; copies of an image do not count as images."""

WITH_LABELS = "with labels"
"""Name of the attacker that knows labels too."""


@dataclass(frozen=True, slots=True)
class Utility:
    """How well the task is still done."""

    # Mean over labels, with its interval over patients
    auc: Interval
    # AUC of each label
    each: tuple[float, ...]
    # The same of the better of two classifiers of the public images alone: of their codes, and of
    # their codes in the form of the release
    public: Interval
    # How much the release adds to that, paired by patients
    added: Interval
    # Mean AUC of the score for one label on another label; NaN where there is only one. As large
    # as `auc` if the labels are one task
    other: float
    # Of `auc`; its patients are those of the division, in the order of their names
    estimate: Estimate


class Trial:
    """A division of the patients on which mechanisms are tried."""

    def __init__(
        self,
        array: Array,
        labels: Array,
        patients: NDArray[np.str_],
        *,
        noisy: Array | None = None,
        public: float = 0.4,
        min_patients: int = MIN_PATIENTS,
        label_patients: int = 0,
        seed: int = 0,
    ) -> None:
        outside, inside = divide_patients(patients, public, seed)
        released = array if noisy is None else noisy
        public_records = Records.of(released[outside], labels[outside], patients[outside])
        self.public = public_records.with_known(range(labels.shape[1]))
        self._known = array[outside][np.concatenate(self.public.members)]
        safe = safe_labels(labels[inside], patients[inside], min_patients, label_patients)
        if safe.dropped:
            raise MechanismError(
                f"{len(safe.dropped)} of the labels cannot be released: each needs at least "
                f"{max(min_patients, label_patients)} positive and as many negative patients"
            )
        inside = inside[~safe.withheld]
        self.truth = labels[inside]
        self.private = Records.of(released[inside], safe.labels[~safe.withheld], patients[inside])
        self.own = array[inside]
        self.places = inside
        self._folds = patient_folds(patients[inside], UTILITY_FOLDS, seed)
        self._seed = seed

    def fit(self, mechanism: Mechanism) -> FittedMechanism:
        """Fit a mechanism on the public patients."""
        return mechanism.fit(self.public, np.random.default_rng([self._seed, 1]))

    def release(self, fitted: FittedMechanism) -> Records:
        """Make the release of all other patients."""
        return fitted.apply(self.private, np.random.default_rng([self._seed, 2]))

    def scores(self, fitted: FittedMechanism) -> Array:
        """Return log odds (n, L) of classifiers that learned from releases of other patients."""
        seen, fitted = fitted.represent(self.own), _of_a_part(fitted)
        scores = np.zeros(self.private.labels.shape, np.float32)
        for fold in range(UTILITY_FOLDS):
            tested = self._folds == fold
            learned = np.flatnonzero(~tested)
            owners = self.private.patients[learned]
            part = Records.of(self.private.array[learned], self.private.labels[learned], owners)
            made = fitted.apply(part, np.random.default_rng([self._seed, 3, fold]))
            components = max(1, len(learned) // IMAGES_A_COMPONENT)
            model = LogisticCodes.fit(
                made.array, made.labels, rooted=made.array.ndim > 2, components=components
            )
            scores[tested] = model.decision(seen[tested])
        return scores

    def utility(self, fitted: FittedMechanism) -> Utility:
        """Judge these scores; images of one fold are compared."""
        scores, labels, patients = self.scores(fitted), self.truth, self.private.patients
        folds = self._folds.astype(np.str_)
        publics = [
            (auc_interval(labels, each, patients, folds), each) for each in self._public(fitted)
        ]
        public, without = max(publics, key=lambda pair: pair[0].value)
        added = auc_difference(labels, scores, without, patients, folds)
        count = labels.shape[1]
        others = [
            roc_auc(labels[:, one], scores[:, other], folds)
            for one in range(count)
            for other in range(count)
            if one != other
        ]
        whole = auc_estimate(labels, scores, patients, folds)
        each = [roc_auc(*pair, folds) for pair in zip(labels.T, scores.T, strict=True)]
        other = float(np.mean(others)) if others else float("nan")
        return Utility(whole.interval(), tuple(each), public, added, other, whole)

    def _public(self, fitted: FittedMechanism) -> list[Array]:
        """Return log odds (n, L) of classifiers that learned from public images without noise."""
        found = []
        represented = fitted.represent(self._known)
        pairs = [(self._known, self.own)]
        if represented is not self._known:  # plain codes would be learned from twice
            pairs.append((represented, fitted.represent(self.own)))
        for array, own in pairs:
            components = max(1, len(array) // IMAGES_A_COMPONENT)
            model = LogisticCodes.fit(
                array, self.public.labels, rooted=array.ndim > 2, components=components
            )
            found.append(model.decision(own))
        return found

    def linkage(
        self,
        fitted: FittedMechanism,
        released: Records,
        attacker: str | Fit = "whitening",
        *,
        raw: bool = False,
        samples: int = 200,
    ) -> tuple[AttackResult, ...]:
        """Attack a release: link its records to each other, or to raw images."""
        patients, labels = self.private.patients, self.truth
        array, probes = released.array, fitted.represent(self.own)
        chosen: str | Fit = attacker
        if attacker == WITH_LABELS:
            array, probes = beside_labels(array, released.labels), beside_labels(probes, labels)
            chosen = LabelledAttacker(labels.shape[1])
        return attack_linkage(
            Targets(array, [each.tolist() for each in released.members]),
            patients,
            probes=Targets(probes) if raw else None,
            attacker=chosen,
            labels=labels,
            folds=ATTACK_FOLDS,
            seed=self._seed,
            samples=samples,
        )

    def reconstruction(
        self,
        released: Records,
        images: Array,
        *,
        attacker: str = "ridge",
        see: Callable[[Array], Released] | None = None,
    ) -> tuple[AttackResult, ...]:
        """Attack a release: make images of its records."""
        record_of = {
            int(image): record
            for record, members in reversed(list(enumerate(released.members)))
            for image in members
        }
        whole = np.array(sorted(record_of), np.int64)  # without the images that are withheld
        records = released.array[[record_of[image] for image in whole.tolist()]]
        return attack_reconstruction(
            records if see is None else see(records),
            images[self.places[whole]],
            self.private.patients[whole],
            attacker=attacker,
            folds=ATTACK_FOLDS,
            seed=self._seed,
        ).results


def _of_a_part(fitted: FittedMechanism) -> FittedMechanism:
    """Return a mechanism for a release of all folds but one, which is never released."""
    if isinstance(fitted, FittedChain):
        return FittedChain(tuple(map(_of_a_part, fitted.steps)))
    if isinstance(fitted, FittedResampling):
        fewest = fitted.mechanism.label_patients * (UTILITY_FOLDS - 1) // UTILITY_FOLDS
        return replace(fitted, mechanism=replace(fitted.mechanism, label_patients=max(2, fewest)))
    return fitted
