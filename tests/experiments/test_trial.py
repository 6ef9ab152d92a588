"""One mechanism on trial: what is known to be safe or unsafe is found to be so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfixcx.audit.result import figure_of
from deepfixcx.errors import MechanismError
from deepfixcx.experiments.frontier import figures_of, mean_figures
from deepfixcx.experiments.trial import WITH_LABELS, Trial
from deepfixcx.mechanisms import Chain, KMixing, LabelResampling, Plain, TaskProjection
from deepfixcx.mechanisms.records import Records
from tests.mechanisms.making import make_records

RECORDS = make_records(patients=120, labels=2, seed=0)


def make_trial(seed: int = 0) -> Trial:
    return Trial(RECORDS.array, RECORDS.labels, RECORDS.patients, seed=seed)


def images() -> np.ndarray:
    """Small images that the codes tell of: their first bands, enlarged."""
    return np.asarray(RECORDS.array[:, :, 0].repeat(8, 2).repeat(8, 3), np.float32)


@pytest.fixture(scope="module")
def plain() -> dict[str, float]:
    return figures_of(make_trial(), Plain(), images())


@pytest.fixture(scope="module")
def resampled() -> dict[str, float]:
    chain = Chain((TaskProjection(components=20), LabelResampling(copies=2, label_patients=20)))
    return figures_of(make_trial(), chain, images())


def test_plain_codes_are_useful_and_linked(plain: dict[str, float]) -> None:
    assert plain["auc"] > 0.85
    assert plain["auc_low"] < plain["auc"] < plain["auc_high"]
    assert plain["linkage"] > 0.85
    assert plain["precision_released"] > 5 * plain["chance_released"]
    assert plain["psnr_gain"] > 1
    assert plain["auc"] == pytest.approx((plain["auc_0"] + plain["auc_1"]) / 2)


def test_resampled_records_are_as_useful_and_not_linked(
    plain: dict[str, float], resampled: dict[str, float]
) -> None:
    assert resampled["auc"] > plain["auc"] - 0.06
    assert resampled["linkage"] < plain["linkage"] - 0.15
    # the labels are released: who knows them does no better than by them
    assert resampled["labelled_linkage"] < resampled["floor_raw"] + 0.06
    assert abs(resampled["psnr_gain"]) < 0.5


def test_the_labels_link_too() -> None:
    trial = make_trial()
    fitted = trial.fit(Plain())
    released = trial.release(fitted)
    noise = released.with_array(np.random.default_rng(0).normal(size=(len(released), 6)))
    alone, together = (
        figure_of(trial.linkage(fitted, noise, attacker, samples=20), "AUC")
        for attacker in ("whitening", WITH_LABELS)
    )
    assert abs(alone.value.value - 0.5) < 0.15
    assert together.value.value > together.floor - 0.15
    assert together.value.value > alone.value.value + 0.1


def test_both_modes_are_attacked() -> None:
    trial = make_trial()
    fitted = trial.fit(KMixing(2, "member"))
    released = trial.release(fitted)
    one, other = (
        figure_of(trial.linkage(fitted, released, "distance", raw=raw, samples=20), "AUC")
        for raw in (False, True)
    )
    assert (one.mode, other.mode) == ("released-released", "released-raw")
    assert one.value.value != other.value.value


class Watched:
    """Plain codes; it remembers whose were released."""

    name = guarantee = "watched"

    def __init__(self) -> None:
        self.released: list[set[str]] = []

    def fit(self, public: Records, generator: np.random.Generator) -> Watched:
        del public, generator
        return self

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        del generator
        self.released.append(set(records.patient_of_each().tolist()))
        return records

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        return array

    def to_manifest(self) -> dict[str, Any]:
        return {}


def test_a_classifier_never_learns_from_the_patients_it_is_tested_on() -> None:
    trial, watched = make_trial(), Watched()
    trial.utility(trial.fit(watched))
    private = set(trial.private.patients.tolist())
    left_out = [private - released for released in watched.released]
    assert sorted(patient for fold in left_out for patient in fold) == sorted(private)
    assert all(released <= private for released in watched.released)
    assert not private & set(trial.public.patients.tolist())


def test_the_same_seed_gives_the_same_figures(plain: dict[str, float]) -> None:
    again = figures_of(make_trial(), Plain(), images())
    assert again == pytest.approx(plain, nan_ok=True)
    other = figures_of(make_trial(seed=1), Plain())
    assert other["linkage"] != plain["linkage"]
    assert "psnr_gain" not in other


def test_what_cannot_be_attacked_is_not_called_safe() -> None:
    lone = RECORDS.select(np.arange(0, 240, 2))
    alone = Records.of(lone.array, lone.labels, np.arange(120))
    trial = Trial(alone.array, alone.labels, alone.patients)
    figures = figures_of(trial, Plain())
    assert math.isnan(figures["linkage"])
    assert math.isnan(figures["labelled_linkage"])


def test_withheld_images_are_left_out_of_reconstruction() -> None:
    trial = make_trial()
    released = trial.release(trial.fit(KMixing(3)))
    some = released.select(np.arange(len(released) // 2))
    results = trial.reconstruction(some, images())
    assert figure_of(results, "PSNR").n < len(np.unique(trial.private.patients))


def test_means_skip_what_is_not_known() -> None:
    several = [{"auc": 0.4, "linkage": math.nan}, {"auc": 0.6, "linkage": 0.7}]
    assert mean_figures(several) == {"auc": 0.5, "linkage": 0.7}
    with pytest.raises(MechanismError, match="no patient split"):
        mean_figures([])
