"""CodecSpec: what it accepts, what it says, and shapes against counting them out."""

from __future__ import annotations

import itertools
import json
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import pywt
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx import CodecSpec
from deepfixcx.errors import ImageTooSmallError, SpecError
from deepfixcx.spec import BOUNDARIES, GRIDS, MAX_LEVEL, POOLINGS

GOOD: dict[str, Any] = {"level": 2, "patches": 3}

# -- what is accepted -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": 0}, ["level", "1 to 12", "0"]),
        ({"level": MAX_LEVEL + 1}, ["level", "1 to 12", "13"]),
        ({"level": 2.0}, ["level", "whole number", "2.0"]),
        ({"level": True}, ["level", "whole number"]),
        ({"level": "2"}, ["level", "whole number"]),
        ({"level": None}, ["level", "whole number"]),
        ({"patches": 0}, ["patches", "at least 1", "0"]),
        ({"patches": -3}, ["patches", "at least 1"]),
        ({"patches": 2.5}, ["patches", "whole number"]),
        ({"patches": True}, ["patches", "whole number"]),
        ({"patches": "3"}, ["patches", "whole number"]),
        ({"patches": None}, ["patches", "whole number"]),
        ({"patches": (3,)}, ["patches", "pair", "rows, columns"]),
        ({"patches": (3, 4, 5)}, ["patches", "pair"]),
        ({"patches": ()}, ["patches", "pair"]),
        ({"patches": (3, 0)}, ["patches", "at least 1"]),
        ({"patches": (3, 2.5)}, ["patches", "whole number"]),
        ({"ndim": 4}, ["ndim", "2 to 3", "4"]),
        ({"ndim": 3, "patches": (3, 4)}, ["patches", "triple", "slices, rows, columns"]),
        ({"ndim": 3, "level_z": 3}, ["level_z", "0 to 2", "3"]),
        ({"level_z": 1}, ["level_z", "volumes"]),
        ({"wavelet": "harr"}, ["wavelet", "harr", "choose one of", "bior1.1"]),
        ({"wavelet": "morl"}, ["wavelet", "morl"]),  # continuous
        ({"wavelet": None}, ["wavelet", "None"]),
        ({"wavelet": ["haar"]}, ["wavelet"]),
        ({"wavelet": np.array(["haar", "db2"])}, ["wavelet"]),
        ({"pooling": "mean"}, ["pooling", "mean", *POOLINGS]),
        ({"pooling": ()}, ["pooling", "sequence of names"]),
        ({"pooling": None}, ["pooling", "sequence of names"]),
        ({"pooling": 1}, ["pooling", "sequence of names"]),
        ({"pooling": {"l1", "max"}}, ["pooling", "sequence of names"]),  # a set has no order
        ({"pooling": ("l1", "mean")}, ["pooling", "mean", *POOLINGS]),
        ({"pooling": ("l1", None)}, ["pooling", "None"]),
        ({"pooling": ("l1", "max", "l1")}, ["pooling", "twice"]),
        ({"boundary": "reflect"}, ["boundary", "reflect", *BOUNDARIES]),
        ({"boundary": None}, ["boundary", *BOUNDARIES]),
        ({"grid": "even"}, ["grid", "even", *GRIDS]),
        ({"grid": 1}, ["grid", *GRIDS]),
    ],
)
def test_messages_name_the_argument_and_what_is_allowed(
    change: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(SpecError) as caught:
        CodecSpec(**(GOOD | change))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("level", range(1, MAX_LEVEL + 1))
def test_levels(level: int) -> None:
    spec = CodecSpec(level, 1)
    assert (spec.bands, spec.block) == (4**level, 2**level)


@pytest.mark.parametrize("wavelet", pywt.wavelist(kind="discrete"))
def test_every_discrete_wavelet_is_accepted(wavelet: str) -> None:
    assert CodecSpec(1, 1, wavelet).wavelet == wavelet


def test_settings_are_stored_in_one_form() -> None:
    spec = CodecSpec(np.int64(2), [np.int32(3), 4], pooling=["l1", "max"])  # type: ignore[arg-type]
    assert spec == CodecSpec(2, (3, 4), pooling=("l1", "max"))
    assert type(spec.level) is int
    assert spec.patches == spec.grid_shape == (3, 4)
    assert CodecSpec(2, 3).patches == (3, 3)
    assert CodecSpec(2, 3, pooling=("l2",)) == CodecSpec(2, 3, pooling="l2")
    assert CodecSpec(2, 3, pooling="l2").poolings == ("l2",)
    assert spec.poolings == ("l1", "max")


def test_it_is_a_value() -> None:
    spec, same = CodecSpec(2, 3), CodecSpec(2, (3, 3))
    others = [
        CodecSpec(3, 3),
        CodecSpec(2, (3, 4)),
        CodecSpec(2, 3, "db2"),
        CodecSpec(2, 3, pooling="l2"),
        CodecSpec(2, 3, pooling=("l1", "l2")),
        CodecSpec(2, 3, boundary="periodic"),
        CodecSpec(2, 3, grid="padded"),
    ]
    assert spec == same
    assert hash(spec) == hash(same)
    assert len({spec, same, *others}) == 1 + len(others)
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(FrozenInstanceError):
        spec.level = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (CodecSpec(2, 3), "J=2 P=3 haar l1"),
        (CodecSpec(2, (3, 4), "db2", ("l1", "max")), "J=2 P=3x4 db2 l1+max"),
        (CodecSpec(2, 3, boundary="periodic", grid="padded"), "J=2 P=3 haar l1 periodic padded"),
    ],
)
def test_the_short_form_shows_what_is_not_the_default(spec: CodecSpec, text: str) -> None:
    assert str(spec) == text


