"""No statement can be falsified: other images have the same code in every cell that is counted.

`benchmarks.statement_checks` makes the images. A statement that is made where it does not hold
fails, and so does a topic without a check.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.falsification import SPECS, tried
from benchmarks.statement_checks import CHECKS, Case, case_of, check, sees_edge
from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import ExplanationError, ImageTooSmallError
from deepfixcx.explain.removal import beyond_edge, cell_pixels, margin, statements
from deepfixcx.packets import decompose
from tests.core.strategies import specs

WAVELETS = ["haar", "db2", "bior2.2", "coif1"]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    height, width = draw(st.integers(8, 70)), draw(st.integers(8, 70))
    spec = draw(specs(height, width, wavelet=st.sampled_from(WAVELETS)))
    return case_of(spec, height, width, draw(st.integers(0, 99)))


@pytest.mark.parametrize("case", SPECS, ids=str)
def test_pairs_of_images_falsify_no_statement(case: tuple[CodecSpec, int, int, bool]) -> None:
    """The small version of the benchmark: every kind of image, and every counted cell is tried."""
    found = tried(*case, pairs=60, seed=1)
    assert not found.falsified
    assert found.pairs >= 60
    assert all(one > 0 for one, _ in found.cells.values())


def test_a_false_statement_is_falsified() -> None:
    """The search has power: with sums, negated details do not have the same code."""
    case = case_of(CodecSpec(2, 2, pooling="sum"), 32, 32)
    with pytest.raises(AssertionError):
        CHECKS["removed", "sign"](case)


@given(cases())
def test_every_exact_statement_is_kept(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(
    "pooling", ["l1", "l2", "sum", "sum_pos", "sum_neg", "max", "min", "median", ("l1", "l2")]
)
@pytest.mark.parametrize(("wavelet", "side"), [("haar", 32), ("haar", 30), ("db2", 44)])
def test_statements_of_every_pooling_are_kept(
    pooling: str | tuple[str, ...], wavelet: str, side: int
) -> None:
    made = check(case_of(CodecSpec(2, 2, wavelet, pooling), side, side))
    assert ("removed", "position") in made
    assert ("preserved", "amount") in made


@pytest.mark.parametrize(
    "pooling",
    ["sum", "max", ("sum_pos", "sum_neg"), ("l1", "sum_pos"), ("l2", "sum_neg"), "l1", "sum_pos"],
)
def test_statements_about_single_coefficients_are_kept(pooling: str | tuple[str, ...]) -> None:
    made = check(case_of(CodecSpec(2, 8, pooling=pooling), 32, 32))
    assert (("preserved", "image") in made) == (pooling not in ("l1", "sum_pos"))
    assert any(kind == "removed" for kind, _ in made) == (pooling in ("l1", "sum_pos"))


def test_cells_of_one_coefficient_among_larger_ones_are_counted() -> None:
    """Bands of 10 x 10 on 8 x 8 cells: six of eight rows and columns hold one coefficient."""
    spec = CodecSpec(2, 8, pooling="sum")
    case = case_of(spec, 40, 40)
    check(case)
    found = {each.topic: each for each in statements(spec, 40, 40) if each.kind != "obscured"}
    assert (found["image"].cells, found["position"].cells) == (36, 28)
    codec = Codec(spec)
    decoded = np.asarray(codec.decode(codec.encode(case.image), "original"))[0, 0]
    share = (np.abs(decoded - case.image) < 1e-5).mean()
    assert share == pytest.approx(0.36, abs=0.01)
    assert found["image"].words == (
        "36 of 64 cells exactly: these hold one coefficient each; "
        "36 % of the pixels are reconstructed exactly"
    )


def test_a_dot_in_a_cell_has_as_many_codes_as_places_in_a_block() -> None:
    """What "its place inside a block still counts" means: 16 classes of 225 places."""
    codes = set()
    for row, column in np.ndindex(15, 15):
        image = np.zeros((16, 16), np.float32)
        image[row : row + 2, column : column + 2] = 1
        codes.add(Codec(2, 1).encode(image).array.round(4).tobytes())
    assert 2 < len(codes) <= 16


def test_stripes_that_are_moved_change_their_band() -> None:
    """So no statement says that the phase of a pattern is removed: only mirror images are equal."""
    columns = np.arange(32)
    codes = []
    for moved in (0, 1):
        stripes = ((columns + moved) % 4 < 2).astype(np.float32)
        codes.append(Codec(2, 2).encode(np.tile(stripes, (32, 1))).array)
    assert np.abs(codes[0] - codes[1]).max() > 0.3
    words = " ".join(each.words for each in statements(CodecSpec(2, 2), 32, 32))
    assert "phase" not in words


def topics(spec: CodecSpec, side: int, kind: str) -> list[str]:
    return [each.topic for each in statements(spec, side, side) if each.kind == kind]


def test_what_does_not_hold_is_not_said() -> None:
    assert topics(CodecSpec(2, 2), 64, "removed") == ["sign", "position", "spread"]
    assert topics(CodecSpec(2, 2, pooling="sum"), 64, "removed") == [
        "balance",
        "position",
        "spread",
    ]
    assert topics(CodecSpec(2, 2, pooling="max"), 64, "removed") == ["order", "position"]
    assert topics(CodecSpec(2, 2, pooling=("l1", "max")), 64, "removed") == ["position"]
    assert topics(CodecSpec(2, 2), 64, "obscured") == ["position"]
    assert topics(CodecSpec(2, 2), 63, "obscured") == ["position", "padding"]
    assert topics(CodecSpec(2, 2, pooling="l2"), 64, "preserved") == ["amount", "energy"]
    assert topics(CodecSpec(2, 2, pooling="sum_neg"), 64, "preserved") == ["amount"]
    assert topics(CodecSpec(2, 2), 64, "preserved") == ["brightness", "amount"]
    assert topics(CodecSpec(2, 16), 64, "removed") == ["sign"]


def test_long_filters_make_statements_rough() -> None:
    """Where every filter sees the edge, or the next cell, nothing is claimed to be exact."""
    found = statements(CodecSpec(3, 2, "db7"), 64, 64)
    rough = {(each.kind, each.topic) for each in found if not each.exact}
    assert rough == {("obscured", "position"), ("preserved", "brightness")}
    assert topics(CodecSpec(3, 2, "db7"), 64, "removed") == []


def test_a_rough_mean_is_that_of_even_gray_away_from_the_edge() -> None:
    spec = CodecSpec(2, 4, "db2")
    code = Codec(spec).encode(np.full((96, 96), 0.3, np.float32)).array[0, 0, 0]
    assert code[1:3, 1:3] / spec.block == pytest.approx(0.3, rel=1e-4)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("side", [37, 64])
def test_coefficients_that_see_the_edge_are_found(wavelet: str, side: int) -> None:
    spec = CodecSpec(2, 1, wavelet)
    assert beyond_edge(spec, side).tolist() == sees_edge(spec, side).tolist()


def test_the_margin_is_how_far_a_coefficient_sees() -> None:
    for wavelet in ("haar", "db2", "bior2.2", "coif1"):
        spec = CodecSpec(2, 1, wavelet)
        bands = np.zeros((1, 1, 16, 16, 16), np.float32)
        image = np.zeros((64, 64), np.float32)
        seen = np.zeros(64, bool)
        for row in range(64):
            image[:] = 0
            image[row] = 1
            bands = decompose(image, spec)
            seen[row] = np.abs(bands[0, 0, :, 8]).max() > 1e-7
        first, last = np.flatnonzero(seen)[[0, -1]]
        assert 32 - margin(spec) <= first <= 32
        assert 35 <= last <= 35 + margin(spec)


def test_positions_are_distinguished_between_cells() -> None:
    spec = CodecSpec(2, 4)
    codes = []
    for column in (0, 8):
        image = np.full((32, 32), 0.5, np.float32)
        image[4, column] = 1
        codes.append(Codec(spec).encode(image).array)
    assert np.abs(codes[0] - codes[1]).max() > 1e-3


def test_words_name_cell_and_millimetres() -> None:
    where = next(
        each
        for each in statements(CodecSpec(3, 4), 320, 200, (0.14, 0.2))
        if each.kind == "obscured"
    )
    assert where.words.endswith("a cell of 80 × 48–56 pixels (at most 11 × 11 mm)")
    assert cell_pixels(CodecSpec(3, 4), 320, 200) == (80, 56)


def test_images_without_a_whole_block_are_refused() -> None:
    with pytest.raises(ExplanationError, match="smaller than one block of 8x8"):
        statements(CodecSpec(3, 1), 7, 64)
    with pytest.raises(ImageTooSmallError):
        statements(CodecSpec(3, 9), 64, 64)


def test_statements_become_json() -> None:
    found = statements(CodecSpec(2, 2), 16, 16)[0]
    assert found.to_dict() == {
        "kind": "removed", "topic": "sign", "about": "details", "exact": True, "cells": 4, "of": 4,
        "words": "the brighter side of an edge, and / against \\, inside blocks of 4 × 4 pixels "
        "(4 of 4 cells)",
    }  # fmt: skip
