"""A release as one file, HTML or PDF, that can be attached to a request to an ethics board.

PDF is made of the same page by WeasyPrint (extra ``pdf``), which needs the libraries of Pango.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from importlib.resources import files
from pathlib import Path

from deepfixcx import __version__
from deepfixcx._optional import require
from deepfixcx.errors import MissingExtraError, ReleaseError
from deepfixcx.io.results import write_result
from deepfixcx.report.html import document, paragraph, section, table
from deepfixcx.report.html_originals import NotRead, Originals
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import Evidence
from deepfixcx.report.sections_frontier import frontier
from deepfixcx.report.sections_proof import binding, headers, reproduce, untested, verdict
from deepfixcx.report.sections_release import (
    contents,
    examples,
    failures,
    transform,
    worst_images,
    worst_of,
)
from deepfixcx.report.sections_results import Measured, privacy, utility
from deepfixcx.report.words import terms_in

__all__ = ["LARGEST", "ReportInputs", "pdf_of", "release_page", "write_page"]

TAG = re.compile(r"<[^>]*>")
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
    content: bytes = document.write_pdf(pdf_identifier=b"deepfixcx")
    return content


def _in_plain_colours(page: str) -> str:
    """Write colours out: figures name them by variables of the page, which paper does not know."""
    colours = _colours()
    return VARIABLE.sub(lambda found: colours.get(found[1], "#000000"), page)


@lru_cache(maxsize=1)
def _colours() -> dict[str, str]:
    """Return the colours of the light page."""
    style = (files("deepfixcx.report") / "report.css").read_text("utf-8")
    return dict(DEFINITION.findall(style.partition("@media")[0]))


LARGEST = 10_000_000
"""Bytes of the largest report that is written: it has to pass through mail."""

TITLE = "Report on a release of privatized images"

SECTIONS = {
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


def release_page(inputs: ReportInputs) -> str:
    """Make the report; the same inputs give the same text."""
    if inputs.include_originals and inputs.originals is None:
        raise ReleaseError(
            "--include-originals requires --originals; name the folder of the originals"
        )
    facts, measured, evidence = inputs.facts, inputs.measured, inputs.evidence
    shown = inputs.originals if inputs.include_originals else None
    worst = worst_of(facts, inputs.originals)
    contents_list = "".join(
        f'<li><a href="#{name}">{title.replace("images", f"{facts.noun}s")}</a></li>'
        for name, title in SECTIONS.items()
    )
    body = "".join(
        (
            f"<header><h1>{TITLE}</h1>",
            paragraph(
                f"Checksum {facts.checksum[:16]}…; made with deepfixcx {_maker(facts)}", "lead"
            ),
            *map(paragraph, binding(facts, measured)),
            "</header><main>",
            verdict(facts, measured, evidence),
            f'<nav aria-label="Contents"><ol>{contents_list}</ol></nav>',
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
        )
    )
    end = f"</main><footer>{paragraph(f'Written by deepfixcx {__version__}.')}</footer>"
    return document(TITLE, body + _terms(body) + end)


def _terms(body: str) -> str:
    """Return the section with the terms that the visible text of a report uses."""
    text = unescape(TAG.sub(" ", body))
    about = (
        "The terms that this report uses. The page Glossary of the documentation lists all terms."
    )
    terms = table(("term", "meaning"), terms_in(text))
    return section("terms", SECTIONS["terms"], paragraph(about), terms)


def write_page(path: Path, content: bytes) -> None:
    """Write a report, whole or not at all; an earlier one is replaced."""
    if len(content) > LARGEST:
        raise ReleaseError(
            f"the report would have {len(content) / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f} MB"
        )
    write_result(path, content, path.suffix.lower())


def _maker(facts: ReleaseFacts) -> str:
    return str(facts.about["software"]["deepfixcx"])
