"""Labels as a likelihood ratio and beside records; copies, public attackers, curves."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from deepfixcx.audit.linkage import Records, attack_linkage, figure_of, link_records
from deepfixcx.audit.linkage.labels import encode_columns
from deepfixcx.audit.linkage.trial import Public
from tests.audit.making import make_population

MANIFEST = Path(os.environ.get("DEEPFIXCX_DATA", "../shared/data")) / "cxr_nih" / "manifest.csv"


def auc_of(results: Any, attacker: str) -> Any:
    return next(each for each in results if (each.attacker, each.figure) == (attacker, "AUC"))


def test_a_rare_label_says_more_than_a_common_one() -> None:
    """The Hamming distance counts both alike; the likelihood ratio knows better."""
    generator = np.random.default_rng(0)
    owners = np.repeat(np.arange(150), 2)
    rare = generator.random((150, 6))[owners] < 0.06
    common = generator.random((300, 6)) < 0.5  # says nothing of the patient
    labels = np.concatenate([rare, common], axis=1).astype(np.float32)
    noise = Records(generator.normal(size=(300, 3)))
    floor = figure_of(attack_linkage(noise, owners, labels=labels, samples=20), "AUC").floor
    apart = np.abs(labels[:, None] - labels[None]).mean(axis=2)
    same = owners[:, None] == owners[None]
    np.fill_diagonal(same, False)
    ranks = [
        (apart[row][same[row]][:, None] < apart[row][owners != owners[row]]).mean()
        + (apart[row][same[row]][:, None] == apart[row][owners != owners[row]]).mean() / 2
        for row in range(300)
    ]
    assert floor > np.mean(ranks) + 0.03


@pytest.mark.skipif(not MANIFEST.is_file(), reason="the public X-rays are not here")
def test_labels_view_sex_and_age_of_public_x_rays_link_as_measured() -> None:
    rows = list(csv.DictReader(MANIFEST.read_text(encoding="utf-8").splitlines()))
    owners = [row["patient_id"] for row in rows]
    noise = Records(np.random.default_rng(0).normal(size=(len(rows), 2)))
    names = ["pneumonia", "effusion", "infiltration", "atelectasis", "view", "sex", "age"]
    for count, least in ((4, 0.71), (6, 0.86), (7, 0.97)):
        labels = encode_columns([[row[name] for row in rows] for name in names[:count]])
        results = attack_linkage(noise, owners, labels=labels, attacker="distance", samples=20)
        assert results[0].floor > least


def test_columns_become_numbers() -> None:
    encoded = encode_columns([["a", "b", " ", None], [0.5, np.nan, "7", "nan"]])
    assert np.array_equal(encoded, [[0, 0.5], [1, np.nan], [np.nan, 7], [np.nan] * 2], True)


def test_labels_link_as_well_though_the_solver_stops_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another solver is used; without one, the baseline would be lower and nothing would say so."""
    from sklearn import linear_model

    whole = linear_model.LogisticRegression
    generator = np.random.default_rng(0)
    owners = np.repeat(np.arange(60), 2)
    labels = generator.integers(0, 3, (60, 4))[owners].astype(np.float32)
    labels[generator.random(labels.shape) < 0.2] = 0
    noise = Records(generator.normal(size=(120, 3)))
    right = attack_linkage(noise, owners, labels=labels, attacker="distance", samples=20)[0].floor

    def stopped(**settings: Any) -> Any:
        steps = 1 if settings["solver"] == "newton-cholesky" else settings.get("max_iter", 100)
        return whole(**{**settings, "max_iter": steps})

    monkeypatch.setattr(linear_model, "LogisticRegression", stopped)
    found = attack_linkage(noise, owners, labels=labels, attacker="distance", samples=20)[0].floor
    assert found == pytest.approx(right, abs=0.003)


