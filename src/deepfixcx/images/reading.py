"""One file in, its frames or one named error out.

The readers of other people raise whatever they like on damaged bytes, and their messages may
quote the header. Here every such exception becomes an error of this package whose message was
written here; the original is dropped, not chained. Their warnings quote the header too, so the
readers run in silence. The reader of a format is imported with the first file of that format.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import stat
import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from deepfixcx.errors import (
    DamagedImageError,
    DeepfixcxError,
    EmptyFileError,
    NotAnImageError,
    OversizedImageError,
    UnreadableFileError,
    UnsupportedImageError,
)
from deepfixcx.images.frames import (
    DEFAULT_MAX_PIXELS,
    READ,
    SNIFFED_BYTES,
    ImageFacts,
    ImageFrames,
    OpenedImage,
    check_size,
    sniff,
)

__all__ = [
    "QUIET",
    "PixelSpacing",
    "guarded",
    "inspect_image",
    "open_image",
    "pixel_spacing",
    "read_header",
    "read_image",
]

if TYPE_CHECKING:
    from deepfixcx.images.dicom.reading import DicomHeader

Result = TypeVar("Result")

_DISK: Final = frozenset({errno.EIO, errno.ESTALE, errno.ENXIO, errno.ETIMEDOUT, errno.EBADF})

_DAMAGED: Final = "the file is truncated or damaged; copy it again from its source"


def read_image(
    path: str | os.PathLike[str] | BinaryIO, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> ImageFrames:
    """Read the pixels of a PNG, JPEG, TIFF, BMP, DICOM or NIfTI file, whatever its name.

    Parameters
    ----------
    path : path-like or binary file
        The file; an open one can be sought in, and stays open.
    max_pixels : int
        Largest height x width x frames to decode.

    Returns
    -------
    ImageFrames
        Frames ``(F, C, H, W)``. Alpha is dropped; the EXIF orientation is applied; a palette
        becomes RGB, or gray if it only has grays. Integers beyond 16 bits and floats beyond
        [0, 1] are scaled from the file's smallest to its largest value. DICOM pixels went through
        the modality LUT, the (first) VOI LUT or window, and the inversion of MONOCHROME1. The
        slices of a NIfTI volume are frames, turned as a radiologist looks at them; see
        `open_nifti`.

    Raises
    ------
    UnreadableFileError
        The file cannot be opened: permissions, vanished, a folder or another special file.
    EmptyFileError
        The file has no bytes.
    NotAnImageError
        The content is of none of these formats.
    NoPixelsError
        A DICOM file that holds something else than an image.
    OversizedImageError
        The header declares more than `max_pixels` and nothing was decoded, or decoding needs more
        memory than is available.
    PixelsShapeError
        The header declares a height or width of zero.
    NonFiniteError
        NaN or infinity among the pixels.
    DamagedImageError
        The file is truncated or damaged.
    UnsupportedImageError
        A kind of file that is not read; the message names it.
    ContradictoryHeaderError
        The header contradicts itself or the pixels.
    MissingExtraError
        The file is NIfTI, and nibabel is not installed.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from deepfixcx.images import write_png
    >>> path = Path(tempfile.mkdtemp()) / "ramp.png"
    >>> write_png(path, np.linspace(0, 1, 12).reshape(1, 3, 4), bits=16)
    >>> read_image(path).pixels.shape
    (1, 1, 3, 4)
    """
    opened = open_image(path) if isinstance(path, str | os.PathLike) else nullcontext(path)
    with opened as stream:
        return guarded(lambda: _checked(stream, max_pixels).decode())


def inspect_image(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    decode: bool = True,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> ImageFacts:
    """Say what a file holds, and what is wrong with it. No file makes this raise.

    Parameters
    ----------
    path : path-like or binary file
        The file; an open one stays open.
    decode : bool
        Also decode the pixels, so that `problem` names every error of `read_image`. Without it
        only the header is read, which is faster, and damaged pixels go unnoticed.
    max_pixels : int
        Largest height x width x frames that counts as no problem.

    Returns
    -------
    ImageFacts
        The facts. Where there is a problem, they go as far as the header could be read.

    Examples
    --------
    >>> inspect_image("no such file").problem
    'UnreadableFileError'
    """
    facts = ImageFacts()
    try:
        opened_file = open_image(path) if isinstance(path, str | os.PathLike) else nullcontext(path)
        with opened_file as stream:
            facts = ImageFacts(format=guarded(lambda: sniff(stream.read(SNIFFED_BYTES))))
            opened = guarded(lambda: _opened(stream, max_pixels))
            facts = opened.facts
            check_size(facts.height, facts.width, facts.frames, max_pixels)
            if decode:
                facts = replace(facts, notes=guarded(opened.decode).notes)
    except DeepfixcxError as error:
        return replace(facts, problem=type(error).__name__, reason=str(error))
    return facts


def read_header(stream: BinaryIO) -> DicomHeader | None:
    """Read the header of a DICOM file without its pixels."""

    def read() -> DicomHeader | None:
        stream.seek(0)
        if sniff(stream.read(SNIFFED_BYTES)) != "DICOM":
            return None
        from deepfixcx.images.dicom.reading import read_dicom_header

        return read_dicom_header(stream)

    return guarded(read)


def open_image(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file that has bytes."""
    reason = ""
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            if status.st_size == 0:
                raise EmptyFileError("the file has no bytes; copy it again from its source")
            return Path(path).open("rb")
        # Opening a pipe would wait for its writer forever.
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        reason = f"it is {what}, not a regular file; exclude it"
    except PermissionError:
        reason = "you have no permission to read it; change its permissions"
    except FileNotFoundError:
        reason = "the file does not exist; check the path"
    except (OSError, ValueError):
        reason = "the operating system cannot open it; check its name and the disk"
    raise UnreadableFileError(f"the file cannot be opened: {reason}")


