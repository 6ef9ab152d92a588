"""One image or code explained: a figure, a table of bands, JSON, and a panel."""

from __future__ import annotations

import csv
import io
import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfixcx.cli._console import panel, ratio, write_json
from deepfixcx.io.results import check_earlier, claimed_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepfixcx.code import Code
    from deepfixcx.explain.bands import BandSummary, Energy
    from deepfixcx.spec import CodecSpec

__all__ = ["Asked", "explain_one"]

LEAST_PADDING = 0.005
"""A smaller share of energy that padding has is not shown."""

FIGURE, TABLE, WHOLE = "explanation.png", "bands.csv", "explanation.json"


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


def explain_one(where: Path, out: Path, asked: Asked, *, json: Path | None) -> None:
    """Write what the code of one image keeps, and close with a panel."""
    from deepfixcx.errors import ImageFileError
    from deepfixcx.explain.bands import band_energy, code_energy, explain_bands
    from deepfixcx.report.drawing import figure_bytes
    from deepfixcx.report.explained_image import explained_figure
    from deepfixcx.report.words import Kept

    if where.is_dir():
        raise ImageFileError(
            "explain takes one image or one file of codes (in the folder codes of a release); "
            "for a folder, add --model, whose scores are explained on all its images"
        )
    _check_out(out, overwrite=asked.overwrite)
    source = _read_source(where, asked)
    code = source.code
    height, width = map(int, code.sizes[0])
    summary = explain_bands(code.spec, height, width, source.spacing)
    pixels = source.pixels
    energy = code_energy(code) if pixels is None else band_energy(pixels, code.spec)
    kept = Kept.of_image(code.spec, code.channels, height, width)
    figure = explained_figure(
        code, summary, energy, original=pixels if asked.show_original else None
    )
    bands = _band_rows(summary, energy)
    about = {
        "channels": code.channels,
        "index": asked.index,
        "energy": _energy_values(energy, summary),
        "bands": bands,
    }
    contents: dict[str, bytes | str] = {
        FIGURE: figure_bytes(figure),
        TABLE: _as_csv(bands),
        WHOLE: json_module.dumps(summary.to_dict() | about, indent=2) + "\n",
    }
    _write(out, contents, overwrite=asked.overwrite)
    write_json(
        json,
        {
            "command": "explain",
            "kind": "code",
            "folder": str(out),
            "files": [FIGURE, TABLE, WHOLE],
            "images": source.images,
            "index": asked.index,
            "channels": code.channels,
            "height": height,
            "width": width,
            "spec": code.spec.to_dict(),
            "numbers_kept": kept.numbers,
            "numbers_source": kept.of,
            "percent_kept": round(100 * kept.numbers / kept.of, 6),
            "ratio_numbers": ratio(kept.of, kept.numbers),
            "spacing_mm": None if source.spacing is None else list(source.spacing),
            "spacing_at_detector": source.at_detector,
            "original_shown": asked.show_original,
        },
    )
    _close(source, summary, energy, str(kept), out, asked)


def _read_source(where: Path, asked: Asked) -> Source:
    """Read one image as pixels and code, or as a code alone."""
    from deepfixcx.errors import DeepfixcxError

    try:
        return _read(where, asked)
    except DeepfixcxError as error:
        raise type(error)(f"IN, the file to explain: {error}") from None


