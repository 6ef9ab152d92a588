"""``deepfixcx scan``: whether something of the sources' headers is in what is to be shared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import (
    SOME_FAILED,
    StepBar,
    byte_size,
    default_workers,
    panel,
    reason_rows,
    write_json,
)
from deepfixcx.cli._options import JSON, PRIVATE_OF, WORKERS, check_outside
from deepfixcx.io.release_files import is_release, release_around

if TYPE_CHECKING:
    from deepfixcx.deidentify.scan import ScanReport

__all__ = ["command"]

FORMAT_WORDS = """
deepfixcx.release format limits mechanisms options papers manifest.csv software totals version
PyWavelets numba numpy pillow pydicom safetensors done failed images dicom codes png
zero periodic symmetric balanced padded l1 l2 sum max min median pos neg haar db sym coif bior
float16 float32 neutral compact full both shard dtype shape data offsets metadata F32 F16
DICOM PS3.15 Annex E reconstruction of a code wavelet packets pooled in cells regions painted black
this is a file without an image ends is damaged before within its pixels copy it again from source
before left out as not two positive numbers Lossy Compression Spatial resampling DCM WSD DFCX
Device identity retained its dates shifted applied in part rules of the site for elements
"""
"""Words of the files of a release that are no names of fields."""


def command(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to be shared.")],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="IN",
            help="Folder or file with its sources; without it, only fixed rules are checked.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the evidence; default: OUT.evidence."),
    ] = None,
    private: Annotated[Path | None, PRIVATE_OF] = None,
    ignore: Annotated[
        Path | None,
        typer.Option(
            help="Text file of strings or elements, as (0018,1000), that may remain; one a line."
        ),
    ] = None,
    ocr: Annotated[
        bool, typer.Option("--ocr", help="Also read burned-in text with tesseract.")
    ] = False,
    workers: Annotated[int | None, WORKERS] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Search every byte of a folder for the names, numbers, dates and texts of its sources.

    The evidence lists each file that holds such a string, the position, and the element of the
    source header, but not the string. Terms of the standard, manufacturers of devices and values
    kept by --retain are listed separately, with the reason. Exit code 3 if other strings remain or
    a file could not be searched; 2 if IN holds nothing to search for.

    Without --against, DICOM headers are searched for names, dates, UIDs, private elements and texts
    that do not fit what the header says of its de-identification.

    Example: deepfixcx scan shared --against scans
    """
    from deepfixcx.datasets.files import local_path
    from deepfixcx.deidentify.scan import scan, scan_alone
    from deepfixcx.deidentify.scan.evidence import evidence_folder, figures, fill_evidence
    from deepfixcx.errors import DeidentifyError
    from deepfixcx.io.files import check_apart
    from deepfixcx.io.tables import has_table_name
    from deepfixcx.release import PrivateFolder
    from deepfixcx.release.rewritten import repeating_files

    folder = local_path(folder, "what is scanned")
    against = None if against is None else local_path(against, "the source")
    place = folder.with_name(f"{folder.resolve().name}.evidence") if out is None else out
    check_outside({"out": place})  # of a folder within a release, the default would lie there
    if against is not None and is_release(against) and release_around(folder) is None:
        raise DeidentifyError(
            f"--against {str(against)!r} is a release and {str(folder)!r} is not; if they are "
            "swapped, run: deepfixcx scan RELEASE --against SOURCES"
        )
    if against is not None and against.is_file() and has_table_name(against.name):
        raise DeidentifyError(
            f"--against {str(against)!r} is a table, and headers are searched for in the files "
            f"that it lists; name the folder that holds them"
        )
    allowed = _allowed(ignore)
    if workers is not None and not ocr:
        raise DeidentifyError("--workers requires --ocr; add --ocr, or omit --workers")
    kept_here = PrivateFolder.of(folder, private).path
    named = {"OUT": folder, "the private folder": kept_here}
    named |= {} if against is None else {"IN": against}
    check_apart({"the evidence": place}, named)
    if is_release(folder) and kept_here.is_dir():
        # that of another release lists other sources
        PrivateFolder(kept_here).check_binding(folder)
    with evidence_folder(place) as own:
        with StepBar("scan") as bar:
            read, many = _burned_in if ocr else None, workers or default_workers()
            if against is None:
                found = scan_alone(
                    folder, ignore=allowed, read_words=read, workers=many, report=bar.step
                )
            else:
                found = scan(
                    folder,
                    against,
                    ignore=allowed,
                    read_words=read,
                    workers=many,
                    report=bar.step,
                    contents=sorted(PrivateFolder(kept_here).all_contents()),
                    series=_series(folder, against),
                    own_words=_own_words(),
                    repeated=repeating_files(folder),
                )
        fill_evidence(found, own)
    write_json(json, {"command": "scan", **figures(found)})
    _close(found, place)
    if not found.clean:
        raise typer.Exit(SOME_FAILED)


def _series(folder: Path, against: Path) -> list[str]:
    """Return the hash of each DICOM series in IN, for a release of volumes."""
    from deepfixcx.release import Release, find_sources
    from deepfixcx.release.croissant import of_volumes
    from deepfixcx.release.storage import Series, content_of

    if not is_release(folder) or not of_volumes(Release.open(folder).about):
        return []
    found = find_sources(against, volumes=True).found
    return [content_of(each.path) for each in found if isinstance(each.path, Series)]


