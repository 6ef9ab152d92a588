"""Attackers who hold candidates are calibrated, and break the mechanisms that they should break."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepfixcx.audit.candidates import attack_differencing, attack_own_record, attack_subset_sum
from deepfixcx.audit.carriers import attack_rare_labels
from deepfixcx.audit.membership import attack_release_membership
from deepfixcx.audit.result import AttackResult
from deepfixcx.errors import AuditError
from deepfixcx.mechanisms import KMixing, Records
from tests.audit.making import make_population

MEMBERS, OTHERS = slice(0, 120), slice(120, 160)


def results_by(results: tuple[AttackResult, ...]) -> dict[str, AttackResult]:
    return {f"{each.attacker} {each.figure}": each for each in results}


def population(numbers: int = 40) -> tuple[Any, Any]:
    vectors, owners = make_population(patients=80, numbers=numbers, seed=3)
    return np.abs(vectors), owners


def mixed(k: int, seed: int = 0) -> tuple[Any, Any, Records]:
    vectors, owners = population()
    generator = np.random.default_rng(seed)
    private = Records.of(vectors[MEMBERS], np.zeros(120), owners[MEMBERS])
    return vectors, owners, KMixing(k).fit(private, generator).apply(private, generator)


@pytest.mark.parametrize("k", [3, 5])
def test_subset_sums_find_all_members_of_mixed_records(k: int) -> None:
    vectors, owners, released = mixed(k)
    members = [each.tolist() for each in released.members]
    found = results_by(attack_subset_sum(released.array, vectors, members, owners))
    assert found["subset sum recall"].value.value > 0.97
    assert found["subset sum precision@1"].value.value > 0.97
    assert found["subset sum AUC"].value.low > 0.9
    assert found["subset sum TPR at 1 % FPR"].value.value > 0.9


def test_half_of_the_candidates_are_enough_for_a_subset_sum() -> None:
    vectors, owners, released = mixed(3)
    held = np.flatnonzero(owners % 2 == 0)
    place = {int(image): row for row, image in enumerate(held)}
    members = [[place[int(one)] for one in each if int(one) in place] for each in released.members]
    found = attack_subset_sum(released.array, vectors[held], members, owners[held])
    assert found[1].figure == "precision@1"
    assert found[1].value.value > 0.8


def test_candidate_attacks_are_at_chance_on_constants_and_noise() -> None:
    vectors, owners = population(numbers=6)
    members = [[place] for place in range(120)]
    noise = np.random.default_rng(9).random((120, 6)).astype(np.float32)
    for released in (np.ones((120, 6), np.float32), noise):
        for attack in (attack_subset_sum, attack_own_record):
            for each in attack(released, vectors, members, owners):
                assert each.value.low <= each.chance + 0.03, (attack.__name__, each)
                assert each.gain.low <= 0.03
                assert each.detectable > 0


def test_an_own_record_is_found_and_labels_are_not_counted() -> None:
    vectors, owners = population()
    members = [[place] for place in range(120)]
    found = attack_own_record(vectors[MEMBERS], vectors, members, owners)
    assert [each.value.value for each in found] == [1.0, 1.0, 1.0, 1.0]
    labels = (owners[MEMBERS] % 2).astype(np.float32)
    drawn = np.random.default_rng(0).normal(size=(120, 40)) + 9 * labels[:, None]
    seen = vectors + 9 * (owners % 2)[:, None]
    by_label = attack_own_record(drawn, seen, members, owners)
    known = attack_own_record(drawn, seen, members, owners, labels=labels)
    assert by_label[1].value.low > 0.65  # the label alone
    assert known[1].value.low < 0.5 < known[1].value.high


def test_two_releases_that_differ_by_one_patient_show_whose_codes_they_are() -> None:
    vectors, owners = population()
    generator = np.random.default_rng(0)
    private = Records.of(vectors[MEMBERS], np.zeros(120), owners[MEMBERS])

    def total(without: int | None) -> Any:
        kept = private.select(np.flatnonzero(owners[MEMBERS] != without))
        released = KMixing(3, "member").fit(kept, generator).apply(kept, generator)
        return released.flat.sum(axis=0, dtype=np.float64)

    left_out = np.arange(0, 60, 5)
    apart = np.stack([total(None) - total(int(patient)) for patient in left_out])
    found = attack_differencing(apart, vectors, left_out, owners)
    assert found[0].value.value == 1.0
    noise = generator.normal(size=apart.shape).astype(np.float32)
    hidden = attack_differencing(noise, vectors, left_out, owners)
    assert hidden[1].value.low < 0.5 < hidden[1].value.high
    with pytest.raises(AuditError, match="no candidate image"):
        attack_differencing(apart, vectors, left_out + 500, owners)


def unshrunk(vectors: Any, labels: Any, generator: np.random.Generator) -> tuple[Any, Any]:
    """Resample as version 0.1 did: least squares with a slope for every label."""
    design = np.column_stack([np.ones(len(labels)), labels])
    means = design @ np.linalg.lstsq(design, vectors, rcond=None)[0]
    root = np.linalg.cholesky(np.cov((vectors - means).T))
    noise = generator.normal(size=(4 * len(labels), vectors.shape[1])) @ root.T
    drawn = np.tile(means, (4, 1)) + noise
    return drawn.astype(np.float32), np.tile(labels, (4, 1)).astype(np.float32)


@pytest.mark.parametrize(("carriers", "least"), [(1, 0.9), (2, 0.65)])
def test_carriers_of_a_rare_label_are_found_in_resampled_records(
    carriers: int, least: float
) -> None:
    """A label slope of one patient is that patient's image."""
    areas = []
    for seed in range(6):
        vectors, owners = make_population(patients=150, numbers=5, noise=0.3, seed=seed)
        common = (owners % 2).astype(float)
        rare = np.isin(owners, np.arange(seed, seed + carriers)).astype(float)
        labels = np.column_stack([common, rare])
        released, reported = unshrunk(vectors, labels, np.random.default_rng(seed))
        found = attack_rare_labels(
            released, reported, vectors, labels, owners,
            names=["common", "rare"], copies=4,
        )  # fmt: skip
        by_label = {f"{each.mode} {each.attacker}": each for each in found}
        areas.append(
            by_label["rare discriminant, " + ("1 carrier" if carriers == 1 else "2 carriers")]
        )
        assert by_label["common discriminant, 75 carriers"].gain.low < 0.05
    assert np.mean([each.value.value for each in areas]) > least
    assert np.mean([each.gain.value for each in areas]) > 0.1


