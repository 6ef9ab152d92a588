"""``deepfixcx show``: one image before and after, and what its code holds, as a figure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx.choices import Boundary, Grid, Size
from deepfixcx.cli._console import panel, program, ratio, write_json
from deepfixcx.cli._options import (
    BOUNDARY,
    GRID,
    JSON,
    LEVEL,
    LEVEL_Z,
    MAX_PIXELS,
    OVERWRITE,
    PATCHES,
    POOLING,
    SIZE,
    SUGGESTED_LEVEL,
    SUGGESTED_PATCHES,
    VOLUMES,
    WAVELET,
    spec_of,
)

if TYPE_CHECKING:
    from deepfixcx.images import ImageFrames
    from deepfixcx.spec import CodecSpec

__all__ = ["command"]


def command(
    where: Annotated[Path, typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, BMP or DICOM.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Figure to write, a .png file.")],
    level: Annotated[int | None, LEVEL] = None,
    patches: Annotated[str | None, PATCHES] = None,
    wavelet: Annotated[str, WAVELET] = "haar",
    pooling: Annotated[str, POOLING] = "l1",
    boundary: Annotated[Boundary, BOUNDARY] = "zero",
    grid: Annotated[Grid, GRID] = "balanced",
    size: Annotated[Size | None, SIZE] = None,
    volumes: Annotated[bool, VOLUMES] = False,
    level_z: Annotated[int | None, LEVEL_Z] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Draw reconstructions for several J and P instead.")
    ] = False,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Draw one image before and after privatization, and the values of each band.

    The figure shows the original: do not share it. Of a file with several frames, the first is
    drawn; with --volumes three planes of a NIfTI file or of the folder of a DICOM series.

    Example: deepfixcx show xray.png -o show.png --level 3 --patches 8
    """
    from deepfixcx.datasets.files import local_path
    from deepfixcx.errors import SpecError
    from deepfixcx.images import DEFAULT_MAX_PIXELS, read_image

    if sheet and (level, patches, size, volumes) != (None, None, None, False):
        raise SpecError(
            "--sheet draws many levels and patches at the original size; omit --level, "
            "--patches, --size and --volumes, or omit --sheet"
        )
    spec = spec_of(
        SUGGESTED_LEVEL if level is None else level,
        str(SUGGESTED_PATCHES) if patches is None else patches,
        wavelet,
        pooling,
        boundary,
        grid,
        volumes,
        level_z,
    )
    where = local_path(where, "an image")
    _check_places(where, out, overwrite=overwrite, volumes=volumes)
    most = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if volumes:
        write_json(json, _draw_volume(where, out, spec, size or "compact", most))
        return
    frames = read_image(where, max_pixels=most)
    figures = (
        _draw_sheet(frames, out, spec)
        if sheet
        else _draw_show(frames, out, spec, size or "compact")
    )
    write_json(json, figures)


def _check_places(where: Path, out: Path, *, overwrite: bool, volumes: bool) -> None:
    """Refuse, before any work, a folder, or a place where no figure can or should be written."""
    from deepfixcx.errors import ImageFileError, ReleaseError
    from deepfixcx.io.results import check_result

    if os.path.isdir(where) and not volumes:
        raise ImageFileError("show takes one image; for a folder use inspect or privatize")
    if out.suffix.lower() != ".png":
        raise ReleaseError(f"the figure is a PNG; name it {str(out.with_suffix('.png'))!r}")
    check_result(out, "-o", ".png", overwrite=overwrite)


def _draw_show(frames: ImageFrames, out: Path, spec: CodecSpec, size: Size) -> dict[str, object]:
    from deepfixcx.codec import Codec
    from deepfixcx.report import Kept, show_figure, write_figure

    pixels = frames.pixels[0]
    channels, height, width = pixels.shape
    figure = show_figure(pixels, Codec(spec), size=size, frames=len(frames.pixels))
    write_figure(out, figure)
    kept = Kept.of_image(spec, channels, height, width)
    panel(
        "show",
        [
            ("figure", f"{out}  shows the original; do not share it"),
            ("image", _image_words(frames)),
            ("spec", str(spec)),
            ("kept", str(kept)),
            ("next", "privatize a folder like this: " + _privatize_line(spec)),
            ("", f"compare other settings: {program()} show IMAGE -o {out.stem}-sheet.png --sheet"),
        ],
    )
    return _figures(frames, out, "show") | {
        "spec": spec.to_dict(),
        "numbers_kept": kept.numbers,
        "numbers_source": kept.of,
        "percent_kept": round(100 * kept.numbers / kept.of, 6),
        "ratio_numbers": ratio(kept.of, kept.numbers),
    }


