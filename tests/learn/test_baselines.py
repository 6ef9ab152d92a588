"""Baselines against slow loops over cells; SSIM and PSNR against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx.errors import PixelsShapeError
from deepfixcx.learn.baselines import (
    BASELINES,
    blur,
    downsample,
    enlarge,
    median,
    pixelate,
    side_kept,
)
from deepfixcx.measures.quality import psnr, ssim

Array = NDArray[np.float32]


def images(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).random(shape, np.float32)


def by_cells(pixels: Array, side: int, what: str) -> Array:
    height, width = pixels.shape[-2:]
    kept = np.empty((*pixels.shape[:-2], side, side), np.float32)
    for row in range(side):
        for column in range(side):
            cell = pixels[
                ...,
                row * height // side : (row + 1) * height // side,
                column * width // side : (column + 1) * width // side,
            ]
            kept[..., row, column] = getattr(np, what)(cell, axis=(-2, -1))
    return kept


SIZES = st.tuples(st.integers(1, 17), st.integers(1, 17), st.integers(1, 40))


@given(SIZES)
def test_cells_are_a_partition(sizes: tuple[int, int, int]) -> None:
    height, width, numbers = sizes
    pixels = images(0, 2, 1, height, width)
    side = min(math.isqrt(numbers), height, width)
    assert np.allclose(pixelate(pixels, numbers), by_cells(pixels, side, "mean"), atol=1e-6)
    assert np.allclose(median(pixels, numbers), by_cells(pixels, side, "median"), atol=1e-6)


@given(SIZES, st.sampled_from(sorted(BASELINES)), st.sampled_from([1, 3]))
def test_no_more_numbers_are_kept_than_allowed(
    sizes: tuple[int, int, int], name: str, channels: int
) -> None:
    height, width, numbers = sizes
    pixels = images(1, 2, channels, height, width)
    if numbers < channels:
        with pytest.raises(PixelsShapeError):
            BASELINES[name](pixels, numbers)
        return
    kept = BASELINES[name](pixels, numbers)
    side = kept.shape[-1]
    assert kept.shape == (2, channels, side, side)
    assert kept[0].size <= numbers
    assert kept.dtype == np.float32
    assert channels * (side + 1) ** 2 > numbers or side == min(height, width)
    assert kept.min() >= 0
    assert kept.max() <= 1


def test_a_code_and_its_baselines_are_matched() -> None:
    assert side_kept((1, 1, 320, 320), 1024) == 32
    assert side_kept((3, 100, 90), 10**6) == 90
    with pytest.raises(PixelsShapeError, match="shape"):
        side_kept((320, 320), 4)


def test_blur_sees_beyond_its_cell_and_keeps_the_mean() -> None:
    pixels = np.zeros((1, 1, 32, 32), np.float32)
    pixels[..., 15, 15] = 1
    kept = blur(pixels, 16)
    assert np.count_nonzero(kept > 1e-9) == 4  # the point is a pixel from its neighbours
    assert kept.sum() * 64 == pytest.approx(1, rel=1e-5)
    assert np.count_nonzero(pixelate(pixels, 16)) == 1
    # as narrow as a cell: cut off after half its side
    pixels = np.zeros((1, 1, 32, 32), np.float32)
    pixels[..., 19, 19] = 1
    assert np.count_nonzero(blur(pixels, 16) > 1e-9) == 4
    pixels = np.zeros((1, 1, 33, 33), np.float32)
    pixels[..., 16, 16] = 1  # the middle of a cell of 11: five pixels reach its edge
    assert np.count_nonzero(blur(pixels, 9) > 1e-9) == 1


def test_downsampling_looks_at_all_pixels() -> None:
    stripes = np.tile(np.array([0, 1], np.float32), 32)[None, None, None].repeat(64, axis=2)
    assert np.allclose(downsample(stripes, 64)[..., 1:-1], 0.5, atol=0.05)
    assert downsample(np.empty((0, 1, 8, 8), np.float32), 4).shape == (0, 1, 2, 2)


def test_enlarging_repeats_over_the_same_cells() -> None:
    for height, width, side in ((10, 7, 3), (8, 8, 4), (5, 5, 5)):
        kept = images(2, 2, 1, side, side)
        large = enlarge(kept, height, width)
        assert large.shape == (2, 1, height, width)
        assert np.array_equal(pixelate(large, side**2), kept)


# -- quality ----------------------------------------------------------------------------------


def slow_ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Wang 2004, equation 13, window by window."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for row in range(5, x.shape[0] - 5):
        for column in range(5, x.shape[1] - 5):
            a = x[row - 5 : row + 6, column - 5 : column + 6]
            b = y[row - 5 : row + 6, column - 5 : column + 6]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            both = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * both + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )
    return float(np.mean(values))


def test_ssim_is_wangs() -> None:
    x = np.random.default_rng(0).random((15, 18))
    y = 0.6 * x + 0.4 * np.random.default_rng(1).random((15, 18))
    assert ssim(x[None], y[None]) == pytest.approx(slow_ssim(x, y), rel=1e-9)
    assert ssim(np.stack([x, y]), np.stack([y, x])) == pytest.approx(slow_ssim(x, y), rel=1e-9)


def test_ssim_of_flat_images_compares_their_light() -> None:
    flat = [np.full((1, 11, 11), value) for value in (0.2, 0.6)]
    assert ssim(*flat) == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4))
    assert ssim(flat[0], flat[0]) == pytest.approx(1)


def test_what_leaves_the_range_is_clipped() -> None:
    x = np.random.default_rng(0).random((1, 12, 12))
    wild = np.where(x > 0.5, x + 3, x - 3)
    assert ssim(x, wild) == ssim(x, np.round(x))
    assert psnr(x, wild) == psnr(x, np.round(x))


def test_psnr_by_hand() -> None:
    x = np.zeros((1, 2, 2), np.float32)
    y = np.array([[[0.2, 0], [0, 0]]])
    assert psnr(x, y) == pytest.approx(20)
    assert psnr(x, x) == math.inf


def test_other_shapes_are_refused() -> None:
    x = np.zeros((1, 12, 12))
    for y in (np.zeros((1, 12, 13)), np.zeros((12, 12)), np.zeros((3, 12, 12))):
        with pytest.raises(PixelsShapeError):
            psnr(x, y)
        with pytest.raises(PixelsShapeError):
            ssim(x, y)
    with pytest.raises(PixelsShapeError, match="11 pixels"):
        ssim(x[:, :10], x[:, :10])
