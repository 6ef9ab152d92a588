"""What the controls of Explore are set to, which settings fit, and how to write them down."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args
from urllib.parse import urlencode

from deepfixcx.choices import Boundary, Grid, Pooling, Size
from deepfixcx.errors import DeepfixcxError
from deepfixcx.spec import CodecSpec

__all__ = ["LEVELS", "PATCHES", "USUAL_WAVELETS", "Limit", "Settings", "fitting", "limits"]

LEVELS = tuple(range(1, 9))
PATCHES = (
    1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 19, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128,
)  # fmt: skip
"""The steps of the slider; 19 is one of the paper's."""

USUAL_WAVELETS = (
    "haar", "db2", "db4", "db8", "sym4", "sym8", "coif1", "coif2", "bior2.2", "bior4.4",
)  # fmt: skip

MOST_NUMBERS = 1 << 22
"""Codes of more numbers than that take too long to look at."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the controls are set to.

    Attributes
    ----------
    level, patches, wavelet, pooling, boundary, grid
        As of `CodecSpec`.
    size : {"compact", "original"}
        Which reconstruction is shown.

    Examples
    --------
    >>> print(Settings(level=2, patches=8).command_line())
    deepfixcx privatize FOLDER OUT --level 2 --patches 8
    """

    level: int = 3
    patches: int = 8
    wavelet: str = "haar"
    pooling: Pooling = "l1"
    boundary: Boundary = "zero"
    grid: Grid = "balanced"
    size: Size = "compact"

    @property
    def spec(self) -> CodecSpec:
        """The codec.

        Raises
        ------
        SpecError
            A word is unknown, or a number out of range.
        """
        return CodecSpec(
            self.level, self.patches, self.wavelet, self.pooling, self.boundary, self.grid
        )

    def command_line(self) -> str:
        """Return the command that does to a folder what is shown."""
        words = ["deepfixcx", "privatize", "FOLDER", "OUT"]
        words += ["--level", str(self.level), "--patches", str(self.patches)]
        for name in self._changed():
            words += [f"--{name}", shlex.quote(str(getattr(self, name)))]
        return " ".join(words)

    def python(self) -> str:
        """Return the lines of Python that do to an array what is shown."""
        options = "".join(
            f", {name}={getattr(self, name)!r}" for name in self._changed() if name != "size"
        )
        return "\n".join(
            (
                "from deepfixcx import Codec",
                "",
                f"codec = Codec(level={self.level}, patches={self.patches}{options})",
                "code = codec.encode(pixels)  # (B, C, H, W) in [0, 1]",
                f'privatized = codec.decode(code, "{self.size}")',
            )
        )

    def query(self) -> str:
        """Return the settings as the query of a URL; they say nothing of an image."""
        return urlencode(self.changed())

    def changed(self) -> dict[str, object]:
        """Return level, patches, and whatever is not as it was at first."""
        return {name: getattr(self, name) for name in ("level", "patches", *self._changed())}

    @classmethod
    def from_query(cls, values: Mapping[str, str]) -> Settings:
        """Read what `query` wrote; what makes no sense is left at its default.

        Examples
        --------
        >>> Settings.from_query({"level": "2", "patches": "many", "pooling": "max"}).query()
        'level=2&patches=8&pooling=max'
        """
        chosen = cls()
        for field in fields(cls):
            text = values.get(field.name)
            if text is None:
                continue
            number = field.name in ("level", "patches")
            if number and not (text.isascii() and text.isdigit() and len(text) < 5):
                continue
            tried = chosen.with_one(field.name, int(text) if number else text)
            try:
                known = tried.spec.level in LEVELS and tried.size in get_args(Size)
            except DeepfixcxError:
                continue
            chosen = tried if known and tried.patches <= PATCHES[-1] else chosen
        return chosen

    def with_one(self, name: str, value: Any) -> Settings:
        """Return the settings with another value for one of them."""
        return replace(self, **{name: value})

    def _changed(self) -> list[str]:
        default = Settings()
        return [
            field.name
            for field in fields(self)
            if field.name not in ("level", "patches")
            and getattr(self, field.name) != getattr(default, field.name)
        ]


@dataclass(frozen=True, slots=True)
class Limit:
    """Up to where a slider may go, and why no further; `reason` is empty where nothing stops it."""

    most: int
    reason: str = ""


def limits(settings: Settings, height: int, width: int) -> dict[str, Limit]:
    """Say how far J and P may go for an image, the other being as it is.

    Parameters
    ----------
    settings : Settings
        What is set; they need not fit the image.
    height, width : int
        Of the image.

    Returns
    -------
    dict of str to Limit
        For ``"level"`` and ``"patches"``.

    Examples
    --------
    >>> print(limits(Settings(level=3, patches=4), 320, 320)["patches"].reason)
    Over 40 does not fit: at J = 3 a band of this image has 40 × 40 numbers.
    """
    return {
        "level": _deepest(settings, height, width),
        "patches": _most_patches(settings, height, width),
    }


def fitting(settings: Settings, height: int, width: int) -> Settings:
    """Return the nearest settings that fit an image: fewer patches first, then a lower level."""
    level = min(settings.level, LEVELS[-1])
    while level > 1 and _most_patches(settings.with_one("level", level), height, width).most < 1:
        level -= 1
    chosen = settings.with_one("level", level)
    most = _most_patches(chosen, height, width).most
    return chosen.with_one("patches", max(1, min(settings.patches, most)))


def _most_patches(settings: Settings, height: int, width: int) -> Limit:
    spec = CodecSpec(settings.level, 1)
    rows, columns = spec.band_shape(height, width)
    affordable = math.isqrt(MOST_NUMBERS // spec.bands)
    fitting = PATCHES[-1] if settings.grid == "padded" else min(rows, columns)
    most = min(affordable, fitting, PATCHES[-1])
    if most == PATCHES[-1]:
        return Limit(most)
    if fitting <= affordable:
        reason = f"at J = {settings.level} a band of this image has {rows} × {columns} numbers"
    else:
        reason = f"the code would have more than {MOST_NUMBERS / 1e6:.0f} million numbers"
    return Limit(most, f"Over {most} does not fit: {reason}.")


def _deepest(settings: Settings, height: int, width: int) -> Limit:
    patches = settings.patches
    deepest, reason = LEVELS[0], ""
    for level in LEVELS[1:]:
        spec = CodecSpec(level, patches)
        if settings.grid == "balanced" and min(spec.band_shape(height, width)) < patches:
            reason = f"a band would have fewer rows or columns than the {patches} patches"
            break
        if spec.numbers(channels=1) > MOST_NUMBERS:
            reason = f"the code would have more than {MOST_NUMBERS / 1e6:.0f} million numbers"
            break
        deepest = level
    return Limit(deepest, f"Over {deepest} does not fit: {reason}." if reason else "")
