"""Bands and quantization: rules that no image has a say in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deepfixcx import Codec
from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import BandSelection, Quantization, Records


@given(st.integers(1, 4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_dropped_bands_make_no_difference(level: int, one: float, other: float, seed: int) -> None:
    mechanism = BandSelection(min(one, other), max(one, other))
    kept = mechanism.kept(4**level)
    generator = np.random.default_rng(seed)
    codes = generator.random((2, 1, 4**level, 2, 2), np.float32)
    changed = codes.copy()
    changed[:, :, ~kept] = 7
    assert np.array_equal(mechanism.represent(codes), mechanism.represent(changed))
    assert np.array_equal(mechanism.represent(codes)[:, :, kept], codes[:, :, kept])


def test_the_whole_range_keeps_all_and_the_lowest_the_approximation() -> None:
    for level in (1, 3):
        assert BandSelection().kept(4**level).all()
        assert np.flatnonzero(BandSelection(highest=0).kept(4**level)).tolist() == [0]
    counts = [int(BandSelection(highest=share).kept(64).sum()) for share in (0, 0.3, 0.6, 1)]
    assert counts == [1, 9, 25, 64]


def test_fine_stripes_are_in_fine_bands() -> None:
    stripes = np.tile(np.array([0, 1], np.float32), (32, 16))
    code = Codec(3, 2).encode(stripes).array
    assert BandSelection(highest=0.9).represent(code)[:, :, 1:].max() < 1e-6
    assert BandSelection(lowest=0.9).represent(code).max() > 0.1


@given(
    arrays.arrays(np.float32, (3, 5), elements=st.floats(-100, 100, width=32)),
    st.floats(1.5, 20),
    st.floats(0.01, 1),
)
def test_numbers_become_one_of_the_announced_values(
    values: np.ndarray, ratio: float, least: float
) -> None:
    rounding = Quantization(ratio, least, largest=8.0)
    allowed = [0.0, *(least * ratio**step for step in range(rounding.values))]
    rounded = rounding.represent(values)
    for number in np.abs(rounded).ravel():
        assert np.isclose(number, allowed, rtol=1e-5).any()
    assert ((rounded == 0) | (np.sign(rounded) == np.sign(values))).all()
    inside = (np.abs(values) >= least) & (np.abs(values) <= allowed[-1])
    off = np.abs(rounded[inside] / values[inside])
    assert (off <= np.sqrt(ratio) * 1.0001).all()
    assert (off >= 1 / np.sqrt(ratio) / 1.0001).all()
    assert np.allclose(rounding.represent(rounded), rounded, rtol=1e-5)


def test_fewer_values_with_a_larger_ratio() -> None:
    records = Records.of(np.linspace(0, 4, 400)[:, None], np.zeros(400), np.arange(400))
    generator = np.random.default_rng(0)
    counts = [
        len(np.unique(Quantization(ratio).fit(records, generator).apply(records, generator).array))
        for ratio in (1.1, 2.0, 16.0)
    ]
    assert counts[0] > counts[1] > counts[2] > 1


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda: BandSelection(0.5, 0.4), "0.5 to 0.4"),
        (lambda: BandSelection(0, 1.1), "highest <= 1"),
        (lambda: BandSelection().kept(5), "4, 16, 64"),
        (
            lambda: BandSelection().represent(np.ones((2, 3), np.float32)),
            "before mechanisms that make vectors",
        ),
        (lambda: Quantization(1.0), "ratio above 1"),
        (lambda: Quantization(2.0, least=0), "least"),
        (lambda: Quantization(2.0, least=4, largest=2), "largest"),
    ],
)
def test_what_does_not_fit_is_named(act: object, reason: str) -> None:
    with pytest.raises(MechanismError, match=reason):
        act()  # type: ignore[operator]
