"""Link the records of a release, or of a release and images from elsewhere, by patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from deepfixcx.audit.features import Array, patient_numbers
from deepfixcx.audit.linkage.attackers import ATTACKERS, REFERENCES
from deepfixcx.audit.linkage.labels import (
    fit_beside_labels,
    fit_label_ratio,
    gallery_distances,
    labels_of,
    stand_ins,
)
from deepfixcx.audit.linkage.pairs import Fit, Records
from deepfixcx.audit.linkage.trial import (
    Found,
    GalleryCurve,
    Public,
    Test,
    equal_error,
    join,
    judge,
    kolmogorov,
    make_tests,
)
from deepfixcx.audit.result import AttackResult, detectable_gain, validity
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval, mean_difference, mean_interval
from deepfixcx.measures.intervals import Floats, draw_patients
from deepfixcx.measures.intervals import patient_means as means_of

__all__ = ["LABELS", "WITH_LABELS", "Linkage", "attack_linkage", "link_records"]

CONTROL_DRAWS = 10  # so many times other strangers stand in for the true records
LABELS = "labels"
"""The attacker who has labels and no records."""

WITH_LABELS = " + labels"
"""Ends the name of an attacker who has both."""

GALLERIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True, slots=True)
class Linkage:
    """What came of linkage: results, and a curve for each attacker."""

    results: tuple[AttackResult, ...]
    curves: tuple[GalleryCurve, ...]


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
        same spec, say): the mode ``"released-raw"``. By default the released records themselves are
        the probes: ``"released-released"``.
    attacker : str or callable
        ``"distance"``, ``"whitening"``, ``"siamese-mlp"`` or ``"siamese-cnn"``; or a function that
        takes `Pairs` and a seed and returns a function of probes and records that says how alike
        they are.
    labels : array_like, shape (N, L), optional
        What is known of the images without the codes, as numbers, NaN where unknown: labels, the
        view, the age (`encode_columns`). They make the floor, by a likelihood ratio that is learned
        on the training patients, and the control.
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
    return link_records(
        released, patients, probes=probes, attacker=attacker, labels=labels, folds=folds,
        seed=seed, samples=samples, raw=raw,
    ).results  # fmt: skip


def link_records(
    released: Records,
    patients: ArrayLike,
    *,
    probes: Records | None = None,
    attacker: str | Fit = "whitening",
    labels: ArrayLike | None = None,
    beside: bool = False,
    copies: Any = None,
    public: Public | None = None,
    folds: int = 3,
    seed: int = 0,
    samples: int = 1000,
    raw: float | None = None,
) -> Linkage:
    """Link as `attack_linkage`, with more attackers and the curve of the first hit.

    Parameters
    ----------
    released, patients, probes, attacker, labels, folds, seed, samples, raw
        As in `attack_linkage`.
    beside : bool
        Also attack with records and labels together (``"whitening + labels"``), whose floor is the
        same as without, and with labels alone (``"labels"``), whose floor is chance.
    copies : sparse matrix of N by N, optional
        Which source images are copies of each other; see `deepfixcx.audit.target`. Such pairs
        are not compared: that a file equals its copy does not identify a patient.
    public : Public, optional
        The attacker trains on these images of other patients only, and searches all records at
        once.

    Returns
    -------
    Linkage
        Results, and the curves.

    Examples
    --------
    >>> codes = Records(np.repeat(np.random.default_rng(0).normal(size=(40, 3)), 2, axis=0))
    >>> linkage = link_records(codes, np.arange(80) // 2, attacker="distance", samples=20)
    >>> linkage.curves[0].strangers, linkage.curves[0].top1[-1].value
    ((1, 2, 5, 10, 20, 24), 1.0)
    """
    owners = patient_numbers(patients)
    name, fit = _attacker(attacker)
    looked_for = released if probes is None else probes
    if labels is None:
        labels = np.full((len(owners), 1), np.nan, np.float32)
    sides = labels_of(looked_for, labels, len(owners)), labels_of(released, labels, len(owners))
    learned = sides
    if public is not None:
        empty = np.full((len(public.patients), sides[0].shape[1]), np.nan, np.float32)
        learned = (empty if public.labels is None else public.labels,) * 2
    generator = np.random.default_rng(seed)
    found: dict[str, list[Found]] = {}
    tests = make_tests(released, probes, owners, folds, generator, copies=copies, public=public)
    for test in tests:
        apart = gallery_distances(sides[1][test.gallery])
        alike = _similarities(test, looked_for, released, sides, learned, fit, name, beside, seed)
        for each, values in alike.items():
            found.setdefault(each, []).append(judge(values, test.searches, generator))
        found.setdefault("null", []).append(
            judge(generator.random(alike[name].shape).astype(np.float32), test.searches, generator)
        )
        for _ in range(CONTROL_DRAWS):
            others = stand_ins(test.searches, apart, generator)
            found.setdefault("control", []).append(judge(alike[name], others, generator))
    whole = {each: join(parts) for each, parts in found.items()}
    mode = "released-released" if probes is None else "released-raw"
    count = int(owners.max()) + 1
    results: list[AttackResult] = []
    curves = []
    for each in [name, *((name + WITH_LABELS, LABELS) if beside else ())]:
        # labels alone are held against guessing, everything else against labels alone
        floor = whole["null"] if each == LABELS else whole[LABELS]
        control = whole["control"] if each == name else None
        judged = _Judged(whole[each], floor, control, whole["null"], count, samples, seed)
        results += _results(judged, mode, each, raw if each == name else None)
        curves.append(_curve(judged, mode, each))
    return Linkage(tuple(results), tuple(curves))


# -- helpers ----------------------------------------------------------------------------------

Estimate = tuple[Interval, float, float, Interval, float, float]
"""Value, chance, floor, gain, control, standard error by chance."""

Curve = Callable[[Floats], Floats]
"""Makes an estimate of false reject rates."""

Sides = tuple[Array, Array]


def _similarities(
    test: Test,
    looked_for: Records,
    released: Records,
    sides: Sides,
    learned: Sides,
    fit: Fit,
    name: str,
    beside: bool,
    seed: int,
) -> dict[str, Array]:
    """Return how alike probes and records of a test are, to each attacker."""
    probes, gallery = looked_for.array[test.probes], released.array[test.gallery]
    of_probes, of_gallery = sides[0][test.probes], sides[1][test.gallery]
    compare = fit(test.training, seed)
    alike = {
        name: compare(probes, gallery),
        LABELS: fit_label_ratio(test.training, *learned)(of_probes, of_gallery),
    }
    if beside:
        both = fit_beside_labels(fit, test.training, *learned, compare, seed)
        alike[name + WITH_LABELS] = both(probes, gallery, of_probes, of_gallery)
    for each, values in alike.items():
        if values.shape != (len(test.probes), len(test.gallery)):
            wanted = len(test.probes), len(test.gallery)
            raise AuditError(
                f"{each} returns similarities of shape {values.shape}; expected {wanted}"
            )
        if not np.isfinite(values).all():
            raise AuditError(f"{each} returns similarities with NaN or infinity")
    return alike


@dataclass(frozen=True, eq=False, slots=True)
class _Judged:
    """An attack beside its floor, its control and guessing, with the same draws of patients."""

    found: Found
    floor: Found
    control: Found | None
    null: Found
    patients: int
    samples: int
    seed: int

    def estimates(self, attacker: str) -> dict[str, Estimate]:
        chances = self.found.precision_by_chance, self.found.mean_precision_by_chance
        estimates = {
            "AUC": self._mean("auc", 0.5),
            "EER": self._of_curves(equal_error, 0.5, -1),
            "precision@1": self._mean("precision", self._chance(chances[0])),
            "mAP@R": self._mean("mean_precision", self._chance(chances[1])),
        }
        if attacker == "distance":
            estimates["KS"] = self._of_curves(kolmogorov, 0.0, 1)
        return estimates

    def means(self, found: Found, name: str) -> Floats:
        return means_of(getattr(found, name), found.patients, self.patients)

    def _chance(self, by_chance: Floats) -> float:
        return float(np.nanmean(means_of(by_chance, self.found.patients, self.patients)))

    def _mean(self, name: str, chance: float) -> Estimate:
        own, floor = self.means(self.found, name), self.means(self.floor, name)
        if self.floor is self.null or np.nanmean(floor) < chance:
            floor = np.where(np.isfinite(floor), chance, np.nan)
        null = self.means(self.null, name)
        null = null[np.isfinite(null)]
        control = np.nan if self.control is None else np.nanmean(self.means(self.control, name))
        return (
            mean_interval(own, (0, 1)),
            chance,
            max(float(np.nanmean(floor)), chance),
            mean_difference(own, floor, (0, 1)),
            float(control),
            float(null.std() / np.sqrt(max(len(null), 1))),
        )

    def _of_curves(self, figure: Curve, chance: float, sign: int) -> Estimate:
        own, floor = self.found.curve(self.patients), self.floor.curve(self.patients)
        seen = np.isfinite(own).all(axis=1)
        draws = draw_patients(int(seen.sum()), self.samples, self.seed) / seen.sum()
        points = [float(figure(np.nanmean(curve[seen], axis=0))) for curve in (own, floor)]
        drawn, without = figure(draws @ own[seen]), figure(draws @ floor[seen])
        if self.floor is self.null or sign * points[1] < sign * chance:
            points[1], without = chance, np.full_like(without, chance)
        control = float("nan")
        if self.control is not None:
            control = float(figure(np.nanmean(self.control.curve(self.patients)[seen], axis=0)))
        return (
            Interval.of_draws(points[0], drawn, int(seen.sum())),
            chance,
            points[1],
            Interval.of_draws(
                sign * (points[0] - points[1]), sign * (drawn - without), int(seen.sum())
            ),
            control,
            float(figure(draws @ self.null.curve(self.patients)[seen]).std()),
        )


def _results(judged: _Judged, mode: str, attacker: str, raw: float | None) -> list[AttackResult]:
    unaided = judged.control is not None
    valid, reason = validity(float("nan") if raw is None else raw) if unaided else (True, "")
    return [
        AttackResult(
            attack="linkage",
            mode=mode,
            attacker=attacker,
            figure=figure,
            value=value,
            chance=chance,
            floor=floor,
            gain=gain,
            control=control,
            raw=float("nan") if raw is None or figure != "AUC" else raw,
            n=len(np.unique(judged.found.patients)),
            seed=judged.seed,
            reference=REFERENCES.get(attacker.removesuffix(WITH_LABELS), ""),
            valid=valid,
            reason=reason,
            detectable=detectable_gain(gain, error),
        )
        for figure, (value, chance, floor, gain, control, error) in judged.estimates(
            attacker
        ).items()
    ]


def _curve(judged: _Judged, mode: str, attacker: str) -> GalleryCurve:
    """Return the curve for as many strangers as every search has."""
    least = int(judged.found.strangers.min())
    sizes = [size for size in GALLERIES if size < least] + [least]
    top, chance = [], []
    for size in sizes:
        own, guess = (
            means_of(each, judged.found.patients, judged.patients)
            for each in judged.found.first_among(size)
        )
        top.append(mean_interval(own, (0, 1)))
        chance.append(float(np.nanmean(guess)))
    return GalleryCurve(mode, attacker, tuple(sizes), tuple(top), tuple(chance))


def _attacker(attacker: str | Fit) -> tuple[str, Fit]:
    if callable(attacker):
        return getattr(attacker, "__name__", type(attacker).__name__), attacker
    if attacker not in ATTACKERS:
        raise AuditError(f"an attacker is one of {', '.join(ATTACKERS)}; got {attacker!r}")
    return attacker, ATTACKERS[attacker]
