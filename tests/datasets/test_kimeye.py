"""KimEye: three folders, files of the same names, no patients."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from deepfixcx.datasets import PUBLISHED, read_published
from deepfixcx.errors import LayoutError

read_kimeye = partial(read_published, PUBLISHED["kimeye"])


def test_reads_records(kimeye: Path) -> None:
    dataset = read_kimeye(kimeye)
    assert dataset.counts() == {
        "normal_control": (3, 3, 0),
        "early_glaucoma": (2, 4, 0),
        "advanced_glaucoma": (1, 5, 0),
    }
    assert len({record.path for record in dataset.records}) == 6
    assert (dataset.labels.sum(axis=1) == 1).all()


def test_says_that_there_are_no_patients(kimeye: Path) -> None:
    dataset = read_kimeye(kimeye)
    assert not dataset.has_patients
    assert "no patient ids" in dataset.notes[0]
    assert "no patient ids" in repr(dataset)
    assert dataset.patient_count == 6


def test_any_glaucoma(kimeye: Path) -> None:
    labels = {"glaucoma": "class=early_glaucoma|advanced_glaucoma"}
    assert read_kimeye(kimeye, labels).counts() == {"glaucoma": (3, 3, 0)}


def test_missing_folder_is_another_layout(kimeye: Path) -> None:
    (kimeye / "early_glaucoma").rename(kimeye / "early")
    with pytest.raises(LayoutError, match="early_glaucoma"):
        read_kimeye(kimeye)
