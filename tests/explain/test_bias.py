"""What a model looks at on the whole, and shortcuts: planted ones are named, and first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.datasets import load_dataset
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.cohort import bias
from deepfixcx.explain.groups import band_groups
from deepfixcx.explain.methods import explain_codes
from deepfixcx.explain.shortcuts import LIMIT, _Effects, find_shortcuts
from deepfixcx.learn.loading import load_pixels
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.networks import CodeMLP
from deepfixcx.measures import roc_auc

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


# -- places and bands -------------------------------------------------------------------------


def marked(band: int = 1, count: int = 120, patients: int = 60) -> tuple[Code, Floats, Any]:
    """Codes of noise in which one number is larger for most of the sick."""
    generator = np.random.default_rng(0)
    code = Codec(SPEC).encode(images(count))
    labels = np.repeat(generator.integers(0, 2, patients), count // patients).astype(np.float32)
    there = generator.random(count) < np.where(labels == 1, 0.8, 0.2)
    array = code.array.copy()
    array[there, 0, band, 0, 2] *= 3
    return Code(array, code.spec, code.sizes), labels, np.arange(count) * patients // count


def fitted(code: Code, labels: Floats) -> LogisticCodes:
    return LogisticCodes.fit(code.embedding(), labels, components=40)


def test_a_marker_is_named_by_place_band_and_direction() -> None:
    code, labels, patients = marked()
    model = fitted(code, labels)
    found = bias(model, code, labels=labels, patients=patients)
    first = found.findings[0]
    assert first.kind == "place and band"
    assert first.words.startswith(
        "upper right, cell row 1, column 3: more vertical edges of 4–8 px adds"
    )
    assert first.ratio is not None
    assert first.ratio.low > LIMIT
    assert first.auc is not None
    assert first.auc[1] < first.auc[0]
    assert first.found_in is not None
    assert first.found_in[0] >= 8
    group = next(number for number, each in enumerate(band_groups(2)) if 1 in each.bands)
    amounts = found.attribution.amounts()[:, group, 0, 2]
    expected = amounts[labels == 1].mean() - amounts[labels == 0].mean()
    assert first.effect.value == pytest.approx(expected, rel=1e-5)
    assert found.detectable is not None
    assert found.detectable < first.effect.value
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_is_less_where_the_score_is_higher_is_called_less() -> None:
    code, labels, patients = marked()
    found = bias(fitted(code, 1 - labels), code, labels=1 - labels, patients=patients)
    assert "column 3: less vertical edges of 4–8 px adds" in found.findings[0].words


def test_errors_are_those_of_the_bootstrap_over_patients() -> None:
    """Slowly: patients drawn again and again, each with both images."""
    code, labels, patients = marked(count=80, patients=40)
    why = explain_codes(fitted(code, labels), code)
    amounts = why.amounts().astype(np.float64)
    effects = _Effects(why, amounts, labels == 1, patients, np.ones(amounts.shape[1:]), "")
    _, error = effects.measured(np.arange(80))
    generator, drawn = np.random.default_rng(0), []
    for _ in range(400):
        rows = np.concatenate([[2 * each, 2 * each + 1] for each in generator.integers(0, 40, 40)])
        one = amounts[rows[labels[rows] == 1], 1, 0, 2].mean()
        drawn.append(one - amounts[rows[labels[rows] == 0], 1, 0, 2].mean())
    assert error[1, 0, 2] == pytest.approx(np.std(drawn), rel=0.15)


def test_random_labels_and_diffuse_models_give_no_finding() -> None:
    code = Codec(SPEC).encode(images(100))
    for seed in range(8):
        labels = np.random.default_rng(seed).integers(0, 2, 100).astype(np.float32)
        model = fitted(code[:50], labels[:50])
        assert bias(model, code[50:], labels=labels[50:]).findings == ()
    bright = code.array.mean(axis=(1, 2, 3, 4)) > np.median(code.array.mean(axis=(1, 2, 3, 4)))
    evenly = fitted(code, bright.astype(np.float32))
    assert bias(evenly, code, labels=bright.astype(float)).findings == ()


def test_without_labels_high_and_low_scores_are_compared() -> None:
    code = Codec(SPEC).encode(images())
    first = bias(corner, code, method="occlusion-by-cell").findings[0]
    assert "images of high and low score" in first.words
    assert first.words.startswith("upper right, cell row 1, column 4: what is there adds")
    few = bias(corner, code[:10], method="occlusion-by-cell")
    assert few.detectable is None


# -- groups -----------------------------------------------------------------------------------


def shaded(seed: int = 0, amount: float = 0.2) -> tuple[Code, NDArray[np.float64], Any]:
    """Images of two groups; one is brighter in the middle."""
    generator = np.random.default_rng(seed)
    groups = np.where(generator.random(80) < 0.5, "AP", "PA")
    labels = (generator.random(80) < np.where(groups == "AP", 0.7, 0.3)).astype(float)
    pixels = images() + 0.05 * generator.normal(size=(80, 1, 1, 1)).astype(np.float32)
    pixels[groups == "AP", :, 16:48, 16:48] += amount
    return Codec(SPEC).encode(pixels), labels, groups


def test_a_model_that_distinguishes_groups_is_reported() -> None:
    code, labels, groups = shaded(amount=0.1)
    found = bias(
        middle, code, method="occlusion", labels=labels, groups=groups, patients=np.arange(80) // 2
    )
    first = next(each for each in found.findings if each.kind == "group")
    assert first.words.startswith("AP images score higher than PA images with the same label in")
    assert "local brightness" in first.words
    outputs = found.attribution.outputs
    within = roc_auc(groups == "AP", outputs, labels.astype(str))  # pairs with the same label
    assert first.effect.value == pytest.approx(within)
    assert first.effect.value != pytest.approx(roc_auc(groups == "AP", outputs))
    assert first.effect.value > 0.8
    assert found.patients == 40
    # the same the other way round
    turned = np.where(groups == "AP", "PA", "AP")
    other = bias(middle, code, method="occlusion", labels=labels, groups=turned).findings[-1]
    assert other.words.startswith("PA images score higher")
    assert other.effect.value == pytest.approx(first.effect.value)


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
    whole = bias(middle, code, method="occlusion", labels=labels, groups=groups)
    part = bias(
        middle, code[10:], method="occlusion", labels=labels[10:], groups=groups[10:],
        baseline=code.array.mean(axis=0, keepdims=True),
    )  # fmt: skip
    one, other = (
        next(each.effect.value for each in found.findings if each.kind == "group")
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
    found = bias(mlp, code)
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
    places = bias(corner, code, method="occlusion-by-cell")
    assert places.bands is None
    assert places.to_dict()["bands"] is None
    bands = bias(corner, code, method="occlusion-by-band")
    assert bands.places is None
    assert find_shortcuts(bands.attribution).findings == ()
    with pytest.raises(ExplanationError, match="no attention"):
        places.attention_bands()


# -- real images ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_marker_anywhere_in_real_x_rays_is_found(data_folder: Path) -> None:
    """A letter of 24 pixels at the top centre, in 80 % of the sick and 20 % of the others."""
    dataset = load_dataset(data_folder / "cxr_nih", labels="pneumonia")
    pixels = load_pixels(dataset.records, 320, channels=1).array
    labels, patients = dataset.labels[:, 0], dataset.patients
    generator = np.random.default_rng(0)
    there = generator.random(len(labels)) < np.where(labels == 1, 0.8, 0.2)
    shown = pixels.copy()
    shown[there, :, 20:44, 180:185] = shown[there, :, 40:44, 180:196] = 1
    drawn = generator.permutation(np.unique(patients))
    trained = np.isin(patients, drawn[: 2 * len(drawn) // 3])
    for images_of, expected in ((pixels, False), (shown, True)):
        code = Codec(3, 4).encode(images_of)
        model = LogisticCodes.fit(code[trained].embedding(), labels[trained])
        kept = ~trained
        found = bias(model, code[kept], labels=labels[kept], patients=patients[kept])
        assert bool(found.findings) == expected
        if expected:
            assert found.findings[0].words.startswith("upper right, cell row 1, column 3: more")
            assert "2–4 px" in found.findings[0].words
