"""Bands and values of another shape are refused, with both shapes in the message."""

from __future__ import annotations

import numpy as np
import pytest

from deepfixcx import CodecSpec
from deepfixcx.errors import CodeError, PixelsShapeError
from deepfixcx.packets import decompose, recompose
from deepfixcx.pooling import pool, unpool

SPEC = CodecSpec(level=2, patches=3)
HEIGHT, WIDTH = 30, 41
BANDS = decompose(np.ones((2, 1, HEIGHT, WIDTH), np.float32), SPEC)  # (2, 1, 16, 8, 11)


@pytest.mark.parametrize("change", [BANDS[0], BANDS[:, :, 1:], BANDS[..., 1:, :], BANDS[..., 1:]])
def test_bands_of_another_shape_are_refused_alike(change: np.ndarray) -> None:
    for work in (pool, recompose):
        with pytest.raises(PixelsShapeError) as caught:
            work(change, SPEC, HEIGHT, WIDTH)
        message = str(caught.value)
        assert "30x41" in message
        assert "(B, C, 16, 8, 11)" in message
        assert str(change.shape) in message


@pytest.mark.parametrize("shape", [(16, 3, 4), (16, 4, 3), (15, 3, 3), (3, 3)])
def test_values_of_another_grid_are_refused(shape: tuple[int, ...]) -> None:
    """NumPy would take the first cells of a larger grid without a word."""
    with pytest.raises(CodeError, match=r"\(B, C, 16, 3, 3\)"):
        unpool(np.ones(shape, np.float32), SPEC, HEIGHT, WIDTH)


def test_unpooled_values_pool_to_themselves() -> None:
    values = np.random.default_rng(0).random((2, 1, 16, 3, 3), np.float32)
    again = pool(unpool(values, SPEC, HEIGHT, WIDTH), SPEC, HEIGHT, WIDTH)
    np.testing.assert_allclose(again, values, rtol=1e-6)
