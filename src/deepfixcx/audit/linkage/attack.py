"""Link the records of a release, or of a release and images from elsewhere, by patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deepfixcx.audit.features import Array
from deepfixcx.audit.folds import patient_numbers
from deepfixcx.audit.linkage.attackers import ATTACKERS, REFERENCES
from deepfixcx.audit.linkage.figures import Found, equal_error, join, judge, kolmogorov
from deepfixcx.audit.linkage.floor import label_similarity, labels_of, stand_ins
from deepfixcx.audit.linkage.pairs import Fit
from deepfixcx.audit.linkage.records import Records
from deepfixcx.audit.linkage.trial import make_tests
from deepfixcx.audit.resampling import Floats, draw_patients
from deepfixcx.audit.resampling import patient_means as means_of
from deepfixcx.audit.result import AttackResult, validity
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval, mean_difference, mean_interval

__all__ = ["attack_linkage"]

CONTROL_DRAWS = 10
"""So many times other strangers stand in for the true records."""


def attack_linkage(
    released: Records,
    patients: ArrayLike,
    *,
    probes: Records | None = None,
    attacker: str | Fit = "whitening",
    labels: ArrayLike | None = None,
    folds: int = 3,
    seed: int = 0,
    samples: int = 1000,
    raw: float | None = None,
) -> tuple[AttackResult, ...]:
    """Find the records of each patient among those of strangers.

    A probe is compared with every record but those that share an image with it: its own, and those
    that were mixed with it. A record counts as the patient's if one of its images is. The attacker
    trains on patients of the other folds.

    Parameters
    ----------
    released : Records
        What was released.
    patients : array_like, shape (N,)
        Whose each of the N source images is.
    probes : Records, optional
        Images that the attacker holds, in the same form as the records (codes of raw images by the
        same spec, say): the mode ``"released-raw"``. Left away, the released records themselves are
        the probes: ``"released-released"``.
    attacker : str or callable
        ``"distance"``, ``"whitening"``, ``"siamese-mlp"`` or ``"siamese-cnn"``, or one's own: told
        `Pairs` and a seed, it returns a function of probes and records that says how alike they
        are.
    labels : array_like, shape (N, L), optional
        What is known of the images without the codes, as numbers from 0 to 1, NaN where unknown:
        labels, the view. They make the floor and the control.
    folds : int
        Of the patients. More folds: more to train on, and smaller galleries.
    seed : int
        Of folds, attacker, order of what is equal, and interval.
    samples : int
        Draws of patients for the interval.
    raw : float, optional
        AUC that the same attacker reaches on raw images.

    Returns
    -------
    tuple of AttackResult
        ``"AUC"``, ``"EER"``, ``"precision@1"``, ``"mAP@R"``; of distance also ``"KS"``.

    Raises
    ------
    AuditError
        No such attacker, shapes that do not fit, or too few patients with two images.

    References
    ----------
    Packhäuser et al., Deep learning-based patient re-identification is able to exploit the
    biometric nature of medical chest X-ray data, Scientific Reports, 2022,
    doi:10.1038/s41598-022-19045-3.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> patients = np.arange(120) // 2
    >>> nature = generator.normal(size=(60, 8))[patients]        # what makes a patient
    >>> codes = Records(nature + generator.normal(0, 0.7, (120, 8)))
    >>> results = attack_linkage(codes, patients, samples=200)
    >>> [result.figure for result in results]
    ['AUC', 'EER', 'precision@1', 'mAP@R']
    >>> results[0].value.low > 0.8, results[0].chance
    (True, 0.5)
    """
    owners = patient_numbers(patients)
    name, fit = _attacker(attacker)
    looked_for = released if probes is None else probes
    if labels is None:
        labels = np.zeros((len(owners), 1), np.float32)
    gallery_labels = labels_of(released, labels, len(owners))
    probe_labels = labels_of(looked_for, labels, len(owners))
    generator = np.random.default_rng(seed)
    found: list[Found] = []
    floors: list[Found] = []
    controls: list[Found] = []
    for test in make_tests(released, probes, owners, folds, generator):
        compare = fit(test.training, seed)
        alike = compare(looked_for.array[test.probes], released.array[test.gallery])
        _check(alike, (len(test.probes), len(test.gallery)), name)
        known = gallery_labels[test.gallery]
        by_label = label_similarity(probe_labels[test.probes], known)
        found.append(judge(alike, test.searches, generator))
        floors.append(judge(by_label, test.searches, generator))
        controls += [
            judge(alike, stand_ins(test.searches, known, generator), generator)
            for _ in range(CONTROL_DRAWS)
        ]
    trio = _Trio(join(found), join(floors), join(controls), int(owners.max()) + 1, samples, seed)
    valid, reason = validity(float("nan") if raw is None else raw)
    return tuple(
        AttackResult(
            attack="linkage",
            mode="released-released" if probes is None else "released-raw",
            attacker=name,
            figure=figure,
            value=value,
            chance=chance,
            floor=floor,
            gain=gain,
            control=control,
            raw=float("nan") if raw is None or figure != "AUC" else raw,
            n=len(np.unique(trio.found.patients)),
            seed=seed,
            reference=REFERENCES.get(name, ""),
            valid=valid,
            reason=reason,
        )
        for figure, (value, chance, floor, gain, control) in trio.figures(name).items()
    )


Figure = tuple[Interval, float, float, Interval, float]
"""Value, chance, floor, gain, control."""

Curve = Callable[[Floats], Floats]
"""Makes a figure of false reject rates."""


@dataclass(frozen=True, eq=False, slots=True)
class _Trio:
    """The attack, the label floor and the control side by side, with the same draws."""

    found: Found
    floor: Found
    control: Found
    patients: int
    samples: int
    seed: int

    def figures(self, attacker: str) -> dict[str, Figure]:
        chances = self.found.precision_by_chance, self.found.mean_precision_by_chance
        figures = {
            "AUC": self._mean("auc", 0.5),
            "EER": self._of_curves(equal_error, 0.5, -1),
            "precision@1": self._mean("precision", self._chance(chances[0])),
            "mAP@R": self._mean("mean_precision", self._chance(chances[1])),
        }
        if attacker == "distance":
            figures["KS"] = self._of_curves(kolmogorov, 0.0, 1)
        return figures

    def _means(self, found: Found, name: str) -> Floats:
        return means_of(getattr(found, name), found.patients, self.patients)

    def _chance(self, by_chance: Floats) -> float:
        return float(np.nanmean(means_of(by_chance, self.found.patients, self.patients)))

    def _mean(self, name: str, chance: float) -> Figure:
        own, floor = self._means(self.found, name), self._means(self.floor, name)
        if np.nanmean(floor) < chance:
            floor = np.full_like(floor, chance)
        return (
            mean_interval(own, (0, 1)),
            chance,
            max(float(np.nanmean(floor)), chance),
            mean_difference(own, floor, (0, 1)),
            float(np.nanmean(self._means(self.control, name))),
        )

    def _of_curves(self, figure: Curve, chance: float, sign: int) -> Figure:
        curves = [each.curve(self.patients) for each in (self.found, self.floor, self.control)]
        seen = np.isfinite(curves[0]).all(axis=1)
        own, floor, control = (curve[seen] for curve in curves)
        draws = draw_patients(int(seen.sum()), self.samples, self.seed) / seen.sum()
        points = [float(figure(np.nanmean(curve, axis=0))) for curve in (own, floor, control)]
        drawn, without = figure(draws @ own), figure(draws @ floor)
        if sign * points[1] < sign * chance:
            points[1], without = chance, np.full_like(without, chance)
        return (
            Interval.of_draws(points[0], drawn, len(own)),
            chance,
            points[1],
            Interval.of_draws(sign * (points[0] - points[1]), sign * (drawn - without), len(own)),
            points[2],
        )


def _attacker(attacker: str | Fit) -> tuple[str, Fit]:
    if callable(attacker):
        return getattr(attacker, "__name__", type(attacker).__name__), attacker
    if attacker not in ATTACKERS:
        raise AuditError(f"an attacker is one of {', '.join(ATTACKERS)}; got {attacker!r}")
    return attacker, ATTACKERS[attacker]


def _check(alike: Array, shape: tuple[int, int], attacker: str) -> None:
    if alike.shape != shape:
        raise AuditError(f"{attacker} gives similarities {alike.shape}, wanted {shape}")
    if not np.isfinite(alike).all():
        raise AuditError(f"{attacker} gives similarities that are not finite")
