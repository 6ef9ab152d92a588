"""No statement can be falsified: other images have the same code in every cell that is counted.

For each exact statement that is made about a spec and a size, its check tries a random image and a
random one of the cells for which a coefficient sees nothing beyond the edge, found here by looking.
So a statement that is made where it does not hold fails, as does a topic without a check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import ExplanationError, ImageTooSmallError
from deepfixcx.explain.removal import Statement, beyond_edge, cell_pixels, margin, statements
from deepfixcx.packets import decompose, recompose
from tests.core.strategies import specs

Array = NDArray[np.float32]
Inside = list[tuple[int, int]]

WAVELETS = ["haar", "db2", "bior2.2", "coif1"]


@lru_cache(maxsize=1000)
def sees_edge(spec: CodecSpec, side: int) -> NDArray[np.bool_]:
    """Say by trial which coefficients of an axis change with what surrounds the image."""
    around = spec.block * (2 + -(-margin(spec) // spec.block))
    pixels = np.random.default_rng(0).random((side, spec.block))
    canvas = np.random.default_rng(1).random((side + 2 * around, spec.block))
    canvas[around : around + side] = pixels
    alone, surrounded = (
        decompose(each.astype(np.float32), spec)[0, 0] for each in (pixels, canvas)
    )
    first = around // spec.block
    there = surrounded[:, first : first + alone.shape[1]]
    changed: NDArray[np.bool_] = np.abs(alone - there).max(axis=(0, 2)) > 1e-5
    return changed


@lru_cache(maxsize=1000)
def is_free(spec: CodecSpec, side: int) -> NDArray[np.bool_]:
    """Say by trial which coefficients of an axis come back when they alone make an image."""
    around = 4 * (2 + -(-margin(spec) // spec.block))
    columns = 1 if spec.wavelet == "haar" else 2 * around + 1
    free = ~sees_edge(spec, side)
    for row in np.flatnonzero(free):
        bands = np.zeros((1, 1, spec.bands, len(free), columns), np.float32)
        bands[0, 0, :, row, columns // 2] = np.random.default_rng(0).random(spec.bands)
        size = side, columns * spec.block
        again = decompose(recompose(bands, spec, *size), spec)
        free[row] = np.abs(again - bands).max() < 1e-4
    return free


@dataclass(frozen=True)
class Case:
    """A spec, an image (H, W), and random numbers for what is tried."""

    spec: CodecSpec
    image: Array
    generator: np.random.Generator

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    def bands(self) -> Array:
        bands: Array = decompose(self.image, self.spec)[0, 0]
        return bands

    def inside(self, *, inner: bool = False) -> list[Inside]:
        """For each cell its coefficients that are free, or that see nothing beyond the edge."""
        seen = [sees_edge(self.spec, side) if inner else ~is_free(self.spec, side)
                for side in self.size]  # fmt: skip
        axes = []
        for cells, edge in zip(self.spec.cells(*self.size), seen, strict=True):
            axes.append(
                [
                    [k for k in range(*ends) if not edge[k]]
                    for ends in zip(cells.starts, cells.stops, strict=True)
                ]
            )
        return [[(r, c) for r in rows for c in columns] for rows in axes[0] for columns in axes[1]]

    def members(self) -> list[int]:
        """For each cell the number of its coefficients."""
        rows, columns = self.spec.cells(*self.size)
        return np.outer(rows.stops - rows.starts, columns.stops - columns.starts).ravel().tolist()

    def changed(self, change: Callable[[Array], None], least: int) -> Case:
        """Change in place the free coefficients (4**J, n) of a cell that has so many."""
        cells = [each for each in self.inside() if len(each) >= least]
        cell = cells[self.generator.integers(len(cells))]
        bands = self.bands()
        before = bands.copy()
        places = tuple(np.array(cell).T)
        values = bands[:, places[0], places[1]]
        change(values)
        bands[:, places[0], places[1]] = values
        difference: Array = recompose((bands - before)[None, None], self.spec, *self.size)[0, 0]
        return replace(self, image=self.image + difference)

    def same_code(self, other: Array) -> None:
        """Require the same code of another image, which may be another one only in part."""
        codec = Codec(self.spec)
        one, two = codec.encode(self.image).array, codec.encode(other).array
        np.testing.assert_allclose(two, one, atol=1e-4 * max(1, np.abs(one).max()))


def removed_sign(case: Case) -> None:
    def negate(cell: Array) -> None:
        cell[1:] *= case.generator.choice([-1, 1], cell[1:].shape)

    case.same_code(case.changed(negate, 1).image)
    if case.spec.wavelet == "haar":
        block, other = case.spec.block, case.image.copy()
        cell = next(each for each in case.inside() if each)
        row, column = (each * block for each in cell[case.generator.integers(len(cell))])
        here = other[row : row + block, column : column + block]
        here[:] = here[:, ::-1].copy() if case.generator.random() < 0.5 else here[::-1].copy()
        case.same_code(other)


def removed_one_sign(case: Case) -> None:
    gone = -1 if case.spec.pooling == "sum_pos" else 1

    def change(cell: Array) -> None:
        details = cell[1:]
        there = details * gone > 0
        details[there] *= case.generator.random(int(there.sum())).astype(np.float32)

    case.same_code(case.changed(change, 1).image)


def removed_brightness(case: Case) -> None:
    def brighten(cell: Array) -> None:
        cell[0, case.generator.integers(cell.shape[1])] += 0.2 * case.spec.block

    case.same_code(case.changed(brighten, 1).image)


def removed_balance(case: Case) -> None:
    def add_opposites(cell: Array) -> None:
        band, amount = case.generator.integers(1, len(cell)), case.generator.random()
        one, other = case.generator.choice(cell.shape[1], 2, replace=False)
        cell[band, one], cell[band, other] = cell[band, one] + amount, cell[band, other] - amount

    case.same_code(case.changed(add_opposites, 2).image)


def removed_order(case: Case) -> None:
    pooled = Codec(case.spec).encode(case.image).array[0, 0].reshape(case.spec.bands, -1)

    def move_another(cell: Array) -> None:
        """Move what is not the pooled value away from it."""
        band = case.generator.integers(len(cell))
        value = pooled[band, np.abs(pooled[band][:, None] - cell[band]).min(axis=1).argmin()]
        if case.spec.pooling in ("max", "min"):
            place = cell[band].argmin() if case.spec.pooling == "max" else cell[band].argmax()
        else:
            place = np.abs(cell[band] - value).argmax()
        away = {"max": -1, "min": 1}.get(str(case.spec.pooling), np.sign(cell[band, place] - value))
        cell[band, place] += away * case.generator.random()

    case.same_code(case.changed(move_another, 2).image)


def removed_position(case: Case) -> None:
    def permute(cell: Array) -> None:
        cell[:] = cell[:, case.generator.permutation(cell.shape[1])]

    case.same_code(case.changed(permute, 2).image)


def removed_spread(case: Case) -> None:
    squares = case.spec.pooling == "l2"

    def share_evenly(cell: Array) -> None:
        band = cell[case.generator.integers(1, len(cell))]
        kept = band > 0 if case.spec.pooling == "sum_pos" else band < 0
        if case.spec.pooling not in ("sum_pos", "sum_neg"):
            kept = np.ones_like(kept)
        if not kept.any():
            return
        amounts = band[kept] ** 2 if squares else band[kept]
        amounts = amounts if case.spec.pooling in ("sum", "l2") else np.abs(amounts)
        mean = np.sqrt(amounts.mean()) if squares else amounts.mean()
        band[kept] = -mean if case.spec.pooling == "sum_neg" else mean

    case.same_code(case.changed(share_evenly, 2).image)


def obscured_position(case: Case) -> None:
    """A change within one cell reaches no other cell."""
    spec, block = case.spec, case.spec.block
    rows, columns = spec.cells(*case.size)
    i, j = (case.generator.integers(each) for each in spec.grid_shape)
    other = case.image.copy()
    here = other[rows.starts[i] * block : rows.stops[i] * block,
                 columns.starts[j] * block : columns.stops[j] * block]  # fmt: skip
    here[:] = case.generator.random(here.shape)
    codec = Codec(spec)
    difference = np.abs(codec.encode(other).array - codec.encode(case.image).array)
    moved = difference.reshape(spec.bands, *spec.grid_shape, -1).max(axis=(0, 3)) > 1e-5
    moved[i, j] = False
    assert not moved.any()


def obscured_padding(case: Case) -> None:
    """The counted cells, and no others, change with what lies around the image, or hold zeros."""
    made = [each for each in statements(case.spec, *case.size) if each.topic == "padding"]
    rows, columns = case.spec.cells(*case.size)
    added = np.outer(rows.lengths, columns.lengths).ravel() - case.members()
    whole = [len(each) for each in case.inside(inner=True)]
    expected = sum(
        bool(zeros > 0 or count > free)
        for zeros, count, free in zip(added, case.members(), whole, strict=True)
    )
    assert made[0].cells == expected


def preserved_amount(case: Case) -> None:
    """Each pooling again, by hand: slowly, from the coefficients."""
    by_hand: dict[str, Callable[[Array], float]] = {
        "l1": lambda x: float(np.abs(x).mean()),
        "l2": lambda x: float((x**2).mean()),
        "sum": lambda x: float(x.mean()),
        "sum_pos": lambda x: float(np.maximum(x, 0).mean()),
        "sum_neg": lambda x: float(np.minimum(x, 0).mean()),
        "max": lambda x: float(x.max()),
        "min": lambda x: float(x.min()),
        "median": lambda x: float(np.sort(x.ravel())[(x.size - 1) // 2]),
    }
    bands = case.bands().astype(np.float64)
    code = Codec(case.spec).encode(case.image).array[0, 0]
    rows, columns = case.spec.cells(*case.size)
    values = code if code.ndim == 4 else code[..., None]
    for i, j in np.ndindex(case.spec.grid_shape):
        inside = bands[:, rows.starts[i] : rows.stops[i], columns.starts[j] : columns.stops[j]]
        zeros = rows.lengths[i] * columns.lengths[j] - inside[0].size
        for number, cell in enumerate(inside):
            members = np.append(cell.ravel(), np.zeros(zeros))
            for place, name in enumerate(case.spec.poolings):
                expected = by_hand[name](members)
                assert values[number, i, j, place] == pytest.approx(expected, abs=1e-5)


def members_of(case: Case) -> list[int]:
    """For each cell the number of its members, with the zeros that the grid adds."""
    rows, columns = case.spec.cells(*case.size)
    return np.outer(rows.lengths, columns.lengths).ravel().tolist()


def preserved_brightness(case: Case) -> None:
    """The mean of a cell's pixels, or its brightest, darkest or middle block."""
    spec, block = case.spec, case.spec.block
    rows, columns = spec.cells(*case.size)
    code = Codec(spec).encode(case.image).array[0, 0, 0]
    if len(spec.poolings) > 1:
        told = [name in ("l1", "sum", "sum_pos") for name in spec.poolings]
        known = [name != "sum_neg" for name in spec.poolings]
        code = code[..., told.index(True) if any(told) else known.index(True)]
        name = spec.poolings[told.index(True) if any(told) else known.index(True)]
    else:
        name = spec.poolings[0]
    for i, j in np.ndindex(spec.grid_shape):
        pixels = case.image[
            rows.starts[i] * block : rows.stops[i] * block,
            columns.starts[j] * block : columns.stops[j] * block,
        ].astype(np.float64)
        if not pixels.size:
            continue
        members = rows.lengths[i] * columns.lengths[j]
        if set(members_of(case)) == {1} and name not in ("l1", "sum", "sum_pos"):
            told_sum = (np.sqrt(code[i, j]) if name == "l2" else code[i, j]) * block
            assert told_sum == pytest.approx(pixels.sum(), rel=1e-4)
        elif name in ("l1", "sum", "sum_pos"):
            assert code[i, j] * members * block == pytest.approx(pixels.sum(), rel=1e-4)
        else:
            height, width = (side // block for side in pixels.shape)
            means = pixels.reshape(height, block, width, block).mean(axis=(1, 3)).ravel()
            middle = np.sort(means)[(means.size - 1) // 2]
            expected = {"max": means.max(), "min": means.min(), "median": middle}[name]
            assert code[i, j] / block == pytest.approx(expected, rel=1e-4)


def preserved_energy(case: Case) -> None:
    spec, block = case.spec, case.spec.block
    code = Codec(spec).encode(case.image).array[0, 0].astype(np.float64)
    squares = code if code.ndim == 3 else code[..., spec.poolings.index("l2")]
    rows, columns = spec.cells(*case.size)
    energy = squares.sum(axis=0) * np.outer(rows.lengths, columns.lengths)
    assert energy.sum() == pytest.approx((case.image.astype(np.float64) ** 2).sum(), rel=1e-4)
    if spec.wavelet == "haar":
        for i, j in np.ndindex(spec.grid_shape):
            pixels = case.image[
                rows.starts[i] * block : rows.stops[i] * block,
                columns.starts[j] * block : columns.stops[j] * block,
            ]
            expected = (pixels.astype(np.float64) ** 2).sum()
            assert energy[i, j] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def preserved_image(case: Case) -> None:
    """In the counted cells the code states the one coefficient, in Haar's case the pixels."""
    spec = case.spec
    code = Codec(spec).encode(case.image).array[0, 0].astype(np.float64)
    parts = {
        name: code if len(spec.poolings) == 1 else code[..., place]
        for place, name in enumerate(spec.poolings)
    }
    rows, columns = spec.cells(*case.size)
    lengths = np.outer(rows.lengths, columns.lengths)
    if "l2" in parts:
        parts["l1"] = np.sqrt(parts["l2"] / lengths)
    whole = [name for name in ("sum", "max", "min", "median") if name in parts]
    if whole:
        values = parts[whole[0]]
    elif "sum_pos" in parts and "sum_neg" in parts:
        values = parts["sum_pos"] + parts["sum_neg"]
    elif "sum_pos" in parts:
        values = 2 * parts["sum_pos"] - parts["l1"]
    else:
        values = 2 * parts["sum_neg"] + parts["l1"]
    made = [each for each in statements(spec, *case.size) if each.topic == "image"]
    true, found = case.bands(), 0
    for i, j in np.ndindex(spec.grid_shape):
        inside = true[:, rows.starts[i] : rows.stops[i], columns.starts[j] : columns.stops[j]]
        if inside[0].size == 1:
            error = np.abs(values[:, i, j] * lengths[i, j] - inside[:, 0, 0]).max()
            found += bool(error < 1e-4)
    assert found == made[0].cells


CHECKS: dict[tuple[str, str], Callable[[Case], None]] = {
    ("removed", "sign"): removed_sign,
    ("removed", "one sign"): removed_one_sign,
    ("removed", "brightness"): removed_brightness,
    ("removed", "balance"): removed_balance,
    ("removed", "order"): removed_order,
    ("removed", "position"): removed_position,
    ("removed", "spread"): removed_spread,
    ("obscured", "position"): obscured_position,
    ("obscured", "padding"): obscured_padding,
    ("preserved", "amount"): preserved_amount,
    ("preserved", "brightness"): preserved_brightness,
    ("preserved", "energy"): preserved_energy,
    ("preserved", "image"): preserved_image,
}


def case_of(spec: CodecSpec, height: int, width: int, seed: int = 0) -> Case:
    generator = np.random.default_rng(seed)
    return Case(spec, generator.random((height, width), np.float32), generator)


def check(case: Case) -> set[tuple[str, str]]:
    """Run the check of every exact statement, and return which were made."""
    made = [each for each in statements(case.spec, *case.size) if each.exact]
    for statement in made:
        CHECKS[statement.kind, statement.topic](case)
        expected = expected_cells(case, statement)
        assert expected in (None, statement.cells), statement
    return {(each.kind, each.topic) for each in made}


def expected_cells(case: Case, statement: Statement) -> int | None:
    """Count by trial the cells for which a statement that something is removed has to hold."""
    if statement.kind != "removed":
        return None
    free = [len(each) for each in case.inside()]
    if statement.topic in ("balance", "order", "position", "spread"):
        return sum(each >= 2 for each in free)
    if statement.topic in ("sign", "one sign"):
        return sum(each >= 1 for each in free)
    return None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    height, width = draw(st.integers(8, 70)), draw(st.integers(8, 70))
    spec = draw(specs(height, width, wavelet=st.sampled_from(WAVELETS)))
    return case_of(spec, height, width, draw(st.integers(0, 99)))


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
        "36 of 64 cells exactly: these hold one coefficient each; 36 % of the pixels come back"
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


def test_position_is_told_between_cells() -> None:
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
