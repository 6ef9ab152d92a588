"""What a model looks at on the whole, and shortcuts: planted ones are named, and first."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.datasets import load_dataset
from deepfixcx.errors import ExplanationError
from deepfixcx.explain._draws import (
    between_groups,
    draw_images,
    mean_intervals,
    share_of_variation,
)
from deepfixcx.explain.cohort import Bias, bias
from deepfixcx.explain.naming import band_groups
from deepfixcx.explain.shortcuts import find_shortcuts, outside_the_body, suspect_regions, text_like
from deepfixcx.learn.loading import load_pixels
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.mlp import CodeMLP
from deepfixcx.measures import Interval, patient_bootstrap, roc_auc

SPEC = CodecSpec(2, 4)
Floats = NDArray[np.float32]


def images(count: int = 80, seed: int = 0, side: int = 64) -> Floats:
    generator = np.random.default_rng(seed)
    made: Floats = 0.5 + 0.1 * generator.normal(size=(count, 1, side, side)).astype(np.float32)
    return made


def corner(codes: Floats) -> Floats:
    outputs: Floats = codes[:, 0, :, 0, 3].sum(axis=1)
    return outputs


def middle(codes: Floats) -> Floats:
    outputs: Floats = codes[:, 0, :, 1:3, 1:3].sum(axis=(1, 2, 3))
    return outputs


# -- regions ----------------------------------------------------------------------------------


def test_regions_of_a_grid() -> None:
    code = Codec(CodecSpec(1, 8)).encode(images(2))
    regions = {region.words: region.cells for region in suspect_regions(code)}
    corners = [cells for words, cells in regions.items() if words.endswith("corner")]
    assert [int(cells[0].sum()) for cells in corners] == [1, 1, 1, 1]
    assert regions["the lower left corner"][0, 7, 0]
    border = next(region for region in suspect_regions(code) if region.kind == "border").cells
    assert int(border[0].sum()) == 28 - 4
    assert not (border & sum(corners)).any()
    coarse = Codec(CodecSpec(1, 4)).encode(images(2))
    assert {region.kind for region in suspect_regions(coarse)} == {"corner", "text"}
    tiny = Codec(CodecSpec(1, 2)).encode(images(2))
    assert "corner" not in {region.kind for region in suspect_regions(tiny)}
    fine = Codec(CodecSpec(1, 12)).encode(images(2))
    assert [int(each.cells[0].sum()) for each in suspect_regions(fine)[:4]] == [4, 4, 4, 4]


def test_dark_cells_are_outside_the_body() -> None:
    pixels = images(3)
    pixels[1, :, :, :16] *= 0.05
    dark = outside_the_body(Codec(SPEC).encode(pixels))
    assert dark[1, :, 0].all()
    assert int(dark.sum()) == 4
    bright = np.ones_like(pixels)
    assert not outside_the_body(Codec(SPEC).encode(bright)).any()
    assert not outside_the_body(Codec(SPEC).encode(0 * pixels)).any()


def test_letters_have_the_strongest_edges() -> None:
    pixels = images(40, side=128)
    pixels[7, :, 70:74, 40:60] = 1
    pixels[7, :, 70:90, 40:44] = 1
    code = Codec(CodecSpec(3, 8)).encode(pixels)
    assert text_like(code)[7, 4:6, 2:4].any()
    assert text_like(code).mean() == pytest.approx(0.02, abs=0.002)
    assert text_like(code)[7].sum() > 2 * text_like(code).sum() / 40


# -- figures over draws -----------------------------------------------------------------------


def test_draws_are_of_patients() -> None:
    patients = np.repeat(np.arange(10), 3)
    draws = draw_images(patients, 30, 50, 0)
    assert (draws[0] == 1).all()
    assert (draws.sum(axis=1) == 30).all()
    assert all((draws[:, patients == each] == draws[:, patients == each][:, :1]).all() for each in
               range(10))  # fmt: skip
    assert not np.array_equal(draws, draw_images(patients, 30, 50, 1))
    for wrong, samples in ((patients[:4], 50), (patients, 0)):
        with pytest.raises(ExplanationError):
            draw_images(wrong, 30, samples, 0)


def test_intervals_agree_with_the_bootstrap_of_the_measures() -> None:
    generator = np.random.default_rng(0)
    values, patients = generator.normal(size=60), np.repeat(np.arange(20), 3)
    ours = mean_intervals(values[:, np.newaxis].astype(np.float32),
                          draw_images(patients, 60, 4000, 0))[0]  # fmt: skip
    theirs = patient_bootstrap(
        lambda _, scores: float(scores.mean()), np.zeros(60), values, patients, samples=4000
    )
    assert ours == pytest.approx(
        [theirs.value, theirs.low, theirs.high], abs=0.05
    )  # wider: 20 patients
    assert math.isnan(Interval.of_draws(0.5, np.array([np.nan])).low)


@pytest.mark.parametrize("labelled", [True, False])
def test_shares_of_variation_sum_to_one(labelled: bool) -> None:
    generator = np.random.default_rng(0)
    parts = generator.normal(size=(4, 50)) * [[1], [2], [0.1], [3]]
    labels = (generator.random(50) < 0.5).astype(float) if labelled else None
    draws = draw_images(None, 50, 20, 0)
    shares = [share_of_variation(part, parts.sum(axis=0), labels, draws) for part in parts]
    assert np.sum(shares, axis=0) == pytest.approx(np.ones(21))
    if labels is None:
        whole = parts.sum(axis=0)
        assert shares[1][0] == pytest.approx(np.cov(parts[1], whole, ddof=0)[0, 1] / whole.var())
    nothing = share_of_variation(parts[0], np.zeros(50), labels, draws)
    assert np.isnan(nothing).all()


def test_variance_between_groups_by_hand() -> None:
    outputs = np.array([1.0, 3, 11, 13, 5, 5, 9, 9])
    members = np.array([1, 1, 0, 0, 1, 1, 0, 0], bool)
    labels = np.array([0.0] * 4 + [1.0] * 4)
    draws = np.stack([np.ones(8), np.array([1, 1, 1, 1, 0, 0, 0, 0.0])])
    # label 0: means 2, 12 around 7: 100 between, 104 in all; label 1: 5, 9 around 7: 16 of 16
    assert between_groups(outputs, members, labels, draws) == pytest.approx([116 / 120, 100 / 104])
    assert np.isnan(between_groups(np.ones(8), members, labels, draws)).all()


# -- shortcuts --------------------------------------------------------------------------------


def test_a_model_that_reads_a_corner_is_named() -> None:
    code = Codec(SPEC).encode(images())
    found = bias(corner, code, method="occlusion-by-cell")
    first = found.findings[0]
    assert first.kind == "corner"
    assert first.figure.value == pytest.approx(1, abs=1e-3)
    assert "upper right corner" in first.words
    assert first.strength.value == pytest.approx(1, abs=1e-3)
    assert [each.kind for each in found.findings].count("corner") == 1
    honest = bias(middle, code, method="occlusion-by-cell")
    assert "corner" not in [each.kind for each in honest.findings]


def shaded(seed: int = 0, amount: float = 0.2) -> tuple[Code, NDArray[np.float64], Any]:
    """Images of two groups, one of which is brighter in the middle."""
    generator = np.random.default_rng(seed)
    groups = np.where(generator.random(80) < 0.5, "AP", "PA")
    labels = (generator.random(80) < np.where(groups == "AP", 0.7, 0.3)).astype(float)
    pixels = images() + 0.05 * generator.normal(size=(80, 1, 1, 1)).astype(np.float32)
    pixels[groups == "AP", :, 16:48, 16:48] += amount
    return Codec(SPEC).encode(pixels), labels, groups


def test_a_model_that_tells_groups_apart_is_named() -> None:
    code, labels, groups = shaded(amount=0.1)
    found = bias(
        middle, code, method="occlusion", labels=labels, groups=groups, patients=np.arange(80) // 2
    )
    first = found.findings[0]
    assert first.kind == "group"
    assert first.words.startswith("AP images score higher than PA images with the same label in")
    assert "local brightness" in first.words
    outputs = found.attribution.outputs
    within = roc_auc(groups == "AP", outputs, labels.astype(str))  # pairs with the same label
    assert first.figure.value == pytest.approx(within)
    assert first.figure.value != pytest.approx(roc_auc(groups == "AP", outputs))
    assert first.figure.value > 0.8
    assert found.patients == 40
    # the same the other way round
    turned = np.where(groups == "AP", "PA", "AP")
    other = bias(middle, code, method="occlusion", labels=labels, groups=turned).findings[0]
    assert other.words.startswith("PA images score higher")
    assert other.strength.value == pytest.approx(first.strength.value)


def test_what_the_labels_explain_is_no_shortcut() -> None:
    """Scores that follow the label alone differ between groups, but not within labels."""
    generator = np.random.default_rng(1)
    _, labels, groups = shaded()
    pixels = images()
    pixels[labels == 1, :, 16:48, 16:48] += 0.2 * generator.random((int(labels.sum()), 1, 1, 1))
    code = Codec(SPEC).encode(pixels)
    with_labels = bias(middle, code, method="occlusion", labels=labels, groups=groups)
    assert "group" not in [each.kind for each in with_labels.findings]
    without = bias(middle, code, method="occlusion", groups=groups)
    assert "(labels unknown)" in next(
        each.words for each in without.findings if each.kind == "group"
    )


def test_groups_that_cannot_be_compared_are_left_out() -> None:
    code, labels, groups = shaded()
    few = np.array(["AP"] * 77 + ["PA"] * 3)
    alone = np.array(["AP"] * 80)
    unknown = np.where(groups == "AP", "AP", "")
    for each in (few, alone, unknown):
        found = bias(middle, code, method="occlusion-by-cell", labels=labels, groups=each)
        assert "group" not in [finding.kind for finding in found.findings]
    three = np.where(np.arange(80) % 5 == 0, "LATERAL", groups)
    found = bias(middle, code, method="occlusion-by-cell", labels=labels, groups=three)
    words = [finding.words for finding in found.findings if finding.kind == "group"]
    assert any(each.startswith("AP images score higher than others") for each in words)
    assert any(each.startswith("PA images score lower than others") for each in words)


def test_labels_that_are_not_known_count_for_nothing() -> None:
    code, labels, groups = shaded()
    labels[:10] = np.nan
    whole = bias(middle, code, method="occlusion", labels=labels, groups=groups, samples=50)
    part = bias(
        middle, code[10:], method="occlusion", labels=labels[10:], groups=groups[10:], samples=50,
        baseline=code.array.mean(axis=0, keepdims=True),
    )  # fmt: skip
    one, other = (
        next(each.figure.value for each in found.findings if each.kind == "group")
        for found in (whole, part)
    )
    assert one == pytest.approx(other)


def test_wrong_lengths() -> None:
    code = Codec(SPEC).encode(images(10))
    options: dict[str, Any] = {"method": "occlusion-by-cell"}
    for wrong in (
        {"labels": [0, 1]},
        {"labels": [2] * 10},
        {"groups": ["AP"]},
        {"patients": [1]},
        {"samples": 0},
    ):
        with pytest.raises(ExplanationError):
            bias(corner, code, **options, **wrong)
    with pytest.raises(ExplanationError, match="several images"):
        bias(corner, code[:1])


def test_means_and_attention() -> None:
    code = Codec(SPEC).encode(images(12))
    torch.manual_seed(0)
    mlp = CodeMLP(SPEC.code_shape(1), 1)
    mlp.fit_normalization(torch.from_numpy(code.array))
    found = bias(mlp, code, samples=30)
    assert found.places is not None
    assert found.bands is not None
    cells = found.attribution.spatial(absolute=True).mean(axis=0)
    assert found.places[..., 0] == pytest.approx(cells, rel=1e-4)
    assert (found.places[..., 1] <= found.places[..., 0]).all()
    assert (found.places[..., 2] >= found.places[..., 0]).all()
    assert found.bands[:, 0].sum() == pytest.approx(found.places[..., 0].sum(), rel=1e-4)
    assert found.attention is not None
    assert found.attention_places().sum() == pytest.approx(1)
    assert found.attention_bands().sum() == pytest.approx(1)
    attention = mlp.attention().detach().numpy()
    group = band_groups(2)[3]
    share = attention[0, list(group.bands)].sum() / attention.sum()
    assert found.attention_bands()[3] == pytest.approx(share)
    written = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(written)["images"] == 12


def test_what_a_method_cannot_tell_is_left_out() -> None:
    code = Codec(SPEC).encode(images(12))
    places = bias(corner, code, method="occlusion-by-cell", samples=20)
    assert places.bands is None
    assert places.to_dict()["bands"] is None
    bands = bias(corner, code, method="occlusion-by-band", samples=20)
    assert bands.places is None
    assert find_shortcuts(bands.attribution, samples=20) == ()
    with pytest.raises(ExplanationError, match="no attention"):
        places.attention_bands()


# -- real images ------------------------------------------------------------------------------


def with_marker(pixels: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Write an L of 10 pixels into the upper left corner of some images."""
    marked = pixels.copy()
    marked[chosen, :, 4:14, 4:9] = 1
    marked[chosen, :, 12:14, 4:14] = 1
    return marked


