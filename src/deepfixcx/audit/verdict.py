"""Five questions about a release, answered by attacks.

Can a person be singled out, can records be linked, can something be inferred? The Article 29
Working Party asks these three of every technique that is to make data anonymous. Beside them: can
images be reconstructed, and does the release show who is in it? The answers say what the attackers
of this package could do, never that something is impossible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deepfixcx.audit.result import (
    LOWER_IS_STRONGER,
    QUESTIONS,
    RAW,
    AttackResult,
    Word,
    detectable_gain,
)
from deepfixcx.audit.suite import NO_PERSON, REFERENCE, UNIQUE, Audit

__all__ = ["Answer", "answers"]

SINGLED_OUT, LINKED, INFERRED, RECONSTRUCTED, MEMBERS = QUESTIONS

MARGIN = 0.05
"""A gain that is certain and larger than this means yes, not only a little."""

DECIBELS = 1.0
"""The same for PSNR."""

FACTOR = 2.0
"""A first hit that is certainly so many times as frequent as without the release means yes."""

ROUNDING = 1e-6
"""Gains below are those of floating point numbers."""

MODES = {
    "released-released": "two records of the release",
    "released-raw": "an image from elsewhere and a record",
    "inverted-raw": "an image from elsewhere and a reconstruction",
    "labels": "the released labels",
}

OPINION = "Article 29 Data Protection Working Party, Opinion 05/2014, WP216"

OF_NO_PATIENT = "Records are drawn from a model, so that none is of a patient or an image."
NO_SEARCH = "No patient has two images that are not copies, so no search was possible."

FIRST, AREAS = ("precision@1", "mAP@R", UNIQUE), ("AUC", "EER", "KS")
LIKENESS = ("SSIM", "MS-SSIM", "PSNR", "right signs")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes
    ----------
    question : str
        In plain words.
    word : str
        ``"yes"``; ``"a little"``, where a lower bound exceeds its baseline and the gain is at most
        0.05 or not certain; ``"not shown"``, where no lower bound of any attack exceeds its
        baseline; ``"not tested"``, where no attacker was strong enough and none succeeded.
    sentence : str
        What was measured, with intervals and baselines.
    evidence : tuple of AttackResult
        The attacks that decided.

    References
    ----------
    Article 29 Data Protection Working Party, Opinion 05/2014 on anonymisation techniques, WP216.
    """

    question: str
    word: Word
    sentence: str
    evidence: tuple[AttackResult, ...] = ()


def answers(audit: Audit) -> tuple[Answer, ...]:
    """Answer the questions: an attack that succeeds counts, however weak its attacker.

    Examples
    --------
    >>> {answer.word for answer in answers(Audit((), (), 0, 0, False, 0))}
    {'not tested'}
    """
    questions = (_singled_out, _linked, _inferred, _reconstructed, _members)
    found = [answer(audit.results) for answer in questions]
    if NO_PERSON in audit.untested:
        found[:-1] = [replace(each, sentence=OF_NO_PATIENT) for each in found[:-1]]
    return tuple(found)


def _singled_out(results: Sequence[AttackResult]) -> Answer:
    family = _of(results, "linkage", FIRST)
    best = _strongest(family, "precision@1")
    sentences = []
    if best is not None:
        sentences.append(
            f"An attacker who holds another image of a patient ranks a record of that patient "
            f"first in {_percent(best.value.value)} of the searches (95 % CI "
            f"{_percent(best.value.low)} to {_percent(best.value.high)}; {_attacker(best)})."
            f"{_baselines(results, best)}"
        )
    alone = [each for each in family if each.figure == UNIQUE and each.value.value > 0]
    sentences += [
        f"The released labels alone single out {_percent(each.value.value)} of {each.n} patients."
        for each in alone
    ]
    stated = alone if best is None else [best, *alone]
    return _answer(SINGLED_OUT, family, stated, sentences)


