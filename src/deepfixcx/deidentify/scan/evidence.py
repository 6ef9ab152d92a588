"""What a scan found, as files: a table for every file of the folder, and figures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from deepfixcx import __version__
from deepfixcx.deidentify.scan.needles import SHORTEST
from deepfixcx.deidentify.scan.run import ScanReport
from deepfixcx.deidentify.scan.search import LONG_IN_BULK
from deepfixcx.errors import DeidentifyError
from deepfixcx.io.files import write_file

__all__ = ["COLUMNS", "figures", "write_evidence"]

FOUND = ("where", "offset", "kind", "tags", "encoding", "length", "digest", "why_harmless")
COLUMNS = ("file", "bytes", "found", *FOUND, "words", "problem")


def figures(report: ScanReport) -> dict[str, object]:
    """Return the figures of a scan; none of them holds a string of the sources."""
    return {
        "files": len(report.files),
        "files_found": sum(bool(file.remaining) for file in report.files),
        "files_failed": sum(bool(file.problem) for file in report.files),
        "bytes": sum(file.size for file in report.files),
        "findings": sum(len(file.remaining) for file in report.files),
        "harmless": report.counts("harmless"),
        "kinds": report.counts("kind"),
        "places": report.counts("where"),
        "sources": report.sources,
        "sources_read": report.sources_read,
        "sources_as_bytes": report.sources_as_bytes,
        "sources_failed": len(report.sources_failed),
        "strings": report.strings,
        "ignored": report.ignored,
        "words_before": report.words_before,
        "words_after": report.words_after,
        "clean": report.clean,
    }


def write_evidence(report: ScanReport, folder: Path, *, scanned: Path) -> None:
    """Write ``evidence.csv`` and ``summary.json``.

    Parameters
    ----------
    report : ScanReport
        What was found.
    folder : Path
        Where they go; it is made.
    scanned : Path
        The folder that was searched. It is about to be shared and is not written to.

    Raises
    ------
    DeidentifyError
        `folder` lies in `scanned`, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_evidence(ScanReport(), folder / "evidence", scanned=folder / "shared")
    >>> sorted(path.name for path in (folder / "evidence").iterdir())
    ['evidence.csv', 'summary.json']
    """
    if folder.resolve().is_relative_to(scanned.resolve()):
        raise DeidentifyError(
            f"the evidence would lie in {scanned.name!r}, which is to be shared; choose another "
            f"place for it"
        )
    text = io.StringIO(newline="")
    csv.writer(text).writerows([COLUMNS, *_rows(report)])
    summary = {
        "format": "deepfixcx.scan",
        "program": f"deepfixcx {__version__}",
        "shortest": SHORTEST,
        "shortest_in_numbers": LONG_IN_BULK,
        **figures(report),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "evidence.csv", text.getvalue(), replace=True)
        content = json.dumps(summary, indent=2, sort_keys=True) + "\n"
        write_file(folder / "summary.json", content, replace=True)
    except OSError as error:
        raise DeidentifyError(
            f"the evidence cannot be written to {folder.name!r}: {error.strerror}"
        ) from None


def _rows(report: ScanReport) -> list[tuple[object, ...]]:
    """Return a row for each finding, and one for each file without any."""
    rows: list[tuple[object, ...]] = []
    for file in report.files:
        words = "" if file.words is None else file.words
        last = (words, file.problem)
        for each in file.findings:
            tags = " ".join(tag.replace(" ", "_") for tag in each.tags)
            found = (each.where, each.offset, each.kind, tags, each.encoding, each.length)
            word = "harmless" if each.harmless else "yes"
            why = (each.digest, each.harmless)
            rows.append((file.name, file.size, word, *found, *why, *last))
        if not file.findings:
            rows.append((file.name, file.size, "no", *[""] * len(FOUND), *last))
    return rows
