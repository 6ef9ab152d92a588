"""Sections for whoever has to be sure: verdict, headers, what was not tested, how to repeat it."""

from __future__ import annotations

import json
import math
import shlex

from deepfixcx._words import counted
from deepfixcx.report.html import code, items, paragraph, section, table
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import Attack, Evidence
from deepfixcx.report.sections_results import Measured

__all__ = ["headers", "reproduce", "untested", "verdict", "verdict_sentences"]

REMAINS = "Something is left"

NO_CODES = (
    "The release holds no codes, which are what deepfixcx audit attacks. Audit a release of the "
    "same images with the same settings and --output codes: nothing else went into what is here."
)

UNPROVEN = (
    "It is not proven anonymous: share it only with people who are bound not to look for patients."
)

MOST_NAMED = 20
"""Images in which a mask painted nothing that are named one by one."""

WORTH_A_WORD = 0.05
"""Linkage that much above what labels give away is called a finding."""


def verdict_sentences(
    facts: ReleaseFacts, measured: Measured, evidence: Evidence | None = None
) -> tuple[str, str, str]:
    """Say in three sentences what was done, what it is good for, and what it gives away."""
    totals = facts.totals
    failed = totals["files_failed"]
    beside = f"; {counted(failed, 'file')} failed" if failed else ""
    names = " and ".join(dict.fromkeys(each.name for each in facts.applied))
    mixed = f" and then {names}" if names else ""
    made = counted(len(facts.images), facts.noun)
    if facts.records is None:
        was = "was" if len(facts.images) == 1 else "were"
        begun = f"{made} of {counted(totals['files_done'], 'file')} {was} privatized with"
        keeps = "the code keeps"
    else:
        images = counted(int(facts.records.get("images") or 0), "image")
        was = "was" if len(facts.images) == 1 else "were"
        begun, keeps = f"{made} {was} made from {images} with", "a record has"
    share = f"{facts.kept().percent} of the numbers of a usual image"
    if facts.vectors:
        numbers = counted(facts.kept().numbers, "number")
        share = f"{numbers}, {facts.kept().percent} of those of a usual image"
    if facts.records is not None and not facts.states_sizes:
        share = counted(facts.kept().numbers, "number")
    first = f"{begun} {facts.spec}{mixed}; {keeps} {share}{beside}."
    if evidence is not None and evidence.findings:
        third = (
            f"{REMAINS} of the headers or names of the sources in {evidence.holding:,} of "
            f"{counted(evidence.files, 'file')}: it must not be shared as it is."
        )
        return first, _utility_sentence(measured), third
    return first, _utility_sentence(measured), _privacy_sentence(measured)


def _utility_sentence(measured: Measured) -> str:
    if measured.evaluation:
        best = max(measured.evaluation, key=lambda each: each.auc.value)
        what = best.label if len(measured.evaluation) == 1 else f"{best.label}, the best of them,"
        return f"A classifier tells {what} with an AUC of {best.auc} (0.5 is guessing)."
    if measured.sweep:
        return "Classifiers were tried at several settings; see what it is still good for."
    return "How useful it is was not measured."


def _is_finding(attack: Attack) -> bool:
    return attack.value.value > attack.base + WORTH_A_WORD


def _privacy_sentence(measured: Measured) -> str:
    if measured.audit is None:
        return "No attack was made on it, so it must be treated as if it identified patients."
    strongest = measured.audit.strongest_linkage()
    if strongest is None:
        return "No attack that counts was made, so it must be treated as if it identified patients."
    who = "The strongest attacker"
    above = [each for each in measured.audit.linkage() if _is_finding(each)]
    if above and not _is_finding(strongest):  # floors differ: a weaker one may be above its own
        who, strongest = "An attacker", max(above, key=lambda each: each.value.value)
    base = strongest.base
    words = (
        f"{who} tells images of one patient from those of two with an AUC of "
        f"{strongest.value}, where {base:.3f} needs no image"
    )
    if _is_finding(strongest):
        return f"{words}: it is not anonymous, and must be shared as patient data."
    if strongest.value.value > base:
        most = f"no more than {WORTH_A_WORD} above it"
    else:
        without = "guessing tells" if math.isnan(strongest.floor) else "labels alone tell"
        most = f"no more than {without}"
    return f"{words}: {most}, against the attackers that were tried. {UNPROVEN}"


