"""What a scan found, as files: a table for every file of the folder, and figures."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deepfixcx import __version__
from deepfixcx.deidentify.scan.needles import SHORTEST
from deepfixcx.deidentify.scan.search import LONG_IN_BULK
from deepfixcx.errors import DeidentifyError
from deepfixcx.io.files import within
from deepfixcx.io.folders import OwnFolder
from deepfixcx.io.results import check_earlier, claimed_folder
from deepfixcx.io.tables import TableWriter

__all__ = [
    "COLUMNS",
    "Finding",
    "ScanReport",
    "ScannedFile",
    "evidence_folder",
    "figures",
    "fill_evidence",
    "write_evidence",
]

FOUND = ("where", "offset", "kind", "tags", "encoding", "length", "digest", "why_harmless")
EVIDENCE, SUMMARY = FILES = ("evidence.csv", "summary.json")
COLUMNS = ("file", "bytes", "found", *FOUND, "words", "problem")


@dataclass(frozen=True, slots=True)
class Finding:
    """One string of the sources in one file of the folder; it does not say which string.

    Attributes
    ----------
    where : str
        ``file name``, ``file``, ``image data``, ``packed text``, ``unpacked``, ``burned in``, …
    offset : int
        Place of its first byte there, -1 for what is burned in.
    kind : str
        ``name``, ``id``, ``date``, ``text``, ``uid`` or ``file name``.
    tags : tuple of str
        Elements of the source headers that hold it.
    encoding : str
        How it is written.
    length : int
        Characters of it.
    digest : str
        The same for the same string in one scan, and nothing that it could be guessed from without
        the sources.
    harmless : str
        Why it may stand there, at each of its places; empty where it must not.

    Examples
    --------
    >>> Finding("file", 132, "name", ("(0010,0010)",), "latin-1", 8, "6f1d").kind
    'name'
    """

    where: str
    offset: int
    kind: str
    tags: tuple[str, ...]
    encoding: str
    length: int
    digest: str
    harmless: str = ""


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """What was found in one file."""

    name: str
    size: int
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    words: int | None = None

    @property
    def remaining(self) -> tuple[Finding, ...]:
        """What must not be there."""
        return tuple(each for each in self.findings if not each.harmless)


@dataclass(slots=True)
class ScanReport:
    """What a scan found.

    Attributes
    ----------
    files : list of ScannedFile
        Every file of the folder.
    sources, sources_read : int
        Files of the sources; those whose headers were read.
    sources_as_bytes : int
        Files whose header is none, or is damaged; plain text in them was searched for.
    sources_failed : list of str
        Reasons why files could not be read. Their strings were not searched for.
    strings : int
        Different strings that were searched for.
    ignored : int
        Strings that were left out because the caller said so.
    words_before : int or None
        Words that were read in the images of the sources; None where none were to be read.
    release_checksum : str or None
        SHA-256 of ``dataset.json``; None where no release was scanned.
    sources_expected : int or None
        Sources that the private folder of the release knows; None where there is none.
    sources_missing : int
        How many of these are not among the sources.
    by_rule : bool
        Whether there were no sources, and what should not be there by rule was searched for.

    Examples
    --------
    >>> ScanReport(sources=2, sources_read=2, strings=31).strings
    31
    """

    files: list[ScannedFile] = field(default_factory=list)
    sources: int = 0
    sources_read: int = 0
    sources_as_bytes: int = 0
    sources_failed: list[str] = field(default_factory=list)
    strings: int = 0
    ignored: int = 0
    words_before: int | None = None
    release_checksum: str | None = None
    sources_expected: int | None = None
    sources_missing: int = 0
    by_rule: bool = False

    @property
    def clean(self) -> bool:
        """Whether something was searched for, everywhere, and nothing that must not be is there."""
        whole = not any(file.remaining or file.problem for file in self.files)
        sources = not self.sources_failed and not self.sources_missing
        return (self.strings > 0 or self.by_rule) and whole and sources

    @property
    def words_after(self) -> int | None:
        """Words that were read in the images of the folder."""
        read = [file.words for file in self.files if file.words is not None]
        return sum(read) if self.words_before is not None else None

    def counts(self, of: str) -> dict[str, int]:
        """Return how many findings remain by ``kind``, ``where`` or ``encoding``.

        By ``harmless`` it counts the others.
        """
        found = [each for file in self.files for each in file.findings]
        counted = [each for each in found if bool(each.harmless) == (of == "harmless")]
        return dict(sorted(Counter(getattr(each, of) for each in counted).items()))


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
        "sources_expected": report.sources_expected,
        "sources_missing": report.sources_missing,
        "release_checksum": report.release_checksum,
        "strings": report.strings,
        "ignored": report.ignored,
        "words_before": report.words_before,
        "words_after": report.words_after,
        "by_rule": report.by_rule,
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
    OverwriteError
        It holds other files of these names, or evidence that was changed since.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_evidence(ScanReport(), folder / "evidence", scanned=folder / "shared")
    >>> sorted(path.name for path in (folder / "evidence").glob("[!.]*"))
    ['evidence.csv', 'summary.json']
    """
    if within(folder, scanned):
        raise DeidentifyError(
            f"the evidence would lie in {scanned.name!r}, which is to be shared; choose another "
            "place with --out"
        )
    with evidence_folder(folder) as own:
        fill_evidence(report, own)


@contextmanager
def evidence_folder(folder: Path) -> Iterator[OwnFolder]:
    """Lock the folder for the evidence, or refuse it; that of an earlier scan is replaced."""
    with claimed_folder(folder, DeidentifyError) as own:
        check_earlier(folder, FILES, "evidence", overwrite=True, known=SUMMARY)
        own.recognize(SUMMARY, FILES)
        yield own


def fill_evidence(report: ScanReport, own: OwnFolder) -> None:
    """Write both files into a folder that is locked."""
    text = io.StringIO(newline="")
    TableWriter(text, "\r\n").writerows([COLUMNS, *_rows(report)])
    summary = {
        "format": "deepfixcx.scan",
        "program": f"deepfixcx {__version__}",
        "shortest": SHORTEST,
        "shortest_in_numbers": LONG_IN_BULK,
        **figures(report),
    }
    try:
        own.write(own.folder, EVIDENCE, text.getvalue())
        own.write(own.folder, SUMMARY, json.dumps(summary, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise DeidentifyError(
            f"the evidence cannot be written to {own.folder.name!r}: {error.strerror}"
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