def found_on(pixels: Floats, labels: Floats, views: Any, patients: Any) -> Bias:
    owners = np.unique(patients)
    trained = np.isin(
        patients, np.random.default_rng(0).choice(owners, len(owners) // 2, replace=False)
    )
    code = Codec(3, 4).encode(pixels)
    model = LogisticCodes.fit(code[trained].embedding(), labels[trained])
    kept = ~trained
    return bias(
        model, code[kept], labels=labels[kept], groups=views[kept], patients=patients[kept],
        samples=200,
    )  # fmt: skip


def test_shortcuts_in_real_x_rays(data_folder: Path) -> None:
    """The views are a shortcut of these images; a planted marker is a stronger one."""
    dataset = load_dataset(data_folder / "cxr_nih", labels="pneumonia")
    pixels = load_pixels(dataset.records, 320, channels=1).array
    labels, patients = dataset.labels[:, 0], dataset.patients
    views = np.array([record.view or "" for record in dataset.records])
    real = found_on(pixels, labels, views, patients)
    assert real.findings[0].kind == "group"
    assert real.findings[0].words.startswith("PA images score higher than AP images")
    assert "corner" not in [each.kind for each in real.findings]
    luck = np.random.default_rng(1).random(len(labels))
    marked = with_marker(pixels, (labels == 1) & (luck < 0.9) | (labels == 0) & (luck < 0.1))
    planted = found_on(marked, labels, views, patients)
    assert planted.findings[0].kind == "corner"
    assert "from the upper left corner" in planted.findings[0].words
    assert "group" in [each.kind for each in planted.findings]
