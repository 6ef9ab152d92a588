"""``deepfixcx report``: a release as one file for people who have to decide about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import (
    SOME_FAILED,
    byte_size,
    default_workers,
    error_console,
    panel,
    program,
    write_json,
)
from deepfixcx.cli._options import JSON, OVERWRITE, PRIVATE_OF

if TYPE_CHECKING:
    from deepfixcx.report.html_release import ReleaseFacts
    from deepfixcx.report.html_results import Evidence
    from deepfixcx.report.page import ReportInputs
    from deepfixcx.report.sections_results import Measured

__all__ = ["command"]

PageFormat = Literal["html", "pdf"]
"""Exit code of a report that was written, and begins with what is wrong."""
MODEL = "evaluation"
"""The result whose model must have the codec of the release."""


def command(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="Folder of the release.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, .html or .pdf.")],
    page_format: Annotated[
        PageFormat | None,
        typer.Option("--format", help="html or pdf; default: from the file name."),
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(help="Folder of an audit; default: RELEASE.audit, if present."),
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="JSON of deepfixcx evaluate --json.")
    ] = None,
    sweep: Annotated[Path | None, typer.Option(help="Folder of a sweep.")] = None,
    frontier: Annotated[Path | None, typer.Option(help="Folder of a frontier.")] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(help="Folder of a scan; default: RELEASE.evidence, if present."),
    ] = None,
    originals: Annotated[
        Path | None,
        typer.Option(help="Input of the release: ranks images by similarity; shows no original."),
    ] = None,
    include_originals: Annotated[
        bool,
        typer.Option("--include-originals", help="Show originals beside some privatized images."),
    ] = False,
    private: Annotated[Path | None, PRIVATE_OF] = None,
    about: Annotated[
        Path | None,
        typer.Option(
            help="TOML of institution, purpose, recipients, date, contact, licence, points to "
            "agree and signatures; default: RELEASE.about.toml, if present."
        ),
    ] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Write a report on a release: contents, utility, and results of audit and scan.

    One file, smaller than 10 MB, that loads nothing from other servers. It contains originals only
    with --include-originals. A release that fails verify, and results of another release, are
    named in red at the top, and the command ends with exit code 3.

    Example: deepfixcx report shared -o report.html
    """
    from deepfixcx.report.page import release_page, write_page
    from deepfixcx.report.sections_proof import binding, is_good, verdict_sentences

    kind = _check_out(out, page_format, overwrite=overwrite)
    with error_console.status("reading the release") as status:
        inputs = _gather(
            release, audit, evaluation, sweep, frontier, evidence, originals, private,
            about, include_originals,
        )  # fmt: skip
        status.update("reading images")
        text = release_page(inputs)
        if kind == "pdf":
            from deepfixcx.report.page import pdf_of

            status.update("laying out pages")
            content = pdf_of(text)
        else:
            content = text.encode()
        write_page(out, content)
    sentences = verdict_sentences(inputs.facts, inputs.measured, inputs.evidence)
    figures = {
        "command": "report",
        "report": str(out),
        "format": kind,
        "bytes": out.stat().st_size,
        "release_checksum": inputs.facts.checksum,
        "seal": inputs.facts.checksum,
        "images": len(inputs.facts.images),
        "failed": len(inputs.facts.failures),
        "verdict": list(sentences),
        "audit": inputs.measured.audit is not None,
        "utility": inputs.measured.evaluation is not None or bool(inputs.measured.sweep),
        "evidence": inputs.evidence is not None,
        "bound": list(inputs.measured.bound),
        "not_bound": list(inputs.measured.unbound),
        "originals_shown": include_originals,
        "alerts": list(inputs.alerts),
    }
    write_json(json, figures)
    rows = [("report", f"{out}  {byte_size(len(content))}")]
    rows += [("verdict" if not number else "", text) for number, text in enumerate(sentences)]
    rows += [("checksum", sentence) for sentence in binding(inputs.facts, inputs.measured)]
    if include_originals:
        rows.append(("originals", "included; protect the report like the originals"))
    rows.append(("next", _next_step(inputs)))
    rows += [("alert", text) for text in inputs.alerts]
    good = is_good(inputs.facts, inputs.measured, inputs.evidence) and not inputs.alerts
    panel("report", rows, good=good)
    if inputs.alerts:
        raise typer.Exit(SOME_FAILED)


def _check_out(out: Path, asked: PageFormat | None, *, overwrite: bool) -> PageFormat:
    """Refuse, before any work, a place where no report can or should be written."""
    from deepfixcx.errors import ReleaseError
    from deepfixcx.io.results import check_result

    named: PageFormat = "pdf" if out.suffix.lower() == ".pdf" else "html"
    kind = asked or named
    if out.suffix.lower() != f".{kind}":
        other = "" if asked else ", or .pdf for a PDF"
        raise ReleaseError(
            f"the format of the report is {kind}; name it "
            f"{str(out.with_suffix('.' + kind))!r}{other}"
        )
    check_result(out, "-o", f".{kind}", overwrite=overwrite)
    return kind