def _own_words() -> list[str]:
    """Return the texts that this program writes into every release, whatever its sources."""
    from dataclasses import fields

    from deepfixcx.deidentify import Method
    from deepfixcx.release.deidentified import LIMITS as KEPT_LIMITS
    from deepfixcx.release.deidentified import DeidentifyOptions
    from deepfixcx.release.ledger import Record
    from deepfixcx.release.manifest import TOTALS
    from deepfixcx.release.options import LIMITS
    from deepfixcx.release.protected.writing import LIMITS as PROTECTED_LIMITS
    from deepfixcx.release.protected.writing import SYNTHETIC_LIMITS
    from deepfixcx.spec import CodecSpec

    names = [*Record.columns(), *TOTALS, *(each.name for each in fields(DeidentifyOptions))]
    names += [each.name for each in fields(CodecSpec)] + [each.meaning for each in Method]
    return [*names, LIMITS, KEPT_LIMITS, PROTECTED_LIMITS, SYNTHETIC_LIMITS, FORMAT_WORDS]


def _allowed(path: Path | None) -> list[str]:
    """Read the strings that may remain."""
    from deepfixcx.errors import DeidentifyError

    if path is None:
        return []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DeidentifyError(f"--ignore {path.name!r} is not a readable text in UTF-8") from None
    return [line.strip() for line in lines if line.strip()]


def _burned_in(path: Path) -> list[str] | None:
    """Read the words in all frames of an image, or return None where it is no image."""
    from deepfixcx.deidentify.scan import read_words
    from deepfixcx.errors import ImageFileError, PixelsError
    from deepfixcx.images import read_image

    try:
        pixels = read_image(path).pixels
    except (ImageFileError, PixelsError):
        return None
    scale = float(2 ** (8 * pixels.dtype.itemsize) - 1) if pixels.dtype.kind == "u" else 1.0
    return [word for frame in pixels for word in read_words(frame.mean(axis=0) / scale)]


def _close(found: ScanReport, place: Path) -> None:
    from deepfixcx.deidentify.scan.evidence import figures

    said: dict[str, Any] = figures(found)
    files, holding = counted(said["files"], "file"), said["files_found"]
    where = counted(holding, "file")
    strings, headers = counted(found.strings, "string"), counted(found.sources_read, "header")
    remains = f"{said['findings']} in {where}" if holding else "nothing was found"
    if found.sources_missing and not holding:
        remains = "unknown: IN does not hold the sources of this release"
    rows = [
        ("searched", f"{files}, {byte_size(sum(each.size for each in found.files))}"),
        ("for", f"{strings} from {headers} and from file names"),
        ("remains", remains if found.strings else "unknown: there was nothing to search for"),
    ]
    if found.by_rule:
        rows[1:] = [
            ("for", "names, dates, UIDs, private elements and texts that should not be there"),
            ("remains", remains),
        ]
    if found.ignored:
        rows.insert(2, ("left out", f"{counted(found.ignored, 'string')} named by --ignore"))
    if harmless := found.counts("harmless"):
        rows.append(("harmless", f"{sum(harmless.values())}, each with the reason in the evidence"))
        rows += reason_rows(sorted(harmless.items(), key=lambda each: -each[1]))
    for name in ("kind", "where"):
        if counts := found.counts(name):
            text = ", ".join(f"{count} {what}" for what, count in counts.items())
            rows.append((f"by {name}", text))
    reasons = [file.problem for file in found.files if file.problem]
    rows += [("not searched", counted(len(reasons), "file"))] if reasons else []
    rows += reason_rows([(each, reasons.count(each)) for each in dict.fromkeys(reasons)])
    if found.sources_as_bytes:
        text = f"{found.sources_as_bytes} sources without a valid header: their plain text"
        rows.append(("also for", text))
    if found.sources_missing:
        text = f"{found.sources_missing:,} of {counted(found.sources_expected or 0, 'source')}"
        rows.append(("not in IN", f"{text} of this release; their strings were not searched for"))
    elif (
        found.sources_expected is None
        and found.release_checksum is not None
        and (not found.by_rule)
    ):
        rows.append(
            ("not checked", ("unknown whether IN holds all sources: there is no private folder"))
        )
    failed = found.sources_failed
    rows += (
        [("not read", (f"{len(failed)} sources; their strings were not searched for"))]
        if failed
        else []
    )
    rows += reason_rows([(each, failed.count(each)) for each in dict.fromkeys(failed)])
    if found.words_before is not None:
        text = f"{found.words_before} words before, {found.words_after} after; this is no proof"
        rows.append(("burned in", text))
    rows.append(("evidence", f"{place / 'evidence.csv'}  lists files and elements, no strings"))
    rows.append(("next", _next_step(found)))
    panel("scan", rows, good=found.clean)


def _next_step(found: ScanReport) -> str:
    if found.clean:
        return "nothing was found, which is no proof; also check some images by eye"
    if any(file.remaining for file in found.files):
        return (
            "do not share the folder; evidence.csv lists the elements"
            + ("" if found.by_rule else " of the sources")
            + ". List strings that identify no patient with --ignore"
        )
    if not found.strings and not found.by_rule:
        return "check the path of the sources: no string of them could be searched for"
    if found.sources_missing:
        return "give --against the input folder (IN) of privatize"
    return "remove or unpack what could not be searched, then scan again"