def test_rare_labels_without_records_of_their_carriers_are_at_chance() -> None:
    areas = []
    for seed in range(20):
        vectors, owners = make_population(patients=80, numbers=5, seed=seed)
        rare = (owners == seed).astype(float)
        noise = np.random.default_rng(seed).normal(size=vectors.shape)
        (found, _) = attack_rare_labels(
            noise.astype(np.float32), rare, vectors, rare, owners, names=["rare"]
        )
        areas.append(found.value.value)
    assert abs(np.mean(areas) - 0.5) < 0.2
    assert attack_rare_labels(vectors, rare * 0, vectors, rare, owners, names=["rare"]) == ()


def test_the_worst_patient_stands_beside_the_average() -> None:
    """One patient with twelve images moves means of all records; the others hardly do."""
    generator = np.random.default_rng(0)
    owners = np.concatenate([np.zeros(12, np.int64), np.arange(1, 60)])
    vectors = generator.normal(size=(71, 3)).astype(np.float32)
    vectors[:12] += 4
    labels = np.zeros((71, 1))

    def means(places: Any, draws: np.random.Generator) -> Any:
        noise = draws.normal(0, 0.6, (40, 3))
        return vectors[places].mean(axis=0) + noise, np.zeros((40, 1))

    found = results_by(attack_release_membership(means, vectors, labels, owners, runs=32))
    average, worst = (found[f"residual {name}"] for name in ("AUC", "worst patient AUC"))
    assert average.value.value < 0.65
    assert worst.value.value > 0.95
    assert worst.gain.low > 0

    def nothing(_: Any, draws: np.random.Generator) -> Any:
        return draws.normal(size=(40, 3)), np.zeros((40, 1))

    for each in attack_release_membership(nothing, vectors, labels, owners, runs=32):
        assert each.gain.low < 0.03, each


def test_patients_are_traced_in_means_given_labels_that_no_single_record_shows() -> None:
    """Records drawn from a model with exact slopes: likelihood hardly tells, tracing does."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(120, 8)).astype(np.float32)
    labels = generator.integers(0, 2, (120, 2)).astype(np.float64)

    def drawn(places: Any, draws: np.random.Generator) -> Any:
        design = np.column_stack([np.ones(len(places)), labels[places]])
        slopes = np.linalg.lstsq(design, vectors[places], rcond=None)[0]
        fresh = draws.normal(size=vectors[places].shape)
        fresh -= design @ np.linalg.lstsq(design, fresh, rcond=None)[0]
        return design @ slopes + fresh, labels[places]

    found = results_by(attack_release_membership(drawn, vectors, labels, np.arange(120), runs=32))
    traced, fitted = (found[f"{name} AUC"] for name in ("traced in the sums", "residual"))
    assert traced.value.value > 0.65
    assert traced.value.value > fitted.value.value + 0.02
    assert traced.gain.low > 0.05

    def nothing(places: Any, draws: np.random.Generator) -> Any:
        return draws.normal(size=(len(places), 8)), labels[places]

    found = results_by(attack_release_membership(nothing, vectors, labels, np.arange(120), runs=32))
    assert abs(found["traced in the sums AUC"].value.value - 0.5) < 0.03


def test_what_does_not_fit_is_named() -> None:
    vectors, owners = population()
    with pytest.raises(AuditError, match="do not fit"):
        attack_subset_sum(vectors[:, :3], vectors, [[0]] * 160, owners)
    with pytest.raises(AuditError, match="members of 3"):
        attack_own_record(vectors, vectors, [[0]] * 3, owners)
    with pytest.raises(AuditError, match="NaN or infinity"):
        attack_own_record(vectors * np.nan, vectors, [[0]] * 160, owners)
    with pytest.raises(AuditError, match="no candidate is in any record"):
        attack_subset_sum(vectors[:4], vectors, [[]] * 4, owners)
    with pytest.raises(AuditError, match="8 releases or more"):
        attack_release_membership(lambda *_: None, vectors, owners, owners, runs=7)  # type: ignore[arg-type]
