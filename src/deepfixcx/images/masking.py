"""Regions of an image painted black before anything is made of it: writing that is burned in.

Devices write in places of their own. A rule file lists these places for each model and size of
image; what a device draws elsewhere is not found by rules. Writing stays legible where cells
are small against its letters: ``benchmarks/legibility.py`` burned letters into generated
radiographs at many levels, patches and sizes. Up to two cells per letter height hardly more
characters than by guessing are recognized, a sixth at three, a third at four, nearly all at eight.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import DeidentifyError
from deepfixcx.spec import CodecSpec

if TYPE_CHECKING:
    from deepfixcx.images.dicom.native import Header

__all__ = [
    "CELLS_PER_LETTER",
    "TALLEST_WRITING",
    "DeviceMask",
    "Mask",
    "Region",
    "Rule",
    "legible_height",
    "load_mask",
    "paint",
    "painted_share",
    "stays_legible",
]

_TEXTS: Final = ("manufacturer", "model")
_NUMBERS: Final = ("rows", "columns")
_TOP_KEYS: Final = frozenset({"rules", "otherwise"})
_LARGEST_FILE: Final = 1 << 22


class Region(NamedTuple):
    """A rectangle of pixels: its first row and column, its height and width."""

    top: int
    left: int
    height: int
    width: int


class Mask(Protocol):
    """What says which regions of an image are painted."""

    @property
    def name(self) -> str:
        """Its name in the metadata of a release: two masks of one name paint the same regions."""

    def regions(self, pixels: NDArray[Any], header: Header) -> tuple[Region, ...]:
        """Return what is to be painted on every frame of the pixels ``(F, C, H, W)``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one kind of device writes."""

    regions: tuple[Region, ...]
    manufacturer: str = ""
    model: str = ""
    rows: int = 0
    columns: int = 0

    def fits(self, header: Header, height: int, width: int) -> bool:
        """Return whether the rule is for this image."""
        return (
            _same(self.manufacturer, header, "Manufacturer")
            and _same(self.model, header, "ManufacturerModelName")
            and self.rows in (0, height)
            and self.columns in (0, width)
        )


@dataclass(frozen=True, slots=True)
class DeviceMask:
    """The rules of a file."""

    rules: tuple[Rule, ...]
    keep_others: bool = False

    @property
    def name(self) -> str:
        """Its name in the metadata of a release: two masks of one name paint the same regions."""
        return f"rules {hashlib.sha256(repr(self).encode()).hexdigest()[:16]}"

    def regions(self, pixels: NDArray[Any], header: Header) -> tuple[Region, ...]:
        """Return what is to be painted on every frame of an image."""
        height, width = pixels.shape[2:]
        for rule in self.rules:
            if rule.fits(header, height, width):
                return rule.regions
        if self.keep_others:
            return ()
        raise DeidentifyError(
            f"no rule of the mask fits this device and {height} x {width} pixels; add a rule (with "
            f'regions = [] if the device writes no text), or set otherwise = "keep"'
        )


def load_mask(path: str | os.PathLike[str]) -> DeviceMask:
    """Read a rule file."""
    path = Path(path)
    content = _parsed(path)
    unknown = sorted(set(content) - _TOP_KEYS) if isinstance(content, dict) else ["no table"]
    rules = content.get("rules") if isinstance(content, dict) else None
    if unknown or not isinstance(rules, list) or not rules:
        raise DeidentifyError(
            f"{path.name!r} is not a mask: it needs a list of rules, and optionally otherwise; "
            f"got {', '.join(map(repr, unknown)) or 'no rules'}"
        )
    otherwise = content.get("otherwise", "refuse")
    if otherwise not in ("refuse", "keep"):
        raise DeidentifyError(f'otherwise is "refuse" or "keep" in {path.name!r}')
    return DeviceMask(
        tuple(_rule(rule, number) for number, rule in enumerate(rules, start=1)),
        keep_others=otherwise == "keep",
    )


def paint(pixels: NDArray[Any], regions: Sequence[Region]) -> NDArray[Any]:
    """Make regions black on every frame."""
    if not regions:
        return pixels
    painted = pixels.copy()
    for top, left, height, width in regions:
        painted[:, :, top : top + height, left : left + width] = 0
    return painted


def painted_share(regions: Sequence[Region], height: int, width: int) -> float:
    """Return the share of the pixels of a frame that lies in regions, from 0 to 1."""
    inside = np.zeros((height, width), bool)
    for top, left, down, across in regions:
        inside[top : top + down, left : left + across] = True
    return float(inside.mean()) if regions else 0.0


def _same(wanted: str, header: Header, keyword: str) -> bool:
    if not wanted:
        return True
    try:
        found = str(header.get(keyword) or "")
    except Exception:  # pydicom raises whatever damaged bytes lead to
        return False
    return wanted.strip().casefold() == found.strip().casefold()


def _parsed(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE).decode("utf-8-sig")
        return json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise DeidentifyError(f"the mask {path.name!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # both parsers say where
        raise DeidentifyError(f"{path.name!r} cannot be read as a mask: {error}") from None


def _rule(rule: Any, number: int) -> Rule:
    if not isinstance(rule, dict) or "regions" not in rule:
        raise DeidentifyError(f"rule {number} of the mask has no regions; write [] to paint none")
    keys = (*_TEXTS, *_NUMBERS)
    if unknown := sorted(set(rule) - {*keys, "regions"}):
        raise DeidentifyError(
            f"rule {number} of the mask has {unknown}; it may have regions, {', '.join(keys)}"
        )
    for key in keys:
        value = rule.get(key)
        text = key in _TEXTS and isinstance(value, str)
        count = key in _NUMBERS and type(value) is int and value > 0
        if key in rule and not text and not count:
            word = "a text" if key in _TEXTS else "a number of pixels"
            raise DeidentifyError(f"{key} of rule {number} of the mask is {word}, got {value!r}")
    regions = rule["regions"]
    if not isinstance(regions, list):
        raise DeidentifyError(f"regions of rule {number} of the mask is a list, got {regions!r}")
    known = {key: rule[key] for key in keys if key in rule}
    return Rule(tuple(_region(region, number) for region in regions), **known)


def _region(region: Any, number: int) -> Region:
    sound = (
        isinstance(region, list)
        and len(region) == 4
        and all(type(edge) is int and edge >= 0 for edge in region)
        and all(edge > 0 for edge in region[2:])
    )
    if not sound:
        raise DeidentifyError(
            f"a region of rule {number} of the mask is [top, left, height, width] in whole pixels "
            f"with a height and a width, got {region!r}"
        )
    return Region(*region)


CELLS_PER_LETTER: Final = 4.0
"""With so many cells to the height of a letter, a third of the characters can be read."""

TALLEST_WRITING: Final = 0.06
"""Writing that devices burn in is hardly ever taller than this share of the image's height."""


def legible_height(spec: CodecSpec, height: int, width: int) -> float:
    """Return from which height on capital letters stay legible."""
    rows, columns = spec.grid_shape
    return CELLS_PER_LETTER * max(height / rows, width / columns)


def stays_legible(spec: CodecSpec, height: int, width: int) -> bool:
    """Return whether writing of a usual size stays legible in an image."""
    return legible_height(spec, height, width) <= TALLEST_WRITING * height
