"""A release as one file, HTML or PDF, that can be attached to a request to an ethics board.

PDF is made of the same page by WeasyPrint (extra ``pdf``), which needs the libraries of Pango.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from pathlib import Path

from markupsafe import Markup, escape

from deepfixcx import __version__
from deepfixcx._optional import require
from deepfixcx._words import counted
from deepfixcx.audit.result import LOWER_IS_STRONGER, QUESTIONS, AttackResult
from deepfixcx.errors import MissingExtraError, ReleaseError
from deepfixcx.io.results import write_result
from deepfixcx.release.about import NAMES, About
from deepfixcx.report.figure_data import mode_words
from deepfixcx.report.html import document, paragraph, part, section, style
from deepfixcx.report.html_originals import NotRead, Originals
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import Audit, Evidence
from deepfixcx.report.sections_proof import binding, headers, reproduce, untested, verdict
from deepfixcx.report.sections_release import (
    contents,
    examples,
    failures,
    transform,
    worst_images,
    worst_of,
)
from deepfixcx.report.sections_results import (
    Measured,
    frontier,
    privacy,
    privacy_title,
    utility,
)
from deepfixcx.report.words import terms_in

__all__ = [
    "LARGEST",
    "ReportInputs",
    "agreement",
    "first_page",
    "pdf_of",
    "release_page",
    "write_page",
]

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


TAG = re.compile(r"<[^>]*>")
PARAGRAPH = re.compile(r"(?<=<p>)([^<]*(?:<a [^>]*>[^<]*</a>[^<]*)*)(?=</p>)")
ANCHORED = re.compile(r"<a [^>]*>[^<]*<a ")
VARIABLE = re.compile(r"var\((--[a-z]+)\)")
DEFINITION = re.compile(r"(--[a-z]+):\s*(#[0-9a-f]{6})")


def pdf_of(page: str) -> bytes:
    """Lay a report out on pages of A4."""
    try:
        weasyprint = require("weasyprint", extra="pdf")
    except OSError:
        raise MissingExtraError(
            "PDF needs the library Pango, which is not installed; on Debian and Ubuntu run: "
            "apt-get install libpango-1.0-0 libpangoft2-1.0-0; or write .html and print it"
        ) from None
    # the page holds all it shows; whatever else it asked for would be an error of this package
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=["data"], fail_on_errors=True)
    document = weasyprint.HTML(string=_in_plain_colours(page), url_fetcher=fetcher)
    content: bytes = document.write_pdf(pdf_identifier=b"deepfixcx", pdf_tags=True)
    return content


def _in_plain_colours(page: str) -> str:
    """Replace variables of the page by their colours, because a PDF has no variables."""
    colours = _colours()
    return VARIABLE.sub(lambda found: colours.get(found[1], "#000000"), page)


@lru_cache(maxsize=1)
def _colours() -> dict[str, str]:
    """Return the colours of the light page."""
    return dict(DEFINITION.findall(style().partition("@media")[0]))


LARGEST = 10_000_000
"""Bytes of the largest report that is written: it has to pass through mail."""

TITLE = "Report on a release of privatized images"

SECTIONS = {
    "agreement": "What remains to be agreed",
    "contents": "What is in the release",
    "transform": "What is done to an image",
    "examples": "Examples",
    "privacy": "What attacks show",
    "utility": "What the release is useful for",
    "frontier": "Other settings",
    "worst": "The images that keep the most content",
    "failures": "What failed or was not read",
    "headers": "Headers and file names",
    "untested": "What was not tested",
    "reproduce": "How to repeat and check the release",
    "terms": "Terms",
}


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Everything a report is made of."""

    facts: ReleaseFacts
    measured: Measured = field(default_factory=Measured)
    evidence: Evidence | None = None
    originals: Originals | None = None
    include_originals: bool = False
    not_read: NotRead | None = None
    about: About = field(default_factory=About)
    alerts: tuple[str, ...] = ()


def release_page(inputs: ReportInputs) -> str:
    """Make the report; the same inputs give the same text."""
    if inputs.include_originals and inputs.originals is None:
        raise ReleaseError(
            "--include-originals requires --originals; name the folder of the originals"
        )
    facts, measured, evidence = inputs.facts, inputs.measured, inputs.evidence
    shown = inputs.originals if inputs.include_originals else None
    worst = worst_of(facts, inputs.originals)
    named = SECTIONS | {"privacy": privacy_title(measured)}
    titles = [(name, title.replace("images", f"{facts.noun}s")) for name, title in named.items()]
    lead = f"Checksum {facts.checksum[:16]}…; made with deepfixcx {_maker(facts)}"
    body = part(
        "page.report",
        inputs.about.title or TITLE,
        [lead, *binding(facts, measured)],
        inputs.alerts,
        first_page(facts, measured, inputs.about),
        verdict(facts, measured, evidence),
        titles,
        (
            agreement(inputs.about, measured),
            contents(facts),
            transform(facts),
            examples(facts, shown),
            privacy(measured, has_codes=facts.has_codes),
            utility(measured),
            frontier(measured.frontier, facts),
            worst_images(facts, worst, shown),
            failures(facts, inputs.not_read),
            headers(facts, evidence),
            untested(facts, measured, evidence),
            reproduce(facts),
        ),
    )
    end = part("page.end", _terms(body), __version__)
    return document(inputs.about.title or TITLE, linked(body) + end)


def _terms(body: Markup) -> Markup:
    """Return the section with the terms that the visible text of a report uses."""
    text = unescape(TAG.sub(" ", body))
    about = (
        "The terms that this report uses. The page Glossary of the documentation lists all terms."
    )
    terms = part("terms", [(slug(term), term, meaning) for term, meaning in terms_in(text)])
    return section("terms", SECTIONS["terms"], paragraph(about), terms)


def linked(body: Markup) -> Markup:
    """Link the first use of each term in a paragraph to its definition."""
    pieces = PARAGRAPH.split(body)
    for term, _ in terms_in(unescape(TAG.sub(" ", body))):
        case = re.NOFLAG if term.isupper() else re.IGNORECASE
        found = re.compile(rf"(?<![\w#>-])({re.escape(str(escape(term)))})(?![\w<-])", case)
        for place in range(1, len(pieces), 2):
            text, count = found.subn(rf'<a href="#term-{slug(term)}">\1</a>', pieces[place], 1)
            if count and not ANCHORED.search(text):
                pieces[place] = text
                break
    return Markup("".join(pieces))


def slug(term: str) -> str:
    """Return a term as the name of a place in the page."""
    return re.sub(r"\W+", "-", term.lower()).strip("-")


def write_page(path: Path, content: bytes) -> None:
    """Write a report, whole or not at all; an earlier one is replaced."""
    if len(content) > LARGEST:
        raise ReleaseError(
            f"the report would have {len(content) / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f} MB"
        )
    write_result(path, content, path.suffix.lower())


def _maker(facts: ReleaseFacts) -> str:
    return str(facts.about["software"]["deepfixcx"])
