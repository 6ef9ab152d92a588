"""Where the pixels of a privatized image lie on those of its source, and in the patient.

A compact image has fewer and larger pixels. Its first pixel is centred elsewhere, so not only the
spacing changes but also the position of the image in the patient.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from deepfixcx.choices import Size
from deepfixcx.images.dicom.headers import PLACES_IN_PIXELS
from deepfixcx.spec import Cells, CodecSpec

__all__ = [
    "Lattice",
    "adjust_geometry",
    "lattice_of",
    "numbers",
    "plane_groups",
    "plane_of",
    "unusable_spacings",
]

_SPACINGS: Final = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")

_FINEST: Final = 10_000
"""An aspect ratio is written with whole numbers up to this one."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Pixel i of the new image is centred at ``offset + step * i``, counted in source pixels.

    In the order of the axes: rows and columns of an image, slices, rows and columns of a volume.
    """

    offset: tuple[float, ...] = (0.0, 0.0)
    step: tuple[float, ...] = (1.0, 1.0)


def lattice_of(spec: CodecSpec, size: Size, *shape: int) -> Lattice:
    """Return where the pixels or voxels of a reconstruction lie on its source."""
    if size == "original":
        return Lattice((0.0,) * spec.ndim, (1.0,) * spec.ndim)
    axes = [
        _axis(cells, length, 1 << level)
        for cells, length, level in zip(
            spec.cells(*shape), spec.band_shape(*shape), spec.axis_levels, strict=True
        )
    ]
    offsets, steps = zip(*axes, strict=True)
    return Lattice(offsets, steps)


def _axis(cells: Cells, length: int, block: int) -> tuple[float, float]:
    members = int(cells.lengths.sum())  # more than the band has where the grid pads it
    step = members / len(cells.lengths)
    before = (members - length) // 2 * block
    return (step - 1) / 2 - before, step


def adjust_geometry(item: Dataset, lattice: Lattice) -> None:
    """Move position, spacing and aspect ratio to a new lattice of pixels, in place."""
    for keyword in PLACES_IN_PIXELS if lattice != Lattice() else ():
        item.pop(keyword, None)
    for keyword in _SPACINGS:
        spacing = _spacing(item, keyword)
        if spacing is None:
            item.pop(keyword, None)
            continue
        if keyword == "PixelSpacing":
            _move(item, lattice, spacing)
        _write(item, keyword, [one * step for one, step in zip(spacing, lattice.step, strict=True)])
    item.pop("PixelAspectRatio", None) if any(name in item for name in _SPACINGS) else (
        _set_aspect_ratio(item, lattice)
    )


def unusable_spacings(header: Dataset) -> tuple[str, ...]:
    """Name the spacings that a header has, but that are not two positive numbers."""
    groups = [
        *(header.get("SharedFunctionalGroupsSequence") or ()),
        *(header.get("PerFrameFunctionalGroupsSequence") or ()),
    ]
    measures = [each for group in groups for each in group.get("PixelMeasuresSequence") or ()]
    return tuple(
        keyword
        for keyword in _SPACINGS
        if any(_says(item, keyword) and not _spacing(item, keyword) for item in (header, *measures))
    )


def _says(item: Dataset, keyword: str) -> bool:
    """Return whether an element has a value, even one that cannot be read."""
    return keyword in item and bool(item.get_item(keyword).value)


def _spacing(item: Dataset, keyword: str) -> list[float] | None:
    spacing = numbers(item, keyword, 2)
    return spacing if spacing is not None and min(spacing) > 0 else None


def numbers(item: Dataset, keyword: str, count: int) -> list[float] | None:
    """Return so many finite numbers of an element, or None where it holds something else."""
    try:
        values = [float(value) for value in item.get(keyword) or ()]
    except (TypeError, ValueError):
        return None
    return values if len(values) == count and np.isfinite(values).all() else None


def _move(item: Dataset, lattice: Lattice, spacing: list[float]) -> None:
    """Shift the position of the image from the old first pixel to the new one."""
    position = numbers(item, "ImagePositionPatient", 3)
    cosines = numbers(item, "ImageOrientationPatient", 6)
    if position is None or cosines is None:
        return
    along_row, along_column = np.array(cosines[:3]), np.array(cosines[3:])
    down, right = (o * s for o, s in zip(lattice.offset, spacing, strict=True))
    _write(item, "ImagePositionPatient", position + along_row * right + along_column * down)


def _set_aspect_ratio(item: Dataset, lattice: Lattice) -> None:
    before = numbers(item, "PixelAspectRatio", 2) or [1.0, 1.0]
    item.pop("PixelAspectRatio", None)
    down, right = (one * step for one, step in zip(before, lattice.step, strict=True))
    if min(down, right) <= 0:
        return
    ratio = Fraction(down / right).limit_denominator(_FINEST)
    if ratio != 1 and ratio > 0:
        item.PixelAspectRatio = [ratio.numerator, ratio.denominator]


def _write(item: Dataset, keyword: str, values: Any) -> None:
    setattr(item, keyword, [format_number_as_ds(float(value)) for value in values])


_PLANE: Final = {
    "PixelMeasuresSequence": (
        "PixelSpacing",
        "SliceThickness",
        "SpacingBetweenSlices",
    ),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
}
_NEEDED: Final = ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")


def plane_groups(header: Dataset, frames: int, lattice: Lattice) -> Dataset:
    """Carry spacing, position and orientation of every frame over to a new lattice of pixels."""
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    own = list(header.get("PerFrameFunctionalGroupsSequence") or ())
    found = Dataset()
    if len(own) != frames:
        return found
    planes = [plane_of(shared, each) for each in own]
    if not all(keyword in plane for plane in planes for keyword in _NEEDED):
        return found
    for plane in planes:
        adjust_geometry(plane, lattice)
    found.SharedFunctionalGroupsSequence = [Dataset()]
    found.PerFrameFunctionalGroupsSequence = list(map(_grouped, planes))
    return found


def plane_of(shared: Dataset, own: Dataset) -> Dataset:
    """Gather what one frame's own and shared groups say of its place."""
    plane = Dataset()
    for name, keywords in _PLANE.items():
        group: Any = next(iter(own.get(name) or shared.get(name) or ()), Dataset())
        for keyword in keywords:
            if keyword in group:
                plane[keyword] = deepcopy(group[keyword])  # the header stays as it is
    return plane


def _grouped(plane: Dataset) -> Dataset:
    item = Dataset()
    for name, keywords in _PLANE.items():
        group = Dataset()
        for keyword in keywords:
            if keyword in plane:
                group[keyword] = plane[keyword]
        if group:
            setattr(item, name, [group])
    return item
