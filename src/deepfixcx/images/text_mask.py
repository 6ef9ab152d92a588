"""Regions of writing found in the image itself, by the program tesseract.

It finds most printed text of a usual size, and misses some: small, turned, handwritten, or on a
busy ground. What it found is painted on every frame of a file, because writing that one frame
shows clearly may stand unread in another.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from deepfixcx.choices import Ocr
from deepfixcx.errors import DeidentifyError
from deepfixcx.images.masking import Region
from deepfixcx.images.rapid_text import check_rapid, rapid_lines
from deepfixcx.io.tesseract import Word, has_tesseract, read_picture

if TYPE_CHECKING:
    from deepfixcx.images.dicom.native import Header

__all__ = ["TextMask", "is_measure", "outside_regions"]

SURE, SURE_OF_ONE = 20.0, 60.0
"""Per cent that tesseract has to be sure of a word, and of a single letter: painting too much costs
less than leaving a name."""

WANTED_SIDE, MOST = 1500, 4
STROKE: Final = 9
"""Pixels; strokes of letters are thinner."""

BRIGHT, RISE, NOISE = 0.92, 0.4, 6.0
"""Writing is nearly as bright as anything, or rises above its ground by so much of the most; and by
so many standard deviations above the usual on a plain ground, whose grain looks like words."""

FLAT: Final = 8.0
"""Of 255: standard deviation of most pixels of a plain ground."""

MARGIN: Final = 0.35
"""A region is larger than its word by so much of the word's height on each side."""

TALL, SURE_OF_TALL, SURE_OF_ONE_TALL = 0.15, 70.0, 85.0
"""What is higher than this share of the image may be anatomy that looks like a letter: tesseract
has to be surer of it, most of all of a single letter."""

REDUCED: Final = (128, 64)
"""Pixels of the longest side at which the strokes of large letters are thin again."""

COVERED: Final = 0.6
"""A reading says what a region holds if it covers so much of it."""

GAP: Final = 2.0
"""Heights of a line: what lies so near between two painted words is painted."""

SAME: Final = 8
"""Of 255: channels that differ by no more show the same writing."""


UNITS: Final = "mm cm m ml l cc hz khz mhz db bpm kv kvp mas ma s ms sec min fps deg mmhg mgy"
MEASURES: Final = frozenset(
    f"{UNITS} cm/s m/s cm2 cm3 mm2 mm3 gy hu suv rpm dist area vol volume gain freq depth zoom ww"
    " wl wc wt te tr ti fa thk slice sl fov im img se acq c l r a p h f lt rt left right vmax vmin"
    " vmean pg ps ed es md ri pi ef lv rv ao la mitral aortic hr mi tis tib tic fr frame loop gate"
    " gn gen hgen hres hpen 2d 3d 4d cf pw cw dist dia"
    " lateral pa ap cc mlo cor sag ax tra portable supine erect upright kvp x y z scale mag".split()
)
"""Words of scales, measurements and positions, which identify no patient."""

_NUMBER: Final = r"\d{1,4}(?:[.,]\d{1,4})?"
_RUN: Final = re.compile(r"[a-z]+(?:/[a-z]+)?|[^a-z]+")
_MEASURE: Final = re.compile(
    rf"[-+~<>=±(]*{_NUMBER}(?:[/:x×*]{_NUMBER}){{0,2}}[)%°]?(?:"
    + UNITS.replace(" ", "|")
    + r")?(?:[/²³23]|/s|/min)?"
)
SPACED: Final = 7
"""Digits of a number that is written with spaces, such as that of a telephone."""

_SPACED_DATE: Final = re.compile(r"(?<!\S)\d{1,2} \d{1,2} (?:\d\d|\d{4})(?!\S)")
_DATE_LIKE: Final = re.compile(r"\d{1,4}[./:-]\d{1,2}[./:-]\d{1,4}")


class Reading(NamedTuple):
    """A word or line that was read in an image, its region, and how sure that is in per cent."""

    text: str
    region: Region
    sure: float = 100.0


def is_measure(text: str) -> bool:
    """Return whether all words of a text belong to a scale, a measurement or a position."""
    # Numbers of five digits and more, and dates, do not, also with spaces. Words may be joined
    # (``FR30``), as networks read spaces badly, but not a single letter with a number of three
    # digits and more.
    words = text.casefold().split()
    digits = [word for word in words if word.strip(".,;:()").isdigit()]
    spaced = len(digits) > 1 and sum(map(len, digits)) >= SPACED and max(map(len, digits)) > 2
    if spaced or _SPACED_DATE.search(" ".join(words)):
        return False
    return bool(words) and all(map(_is_measure_word, words))