def _gather(
    release: Path,
    audit: Path | None,
    evaluation: Path | None,
    sweep: Path | None,
    frontier: Path | None,
    evidence: Path | None,
    originals: Path | None,
    private: Path | None,
    about: Path | None,
    include_originals: bool,
) -> ReportInputs:
    """Read everything a report is made of; what is of another release is named, and left out."""
    from deepfixcx.datasets.files import local_path
    from deepfixcx.errors import ReleaseError
    from deepfixcx.release import private_folder, verify_release
    from deepfixcx.release.about import About, read_about
    from deepfixcx.report.html_originals import NotRead, Originals
    from deepfixcx.report.html_release import ReleaseFacts
    from deepfixcx.report.page import ReportInputs

    release = local_path(release, "a release")
    evidence = _beside(release, "evidence", "summary.json") if evidence is None else evidence
    facts = ReleaseFacts.read(release)
    checked = verify_release(release, workers=default_workers(), contents=False)
    strange = checked.missing + checked.changed + checked.unlisted + checked.links
    alerts = []
    if strange:
        alerts.append(
            f"This release fails verification: it differs from its manifest in "
            f"{counted(len(strange), 'file')} (missing, changed or not listed). Do not share it. "
            f"The command deepfixcx verify names the files."
        )
    measured, scanned, foreign = _measured(
        facts, release, audit, evaluation, sweep, frontier, evidence
    )
    alerts += foreign
    named = release.with_name(f"{release.resolve().name}.about.toml")
    about = named if about is None and named.is_file() else about
    stated = About() if about is None else read_about(about)
    if private is not None and not private.is_dir():
        raise ReleaseError(f"there is no private folder {str(private)!r}; check the path")
    private = private_folder(release) if private is None else private
    found = None
    if originals is not None:
        if facts.records is not None:
            raise ReleaseError(
                "records of this release are made from several images, so there is no original "
                "to compare; omit --originals"
            )
        found = Originals.find(originals, private)
        found.check(facts.images)
    not_read = NotRead.find(facts, private)
    return ReportInputs(
        facts, measured, scanned, found, include_originals, not_read, stated, tuple(alerts)
    )


def _measured(
    facts: ReleaseFacts,
    release: Path,
    audit: Path | None,
    evaluation: Path | None,
    sweep: Path | None,
    frontier: Path | None,
    evidence: Path | None,
) -> tuple[Measured, Evidence | None, list[str]]:
    """Read the results of other commands; return sentences on those of another release."""
    from deepfixcx.errors import ReleaseError
    from deepfixcx.report.html_results import (
        is_bound,
        read_audit,
        read_evaluation,
        read_evidence,
        read_frontier,
        read_sweep,
    )
    from deepfixcx.report.sections_results import Measured

    audit = _beside(release, "audit", "audit.json") if audit is None else audit
    audit = audit / "audit.json" if audit is not None and audit.is_dir() else audit
    files = {
        "audit": (audit, audit, read_audit),
        "scan": (evidence, evidence and evidence / "summary.json", read_evidence),
        "evaluation": (evaluation, evaluation, read_evaluation),
        "sweep": (sweep, sweep and sweep / "sweep.json", read_sweep),
        "frontier": (frontier, frontier and frontier / "frontier.json", read_frontier),
    }
    found: dict[str, Any] = {}
    bound: list[str] = []
    unbound: list[str] = []
    foreign: list[str] = []
    for what, (path, stating, read) in files.items():
        if path is None or stating is None:
            continue
        result = read(path)
        spec = facts.spec if what == MODEL else None
        try:
            own = is_bound(stating, f"the {what}", facts.checksum, spec)
        except ReleaseError as error:
            foreign.append(f"Not shown here: {error}.")
            continue
        found[what] = result
        (bound if own else unbound).append(what)
    scanned = found.pop("scan", None)
    return Measured(**found, bound=tuple(bound), unbound=tuple(unbound)), scanned, foreign


def _beside(release: Path, what: str, file: str) -> Path | None:
    """Return the folder beside a release that another command makes by default, if it is there."""
    folder = release.with_name(f"{release.resolve().name}.{what}")
    return folder if (folder / file).is_file() else None


def _next_step(inputs: ReportInputs) -> str:
    if inputs.measured.audit is None and not inputs.facts.has_codes:
        return "this release holds no codes: audit a release of the same images with --output codes"
    if inputs.measured.audit is None:
        return f"audit the release: {program()} audit RELEASE --against ORIGINALS --patients CSV"
    return "read the section on what was not tested before you share the release"
