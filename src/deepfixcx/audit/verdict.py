"""The three questions of the European data protection authorities, answered by attacks.

Can a person be singled out, can records be linked, can something be inferred? The Article 29
Working Party asks them of every technique that is to make data anonymous. The answers here say what
the attackers of this package could do, never that something is impossible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.suite import REFERENCE, Audit

__all__ = ["Answer", "answers"]

Word = Literal["yes", "a little", "not shown", "not tested"]

MARGIN = 0.05
"""A gain that is sure and larger than this means yes, not only a little."""

MODES = {
    "released-released": "two records of the release",
    "released-raw": "an image from elsewhere and a record",
    "inverted-raw": "an image from elsewhere and one made of a record",
}

OPINION = "Article 29 Data Protection Working Party, Opinion 05/2014, WP216"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes
    ----------
    question : str
        In plain words.
    word : str
        ``"yes"``; ``"a little"``, where what is gained on the floor is 0.05 at most; ``"not
        shown"``, where the interval reaches down to the floor; ``"not tested"``.
    sentence : str
        What was found, with its figures.
    evidence : tuple of AttackResult
        The strongest attacks that count.

    References
    ----------
    Article 29 Data Protection Working Party, Opinion 05/2014 on anonymisation techniques, WP216.
    """

    question: str
    word: Word
    sentence: str
    evidence: tuple[AttackResult, ...] = ()


def answers(audit: Audit) -> tuple[Answer, ...]:
    """Answer the three questions by the strongest attack of each kind.

    Examples
    --------
    >>> [answer.word for answer in answers(Audit((), (), 0, 0, False, 0))]
    ['not tested', 'not tested', 'not tested', 'not tested']
    """
    return (
        _singled_out(audit.results),
        _linked(audit.results),
        _inferred(audit.results),
        _inverted(audit.results),
    )


def _singled_out(results: Sequence[AttackResult]) -> Answer:
    question = "Can a person be singled out?"
    best = _strongest(results, "linkage", ("released-raw", "inverted-raw"), "precision@1")
    if best is None:
        return Answer(question, "not tested", _untested(results))
    sentence = (
        f"Whoever holds another image of a patient and searches the release finds a record of that "
        f"patient first in {_percent(best.value.value)} of the searches (95 % interval "
        f"{_percent(best.value.low)} to {_percent(best.value.high)}; attacker: {best.attacker}). "
        f"Guessing does in {_percent(best.chance)}{_besides(results, best)}."
        f"{_nothing_more(best)}{_caution(best)}"
    )
    return Answer(question, _word(best), sentence, (best,))


def _linked(results: Sequence[AttackResult]) -> Answer:
    question = "Can records of one person be linked?"
    best = _strongest(results, "linkage", ("released-released", "released-raw"), "AUC")
    if best is None:
        return Answer(question, "not tested", _untested(results))
    sentence = (
        f"Of another image of a patient and one of a stranger, the attacker says which is which in "
        f"{_percent(best.value.value)} of the cases (AUC {best.value}; {best.attacker}, "
        f"{MODES[best.mode]}). Guessing does in {_percent(best.chance)}"
        f"{_besides(results, best)}.{_nothing_more(best)}{_caution(best)}"
    )
    return Answer(question, _word(best), sentence, (best,))


def _inferred(results: Sequence[AttackResult]) -> Answer:
    question = "Can something be inferred about a person?"
    found = [each for each in results if each.attack == "inference"]
    if not found:
        return Answer(question, "not tested", "The table tells nothing that could be inferred.")
    found.sort(key=lambda each: -each.gain.low)
    told = [each for each in found if _word(each) != "not shown"]
    hidden = [each for each in found if each not in told]
    sentences = []
    if told:
        parts = "; ".join(_attribute(each) for each in told)
        sentences.append(
            f"Codes of people whom the attacker has never seen tell {parts}. An AUC of 0.5 is "
            f"guessing, 1 always right."
        )
    if hidden:
        parts = "; ".join(_attribute(each) for each in hidden)
        begin = "Not shown" if told else "No attacker told more than is known without the codes"
        sentences.append(f"{begin}: {parts}.{_caution(*hidden)}")
    return Answer(question, _word(found[0]), " ".join(sentences), tuple(found))


def _inverted(results: Sequence[AttackResult]) -> Answer:
    question = "Do images come back?"
    best = _strongest(results, "reconstruction", None, "SSIM")
    loud = _strongest(results, "reconstruction", None, "PSNR")
    if best is None or loud is None:
        return Answer(question, "not tested", "No image was inverted.")
    sentence = (
        f"The images nearest to the small originals have an SSIM of {best.value.value:.3f} (1 is "
        f"equal; attacker: {best.attacker}). The mean of other people's images, for which no code "
        f"is needed, has {best.floor:.3f}; the gain in PSNR is {loud.gain.value:.1f} dB "
        f"({loud.attacker})."
    )
    again = _strongest(results, "linkage", ("inverted-raw",), "AUC")
    if again is not None:
        sentence += f" Images made of records link to their patients with an AUC of {again.value}."
    return Answer(question, _word(best), sentence, (best, loud))


def _strongest(
    results: Sequence[AttackResult], attack: str, modes: tuple[str, ...] | None, figure: str
) -> AttackResult | None:
    """Return the valid result with the largest gain, or nothing."""
    found = [
        each
        for each in results
        if (each.attack, each.figure, each.valid) == (attack, figure, True)
        and (modes is None or each.mode in modes)
        and math.isfinite(each.gain.value)
    ]
    return max(found, key=lambda each: each.gain.value, default=None)


def _word(best: AttackResult) -> Word:
    """Say yes where the whole interval is above the floor, and the gain is not a small one."""
    if not best.gain.low > 0:
        return "not shown"
    return "yes" if best.gain.value > MARGIN else "a little"


def _nothing_more(best: AttackResult) -> str:
    """Say why a large figure can be nothing: it is reached without the codes, too."""
    if _word(best) != "not shown":
        return ""
    without = "labels alone do" if best.floor > best.chance else "guessing does"
    return f" That is not surely more than {without}: the gain is {best.gain}."


def _caution(*results: AttackResult) -> str:
    """Say where nothing was shown only because there are too few patients to show it."""
    for each in results:
        if _word(each) == "not shown" and each.gain.high > MARGIN:
            return " There are too few patients here to exclude more."
    return ""


def _besides(results: Sequence[AttackResult], best: AttackResult) -> str:
    """Say what labels reach, and what the same attacker does to raw images."""
    words = ""
    if best.floor > best.chance:
        words += f", whoever knows labels alone in {_percent(best.floor)}"
    for each in results:
        if (each.attack, each.attacker, each.figure) == (REFERENCE, best.attacker, best.figure):
            words += f", and the same attacker on raw images in {_percent(each.value.value)}"
    return words


def _attribute(result: AttackResult) -> str:
    known = [f"labels alone {result.floor:.3f}"] if result.floor > result.chance else []
    if math.isfinite(result.raw):
        known.append(f"raw images {result.raw:.3f}")
    beside = f" ({', '.join(known)})" if known else ""
    return f"{result.mode} with an AUC of {result.value}{beside}"


def _untested(results: Sequence[AttackResult]) -> str:
    reasons = dict.fromkeys(each.reason for each in results if each.reason)
    if reasons:
        return f"No attacker is strong enough to tell: {next(iter(reasons))}."
    return "No patient has two images, so that nobody could be looked for."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
