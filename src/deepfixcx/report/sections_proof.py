"""Sections about proof: verdict, headers, what was not tested, how to repeat the release."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator

from markupsafe import Markup

from deepfixcx._words import counted, joined, percent
from deepfixcx.audit.result import QUESTIONS, conclude
from deepfixcx.report.html import code, items, paragraph, part, section, table
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import Audit, Evidence
from deepfixcx.report.sections_results import Measured

__all__ = ["binding", "headers", "is_good", "reproduce", "untested", "verdict", "verdict_sentences"]

NO_CODES = (
    "deepfixcx audit attacks codes, and this release holds none. Audit a release of the same "
    "images with the same settings and --output codes: it holds the same information."
)
NOT_TESTED = "not tested"
NO_ANSWERS = "The audit states no answers to the five questions; run deepfixcx audit again."

MOST_NAMED = 20
"""Images in which a mask painted nothing that are named one by one."""


def verdict_sentences(
    facts: ReleaseFacts, measured: Measured, evidence: Evidence | None = None
) -> tuple[str, str, str]:
    """State what was done, what the release is useful for, and what attacks and scan show."""
    return (
        _made_sentence(facts),
        _utility_sentence(measured),
        f"{_remains_sentence(evidence)}{_privacy_sentence(measured)}",
    )


def _made_sentence(facts: ReleaseFacts) -> str:
    totals = facts.totals
    failed = len(facts.failures)
    beside = f"; {counted(failed, 'file')} failed" if failed else ""
    names = " and ".join(dict.fromkeys(each.name for each in facts.applied))
    mixed = f" and then {names}" if names else ""
    made = counted(len(facts.images), facts.noun)
    was = "was" if len(facts.images) == 1 else "were"
    if facts.records is None:
        begun = f"{made} of {counted(totals['files_done'], 'file')} {was} privatized with"
        keeps = "it keeps"
    else:
        images = counted(int(facts.records.get("images") or 0), "image")
        drawn = facts.records.get("synthetic")
        begun = f"{made} {was} {'drawn from a model' if drawn else f'made from {images}'} with"
        keeps = "a record has"
    values = counted(facts.kept().numbers, "value")
    share = f"{percent(totals['kept_values'], totals['source_values'])} of their values"
    if facts.records is not None:
        share = f"{facts.kept().percent} of the values of a typical image"
    if facts.vectors:
        share = f"{values}, {facts.kept().percent} of those of a typical image"
    if facts.records is not None and not facts.states_sizes:
        share = values
    return f"{begun} {facts.spec}{mixed}; {keeps} {share}{beside}."


def _utility_sentence(measured: Measured) -> str:
    found = measured.evaluation
    if found is not None and found.labels:
        known = [each for each in found.labels if math.isfinite(each.auc.value)]
        best = max(known or found.labels, key=lambda each: each.auc.value)
        of_best = f", the best of {len(found.labels)} labels," if len(found.labels) > 1 else ""
        on = f" on {found.sample}" if found.sample else ""
        words = (
            f"A classifier detects {best.label}{of_best} with an AUC of {best.auc}{on} (chance "
            f"0.5). Public images alone: {best.public}."
        )
        return " ".join([words, *(f"Caveat: {note}." for note in found.notes)])
    if measured.sweep:
        return "Classifiers were tested at several settings; see the section on utility."
    return "The utility of the release was not measured."


def _remains_sentence(evidence: Evidence | None) -> str:
    """State what a scan found, or that it was incomplete; nothing of a clean one."""
    if evidence is None:
        return ""
    if evidence.findings:
        return (
            f"{REMAINS} in {evidence.holding:,} of {counted(evidence.files, 'file')}: do not share "
            f"the release as it is. "
        )
    return "" if evidence.complete else f"{INCOMPLETE} "


REMAINS = "The scan found texts of headers or names of the sources"
INCOMPLETE = "The scan is incomplete, so it does not show that header texts are absent."


def _privacy_sentence(measured: Measured) -> str:
    """Repeat the answers of the audit; the rule that makes them lies in the audit alone."""
    if measured.audit is None:
        return "No attack was made on the release: treat it as if it identified patients."
    return conclude(measured.audit.answers).sentence


def _is_bad(measured: Measured, evidence: Evidence | None) -> bool:
    """Return whether an attack succeeded or a scan found something."""
    shown = measured.audit is not None and conclude(measured.audit.answers).state == "shown"
    return shown or (evidence is not None and evidence.findings > 0)


def _not_attacked(facts: ReleaseFacts, audit: Audit) -> list[str]:
    """State how much of a release an audit left out, if it did."""
    behind = int((facts.records or {}).get("images") or len(facts.images))
    if audit.images is not None and audit.images < behind:
        attacked = f"{audit.images:,} of {counted(behind, 'image')}"
        return [f"All images of the release: the audit attacked {attacked}."]
    if audit.left_out:
        records = counted(audit.left_out, "record")
        return [f"All records of the release: the audit left out {records}."]
    return []


def is_good(facts: ReleaseFacts, measured: Measured, evidence: Evidence | None) -> bool:
    """Return whether a bound audit of the whole release, and any scan, show nothing."""
    audit = measured.audit
    if audit is None or conclude(audit.answers).state != "not shown":
        return False
    whole = "audit" in measured.bound and not _not_attacked(facts, audit)
    known = evidence is None or ("scan" in measured.bound and not evidence.unchecked)
    searched = known and (evidence is None or evidence.complete)
    return whole and searched and not _is_bad(measured, evidence)


def verdict(facts: ReleaseFacts, measured: Measured, evidence: Evidence | None) -> Markup:
    """State the three sentences, framed; green only where a bound audit shows nothing."""
    good = "good" if is_good(facts, measured, evidence) else "unknown"
    look = "bad" if _is_bad(measured, evidence) else good
    return part("verdict", look, verdict_sentences(facts, measured, evidence))


def binding(facts: ReleaseFacts, measured: Measured) -> list[str]:
    """State which results belong to this release by its checksum, and which name no release."""
    said = []
    if measured.bound:
        named = f"The {joined(measured.bound)}"
        belong = "belong" if len(measured.bound) > 1 else "belongs"
        said.append(f"{named} {belong} to this release (checksum {facts.checksum[:16]}…).")
    if measured.unbound:
        one = len(measured.unbound) == 1
        named, name, belong = (
            f"The {joined(measured.unbound)}",
            *(("names", "it belongs") if one else ("name", "they belong")),
        )
        said.append(
            f"{named} {name} no release, so it is not certain that {belong} to this one: other "
            "images were measured, or an earlier version of deepfixcx was used."
        )
    return said


def headers(facts: ReleaseFacts, evidence: Evidence | None) -> Markup:
    """State how headers were treated, and what a search for their texts found."""
    options = facts.about["options"]
    said = []
    if facts.holds("dicom"):
        retained = ", ".join(options.get("retain") or []) or "nothing"
        said.append(
            f"The outputs are derived DICOM files. Headers were de-identified by the Basic Profile "
            f"of DICOM PS3.15, Annex E; retained beside it: {retained}."
        )
    if facts.holds("image") or facts.holds("code") or facts.records is not None:
        outputs = "arrays of numbers" if facts.vectors else "plain images and arrays of numbers"
        said.append(
            f"The {'other ' if said else ''}outputs are {outputs}. They contain no header value of "
            "the sources; DICOM windows and lookup tables only determine the gray values."
        )
    names = options.get("names", "neutral")
    words_of_names = (
        "File names are numbers in a shuffled order."
        if names == "neutral"
        else "Files have the names of their sources: check that no name identifies a patient."
    )
    mask = options.get("mask")
    parts = [*map(paragraph, said), paragraph(words_of_names)]
    if mask:
        parts.append(paragraph(_painted(facts, mask)))
    return section("headers", "Headers and file names", *parts, _evidence(evidence))


def _painted(facts: ReleaseFacts, mask: str) -> str:
    """State how much a mask painted, and in which images it painted nothing."""
    share = 100 * sum(image.masked_share for image in facts.images) / max(1, len(facts.images))
    untouched = [image.name for image in facts.images if not image.masked]
    words = f"First, a mask painted regions black ({mask})"
    if facts.records is not None:  # of its images nothing is known
        return f"{words}."
    if share:
        words += f": {share:.2g} % of the pixels on average"
    if not untouched:
        return (
            f"{words}. Every image has at least one painted region; text that the mask did not "
            f"find is still there."
        )
    named = ", ".join(untouched[:MOST_NAMED]) + (", …" if len(untouched) > MOST_NAMED else "")
    return (
        f"{words}. It painted no region in {len(untouched)} of "
        f"{counted(len(facts.images), 'image')}, which may still contain text: {named}."
    )


def _evidence(evidence: Evidence | None) -> Markup:
    if evidence is None:
        return paragraph(
            "The files were not searched for texts of the headers of the sources. Run: "
            "deepfixcx scan RELEASE --against ORIGINALS"
        )
    if not evidence.strings:
        left_out = " other than those left out on purpose" if evidence.ignored else ""
        return paragraph(
            "There was nothing to search for: neither headers nor names of the sources contain "
            f"a searchable string{left_out}. The scan is no evidence about the "
            f"{counted(evidence.files, 'file')} of the release."
        )
    found = (
        f"{counted(evidence.findings, 'place')} in {counted(evidence.holding, 'file')} "
        f"{'holds' if evidence.findings == 1 else 'hold'} one: do not share the release"
        if evidence.findings
        else "none of them was found" + (" where it must not be" if evidence.harmless else "")
    )
    words = (
        f"Every byte of {counted(evidence.files - evidence.unsearched, 'file')} was searched for "
        f"{counted(evidence.strings, 'string')} from the headers of "
        f"{counted(evidence.sources, 'source')} and from their names: {found}."
    )
    limits = list(_limits_of_scan(evidence))
    return paragraph(words) + (items(limits) if limits else Markup("")) + _harmless(evidence)


def _limits_of_scan(evidence: Evidence) -> Iterator[str]:
    """Yield what a scan did not search, or not for everything."""
    if evidence.missing:
        yield (
            f"{counted(evidence.missing, 'source')} of this release {_was(evidence.missing)} not "
            f"given to the scan: their strings were not searched for."
        )
    if evidence.unread:
        yield (
            f"{counted(evidence.unread, 'source')} could not be read: their strings were not "
            f"searched for."
        )
    if evidence.as_bytes:
        yield (
            f"{counted(evidence.as_bytes, 'source')} {_has(evidence.as_bytes)} no valid header: "
            f"only their plain text was searched for."
        )
    if evidence.unsearched:
        yield f"{counted(evidence.unsearched, 'file')} could not be searched."
    if evidence.unchecked:
        yield (
            "There was no private folder, so it is unknown whether the sources of the scan "
            "are those of this release."
        )
    if evidence.ignored:
        yield (
            f"{counted(evidence.ignored, 'string')} {_was(evidence.ignored)} left out of the "
            f"search on purpose."
        )
    if evidence.words is not None:
        yield f"Text recognition read {counted(evidence.words, 'word')} in the released images."


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def _harmless(evidence: Evidence) -> Markup:
    """List the reasons for which strings of the sources may stand where they were found."""
    if not evidence.harmless:
        return Markup("")
    count = sum(times for _, times in evidence.harmless)
    words = (
        f"{counted(count, 'further string')} {_was(count)} found and listed as harmless. "
        "evidence.csv names the file, the position and the reason of each; the reasons:"
    )
    return paragraph(words) + items(f"{why}: {times:,}" for why, times in evidence.harmless)


def untested(facts: ReleaseFacts, measured: Measured, evidence: Evidence | None) -> Markup:
    """List what was not tested, so that silence is not taken for safety."""
    missing: list[str] = []
    if measured.audit is None:
        missing += QUESTIONS
        if not facts.has_codes:
            missing.append(NO_CODES)
    else:
        answers = measured.audit.answers
        missing += [] if answers else [NO_ANSWERS]
        missing += _not_attacked(facts, measured.audit)
        missing += [asked for asked in QUESTIONS if answers.get(asked, NOT_TESTED) == NOT_TESTED]
        missing += [
            f"{each[:1].upper()}{each[1:].rstrip('.')}." for each in measured.audit.untested
        ]
    if not (measured.sweep or (measured.evaluation and measured.evaluation.labels)):
        missing.append("Whether the images are still useful for any task.")
    if not measured.frontier:
        missing.append("Whether another setting gives more privacy for the same utility.")
    if evidence is None or not evidence.complete:
        missing.append("Whether bytes of a header or of a file name remain in a file.")
    missing.append(
        "Attackers who know more than the tested ones: other images of the same patients from "
        "another source, or methods not yet known."
    )
    if measured.audit is None and not facts.vectors:
        missing.append(
            "Text that is burned into images, unless a mask or text recognition is named above; "
            "with many patches, letters remain legible."
        )
    parts = [items(missing)]
    if limits := facts.about.get("limits"):
        parts.append(paragraph(f"The release states: {limits}"))
    return section("untested", "What was not tested", *parts)


def reproduce(facts: ReleaseFacts) -> Markup:
    """Give everything that is needed to make it again, and to check it."""
    options = facts.about["options"]
    software = [[name, str(version)] for name, version in sorted(facts.about["software"].items())]
    papers = [[name, str(value)] for name, value in sorted(facts.about["papers"].items())]
    papers.append(["dataset.json (checksum of the release)", facts.checksum])
    plain = {name: value for name, value in options.items() if name != "spec"}
    return section(
        "reproduce",
        "How to repeat and check the release",
        code(f"{_command(facts)}\ndeepfixcx verify RELEASE"),
        paragraph(
            f"{_repeats(facts)} Compare the checksum with the one that the sender names.", "small"
        ),
        part("heading", "Spec"),
        code(facts.spec.to_json()),
        part("heading", "Options"),
        code(json.dumps(plain, sort_keys=True, indent=2)),
        part("heading", "Versions"),
        table([], software),
        part("heading", "SHA-256"),
        table([], papers),
    )


def _repeats(facts: ReleaseFacts) -> str:
    """Say what it takes to get the same bytes again."""
    records = facts.records or {}
    if records and records.get("drawn_from") == "a secret":
        return (
            "Records are drawn with a secret in the private folder: only with this secret do the "
            "same inputs, options and versions give the same bytes."
        )
    key = ", with the same key," if facts.holds("dicom") else ""
    return f"The same inputs, options and versions{key} give the same bytes."


def _command(facts: ReleaseFacts) -> str:
    spec, options = facts.spec, facts.about["options"]
    cells = spec.grid_shape
    patches = str(cells[0]) if len(set(cells)) == 1 else "x".join(map(str, cells))
    words = ["deepfixcx", "privatize", "ORIGINALS", "RELEASE"]
    words += ["--volumes"] if spec.ndim == 3 else []
    words += ["--level", str(spec.level), "--patches", patches]
    words += ["--level-z", str(spec.level_z)] if spec.level_z not in (None, spec.level) else []
    given = {
        "wavelet": (spec.wavelet, "haar"),
        "pooling": (",".join(spec.poolings), "l1"),
        "boundary": (spec.boundary, "zero"),
        "grid": (spec.grid, "balanced"),
        "output": (options.get("output"), "both"),
        "size": (options.get("size"), "compact"),
        "dtype": (options.get("dtype"), "float32"),
        "names": (options.get("names"), "neutral"),
        "retain": (",".join(options.get("retain") or []), ""),
        "mechanism": (",".join(options.get("mechanisms") or []), ""),
        "labels": (",".join(options.get("labels") or []), ""),
        "public": ("PUBLIC" if (facts.records or {}).get("public_images") else None, None),
        "mask": (options.get("mask"), None),
        "key": ("KEY" if facts.holds("dicom") else None, None),
    }
    for name, (value, default) in given.items():
        if value not in (default, None):
            words += [f"--{name}", shlex.quote(str(value))]
    return " ".join(words)
