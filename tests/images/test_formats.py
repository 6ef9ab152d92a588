"""Pixels are those of independent readers, or the file is refused by name: docs/formats.md."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.formats import DIFFERENT, MODULES, PAGE, SAME, all_kinds, compare
from benchmarks.formats_pictures import SAMPLES, exif, png
from benchmarks.formats_tiff import gdal, magick, ramp, tiff_kind, written
from deepfixcx.images import read_image
from deepfixcx.images.frames import upright
from tests.programs import program

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    program("graphicsmagick", "gm")
    program("libtiff-tools", "tiff2rgba")
    program("netpbm", "bmptopnm")


@pytest.mark.parametrize("module", [name for name in MODULES if "dicom" not in name])
def test_every_kind_is_read_as_an_independent_reader_does_or_refused_by_name(
    module: str, tmp_path: Path
) -> None:
    """If this fails because kinds changed: python -m benchmarks.formats --write."""
    rows = [compare(kind, tmp_path) for kind in all_kinds([module])]
    wrong = [(row.kind.name, row.ours, row.theirs) for row in rows if row.verdict == DIFFERENT]
    assert not wrong
    page = PAGE.read_text("utf-8")
    expected = Counter(
        (row.kind.samples, row.kind.photometric, row.kind.traits, row.verdict) for row in rows
    )
    cells = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    listed = Counter((*cell[:3], cell[5]) for cell in cells if len(cell) == 6)
    assert not expected - listed


def test_a_file_that_is_read_differently_is_found(tmp_path: Path) -> None:
    pixels = ramp("uint16")[0]
    content = partial(written, pixels, photometric="minisblack")
    assert compare(tiff_kind("", "", "", content, gdal), tmp_path).verdict == SAME
    wrong = tiff_kind("", "", "", content, partial(gdal, inverted=True))
    assert compare(wrong, tmp_path).verdict == DIFFERENT
    expected = tiff_kind("", "", "", content, gdal, refusal=ValueError)  # type: ignore[arg-type]
    assert compare(expected, tmp_path).verdict == DIFFERENT


def test_the_page_counts_what_it_lists() -> None:
    page = PAGE.read_text("utf-8")
    found = re.search(r"(\d+) kinds: (\d+) are read the same, (\d+) are refused by name, 0", page)
    assert found is not None
    rows, same, refused = map(int, found.groups())
    assert rows == same + refused >= 250
    assert page.count("| same |") == same
    assert page.count("| refused by name |") == refused


TIFF = {
    "dtype": st.sampled_from(["uint8", "uint16", "int16", "uint32", "float32", "float64"]),
    "colour": st.booleans(),
    "planar": st.booleans(),
    "white": st.booleans(),
    "order": st.sampled_from("<>"),
    "big": st.booleans(),
    "codec": st.sampled_from([None, "lzw", "zlib", "zstd", "lzma"]),
    "predictor": st.booleans(),
    "tiled": st.booleans(),
    "rows": st.integers(1, 50),
    "turn": st.integers(1, 8),
}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(traits=st.fixed_dictionaries(TIFF))
def test_any_combination_of_traits_of_tiff(traits: dict[str, Any], tmp_path: Path) -> None:
    pixels = ramp(traits["dtype"], 3 if traits["colour"] else 1)
    options: dict[str, Any] = {"photometric": "miniswhite" if traits["white"] else "minisblack"}
    stored = pixels[0]
    if traits["colour"]:
        options = {"photometric": "rgb"}
        options["planarconfig"] = "separate" if traits["planar"] else "contig"
        stored = pixels if traits["planar"] else np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
    options |= {"tile": (16, 32)} if traits["tiled"] else {"rowsperstrip": traits["rows"]}
    wide = traits["dtype"] == "float64" and traits["codec"] == "lzma"  # tifffile writes no such
    options["predictor"] = traits["predictor"] and traits["codec"] is not None and not wide
    path = tmp_path / "combined"
    path.write_bytes(
        written(
            stored,
            byteorder=traits["order"],
            bigtiff=traits["big"],
            compression=traits["codec"],
            extratags=[(274, "H", 1, traits["turn"], False)],
            **options,
        )
    )
    inverted = traits["white"] and not traits["colour"]
    theirs = upright(gdal(path, channels=len(pixels), inverted=inverted), traits["turn"])
    ours = read_image(path).pixels
    scale = 1.0 if ours.dtype.kind == "f" else float(np.iinfo(ours.dtype).max)
    np.testing.assert_allclose(ours / scale, theirs, atol=1e-5)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    colour=st.sampled_from([0, 2, 4, 6]),
    bits=st.sampled_from([8, 16]),
    interlaced=st.booleans(),
    turn=st.integers(1, 8),
    behind=st.booleans(),
)
def test_any_combination_of_traits_of_png(
    colour: int, bits: int, interlaced: bool, turn: int, behind: bool, tmp_path: Path
) -> None:
    pixels = ramp("uint16", SAMPLES[colour], bits=bits)
    turned = ((b"eXIf", exif(turn)),)
    place: dict[str, Any] = {"after" if behind else "before": turned}
    (tmp_path / "image").write_bytes(png(pixels, bits, colour, interlaced=interlaced, **place))
    shown = pixels[: 3 if colour in (2, 6) else 1]
    ours = read_image(tmp_path / "image").pixels[0]
    np.testing.assert_array_equal(ours, upright(shown, turn))


def test_interlaced_png_files_of_any_size_are_read_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for height, width in ((1, 1), (1, 9), (2, 3), (5, 1), (9, 17)):
        for bits in (8, 16):
            pixels = ramp("uint16", 3, bits=bits)[:, :height, :width]
            (tmp_path / "image").write_bytes(png(pixels, bits, 2, interlaced=True))
            np.testing.assert_array_equal(read_image(tmp_path / "image").pixels[0], pixels)
    assert capfd.readouterr() == ("", "")


def test_the_pictures_of_graphicsmagick_are_turned(tmp_path: Path) -> None:
    """The reader that checks orientations must turn by itself."""
    path = tmp_path / "turned"
    path.write_bytes(
        written(ramp("uint8")[0], photometric="minisblack", extratags=[(274, "H", 1, 6, False)])
    )
    assert magick(path).shape == (1, 1, 56, 40)
