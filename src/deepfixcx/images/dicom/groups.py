"""Where each frame of a multi-frame image lies: the three functional groups that say so."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from pydicom.dataset import Dataset

from deepfixcx.images.dicom.geometry import Lattice, adjust_geometry

__all__ = ["plane_groups"]

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
    """Carry spacing, position and orientation of every frame over to a new lattice of pixels.

    Parameters
    ----------
    header : Dataset
        The header of the source.
    frames : int
        How many frames there are.
    lattice : Lattice
        Where the new pixels lie on those of the source.

    Returns
    -------
    Dataset
        The shared and the per-frame functional groups; empty where the header does not say all
        three things of each frame.

    References
    ----------
    DICOM PS3.3 C.7.6.16 (functional groups).

    Examples
    --------
    >>> len(plane_groups(Dataset(), 3, Lattice()))
    0
    """
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    own = list(header.get("PerFrameFunctionalGroupsSequence") or ())
    found = Dataset()
    if len(own) != frames:
        return found
    planes = [_plane(shared, each) for each in own]
    if not all(keyword in plane for plane in planes for keyword in _NEEDED):
        return found
    for plane in planes:
        adjust_geometry(plane, lattice)
    found.SharedFunctionalGroupsSequence = [Dataset()]
    found.PerFrameFunctionalGroupsSequence = list(map(_grouped, planes))
    return found


def _plane(shared: Dataset, own: Dataset) -> Dataset:
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