def _linked(results: Sequence[AttackResult]) -> Answer:
    family = _of(results, "linkage", AREAS)
    best = _strongest(family, "AUC")
    sentences = []
    if best is not None:
        sentences.append(
            f"Another image of a patient is more similar to the patient's record than to another "
            f"patient's with an AUC of {best.value} ({_attacker(best)})."
            f"{_baselines(results, best)}"
        )
    stated = [] if best is None else [best]
    return _answer(LINKED, family, stated, sentences)


def _inferred(results: Sequence[AttackResult]) -> Answer:
    found = _of(results, "inference", ("AUC",))
    rare = _of(results, "rare labels", ("AUC",))
    found.sort(key=lambda each: (math.isnan(each.gain.low), -each.gain.low))
    shown = [each for each in found if _succeeds(each)]
    failed = [each for each in found if not _succeeds(each)]
    hidden = [each for each in failed if _counts(each)]
    unknown = [each.mode for each in failed if not _counts(each)]
    sentences = []
    if shown:
        parts = "; ".join(_attribute(each) for each in shown)
        sentences.append(
            f"Records of patients on whom the attacker did not train show {parts}. Chance is an "
            f"AUC of 0.5."
        )
    if hidden:
        sentences.append(f"Not shown: {'; '.join(_attribute(each) for each in hidden)}.")
    if unknown:
        sentences.append(f"Too few patients for: {'; '.join(unknown)}.")
    carriers = sorted((each for each in rare if _succeeds(each)), key=lambda each: -each.gain.value)
    if carriers:
        parts = "; ".join(
            f"{each.mode} (AUC {each.value}, {each.attacker}; learned from other patients "
            f"{each.floor:.3f})"
            for each in _one_each(carriers)[:3]
        )
        sentences.append(
            "With images of released patients, an attacker finds the carriers of released "
            f"labels better than with images of other patients: {parts}."
        )
    family = [*found, *rare]
    none = "Not measured: the table has no suitable column."
    return _answer(INFERRED, family, family, sentences, none)


def _reconstructed(results: Sequence[AttackResult]) -> Answer:
    family = [
        each
        for each in _of(results, "reconstruction", LIKENESS)
        if each.figure != "right signs" or each.mode == "all details"
    ]
    best, loud = (_strongest(family, figure) for figure in ("SSIM", "PSNR"))
    stated = [each for each in (best, loud) if each is not None]
    sentences = []
    if best is not None:
        sentences.append(
            f"The reconstructions nearest to the small originals have an SSIM of {best.value} (1 "
            f"is equal; attacker: {best.attacker}). Baseline, the mean of other patients' images: "
            f"{best.floor:.3f}."
        )
    if loud is not None:
        sentences.append(f"The gain in PSNR is {loud.gain.value:.1f} dB ({loud.attacker}).")
    again = _strongest(
        [each for each in _of(results, "linkage", ("AUC",)) if each.mode == "inverted-raw"], "AUC"
    )
    if again is not None and stated:
        sentences.append(f"Reconstructions link to their patients with an AUC of {again.value}.")
    none = "No image was reconstructed."
    return _answer(RECONSTRUCTED, family, stated, sentences, none)


def _members(results: Sequence[AttackResult]) -> Answer:
    family = [each for each in results if each.attack == "membership"]
    tested = [each for each in family if math.isfinite(each.gain.low)]
    shown = sorted((each for each in tested if _succeeds(each)), key=lambda each: -each.gain.value)
    stated = _one_each(shown or [each for each in tested if _counts(each)], by="attacker")
    sentences = [
        f"{_membership(each)} {each.value} ({each.attacker}, "
        f"{each.mode}; chance {each.chance:.3f}"
        + (f", baseline {each.floor:.3f}" if each.floor != each.chance else "")
        + ")."
        for each in stated
    ]
    none = "Not measured: no attacker with candidate images could be tried."
    return _answer(MEMBERS, family, stated, sentences, none)


