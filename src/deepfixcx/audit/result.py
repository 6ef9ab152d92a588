"""What every attack returns, an estimate with its baselines; and what the answers mean together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.measures import Interval, mean_difference, mean_interval, rate_interval
from deepfixcx.measures.intervals import Floats

__all__ = [
    "LEAST_RAW_AUC",
    "LOWER_IS_STRONGER",
    "QUESTIONS",
    "RAW",
    "RAW_FEATURES",
    "RAW_IMAGES",
    "WORDS",
    "AttackResult",
    "Conclusion",
    "Word",
    "conclude",
    "detectable_gain",
    "figure_of",
    "found_at_one_percent",
    "mann_whitney_error",
    "result_of_means",
    "validity",
]

LEAST_RAW_AUC = 0.75
"""An attacker that does not link raw images at least so well has shown nothing about codes."""

LOWER_IS_STRONGER = ("EER",)
"""Measures whose small values mean that the attack succeeds."""

Word = Literal["yes", "a little", "not shown", "not tested"]
WORDS: tuple[Word, ...] = ("yes", "a little", "not shown", "not tested")
"""Every answer, the most serious first."""

QUESTIONS = (
    "Can a person be singled out?",
    "Can records of one person be linked?",
    "Can something be inferred about a person?",
    "Can images be reconstructed?",
    "Does the release show whose images it was made of?",
)

UNPROVEN = (
    "This is no proof that the release is anonymous: share it only with recipients who are bound "
    "not to search for patients."
)

FALSE_POSITIVE_RATE = 0.01

NORMAL_95, NORMAL_80 = 1.959964, 0.841621
"""Quantiles of the normal distribution: 97.5 %, and the power of 80 %."""

NOT_TRIED_ON_RAW = "the same attacker was not tried on raw images"

RAW_IMAGES, RAW_FEATURES = RAW = ("raw images", "raw features")
"""Modes of the reference: what the same attacker reaches where nothing was removed."""


@dataclass(frozen=True, slots=True)
class AttackResult:
    """One figure of one attack.

    A figure alone says nothing. It is held against four others: `chance`, what guessing reaches;
    `floor`, what an attacker reaches who never sees the codes; `control`, what the same attack
    reaches on targets about which the release holds nothing; and `raw`, what it reaches where
    nothing was taken away.

    Attributes
    ----------
    attack : str
        ``"linkage"``, ``"reconstruction"``, ``"inference"`` or ``"membership"``; or
        ``"reference"``, what the same attacker does to raw images.
    mode : str
        What was attacked in which way, such as ``"released-raw"``, or the attribute inferred.
    attacker : str
        Who attacked, such as ``"whitening"``.
    figure : str
        What is measured, such as ``"AUC"``, ``"precision@1"``, ``"SSIM"`` or ``"PSNR"`` (decibels).
    value : Interval
        The figure with its 95 % interval, for which patients are drawn with replacement.
    chance : float
        What guessing reaches; NaN where that means nothing.
    floor : float
        What is reached without the codes: by labels alone, or by the mean image of others. Never
        weaker than chance: who does worse than guessing guesses.
    gain : Interval
        `value` less `floor`, paired patient by patient; for figures in `LOWER_IS_STRONGER` with
        the sign turned, so that more is always worse for privacy.
    control : float
        The same attack on targets that are not in the release; NaN if there is none.
    raw : float
        The same attack on raw images; NaN where it was not made.
    n : int
        Patients that were attacked.
    seed : int
        Of everything random in it.
    reference : str
        Where the attack comes from.
    valid : bool
        Whether the attacker is strong enough for the figure to mean anything.
    reason : str
        Why not; empty if valid.
    detectable : float
        The smallest gain that this attack detects with a probability of 80 %, see
        `detectable_gain`; NaN where it is unknown.

    References
    ----------
    Giomi et al., A unified framework for quantifying privacy risk in synthetic data, Proceedings on
    Privacy Enhancing Technologies, 2023, doi:10.56553/popets-2023-0055, of control and residual
    risk.

    Examples
    --------
    >>> result = AttackResult(
    ...     "linkage", "released-raw", "whitening", "AUC", Interval(0.81, 0.77, 0.85), 0.5, 0.62,
    ...     Interval(0.19, 0.15, 0.23), control=0.6, raw=0.83, n=99, seed=0, reference="",
    ... )
    >>> round(result.residual_risk, 3), result.valid
    (0.525, True)
    """

    attack: str
    mode: str
    attacker: str
    figure: str
    value: Interval
    chance: float
    floor: float
    gain: Interval
    control: float
    raw: float
    n: int
    seed: int
    reference: str
    valid: bool = True
    reason: str = ""
    detectable: float = math.nan

    @property
    def residual_risk(self) -> float:
        """Success beyond the control, as a share of what is left: (attack - c) / (1 - c).

        Clipped to [0, 1]. NaN where there is no control, or the figure is none of shares.
        """
        attack, control = self.value.value, self.control
        if self.figure in LOWER_IS_STRONGER:
            attack, control = 1 - attack, 1 - control
        if self.figure == "PSNR" or not math.isfinite(attack - control) or control >= 1:
            return math.nan
        return min(max((attack - control) / (1 - control), 0.0), 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values; None stands for NaN."""
        values = asdict(self) | {"residual_risk": self.residual_risk}
        values |= {"value": self.value.to_dict(), "gain": self.gain.to_dict()}
        return {name: _plain(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the five answers mean together.

    Attributes
    ----------
    state : str
        ``"shown"``, where an attack succeeded; ``"not tested"``, where a question has no answer;
        else ``"not shown"``.
    sentence : str
        The answers, and how to treat the release.
    """

    state: Literal["shown", "not shown", "not tested"]
    sentence: str


def conclude(words: Mapping[str, str]) -> Conclusion:
    """Join the answers of an audit; a question without an answer was not tested.

    Parameters
    ----------
    words : mapping of str to str
        One of `WORDS` by its question, as in ``answers`` of ``audit.json``.

    Examples
    --------
    >>> conclude({QUESTIONS[0]: "yes"}).state, conclude({}).state
    ('shown', 'not tested')
    >>> conclude(dict.fromkeys(QUESTIONS, "not shown")).sentence
    'Audit: not shown (5 of 5 questions). This is no proof that the release is anonymous: share it \
only with recipients who are bound not to search for patients.'
    """
    of_word = {word: [q for q in QUESTIONS if words.get(q, WORDS[-1]) == word] for word in WORDS}
    parts = [f"{word.capitalize()}: {' '.join(asked)}" for word, asked in of_word.items() if asked]
    said = f"Answers of the audit. {' '.join(parts)}"
    if len(parts) == 1:
        only = next(word for word, asked in of_word.items() if asked)
        said = f"Audit: {only} ({len(QUESTIONS)} of {len(QUESTIONS)} questions)."
    if of_word["yes"] or of_word["a little"]:
        return Conclusion(
            "shown", f"{said} The release is not anonymous: share it only as patient data."
        )
    if not of_word["not shown"]:
        return Conclusion("not tested", f"{said} Treat the release as if it identified patients.")
    state: Literal["not shown", "not tested"] = (
        "not tested" if of_word["not tested"] else "not shown"
    )
    return Conclusion(state, f"{said} {UNPROVEN}")


def figure_of(results: tuple[AttackResult, ...], figure: str) -> AttackResult:
    """Return the one result of this figure.

    Parameters
    ----------
    results : tuple of AttackResult
        Of one attack.
    figure : str
        Such as ``"AUC"`` or ``"precision@1"``.

    Returns
    -------
    AttackResult

    Raises
    ------
    KeyError
        There is none, or more than one.

    Examples
    --------
    >>> from deepfixcx.audit.linkage import Records, attack_linkage
    >>> import numpy as np
    >>> codes = Records(np.random.default_rng(0).normal(size=(40, 3)))
    >>> results = attack_linkage(codes, np.arange(40) // 2, attacker="distance", samples=20)
    >>> figure_of(results, "AUC").figure
    'AUC'
    """
    found = [result for result in results if result.figure == figure]
    if len(found) != 1:
        raise KeyError(f"{len(found)} results of {figure!r}, wanted one")
    return found[0]


def detectable_gain(gain: Interval, null_error: float = 0.0) -> float:
    """Return the smallest true gain whose 95 % interval excludes 0 with a probability of 80 %.

    Parameters
    ----------
    gain : Interval
        As measured; its width gives the standard error.
    null_error : float
        Standard error of the same estimate under the null hypothesis, by permutation. The larger
        of the two counts: a release of constants has an interval of no width, which is not power.

    References
    ----------
    Cohen, Statistical power analysis for the behavioral sciences, 1988, section 2.2.

    Examples
    --------
    >>> round(detectable_gain(Interval(0.01, -0.03, 0.05)), 3)
    0.057
    """
    error = (gain.high - gain.low) / (2 * NORMAL_95)
    if not math.isfinite(error):
        return math.nan
    return (NORMAL_95 + NORMAL_80) * max(error, null_error)


def result_of_means(
    attack: str,
    mode: str,
    attacker: str,
    figure: str,
    own: ArrayLike,
    floor: ArrayLike,
    *,
    null: ArrayLike | None = None,
    chance: float | None = None,
    control: float = math.nan,
    seed: int = 0,
    reference: str = "",
) -> AttackResult:
    """Return the result whose value is a mean over patients.

    Parameters
    ----------
    own, floor : array_like, shape (patients,) or a scalar
        Success with each patient, and what is reached without the records; NaN does not count.
    null : array_like, shape (patients,), optional
        Success of an attacker who guesses; its spread limits what can be detected.
    chance : float, optional
        By default the mean of `floor`.
    """
    values = np.asarray(own, np.float64)
    without = np.broadcast_to(np.asarray(floor, np.float64), values.shape)
    known = np.isfinite(values) & np.isfinite(without)
    gain = mean_difference(np.where(known, values, np.nan), without, (0, 1))
    mean_floor = float(without[known].mean()) if known.any() else math.nan
    guess = mean_floor if chance is None else chance
    return AttackResult(
        attack=attack,
        mode=mode,
        attacker=attacker,
        figure=figure,
        value=mean_interval(values, (0, 1)),
        chance=guess,
        floor=mean_floor,
        gain=gain,
        control=control,
        raw=math.nan,
        n=int(known.sum()),
        seed=seed,
        reference=reference,
        detectable=detectable_gain(gain, 0.0 if null is None else _error(null)),
    )


def mann_whitney_error(yes: float, no: float) -> float:
    """Return the standard error of the AUC of a guess, of so many positives and negatives."""
    return math.sqrt((yes + no + 1) / (12 * yes * no))


def found_at_one_percent(
    area: AttackResult, scores: Floats, member: NDArray[np.bool_], patients: NDArray[np.int64]
) -> AttackResult:
    """Return the share of members found where one in a hundred others is taken for one.

    The threshold is that of the others at hand, and with few of them its true false positive rate
    may be much larger than 1 %. The floor is the upper bound of that rate, with 97.5 %.
    """
    others = np.sort(scores[~member])
    accepted = int(FALSE_POSITIVE_RATE * len(others))
    found = np.where(member, scores > others[len(others) - 1 - accepted], np.nan)
    value = rate_interval(found, patients)
    there = len(np.unique(patients[~member]))
    share = accepted * there / len(others)
    # the part of a distribution that lies above the k-th largest of n draws has a beta distribution
    special = require("scipy.special", extra="sklearn")
    floor = float(special.betaincinv(share + 1, there - share, 0.975))
    gain = Interval(value.value - floor, value.low - floor, value.high - floor)
    yes = len(np.unique(patients[member]))
    error = math.sqrt(floor * (1 - floor) / yes)
    return replace(
        area, figure="TPR at 1 % FPR", value=value, chance=FALSE_POSITIVE_RATE, floor=floor,
        gain=gain, control=floor, detectable=detectable_gain(gain, error),
    )  # fmt: skip


def _error(values: ArrayLike) -> float:
    """Return the standard error of a mean over patients."""
    numbers: Floats = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return float(numbers.std(ddof=1) / math.sqrt(len(numbers))) if len(numbers) > 1 else 0.0


def validity(raw: float, least: float = LEAST_RAW_AUC) -> tuple[bool, str]:
    """Return whether an attacker that reaches an AUC of `raw` on raw images counts, and why not.

    Examples
    --------
    >>> validity(0.8), validity(0.7)
    ((True, ''), (False, 'on raw images the same attacker reaches 0.700, less than 0.75'))
    """
    if not math.isfinite(raw):
        return False, NOT_TRIED_ON_RAW
    if raw < least:
        return False, f"on raw images the same attacker reaches {raw:.3f}, less than {least}"
    return True, ""


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
