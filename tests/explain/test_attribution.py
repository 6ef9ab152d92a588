"""One result type: its views agree with each other, and its words with its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.groups import band_groups
from deepfixcx.explain.naming import band_names, place_words, spread_over_pixels
from deepfixcx.packets import band_number

SPECS = [
    CodecSpec(1, 2),
    CodecSpec(2, (3, 2), grid="padded"),
    CodecSpec(3, 4, wavelet="db2"),
    CodecSpec(2, 3, pooling=("l1", "max")),
]


def made(spec: CodecSpec, images: int = 2, seed: int = 0, channels: int = 1) -> Attribution:
    """Return an attribution of random values that is complete."""
    generator = np.random.default_rng(seed)
    code = Codec(spec).encode(generator.random((images, channels, 45, 53), np.float32))
    values = generator.normal(size=code.array.shape).astype(np.float32)
    sums = values.reshape(images, -1).sum(axis=1)
    return Attribution(
        values, code, np.zeros_like(code.array[:1]), sums, 0 * sums, "test", 0, "effusion", "output"
    )


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_view_sums_to_the_whole(spec: CodecSpec, channels: int) -> None:
    why = made(spec, channels=channels)
    whole = why.values.reshape(2, -1).sum(axis=1)
    assert why.spatial().sum(axis=(1, 2)) == pytest.approx(whole, abs=1e-4)
    assert why.edges().sum(axis=1) == pytest.approx(whole, abs=1e-4)
    assert why.edge_groups().sum(axis=1) == pytest.approx(whole, abs=1e-4)
    assert why.edge_map().sum(axis=(1, 2)) == pytest.approx(whole, abs=1e-4)
    sizes = np.abs(why.values).reshape(2, -1).sum(axis=1)
    assert why.spatial(absolute=True).sum(axis=(1, 2)) == pytest.approx(sizes, rel=1e-5)
    assert why.edge_groups(absolute=True).sum(axis=1) == pytest.approx(sizes, rel=1e-5)
    assert (why.completeness_error < 1e-4).all()


def test_completeness_error_is_a_share_of_the_change() -> None:
    why = made(SPECS[0])
    sums = why.values.reshape(2, -1).sum(axis=1)
    off = replace(why, outputs=1.25 * sums)
    assert off.completeness_error == pytest.approx([0.2, 0.2], abs=1e-4)
    still = replace(why, outputs=0 * sums)  # nothing changed, and everything was attributed
    assert still.completeness_error == pytest.approx(np.abs(sums) / 1e-3, rel=1e-4)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_pixels_have_the_number_of_their_cell(spec: CodecSpec) -> None:
    why = made(spec)
    height, width = map(int, why.code.sizes[1])
    image = why.spatial_image(1)
    assert image.shape == (height, width)
    # a pixel influences the cells that it lies in, and only (for Haar) those
    if spec.wavelet == "haar":
        changed = np.zeros((1, 1, height, width), np.float32)
        changed[..., height // 3, width // 2] = 1
        hit = Codec(replace(spec, pooling="l1")).encode(changed).array[0, 0].sum(axis=0) > 0
        row, column = np.argwhere(hit)[0]
        assert hit.sum() == 1
        assert image[height // 3, width // 2] == why.spatial()[1, row, column]


def test_edges_are_laid_out_by_frequency() -> None:
    spec = CodecSpec(2, 1)
    why = made(spec)
    values = np.zeros_like(why.values)
    values[:, :, band_number("av", 2)] = 1  # the coarsest vertical edges
    why = replace(why, values=values)
    assert np.argwhere(why.edge_map()[0]).tolist() == [[0, 1]]
    group = band_groups(2)[int(why.edge_groups()[0].argmax())]
    assert str(group) == "vertical edges of 4–8 px"
    assert why.band_names[int(why.edges()[0].argmax())].orientation == "vertical"


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_groups_part_the_bands(level: int) -> None:
    groups = band_groups(level)
    members = sorted(band for group in groups for band in group.bands)
    assert members == list(range(4**level))
    assert len(groups) == 1 + 3 * level
    names = band_names(level)
    for group in groups[1:]:
        for band in group.bands:
            assert names[band].orientation == group.orientation
            assert group.low <= names[band].low < names[band].high <= group.high


def test_the_image_is_the_inverse_transform() -> None:
    spec = CodecSpec(2, 4)
    pixels = np.random.default_rng(0).random((1, 1, 40, 48), np.float32)
    code = Codec(spec).encode(pixels)
    outputs = code.array.reshape(1, -1).sum(axis=1)
    why = Attribution(
        code.array, code, 0 * code.array, outputs, 0 * outputs, "test", 0, "yes", "output"
    )
    # the attribution of a code that is the code itself is the reconstruction
    assert why.image() == pytest.approx(np.asarray(Codec(spec).decode(code))[0], abs=1e-6)
    twice = replace(why, values=-2 * why.values)
    assert twice.image() == pytest.approx(-2 * why.image(), abs=1e-5)


def planted(row: int, column: int, path: str, amount: float, spec: CodecSpec) -> Attribution:
    why = made(spec)
    values, array = np.full_like(why.values, 1e-6), why.code.array.copy()
    values[1, 0, band_number(path, spec.level), row, column] = amount
    array[1, 0, band_number(path, spec.level), row, column] += 10
    return replace(why, values=values, code=Code(array, spec, why.code.sizes))


def test_reasons_in_words() -> None:
    spec = CodecSpec(3, 5)
    why = planted(4, 1, "haa", -2.0, spec)  # fine horizontal edges
    first = why.top(3, image=1)[0]
    assert (first.row, first.column) == (4, 1)
    assert first.bands is not None
    assert first.bands.orientation == "horizontal"
    assert first.words == (
        "lower left, cell row 5, column 2: horizontal edges, mostly of 2–4 px, push away from "
        "effusion"
    )
    assert str(first) == first.words
    assert first.amount == pytest.approx(-2, abs=1e-3)
    assert first.share == pytest.approx(1, abs=1e-2)
    other = planted(2, 2, "aaa", 1.0, spec).top(1, image=1)[0]
    assert other.words == ("centre, cell row 3, column 3: local brightness pushes towards effusion")


def test_the_octave_of_a_reason_is_where_the_code_differs() -> None:
    """A model that uses a pattern in finer bands, into which it leaks, is not said to be so."""
    spec = CodecSpec(3, 5)
    why = planted(4, 1, "haa", -2.0, spec)  # the attribution is that of 2–4 px
    array = why.code.array.copy()
    array[1, 0, band_number("aha", 3), 4, 1] += 50  # the pattern has 4–8 px
    first = replace(why, code=Code(array, spec, why.code.sizes)).top(1, image=1)[0]
    assert str(first.bands) == "horizontal edges of 4–8 px"
    assert first.amount == pytest.approx(-2, abs=1e-3)  # that of the direction, in all octaves
    less = replace(why, baseline=array[1:], code=why.code).top(1, image=1)[0]
    assert str(less.bands) == "horizontal edges of 4–8 px"  # nothing exceeds: what falls most


def test_reasons_are_ordered_and_end() -> None:
    """First the strongest direction of each cell, in the order of the sums of cells."""
    why = made(SPECS[2])
    reasons = why.top(10_000)
    rows, columns = SPECS[2].grid_shape
    firsts = reasons[: rows * columns]
    cells = [(each.row, each.column) for each in firsts]
    assert len(set(cells)) == rows * columns
    sums = [abs(why.spatial()[0][cell]) for cell in cells]
    assert sums == sorted(sums, reverse=True)
    assert sum(each.share for each in reasons) == pytest.approx(1, abs=1e-4)
    assert why.top(2) == reasons[:2]
    assert replace(why, values=0 * why.values).top() == []


def test_some_images_of_an_attribution() -> None:
    why = made(SPECS[0], images=4)
    for chosen in (slice(1, 3), [1, 2], np.array([False, True, True, False])):
        some = why[chosen]
        assert np.array_equal(some.values, why.values[1:3])
        assert np.array_equal(some.outputs, why.outputs[1:3])
        assert len(some) == len(some.code) == 2
    assert np.array_equal(why[-1].spatial()[0], why.spatial()[3])


def test_what_a_method_cannot_tell() -> None:
    why = made(SPECS[0])
    places = replace(why, resolves="place")
    with pytest.raises(ExplanationError, match="gives no values for bands"):
        places.edges()
    assert places.top(1)[0].bands is None
    assert "edges" not in places.top(1)[0].words
    bands = replace(why, resolves="band")
    with pytest.raises(ExplanationError, match="gives no values for places"):
        bands.spatial_image()
    assert bands.top(1)[0].row is None
    assert "cell" not in bands.top(1)[0].words


def broken(why: Attribution, part: str) -> Attribution:
    values: dict[str, Any] = {
        "values": why.values[:, :, :-1],
        "baseline": np.concatenate([why.baseline] * 3),
        "outputs": why.outputs[:1],
        "baseline_outputs": why.baseline_outputs[:1],
    }
    return replace(why, **{part: values[part]})


@pytest.mark.parametrize("part", ["values", "baseline", "outputs", "baseline_outputs"])
def test_parts_that_do_not_fit(part: str) -> None:
    with pytest.raises(ExplanationError, match="the attribution of codes"):
        broken(made(SPECS[0]), part)


def test_values_are_finite() -> None:
    why = made(SPECS[0])
    with pytest.raises(ExplanationError, match="not finite"):
        replace(why, values=np.full_like(why.values, np.nan))


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_words_of_places_follow_the_middle_of_the_cell(
    rows: int, columns: int, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, rows - 1))
    column = data.draw(st.integers(0, columns - 1))
    words = place_words((row, column), (rows, columns))
    mirrored = place_words((rows - 1 - row, columns - 1 - column), (rows, columns))
    for one, other in (("upper", "lower"), ("left", "right")):
        assert (one in words) == (other in mirrored)
    if rows * columns > 1:
        assert words.endswith(f"cell row {row + 1}, column {column + 1}")


def test_spreading_covers_the_image() -> None:
    code = Code(np.zeros((1, 1, 16, 3, 3), np.float32), CodecSpec(2, 3), np.array([[30, 41]]))
    numbered = np.arange(9, dtype=np.float32).reshape(3, 3)
    spread = spread_over_pixels(numbered, code.spec, 30, 41)
    assert set(spread.ravel().tolist()) == set(range(9))
    assert spread[0, 0] == 0
    assert spread[-1, -1] == 8
    assert (np.diff(spread, axis=0) >= 0).all()