def verdict(facts: ReleaseFacts, measured: Measured, evidence: Evidence | None) -> str:
    """Return the three sentences, framed."""
    sentences = verdict_sentences(facts, measured, evidence)
    known = measured.audit is not None and measured.audit.strongest_linkage() is not None
    bad = "not anonymous" in sentences[2] or sentences[2].startswith(REMAINS)
    look = "bad" if bad else "good" if known else "unknown"
    inside = "".join(map(paragraph, sentences))
    return f'<div class="verdict {look}" role="note" aria-label="Verdict">{inside}</div>'


def headers(facts: ReleaseFacts, evidence: Evidence | None) -> str:
    """Say what became of headers, and what a search for their contents found."""
    options = facts.about["options"]
    if options.get("output") == "dicom":
        retained = ", ".join(options.get("retain") or []) or "nothing"
        words = (
            f"Outputs are derived DICOM files. Headers were de-identified by the Basic Profile of "
            f"DICOM PS3.15, Annex E; retained beside it: {retained}."
        )
    else:
        outputs = "arrays of numbers" if facts.vectors else "plain images and arrays of numbers"
        words = (
            f"Outputs are {outputs}. No value of any header of the sources "
            "goes into them; windows and lookup tables of DICOM only decide how pixels look."
        )
    names = options.get("names", "neutral")
    words_of_names = (
        "Files are called by numbers in a shuffled order."
        if names == "neutral"
        else "Files are called as their sources: look whether a name tells something of a patient."
    )
    mask = options.get("mask")
    parts = [paragraph(words), paragraph(words_of_names)]
    if mask:
        parts.append(paragraph(_painted(facts, mask)))
    return section("headers", "Headers and file names", *parts, _evidence(evidence))


def _painted(facts: ReleaseFacts, mask: str) -> str:
    """Say how much a mask painted, and in which images it painted nothing."""
    share = 100 * sum(image.masked_share for image in facts.images) / max(1, len(facts.images))
    untouched = [image.name for image in facts.images if not image.masked]
    words = f"Before anything else, regions were painted black ({mask})"
    if facts.records is not None:  # of its images nothing is known
        return f"{words}."
    if share:
        words += f": {share:.2g} % of the pixels on average"
    if not untouched:
        return f"{words}. Every image has at least one painted region."
    named = ", ".join(untouched[:MOST_NAMED]) + (", …" if len(untouched) > MOST_NAMED else "")
    return (
        f"{words}. Nothing was painted in {len(untouched)} of "
        f"{counted(len(facts.images), 'image')}, so text may be left in them: {named}."
    )


def _evidence(evidence: Evidence | None) -> str:
    if evidence is None:
        return paragraph(
            "The files were not searched for what stands in the headers of the sources. Run: "
            "deepfixcx scan RELEASE --against ORIGINALS"
        )
    if not evidence.strings:
        left_out = " but what was left out on purpose" if evidence.ignored else ""
        return paragraph(
            "There was nothing to search for: neither headers nor names of the sources gave a "
            f"string that could be searched for{left_out}. The scan says nothing of the "
            f"{counted(evidence.files, 'file')} of the release."
        )
    found = (
        f"{counted(evidence.findings, 'place')} in {counted(evidence.holding, 'file')} "
        f"{'holds' if evidence.findings == 1 else 'hold'} one: do not share it"
        if evidence.findings
        else "none of them was found" + (" where it must not be" if evidence.harmless else "")
    )
    words = (
        f"Every byte of {counted(evidence.files, 'file')} was searched for "
        f"{counted(evidence.strings, 'string')} from the headers of "
        f"{counted(evidence.sources, 'source')} and from their names: {found}."
    )
    if evidence.ignored:
        left_out = counted(evidence.ignored, "string was", "strings were")
        words += f" {left_out} left out of the search on purpose."
    if evidence.unsearched:
        words += f" {counted(evidence.unsearched, 'file')} could not be searched."
    return paragraph(words) + _harmless(evidence)


