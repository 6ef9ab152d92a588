"""What ``deepfixcx explain`` is asked to explain: one image of a file, or one code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepfixcx.code import Code
    from deepfixcx.spec import CodecSpec

__all__ = ["Asked", "Source", "read_source"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command that concern one image."""

    spec: CodecSpec | None
    index: int
    spacing: tuple[float, float] | None
    show_original: bool
    max_pixels: int | None
    overwrite: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What is explained: the code of one image, of how many, and its pixels if there are any."""

    code: Code
    images: int
    pixels: NDArray[Any] | None
    spacing: tuple[float, float] | None = None
    at_detector: bool = False

    @property
    def spacing_words(self) -> str:
        """How large a pixel is, for a sentence about the image; empty where it is not known."""
        if self.spacing is None:
            return ""
        rows, columns = self.spacing
        where = " at the detector" if self.at_detector else ""
        return f" of {rows:.3g} × {columns:.3g} mm{where}"


def read_source(where: Path, asked: Asked) -> Source:
    """Read one image as pixels and code, or as a code alone."""
    from deepfixcx.errors import DeepfixcxError

    try:
        return _read(where, asked)
    except DeepfixcxError as error:
        raise type(error)(f"IN, the file to explain: {error}") from None


def _read(where: Path, asked: Asked) -> Source:
    from deepfixcx.codec import Codec
    from deepfixcx.images import DEFAULT_MAX_PIXELS, read_image
    from deepfixcx.images.spacing import pixel_spacing

    if asked.spec is None:
        codes = _load_code(where)
        _check_index(asked.index, len(codes), "images")
        return Source(codes[asked.index], len(codes), None, asked.spacing)
    most = DEFAULT_MAX_PIXELS if asked.max_pixels is None else asked.max_pixels
    frames = read_image(where, max_pixels=most).pixels
    _check_index(asked.index, len(frames), "frames")
    pixels = frames[asked.index]
    source = Source(Codec(asked.spec).encode(pixels), len(frames), pixels, asked.spacing)
    if asked.spacing is not None:
        return source
    own = pixel_spacing(where, asked.index)
    if own is None:
        return source
    return replace(source, spacing=(own.rows, own.columns), at_detector=own.at_detector)


def _load_code(where: Path) -> Code:
    from deepfixcx.code import Code
    from deepfixcx.errors import UnreadableFileError

    try:
        return Code.load(where)
    except OSError as error:
        raise UnreadableFileError(f"the file of codes cannot be read: {error.strerror}") from None


def _check_index(index: int, count: int, what: str) -> None:
    from deepfixcx.errors import ExplanationError

    if not 0 <= index < count:
        raise ExplanationError(
            f"--index {index}: the file holds {count} {what}, numbered from 0 to {count - 1}"
        )