def _is_measure_word(word: str) -> bool:
    low = word.strip(".,;:()[]|'\"")
    if _DATE_LIKE.fullmatch(low):
        return False
    if low in MEASURES or _MEASURE.fullmatch(low):
        return True
    first, *others = _RUN.findall(low) or [""]
    rest = "".join(others).lstrip(":= ")
    short = len(first) > 1 or len(rest) < 3
    return bool(rest) and first in MEASURES and short and _MEASURE.fullmatch(rest) is not None


@dataclass(frozen=True, slots=True)
class TextMask:
    """Paints what tesseract or RapidOCR takes for writing.

    With a predicate it keeps measurements: words of which one reading is a measurement and no
    reading is of the patient, as the predicate says.
    """

    policy: str = "ocr"
    engine: Ocr = "tesseract"
    is_patient: Callable[[str], bool] | None = None

    @property
    def name(self) -> str:
        """What the metadata of a release call it: two of one name paint the same."""
        return self.policy if self.engine == "tesseract" else f"{self.policy} {self.engine}"

    def check(self) -> None:
        """See that the program or package is there."""
        if self.engine == "rapidocr":
            check_rapid()
        elif not has_tesseract():
            raise DeidentifyError(
                "--mask ocr needs the program tesseract, which is not installed; on Debian run: "
                "apt-get install tesseract-ocr"
            )

    def regions(self, pixels: NDArray[Any], header: Header) -> tuple[Region, ...]:
        """Return where writing was found on any frame."""
        del header
        self.check()
        found: set[Reading] = set()
        seen: set[bytes] = set()
        for frame in pixels:
            content = hashlib.sha256(frame.tobytes()).digest()
            if content in seen:  # a still image in a loop, or a frame that is repeated
                continue
            seen.add(content)
            if self.engine == "rapidocr":
                for plane in _planes(frame):
                    found |= {Reading(*line) for line in rapid_lines(plane)}
            else:
                found |= _frame_readings(frame)
        if self.is_patient is not None:
            painted, kept = _patient_regions(found, self.is_patient)
        else:
            painted, kept = {each.region for each in found}, set[Region]()
        if self.engine == "tesseract":
            painted |= _between(painted, kept)
        return tuple(sorted(painted))


def outside_regions(header: Header, height: int, width: int) -> tuple[Region, ...]:
    """Return what lies outside of the ultrasound regions of a header; nothing where it has none."""
    inside = []
    for item in header.get("SequenceOfUltrasoundRegions") or ():
        edges = [item.get(f"RegionLocation{name}") for name in ("MinY0", "MinX0", "MaxY1", "MaxX1")]
        if not all(isinstance(edge, int) for edge in edges) or edges[0] > edges[2]:
            raise DeidentifyError(
                "an ultrasound region of the header has invalid coordinates, so the area "
                "outside it is unknown; use a rule file"
            )
        inside.append((edges[0], edges[1], edges[2] + 1, edges[3] + 1))
    if not inside:
        return ()
    rows = sorted({0, height, *(min(height, each[n]) for each in inside for n in (0, 2))})
    found = []
    for top, bottom in itertools.pairwise(rows):
        at = 0
        for _, left, _, right in sorted(
            (each for each in inside if each[0] <= top and bottom <= each[2]), key=lambda e: e[1]
        ):
            if left > at:
                found.append(Region(top, at, bottom - top, min(left, width) - at))
            at = max(at, right)
        if at < width:
            found.append(Region(top, at, bottom - top, width - at))
    return tuple(found)


