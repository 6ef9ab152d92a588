"""Guess an attribute of a patient, such as the sex, from codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.audit.features import (
    Array,
    Components,
    Standard,
    flatten,
    patient_folds,
    patient_numbers,
    set_aside,
)
from deepfixcx.audit.result import AttackResult, detectable_gain, mann_whitney_error
from deepfixcx.errors import AuditError
from deepfixcx.measures import Interval, roc_auc
from deepfixcx.measures.areas import auc_estimate
from deepfixcx.measures.intervals import Estimate, Floats
from deepfixcx.measures.solvers import logistic_regression

__all__ = ["above_median", "attack_inference"]

WAYS = ((True, 3.0), (False, 100.0), (False, 3000.0))
"""Whether components are whitened, and how much weights are penalized."""

IMAGES_A_COMPONENT = 10
LEAST_PATIENTS = 10
"""A value that fewer patients have is not guessed."""


def attack_inference(
    released: Array,
    attribute: ArrayLike,
    patients: ArrayLike,
    *,
    name: str,
    raw: Array | None = None,
    labels: ArrayLike | None = None,
    folds: int = 5,
    seed: int = 0,
) -> AttackResult:
    """Learn an attribute from the codes of other patients, and guess it.

    Parameters
    ----------
    released : ndarray of float32, shape (N, ...)
        Codes, or whatever was released.
    attribute : array_like, shape (N,)
        Its value for each image: any words, empty or None where unknown. Of several values the mean
        area of each against the others is taken.
    patients : array_like, shape (N,)
        Whose images they are.
    name : str
        What the attribute is called; the mode of the result.
    raw : ndarray of float32, shape (N, ...), optional
        The raw images, to say what the same attacker reaches on them.
    labels : array_like, shape (N, L), optional
        What is known without the codes; the attacker learns from them alone for the floor.
    folds : int
        Of the patients.
    seed : int
        Of folds.

    Returns
    -------
    AttackResult
        Of the figure ``"AUC"``, comparing images of one fold; 0.5 by chance. The control is the
        floor: what is inferred of a person whose codes are unknown.

    Raises
    ------
    AuditError
        Arrays of several lengths, or fewer than two values of ten patients each.

    References
    ----------
    Gichoya et al., AI recognition of patient race in medical imaging, Lancet Digital Health, 2022,
    doi:10.1016/S2589-7500(22)00063-2, of the kind of attack.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> sex = np.array(["F", "M"])[np.arange(80) // 2 % 2]
    >>> codes = generator.normal(size=(80, 6)) + (sex == "F")[:, None]
    >>> result = attack_inference(codes, sex, np.arange(80) // 2, name="sex")
    >>> result.value.low > 0.7, result.n
    (True, 40)
    """
    owners = patient_numbers(patients)
    values = np.array(["" if each is None else str(each) for each in np.asarray(attribute)])
    if not len(released) == len(values) == len(owners):
        raise AuditError(
            f"there are {len(released)} records, {len(values)} values of {name!r} and "
            f"{len(owners)} patients; give one of each for each image"
        )
    known = np.flatnonzero((values != "") & (values != "nan"))
    words = [
        word
        for word in np.unique(values[known])
        if len(np.unique(owners[values == word])) >= LEAST_PATIENTS
    ]
    if len(words) < 2:
        raise AuditError(
            f"{name!r} has {len(words)} values that {LEAST_PATIENTS} or more patients have; two "
            "such values are needed"
        )
    known = known[np.isin(values[known], words)]
    whose = np.unique(owners[known], return_inverse=True)[1].astype(np.int64)
    fold_of = patient_folds(whose, folds, np.random.default_rng(seed))[whose]
    truth = np.stack([values[known] == word for word in words], axis=1).astype(np.float64)
    truth = truth[:, 1:] if len(words) == 2 else truth

    def areas(seen: Any) -> Estimate:
        vectors = flatten(np.asarray(seen, np.float32)[known])
        scores = _scores(vectors, truth, whose, fold_of, np.random.default_rng(seed))
        return auc_estimate(truth, scores, whose, fold_of)

    own = areas(released)
    value = own.interval()
    floor, gain = 0.5, Interval(value.value - 0.5, value.low - 0.5, value.high - 0.5)
    if labels is not None:
        numbers = np.asarray(labels, np.float32).reshape(len(owners), -1)
        alone = areas(np.where(np.isnan(numbers), np.float32(0.5), numbers))
        if alone.value > floor:
            floor, gain = alone.value, own.less(alone)
    return AttackResult(
        attack="inference",
        mode=name,
        attacker="logistic",
        figure="AUC",
        value=value,
        chance=0.5,
        floor=floor,
        gain=gain,
        control=floor,
        raw=float("nan") if raw is None else areas(raw).value,
        n=int(whose.max()) + 1,
        seed=seed,
        reference="Gichoya et al. 2022, doi:10.1016/S2589-7500(22)00063-2",
        detectable=detectable_gain(gain, _null_error(truth, whose)),
    )


def _null_error(truth: Floats, owners: NDArray[np.int64]) -> float:
    """Return the standard error of the area of a guess, by Mann and Whitney, over patients."""
    yes = np.array([len(np.unique(owners[column > 0.5])) for column in truth.T], np.float64)
    no = np.maximum(len(np.unique(owners)) - yes, 1)
    return float(np.mean([mann_whitney_error(*each) for each in zip(yes, no, strict=True)]))


def above_median(values: ArrayLike) -> list[str]:
    """Turn numbers, such as ages, into ``"above"`` and ``"below"`` their median.

    Words that are no numbers become empty: unknown.

    Examples
    --------
    >>> above_median(["40", "70", "", "55"])
    ['below', 'above', '', 'below']
    """
    numbers = np.array([_number(each) for each in np.asarray(values)])
    known = np.isfinite(numbers)
    if not known.any():
        return [""] * len(numbers)
    median = float(np.median(numbers[known]))
    words = np.where(numbers > median, "above", "below")
    return [str(word) if is_known else "" for word, is_known in zip(words, known, strict=True)]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _scores(
    vectors: Array,
    truth: Floats,
    owners: NDArray[np.int64],
    fold_of: NDArray[np.int64],
    generator: np.random.Generator,
) -> Floats:
    """Return log odds of each value, each image by a classifier that has not seen the patient."""
    scores = np.zeros(truth.shape)
    for fold in np.unique(fold_of):
        training, tested = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        for column, yes in enumerate(truth.T):
            scores[tested, column] = _odds(
                vectors[training], yes[training], owners[training], vectors[tested], generator
            )
    return scores


def _odds(
    known: Array,
    yes: Floats,
    owners: NDArray[np.int64],
    unknown: Array,
    generator: np.random.Generator,
) -> Floats:
    """Return log odds by the way of learning that does best on a fifth of the patients."""
    learning, aside = set_aside(owners, generator)
    areas = [
        roc_auc(yes[aside], _learn(known[learning], yes[learning], known[aside], way))
        for way in WAYS
    ]
    best = int(np.argmax(np.nan_to_num(areas)))
    return _learn(known, yes, unknown, WAYS[best])


def _learn(known: Array, yes: Floats, unknown: Array, way: tuple[bool, float]) -> Floats:
    """Learn from a few whitened components, or from all of them as strong as they are."""
    whitened, penalty = way
    if len(np.unique(yes)) < 2:
        return np.zeros(len(unknown))
    standard = Standard.fit(known)
    most = max(1, len(known) // IMAGES_A_COMPONENT) if whitened else len(known)
    components = Components.fit(standard(known), most)
    seen, asked = components(standard(known)), components(standard(unknown))
    if whitened:
        scale = Standard.fit(seen)
        seen, asked = scale(seen), scale(asked)
    weights, bias = logistic_regression(seen, yes, penalty)
    return asked @ weights + bias
