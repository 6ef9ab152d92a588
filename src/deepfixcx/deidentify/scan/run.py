"""The scan itself: strings of the sources, each searched in every file of a folder."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from deepfixcx._words import counted
from deepfixcx.deidentify.scan.contents import Part, TooLargeError, parts_of
from deepfixcx.deidentify.scan.files import check_apart, list_files
from deepfixcx.deidentify.scan.forms import forms
from deepfixcx.deidentify.scan.harmless import Reasons
from deepfixcx.deidentify.scan.headers import header_strings, is_dicom, strings_of_bytes
from deepfixcx.deidentify.scan.legibility import ReadWords, read_all
from deepfixcx.deidentify.scan.needles import SHORTEST, Needle, Needles
from deepfixcx.deidentify.scan.search import Searcher
from deepfixcx.errors import DeidentifyError

__all__ = ["Finding", "ScanReport", "ScannedFile", "scan"]


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
    """What was found in one file.

    Attributes
    ----------
    name : str
        Its name in the folder, or its number where the name itself was found to name somebody.
    size : int
        Bytes of it.
    findings : tuple of Finding
        Each string once for each `where`, at its first place that is not harmless, if there is one.
    problem : str
        Why it could not be searched whole, or empty.
    words : int or None
        Words that were read in the image; None where none were to be read.
    """

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

    @property
    def clean(self) -> bool:
        """Whether something was searched for, everywhere, and nothing that must not be is there."""
        whole = not any(file.remaining or file.problem for file in self.files)
        return self.strings > 0 and whole and not self.sources_failed

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
        told = [each for each in found if bool(each.harmless) == (of == "harmless")]
        return dict(sorted(Counter(getattr(each, of) for each in told).items()))


def scan(
    folder: Path,
    against: Path,
    *,
    ignore: Collection[str] = (),
    read_words: ReadWords | None = None,
    workers: int = 1,
    report: Callable[[str, int, int], None] | None = None,
) -> ScanReport:
    """Search every byte of a folder for the strings of the sources it was made from.

    Parameters
    ----------
    folder : Path
        What is going to be shared.
    against : Path
        The sources: a folder, or a file. If `folder` lies in it, that is no source.
    ignore : collection of str
        Strings that may be found, whatever their case, and elements of the sources that may, such
        as ``(0018,1000)``.
    read_words : callable
        Reads what is burned into an image, before and after: a check, and no proof.
    workers : int
        Images that are read at once; the result is the same with any number.
    report : callable
        Called with what is done, the files done and the files in all.

    Returns
    -------
    ScanReport
        Files that cannot be read are in it; they raise nothing.

    Raises
    ------
    DeidentifyError
        There is nothing at one of the paths, the sources lie in `folder`, or they hold no string
        that could be searched for.

    Examples
    --------
    >>> import tempfile, shutil
    >>> from pydicom import examples
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "in").mkdir(), (root / "out").mkdir()
    (None, None)
    >>> _ = shutil.copy(examples.get_path("ct"), root / "in" / "a.dcm")
    >>> _ = (root / "out" / "notes.txt").write_text("slices of CompressedSamples, 2004-01-19")
    >>> scan(root / "out", root / "in").counts("kind")
    {'date': 1, 'name': 1}
    """
    check_apart(folder, against)
    tell = report or _say_nothing
    found = ScanReport()
    sources, paths = list_files(against, without=folder), list_files(folder)
    gathered = _gather(against, sources, found, tell)
    needles = gathered.without(ignore)
    found.strings, found.ignored = len(needles), len(gathered) - len(needles)
    if not needles and not found.sources_failed and read_words is None:
        raise DeidentifyError(_nothing_to_search(found))
    known = list(needles)
    secret = sha256("\0".join(needle.text for needle in known).encode("utf-8", "replace")).digest()
    searcher = Searcher(form for needle in known for form in forms(needle))
    for number, path in enumerate(paths, start=1):
        name = path.relative_to(folder).as_posix() if path != folder else path.name
        found.files.append(_search(path, name, searcher, secret))
        tell("searching files", number, len(paths))
    if read_words is not None:
        before = read_all(read_words, sources, workers, partial(tell, "reading sources"))
        found.words_before = sum(len(words or ()) for words in before)
        after = read_all(read_words, paths, workers, partial(tell, "reading images"))
        spoken = {needle.text.casefold(): needle for needle in known}
        pairs = zip(found.files, after, strict=True)
        found.files = [_with_words(file, words, spoken, secret) for file, words in pairs]
    found.files = [_unnamed(file, number) for number, file in enumerate(found.files, start=1)]
    return found


def _nothing_to_search(found: ScanReport) -> str:
    """Say why a scan would find nothing, whatever there is."""
    sources = counted(found.sources, "file")
    if found.ignored:
        why = f"what may remain is all that {sources} of sources hold; name less of it"
    else:
        why = (
            f"{sources} of sources, none with a header of DICOM that holds a text, and no name of "
            f"a file or folder that is long enough (from {SHORTEST} letters) and not general; "
            f"check the path of the sources. Nothing was searched"
        )
    return f"there was nothing to search for: {why}"


def _say_nothing(_what: str, _done: int, _files: int) -> None:
    pass


def _gather(
    against: Path, paths: list[Path], found: ScanReport, tell: Callable[[str, int, int], None]
) -> Needles:
    """Collect the strings of the sources."""
    needles = Needles()
    found.sources = len(paths)
    for number, path in enumerate(paths, start=1):
        inside = path.relative_to(against) if path != against else Path(path.name)
        for part in (*inside.parts[:-1], inside.name[: -len(inside.suffix) or None]):
            needles.add(part, "file name", "file name")
        try:
            if is_dicom(path):
                _add_strings(path, needles, found)
        except OSError as error:
            found.sources_failed.append(f"it cannot be read: {error.strerror or 'not readable'}")
        tell("reading headers", number, len(paths))
    return needles


def _add_strings(path: Path, needles: Needles, found: ScanReport) -> None:
    """Add the strings of a header, or of the bytes where there is none that can be read."""
    try:
        strings = list(header_strings(path))
        found.sources_read += 1
    except OSError:
        raise
    except Exception:  # whatever pydicom raises on damaged bytes
        strings = list(strings_of_bytes(path))
        found.sources_as_bytes += 1
    for text, kind, tag in strings:
        needles.add(text, kind, tag)


def _search(path: Path, name: str, searcher: Searcher, secret: bytes) -> ScannedFile:
    findings: dict[tuple[str, str], Finding] = {}
    problem, size = "", 0
    reasons: Reasons | None = None

    def look(part: Part) -> None:
        nonlocal reasons
        for offset, form in searcher.find(part.data, part.bulk):
            key = (form.needle.text, part.where)
            if key in findings and not findings[key].harmless:
                continue
            why = ""
            if part.where == "file":
                reasons = reasons or Reasons(path)
                why = reasons.why(form, offset)
            if key not in findings or not why:
                finding = _found(form.needle, part.where, offset, form.encoding, secret)
                findings[key] = replace(finding, harmless=why)

    look(Part("file name", name.encode("utf-8", "surrogateescape"), []))
    try:
        size = path.stat().st_size
        for part in parts_of(path):
            look(part)
    except OSError as error:
        problem = f"it cannot be read: {error.strerror or 'not readable'}"
    except TooLargeError:
        problem = "more than 1 GiB is packed in it, which was not searched"
    return ScannedFile(name, size, tuple(findings.values()), problem)


def _found(needle: Needle, where: str, offset: int, encoding: str, secret: bytes) -> Finding:
    text = needle.text.encode("utf-8", "surrogatepass")
    digest = hmac.digest(secret, text, sha256).hex()[:16]
    tags = tuple(sorted(needle.tags))
    return Finding(where, offset, needle.kind, tags, encoding, len(needle.text), digest)


def _with_words(
    scanned: ScannedFile, words: list[str] | None, spoken: dict[str, Needle], secret: bytes
) -> ScannedFile:
    if words is None:
        return scanned
    low = {word.strip(".,;:()").casefold() for word in words}
    read = tuple(
        _found(spoken[word], "burned in", -1, "pixels", secret)
        for word in sorted(low & set(spoken))
    )
    return replace(scanned, findings=(*scanned.findings, *read), words=len(words))


def _unnamed(scanned: ScannedFile, number: int) -> ScannedFile:
    """Call a file by its number where its name itself names somebody."""
    named = any(each.where == "file name" for each in scanned.findings)
    return replace(scanned, name=f"file {number}") if named else scanned