def test_records_with_labels_stand_beside_records_without() -> None:
    vectors, owners = make_population(patients=90, noise=1.2)
    labels = (owners % 7).astype(np.float32)[:, None]
    results = link_records(
        Records(vectors), owners, labels=labels, beside=True, samples=100
    ).results
    alone, both, reported = (
        auc_of(results, f"whitening{end}") if end != "labels" else auc_of(results, "labels")
        for end in ("", " + labels", "labels")
    )
    assert both.value.value > max(alone.value.value, reported.value.value)
    assert alone.floor == both.floor == reported.value.value
    assert reported.floor == reported.chance == 0.5
    assert both.gain.low > 0


def test_copies_of_an_image_leave_the_pairs() -> None:
    """Whoever has one image twice is found by the copy, which identifies no patient."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(120, 6)).astype(np.float32)
    vectors[1::2][:40] = vectors[::2][:40]  # the first 40 patients: the same image twice
    owners = np.arange(120) // 2
    pairs = [(2 * each, 2 * each + 1) for each in range(40)]
    rows, columns = np.array(pairs + [(b, a) for a, b in pairs]).T
    copies = sparse.csr_array((np.ones(80, np.int32), (rows, columns)), shape=(120, 120))
    counted = link_records(Records(vectors), owners, attacker="distance", samples=50).results
    apart = link_records(
        Records(vectors), owners, attacker="distance", copies=copies, samples=50
    ).results
    assert auc_of(counted, "distance").value.value > 0.8
    assert auc_of(apart, "distance").value.low < 0.5 < auc_of(apart, "distance").value.high
    assert auc_of(apart, "distance").n == 20


def test_an_attacker_who_trains_on_public_images_alone() -> None:
    vectors, owners = make_population(patients=120, noise=0.8)
    inside = owners < 60
    public = Public(Records(vectors[~inside]), owners[~inside] - 60)
    linkage = link_records(Records(vectors[inside]), owners[inside], public=public, samples=50)
    area = auc_of(linkage.results, "whitening")
    assert area.value.low > 0.8
    assert area.n == 60
    assert linkage.curves[0].strangers[-1] == 118  # all records at once, not a third of them
    shuffled = np.random.default_rng(0).permutation(vectors[inside])
    hidden = link_records(Records(shuffled), owners[inside], public=public, samples=100)
    area = auc_of(hidden.results, "whitening")
    assert area.value.low < 0.52


@pytest.mark.parametrize(("noise", "low", "high"), [(0.01, 1.0, 1.0), (None, 0.0, 1.0)])
def test_the_curve_of_the_first_hit(noise: float | None, low: float, high: float) -> None:
    """Of the identity always right; of a constant at chance, for every size of the gallery."""
    vectors, owners = make_population(patients=60, noise=0.01)
    seen = vectors if noise else np.ones_like(vectors)
    curve = link_records(Records(seen), owners, attacker="distance", samples=200).curves[0]
    assert curve.strangers == tuple(sorted(curve.strangers))
    assert curve.chance == pytest.approx([1 / (1 + size) for size in curve.strangers])
    for top, chance in zip(curve.top1, curve.chance, strict=True):
        assert low <= top.value <= high
        assert noise or top.low - 0.02 <= chance <= top.high + 0.02


def test_the_curve_is_what_drawing_galleries_gives() -> None:
    vectors, owners = make_population(patients=40, noise=1.0)
    curve = link_records(Records(vectors), owners, attacker="distance", folds=2, samples=20).curves[
        0
    ]
    falling = [each.value for each in curve.top1]
    assert falling == sorted(falling, reverse=True)
    last = figure_of(
        attack_linkage(Records(vectors), owners, attacker="distance", folds=2), "precision@1"
    )
    assert falling[-1] == pytest.approx(last.value.value)
    assert falling[0] == pytest.approx(
        figure_of(
            attack_linkage(Records(vectors), owners, attacker="distance", folds=2), "AUC"
        ).value.value,
        abs=1e-6,
    )
