"""Every statement is kept: two images have one code, or the number is there.

For each exact statement that is made about a drawn spec and size, the check of its topic runs. So
a statement that is made where it does not hold fails here, as does a topic without a check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import ExplanationError, ImageTooSmallError
from deepfixcx.explain.removal import cell_pixels, margin, single, statements
from deepfixcx.packets import decompose, recompose
from tests.core.strategies import specs

Array = NDArray[np.float32]

WAVELETS = ["haar", "db2", "bior2.2", "coif1"]


@dataclass(frozen=True)
class Case:
    """A spec, and an image of mid-gray with a little texture."""

    spec: CodecSpec
    image: Array

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    def bands(self) -> Array:
        bands: Array = decompose(self.image, self.spec)[0, 0]
        return bands

    def image_of(self, bands: Array) -> Array:
        image: Array = recompose(bands[None, None], self.spec, *self.size)[0, 0]
        return image

    def cells(self, *, full: bool = False) -> list[tuple[slice, slice]]:
        """Parts of cells that can be chosen freely, because their filters see no edge.

        With `full`, of cells to which the grid added no zeros.
        """
        beyond = -(-(margin(self.spec)) // self.spec.block)
        axes = []
        for cells, side in zip(self.spec.cells(*self.size), self.size, strict=True):
            low, high = beyond, side // self.spec.block - beyond
            parts = zip(cells.starts, cells.stops, cells.lengths, strict=True)
            axes.append(
                [
                    slice(max(start, low), min(stop, high))
                    for start, stop, length in parts
                    if min(stop, high) > max(start, low) and (length == stop - start or not full)
                ]
            )
        return [(rows, columns) for rows in axes[0] for columns in axes[1]]

    def largest(self, *, full: bool = False) -> tuple[slice, slice]:
        """Return the largest of those parts."""

        def area(part: tuple[slice, slice]) -> int:
            return int(np.prod([each.stop - each.start for each in part]))

        return max(self.cells(full=full), key=area)

    def same_code(self, other: Array) -> None:
        """Require another image, within [0, 1], with the same code."""
        assert np.abs(other - self.image).max() > 1e-3
        assert other.min() >= 0
        assert other.max() <= 1
        codec = Codec(self.spec)
        np.testing.assert_allclose(
            codec.encode(other).array, codec.encode(self.image).array, atol=2e-5
        )


def edit(case: Case, change: Callable[[Array], None], *, full: bool = False) -> Case:
    """Change the coefficients of one cell, (4**J, rows, columns), in place; return the new case."""
    bands = case.bands()
    before = bands.copy()
    part = case.largest(full=full)
    change(bands[:, part[0], part[1]])
    return Case(case.spec, case.image + case.image_of(bands - before))


def removed_sign(case: Case) -> None:
    def negate(cell: Array) -> None:
        cell[1:] *= -1

    case.same_code(edit(case, negate).image)


def removed_one_sign(case: Case) -> None:
    gone = -1 if case.spec.pooling == "sum_pos" else 1

    def change(cell: Array) -> None:
        cell[1, 0, 0] = gone * 0.05
        cell[2, 0, 0] = gone * 0.03

    def change_again(cell: Array) -> None:
        cell[1, 0, 0] = gone * 0.09
        cell[2, 0, 0] = gone * 0.01

    edit(case, change).same_code(edit(case, change_again).image)


def removed_brightness(case: Case) -> None:
    def brighten(cell: Array) -> None:
        cell[0] += 0.2 * case.spec.block

    case.same_code(edit(case, brighten).image)


def removed_balance(case: Case) -> None:
    def add_opposites(cell: Array) -> None:
        first, last = cell[1].flat[0], cell[1].flat[-1]
        cell[1, 0, 0], cell[1, -1, -1] = first + 0.05, last - 0.05

    case.same_code(edit(case, add_opposites).image)


def removed_order(case: Case) -> None:
    lower = case.spec.pooling == "max"

    def move_another(cell: Array) -> None:
        place = np.unravel_index(cell[1].argmin() if lower else cell[1].argmax(), cell[1].shape)
        cell[1][place] += -0.05 if lower else 0.05

    case.same_code(edit(case, move_another, full=True).image)


def removed_position(case: Case) -> None:
    def turn(cell: Array) -> None:
        cell[:] = cell[:, ::-1, ::-1].copy()

    case.same_code(edit(case, turn).image)


def removed_spread(case: Case) -> None:
    pooling = case.spec.pooling
    sign = -1 if pooling == "sum_neg" else 1

    def one_strong(cell: Array) -> None:
        cell[1] = 0
        cell[1, 0, 0] = sign * 0.05

    def two_weak(cell: Array) -> None:
        cell[1] = 0
        cell[1, 0, 0] = cell[1, -1, -1] = sign * 0.05 / (2**0.5 if pooling == "l2" else 2)

    edit(case, one_strong).same_code(edit(case, two_weak).image)


def removed_mirror(case: Case) -> None:
    other = case.image.copy()
    block = other[: case.spec.block, : case.spec.block]
    block[:] = block[:, ::-1].copy()
    case.same_code(other)


def obscured_position(case: Case) -> None:
    """A change within one cell reaches no other cell."""
    codec = Codec(case.spec)
    part = case.largest()
    rows, columns = (
        slice(each.start * case.spec.block, each.stop * case.spec.block) for each in part
    )
    other = case.image.copy()
    other[rows, columns] = other[rows, columns][::-1, ::-1] * 0.5
    difference = codec.encode(other).array - codec.encode(case.image).array
    moved = np.abs(difference).reshape(1, case.spec.bands, *case.spec.grid_shape, -1)
    assert np.count_nonzero(moved.max(axis=(0, 1, 4)) > 1e-6) <= 1


def obscured_orientation(case: Case) -> None:
    rows, columns = np.mgrid[: case.size[0], : case.size[1]]
    block = case.spec.block
    slant = (rows % block + columns % block) % block == 0
    other = (rows % block + block - 1 - columns % block) % block == 0
    whole = np.zeros(case.size, bool)
    whole[: case.size[0] // block * block, : case.size[1] // block * block] = True
    one = Case(case.spec, np.where(slant & whole, 0.7, 0.4).astype(np.float32))
    if block > 2 or not np.array_equal(slant, other):
        one.same_code(np.where(other & whole, 0.7, 0.4).astype(np.float32))


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
        if single(spec, *case.size):
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
    """The code says every coefficient, and these the image."""
    spec = case.spec
    code = Codec(spec).encode(case.image).array[0, 0]
    parts = {
        name: code if len(spec.poolings) == 1 else code[..., place]
        for place, name in enumerate(spec.poolings)
    }
    if "l2" in parts:
        parts["l1"] = np.sqrt(parts["l2"])
    whole = [name for name in ("sum", "max", "min", "median") if name in parts]
    if whole:
        values = parts[whole[0]]
    elif "sum_pos" in parts and "sum_neg" in parts:
        values = parts["sum_pos"] + parts["sum_neg"]
    elif "sum_pos" in parts:
        values = 2 * parts["sum_pos"] - parts["l1"]
    else:
        values = 2 * parts["sum_neg"] + parts["l1"]
    rows, columns = spec.cells(*case.size)
    bands = values[:, rows.of_each_row()[:, None], columns.of_each_row()]
    np.testing.assert_allclose(case.image_of(bands), case.image, atol=1e-3)


CHECKS: dict[tuple[str, str], Callable[[Case], None]] = {
    ("removed", "sign"): removed_sign,
    ("removed", "one sign"): removed_one_sign,
    ("removed", "brightness"): removed_brightness,
    ("removed", "balance"): removed_balance,
    ("removed", "order"): removed_order,
    ("removed", "position"): removed_position,
    ("removed", "spread"): removed_spread,
    ("removed", "mirror"): removed_mirror,
    ("obscured", "position"): obscured_position,
    ("obscured", "orientation"): obscured_orientation,
    ("preserved", "amount"): preserved_amount,
    ("preserved", "brightness"): preserved_brightness,
    ("preserved", "energy"): preserved_energy,
    ("preserved", "image"): preserved_image,
}


def case_of(spec: CodecSpec, height: int, width: int, seed: int = 0) -> Case:
    texture = np.random.default_rng(seed).uniform(-0.15, 0.15, (height, width))
    return Case(spec, (0.5 + texture).astype(np.float32))


def check(case: Case) -> set[tuple[str, str]]:
    """Run the check of every exact statement, and return which were made."""
    made = [each for each in statements(case.spec, *case.size) if each.exact]
    for statement in made:
        CHECKS[statement.kind, statement.topic](case)
    return {(each.kind, each.topic) for each in made}


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


def topics(spec: CodecSpec, side: int, kind: str) -> list[str]:
    return [each.topic for each in statements(spec, side, side) if each.kind == kind]


def test_what_does_not_hold_is_not_said() -> None:
    assert topics(CodecSpec(2, 2), 64, "removed") == ["sign", "position", "spread", "mirror"]
    assert topics(CodecSpec(2, 2, "db2"), 64, "removed") == ["sign", "position", "spread"]
    assert topics(CodecSpec(2, 2, pooling="sum"), 64, "removed") == [
        "balance",
        "position",
        "spread",
    ]
    assert topics(CodecSpec(2, 2, pooling="max"), 64, "removed") == ["order", "position"]
    assert topics(CodecSpec(2, 2, pooling=("l1", "max")), 64, "removed") == ["position"]
    assert topics(CodecSpec(2, 2, pooling="sum"), 64, "obscured") == ["position"]
    assert topics(CodecSpec(2, 2), 64, "obscured") == ["position", "orientation"]
    assert topics(CodecSpec(2, 2, pooling="l2"), 64, "preserved") == ["amount", "energy"]
    assert topics(CodecSpec(2, 2, pooling="sum_neg"), 64, "preserved") == ["amount"]
    assert topics(CodecSpec(2, 2), 64, "preserved") == ["brightness", "amount"]
    assert topics(CodecSpec(2, 16), 64, "removed") == ["sign", "mirror"]


def test_long_filters_make_statements_rough() -> None:
    """Where every filter sees the edge, or the next cell, nothing is claimed to be exact."""
    found = statements(CodecSpec(3, 2, "db7"), 64, 64)
    rough = {(each.kind, each.topic) for each in found if not each.exact}
    assert rough == {
        ("removed", "sign"), ("removed", "position"), ("removed", "spread"),
        ("obscured", "position"), ("obscured", "orientation"), ("preserved", "brightness"),
    }  # fmt: skip


def test_a_rough_mean_is_that_of_even_gray_away_from_the_edge() -> None:
    spec = CodecSpec(2, 4, "db2")
    code = Codec(spec).encode(np.full((96, 96), 0.3, np.float32)).array[0, 0, 0]
    assert code[1:3, 1:3] / spec.block == pytest.approx(0.3, rel=1e-4)


def test_a_rough_orientation_is_hidden_in_large_cells() -> None:
    """Slanted stripes one way and the other: codes within a few percent of what stripes add."""
    rows, columns = np.mgrid[:256, :256]
    one, other = (
        (0.5 + 0.3 * np.cos(2 * np.pi * (rows + way * columns) * 0.13)).astype(np.float32)
        for way in (1, -1)
    )
    codec = Codec(2, 2, "db4")
    slanted, turned = codec.encode(one).array, codec.encode(other).array
    assert np.abs(slanted - turned).max() < 0.05 * slanted[:, :, 1:].max()


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
    assert where.words.endswith("a cell of 80 × 56 pixels (11 × 11 mm)")
    assert cell_pixels(CodecSpec(3, 4), 320, 200) == (80, 56)


def test_images_without_a_whole_block_are_refused() -> None:
    with pytest.raises(ExplanationError, match="smaller than one block of 8x8"):
        statements(CodecSpec(3, 1), 7, 64)
    with pytest.raises(ImageTooSmallError):
        statements(CodecSpec(3, 9), 64, 64)


def test_statements_become_json() -> None:
    found = statements(CodecSpec(2, 2), 16, 16)[0]
    assert found.to_dict() == {
        "kind": "removed", "topic": "sign", "about": "details", "exact": True,
        "words": "the sign of every edge: which of its sides is brighter",
    }  # fmt: skip