# -- helpers ----------------------------------------------------------------------------------

_MEMBERSHIP = {
    "recall": "An attacker with candidate images names the members of a record with a recall of",
    "precision@1": "An attacker who holds an image finds its record at rank 1 with a precision of",
    "AUC rank": "An attacker who holds an image ranks its record before others with an AUC of",
    "AUC": "Membership of a patient is inferred with an AUC of",
    "TPR at 1 % FPR": "At a false positive rate of 1 %, members are found at a rate of",
    "worst patient AUC": "Membership of the most exposed patient is inferred with an AUC of",
}


def _membership(result: AttackResult) -> str:
    if (result.attacker, result.figure) == ("subset sum", "precision@1"):
        return "The candidate with the largest weight in a record is a member with a precision of"
    return _MEMBERSHIP.get(result.figure, result.figure)


def _of(
    results: Sequence[AttackResult], attack: str, figures: tuple[str, ...]
) -> list[AttackResult]:
    return [each for each in results if each.attack == attack and each.figure in figures]


def _answer(
    question: str,
    family: Sequence[AttackResult],
    stated: Sequence[AttackResult],
    sentences: Sequence[str],
    none: str = NO_SEARCH,
) -> Answer:
    """Join the sentences on what is `stated`, and what else succeeded or could have been seen."""
    word = _word(family)
    if word == "not tested" or (word == "not shown" and not any(map(_counts, stated))):
        return Answer(question, "not tested", _untested(none, family), tuple(stated))
    parts = [each for each in sentences if each]
    if word == "not shown":
        parts.append(_power(stated))
    else:
        parts += _also(family, stated)
    return Answer(question, word, " ".join(parts), tuple(stated))


def _also(family: Sequence[AttackResult], stated: Sequence[AttackResult]) -> list[str]:
    """Name what exceeds its baseline in figures whose success is not stated."""
    named = {each.figure for each in stated if _succeeds(each)}
    rest = [each for each in family if _succeeds(each) and each.figure not in named]
    rest.sort(key=lambda each: -each.gain.value)
    return [
        f"Above its baseline: {each.figure} {each.value}, baseline {each.floor:.3f} "
        f"({_attacker(each)})."
        for each in {each.figure: each for each in reversed(rest)}.values()
    ]


def _word(family: Sequence[AttackResult]) -> Word:
    """Say no less than a little where any lower bound exceeds its baseline."""
    shown = [each for each in family if _succeeds(each)]
    if any(map(_is_large, shown)):
        return "yes"
    if shown:
        return "a little"
    return "not shown" if any(map(_counts, family)) else "not tested"


def _succeeds(result: AttackResult) -> bool:
    """Whether the lower bound of the gain, or of the value itself, exceeds the baseline."""
    if result.figure in LOWER_IS_STRONGER:
        beyond = result.floor - result.value.high
    else:
        beyond = result.value.low - result.floor
    return result.gain.low > ROUNDING or beyond > ROUNDING


def _counts(result: AttackResult) -> bool:
    """Whether a failure of the attack means anything: complete success would have been detected."""
    most = 0.5 if result.figure == "EER" else 1 - result.floor
    if not result.valid or not math.isfinite(result.gain.low):
        return False
    return result.figure == "PSNR" or _detectable(result) < most


def _detectable(result: AttackResult) -> float:
    """Return the smallest detectable gain; where it is not stated, by the interval of the gain."""
    stated = result.detectable
    return stated if math.isfinite(stated) else detectable_gain(result.gain)


def _is_large(result: AttackResult) -> bool:
    if result.figure in FIRST and result.value.low > FACTOR * result.floor > 0:
        return True
    if not result.gain.low > ROUNDING:
        return False
    return result.gain.value > (DECIBELS if result.figure == "PSNR" else MARGIN)