def _frame_readings(frame: NDArray[Any]) -> set[Reading]:
    found: set[Reading] = set()
    for plane in _planes(frame):
        for picture in _variants(plane):
            found |= _read(picture, 1)
        for side in REDUCED:
            step = max(1, max(plane.shape) // side)
            small = Image.fromarray(plane).reduce(step)
            for picture in _variants(np.asarray(small)):
                found |= {each for each in _read(picture, step) if _is_large(each.region, plane)}
    return found


def _patient_regions(
    found: set[Reading], is_patient: Callable[[str], bool]
) -> tuple[set[Region], set[Region]]:
    """Return the regions that are painted and those that stay.

    A region stays where the surest of the readings that cover it is a measurement, and none of
    those that it meets names the patient.
    """
    painted, kept = set[Region](), set[Region]()
    for each in found:
        same = [other for other in found if _overlap(each.region, other.region)]
        covering = [other for other in same if _covers(other.region, each.region)]
        surest = max(covering, key=lambda other: (other.sure, is_measure(other.text)))
        stays = is_measure(surest.text) and not any(is_patient(other.text) for other in same)
        (kept if stays else painted).add(each.region)
    return painted, kept - painted


def _covers(one: Region, other: Region) -> bool:
    """Return whether a region covers most of another one."""
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    return down > 0 and across > 0 and down * across >= COVERED * other.height * other.width


def _between(painted: set[Region], kept: set[Region]) -> set[Region]:
    """Return the gaps of lines: what lies between two words and was not read itself."""
    gaps = set()
    for one, other in itertools.permutations(painted, 2):
        top = max(one.top, other.top)
        bottom = min(one.top + one.height, other.top + other.height)
        height, left = min(one.height, other.height), one.left + one.width
        width = other.left - left
        if 2 * (bottom - top) < height or not 0 < width <= GAP * height:
            continue
        gap = Region(top, left, bottom - top, width)
        if not any(_overlap(gap, each) for each in kept):
            gaps.add(gap)
    return gaps


def _overlap(one: Region, other: Region) -> bool:
    """Return whether the smaller of two regions lies half in the other."""
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    smaller = min(one.height * one.width, other.height * other.width)
    return down > 0 and across > 0 and 2 * down * across >= smaller


def _planes(frame: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Return the channels of a frame ``(C, H, W)`` that differ, in 8 bits."""
    scale = 1.0 if frame.dtype.kind == "f" else float(np.iinfo(frame.dtype).max)
    planes: list[NDArray[np.uint8]] = []
    for channel in frame.astype(np.float32) / scale * 255:
        plane = np.rint(channel).clip(0, 255).astype(np.uint8)
        if all(np.abs(plane.astype(np.int16) - other).max() > SAME for other in planes):
            planes.append(plane)
    return planes


def _is_large(region: Region, plane: NDArray[np.uint8]) -> bool:
    """Return what the whole plane may not show: letters of thick strokes."""
    return bool(region.height > TALL * plane.shape[0])


def _variants(gray: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield the picture, and its thin strokes, dark on white: first bright ones, then dark."""
    yield gray
    for picture in (gray, 255 - gray):
        values = picture.astype(np.int16)
        ground = Image.fromarray(picture)
        # What is left of the picture where no stroke is wider than this: its ground.
        ground = ground.filter(ImageFilter.MinFilter(STROKE)).filter(ImageFilter.MaxFilter(STROKE))
        risen = values - np.asarray(ground)
        for height, share in ((values, BRIGHT), (risen, RISE)):
            stroke = height > max(share * height.max(), _usual(height, picture), 1)
            if stroke.any():
                yield np.where(stroke, 0, 255).astype(np.uint8)


def _usual(height: NDArray[np.int16], picture: NDArray[np.uint8]) -> float:
    """Return up to what the grain of a plain ground reaches; 0 where the ground is anatomy."""
    if _spread(picture.astype(np.int16)) > FLAT:
        return 0.0
    return float(np.median(height)) + NOISE * _spread(height)


def _spread(values: NDArray[np.int16]) -> float:
    """Return the standard deviation of most values, by the median of the differences."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _read(gray: NDArray[np.uint8], step: int) -> set[Reading]:
    """Return the writing, in the pixels of a picture that was reduced by a step."""
    height, width = gray.shape
    factor = min(MOST, max(1, -(-WANTED_SIDE // max(height, width))))
    picture = Image.fromarray(gray)
    if factor > 1:
        picture = picture.resize((factor * width, factor * height), Image.Resampling.BICUBIC)
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    try:
        words = read_picture(packed.getvalue())
    except OSError:
        raise DeidentifyError(
            "the program tesseract cannot read this image; convert the file, or use a rule file"
        ) from None
    regions = [_region(word, factor / step, height * step, width * step) for word in words]
    return {
        Reading(word.text, region, word.sure)
        for word, region in zip(words, regions, strict=True)
        if region is not None
    }


def _region(word: Word, factor: float, height: int, width: int) -> Region | None:
    """Return the place of a word with its margin; None where it is most likely none."""
    left, top, across, down = (length / factor for length in word[2:])
    letters = sum(map(str.isalnum, word.text))
    tall = down > TALL * height
    needed = (
        (SURE_OF_ONE_TALL if tall else SURE_OF_ONE)
        if letters == 1
        else (SURE_OF_TALL if tall else SURE)
    )
    if not letters or word.sure < needed or across <= 0 or down <= 0:
        return None
    margin = MARGIN * down + 1
    first_row, first_column = max(0, int(top - margin)), max(0, int(left - margin))
    last_row = min(height, math.ceil(top + down + margin))
    last_column = min(width, math.ceil(left + across + margin))
    return Region(first_row, first_column, last_row - first_row, last_column - first_column)
