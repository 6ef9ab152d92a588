"""Noise: codes in whole numbers are exact, bounds hold, and epsilon is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.choices import Grid
from deepfixcx.errors import ImageTooSmallError, MechanismError
from deepfixcx.mechanisms import (
    PixelNoise,
    epsilon_lower_bound,
    pixel_sensitivity,
    region_sensitivity,
)
from deepfixcx.mechanisms.sensitivity import as_means, integer_codes

pytest.importorskip("opendp", reason="the extra [dp] is not installed")

SPECS = st.builds(
    CodecSpec,
    level=st.integers(1, 3),
    patches=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    grid=st.sampled_from(["balanced", "padded"]).map(lambda word: cast("Grid", word)),
)


def moved(one: np.ndarray, other: np.ndarray, spec: CodecSpec) -> tuple[int, float]:
    """Return how far apart the codes of two images (C, H, W) are: L1 and L2."""
    first, second = integer_codes(np.stack([one, other]), spec)
    difference = (first - second).ravel()
    return int(np.abs(difference).sum()), math.sqrt(float((difference**2).sum()))


@given(SPECS, st.integers(17, 30), st.integers(17, 30), st.integers(1, 2), st.integers(0, 99))
def test_whole_numbers_are_the_code(
    spec: CodecSpec, height: int, width: int, channels: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, channels, height, width), np.uint8)
    exact = integer_codes(pixels, spec)
    assert exact.dtype == np.int64
    code = Codec(spec).encode(pixels).array
    assert np.allclose(as_means(exact, spec, height, width), code, atol=2e-5)


@given(SPECS, st.integers(1, 6), st.integers(0, 2**32 - 1), st.integers(1, 2))
def test_pixels_never_move_a_code_further(
    spec: CodecSpec, pixels: int, seed: int, channels: int
) -> None:
    generator = np.random.default_rng(seed)
    bound = pixel_sensitivity(spec, pixels, channels=channels)
    one = generator.choice(np.array([0, 0, 0, 128, 255], np.uint8), (channels, 25, 22))
    other = one.copy()
    for _ in range(pixels):
        row, column = generator.integers(25), generator.integers(22)
        other[:, row, column] = 255 - np.round(one[:, row, column] / 255) * 255
    l1, l2 = moved(one, other, spec)
    assert l1 <= bound.l1
    assert l2 <= bound.l2


@given(SPECS, st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_squares_never_move_a_code_further(spec: CodecSpec, side: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    bound = region_sensitivity(spec, side, 25, 22)
    one = generator.choice(np.array([0, 255], np.uint8), (1, 25, 22))
    other = one.copy()
    row, column = generator.integers(26 - side), generator.integers(23 - side)
    kinds = (np.zeros((side, side)), 255 - one[0, row : row + side, column : column + side])
    other[0, row : row + side, column : column + side] = kinds[generator.integers(2)]
    l1, l2 = moved(one, other, spec)
    assert l1 <= bound.l1
    assert l2 <= bound.l2


@pytest.mark.parametrize("level", [1, 2, 3])
def test_bounds_are_reached(level: int) -> None:
    spec = CodecSpec(level, 2)
    black = np.zeros((1, 32, 32), np.uint8)
    one = black.copy()
    one[0, 5, 9] = 255
    bound = pixel_sensitivity(spec, 1)
    assert moved(black, one, spec) == (bound.l1, bound.l2)
    # pixels in blocks of their own, all in one cell, add up
    several = black.copy()
    several[0, : 16 : spec.block, 0] = 255
    count = int((several > 0).sum())
    bound = pixel_sensitivity(spec, count)
    assert moved(black, several, spec) == (bound.l1, bound.l2)
    # a block that turns from black to white moves its approximation as far as any vector can
    block = black.copy()
    block[0, : spec.block, : spec.block] = 255
    l2 = region_sensitivity(spec, spec.block, 32, 32).l2
    assert moved(black, block, spec)[1] == 255 * 4**level <= l2


def test_a_search_for_the_worst_does_not_pass_the_bounds() -> None:
    """Climb: change one pixel of the two images at a time, and keep what moves the code more."""
    generator = np.random.default_rng(0)
    spec = CodecSpec(2, 2)
    for side in (3, 4, 6):
        bound = region_sensitivity(spec, side, 16, 16)
        for figure, most in ((0, bound.l1), (1, bound.l2)):
            one = generator.choice(np.array([0, 255], np.uint8), (1, 16, 16))
            other = one.copy()
            other[0, 2 : 2 + side, 2 : 2 + side] = 255 - one[0, 2 : 2 + side, 2 : 2 + side]
            best = moved(one, other, spec)[figure]
            start = best
            for _ in range(300):
                row, column = generator.integers(2, 2 + side, 2)
                image = (one, other)[generator.integers(2)]
                before = image[0, row, column]
                image[0, row, column] = 255 - before
                found = moved(one, other, spec)[figure]
                if found < best:
                    image[0, row, column] = before
                best = max(best, found)
            assert start < best <= most
            assert best > 0.4 * most  # the bound is not idle


def test_squares_cost_less_than_as_many_pixels() -> None:
    spec = CodecSpec(3, 4)
    for side in (4, 8, 20, 64):
        square = region_sensitivity(spec, side, 320, 320)
        single = pixel_sensitivity(spec, side * side)
        assert square.l1 < single.l1
        assert square.l2 < single.l2
    whole = region_sensitivity(spec, 320, 320, 320)
    assert region_sensitivity(spec, 999, 320, 320) == whole


@pytest.mark.parametrize("delta", [0.0, 1e-5])
@pytest.mark.parametrize("epsilon", [0.2, 1.0, 8.0])
@pytest.mark.parametrize("what", [{"pixels": 4}, {"side": 6}])
def test_the_budget_is_what_was_asked_for(
    delta: float, epsilon: float, what: dict[str, int]
) -> None:
    noise = PixelNoise(CodecSpec(2, 3), epsilon, delta=delta, **what)
    budget = noise.budget(48, 40)
    assert 0.999 * epsilon < budget.epsilon <= epsilon
    if not delta:
        assert budget.scale == pytest.approx(budget.sensitivity.l1 / epsilon, rel=1e-6)
    else:  # the classic bound of the Gaussian mechanism is looser, for epsilon up to 1
        classic = budget.sensitivity.l2 * math.sqrt(2 * math.log(1.25 / delta)) / epsilon
        assert budget.scale < classic or epsilon > 1
    manifest = noise.to_manifest(48, 40)
    assert json.loads(json.dumps(manifest)) == manifest
    assert manifest["epsilon"] == budget.epsilon
    assert manifest["delta"] == delta
    assert ("4 pixels" if "pixels" in what else "6 x 6") in manifest["guarantee"]


def test_noise_has_the_size_that_was_computed_and_is_never_the_same() -> None:
    spec = CodecSpec(2, 4)
    pixels = np.full((12, 1, 32, 32), 128, np.uint8)
    for delta in (0.0, 1e-5):
        noise = PixelNoise(spec, 20.0, pixels=1, delta=delta)
        budget = noise.budget(32, 32)
        one, other = noise.encode(pixels), noise.encode(pixels)
        assert isinstance(one, Code)
        assert not np.array_equal(one.array, other.array)
        assert one.array.min() >= 0
        unit = 255 * spec.block * 4  # 2 x 2 coefficients a cell
        off = (one.array[:, :, 0] - Codec(spec).encode(pixels).array[:, :, 0]) * unit
        expected = budget.scale * (math.sqrt(2) if not delta else 1)
        assert off.std() == pytest.approx(expected, rel=0.25)


CONFIGURATIONS = [
    (1, 1, {"pixels": 1}, 1.0, 0.0),
    (1, 1, {"pixels": 2}, 3.0, 0.0),
    (2, 1, {"side": 4}, 1.0, 0.0),
    (1, 2, {"pixels": 3}, 1.0, 1e-5),
    (2, 1, {"side": 5}, 4.0, 1e-3),
]


@pytest.mark.parametrize(("level", "patches", "what", "epsilon", "delta"), CONFIGURATIONS)
def test_the_pair_game_never_shows_more_than_was_claimed(
    level: int, patches: int, what: dict[str, int], epsilon: float, delta: float
) -> None:
    spec = CodecSpec(level, patches)
    noise = PixelNoise(spec, epsilon, delta=delta, **what)
    one = np.zeros((1, 1, 16, 16), np.uint8)
    other = one.copy()
    side = what.get("side")
    if side is None:
        other[0, 0, 0, : what["pixels"] * spec.block : spec.block] = 255
    else:
        other[0, 0, :side, :side] = 255
    first, second = (noise.encode(np.repeat(each, 1000, axis=0)).array for each in (one, other))
    exact = [as_means(integer_codes(each, spec), spec, 16, 16) for each in (one, other)]

    def score(releases: np.ndarray) -> np.ndarray:
        axes = tuple(range(1, releases.ndim))
        if delta:
            likely = (releases - exact[0]) * (exact[1] - exact[0])
        else:
            likely = np.abs(releases - exact[0]) - np.abs(releases - exact[1])
        return np.asarray(likely.sum(axis=axes), np.float64)

    bound = epsilon_lower_bound(
        lambda _: first, lambda _: second, score, trials=1000, delta=delta, confidence=0.999
    )
    assert bound.value <= epsilon


def test_the_pair_game_catches_noise_that_is_too_small() -> None:
    generator = np.random.default_rng(0)
    claimed, true = 1.0, 4.0
    bound = epsilon_lower_bound(
        lambda count: generator.laplace(0, 1 / true, count),
        lambda count: generator.laplace(1, 1 / true, count),
        lambda releases: releases,
        trials=4000,
    )
    assert claimed < bound.value <= true
    nothing = epsilon_lower_bound(
        lambda count: generator.normal(size=count),
        lambda count: generator.normal(size=count),
        lambda releases: releases,
    )
    assert nothing.value < 0.3


def test_what_delta_allows_is_not_held_against_epsilon() -> None:
    generator = np.random.default_rng(2)

    def release(reported: float) -> Callable[[int], np.ndarray]:
        """Say which image it is in a tenth of the cases, and nothing otherwise."""
        return lambda count: np.where(generator.random(count) < 0.1, reported, 0.0)

    shown = [
        epsilon_lower_bound(release(0.0), release(1.0), np.asarray, trials=4000, delta=delta).value
        for delta in (0.0, 0.12)
    ]
    assert shown[0] > 2
    assert shown[1] < 0.3


def test_bounds_of_the_game_hold_as_often_as_stated() -> None:
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(100):
        bound = epsilon_lower_bound(
            lambda count: generator.laplace(0, 1, count),
            lambda count: generator.laplace(1, 1, count),
            lambda releases: releases,
            trials=200,
            confidence=0.8,
        )
        wrong += bound.value > 1
    assert wrong <= 20


@pytest.mark.parametrize(
    ("act", "error", "reason"),
    [
        (lambda: PixelNoise(CodecSpec(2, 2), 1.0), MechanismError, "either pixels=m or side=s"),
        (
            lambda: PixelNoise(CodecSpec(2, 2), 1.0, 1, 1),
            MechanismError,
            "either pixels=m or side=s",
        ),
        (lambda: PixelNoise(CodecSpec(2, 2), 0.0, 1), MechanismError, "positive"),
        (lambda: PixelNoise(CodecSpec(2, 2), 1.0, 1, delta=1.0), MechanismError, "below 1"),
        (lambda: PixelNoise(CodecSpec(2, 2), 1.0, 0), MechanismError, "1 or more"),
        (lambda: PixelNoise(CodecSpec(2, 2, "db2"), 1.0, 1), MechanismError, "Haar"),
        (
            lambda: PixelNoise(CodecSpec(2, 2, pooling="max"), 1.0, 1),
            MechanismError,
            "l1",
        ),
        (
            lambda: PixelNoise(CodecSpec(2, 2), 1.0, 1).encode(np.zeros((1, 1, 16, 16))),
            MechanismError,
            "8-bit",
        ),
        (
            lambda: PixelNoise(CodecSpec(3, 9), 1.0, 1).encode(np.zeros((1, 1, 16, 16), np.uint8)),
            ImageTooSmallError,
            "fewer",
        ),
        (lambda: pixel_sensitivity(CodecSpec(2, 2), 0), MechanismError, "pixels must be 1"),
        (lambda: region_sensitivity(CodecSpec(2, 2), 0, 9, 9), MechanismError, "1 pixel a side"),
        (
            lambda: epsilon_lower_bound(np.zeros, np.zeros, np.asarray, trials=3),
            MechanismError,
            "20 trials",
        ),
    ],
)
def test_what_does_not_fit_is_named(act: object, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        act()  # type: ignore[operator]
