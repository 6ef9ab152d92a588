"""``deepfixcx privatize``: a folder of medical images becomes a folder that can be shared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from deepfixcx._words import counted, joined, percent
from deepfixcx.choices import (
    Boundary,
    Engine,
    Grid,
    Independent,
    Names,
    Retained,
    Size,
    Storage,
)
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
    ratio,
    reason_rows,
    resuming_command,
    skipped_words,
    smaller,
    stopping,
    warn,
    warn_insecure,
    write_json,
)
from deepfixcx.cli._estimate import end_with_estimate
from deepfixcx.cli._options import (
    ABOUT,
    ADD,
    BOUNDARY,
    DRY_RUN,
    GRID,
    INPUTS,
    JSON,
    KEY,
    LEVEL_Z,
    LOG,
    MAX_PIXELS,
    NAMES,
    OVERWRITE,
    PATIENT,
    POOLING,
    PRIVATE,
    PSEUDONYMS,
    RESUME,
    SIZE,
    TABLES,
    VOLUMES,
    WAVELET,
    WORKERS,
    complete_mechanisms,
    complete_outputs,
    complete_retained,
    leaves_of,
    mask_of,
    spec_of,
    words_in,
)
from deepfixcx.errors import MechanismError
from deepfixcx.io.release_files import KINDS, SOURCES

if TYPE_CHECKING:
    from deepfixcx.release import ReleaseOptions, RunOptions, Summary
    from deepfixcx.release.protected import Protection
    from deepfixcx.spec import CodecSpec

__all__ = ["command"]

MIN_PATIENTS = 11


def command(
    where: Annotated[str, INPUTS],
    folder: Annotated[
        str, typer.Argument(metavar="OUT", help="Release folder to make, or its URL.")
    ],
    level: Annotated[int, typer.Option("--level", "-J", help="J: depth of the packet; 4^J bands.")],
    patches: Annotated[
        str, typer.Option("--patches", "-P", help="P: cells per axis of a band; 4, or 4x6.")
    ],
    wavelet: Annotated[str, WAVELET] = "haar",
    pooling: Annotated[str, POOLING] = "l1",
    boundary: Annotated[Boundary, BOUNDARY] = "zero",
    grid: Annotated[Grid, GRID] = "balanced",
    volumes: Annotated[bool, VOLUMES] = False,
    level_z: Annotated[int | None, LEVEL_Z] = None,
    output: Annotated[
        str | None,
        typer.Option(
            help="images, codes, dicom (de-identified headers); both: images,codes.",
            show_default="both",
            autocompletion=complete_outputs,
        ),
    ] = None,
    size: Annotated[Size, SIZE] = "compact",
    dtype: Annotated[Storage, typer.Option(help="Number format of codes on disk.")] = "float32",
    names: Annotated[Names, NAMES] = "neutral",
    mask: Annotated[str | None, typer.Option(help="Paint text black: rule file, or ocr.")] = None,
    mechanism: Annotated[
        str,
        typer.Option(
            help="Change codes: resampling, projection, …",
            autocompletion=complete_mechanisms,
        ),
    ] = "",
    labels: Annotated[str | None, typer.Option(help="Labels to release: a,b.")] = None,
    patient: Annotated[str | None, PATIENT] = None,
    public: Annotated[
        str | None, typer.Option(help="Dataset of other patients to learn from.")
    ] = None,
    min_patients: Annotated[int, typer.Option(help="Fewest patients of a released label.")] = 11,
    retain: Annotated[
        str,
        typer.Option(
            help="DICOM values to keep: dates (shifted), patient (sex, age), device, descriptors.",
            autocompletion=complete_retained,
        ),
    ] = "",
    key: Annotated[Path | None, KEY] = None,
    pseudonyms: Annotated[Path | None, PSEUDONYMS] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the order and of mechanisms.")] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    workers: Annotated[int | None, WORKERS] = None,
    engine: Annotated[Engine, typer.Option(help="This machine, or a dask cluster.")] = "local",
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a running dask scheduler.")
    ] = None,
    insecure_scheduler: Annotated[
        bool, typer.Option("--insecure-scheduler", help="Allow a scheduler without TLS.")
    ] = False,
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
    """Turn a folder of medical images into a folder that can be shared.

    Reads PNG, JPEG, TIFF, BMP, DICOM and NIfTI. Beside OUT, the folder OUT.private keeps the names
    of the sources and the ledger for --resume. Do not share OUT.private.

    IN and OUT may be URLs that fsspec supports, such as s3://bucket/folder; an OUT at a URL needs
    --private. For a mechanism that needs --labels, IN is a dataset with patients.

    Example: deepfixcx privatize xrays shared --level 3 --patches 4 --output both
    """
    from deepfixcx.images.frames import DEFAULT_MAX_PIXELS
    from deepfixcx.release.options import ReleaseOptions, output_named
    from deepfixcx.release.run import privatize_dataset

    spec = spec_of(level, patches, wavelet, pooling, boundary, grid, volumes, level_z)
    protection = _protection(mechanism, spec)
    alone = protection is None or protection.in_workers
    _check_alone({"--add": add, "--dry-run": dry_run}, alone=alone)
    options = ReleaseOptions(
        spec=spec,
        output=output_named(output or ("both" if alone else "codes")),
        size=size,
        dtype=dtype,
        names=names,
        seed=(seed or 0) if alone else 0,  # that of a mechanism must not show in an order
        max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
        mechanisms=_in_workers(protection) if alone else (),
        retain=tuple(cast("list[Retained]", words_in(retain))),
        mask=mask_of(mask),
        noise=protection.noise if protection is not None and alone else None,
    )
    warn_insecure(scheduler=insecure_scheduler)
    course: RunOptions = {
        "private": private,
        "key": key,
        "pseudonyms": pseudonyms,
        "workers": default_workers() if workers is None else workers,
        "engine": engine,
        "scheduler": scheduler,
        "insecure_scheduler": insecure_scheduler,
        "resume": resume,
        "add": add,
        "patient": patient if alone else None,
        "overwrite": overwrite,
        "again": resuming_command(),
        "leaves": leaves_of(folder, about, tables),
    }
    if alone:
        _check_unused(labels, public, min_patients)
    if dry_run:
        end_with_estimate("privatize", where, folder, options, course, json)
        return
    logs = logged(log, "privatize", where, folder, private)
    with stopping(), logs as running, ReleaseBar() as bar:
        course |= {"report": bar.report, "waiting": bar.waiting(running), "log": running}
        if alone:
            summary = privatize_dataset(where, folder, options, **course)
        else:
            from deepfixcx.cli._protecting import Asked

            asked = Asked(
                where, folder, options, mechanism, labels, public, min_patients, seed, patient
            )
            protected = asked.run(course)
    if alone:
        _end(summary, json, options)
    else:
        from deepfixcx.cli._protecting import end

        end(protected, json)


def _protection(text: str, spec: CodecSpec) -> Protection | None:
    """Read the names of mechanisms; None where there are none."""
    if not text:
        return None
    from deepfixcx.release.protected import Protection

    return Protection.of(text, spec)


def _check_alone(asked: dict[str, bool], *, alone: bool) -> None:
    """Refuse options that a mechanism with labels has no use for."""
    for option in asked if not alone else ():
        if asked[option]:
            raise MechanismError(
                f"{option} is for releases without a mechanism that uses labels; omit it"
            )


def _check_unused(labels: str | None, public: str | None, min_patients: int) -> None:
    """Refuse options that an ordinary release has no use for."""
    if (labels, public) != (None,) * 2 or min_patients != MIN_PATIENTS:
        raise MechanismError(
            "--labels, --public and --min-patients require a mechanism that uses "
            "them, such as resampling or projection; omit them, or name such a mechanism with "
            "--mechanism"
        )


def _end(summary: Summary, json: Path | None, options: ReleaseOptions) -> None:
    write_json(json, figures := _figures(summary))
    _close(summary, figures, options)
    if summary.totals["files_failed"]:
        raise typer.Exit(SOME_FAILED)


def _in_workers(protection: Protection | None) -> tuple[Independent, ...]:
    """Return the mechanisms that workers apply to each code; noise is an option of its own."""
    names = () if protection is None else protection.names
    noisy = protection is not None and protection.noise is not None
    return cast("tuple[Independent, ...]", names[1:] if noisy else names)


def _figures(summary: Summary) -> dict[str, object]:
    totals, progress = summary.totals, summary.progress
    disk = sum(totals[f"{kind}_file_bytes"] for kind in KINDS)
    return {
        **totals,
        "command": "privatize",
        "files_hidden": summary.hidden,
        "files_skipped": summary.skipped,
        "files_kept": list(summary.kept_files),
        "files_changed": len(summary.changed),
        "files_gone": len(summary.gone),
        "files_new": summary.new,
        "legible_images": summary.legible_images,
        "legible_from": summary.legible_from,
        "unmasked_images": summary.unmasked_images,
        "masked_share": summary.masked_share,
        "masked_images": len(summary.masked),
        "notes": dict(summary.notes),
        "same_instance": summary.duplicates.instance,
        "near_duplicates": summary.duplicates.near,
        "images_this_run": progress.images,
        "seconds": round(summary.seconds, 3),
        "images_per_second": round(progress.images / summary.seconds, 1),
        "release_file_bytes": disk,
        "ratio_memory": ratio(totals["source_bytes"], totals["kept_bytes"]),
        "ratio_disk": ratio(totals["source_file_bytes"], disk),
        "release": str(summary.folder),
        "private": str(summary.private),
    }


def _close(summary: Summary, figures: dict[str, object], options: ReleaseOptions) -> None:
    totals, failed = summary.totals, summary.totals["files_failed"]
    masked = options.mask is not None
    rows = [("done", f"{totals['files_done']:,} of {counted(totals['files'], 'file')}")]
    listed = f"{failed}, listed in {summary.folder}/failures.csv" if failed else "none"
    rows += [("failed", listed), *reason_rows(summary.reasons)]
    if summary.skipped:
        skipped = skipped_words(summary.skipped, summary.hidden)
        rows.append(("skipped", f"{skipped}, listed in the private folder"))
    if totals["images"]:
        share = percent(totals["kept_values"], totals["source_values"])
        rows += [
            ("wrote", _written(totals)),
            ("speed", _speed(summary, figures)),
            ("kept", f"{share} of the values"),
            ("in memory", smaller(totals["source_bytes"], totals["kept_bytes"])),
            ("on disk", smaller(totals["source_file_bytes"], figures["release_file_bytes"])),
        ]
    if tables := totals["table_file_bytes"]:
        rows.append(("tables", f"{byte_size(tables)} more, the same data; omit with --no-tables"))
    if options.noise is not None:
        rows.append(("guarantee", options.noise.guarantee))
    if masked and totals["images"]:
        rows += mask_rows(summary, neutral=options.names == "neutral")
    if summary.notes:
        rows.append(("notes", "header values not followed, listed in the private sources.csv:"))
        rows += reason_rows(summary.notes)
    if summary.legible_images:
        rows.append(("text", _writing(summary, masked)))
    rows += changed_rows(summary, neutral=options.names == "neutral")
    rows += duplicate_rows(summary, neutral=options.names == "neutral") + kept_rows(
        summary.kept_files, summary.lock_note
    )
    rows += [
        ("release", f"{summary.folder}"),
        ("private", f"{summary.private}  source of each image; do not share"),
        ("next", _next_step(summary)),
    ]
    panel("privatize", rows, good=not failed)
    if totals["images"] and 2 * totals["kept_values"] >= totals["source_values"]:
        warn(
            f"the release keeps {percent(totals['kept_values'], totals['source_values'])} of the "
            "values, so little is removed from an image; use a smaller --patches or a larger "
            "--level"
        )
    if totals["source_bytes"] < totals["kept_bytes"]:
        warn(
            f"the release is {totals['kept_bytes'] / totals['source_bytes']:.1f} times as large in "
            "memory as its sources; use a smaller --patches, or --dtype uint8"
        )


def _written(totals: dict[str, int]) -> str:
    images, codes = counted(totals["images"], "image"), counted(totals["images"], "code")
    parts = [images] if totals["image_file_bytes"] else []
    if totals["dicom_files"]:
        files = counted(totals["dicom_files"], "DICOM file")
        parts.append(files if parts else f"{images} in {files}")
    if totals["code_files"]:
        parts.append(f"{codes} in {counted(totals['code_files'], 'file')}")
    return joined(parts)


def _writing(summary: Summary, masked: bool) -> str:
    what = "text that the mask missed" if masked else "burned-in text"
    advice = "check some images" if masked else "paint the text black with --mask"
    return (
        f"{what} may be legible in {summary.legible_images} of {summary.totals['images']} "
        f"images, if letters have {summary.legible_from} pixels or more; use fewer patches, or "
        f"{advice}"
    )


def _speed(summary: Summary, figures: dict[str, object]) -> str:
    if not summary.progress.files_done:
        return "nothing to do"
    return f"{figures['images_per_second']} images/s, {summary.seconds:.1f} s"


def _next_step(summary: Summary) -> str:
    if not summary.totals["images"]:
        return "no file could be used; fix the cause, then run again with --overwrite"
    if summary.totals["files_failed"]:
        return f"names of the failed files: {summary.private / SOURCES}"
    if summary.totals["dicom_files"]:
        return f"search it for identifiers of its sources: {program()} scan OUT --against IN"
    return f"compare one image before and after: {program()} show IMAGE -o show.png"