def _read(where: Path, asked: Asked) -> Source:
    from deepfixcx.codec import Codec
    from deepfixcx.images import DEFAULT_MAX_PIXELS, read_image
    from deepfixcx.images.reading import pixel_spacing

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


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse, before any work, a folder that cannot or should not be written."""
    from deepfixcx.errors import ReleaseError

    if not out.exists() and not out.parent.is_dir():
        raise ReleaseError(
            f"the folder {str(out.parent)!r}, in which {out.name!r} would be made, does not "
            "exist; create it or choose another folder"
        )
    check_earlier(out, (FIGURE, TABLE, WHOLE), "an explanation", overwrite=overwrite)


def _write(out: Path, contents: Mapping[str, bytes | str], *, overwrite: bool) -> None:
    """Write files, each whole or not at all, or replace those of an earlier explanation."""
    from deepfixcx.errors import ReleaseError

    try:
        with claimed_folder(out, ReleaseError) as own:
            check_earlier(out, contents, "an explanation", overwrite=overwrite)
            for name, content in contents.items():
                own.write(out, name, content)
    except OSError as error:
        raise ReleaseError(
            f"{str(out)!r} cannot be written: {error.strerror}; choose another path"
        ) from None


def _band_rows(summary: BandSummary, energy: Energy) -> list[dict[str, object]]:
    """Return a row for each band: its name, its energy, and the topics of what is said of it."""
    from deepfixcx.explain.removal import KINDS

    rows: list[dict[str, object]] = []
    for name, row in zip(summary.bands, summary.table(), strict=True):
        said = summary.of(name.path)
        topics: dict[str, object] = {
            kind: ";".join(each.topic for each in said if each.kind == kind) for kind in KINDS
        }
        shares: dict[str, object] = {
            "share": float(energy.shares[name.number]),
            "share_of_details": float(energy.details[name.number]),
        }
        rows.append({"name": name.words, **row, **shares, **topics})
    return rows


def _as_csv(rows: list[dict[str, object]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _energy_values(energy: Energy, summary: BandSummary) -> dict[str, object]:
    from deepfixcx.explain.naming import ORIENTATIONS

    table = energy.by_scale_and_orientation()
    shares = [
        {
            "orientation": orientation,
            "finest_pixels": low,
            "coarsest_pixels": high,
            "share_of_details": float(table[row, column]),
        }
        for row, orientation in enumerate(ORIENTATIONS)
        for column, (low, high) in enumerate(energy.octaves())
    ]
    return {
        "exact": energy.exact,
        "padding": energy.padding,
        "brightness": energy.brightness,
        "by_scale_and_orientation": shares,
        "strongest": [name.in_words(summary.spacing) for name in energy.strongest(3)],
    }


def _close(
    source: Source, summary: BandSummary, energy: Energy, kept: str, out: Path, asked: Asked
) -> None:
    shown = (
        "shows the original; do not share it"
        if asked.show_original
        else "does not show the original; protect it like the code"
    )
    which = f", number {asked.index} of {source.images}" if source.images > 1 else ""
    rows = [
        ("figure", f"{out / FIGURE}  {shown}"),
        ("tables", f"{out / TABLE}, {out / WHOLE}"),
        ("image", f"{summary.height} × {summary.width} pixels{source.spacing_words}{which}"),
        ("kept", f"{kept}, with {summary.spec}"),
        *summary.lines(),
        *_energy_rows(energy),
    ]
    panel("explain", rows)


def _energy_rows(energy: Energy) -> list[tuple[str, str]]:
    """Return a small table of shares: orientations down, scales across."""
    from deepfixcx.explain.naming import ORIENTATIONS, extent

    heads = [f"{extent(low, high)} px" for low, high in energy.octaves()]
    table = energy.by_scale_and_orientation()
    rows = [("energy", "  ".join(f"{head:>9}" for head in heads))]
    for orientation, shares in zip(ORIENTATIONS, table, strict=True):
        cells = [f"{100 * share:.1f} %" for share in shares]
        rows.append((f"  {orientation}", "  ".join(f"{cell:>9}" for cell in cells)))
    note = "" if energy.exact else ", estimated from the code"
    rows.append(
        (
            "",
            (
                f"of the energy without local brightness, which has {100 * energy.brightness:.1f} "
                f"%{note}"
            ),
        )
    )
    if energy.padding > LEAST_PADDING:
        words = f"left out: {100 * energy.padding:.2g} % of the energy of edges, which is padding"
        rows.append(("", f"{words} at the border"))
    strongest = "; ".join(name.words for name in energy.strongest(3))
    rows.append(("strongest", strongest or "no edges at all"))
    return rows
