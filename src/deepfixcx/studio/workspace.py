"""What one tab of the browser holds on the server: its settings, its image, its pictures."""

from __future__ import annotations

import math
import secrets
import shlex
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlencode

from deepfixcx.choices import Boundary, Grid, Pooling, Size
from deepfixcx.errors import DeepfixcxError
from deepfixcx.spec import CodecSpec
from deepfixcx.studio.uploads import Picture, Solid

__all__ = ["LEVELS", "PATCHES", "USUAL_WAVELETS", "Limit", "Settings", "Workspace", "Workspaces"]
__all__ += ["fitting", "limits"]

LEVELS = tuple(range(1, 9))
PATCHES = (
    1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 19, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128,
)  # fmt: skip
"""The steps of the slider; 19 is a value of the paper."""

USUAL_WAVELETS = (
    "haar", "db2", "db4", "db8", "sym4", "sym8", "coif1", "coif2", "bior2.2", "bior4.4",
)  # fmt: skip

MOST_VALUES = 1 << 22
"""Codes of more values take too long to show."""

MOST_INLINED = 1 << 16
"""Bytes of the largest PNG that is sent with the page and not by a request of its own."""

MOST_PICTURES = 2048
"""Most pictures of a tab; the oldest are dropped first."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a `CodecSpec`, and the size of the reconstruction that is shown."""

    level: int = 3
    patches: int = 8
    wavelet: str = "haar"
    pooling: Pooling = "l1"
    boundary: Boundary = "zero"
    grid: Grid = "balanced"
    size: Size = "compact"

    @property
    def spec(self) -> CodecSpec:
        """The codec; `SpecError` where a setting is unknown or out of range."""
        return CodecSpec(
            self.level, self.patches, self.wavelet, self.pooling, self.boundary, self.grid
        )

    def command_line(self) -> str:
        """Return the command that applies these settings to a folder."""
        words = ["deepfixcx", "privatize", "FOLDER", "OUT"]
        for name, value in self.changed().items():
            words += [f"--{name}", shlex.quote(str(value))]
        return " ".join(words)

    def python(self) -> str:
        """Return the lines of Python that apply these settings to an array."""
        options = ", ".join(
            f"{name}={value!r}" for name, value in self.changed().items() if name != "size"
        )
        return (
            "from deepfixcx import Codec\n\n"
            f"codec = Codec({options})\n"
            "code = codec.encode(pixels)  # (B, C, H, W) in [0, 1]\n"
            f'privatized = codec.decode(code, "{self.size}")'
        )

    def query(self) -> str:
        """Return the settings as the query of a URL."""
        return urlencode(self.changed())

    def changed(self) -> dict[str, object]:
        """Return level, patches, and every other setting that is not the default."""
        default = Settings()
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name in ("level", "patches")
            or getattr(self, each.name) != getattr(default, each.name)
        }

    @classmethod
    def from_query(cls, values: Mapping[str, str]) -> Settings:
        """Read the query of a URL; unknown or invalid values keep their default."""
        chosen = cls()
        for each in fields(cls):
            text = values.get(each.name)
            if text is None:
                continue
            number = each.name in ("level", "patches")
            if number and not (text.isascii() and text.isdigit() and len(text) < 5):
                continue
            tried = chosen.with_one(each.name, int(text) if number else text)
            try:
                known = tried.spec.level in LEVELS and tried.size in get_args(Size)
            except DeepfixcxError:
                continue
            chosen = tried if known and tried.patches <= PATCHES[-1] else chosen
        return chosen

    def with_one(self, name: str, value: Any) -> Settings:
        """Return the settings with another value for one of them."""
        return replace(self, **{name: value})


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest value of a slider for an image, and what limits it; "" where nothing does."""

    most: int
    reason: str = ""


def limits(settings: Settings, height: int, width: int) -> dict[str, Limit]:
    """Return the limits of ``"level"`` and ``"patches"`` for an image, each given the other."""
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
    affordable = math.isqrt(MOST_VALUES // spec.bands)
    fitting = PATCHES[-1] if settings.grid == "padded" else min(rows, columns)
    most = min(affordable, fitting, PATCHES[-1])
    if most == PATCHES[-1]:
        return Limit(most)
    if fitting <= affordable:
        return _limit(most, f"at J = {settings.level} a band has {rows} × {columns} coefficients")
    return _limit(most, f"the code would have more than {MOST_VALUES / 1e6:.0f} million values")


def _deepest(settings: Settings, height: int, width: int) -> Limit:
    patches = settings.patches
    for level in LEVELS[1:]:
        spec = CodecSpec(level, patches)
        if settings.grid == "balanced" and min(spec.band_shape(height, width)) < patches:
            reason = f"a band would have fewer rows or columns than the {patches} patches"
        elif spec.numbers(channels=1) > MOST_VALUES:
            reason = f"the code would have more than {MOST_VALUES / 1e6:.0f} million values"
        else:
            continue
        return _limit(level - 1, reason)
    return Limit(LEVELS[-1])


def _limit(most: int, reason: str) -> Limit:
    return Limit(most, f"At most {most} fits: {reason}.")


@dataclass(eq=False)
class Workspace:
    """One tab: a random `key` in the URLs of its pictures, and what it shows.

    `settings` are those that were asked for; an image that they do not fit leaves them as they are.
    """

    key: str
    picture: Picture | None = None
    settings: Settings = field(default_factory=Settings)
    frame: int = 0
    example: str = ""
    file: str = ""
    subject: int = 0
    scene: int = 0
    uploads: int = 0
    recalled: bool = False
    query: dict[str, str] = field(default_factory=dict)
    solid: Solid | None = None
    solid_name: str = ""
    planes: Callable[[str, tuple[int, int, int]], bytes] | None = None
    _pictures: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    _version: int = 0

    def take(self, picture: Picture, example: str = "", file: str = "") -> None:
        """Explore another image; a file of the same folder keeps zoom and window."""
        series = bool(file and self.file) and Path(file).parent == Path(self.file).parent
        self.picture, self.frame, self.example, self.file = picture, 0, example, file
        self.subject += 1
        self.scene += not series

    def inherit(self, earlier: Workspace) -> None:
        """Go on with the image of a tab that was reloaded."""
        self.picture, self.frame, self.example = earlier.picture, earlier.frame, earlier.example
        self.file = earlier.file
        self.solid, self.solid_name = earlier.solid, earlier.solid_name
        self.subject += 1
        self.scene += 1

    def take_solid(self, solid: Solid, name: str = "") -> None:
        """Explore another volume."""
        self.solid, self.solid_name = solid, name

    def show(self, name: str, content: Callable[[], bytes]) -> str:
        """Keep a function that returns a PNG; return a new URL at which the browser calls it."""
        self._pictures.pop(name, None)
        self._pictures[name] = content
        while len(self._pictures) > MOST_PICTURES:
            del self._pictures[next(iter(self._pictures))]
        self._version += 1
        return f"/pixels/{self.key}/{name}?{self._version}"

    def inlined(self, name: str, content: Callable[[], bytes]) -> str:
        """Return a URL that holds the PNG where it is small, which saves a request; or `show`."""
        url = self.show(name, content)
        png = content()
        if len(png) > MOST_INLINED:
            return url
        # the number makes the URL of an equal picture a new one
        return f"data:image/png;base64,{b64encode(png).decode()}#{self._version}"

    def picture_named(self, name: str) -> Callable[[], bytes] | None:
        """Return the function that makes a picture, or None."""
        return self._pictures.get(name)


class Workspaces:
    """All tabs that are open."""

    def __init__(self) -> None:
        self._tabs: dict[str, Workspace] = {}

    def open(self) -> Workspace:
        """Make a workspace for a new tab."""
        tab = Workspace(secrets.token_urlsafe(16))
        self._tabs[tab.key] = tab
        return tab

    def get(self, key: str) -> Workspace | None:
        """Return the workspace of a tab, or None."""
        return self._tabs.get(key)

    def close(self, tab: Workspace) -> None:
        """Drop a tab and every pixel that it held."""
        self._tabs.pop(tab.key, None)
