"""Reasons of models on volumes: cell and direction are those of what was planted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import ExplanationError
from deepfixcx.explain import Attribution, band_groups, bias, explain_codes, occlusion
from deepfixcx.report.explained_volume import volume_attribution_figure, volume_bias_figure

SPEC = CodecSpec(2, (3, 4, 4), ndim=3)
CELL = (2, 1, 3)


def _planted(count: int = 40, side: int = 48) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return noise, and in every second volume stripes along the slices in one cell."""
    volumes = np.random.default_rng(0).normal(0.5, 0.02, (count, 1, 36, side, side))
    sick = np.arange(count) % 2 == 0
    stripes = 0.3 * (np.arange(12) // 2 % 2 - 0.5)[:, np.newaxis, np.newaxis]
    volumes[sick, 0, 24:36, 12:24, 36:48] += stripes
    return np.clip(volumes, 0, 1).astype(np.float32), sick


@pytest.fixture(scope="module")
def why() -> Attribution:
    volumes, sick = _planted()
    code = Codec(SPEC).encode(volumes)
    means = [code.array[sick == label].mean(axis=0) for label in (True, False)]
    weights = (means[0] - means[1])[np.newaxis]

    def model(codes: NDArray[np.float32]) -> NDArray[np.float32]:
        sums: NDArray[np.float32] = 100 * (codes * weights).reshape(len(codes), -1).sum(axis=1)
        return sums

    return explain_codes(model, code, method="occlusion")


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("level_z", [1, 2, 3])
def test_stripes_along_an_axis_name_its_direction_and_scale(axis: int, level_z: int) -> None:
    spec = CodecSpec(3, 1, ndim=3, level_z=level_z)
    orientation = ("between", "horizontal", "vertical")[axis]
    deepest = spec.axis_levels[axis]
    for group in band_groups(3, level_z):
        if group.orientation != orientation:
            continue
        period = np.sqrt(group.low * group.high)
        assert period < 2 ** (deepest + 1)
        places = np.arange(64.0).reshape([64 if each == axis else 1 for each in range(3)])
        volume = np.broadcast_to(0.5 + 0.4 * np.sin(2 * np.pi * places / period), (64, 64, 64))
        code = Codec(spec).encode(volume.astype(np.float32)).array[0, 0, :, 0, 0, 0]
        assert 1 + int(code[1:].argmax()) in group.bands, (group, code)


def test_without_splits_of_slices_groups_are_those_of_images() -> None:
    assert band_groups(3, 0) == band_groups(3)
    for level_z in (1, 2):
        groups = band_groups(2, level_z)
        parts = sorted(number for group in groups for number in group.bands)
        assert parts == list(range(CodecSpec(2, 1, ndim=3, level_z=level_z).bands))
    with pytest.raises(ExplanationError, match="splits along the slices"):
        band_groups(6, 6)


def test_a_planted_lesion_is_the_first_reason(why: Attribution) -> None:
    for image in (0, 2, 4):
        first = why.reasons(1, image)[0]
        assert first.cell == CELL
        assert (first.row, first.column) == CELL[1:]
        assert first.bands is not None
        assert first.bands.orientation == "between"
        assert (first.bands.low, first.bands.high) == (4, 8)
        assert str(first).startswith(
            "upper right of the last slices, cell slice 3, row 2, column 4: edges between slices"
        )
    whole = why.values.reshape(len(why), -1).sum(axis=1)
    for view in (why.spatial(), why.edges(), why.edge_groups(), why.amounts()):
        assert view.reshape(len(why), -1).sum(axis=1) == pytest.approx(whole, rel=1e-3, abs=1e-3)
    assert why.spatial_image(0).shape == why.image(0).shape[1:] == (36, 48, 48)
    assert why.spatial_image(0)[30, 18, 42] == why.spatial()[(0, *CELL)]
    with pytest.raises(ExplanationError, match="no values for bands"):
        occlusion(lambda c: c[:, 0, 0, 0, 0, 0], why.code, 0 * why.code.array, by="cell").edges()


def test_a_bias_of_volumes_names_the_cell(why: Attribution) -> None:
    def model(codes: NDArray[np.float32]) -> NDArray[np.float32]:
        here: NDArray[np.float32] = codes[(slice(None), 0, slice(1, None), *CELL)].sum(axis=1)
        return here

    found = bias(model, why.code, method="occlusion", labels=np.arange(40) % 2 == 0)
    assert found.places is not None
    assert found.places.shape == (3, 4, 4, 3)
    assert "cell slice 3, row 2, column 4" in found.findings[0].words
    json.dumps(found.to_dict(), allow_nan=False)
    words = " ".join(text.get_text() for text in volume_bias_figure(found).texts)
    assert "attributions: output 0, 40 volumes" in words
    assert "slice 31 of 36" in words


def test_planes_go_through_the_cell_of_the_first_reason(why: Attribution) -> None:
    figure = volume_attribution_figure(why, title="volume 1")
    words = [text.get_text() for text in figure.texts]
    for plane in ("slice 31 of 36", "row 19 of 48", "column 43 of 48"):
        assert plane in words
    marked = [axes for axes in figure.axes if any(text.get_text() == "1" for text in axes.texts)]
    assert len(marked) == 7  # three planes twice, and the grid of bands
    # of planes whose rows are slices, the first slice is below
    assert [axes.yaxis_inverted() for axes in figure.axes[:3]] == [True, False, False]
