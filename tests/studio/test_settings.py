"""Which settings fit an image, and that what is copied does what is shown."""

from __future__ import annotations

import shlex

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.codec import Codec
from deepfixcx.studio.workspace import LEVELS, PATCHES, Settings, fitting, limits

SIDES = st.integers(8, 600)
SETTINGS = st.builds(
    Settings,
    st.sampled_from(LEVELS),
    st.integers(1, 128),
    st.sampled_from(["haar", "db2"]),
    st.sampled_from(["l1", "max"]),
    grid=st.sampled_from(["balanced", "padded"]),
)


@given(SETTINGS, SIDES, SIDES)
def test_what_fits_can_be_encoded_and_limits_say_how_far(
    settings: Settings, height: int, width: int
) -> None:
    chosen = fitting(settings, height, width)
    assert 1 <= chosen.level <= settings.level
    assert 1 <= chosen.patches <= settings.patches
    chosen.spec.cells(height, width)  # raises where a cell would be empty
    reach = limits(chosen, height, width)
    assert chosen.patches <= reach["patches"].most
    assert chosen.level <= reach["level"].most
    chosen.with_one("patches", reach["patches"].most).spec.cells(height, width)
    chosen.with_one("level", reach["level"].most).spec.cells(height, width)


@given(SETTINGS, SIDES, SIDES)
def test_a_limit_has_a_reason_and_nothing_beyond_it_fits(
    settings: Settings, height: int, width: int
) -> None:
    chosen = fitting(settings, height, width)
    most = limits(chosen, height, width)["patches"]
    assert bool(most.reason) == (most.most < PATCHES[-1])
    beyond = fitting(chosen.with_one("patches", most.most + 1), height, width)
    assert beyond.patches <= most.most or most.most == PATCHES[-1]


def test_what_fits_already_stays() -> None:
    settings = Settings(level=3, patches=40)
    assert fitting(settings, 320, 320) == settings
    assert fitting(settings, 64, 64) == Settings(level=3, patches=8)


@given(SETTINGS)
def test_query_brings_the_settings_back(settings: Settings) -> None:
    values = dict(pair.split("=") for pair in settings.query().split("&"))
    assert Settings.from_query(values) == settings


def test_nonsense_in_a_query_is_left_out() -> None:
    nonsense = {"level": "9", "patches": "-3", "wavelet": "<b>", "pooling": "x", "size": "huge"}
    assert Settings.from_query(nonsense) == Settings()
    assert Settings.from_query({"patches": "9999", "level": "\uff11"}) == Settings()


def test_python_that_is_copied_makes_what_is_shown() -> None:
    settings = Settings(2, 3, "db2", "max", "periodic", "padded", "original")
    pixels = np.random.default_rng(0).random((1, 1, 40, 32), np.float32)
    names: dict[str, object] = {"pixels": pixels}
    exec(settings.python(), names)
    expected = Codec(settings.spec).privatize(pixels, "original")
    assert np.array_equal(np.asarray(names["privatized"]), expected)


def test_command_line_that_is_copied_is_understood() -> None:
    words = shlex.split(Settings(2, 3, "db2", size="original").command_line())
    assert words[:4] == ["deepfixcx", "privatize", "FOLDER", "OUT"]
    assert words[4:] == ["--level", "2", "--patches", "3", "--wavelet", "db2", "--size", "original"]