def _harmless(evidence: Evidence) -> str:
    """List the reasons for which strings of the sources may stand where they were found."""
    if not evidence.harmless:
        return ""
    count = sum(times for _, times in evidence.harmless)
    were = counted(count, "string was", "strings were")
    words = (
        f"Beside that, {were} found where there is a reason for it, and listed as harmless. "
        "evidence.csv names the file and the place of each; the reasons:"
    )
    return paragraph(words) + items(f"{why}: {times:,}" for why, times in evidence.harmless)


def untested(facts: ReleaseFacts, measured: Measured, evidence: Evidence | None) -> str:
    """List what nobody looked at, so that nobody takes silence for safety."""
    missing = [f"{sentence}." for sentence in measured.unbound]
    if measured.audit is None:
        missing.append("Attacks of any kind: linkage, reconstruction, inference, membership.")
        if not facts.has_codes:
            missing.append(NO_CODES)
    else:
        missing += measured.audit.untested
        tried = {each.attack for each in measured.audit.attacks}
        for attack in ("linkage", "reconstruction", "inference", "membership"):
            if attack not in tried and not any(attack in each.lower() for each in missing):
                missing.append(f"{attack.capitalize()} was not attacked.")
    if not (measured.evaluation or measured.sweep):
        missing.append("Whether the images still serve any task.")
    if not measured.frontier:
        missing.append("Whether another setting gives more privacy for the same utility.")
    if evidence is None or not evidence.strings:
        missing.append("Whether a byte of a header, or of a file name, is left in a file.")
    missing.append(
        "Attackers who know more than those that were tried: other images of the same patients "
        "from another source, the means of a state, or methods not yet known."
    )
    if not facts.vectors:
        missing.append(
            "Text that is burned into images, unless a mask or a reader of text is named above; "
            "many patches keep letters legible."
        )
    parts = [items(missing)]
    if limits := facts.about.get("limits"):
        parts.append(paragraph(f"What the release says of itself: {limits}"))
    return section("untested", "What was not tested", *parts)


def reproduce(facts: ReleaseFacts) -> str:
    """Give everything that is needed to make it again, and to check it."""
    options = facts.about["options"]
    software = [[name, str(version)] for name, version in sorted(facts.about["software"].items())]
    papers = [[name, str(value)] for name, value in sorted(facts.about["papers"].items())]
    papers.append(["dataset.json (the seal)", facts.seal])
    plain = {name: value for name, value in options.items() if name != "spec"}
    return section(
        "reproduce",
        "How to make it again, and check it",
        code(f"{_command(facts)}\ndeepfixcx verify RELEASE"),
        paragraph(f"{_repeats(facts)} Compare the seal with that of whoever made it.", "small"),
        "<h3>Spec</h3>",
        code(facts.spec.to_json()),
        "<h3>Options</h3>",
        code(json.dumps(plain, sort_keys=True, indent=2)),
        "<h3>Versions</h3>",
        table([], software),
        "<h3>SHA-256</h3>",
        table([], papers),
    )


def _repeats(facts: ReleaseFacts) -> str:
    """Say what it takes to get the same bytes again."""
    records = facts.records or {}
    if records and records.get("drawn_from") == "a secret":
        return (
            "Records are drawn with a secret in the private folder: with it, the same inputs, "
            "options and versions give the same bytes, and without it others."
        )
    key = ", with the same key," if facts.output == "dicom" else ""
    return f"The same inputs, options and versions{key} give the same bytes."


def _command(facts: ReleaseFacts) -> str:
    spec, options = facts.spec, facts.about["options"]
    rows, columns = spec.grid_shape
    patches = f"{rows}" if rows == columns else f"{rows}x{columns}"
    words = ["deepfixcx", "privatize", "ORIGINALS", "RELEASE"]
    words += ["--level", str(spec.level), "--patches", patches]
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
        "key": ("KEY" if options.get("output") == "dicom" else None, None),
    }
    for name, (value, default) in given.items():
        if value not in (default, None):
            words += [f"--{name}", shlex.quote(str(value))]
    return " ".join(words)