def _strongest(family: Sequence[AttackResult], figure: str) -> AttackResult | None:
    """Return the result of largest gain: of those that succeed if any do, else of strong ones."""
    of_figure = [
        each for each in family if each.figure == figure and math.isfinite(each.gain.value)
    ]
    found = [each for each in of_figure if _succeeds(each)]
    found = found or [each for each in of_figure if _counts(each)]
    return max(found, key=lambda each: each.gain.value, default=None)


def _power(results: Sequence[AttackResult]) -> str:
    """Return the smallest effect that could have been detected; empty if none counts."""
    counted = [each for each in results if _counts(each)]
    if not counted:
        return ""
    figure = counted[0].figure
    least = min(_detectable(each) for each in counted if each.figure == figure)
    unit = "\xa0dB" if figure == "PSNR" else ""
    return (
        f"No attack exceeds its baseline. Smallest gain in {figure} that would have been detected "
        f"with a probability of 80 %: {least:.3f}{unit}; smaller effects are not excluded."
    )


def _attacker(result: AttackResult) -> str:
    return f"attacker: {result.attacker}, {MODES.get(result.mode, result.mode)}"


def _baselines(results: Sequence[AttackResult], best: AttackResult) -> str:
    """State chance, labels alone, the records without and with labels, and raw images."""
    write = _percent if best.figure == "precision@1" else _area
    words = [f"Chance: {write(best.chance)}"]
    peers = [
        each for each in results if each.figure == best.figure and each.mode in (best.mode, *RAW)
    ]
    name = best.attacker.removesuffix(", public images").removesuffix(" + labels")
    for each in peers:
        if each.attacker == "labels" and each is not best:
            words.append(f"label-only baseline: {write(each.value.value)}")
        elif each.mode == best.mode and each.attacker == f"{name} + labels" and each is not best:
            words.append(f"records with labels: {write(each.value.value)}")
        elif each.mode == best.mode and each.attacker == name and each is not best:
            words.append(f"records without labels: {write(each.value.value)}")
        elif each.attack == REFERENCE and each.attacker == name and each.mode in RAW:
            words.append(f"same attacker on {each.mode}: {write(each.value.value)}")
    if best.floor > best.chance and not any("label-only" in word for word in words):
        words.insert(1, f"label-only baseline: {write(best.floor)}")
    gain = f" Gain over the baseline: {best.gain}."
    return " " + ". ".join(word[:1].upper() + word[1:] for word in words) + "." + gain


def _attribute(result: AttackResult) -> str:
    known = [f"label-only baseline {result.floor:.3f}"] if result.floor > result.chance else []
    if math.isfinite(result.raw):
        known.append(f"raw images {result.raw:.3f}")
    beside = f" ({', '.join(known)})" if known else ""
    return f"{result.mode} with an AUC of {result.value}{beside}"


def _one_each(results: Sequence[AttackResult], by: str = "mode") -> list[AttackResult]:
    """Return the first result of each label, or of each attacker and estimate."""
    kept: dict[tuple[str, ...], AttackResult] = {}
    for each in results:
        key = (each.mode,) if by == "mode" else (each.attacker, each.figure)
        kept.setdefault(key, each)
    return list(kept.values())


def _untested(none: str, family: Sequence[AttackResult]) -> str:
    """Say why no failure means anything; `none` where no attack was made."""
    if not family:
        return none
    if narrow := [each for each in family if each.valid and math.isfinite(_detectable(each))]:
        best = max(narrow, key=lambda each: each.value.value)
        return (
            f"The baseline of {best.floor:.3f} leaves no room for the smallest detectable gain "
            f"in {best.figure}, {_detectable(best):.3f}, with {best.n} patients."
        )
    if reasons := [each.reason for each in family if each.reason]:
        return f"No attacker is strong enough: {reasons[0]}."
    return "There are too few patients for an interval."


def _area(value: float) -> str:
    return f"AUC {value:.3f}"


def _percent(share: float) -> str:
    if not math.isfinite(share):
        return "an unknown share"
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
