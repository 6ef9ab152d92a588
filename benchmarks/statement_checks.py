"""Attempts to falsify what `deepfixcx.explain.removal` states: pairs of images against each claim.

For each exact statement about a spec and a size, its check makes another image that has to have the
same code in a counted cell, or looks for what is claimed to come out of the code. Which cells count
is found here by looking: a coefficient is free if it alone makes an image that has it back.
`benchmarks.falsification` tries 10,000 pairs a spec, the tests a few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepfixcx import Codec, CodecSpec
from deepfixcx.explain.removal import KINDS, Statement, margin, statements
from deepfixcx.packets import decompose, recompose

__all__ = ["CHECKS", "IMAGES", "Case", "case_of", "check", "sees_edge"]

Array = NDArray[np.float32]
Inside = list[tuple[int, int]]

LEAST_CHANGE = 1e-3
"""Images that differ by less in every pixel are no pair."""


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


@dataclass(frozen=True, eq=False)
class Case:
    """A spec, an image (H, W), random numbers for what is tried, and what was tried so far."""

    spec: CodecSpec
    image: Array
    generator: np.random.Generator
    beside: Array | None = None  # the other channels of an image in colour, (2, H, W)
    tried: Counter[tuple[str, int]] = field(default_factory=Counter)  # pairs by topic and cell

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[0], self.image.shape[1]

    def bands(self) -> Array:
        """Return the coefficients of the image, (4**J, h, w)."""
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

    def chosen(self, least: int) -> tuple[int, Inside]:
        """Choose a cell with so many free coefficients; return its number and those."""
        cells = [(number, each) for number, each in enumerate(self.inside()) if len(each) >= least]
        return cells[self.generator.integers(len(cells))]

    def try_changed(self, topic: str, change: Callable[[Array], None], least: int = 2) -> None:
        """Change in place the free coefficients (4**J, n) of a cell, and require the same code."""
        number, cell = self.chosen(least)
        bands = self.bands()
        before = bands.copy()
        places = tuple(np.array(cell).T)
        values = bands[:, places[0], places[1]]
        change(values)
        bands[:, places[0], places[1]] = values
        difference: Array = recompose((bands - before)[None, None], self.spec, *self.size)[0, 0]
        self.same_code(self.image + difference, topic, number)

    def same_code(self, other: Array, topic: str, cell: int) -> None:
        """Require the same code of another image; images that are equal are no pair."""
        if np.abs(other - self.image).max() < LEAST_CHANGE:
            return
        pair = [self.image[None], other[None]]
        if self.beside is not None:
            place = self.generator.integers(3)
            pair = [np.insert(self.beside, place, each, axis=0) for each in pair]
        one, two = Codec(self.spec).encode(np.stack(pair)).array
        np.testing.assert_allclose(two, one, atol=1e-4 * max(1, np.abs(one).max()))
        self.tried[topic, cell] += 1


def removed_sign(case: Case) -> None:
    def negate(cell: Array) -> None:
        cell[1:] *= case.generator.choice([-1, 1], cell[1:].shape)

    case.try_changed("sign", negate, 1)
    if case.spec.wavelet == "haar":
        block, other = case.spec.block, case.image.copy()
        number, cell = case.chosen(1)
        row, column = (each * block for each in cell[case.generator.integers(len(cell))])
        here = other[row : row + block, column : column + block]
        here[:] = here[:, ::-1].copy() if case.generator.random() < 0.5 else here[::-1].copy()
        case.same_code(other, "sign", number)


def removed_one_sign(case: Case) -> None:
    gone = -1 if case.spec.pooling == "sum_pos" else 1

    def change(cell: Array) -> None:
        details = cell[1:]
        there = details * gone > 0
        details[there] *= case.generator.random(int(there.sum())).astype(np.float32)

    case.try_changed("one sign", change, 1)


def removed_brightness(case: Case) -> None:
    def brighten(cell: Array) -> None:
        cell[0, case.generator.integers(cell.shape[1])] += 0.2 * case.spec.block

    case.try_changed("brightness", brighten, 1)


def removed_balance(case: Case) -> None:
    def add_opposites(cell: Array) -> None:
        band, amount = case.generator.integers(1, len(cell)), case.generator.random()
        one, other = case.generator.choice(cell.shape[1], 2, replace=False)
        cell[band, one], cell[band, other] = cell[band, one] + amount, cell[band, other] - amount

    case.try_changed("balance", add_opposites)


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

    case.try_changed("order", move_another)


def removed_position(case: Case) -> None:
    def permute(cell: Array) -> None:
        cell[:] = cell[:, case.generator.permutation(cell.shape[1])]

    case.try_changed("position", permute)


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

    case.try_changed("spread", share_evenly)


def obscured_position(case: Case) -> None:
    """Require that a change within one cell reaches no other cell."""
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
    """Require that the counted cells alone change with what surrounds the image, or hold zeros."""
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
                close(values[number, i, j, place], expected, absolute=1e-5)


def members_of(case: Case) -> list[int]:
    """For each cell the number of its members, with the zeros that the grid adds."""
    rows, columns = case.spec.cells(*case.size)
    return np.outer(rows.lengths, columns.lengths).ravel().tolist()


def preserved_brightness(case: Case) -> None:
    """Require the mean of a cell's pixels, or its brightest, darkest or middle block."""
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
            close(told_sum, pixels.sum())
        elif name in ("l1", "sum", "sum_pos"):
            close(code[i, j] * members * block, pixels.sum())
        else:
            height, width = (side // block for side in pixels.shape)
            means = pixels.reshape(height, block, width, block).mean(axis=(1, 3)).ravel()
            middle = np.sort(means)[(means.size - 1) // 2]
            expected = {"max": means.max(), "min": means.min(), "median": middle}[name]
            close(code[i, j] / block, expected)


def preserved_energy(case: Case) -> None:
    spec, block = case.spec, case.spec.block
    code = Codec(spec).encode(case.image).array[0, 0].astype(np.float64)
    squares = code if code.ndim == 3 else code[..., spec.poolings.index("l2")]
    rows, columns = spec.cells(*case.size)
    energy = squares.sum(axis=0) * np.outer(rows.lengths, columns.lengths)
    close(energy.sum(), (case.image.astype(np.float64) ** 2).sum())
    if spec.wavelet == "haar":
        for i, j in np.ndindex(spec.grid_shape):
            pixels = case.image[
                rows.starts[i] * block : rows.stops[i] * block,
                columns.starts[j] * block : columns.stops[j] * block,
            ]
            expected = (pixels.astype(np.float64) ** 2).sum()
            close(energy[i, j], expected)


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


def close(one: float, other: float, *, absolute: float = 1e-5) -> None:
    """Require two values that are equal up to rounding."""
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=absolute)


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


IMAGES = ("random", "black and white", "one pixel", "stripes", "edge", "even", "faint")


def image_of(kind: str, height: int, width: int, generator: np.random.Generator) -> Array:
    """Make an image on which statements may fail: random, or as far from that as can be."""
    pixels: Array = generator.random((height, width), np.float32)
    if kind == "black and white":
        pixels = (pixels > 0.5).astype(np.float32)
    elif kind == "one pixel":
        lit = generator.integers(pixels.size)
        pixels = (np.arange(pixels.size) == lit).astype(np.float32).reshape(height, width)
    elif kind == "stripes":
        period, axis = generator.integers(1, 9), generator.integers(2)
        pixels = (np.indices(pixels.shape)[axis] // period % 2).astype(np.float32)
    elif kind == "edge":
        slope, middle = generator.normal(size=2), generator.random(2) * pixels.shape
        rows, columns = np.indices(pixels.shape)
        side = slope[0] * (rows - middle[0]) + slope[1] * (columns - middle[1])
        pixels = (side > 0).astype(np.float32)
    elif kind == "even":
        pixels = np.full_like(pixels, generator.random())
    elif kind == "faint":
        pixels = 0.5 + 1e-3 * pixels
    return pixels


def case_of(
    spec: CodecSpec,
    height: int,
    width: int,
    seed: int | Sequence[int] = 0,
    *,
    kind: str = "random",
    colour: bool = False,
) -> Case:
    """Make a case of an image of a kind of `IMAGES`."""
    generator = np.random.default_rng(seed)
    image = image_of(kind, height, width, generator)
    beside = generator.random((2, height, width), np.float32) if colour else None
    return Case(spec, image, generator, beside)


def check(case: Case, kinds: Sequence[str] = KINDS) -> set[tuple[str, str]]:
    """Run the check of every exact statement of some kinds, and return which were made."""
    made = [each for each in statements(case.spec, *case.size) if each.exact]
    made = [each for each in made if each.kind in kinds]
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
