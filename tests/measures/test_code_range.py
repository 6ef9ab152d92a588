"""Images like those of the training lie within its range; those of another source do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepfixcx import Codec
from deepfixcx.datasets import load_dataset
from deepfixcx.errors import ModelError
from deepfixcx.learn.loading import load_pixels
from deepfixcx.measures.code_range import CodeRange


def test_distances_by_hand() -> None:
    codes = np.random.default_rng(0).random((50, 1, 4, 2, 2), np.float32)
    codes[:, 0, 3, 1, 1] = 0.5  # the same in all images: it says nothing
    known = CodeRange.of(codes)
    rooted = np.sqrt(codes)
    steps = (np.sqrt(codes[7]) - rooted.mean(axis=0)) / rooted.std(axis=0)
    steps[0, 3, 1, 1] = 0
    assert known.distance(codes[7:8])[0] == pytest.approx((steps**2).sum() / 15, rel=1e-4)
    assert np.isinf(CodeRange.of(codes[:19]).limit)
    with pytest.raises(ModelError, match="this range is that of codes"):
        known.outside(codes[:, :, :, :1])


def test_one_in_a_hundred_of_the_same_images_is_outside() -> None:
    generator = np.random.default_rng(0)
    shared = 0.3 * generator.normal(size=(3000, 1, 1, 1, 1))
    codes = (2 + 0.3 * generator.normal(size=(3000, 1, 16, 2, 2)) + shared).astype(np.float32) ** 2
    share = CodeRange.of(codes[:300]).outside(codes[300:]).mean()
    assert 0.001 < share < 0.04


def test_another_hospital_is_outside(data_folder: Path) -> None:
    arrays = []
    for name in ("cxr_nih", "cxr_kermany"):
        dataset = load_dataset(data_folder / name, labels="pneumonia")
        dataset = dataset.select(np.arange(0, len(dataset), 3))
        pixels = load_pixels(dataset.records, 320, channels=1).array
        arrays.append(Codec(3, 4).encode(pixels).array)
    known = CodeRange.of(arrays[0][::2])
    assert known.outside(arrays[0][1::2]).mean() < 0.05
    assert known.outside(arrays[1]).mean() > 0.3