# -- JSON -----------------------------------------------------------------------------------------

all_specs = st.builds(
    CodecSpec,
    st.integers(1, MAX_LEVEL),
    st.one_of(st.integers(1, 500), st.tuples(st.integers(1, 500), st.integers(1, 500))),
    st.sampled_from(pywt.wavelist(kind="discrete")),
    st.one_of(
        st.sampled_from(POOLINGS),
        st.lists(st.sampled_from(POOLINGS), min_size=1, unique=True).map(tuple),
    ),
    st.sampled_from(["zero", "periodic"]),
    st.sampled_from(["balanced", "padded"]),
)


@given(all_specs)
def test_json_round_trip(spec: CodecSpec) -> None:
    assert CodecSpec.from_json(spec.to_json()) == spec
    assert CodecSpec.from_dict(spec.to_dict()) == spec
    assert json.loads(spec.to_json()) == spec.to_dict()
    assert "\n" not in spec.to_json()
    assert list(json.loads(spec.to_json())) == sorted(spec.to_dict())


def test_json_may_leave_out_defaults() -> None:
    assert CodecSpec.from_json('{"level": 2, "patches": 3}') == CodecSpec(2, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1, 2]", "JSON object"),
        ("null", "JSON object"),
        ('{"level": 2}', "patches"),
        ("{}", "level"),
        ('{"level": 2, "patches": 3, "levels": 2}', "levels"),
        ('{"level": 2, "patches": 3, "grid": "even"}', "grid"),
        ('{"level": 1e1, "patches": 3}', "level"),
    ],
)
def test_text_that_is_no_spec(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        CodecSpec.from_json(text)


# -- shapes ---------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 300), st.integers(1, 300))
def test_bands_shrink_by_halving_upwards(level: int, height: int, width: int) -> None:
    spec = CodecSpec(level, 1)
    shapes = [(height, width)]
    for _ in range(level):
        height, width = (height + height % 2) // 2, (width + width % 2) // 2
        shapes.append((height, width))
    assert spec.split_shapes(*shapes[0]) == shapes
    assert spec.band_shape(*shapes[0]) == shapes[-1]


def test_sizes_of_codes() -> None:
    spec = CodecSpec(3, (4, 5))
    assert spec.code_shape(2) == (2, 64, 4, 5)
    assert spec.numbers(2) == 2 * 64 * 20
    assert spec.compact_shape() == (32, 40)
    several = CodecSpec(3, (4, 5), pooling=("l1", "l2", "max"))
    assert several.code_shape(2) == (2, 64, 4, 5, 3)
    assert several.numbers(1) == 3 * 64 * 20
    assert CodecSpec(12, 10**7).numbers(1) == 4**12 * 10**14  # more than 64 bits hold


@pytest.mark.parametrize("grid", GRIDS)
def test_cells_counted_out(grid: Any) -> None:
    for length, patches in itertools.product(range(1, 30), range(1, 12)):
        spec = CodecSpec(1, patches, grid=grid)
        if grid == "balanced" and length < patches:
            with pytest.raises(ImageTooSmallError):
                spec.cells(2 * length, 2 * length)
            continue
        rows, columns = spec.cells(2 * length, 2 * length)
        cell_of = rows.of_each_row()
        if grid == "balanced":
            # The cell of row r is the i with floor(i * h / P) <= r < floor((i + 1) * h / P).
            want = [
                max(i for i in range(patches) if i * length // patches <= r) for r in range(length)
            ]
            sizes = [want.count(i) for i in range(patches)]
            assert max(sizes) - min(sizes) <= 1
        else:
            size = next(n for n in itertools.count(1) if n * patches >= length)
            before = (size * patches - length) // 2
            want = [(before + r) // size for r in range(length)]
            sizes = [size] * patches
        assert cell_of.tolist() == want
        assert rows.lengths.tolist() == columns.lengths.tolist() == sizes
        for cell, (start, stop) in enumerate(zip(rows.starts, rows.stops, strict=True)):
            assert list(range(start, stop)) == [r for r in range(length) if want[r] == cell]


def test_rows_and_columns_are_not_mixed_up() -> None:
    rows, columns = CodecSpec(1, (2, 3)).cells(8, 18)
    assert rows.stops.tolist() == [2, 4]
    assert columns.stops.tolist() == [3, 6, 9]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((16, 400), "16x400 .* 2x50 .* level 3, .* 3x4 cells .* more than 16x24"),
        ((400, 24), "400x24 .* 50x3 "),
    ],
)
def test_an_image_with_too_few_rows_or_columns(size: tuple[int, int], words: str) -> None:
    with pytest.raises(ImageTooSmallError, match=words):
        CodecSpec(3, (3, 4)).cells(*size)
    CodecSpec(3, (3, 4)).cells(17, 25)  # the smallest that is large enough
    CodecSpec(3, (3, 4), grid="padded").cells(*size)
