"""No patient is in two parts; the order of images decides nothing; the seed decides all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.datasets import (
    Dataset,
    ImageRecord,
    Split,
    folds_by_patient,
    official_split,
    split_by_patient,
)
from deepfixcx.errors import SplitError

NAN = float("nan")


def make(rows: Sequence[tuple[str | None, float, str | None]]) -> Dataset:
    records = tuple(
        ImageRecord(
            Path(f"/root/{number}.png"),
            patient,
            labels=(label,),
            known=(label == label,),
            split=split,
        )
        for number, (patient, label, split) in enumerate(rows)
    )
    return Dataset("table", ("sick",), records, Path("/root"))


@st.composite
def datasets(draw: st.DrawFn, parts: bool = False) -> Dataset:
    """Draw up to 40 images of 5 or more patients, some unknown, of few or many images each."""
    words = ["train", "validation", "test", "additional", None] if parts else [None]
    row = st.tuples(
        st.sampled_from([None, *"abcdefgh"]),
        st.sampled_from([0.0, 1.0, NAN]),
        st.sampled_from(words),
    )
    rows = draw(st.lists(row, min_size=0, max_size=34))
    some = [(name, 1.0, "train" if name != "e" else "test") for name in "abcde"]
    return make([*rows, *(some if parts else [(name, y, None) for name, y, _ in some])])


def parts_of(split: Split) -> list[np.ndarray]:
    return [split.train, split.validation, split.test]


def named(dataset: Dataset, split: Split) -> list[set[str]]:
    return [{dataset.records[place].path.name for place in part} for part in parts_of(split)]


def check_disjoint(dataset: Dataset, split: Split) -> None:
    patients = [set(dataset.patients[part]) for part in parts_of(split)]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]
    for part in parts_of(split):
        assert np.array_equal(part, np.unique(part))


@given(datasets(), st.integers(0, 5), st.booleans())
def test_split(dataset: Dataset, seed: int, stratify: bool) -> None:
    split = split_by_patient(dataset, seed=seed, stratify=stratify)
    check_disjoint(dataset, split)
    assert np.array_equal(np.sort(np.concatenate(parts_of(split))), np.arange(len(dataset)))
    assert all(len(part) for part in parts_of(split))
    order = np.random.default_rng(seed).permutation(len(dataset))
    shuffled = dataset.select(order)
    again = split_by_patient(shuffled, seed=seed, stratify=stratify)
    assert named(shuffled, again) == named(dataset, split)


@given(datasets(), st.integers(3, 5), st.integers(0, 5))
def test_folds(dataset: Dataset, folds: int, seed: int) -> None:
    splits = folds_by_patient(dataset, folds, seed)
    assert len(splits) == folds
    for split, following in zip(splits, (*splits[1:], splits[0]), strict=True):
        check_disjoint(dataset, split)
        assert len(np.concatenate(parts_of(split))) == len(dataset)
        assert np.array_equal(split.validation, following.test)
        assert np.array_equal(split.development, np.setdiff1d(np.arange(len(dataset)), split.test))
    assert np.array_equal(
        np.sort(np.concatenate([split.test for split in splits])), np.arange(len(dataset))
    )
    shuffled = dataset.select(np.arange(len(dataset))[::-1])
    again = folds_by_patient(shuffled, folds, seed)
    assert [named(shuffled, one) for one in again] == [named(dataset, one) for one in splits]


@given(datasets(parts=True), st.sampled_from([0.0, 0.3]), st.integers(0, 3))
def test_official(dataset: Dataset, validation: float, seed: int) -> None:
    given = np.array([record.split or "" for record in dataset.records])
    try:
        split = official_split(dataset, validation, seed)
    except SplitError:
        # the few patients that train are not enough for two parts
        assert validation
        assert "validation" not in given or set(dataset.patients[given == "validation"]) <= set(
            dataset.patients[given == "test"]
        )
        return
    check_disjoint(dataset, split)
    assert np.array_equal(split.test, np.flatnonzero(given == "test"))
    assert set(given[split.train]) <= {"train", "additional"}
    if (given == "validation").any() and len(split.validation):
        assert set(given[split.validation]) <= {"validation", "train", "additional"}
    if not validation:
        assert set(given[split.validation]) <= {"validation"}


def test_seed_decides() -> None:
    dataset = make([(f"p{n}", float(n % 2), None) for n in range(60)])
    splits = [split_by_patient(dataset, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(splits[0].test, splits[1].test)
    assert not np.array_equal(splits[0].test, splits[2].test)
    folds = [folds_by_patient(dataset, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(folds[0][0].test, folds[1][0].test)
    assert not np.array_equal(folds[0][0].test, folds[2][0].test)


def test_patients_go_different_ways_with_different_seeds() -> None:
    """Nobody is always in train: over seeds, everyone is tested at about the share of the part."""
    dataset = make([(f"p{n}", float(n % 2), None) for n in range(40)])
    tested = np.zeros(len(dataset))
    for seed in range(200):
        tested[split_by_patient(dataset, seed=seed).test] += 1
    assert tested.min() > 15
    assert tested.max() < 75


def test_parts_have_their_shares_of_a_rare_label() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"p{n // 3}", float(rng.random() < 0.08), None) for n in range(900)]
    dataset = make(rows)
    share = dataset.labels.mean()
    stratified = split_by_patient(dataset)
    for part, size in zip(parts_of(stratified), (0.7, 0.1, 0.2), strict=True):
        assert len(part) / len(dataset) == pytest.approx(size, abs=0.01)
        assert dataset.labels[part].mean() == pytest.approx(share, abs=0.01)

    def spread(stratify: bool) -> float:
        parts = [split_by_patient(dataset, seed=s, stratify=stratify).test for s in range(20)]
        return float(np.std([dataset.labels[part].mean() for part in parts]))

    assert spread(True) < 0.5 * spread(False)


def test_one_patient_with_most_images_does_not_break_the_others() -> None:
    dataset = make([*[("big", 1.0, None)] * 50, *[(f"p{n}", 0.0, None) for n in range(50)]])
    split = split_by_patient(dataset, stratify=False)
    assert set(range(50)) <= set(split.train)
    assert (len(split.validation), len(split.test)) == (10, 20)
    # the others hold every "no", of which the test part wants a fifth: ten to twenty of them
    assert 10 <= len(split_by_patient(dataset).test) <= 20


def test_no_part_is_empty_where_there_are_just_enough_patients() -> None:
    split = split_by_patient(make([("a", 1.0, None), ("b", 0.0, None), ("c", 0.0, None)]))
    assert [len(part) for part in parts_of(split)] == [1, 1, 1]


def test_fraction_of_zero_stays_empty() -> None:
    dataset = make([(f"p{n}", float(n % 2), None) for n in range(20)])
    split = split_by_patient(dataset, (0.8, 0.0, 0.2))
    assert len(split.validation) == 0
    assert len(split.test) == 4


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1), (NAN, 0.5, 0.5)]
)
def test_fractions_that_do_not_add_up(fractions: tuple[float, ...]) -> None:
    dataset = make([(f"p{n}", 1.0, None) for n in range(9)])
    with pytest.raises(SplitError, match="sum to 1"):
        split_by_patient(dataset, fractions)


def test_too_few_patients_or_folds() -> None:
    dataset = make([("a", 1.0, None), ("b", 0.0, None), ("b", 0.0, None)])
    with pytest.raises(SplitError, match="2 patients cannot be divided into 3 parts"):
        split_by_patient(dataset)
    with pytest.raises(SplitError, match="cannot be divided"):
        folds_by_patient(dataset)
    with pytest.raises(SplitError, match="3 folds"):
        folds_by_patient(dataset, 2)
    with pytest.raises(SplitError, match="has no training part or no test part"):
        official_split(dataset)
    with pytest.raises(SplitError, match="share of the training part from 0 to 1"):
        official_split(dataset, validation=1.0)


def test_without_patient_ids_it_says_so() -> None:
    dataset = make([(None if n else "a", 1.0, None) for n in range(9)])
    for split in (split_by_patient(dataset), folds_by_patient(dataset)[0]):
        assert any("some images have no patient id" in note for note in split.notes)
    assert split_by_patient(make([(f"p{n}", 1.0, None) for n in range(9)])).notes == ()


def test_moved_dataset_without_patients_is_split_alike() -> None:
    dataset = make([(None, float(n % 2), None) for n in range(30)])
    moved = replace(
        dataset,
        root=Path("/elsewhere/deep"),
        records=tuple(
            replace(record, path=Path("/elsewhere/deep") / record.path.name)
            for record in dataset.records
        ),
    )
    assert named(dataset, split_by_patient(dataset)) == named(moved, split_by_patient(moved))


def test_official_split_shares_no_patient() -> None:
    rows: list[tuple[str | None, float, str | None]] = [
        ("a", 1.0, "train"),
        ("b", 1.0, "train"),  # also in test
        ("b", 0.0, "test"),
        ("c", 1.0, "validation"),
        ("c", 0.0, "train"),  # also in validation
        ("b", 0.0, "validation"),  # also in test
        ("d", 1.0, "additional"),
        ("e", NAN, "additional"),  # nothing to learn from
        ("f", 1.0, None),
    ]
    split = official_split(make(rows))
    assert split.train.tolist() == [0, 6]
    assert split.validation.tolist() == [3]
    assert split.test.tolist() == [2]
    assert any("3 images of patients" in note for note in split.notes)
    assert any("2 images left out: in no part" in note for note in split.notes)


def test_copies_join_patients_and_their_patients(tmp_path: Path) -> None:
    """a and b share a file, b and c another one: all three stay together."""
    contents = {"a1": "x", "b1": "x", "b2": "yy", "c1": "yy", "d1": "d", "e1": "e", "f1": "f"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    records = tuple(ImageRecord(tmp_path / name, name[0]) for name in contents)
    dataset = Dataset("table", (), records, tmp_path)
    together = {"a1", "b1", "b2", "c1"}
    for seed in range(5):
        split = split_by_patient(dataset, (0.5, 0.25, 0.25), seed=seed, by_content=True)
        assert any(together <= part for part in named(dataset, split))
        fold = folds_by_patient(dataset, 3, seed=seed, by_content=True)[0]
        assert any(together <= part for part in named(dataset, fold))


def test_validation_part_is_the_test_part_where_none_comes_with_the_dataset() -> None:
    """So it is with CheXpert, whose validation part was labelled by radiologists."""
    records = tuple(
        ImageRecord(Path(f"/{n}.png"), f"p{n}", None, None, (float(n % 2),), (True,), part, {})
        for n, part in enumerate(["train"] * 12 + ["validation"] * 4)
    )
    split = official_split(Dataset("mine", ("sick",), records, Path("/")), 0.25)
    assert split.test.tolist() == [12, 13, 14, 15]
    assert len(split.validation) == 3
    assert any("its validation part serves as the test part" in note for note in split.notes)
