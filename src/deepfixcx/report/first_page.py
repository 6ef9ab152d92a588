"""The first page of a report: what this is, for whom, what attacks showed, who has to agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from deepfixcx._words import counted
from deepfixcx.audit.result import LOWER_IS_STRONGER, QUESTIONS, AttackResult
from deepfixcx.release.about import NAMES, About
from deepfixcx.report.figure_data import mode_words
from deepfixcx.report.html import part
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import Audit
from deepfixcx.report.sections_results import Measured

__all__ = ["agreement", "first_page"]

SINGLED_OUT, LINKED, INFERRED = QUESTIONS[:3]
LIGHTS: Mapping[str, tuple[str, str, str]] = {
    SINGLED_OUT: ("linkage", "precision@1", "first hit of the right patient"),
    LINKED: ("linkage", "AUC", "linkage AUC"),
    INFERRED: ("inference", "AUC", "AUC"),
}
"""Attack and estimate by which each of the three questions is answered first, and its name."""

LOOKS = {"yes": "bad", "a little": "warn", "not shown": "good", "not tested": "none"}


def first_page(facts: ReleaseFacts, measured: Measured, about: About) -> Markup:
    """Answer in one screen what the release is, and what three attacks showed."""
    stated = [(name.capitalize(), str(getattr(about, name))) for name in NAMES[1:]]
    known = [(name, text) for name, text in stated if text]
    known.append(("Content", _content(facts, measured.audit)))
    lights = [_light(question, measured.audit) for question in LIGHTS]
    return part("page.first", known, lights)


def agreement(about: About, measured: Measured) -> Markup:
    """List what remains to be agreed, with a place for names and signatures."""
    answers = {} if measured.audit is None else measured.audit.answers
    open_points = [
        f"Not tested: {question}"
        for question in QUESTIONS
        if answers.get(question, "not tested") == "not tested"
    ]
    if not about.recipients:
        open_points.append("Who receives the release.")
    if not about.purpose:
        open_points.append("For which purpose the release may be used.")
    open_points.append("That recipients do not search for patients.")
    signers = list(about.signatures) or ["", ""]
    return part("page.agreement", [*about.agree, *open_points], signers)


def _content(facts: ReleaseFacts, audit: Audit | None) -> str:
    """Return the number of images and, where an audit counted them, of patients."""
    words = counted(len(facts.images), facts.noun)
    if facts.records is not None and facts.records.get("images"):
        words += f" of {counted(int(facts.records['images']), 'image')}"
    if audit is None or not audit.sample:
        return f"{words}; the number of patients is not stated (no audit)"
    return f"{words}; attacked: {audit.sample.partition(';')[0]}"


def _light(question: str, audit: Audit | None) -> tuple[str, str, str, str]:
    """Return question, look, answer and evidence of one light."""
    word = "not tested" if audit is None else audit.answers.get(question, "not tested")
    if word == "not tested" or audit is None:
        return question, "none", word, "No attack answers this question."
    attack, name, called = LIGHTS[question]
    found = [
        each
        for each in audit.attacks
        if (each.attack, each.figure) == (attack, name) and math.isfinite(each.value.value)
    ]
    best = _strongest(found)
    if best is None:
        return question, LOOKS[word], word, "See the section on attacks."
    floor = f"; without the records {best.floor:.3f}" if math.isfinite(best.floor) else ""
    who = f"{best.attacker}, {mode_words(best.mode)}"
    return question, LOOKS[word], word, f"{called} {best.value}{floor}. Attacker: {who}."


def _strongest(found: Sequence[AttackResult]) -> AttackResult | None:
    counted_in = [each for each in found if each.valid] or list(found)
    sign = -1 if found and found[0].figure in LOWER_IS_STRONGER else 1
    return max(counted_in, key=lambda each: sign * each.value.value, default=None)