def _draw_volume(
    where: Path, out: Path, spec: CodecSpec, size: Size, max_pixels: int
) -> dict[str, object]:
    from deepfixcx.codec import Codec
    from deepfixcx.errors import DeepfixcxError, NotAVolumeError
    from deepfixcx.release import find_sources
    from deepfixcx.release.volumes import read_input
    from deepfixcx.report import write_figure
    from deepfixcx.report.figures import planes_figure
    from deepfixcx.report.words import Kept

    sources = find_sources(where, volumes=True).found
    if len(sources) != 1:
        raise NotAVolumeError(
            f"show draws one volume, and the folder has {len(sources)} inputs; name one NIfTI "
            "file, or the folder of one DICOM series"
        )
    volume, _ = read_input(sources[0].path, max_pixels)
    if isinstance(volume, DeepfixcxError):
        raise volume
    write_figure(out, planes_figure(volume, Codec(spec), size=size))
    depth, height, width = volume.size
    numbers, of = spec.numbers(1), depth * height * width
    panel(
        "show",
        [
            ("figure", f"{out}  shows the original; do not share it"),
            ("volume", f"{depth} slices of {height} × {width} pixels"),
            ("spec", str(spec)),
            ("kept", str(Kept(numbers, of))),
            ("next", "privatize a folder like this: " + _privatize_line(spec)),
        ],
    )
    return {
        "command": "show",
        "kind": "volume",
        "figure": str(out),
        "depth": depth,
        "height": height,
        "width": width,
        "spec": spec.to_dict(),
        "numbers_kept": numbers,
        "numbers_source": of,
        "percent_kept": round(100 * numbers / of, 6),
        "ratio_numbers": ratio(of, numbers),
    }


def _draw_sheet(frames: ImageFrames, out: Path, like: CodecSpec) -> dict[str, object]:
    from deepfixcx.report import contact_sheet, write_figure
    from deepfixcx.report.figures import DEFAULT_LEVELS, DEFAULT_PATCHES

    figure = contact_sheet(frames.pixels[0], like=like, frames=len(frames.pixels))
    write_figure(out, figure)
    levels, patches = (", ".join(map(str, some)) for some in (DEFAULT_LEVELS, DEFAULT_PATCHES))
    panel(
        "show",
        [
            ("figure", f"{out}  shows the original; do not share it"),
            ("image", _image_words(frames)),
            ("settings", f"levels {levels} down, patches {patches} across"),
            ("kept", "below each reconstruction: values kept, in percent and as a ratio"),
            ("next", f"draw one setting: {program()} show IMAGE -o {out.stem}-one.png -J 3 -P 4"),
        ],
    )
    return _figures(frames, out, "contact_sheet") | {
        "levels": list(DEFAULT_LEVELS),
        "patches": list(DEFAULT_PATCHES),
    }


def _image_words(frames: ImageFrames) -> str:
    count, _, height, width = frames.pixels.shape
    first = f", the first of {count} frames" if count > 1 else ""
    return f"{height} × {width} pixels{first}"


def _figures(frames: ImageFrames, out: Path, kind: str) -> dict[str, object]:
    count, channels, height, width = frames.pixels.shape
    return {
        "command": "show",
        "kind": kind,
        "figure": str(out),
        "frames": count,
        "channels": channels,
        "height": height,
        "width": width,
    }


def _privatize_line(spec: CodecSpec) -> str:
    """Return the command that does to a folder what the figure shows."""
    cells = spec.grid_shape
    patches = str(cells[0]) if len(set(cells)) == 1 else "x".join(map(str, cells))
    words = [f"{program()} privatize FOLDER OUT --level {spec.level} --patches {patches}"]
    words += ["--volumes"] if spec.ndim == 3 else []
    words += [f"--level-z {spec.level_z}"] if spec.level_z not in (None, spec.level) else []
    for name, value, default in (
        ("wavelet", spec.wavelet, "haar"),
        ("pooling", ",".join(spec.poolings), "l1"),
        ("boundary", spec.boundary, "zero"),
        ("grid", spec.grid, "balanced"),
    ):
        if value != default:
            words.append(f"--{name} {value}")
    return " ".join(words)
