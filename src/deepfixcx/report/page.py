"""A release as one HTML file that a data steward can attach to a request to an ethics board."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deepfixcx import __version__
from deepfixcx.errors import ReleaseError
from deepfixcx.io.files import write_file
from deepfixcx.report.html import document, paragraph
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

__all__ = ["LARGEST", "ReportInputs", "release_page", "write_page"]

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
}


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Everything a report is made of.

    `originals` rank images by how alike they are to them; they are shown only where
    `include_originals` allows it. `not_read` is None where no private folder tells it.
    """

    facts: ReleaseFacts
    measured: Measured = field(default_factory=Measured)
    evidence: Evidence | None = None
    originals: Originals | None = None
    include_originals: bool = False
    not_read: NotRead | None = None


def release_page(inputs: ReportInputs) -> str:
    """Make the report; the same inputs give the same text.

    Parameters
    ----------
    inputs : ReportInputs
        What it is made of.

    Returns
    -------
    str
        A whole HTML file that loads nothing and runs nothing.

    Raises
    ------
    ReleaseError
        Originals are to be shown and there are none.
    """
    if inputs.include_originals and inputs.originals is None:
        raise ReleaseError(
            "originals are to be shown, but none are given; name their folder with --originals"
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
            f"</main><footer>{paragraph(f'Written by deepfixcx {__version__}.')}</footer>",
        )
    )
    return document(TITLE, body)


def write_page(path: Path, content: bytes) -> None:
    """Write a report, whole or not at all.

    Raises
    ------
    ReleaseError
        It cannot be written, or is too large to be sent around.
    """
    if len(content) > LARGEST:
        raise ReleaseError(
            f"the report would have {len(content) / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f} MB"
        )
    try:
        write_file(path, content, replace=True)
    except OSError as error:
        raise ReleaseError(
            f"the report {str(path)!r} cannot be written: {error.strerror}; choose another place"
        ) from None


def _maker(facts: ReleaseFacts) -> str:
    return str(facts.about["software"]["deepfixcx"])
