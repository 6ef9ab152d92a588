"""The scan itself: strings of the sources, each searched in everything, also in the pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from deepfixcx._words import counted
from deepfixcx.deidentify.scan.evidence import ScannedFile, ScanReport
from deepfixcx.deidentify.scan.harmless import Own
from deepfixcx.deidentify.scan.needles import SHORTEST
from deepfixcx.deidentify.scan.searching import Entry, Search, list_files
from deepfixcx.deidentify.scan.sources import (
    Sources,
    check_apart,
    list_sources,
)
from deepfixcx.errors import DeidentifyError
from deepfixcx.io.tesseract import has_tesseract, read_picture

__all__ = ["ReadWords", "read_all", "read_words", "scan"]

ReadWords = Callable[[Path], list[str] | None]
"""Reads what is written in an image; None where a file is no image."""

SURE: Final = 70.0
"""Per cent that tesseract has to be sure of a word."""

SHORTEST_SIDE, LARGEST_FACTOR = 1200, 6
AROUND, CONTRAST = 24, 24
"""Pixels around one that it is compared with; grays by which text stands out from them."""

SHORTEST_WORD = 3

CHANGED = "it is not the file that the manifest of the release lists"
MISSING = "the manifest of the release lists it, and it is not there"


def read_all(
    read: ReadWords, paths: Sequence[Path], workers: int, show: Callable[[int, int], None]
) -> list[list[str] | None]:
    """Read the words in every image, in the order of `paths`; several at once."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        tasks = [pool.submit(read, path) for path in paths]
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                task.result()
                show(done, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [task.result() for task in tasks]


def read_words(image: NDArray[Any]) -> list[str]:
    """Read the words in one image.

    It is read four times: enlarged, smoothed, and in black and white both ways, for bright and for
    dark text.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Gray values in [0, 1].

    Returns
    -------
    list of str
        Different words of at least three letters or digits, sorted.

    Raises
    ------
    DeidentifyError
        The program tesseract is not installed, or does not work.

    Examples
    --------
    >>> read_words(np.zeros((64, 64)))  # doctest: +SKIP
    []
    """
    if not has_tesseract():
        raise DeidentifyError(
            "reading text in images needs the program tesseract, which is not installed; on "
            "Debian run: apt-get install tesseract-ocr"
        )
    words: set[str] = set()
    for variant in _variants(image):
        words |= _read(variant)
    return sorted(words)


def _variants(image: NDArray[Any]) -> Iterator[Image.Image]:
    pixels = (np.asarray(image, np.float64).clip(0, 1) * 255).astype(np.uint8)
    factor = min(LARGEST_FACTOR, max(1, -(-SHORTEST_SIDE // min(pixels.shape))))
    picture = Image.fromarray(pixels)
    height, width = pixels.shape
    enlarged = picture.resize((factor * width, factor * height), Image.Resampling.BICUBIC)
    yield enlarged
    smooth = enlarged.filter(ImageFilter.GaussianBlur(factor / 2))
    yield smooth
    # Against what lies around, not against one gray: text may stand on dark and on bright.
    around = np.asarray(smooth.filter(ImageFilter.BoxBlur(AROUND * factor)), np.int16)
    difference = np.asarray(smooth, np.int16) - around
    yield Image.fromarray(np.where(difference > CONTRAST, 0, 255).astype(np.uint8))
    yield Image.fromarray(np.where(difference < -CONTRAST, 0, 255).astype(np.uint8))


def _read(picture: Image.Image) -> set[str]:
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    try:
        words = read_picture(packed.getvalue())
    except OSError:
        raise DeidentifyError(
            "the program tesseract cannot read images on this machine; check it with: "
            "tesseract --version"
        ) from None
    return {
        word.text
        for word in words
        if word.sure >= SURE and sum(map(str.isalnum, word.text)) >= SHORTEST_WORD
    }


def scan(
    folder: Path,
    against: Path,
    *,
    ignore: Collection[str] = (),
    read_words: ReadWords | None = None,
    workers: int = 1,
    report: Callable[[str, int, int], None] | None = None,
    contents: Collection[str] | None = None,
    series: Collection[str] = (),
    own_words: Collection[str] = (),
    repeated: Collection[str] = (),
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
    contents : collection of str
        SHA-256 of the files that the release was made of, where they are known.
    series : collection of str
        Those of them that stand for the files of a DICOM series that are all in `against`.
    own_words : collection of str
        Texts that the program writes into every release.
    repeated : collection of str
        Files of the release that were seen to hold only what its other files hold.

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
    show = report or _say_nothing
    found, own = ScanReport(), Own(folder, own_words, repeated)
    found.release_checksum = own.checksum
    sources, entries = list_sources(against, without=folder), list_files(folder)
    sources_read = Sources(against, sources, found, set(contents or ()) - set(series))
    gathered = sources_read.gather(show)
    if contents:
        found.sources_expected = len(set(contents))
        found.sources_missing = len(sources_read.missing)
    needles = gathered.without(ignore)
    found.strings, found.ignored = len(needles), len(gathered) - len(needles)
    if not needles and not found.sources_failed and read_words is None:
        raise DeidentifyError(_nothing_to_search(found))
    known = list(needles)
    secret = sha256("\0".join(needle.text for needle in known).encode("utf-8", "replace")).digest()
    search = Search(known, needles.keys(), sources_read.terms, own, secret)
    for number, entry in enumerate(entries, start=1):
        name = entry.path.relative_to(folder).as_posix() if entry.path != folder else folder.name
        found.files.append(_as_listed(search.file(entry, name), entry, own.hashes.pop(name, "")))
        show("searching files", number, len(entries))
    if read_words is not None:
        before = read_all(read_words, sources, workers, partial(show, "reading sources"))
        found.words_before = sum(len(words or ()) for words in before)
        paths = [entry.path for entry in entries if entry.has_content]
        after = dict(
            zip(
                paths,
                read_all(read_words, paths, workers, partial(show, "reading images")),
                strict=True,
            )
        )
        found.files = [
            search.with_words(file, after.get(entry.path))
            for file, entry in zip(found.files, entries, strict=True)
        ]
    found.files = [_unnamed(file, number) for number, file in enumerate(found.files, start=1)]
    found.files += [ScannedFile("missing file", 0, problem=MISSING)] * len(own.hashes)
    return found


def _nothing_to_search(found: ScanReport) -> str:
    """Say why a scan would find nothing, whatever there is."""
    sources = counted(found.sources, "file")
    if found.ignored:
        why = f"--ignore names all strings that {sources} of sources contain; name fewer strings"
    else:
        why = (
            f"{sources} of sources, none with text in a DICOM header or with a specific file or "
            f"folder name of {SHORTEST} letters or more; check the path of the sources. Nothing "
            "was searched"
        )
    return f"there was nothing to search for: {why}"


def _say_nothing(_what: str, _done: int, _files: int) -> None:
    pass


def _as_listed(scanned: ScannedFile, entry: Entry, digest: str) -> ScannedFile:
    """Note where a file is not the one that the manifest of the release lists."""
    if not digest or not entry.has_content or scanned.problem:
        return scanned
    with entry.path.open("rb") as file:
        same = file_digest(file, "sha256").hexdigest() == digest
    return scanned if same else replace(scanned, problem=CHANGED)


def _unnamed(scanned: ScannedFile, number: int) -> ScannedFile:
    """Call a file by its number where its name itself identifies a person."""
    named = any(each.where in ("file name", "target of a link") for each in scanned.remaining)
    return replace(scanned, name=f"file {number}") if named else scanned
