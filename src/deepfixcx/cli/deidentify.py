"""``deepfixcx deidentify``: the same DICOM files, without the patient, with their own pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import counted
from deepfixcx.choices import FreeTexts, Names, Ocr
from deepfixcx.cli._console import (
    SOME_FAILED,
    ReleaseBar,
    byte_size,
    changed_rows,
    default_workers,
    duplicate_rows,
    kept_rows,
    logged,
    mask_rows,
    panel,
    program,
    reason_rows,
    resuming_command,
    skipped_words,
    stopping,
    write_json,
)
from deepfixcx.cli._estimate import end_with_estimate
from deepfixcx.cli._options import (
    ABOUT,
    ADD,
    DRY_RUN,
    JSON,
    KEY,
    LOG,
    MAX_PIXELS,
    NAMES,
    OVERWRITE,
    PRIVATE,
    PSEUDONYMS,
    RESUME,
    TABLES,
    WORKERS,
    leaves_of,
    words_in,
)

if TYPE_CHECKING:
    from deepfixcx.deidentify import Profile
    from deepfixcx.release import DeidentifyOptions, RunOptions, Summary

__all__ = ["command"]


def command(
    where: Annotated[
        str | None, typer.Argument(metavar="IN", help="Folder, DICOM file, or table of paths.")
    ] = None,
    folder: Annotated[
        str | None, typer.Argument(metavar="OUT", help="Release folder to make.")
    ] = None,
    retain: Annotated[
        str,
        typer.Option(
            help="Keep: dates (shifted) or full-dates, patient, device, uids, institution, "
            "descriptors, graphics, structured."
        ),
    ] = "",
    free_text: Annotated[
        FreeTexts,
        typer.Option(help="Comments and reports: drop, or keep with identifiers replaced."),
    ] = "drop",
    rules: Annotated[
        Path | None, typer.Option(help="Rules for single elements (TOML); they override the table.")
    ] = None,
    private_elements: Annotated[
        Path | None, typer.Option(help="CSV of private elements that may stay.")
    ] = None,
    explain_rules: Annotated[
        bool, typer.Option("--explain-rules", help="Print the rules in force; read no file.")
    ] = False,
    mask: Annotated[
        str | None,
        typer.Option(
            help="Paint text black: phi (all but measurements), all, or a rule file.",
        ),
    ] = None,
    ocr: Annotated[Ocr, typer.Option(help="What finds text for --mask.")] = "rapidocr",
    also: Annotated[
        str, typer.Option(help="Objects without an image to include: ko, sr, pr, rt, reg, seg.")
    ] = "",
    names: Annotated[Names, NAMES] = "neutral",
    key: Annotated[Path | None, KEY] = None,
    pseudonyms: Annotated[Path | None, PSEUDONYMS] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    workers: Annotated[int | None, WORKERS] = None,
    private: Annotated[str | None, PRIVATE] = None,
    about: Annotated[Path | None, ABOUT] = None,
    tables: Annotated[bool | None, TABLES] = None,
    add: Annotated[bool, ADD] = False,
    resume: Annotated[bool, RESUME] = False,
    overwrite: Annotated[bool, OVERWRITE] = False,
    dry_run: Annotated[bool, DRY_RUN] = False,
    log: Annotated[Path | None, LOG] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """De-identify DICOM files and keep their pixels bit for bit, but for text that is painted.

    Headers are handled by DICOM PS3.15 Annex E; OUT/deidentification.md is the conformance
    statement. Files that cannot be examined, and objects without an image, are withheld and listed.
    Without --mask, images whose header states burned-in text are withheld.

    Example: deepfixcx deidentify scans shared --retain dates,patient --mask phi
    """
    from deepfixcx.errors import DeidentifyError
    from deepfixcx.images import DEFAULT_MAX_PIXELS
    from deepfixcx.release import DeidentifyOptions, privatize_dataset
    from deepfixcx.release.deidentified import chosen_mask, chosen_objects, chosen_profile

    profile = chosen_profile(
        words_in(retain), rules, private_elements, keep_text=free_text == "keep"
    )
    if explain_rules:
        _explain(profile)
        return
    if where is None or folder is None:
        raise DeidentifyError("IN and OUT are missing; only --explain-rules works without them")
    options = DeidentifyOptions(
        profile=profile,
        also=chosen_objects(words_in(also)),
        names=names,
        mask=None if mask is None else chosen_mask(mask, ocr),
        max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
    )
    course: RunOptions = {
        "private": private,
        "key": key,
        "pseudonyms": pseudonyms,
        "workers": default_workers() if workers is None else workers,
        "resume": resume,
        "add": add,
        "overwrite": overwrite,
        "again": resuming_command(),
        "leaves": leaves_of(folder, about, tables),
    }
    if dry_run:
        end_with_estimate("deidentify", where, folder, options, course, json)
        return
    logs = logged(log, "deidentify", where, folder, private)
    with stopping(), logs as running, ReleaseBar("deidentify") as bar:
        course |= {"report": bar.report, "log": running}
        summary = privatize_dataset(where, folder, options, **course)
    figures = _figures(summary)
    write_json(json, figures)
    _close(summary, figures, options)
    if summary.totals["files_failed"]:
        raise typer.Exit(SOME_FAILED)


def _explain(profile: Profile) -> None:
    from deepfixcx.deidentify.conformance import effective_rules
    from deepfixcx.io.tables import TableWriter

    text = io.StringIO(newline="")
    TableWriter(text).writerows([("tag", "attribute", "action", "reason")])
    TableWriter(text).writerows(effective_rules(profile))
    typer.echo(text.getvalue(), nl=False)


def _figures(summary: Summary) -> dict[str, object]:
    return {
        **summary.totals,
        "command": "deidentify",
        "files_hidden": summary.hidden,
        "files_skipped": summary.skipped,
        "files_kept": list(summary.kept_files),
        "files_changed": len(summary.changed),
        "files_gone": len(summary.gone),
        "files_new": summary.new,
        "same_instance": summary.duplicates.instance,
        "unmasked_images": summary.unmasked_images,
        "masked_share": summary.masked_share,
        "seconds": round(summary.seconds, 3),
        "files_per_second": round(summary.progress.files_done / summary.seconds, 1),
        "release": str(summary.folder),
        "private": str(summary.private),
    }


def _close(summary: Summary, figures: dict[str, object], options: DeidentifyOptions) -> None:
    totals, failed = summary.totals, summary.totals["files_failed"]
    rows = [("done", f"{totals['files_done']:,} of {counted(totals['files'], 'file')}")]
    listed = f"{failed}, listed in {summary.folder}/failures.csv" if failed else "none"
    rows += [("withheld", listed), *reason_rows(summary.reasons)]
    if summary.skipped:
        skipped = skipped_words(summary.skipped, summary.hidden)
        rows.append(("skipped", f"{skipped}, listed in the private folder"))
    if totals["dicom_files"]:
        size = byte_size(totals["dicom_file_bytes"])
        rows.append(("wrote", f"{counted(totals['dicom_files'], 'DICOM file')}, {size}"))
        rows.append(("speed", f"{figures['files_per_second']} files/s, {summary.seconds:.1f} s"))
    if options.mask is not None and totals["images"]:
        rows += mask_rows(summary, neutral=options.names == "neutral")
    elif totals["images"]:
        rows.append(("mask", "none; text in pixels was not searched: use --mask phi"))
    rows += changed_rows(summary, neutral=options.names == "neutral")
    rows += duplicate_rows(summary, neutral=options.names == "neutral")
    rows += kept_rows(summary.kept_files, summary.lock_note)
    rows += [
        ("release", f"{summary.folder}"),
        ("private", f"{summary.private}  source of each file; do not share"),
        ("next", f"search it for identifiers of its sources: {program()} scan OUT --against IN"),
    ]
    panel("deidentify", rows, good=not failed)
