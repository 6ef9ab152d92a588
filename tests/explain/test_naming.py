"""Bands bear the names of the gratings that they answer to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx import Codec
from deepfixcx.errors import ExplanationError, SpecError
from deepfixcx.explain.naming import ORIENTATIONS, BandName, band_name, band_names, extent
from deepfixcx.packets import band_position

SIDE = 128
LEVELS = (1, 2, 3, 4)


def grating(down: float, across: float, phase: float = 0.7) -> NDArray[np.float32]:
    """Stripes with so many cycles a pixel down and across."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    angle = 2 * np.pi * (down * rows + across * columns) + phase
    return np.asarray(0.5 + 0.4 * np.cos(angle), np.float32)


def strongest_detail(image: NDArray[np.float32], level: int, wavelet: str) -> BandName:
    code = Codec(level, 1, wavelet, boundary="periodic").encode(image)
    answers = code.array[0, 0, :, 0, 0].copy()
    answers[0] = 0
    return band_names(level)[int(answers.argmax())]


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4"])
@pytest.mark.parametrize("level", LEVELS)
def test_every_band_answers_most_to_the_grating_it_is_called_after(
    level: int, wavelet: str
) -> None:
    """The direction and period of the grating are those of the middle of the band's field."""
    for name in band_names(level)[1:]:
        down, across = (place + 0.5 for place in (name.row, name.column))
        step = 2.0 ** (level + 1)
        answer = strongest_detail(grating(down / step, across / step), level, wavelet)
        assert answer == name
        slant = math.degrees(math.atan2(down, across))
        expected = "vertical" if slant < 22.5 else "horizontal" if slant > 67.5 else "diagonal"
        assert answer.orientation == expected
        assert answer.low <= step / max(down, across) <= answer.high


@st.composite
def frequencies(draw: st.DrawFn) -> tuple[int, float, float]:
    """Draw a level and cycles a pixel down and across, away from the edges between bands."""
    level = draw(st.sampled_from(LEVELS))
    places = [draw(st.integers(0, 2**level - 1)) for _ in range(2)]
    assume(max(places) > 0)
    down, across = (
        (place + draw(st.floats(0.3, 0.7) if place else st.just(0.0) | st.floats(0.3, 0.7)))
        / 2 ** (level + 1)
        for place in places
    )
    return level, draw(st.sampled_from([1, -1])) * down, across


@given(frequencies(), st.floats(0, 6))
def test_gratings_of_any_direction_and_period_find_their_name(
    drawn: tuple[int, float, float], phase: float
) -> None:
    level, down, across = drawn
    name = strongest_detail(grating(down, across, phase), level, "haar")
    period = 1 / max(abs(down), abs(across))
    assert name.low <= period <= name.high
    assert name.octave[0] <= period <= name.octave[1]
    slant = math.degrees(math.atan2(abs(down), abs(across)))
    if slant < 12:
        assert name.orientation == "vertical"
    elif slant > 78:
        assert name.orientation == "horizontal"
    elif 38 < slant < 52:
        assert name.orientation == "diagonal"


def test_the_two_diagonals_have_one_name() -> None:
    frequency = 1.5 / 8
    one = strongest_detail(grating(frequency, frequency), 2, "haar")
    other = strongest_detail(grating(frequency, -frequency), 2, "haar")
    assert one == other
    assert one.words == "diagonal texture, 4–8 px"


@pytest.mark.parametrize("level", LEVELS)
def test_names_are_in_band_order_and_know_their_place(level: int) -> None:
    names = band_names(level)
    assert [name.number for name in names] == list(range(4**level))
    assert all(band_position(name.path) == (name.row, name.column) for name in names)
    assert all(name == band_name(name.path) for name in names)
    assert [name.orientation for name in names].count("approximation") == 1
    for orientation in ORIENTATIONS:  # each octave has bands of each orientation
        octaves = {name.octave for name in names if name.orientation == orientation}
        assert octaves == {(2.0**power, 2.0 ** (power + 1)) for power in range(1, level + 1)}


@given(st.sampled_from(LEVELS), st.integers(0, 255))
def test_turning_the_image_turns_the_names(level: int, number: int) -> None:
    name = band_names(level)[number % 4**level]
    turned = band_name(name.path.translate(str.maketrans("vh", "hv")))
    swap = {"vertical": "horizontal", "horizontal": "vertical"}
    assert turned.orientation == swap.get(name.orientation, name.orientation)
    assert (turned.low, turned.high) == (name.low, name.high)


def test_words() -> None:
    assert band_name("aaa").words == "local brightness"
    assert str(band_name("aav")) == "vertical edges, 8–16 px"
    assert band_name("ah").words == "horizontal edges, 4–8 px"
    assert band_name("dd").words == "diagonal texture, 2.7–4 px"
    assert band_name("aa").high == math.inf
    assert band_name("aa").low == 8


def test_millimetres_are_those_along_the_change() -> None:
    spacing = (0.5, 0.25)
    assert band_name("ah").in_words(spacing) == "horizontal edges, 4–8 px (2–4 mm)"
    assert band_name("av").in_words(spacing) == "vertical edges, 4–8 px (1–2 mm)"
    assert band_name("ad").millimetres(spacing) == (1, 2)
    assert band_name("aa").in_words(spacing) == "local brightness"


def test_extents_have_two_digits() -> None:
    assert extent(128, 256) == "128–256"
    assert extent(9.96, 1000) == "10–1,000"
    assert extent(0.05714, 1 / 3) == "0.057–0.33"


@pytest.mark.parametrize("level", [0, -1, 9, 12])
def test_levels_without_explanations_are_refused(level: int) -> None:
    with pytest.raises(ExplanationError, match="levels 1 to 8"):
        band_names(level)


def test_other_letters_are_refused() -> None:
    with pytest.raises(SpecError):
        band_name("ax")
