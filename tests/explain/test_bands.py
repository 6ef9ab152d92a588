"""A summary says the same as the codec does."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import ExplanationError, ImageTooSmallError, SpecError
from deepfixcx.explain.bands import BandSummary, explain_bands
from deepfixcx.explain.naming import band_names


@given(st.integers(1, 3), st.integers(1, 5), st.integers(40, 90), st.integers(40, 90))
def test_the_cell_is_the_smallest_area_that_can_be_distinguished(
    level: int, patches: int, height: int, width: int
) -> None:
    """Two dots less than a cell apart may give one code; in the largest cell they do."""
    spec = CodecSpec(level, patches)
    summary = explain_bands(spec, height, width)
    rows, columns = spec.cells(height, width)
    assert summary.cell == (
        rows.lengths.max() * spec.block,
        columns.lengths.max() * spec.block,
    )
    assert summary.cell[0] * patches >= height
    top = int(rows.starts[rows.lengths.argmax()]) * spec.block
    left = int(columns.starts[columns.lengths.argmax()]) * spec.block
    codes = []
    whole = min(summary.cell[1], (width - left) // spec.block * spec.block)
    for column in (left, left + whole - 1):  # the first and the last, mirrored, of one cell
        image = np.full((height, width), 0.5, np.float32)
        image[top, column] = 1
        codes.append(Codec(spec).encode(image).array)
    np.testing.assert_allclose(codes[0], codes[1], atol=1e-5)


def test_lengths_are_in_pixels_and_millimetres() -> None:
    summary = explain_bands(CodecSpec(3, 4), 320, 200, spacing=(0.14, 0.2))
    assert summary.cell == (80, 56)
    assert summary.cell_millimetres == pytest.approx((11.2, 11.2))
    assert summary.margin == 0
    assert explain_bands(CodecSpec(3, 4), 320, 200).cell_millimetres is None
    assert explain_bands(CodecSpec(2, 4, "db2"), 64, 64).margin == 3


def test_every_band_has_its_name_and_statements() -> None:
    summary = explain_bands(CodecSpec(2, 2), 32, 32)
    assert summary.bands == band_names(2)
    assert [each.topic for each in summary.of("aa")] == [
        "position", "position", "brightness", "amount",
    ]  # fmt: skip
    details = [each.topic for each in summary.of("dv")]
    assert "sign" in details
    assert "brightness" not in details
    kinds = {each.kind for name in summary.bands for each in summary.of(name.path)}
    assert kinds == {"removed", "obscured", "preserved"}
    with pytest.raises(SpecError):
        summary.of("aaa")


def test_lines_name_a_kind_once_and_say_what_is_rough() -> None:
    lines = explain_bands(CodecSpec(2, 2, "db2"), 44, 44).lines()
    assert [kind for kind, _ in lines if kind] == ["removed", "obscured", "preserved"]
    assert ("preserved", "the mean brightness of each of 2 × 2 cells (roughly)") in lines
    nothing = explain_bands(CodecSpec(2, 8, pooling="sum"), 32, 32).lines()
    assert nothing[0] == ("removed", "nothing: each cell holds a single coefficient")
    little = explain_bands(CodecSpec(3, 1, pooling="sum"), 8, 9).lines()
    assert little[0] == ("removed", "little: no cell holds two whole blocks of pixels")


def test_the_table_has_a_row_for_each_band() -> None:
    plain = explain_bands(CodecSpec(2, 2), 32, 32).table()
    assert [row["number"] for row in plain] == list(range(16))
    assert plain[1]["finest_pixels"] == 4
    assert plain[0]["coarsest_pixels"] is None
    assert "finest_mm" not in plain[0]
    measured = explain_bands(CodecSpec(2, 2), 32, 32, (0.5, 0.25)).table()
    assert (measured[1]["finest_mm"], measured[1]["coarsest_mm"]) == (1, 2)
    assert (measured[2]["finest_mm"], measured[2]["coarsest_mm"]) == (2, 4)
    assert measured[0]["coarsest_mm"] is None


def as_json(summary: BandSummary) -> str:
    return json.dumps({**summary.to_dict(), "bands": summary.table()}, allow_nan=False)


def test_a_summary_becomes_json() -> None:
    spec = CodecSpec(2, 2, pooling=("l1", "max"))
    read = json.loads(as_json(explain_bands(spec, 32, 40, (0.5, 0.5))))
    assert CodecSpec.from_dict(read["spec"]) == spec
    assert read["cell_pixels"] == [16, 20]
    assert read["cell_mm"] == [8, 10]
    assert json.loads(as_json(explain_bands(spec, 32, 40)))["spacing_mm"] is None


@pytest.mark.parametrize("spacing", [(0, 1), (1, -1), (math.nan, 1), (1, math.inf)])
def test_impossible_spacings_are_refused(spacing: tuple[float, float]) -> None:
    with pytest.raises(ExplanationError, match="millimetres above 0"):
        explain_bands(CodecSpec(2, 2), 32, 32, spacing)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ImageTooSmallError):
        explain_bands(CodecSpec(2, 9), 32, 32)
    with pytest.raises(ExplanationError, match="smaller than one block"):
        explain_bands(CodecSpec(5, 1), 31, 64)
    with pytest.raises(ExplanationError, match="levels 1 to 8"):
        explain_bands(CodecSpec(9, 1), 512, 512)


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import deepfixcx.explain.bands, deepfixcx.explain.bands, sys;"
        "print(*{'torch', 'matplotlib', 'sklearn', 'captum', 'pydicom'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout.split() == []
