"""Reasons of models of random labels are called diffuse; real ones are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.groups import band_groups
from deepfixcx.explain.methods import even_shares, explain_codes, range_of, with_other_baselines
from deepfixcx.learn.logistic import LogisticCodes

SPEC = CodecSpec(2, 4)


@pytest.fixture(scope="module")
def code() -> Code:
    generator = np.random.default_rng(0)
    shared = generator.normal(size=(160, 1, 1, 1))
    pixels = 0.5 + 0.1 * generator.normal(size=(160, 1, 64, 64)) + 0.05 * shared
    return Codec(SPEC).encode(pixels.astype(np.float32))


def fitted(code: Code, labels: NDArray[np.floating]) -> LogisticCodes:
    return LogisticCodes.fit(code.embedding(), labels, components=20)


def test_even_shares_by_hand(code: Code) -> None:
    known = range_of(code)
    assert known is not None
    start = code.array.mean(axis=0, keepdims=True)
    shares = even_shares(code[:3], known, start)
    steps = (np.sqrt(np.abs(code.array[:3])) - np.sqrt(np.abs(start))) / known.spread
    group = band_groups(2)[2]
    expected = (steps[:, 0, list(group.bands), 1, 3] ** 2).sum(axis=1) / steps[0].size
    assert shares[:, 2, 1, 3] == pytest.approx(expected, rel=1e-4)
    assert even_shares(code, known, None).sum(axis=(1, 2, 3)).mean() == pytest.approx(1, rel=0.1)


def test_models_of_random_labels_have_no_reasons(code: Code) -> None:
    counted = []
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 2, 120).astype(np.float32)
        why = explain_codes(fitted(code[:120], labels), code[120:])
        counted.append(np.mean([bool(why.reasons(1, row)) for row in range(40)]))
    assert np.mean(counted) <= 0.05


def test_what_was_planted_is_a_reason_and_has_its_chance(code: Code) -> None:
    array, labels = code.array.copy(), (np.arange(160) % 2).astype(np.float32)
    vertical = [
        b for group in band_groups(2) if group.orientation == "vertical" for b in group.bands
    ]
    for band in vertical:  # a pattern of 4–8 px, which leaks into finer bands
        array[labels == 1, 0, band, 2, 3] *= 3 if band == 1 else 1.5
    planted = Code(array, SPEC, code.sizes)
    model = LogisticCodes.fit(planted[:120].embedding(), labels[:120], components=100)
    why = explain_codes(model, planted[120:])
    found = why.reasons(3, 1)
    assert (found[0].row, found[0].column) == (2, 3)
    assert str(found[0].bands) == "vertical edges of 4–8 px"
    assert found[0].chance is not None
    assert found[0].amount > found[0].chance
    alone = explain_codes(model, planted[121:122], baseline="mean")
    assert alone.chance is None  # of one image, and a model that does not know its range
    assert alone.reasons(1)[0].row == 2


def test_directions_of_many_bands_are_not_first_for_that(code: Code) -> None:
    """Within a cell, amounts are compared with the root of the number of bands."""
    why = explain_codes(lambda codes: codes.sum(axis=(1, 2, 3, 4)), code[:3], method="occlusion",
                        baseline="zeros")  # fmt: skip
    assert why.chance is None
    groups = band_groups(2)
    bands = {
        each: [band for group in groups if group.orientation == each for band in group.bands]
        for each in ("vertical", "diagonal")
    }
    many, few = len(bands["diagonal"]), len(bands["vertical"])
    assert many > few
    for amount, first in (((few / many) ** 0.75, "vertical"), (1.0, "diagonal")):
        values = 0 * why.values
        values[:, 0, bands["diagonal"], 1, 1] = amount  # in sum more than the vertical ones
        values[:, 0, bands["vertical"], 1, 1] = 0.99
        found = replace(why, values=values).top(1)[0]
        assert found.bands is not None
        assert found.bands.orientation == first


def test_how_many_reasons_stay_with_another_baseline(code: Code) -> None:
    labels = (code.array[:, 0, 1].mean(axis=(1, 2)) > np.median(code.array[:, 0, 1])).astype(float)
    model = fitted(code, labels)
    why = explain_codes(model, code[:30])
    compared = with_other_baselines(model, why, method="integrated-gradients")
    others = [explain_codes(model, code[:30], baseline=name) for name in ("details", "zeros")]

    def strongest(why: Attribution, row: int) -> set[tuple[object, ...]]:
        found = why.top(5, row)
        return {(each.row, each.column, each.bands and each.bands.orientation) for each in found}

    expected = np.mean([
        len(strongest(why, row) & strongest(other, row)) for other in others for row in range(30)
    ])  # fmt: skip
    assert compared.stable is not None
    assert compared.stable.mean() == pytest.approx(expected)
    first = compared.top(1, 3)[0]
    groups = band_groups(code.spec.level)
    assert first.bands is not None
    same = [each.orientation == first.bands.orientation for each in groups]
    amounts = [each.amounts()[3][same, first.row, first.column].sum() for each in (why, *others)]
    assert first.range == pytest.approx((min(amounts), max(amounts)))
    assert compared[3:5].top(1)[0] == first
    assert with_other_baselines(model, why, method="gradient-shap") is why
