"""The slices of a DICOM series, or the frames of an enhanced multi-frame file, as one volume.

Slices are sorted by their position along the normal. Whatever contradicts one regular volume is
refused by name: a gap, two slices at one place, mixed sizes, spacings, orientations or depths. The
modality LUT is applied to each slice. A window is applied where all slices have the same one: one
slice must not be brighter than the next because its window differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from deepfixcx.errors import DeepfixcxError, NotAVolumeError, OversizedImageError, SeriesError
from deepfixcx.images.dicom.display import displayed_gray, is_inverted, modality_values
from deepfixcx.images.dicom.geometry import numbers, plane_of
from deepfixcx.images.dicom.reading import (
    DicomValues,
    decoded_values,
    unit_of,
    windows_of,
    without_pixels_error,
)
from deepfixcx.images.frames import check_size
from deepfixcx.images.volumes import Volume, stored_places, turn_upright, turned_of

__all__ = ["holds_slices", "moved_headers", "series_of", "volume_and_values", "volume_of_slices"]

_SAME: Final = 1e-3
"""Largest difference of cosines, and relative one of spacings, of slices of one volume."""

_UNEVEN: Final = 0.05
"""Largest difference of a distance between slices from the usual one, as a share of it."""

_WINDOW: Final = (
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "VOILUTSequence",
)
_DEPTH: Final = ("BitsStored", "PixelRepresentation", "PhotometricInterpretation")
_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_OTHER_WINDOWS: Final = (
    "the windows of the slices differ, so none was applied: the smallest value of the volume is "
    "black and the largest white"
)


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """One slice: its stored values (H, W), its header, and where it lies (LPS, millimetres)."""

    values: NDArray[Any]
    header: Dataset
    groups: tuple[Dataset, ...]
    position: NDArray[np.float64]
    cosines: NDArray[np.float64]
    spacing: NDArray[np.float64]


def series_of(stream: BinaryIO) -> tuple[str, ...]:
    """Return what identifies the series of a slice; empty for a file that is an input alone."""
    wanted = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "NumberOfFrames", "Rows"]
    header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*wanted])
    if "Rows" not in header or int(header.get("NumberOfFrames") or 1) > 1:
        return ()
    series = tuple(str(header.get(name) or "") for name in wanted[:3])
    return series if series[2] else ()


def holds_slices(stream: BinaryIO) -> bool:
    """Return whether an enhanced file says of each of its frames where it lies."""
    wanted = ["NumberOfFrames", "PerFrameFunctionalGroupsSequence"]
    header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*wanted])
    return int(header.get("NumberOfFrames") or 1) > 1 and wanted[1] in header


def volume_of_slices(streams: Iterable[BinaryIO], max_pixels: int) -> Volume:
    """Read the files of one series, which hold one slice each, or one file of several frames."""
    notes: list[str] = []
    return _volume(*_read(streams, max_pixels, notes), notes)


def volume_and_values(streams: Iterable[BinaryIO], max_pixels: int) -> tuple[Volume, DicomValues]:
    """Read a volume, and (1, D, H, W) values of the modality where its voxels lie."""
    notes: list[str] = []
    ordered, affine = _read(streams, max_pixels, notes)
    volume = _volume(ordered, affine, notes)
    values = turn_upright(modality_values(*_stacked(ordered, [])), volume.turned)[np.newaxis]
    header = ordered[0].header
    return volume, DicomValues(values, unit_of(header), windows_of(header))


def _volume(slices: Sequence[_Slice], affine: NDArray[np.float64], notes: list[str]) -> Volume:
    headers = tuple(each.header for each in slices)
    alone = len({id(header) for header in headers}) == len(headers)
    stored, whole = _stacked(slices, notes)
    inverted = is_inverted(str(headers[0].get("PhotometricInterpretation")), headers[0])
    shown = displayed_gray(stored, whole, notes, inverted=inverted)[:, 0]
    turned = turned_of(affine, shown.shape)
    voxels = turn_upright(shown, turned)
    return Volume(
        voxels[np.newaxis, np.newaxis],
        affine @ stored_places(turned, voxels.shape),
        8 if voxels.dtype == np.uint8 else 16,
        "DICOM",
        turned,
        notes=tuple(dict.fromkeys(notes)),
        headers=headers if alone else (),
    )


def _read(
    streams: Iterable[BinaryIO], max_pixels: int, notes: list[str]
) -> tuple[list[_Slice], NDArray[np.float64]]:
    """Read slices, sorted along their normal, and the affine of their volume."""
    found: list[_Slice] = []
    pixels = 0
    for stream in streams:
        slices = _slices_of(stream, max_pixels, notes)
        pixels += sum(each.values.size for each in slices)
        if pixels > max_pixels:
            raise OversizedImageError(
                f"the series has more than {max_pixels:,} voxels; if you trust it, raise "
                "max_pixels (--max-pixels)"
            )
        found += slices
    if len(found) < 2:
        raise NotAVolumeError(
            "this is one DICOM image, not the slices of a volume; exclude the file, or omit "
            "--volumes"
        )
    _check_same(found)
    return _sorted(found)


def _slices_of(stream: BinaryIO, max_pixels: int, notes: list[str]) -> list[_Slice]:
    stream.seek(0)
    dataset = dcmread(stream, force=True)
    if not any(name in dataset for name in _PIXELS):
        raise without_pixels_error(dataset)
    frames = int(dataset.get("NumberOfFrames") or 1)
    check_size(int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0), frames, max_pixels)
    if "MOSAIC" in (dataset.get("ImageType") or ()):
        raise NotAVolumeError(
            "this file is a mosaic, in which slices lie beside each other on one picture; convert "
            "the series to NIfTI, for example with dcm2niix"
        )
    stored = decoded_values(dataset)
    notes += stored.notes
    if stored.values.shape[-1] != 1 or not stored.photometric.startswith("MONOCHROME"):
        raise NotAVolumeError("slices in colour are no volume of one value a voxel; exclude them")
    for name in _PIXELS:
        dataset.pop(name, None)
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if frames > 1 and len(own) != frames:
        raise NotAVolumeError(
            "the frames of this file have no positions in space: it is a film or a stack of "
            "pictures; exclude the file, or omit --volumes"
        )
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    groups = [(group, shared) for group in own] if frames > 1 else [()]
    return [
        _placed(values[..., 0], dataset, some)
        for values, some in zip(stored.values, groups, strict=True)
    ]


def _placed(values: NDArray[Any], header: Dataset, groups: tuple[Dataset, ...]) -> _Slice:
    """Read where a slice lies; `groups` are its own and the shared ones of a multi-frame file."""
    plane = plane_of(groups[1], groups[0]) if groups else header
    position = numbers(plane, "ImagePositionPatient", 3)
    cosines = numbers(plane, "ImageOrientationPatient", 6)
    spacing = numbers(plane, "PixelSpacing", 2)
    if position is None or cosines is None or spacing is None or min(spacing) <= 0:
        raise NotAVolumeError(
            "a slice has no position, orientation or pixel spacing in its header, so its place in "
            "the volume is unknown; exclude the series, or omit --volumes"
        )
    return _Slice(values, header, groups, np.array(position), np.array(cosines), np.array(spacing))


def _check_same(slices: Sequence[_Slice]) -> None:
    """Refuse slices of several sizes, orientations, spacings or depths."""
    first = slices[0]
    mixed = {
        "sizes": any(each.values.shape != first.values.shape for each in slices),
        "orientations": any(np.abs(each.cosines - first.cosines).max() > _SAME for each in slices),
        "pixel spacings": any(
            np.abs(each.spacing / first.spacing - 1).max() > _SAME for each in slices
        ),
        "depths or photometric interpretations": any(
            each.header.get(name) != first.header.get(name) for each in slices for name in _DEPTH
        ),
    }
    if names := [name for name, differs in mixed.items() if differs]:
        raise SeriesError(
            f"the slices have several {' and '.join(names)}, so they form no single volume; put "
            "localizers and other volumes in series of their own"
        )


def _sorted(slices: Sequence[_Slice]) -> tuple[list[_Slice], NDArray[np.float64]]:
    """Sort slices along their normal; return them with the affine of the volume."""
    along_row, along_column = slices[0].cosines[:3], slices[0].cosines[3:]
    normal = np.cross(along_row, along_column)
    if abs(np.linalg.norm(normal) - 1) > 10 * _SAME:
        raise SeriesError(
            "the orientation in the headers is not that of two perpendicular directions; correct it"
        )
    heights = np.array([each.position @ normal for each in slices])
    order = np.argsort(heights, kind="stable")
    ordered, heights = [slices[place] for place in order], heights[order]
    gaps = np.diff(heights)
    usual = float(np.median(gaps[gaps > _SAME])) if (gaps > _SAME).any() else 0.0
    if not usual or (gaps < 0.5 * _UNEVEN * usual).any():
        places = int((gaps > _SAME).sum()) + 1
        raise SeriesError(
            f"{len(slices)} slices lie at {places} positions: slices are duplicates, or the "
            "series has several volumes, such as times, echoes or directions; remove the "
            "duplicates, or give each volume a series of its own"
        )
    uneven = np.flatnonzero(np.abs(gaps - usual) > _UNEVEN * usual)
    if uneven.size:
        raise SeriesError(
            f"the series has a gap: slices {uneven[0] + 1} and {uneven[0] + 2} of {len(slices)} "
            f"are {gaps[uneven[0]]:.3g} mm apart, and most are {usual:.3g} mm apart; add the "
            "missing slices"
        )
    positions = np.stack([each.position for each in ordered])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    deviations = positions - positions[0] - np.arange(len(slices))[:, np.newaxis] * step
    if np.abs(deviations).max() > max(_UNEVEN * usual, float(slices[0].spacing.min())):
        raise SeriesError("the slices do not lie behind each other on one line; exclude the series")
    affine = np.eye(4)
    down, right = slices[0].spacing
    affine[:3] = np.stack([along_row * right, along_column * down, step, positions[0]], axis=1)
    return ordered, _TO_RAS @ affine


def _stacked(slices: Sequence[_Slice], notes: list[str]) -> tuple[NDArray[Any], Dataset]:
    """Return stored values (D, H, W), and a header that says of each slice how it is shown."""
    header = slices[0].header
    whole = Dataset()
    for name in (*_DEPTH, "PresentationLUTShape", "PixelPaddingValue", "PixelPaddingRangeLimit"):
        if name in header:
            whole[name] = header[name]
    windows = [_settings(each, "FrameVOILUTSequence", _WINDOW) for each in slices]
    if any(window != windows[0] for window in windows):
        notes.append(_OTHER_WINDOWS)
        windows = [Dataset()] * len(slices)
    groups = [Dataset() for _ in slices]
    for group, one, window in zip(groups, slices, windows, strict=True):
        scaled = _settings(one, "PixelValueTransformationSequence", _MODALITY)
        group.PixelValueTransformationSequence = [scaled]
        group.FrameVOILUTSequence = [window]
    whole.PerFrameFunctionalGroupsSequence = groups
    return np.stack([each.values for each in slices]), whole


_MODALITY: Final = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")


def _settings(one: _Slice, macro: str, names: Sequence[str]) -> Dataset:
    """Return what a slice has of some settings: in a functional group, or in its header."""
    groups = (item for group in one.groups for item in group.get(macro) or ())
    source, found = next(groups, one.header), Dataset()
    for name in names:
        if name in source:
            found[name] = source[name]
    return found


def moved_headers(volume: Volume, offset: float, step: float, count: int) -> list[Dataset]:
    """Return a header for each slice of a new lattice: that of the nearest slice, moved.

    New slice k lies at ``offset + step * k``, counted in slices of the source.
    """
    headers = volume.headers
    if not headers:
        raise SeriesError(
            "only the slices of a DICOM series become a DICOM series; write this volume with "
            "--output images"
        )
    first = np.array(numbers(headers[0], "ImagePositionPatient", 3))
    last = np.array(numbers(headers[-1], "ImagePositionPatient", 3))
    between = (last - first) / (len(headers) - 1)
    made = []
    for place in range(count):
        at = offset + step * place
        header = Dataset()
        header.update(headers[min(max(round(at), 0), len(headers) - 1)])
        header.ImagePositionPatient = [f"{value:.10g}" for value in first + at * between]
        header.InstanceNumber = place + 1
        header.pop("SliceLocation", None)
        for name in ("SliceThickness", "SpacingBetweenSlices"):
            if one := _positive(header, name):
                setattr(header, name, f"{one * step:.10g}")
        made.append(header)
    return made


def _positive(header: Dataset, name: str) -> float:
    try:
        return max(float(header.get(name) or 0), 0.0)
    except (TypeError, ValueError, DeepfixcxError):
        return 0.0
