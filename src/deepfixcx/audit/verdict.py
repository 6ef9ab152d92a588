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
from deepfixcx.audit.suite import Audit

__all__ = ["Answer", "answers"]

Word = Literal["yes", "a little", "not shown", "not tested"]

MARGIN = 0.05
"""An interval of which the low end is so far above the floor means yes, not only a little."""

OPINION = "Article 29 Data Protection Working Party, Opinion 05/2014, WP216"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes
    ----------
    question : str
        In plain words.
    word : str
        ``"yes"``; ``"a little"``, where the interval leaves the floor by less than 0.05; ``"not
        shown"``, where these attackers did no better than without the codes; ``"not tested"``.
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
        f"Whoever has another image of a patient names a right record at once in "
        f"{_percent(best.value.value)} of the searches ({_percent(best.value.low)} to "
        f"{_percent(best.value.high)}); guessing does in {_percent(best.chance)}, and labels "
        f"alone in {_percent(best.floor)}."
    )
    return Answer(question, _word(best), sentence, (best,))


def _linked(results: Sequence[AttackResult]) -> Answer:
    question = "Can records of one person be linked?"
    best = _strongest(results, "linkage", ("released-released", "released-raw"), "AUC")
    if best is None:
        return Answer(question, "not tested", _untested(results))
    sentence = (
        f"Two images of one patient are told from images of two with an AUC of {best.value} "
        f"({best.attacker}, {best.mode}); labels alone reach {best.floor:.3f}, and the same "
        f"attacker {best.raw:.3f} on raw images."
    )
    return Answer(question, _word(best), sentence, (best,))


def _inferred(results: Sequence[AttackResult]) -> Answer:
    question = "Can something be inferred about a person?"
    found = [each for each in results if each.attack == "inference"]
    if not found:
        return Answer(question, "not tested", "The table tells nothing that could be inferred.")
    found.sort(key=lambda each: -each.gain.low)
    parts = [f"{each.mode} with an AUC of {each.value}" for each in found]
    sentence = f"Codes tell {', '.join(parts)}; 0.5 is guessing."
    return Answer(question, _word(found[0]), sentence, tuple(found))


def _inverted(results: Sequence[AttackResult]) -> Answer:
    question = "Do images come back?"
    best = _strongest(results, "reconstruction", None, "SSIM")
    loud = _strongest(results, "reconstruction", None, "PSNR")
    if best is None or loud is None:
        return Answer(question, "not tested", "No image was inverted.")
    sentence = (
        f"The best inversion has an SSIM of {best.value.value:.3f} ({best.attacker}), where the "
        f"mean of other people's images has {best.floor:.3f}, and gains {loud.gain.value:.1f} dB "
        f"({loud.attacker})."
    )
    again = _strongest(results, "linkage", ("inverted-raw",), "AUC")
    if again is not None:
        sentence += f" Inverted images still link to their patients with an AUC of {again.value}."
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
    """Say yes by the low end of the gain, so by what is sure."""
    low = best.gain.low
    if best.chance > best.floor:  # a floor below chance is luck
        low -= best.chance - best.floor
    if low > MARGIN:
        return "yes"
    return "a little" if low > 0 else "not shown"


def _untested(results: Sequence[AttackResult]) -> str:
    reasons = dict.fromkeys(each.reason for each in results if each.reason)
    if reasons:
        return f"No attacker is strong enough to tell: {next(iter(reasons))}."
    return "No patient has two images, so that nobody could be looked for."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
