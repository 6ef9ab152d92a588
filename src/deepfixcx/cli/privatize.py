"""``deepfixcx privatize``: a folder of medical images becomes a folder that can be shared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from deepfixcx.choices import (
    Boundary,
    Engine,
    Grid,
    Independent,
    Names,
    Output,
    Retained,
    Size,
    Storage,
)
from deepfixcx.cli._console import (
    console,
    default_workers,
    error_console,
    megabytes,
    panel,
    program,
    ratio,
    reason_rows,
    resuming_command,
    write_json,
)
from deepfixcx.cli._settings import spec_of

if TYPE_CHECKING:
    from deepfixcx.images.masking import Mask
    from deepfixcx.release import Progress, Summary

__all__ = ["command"]

SOME_FAILED = 3


def command(
    where: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="Folder, image, or .csv with a column 'path' or 'file'; or its URL."
        ),
    ],
    folder: Annotated[
        str, typer.Argument(metavar="OUT", help="Release folder to make, or its URL.")
    ],
    level: Annotated[int, typer.Option("--level", "-J", help="J: depth of the packet; 4^J bands.")],
    patches: Annotated[
        str, typer.Option("--patches", "-P", help="P: cells per axis of a band; 4, or 4x6.")
    ],
    wavelet: Annotated[
        str, typer.Option(help="A discrete wavelet of PyWavelets: haar, db2, coif1, …")
    ] = "haar",
    pooling: Annotated[
        str, typer.Option(help="l1, l2, sum, max, min, median, sum_pos, sum_neg; or l1,max.")
    ] = "l1",
    boundary: Annotated[Boundary, typer.Option(help="What lies beyond the edge.")] = "zero",
    grid: Annotated[
        Grid, typer.Option(help="No empty cells; or padded, as in the paper.")
    ] = "balanced",
    output: Annotated[
        Output, typer.Option(help="What to write; dicom: images with de-identified headers.")
    ] = "both",
    size: Annotated[
        Size, typer.Option(help="Of images: P·2^J pixels a side, or as the source.")
    ] = "compact",
    dtype: Annotated[Storage, typer.Option(help="Numbers of codes on disk.")] = "float32",
    names: Annotated[
        Names, typer.Option(help="Number files and folders, or call them as their sources.")
    ] = "neutral",
    mask: Annotated[
        str | None,
        typer.Option(
            help="Paint writing black first: a file of rules per device, or ocr to look for it."
        ),
    ] = None,
    mechanism: Annotated[
        str, typer.Option(help="Make codes tell less: bands, quantization; or both, in order.")
    ] = "",
    retain: Annotated[
        str,
        typer.Option(
            help="Of DICOM headers: dates (shifted), patient (sex, age), device, descriptors."
        ),
    ] = "",
    key: Annotated[
        Path | None,
        typer.Option(
            help="File of the key of pseudonyms, made on first use; default: in the private folder."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Order in which images are numbered.")] = 0,
    max_pixels: Annotated[
        int | None, typer.Option(help="Refuse files that declare more pixels.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; default: the cores. Never changes a byte.")
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="Processes of this machine, or a dask cluster.")
    ] = "local",
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of dask's scheduler; without it, a cluster on this machine."),
    ] = None,
    private: Annotated[
        str | None,
        typer.Option(
            "--private", help="Local folder for ledger and source names; default: OUT.private."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped release.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier release in OUT.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the closing figures for machines.")
    ] = None,
) -> None:
    """Turn a folder of medical images into a folder that can be shared.

    Reads PNG, JPEG, TIFF, BMP, DICOM and NIfTI. Beside OUT, the folder OUT.private keeps
    the names of the sources and the ledger for --resume: it is not for sharing.

    IN and OUT may be URLs that fsspec knows, such as s3://bucket/folder; an OUT at
    a URL needs --private.

    Example: [bold]deepfixcx privatize xrays shared --level 3 --patches 4 --output both[/bold]
    """
    from deepfixcx.images import DEFAULT_MAX_PIXELS
    from deepfixcx.release import ReleaseOptions, privatize_dataset

    options = ReleaseOptions(
        spec=spec_of(level, patches, wavelet, pooling, boundary, grid),
        output=output,
        size=size,
        dtype=dtype,
        names=names,
        seed=seed,
        max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
        mechanisms=tuple(cast("list[Independent]", _words(mechanism))),
        retain=tuple(cast("list[Retained]", _words(retain))),
        mask=None if mask is None else _mask(mask),
    )
    try:
        with _ProgressBar() as report:
            summary = privatize_dataset(
                where,
                folder,
                options,
                private=private,
                key=key,
                workers=default_workers() if workers is None else workers,
                engine=engine,
                scheduler=scheduler,
                resume=resume,
                overwrite=overwrite,
                report=report,
                again=resuming_command(),
            )
    except KeyboardInterrupt:
        console.print(f"Stopped. Everything written is whole; go on with:\n  {resuming_command()}")
        raise
    figures = _figures(summary)
    write_json(json, figures)
    _close(summary, figures, masked=mask is not None)
    if summary.totals["files_failed"]:
        raise typer.Exit(SOME_FAILED)


def _mask(text: str) -> Mask:
    """Return the mask that is asked for, and see now that it can be used."""
    from deepfixcx.images.masking import load_mask

    if text != "ocr":
        return load_mask(text)
    from deepfixcx.images.text_mask import TextMask

    TextMask.check()
    return TextMask()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _figures(summary: Summary) -> dict[str, object]:
    totals, progress = summary.totals, summary.progress
    disk = sum(totals[f"{kind}_file_bytes"] for kind in ("image", "dicom", "code"))
    return {
        **totals,
        "command": "privatize",
        "files_skipped": summary.skipped,
        "legible_images": summary.legible_images,
        "legible_from": summary.legible_from,
        "images_this_run": progress.images,
        "seconds": round(summary.seconds, 3),
        "images_per_second": round(progress.images / summary.seconds, 1),
        "release_file_bytes": disk,
        "ratio_memory": ratio(totals["source_bytes"], totals["kept_bytes"]),
        "ratio_disk": ratio(totals["source_file_bytes"], disk),
        "release": str(summary.folder),
        "private": str(summary.private),
    }


def _close(summary: Summary, figures: dict[str, object], *, masked: bool) -> None:
    totals, failed = summary.totals, summary.totals["files_failed"]
    rows = [("done", f"{totals['files_done']} of {totals['files']} files")]
    if failed:
        rows.append(("failed", f"{failed}, listed in {summary.folder}/failures.csv"))
        rows += reason_rows(summary.reasons)
    else:
        rows.append(("failed", "none"))
    if summary.skipped:
        rows.append(("skipped", f"{summary.skipped} of other kinds, listed in the private folder"))
    if totals["images"]:
        share = 100 * totals["kept_values"] / totals["source_values"]
        rows += [
            ("wrote", _written(totals)),
            ("speed", _speed(summary, figures)),
            ("kept", f"{share:.3g} % of the numbers"),
            ("in memory", _smaller(totals["source_bytes"], totals["kept_bytes"])),
            ("on disk", _smaller(totals["source_file_bytes"], figures["release_file_bytes"])),
        ]
    if summary.legible_images:
        rows.append(("writing", _writing(summary, masked)))
    rows += [
        ("release", f"{summary.folder}"),
        ("private", f"{summary.private}  which source is which; do not share"),
        ("next", _next_step(summary)),
    ]
    panel("privatize", rows, good=not failed)


def _written(totals: dict[str, int]) -> str:
    parts = []
    if totals["image_file_bytes"]:
        parts.append(f"{totals['images']} images")
    if totals["dicom_files"]:
        parts.append(f"{totals['images']} images in {totals['dicom_files']} DICOM files")
    if totals["code_files"]:
        parts.append(f"{totals['images']} codes in {totals['code_files']} files")
    return " and ".join(parts)


def _writing(summary: Summary, masked: bool) -> str:
    what = "that the mask missed" if masked else "that is burned in"
    advice = "look at some" if masked else "paint it over with --mask"
    return (
        f"{what} may stay legible in {summary.legible_images} of {summary.totals['images']}, from "
        f"letters of {summary.legible_from} pixels on; take fewer patches, or {advice}"
    )


def _speed(summary: Summary, figures: dict[str, object]) -> str:
    if not summary.progress.files_done:
        return "nothing was left to do"
    return f"{figures['images_per_second']} images/s, {summary.seconds:.1f} s"


def _smaller(before: object, after: object) -> str:
    if not isinstance(before, int) or not isinstance(after, int) or not after:
        return "nothing was kept"
    if not before:
        return f"{megabytes(after)}  (where the sources lie, nobody tells their size)"
    factor = before / after
    text = f"1 : {factor:.1f}" if factor >= 1 else f"{1 / factor:.1f} times larger"
    return f"{megabytes(before)} → {megabytes(after)}  ({text})"


def _next_step(summary: Summary) -> str:
    if not summary.totals["images"]:
        return "nothing could be used; mend the cause, then run again with --overwrite"
    if summary.totals["files_failed"]:
        return f"see which files they were: {summary.private / 'sources.csv'}"
    if summary.totals["dicom_files"]:
        return f"search it for what its sources say of patients: {program()} scan OUT --against IN"
    return f"look at one image and what is kept of it: {program()} show IMAGE -o show.png"


class _ProgressBar:
    """A bar on the terminal with images/s, bytes in and kept, and the time left."""

    def __enter__(self) -> Callable[[Progress], None]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("privatize"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=error_console,
            disable=not error_console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("privatize", total=None, figures="")
        self._bar.start()
        return self._report

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _report(self, progress: Progress) -> None:
        elapsed = self._bar.tasks[0].elapsed or 0
        speed = progress.images / elapsed if elapsed else 0
        flow = f"{megabytes(progress.bytes_in)} → {megabytes(progress.bytes_kept)}"
        failed = f"  {progress.files_failed} failed" if progress.files_failed else ""
        self._bar.update(
            self._task,
            total=progress.files,
            completed=progress.files_before + progress.files_done,
            figures=f"{speed:.0f} images/s  {flow}{failed}",
        )
