"""One file in, its frames or one named error out.

The readers of other people raise whatever they like on damaged bytes, and their messages may
quote the header. Here every such exception becomes an error of this package whose message was
written here; the original is dropped, not chained.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

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
    ImageFacts,
    ImageFrames,
    OpenedImage,
    check_size,
)
from deepfixcx.images.sniffing import READ, SNIFFED_BYTES, sniff

__all__ = ["inspect_image", "open_image", "read_header", "read_image"]

if TYPE_CHECKING:
    from deepfixcx.images.dicom.reading import DicomHeader

Result = TypeVar("Result")

_DEVICE_ERRORS = frozenset({errno.EIO, errno.ESTALE, errno.ENXIO, errno.ETIMEDOUT, errno.EBADF})

_DAMAGED = "the file is truncated or damaged; copy it again from its source"


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
        return _guarded(lambda: _checked(stream, max_pixels).decode())


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
            facts = ImageFacts(format=_guarded(lambda: sniff(stream.read(SNIFFED_BYTES))))
            opened = _guarded(lambda: _opened(stream, max_pixels))
            facts = opened.facts
            check_size(facts.height, facts.width, facts.frames, max_pixels)
            if decode:
                facts = replace(facts, notes=_guarded(opened.decode).notes)
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

    return _guarded(read)


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


def _guarded(step: Callable[[], Result]) -> Result:
    """Run a reader in silence; let only errors of this package out."""
    from deepfixcx.images.quiet import QUIET

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
        if error.errno in _DEVICE_ERRORS:
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
