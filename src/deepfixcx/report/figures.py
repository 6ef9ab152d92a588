"""Images before and after compression: one setting, a sheet of many, and several images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.choices import Size
from deepfixcx.codec import Codec
from deepfixcx.errors import ImageTooSmallError, PixelsShapeError, SpecError
from deepfixcx.images.volumes import Volume
from deepfixcx.packets import pixel_scale
from deepfixcx.report.drawing import (
    FONT,
    MUTED,
    Page,
    as_image,
    draw_bar,
    draw_mosaic,
    for_display,
    panel_size,
)
from deepfixcx.report.html import mosaic
from deepfixcx.report.words import Kept, obscured, preserved, removed
from deepfixcx.spec import CodecSpec

__all__ = [
    "DEFAULT_LEVELS",
    "DEFAULT_PATCHES",
    "contact_sheet",
    "draw_tile",
    "gallery",
    "planes_figure",
    "show_figure",
    "tile_size",
]

MARGIN, GAP, HEAD, FOOT = 0.3, 0.3, 0.85, 1.6
BAR, AXIS = 1.2, 0.32  # room right of and around the mosaic


def show_figure(
    pixels: NDArray[Any], codec: Codec, *, size: Size = "compact", frames: int = 1
) -> Figure:
    """Draw the original, its reconstruction, and the code.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (C, H, W)
        One image. uint8 and uint16 are scaled to [0, 1]; floats are taken as they are, and
        clipped to [0, 1] for drawing. C = 3 is drawn as RGB.
    codec : Codec
        Codec of the reconstruction.
    size : {"compact", "original"}
        Which reconstruction to draw.
    frames : int
        Frames in the file that the image is the first of; said in the title.

    Returns
    -------
    matplotlib.figure.Figure
        About 13 x 6 inches; write it with `write_figure`. It names no file.

    Raises
    ------
    PixelsError
        The image does not fit the codec.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((64, 64), np.float32)
    >>> figure = show_figure(image, Codec(level=2, patches=4))
    >>> figure.texts[0].get_text(), figure.texts[2].get_text()
    ('original', 'privatized')
    """
    codec.spec.refuse_volumes("this figure")
    image = as_image(pixels)
    channels, height, width = image.shape
    spec = codec.spec
    code = codec.encode(image)
    reconstruction = np.asarray(codec.decode(code, size), np.float32)[0]
    wide, high = panel_size(height, width)
    page = Page(2 * MARGIN + 3 * wide + 2 * GAP + AXIS + BAR, HEAD + high + AXIS + FOOT)
    lefts = [MARGIN, MARGIN + wide + GAP, MARGIN + 2 * wide + 2 * GAP + AXIS]
    first = f", frame 1 of {frames}" if frames > 1 else ""
    page.heading(lefts[0], 0, "original", f"{_pixels(height, width)}{first}")
    page.image(for_display(image), lefts[0], HEAD, wide, high)
    page.heading(
        lefts[1], 0, "privatized", _privatized_words(size, reconstruction.shape[1:], height)
    )
    page.image(for_display(reconstruction), lefts[1], HEAD, wide, high)
    rows, columns = spec.grid_shape
    page.heading(
        lefts[2], 0, "code",
        f"{spec.block} × {spec.block} bands of {rows} × {columns} cells, approximation framed",
    )  # fmt: skip
    axes = page.axes(lefts[2], HEAD, wide, high)
    drawn = draw_mosaic(axes, mosaic(code), spec)
    left, bottom = lefts[2], HEAD + high
    page.text(left, bottom + 0.07, "finer vertical edges →", 12)
    page.text(left - 0.07, HEAD, "finer horizontal edges →", 12, rotation=270, ha="right")
    draw_bar(page, drawn, left + wide + 0.12, HEAD, high)
    side = page.width - MARGIN + 0.05
    page.text(side, HEAD, "size (largest: 1)", 12, rotation=270, ha="right")
    _explain(page, spec, Kept.of_image(spec, channels, height, width), (height, width))
    return page.figure


PLANE, ABOVE_PLANE = 3.4, 0.66
"""Side of the square in which a plane is drawn, and room above it, in inches."""

PLANES = {"R": "sagittal", "L": "sagittal", "A": "coronal", "P": "coronal"}
"""Names of planes by where the axis leads on which they stand; others are axial."""


def planes_figure(volume: Volume, codec: Codec, *, size: Size = "compact") -> Figure:
    """Draw three planes through the middle of a volume, before and after privatization."""
    aff2axcodes = require("nibabel", extra="nifti").aff2axcodes
    original = np.asarray(volume.voxels[0, 0], np.float32) * pixel_scale(volume.voxels)
    after = np.asarray(codec.privatize(volume.voxels[0], size), np.float32)[0]
    sides = np.linalg.norm(volume.affine[:3, :3], axis=0)[::-1] * volume.size  # millimetres
    leads = [str(each) for each in aff2axcodes(volume.affine)[::-1]]
    page = Page(2 * MARGIN + 3 * PLANE + 2 * GAP, 2 * (PLANE + ABOVE_PLANE) + 0.6)
    for row, (title, voxels) in enumerate((("original", original), ("privatized", after))):
        for axis in range(3):
            left, top = MARGIN + axis * (PLANE + GAP), row * (PLANE + ABOVE_PLANE)
            vertical, across = (other for other in range(3) if other != axis)
            plane = voxels.take(voxels.shape[axis] // 2, axis)
            if leads[vertical] == "S":
                plane = plane[::-1]  # the head is up
            scale = PLANE / max(sides[vertical], sides[across])
            name = PLANES.get(leads[axis], "axial")
            words = f"{name} plane, {plane.shape[0]:,} × {plane.shape[1]:,} voxels"
            page.text(left, top + 0.1, title if not axis else "", 15, weight="bold")
            page.text(left, top + 0.41, words, 11, color=MUTED)
            wide, high = (float(sides[side] * scale) for side in (across, vertical))
            page.image(np.clip(plane, 0, 1), left, top + ABOVE_PLANE, wide, high)
    kept = Kept(codec.spec.numbers(1), int(np.prod(volume.size)))
    page.text(MARGIN, page.height - 0.4, f"kept: {kept}, with {codec.spec}", 13)
    return page.figure


def _pixels(height: int, width: int) -> str:
    return f"{height:,} × {width:,} pixels"


def _privatized_words(size: Size, shape: tuple[int, ...], height: int) -> str:
    words = _pixels(*shape)
    if size == "original":
        return f"{words}, cells filled in"
    return f"{words}, drawn larger" if shape[0] < height else words


def _explain(page: Page, spec: CodecSpec, kept: Kept, size: tuple[int, int]) -> None:
    top = page.height - FOOT + 0.25
    rows = (
        ("kept", f"{kept}, with {spec}"),
        ("removed", removed(spec, *size)),
        ("obscured", obscured(spec, *size)),
        ("preserved", preserved(spec)),
    )
    for line, (name, words) in enumerate(rows):
        page.text(MARGIN, top + 0.32 * line, name, 13, weight="bold")
        page.text(MARGIN + 1.15, top + 0.32 * line, words, 13)


DEFAULT_LEVELS, DEFAULT_PATCHES = (1, 2, 3, 4, 5), (2, 4, 8, 16, 32)

TILE = 1.75  # inches, the width of an image
EDGE, SPACE, CAPTION, TITLES, SIDE = 0.25, 0.12, 0.3, 0.4, 0.75
TITLES_OF_SPECS = 0.62
TEXT = 11
MOST_LETTERS = 22  # fit below a tile at full size

LEGEND = (
    "Down: J, the level;",
    "there are 4ᴶ bands.",
    "Across: P × P cells",
    "in each band.",
    "Below each image:",
    "the values kept.",
)
"""Explanation below the original."""


def contact_sheet(
    pixels: NDArray[Any],
    levels: Sequence[int] = DEFAULT_LEVELS,
    patches: Sequence[int] = DEFAULT_PATCHES,
    *,
    like: CodecSpec | None = None,
    frames: int = 1,
) -> Figure:
    """Draw the reconstructions of an image for every level and every number of patches.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (C, H, W)
        One image; as in `show_figure`.
    levels, patches : sequence of int
        The rows J and the columns P of the sheet.
    like : CodecSpec, optional
        Wavelet, pooling, boundary and grid; by default those of `CodecSpec`.
    frames : int
        Frames in the file that the image is the first of; said in the title.

    Returns
    -------
    matplotlib.figure.Figure
        The original, then a row for each level. Below each reconstruction stand the values kept
        and the compression ratio. Settings that do not fit the image are gray and say why.

    Raises
    ------
    PixelsError
        No image, or NaN or infinity in it.
    SpecError
        No or unusable levels or patches.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495, figure of reconstructions.

    Examples
    --------
    >>> figure = contact_sheet(np.eye(64, dtype=np.float32), levels=(2, 3), patches=(4, 16))
    >>> [text.get_text() for text in figure.texts if "64 ×" in text.get_text()]
    ['64 × 64 pixels']
    """
    if not levels or not patches:
        raise SpecError("a contact sheet needs at least one level and one number of patches")
    image = as_image(pixels)
    specs = [[_spec(level, count, like) for count in patches] for level in levels]
    wide, high = tile_size(*image.shape[1:])
    left = EDGE + wide + SPACE + SIDE
    page = Page(
        left + len(patches) * (wide + SPACE) - SPACE + EDGE,
        EDGE + TITLES + max(len(levels), 2) * (high + CAPTION + SPACE) - SPACE + 0.1,
    )
    _draw_original(page, image, frames, wide, high)
    for column, count in enumerate(patches):
        middle = left + column * (wide + SPACE) + wide / 2
        page.text(middle, EDGE, f"P = {count}", 14, weight="bold", ha="center")
    for row, (level, of_row) in enumerate(zip(levels, specs, strict=True)):
        top = EDGE + TITLES + row * (high + CAPTION + SPACE)
        page.text(
            left - 0.12, top + high / 2, f"J = {level}", 14, weight="bold", ha="right", va="center"
        )
        for column, spec in enumerate(of_row):
            draw_tile(page, image, spec, (left + column * (wide + SPACE), top, wide, high))
    return page.figure


def _spec(level: int, patches: int, like: CodecSpec | None) -> CodecSpec:
    if like is None:
        return CodecSpec(level, patches)
    return replace(like, level=level, patches=patches)


def tile_size(height: int, width: int) -> tuple[float, float]:
    """Return width and height of a tile in inches; extreme shapes are drawn less extreme."""
    return TILE, TILE / float(np.clip(width / height, 0.6, 1.8))


def _draw_original(page: Page, image: NDArray[Any], frames: int, wide: float, high: float) -> None:
    channels, height, width = image.shape
    page.text(EDGE, EDGE, "original", 14, weight="bold")
    page.image(for_display(image), EDGE, EDGE + TITLES, wide, high)
    words = [f"{height:,} × {width:,} pixels"]
    if frames > 1:
        words.append(f"frame 1 of {frames}")
    words += [f"{channels * height * width:,} values"]
    for line, text in enumerate(words):
        page.text(EDGE, EDGE + TITLES + high + 0.07 + 0.2 * line, text, TEXT, color=MUTED)
    top = EDGE + TITLES + high + 0.35 + 0.2 * len(words)
    for line, text in enumerate(LEGEND):
        page.text(EDGE, top + 0.2 * line, text, TEXT)


def draw_tile(
    page: Page, image: NDArray[Any], spec: CodecSpec, place: tuple[float, float, float, float]
) -> None:
    """Draw one reconstruction with the values kept below it, or the reason why there is none."""
    left, top, wide, high = place
    try:
        reconstruction = Codec(spec).privatize(image, size="original")
    except ImageTooSmallError:
        axes = page.axes(*place)
        axes.set_facecolor("#e9e9e9")
        rows, columns = spec.band_shape(*image.shape[1:])
        reason = f"does not fit:\nbands have\n{rows} × {columns} values"
        axes.text(
            0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center",
            fontsize=TEXT, color=MUTED, family=FONT, linespacing=1.4,
        )  # fmt: skip
        return
    page.image(for_display(reconstruction), *place)
    channels, height, width = image.shape
    kept = Kept.of_image(spec, channels, height, width)
    words = f"{kept.percent}  ({kept.ratio})"
    size = TEXT * min(1, MOST_LETTERS / len(words))
    page.text(left + wide / 2, top + high + 0.07, words, size, ha="center")


def gallery(images: Mapping[str, NDArray[Any]], specs: Sequence[CodecSpec]) -> Figure:
    """Draw a row for each image: the original, then its reconstruction for each spec.

    Parameters
    ----------
    images : mapping of str to ndarray, shape (H, W) or (C, H, W)
        Images by a title of one or two words, which is drawn; it must not identify a patient.
    specs : sequence of CodecSpec
        One column each.

    Returns
    -------
    matplotlib.figure.Figure
        Below each reconstruction stand the values kept and the compression ratio.

    Raises
    ------
    PixelsError
        No images, or one that is no image.
    SpecError
        No specs.

    Examples
    --------
    >>> import numpy as np
    >>> figure = gallery({"ramp": np.eye(64)}, [CodecSpec(2, 4), CodecSpec(2, 8)])
    >>> [text.get_text() for text in figure.texts if "%" in text.get_text()]
    ['6.2 %  (1 : 16)', '25 %  (1 : 4)']
    """
    if not images:
        raise PixelsShapeError("a gallery needs at least one image")
    if not specs:
        raise SpecError("a gallery needs at least one spec")
    rows = {title: as_image(pixels) for title, pixels in images.items()}
    sizes = [tile_size(*image.shape[1:]) for image in rows.values()]
    wide = sizes[0][0]
    height = EDGE + TITLES_OF_SPECS + sum(high + CAPTION + SPACE for _, high in sizes) - SPACE + 0.1
    page = Page(2 * EDGE + (len(specs) + 1) * (wide + SPACE) + SPACE, height)
    page.text(EDGE, EDGE, "original", 14, weight="bold")
    lefts = [EDGE + 2 * SPACE + (column + 1) * (wide + SPACE) for column in range(len(specs))]
    for spec, left in zip(specs, lefts, strict=True):
        cells = " × ".join(str(count) for count in spec.grid_shape)
        page.text(left, EDGE, f"{cells} cells", 14, weight="bold")
        page.text(left, EDGE + 0.29, str(spec), 11, color=MUTED)
    top = EDGE + TITLES_OF_SPECS
    for (title, image), (_, high) in zip(rows.items(), sizes, strict=True):
        page.image(for_display(image), EDGE, top, wide, high)
        page.text(EDGE + wide / 2, top + high + 0.07, title, 11, ha="center")
        for spec, left in zip(specs, lefts, strict=True):
            draw_tile(page, image, spec, (left, top, wide, high))
        top += high + CAPTION + SPACE
    return page.figure
