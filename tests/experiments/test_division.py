"""Who is public and who is released: no patient is both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.errors import MechanismError
from deepfixcx.experiments.trial import divide_patients, patient_folds

OWNERS = st.tuples(st.integers(8, 30), st.integers(0, 99)).map(
    lambda pair: np.array(
        [f"p{n}" for n in np.random.default_rng(pair[1]).integers(0, pair[0], 60)]
    )
)


@given(OWNERS, st.floats(0.3, 0.7), st.integers(0, 99))
def test_parts_share_no_patient(patients: np.ndarray, share: float, seed: int) -> None:
    public, released = divide_patients(patients, share, seed)
    assert not set(patients[public]) & set(patients[released])
    assert sorted([*public.tolist(), *released.tolist()]) == list(range(len(patients)))
    owners, images = np.unique(patients, return_counts=True)
    several = set(owners[images > 1].tolist())
    inside = len(several & set(patients[public].tolist()))
    assert inside == round(share * len(several))
    again = divide_patients(patients, share, seed)
    assert np.array_equal(public, again[0])


@given(OWNERS, st.integers(2, 5), st.integers(0, 99))
def test_folds_share_no_patient(patients: np.ndarray, folds: int, seed: int) -> None:
    fold = patient_folds(patients, folds, seed)
    for owner in np.unique(patients):
        assert len(set(fold[patients == owner].tolist())) == 1
    assert len(set(fold.tolist())) == folds


def test_another_seed_divides_in_another_way() -> None:
    patients = np.repeat(np.arange(30), 2).astype(np.str_)
    parts = {tuple(divide_patients(patients, 0.5, seed)[0]) for seed in range(5)}
    assert len(parts) == 5


def test_too_few_patients_are_named() -> None:
    with pytest.raises(MechanismError, match="cannot be divided"):
        divide_patients(np.array(["a", "a"]), 0.5, 0)
    with pytest.raises(MechanismError, match="3 folds"):
        patient_folds(np.array(["a", "b"]), 3, 0)
