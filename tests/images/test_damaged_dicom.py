"""Real files damaged at random, read in a process that is watched; benchmarks try many more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.dicom_reading import Outcome, damaged, watch


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "count"), [("dicom", 120), ("nifti", 20)])
def test_nothing_crashes_hangs_or_takes_all_memory(
    data_folder: Path, folder: str, count: int
) -> None:
    outcome = watch(data_folder / folder, count, seed=7)
    assert outcome.sound, outcome
    assert sum(outcome.ends.values()) == count
    assert 0 < outcome.ends["read"] < count
    assert len(outcome.ends) >= 2


def test_every_file_is_damaged_in_its_own_way() -> None:
    content = bytes(5000)
    made = {damaged(content, np.random.default_rng([3, number])) for number in range(50)}
    assert len(made) == 50
    assert content not in made
    assert len({len(each) for each in made}) > 3


def test_an_outcome_is_sound_only_if_nothing_went_wrong() -> None:
    assert Outcome(files=1).sound
    assert not Outcome(died=[0]).sound
    assert not Outcome(hung=[0]).sound
    assert not Outcome(foreign=[0]).sound
    assert not Outcome(peak_bytes=2**31).sound