def _opened(stream: BinaryIO, max_pixels: int) -> OpenedImage:
    """Read the header with the reader of its format, imported now."""
    stream.seek(0)
    format_name = sniff(stream.read(SNIFFED_BYTES))
    stream.seek(0)
    if format_name == "DICOM":
        from deepfixcx.images.dicom.reading import open_dicom

        return open_dicom(stream, max_pixels)
    if format_name == "NIfTI":
        from deepfixcx.images.nifti import open_nifti

        return open_nifti(stream)
    if format_name == "TIFF":
        from deepfixcx.images.tiff import open_tiff

        return open_tiff(stream, max_pixels)
    if format_name in READ:
        from deepfixcx.images.pictures import open_picture

        return open_picture(stream, format_name)
    if format_name:
        raise UnsupportedImageError(
            f"{format_name} is not read; convert the file to PNG, TIFF, DICOM or NIfTI"
        )
    raise NotAnImageError(
        "the content is not PNG, JPEG, TIFF, BMP, DICOM or NIfTI; export the image in one of "
        "these formats, or exclude the file"
    )


def _checked(stream: BinaryIO, max_pixels: int) -> OpenedImage:
    opened = _opened(stream, max_pixels)
    check_size(opened.facts.height, opened.facts.width, opened.facts.frames, max_pixels)
    return opened


def guarded(step: Callable[[], Result]) -> Result:
    """Run a reader in silence; let only errors of this package out."""
    reason: DeepfixcxError
    try:
        with QUIET:
            return step()
    except DeepfixcxError:
        raise
    except MemoryError:
        reason = OversizedImageError(
            "decoding the image needs more memory than is available; use a larger machine or "
            "fewer workers"
        )
    except RecursionError:
        reason = DamagedImageError("the header is nested too deeply; copy the file from its source")
    except OSError as error:
        if error.errno in _DISK:
            reason = UnreadableFileError(
                "the file cannot be read: input/output error; check the disk or the network, "
                "then run again"
            )
        else:
            reason = DamagedImageError(_DAMAGED)
    except Exception:
        reason = DamagedImageError(_DAMAGED)
    # Raised out here, so that the reader's exception is not even the context of this one.
    raise reason


# -- silence: what readers warn about quotes the header of a patient's file

_LOGGERS: Final = ("PIL", "pydicom")


class _Quiet:
    """Mute warnings and loggers of the readers, as often nested or in parallel as needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._levels: dict[str, int] = {}
        self._warnings = warnings.catch_warnings()
        self._pixel_limit: int | None = None
        self._fills_truncated = False

    def lets_through(self, _record: logging.LogRecord) -> bool:
        """Return whether nothing is muted: a filter for loggers without children, at no cost."""
        return self._depth == 0

    def __enter__(self) -> None:
        from PIL import Image, ImageFile

        with self._lock:
            self._depth += 1
            if self._depth > 1:
                return
            self._warnings = warnings.catch_warnings()
            self._warnings.__enter__()
            warnings.simplefilter("ignore")
            for name in _LOGGERS:
                self._levels[name] = logging.getLogger(name).level
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            self._pixel_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._fills_truncated = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from PIL import Image, ImageFile

        with self._lock:
            self._depth -= 1
            if self._depth:
                return
            self._warnings.__exit__(None, None, None)
            for name, level in self._levels.items():
                logging.getLogger(name).setLevel(level)
            Image.MAX_IMAGE_PIXELS = self._pixel_limit
            ImageFile.LOAD_TRUNCATED_IMAGES = self._fills_truncated


QUIET = _Quiet()


# -- the size of a pixel, for the formats that state it: DICOM

_SPACING: Final = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


@dataclass(frozen=True, slots=True)
class PixelSpacing:
    """Distances between pixels, in millimetres."""

    rows: float
    columns: float
    at_detector: bool = False


def pixel_spacing(path: str | os.PathLike[str], frame: int = 0) -> PixelSpacing | None:
    """Read how far apart the pixels of a DICOM file are."""
    with open_image(path) as stream:
        if sniff(stream.read(SNIFFED_BYTES)) != "DICOM":
            return None
        stream.seek(0)
        return _spacing_of(stream, frame)


def _spacing_of(stream: BinaryIO, frame: int) -> PixelSpacing | None:
    from pydicom import dcmread

    try:
        with QUIET:
            header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*_SPACING])
            measured = _positive_pair(_of_groups(header, frame))
            found = _positive_pair(header.get("PixelSpacing")) or measured
            if found:
                return PixelSpacing(*found)
            found = _positive_pair(header.get("ImagerPixelSpacing"))
            return PixelSpacing(*found, at_detector=True) if found else None
    except Exception:  # a header may hold anything; what cannot be read is not known
        return None


def _of_groups(header: Any, frame: int) -> object:
    """Return what the functional groups of a multi-frame file say."""
    of_each = header.get("PerFrameFunctionalGroupsSequence") or ()
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*of_each[frame : frame + 1], *shared):
        for measures in groups.get("PixelMeasuresSequence") or ():
            return measures.get("PixelSpacing")
    return None


def _positive_pair(value: Any) -> tuple[float, float] | None:
    if value is None or isinstance(value, str | float) or len(value) != 2:
        return None
    rows, columns = map(float, value)
    fits = 0 < rows < math.inf and 0 < columns < math.inf
    return (rows, columns) if fits else None
