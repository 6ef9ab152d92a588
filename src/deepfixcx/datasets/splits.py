"""Divide a dataset so that no patient is in two parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.datasets.dataset import Dataset, find_duplicates
from deepfixcx.errors import SplitError

__all__ = [
    "Split",
    "assign",
    "folds_by_patient",
    "join_copies",
    "official_split",
    "split_by_patient",
]


def assign(
    groups: NDArray[np.str_],
    weights: NDArray[np.float64],
    shares: NDArray[np.float64],
    seed: int,
) -> NDArray[np.int64]:
    """Assign every group to one part, so that each part gets its share of every weight."""
    names, member = np.unique(groups, return_inverse=True)
    wanted = np.flatnonzero(shares > 0)
    if len(names) < len(wanted):
        raise SplitError(
            f"{len(names)} patients cannot be divided into {len(wanted)} parts; use fewer "
            "parts or more patients"
        )
    total = weights.sum(axis=0)
    weights, total = weights[:, total > 0], total[total > 0]
    held = np.zeros((len(names), len(total)))
    np.add.at(held, member, weights / total)  # of each group, its share of everything
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-held[order].max(axis=1), kind="stable")]
    part_of = np.empty(len(names), np.int64)
    filled = np.zeros((len(wanted), len(total)))
    share = shares[wanted][:, None]
    for group in order:
        growth = (held[group] * (2 * (filled - share) + held[group]) / share).sum(axis=1)
        part = int(growth.argmin())
        filled[part] += held[group]
        part_of[group] = part
    _fill_empty(part_of, order, len(wanted))
    return wanted[part_of][member]


def _fill_empty(part_of: NDArray[np.int64], order: NDArray[np.int64], parts: int) -> None:
    """Give every part that got no group the last one of the part that has most."""
    for part in range(parts):
        if not (part_of == part).any():
            fullest = np.bincount(part_of, minlength=parts).argmax()
            last = order[part_of[order] == fullest][-1]
            part_of[last] = part


@dataclass(frozen=True)
class Split:
    """Places of the images of three parts, each in ascending order.

    Attributes
    ----------
    train, validation, test : ndarray of int64
        No patient is in two of them.
    notes : tuple of str
        What a user should know: no patient ids, or images that were left out.

    Examples
    --------
    >>> split = Split(np.arange(3), np.arange(3, 4), np.arange(4, 6))
    >>> len(split.train), split.test.tolist()
    (3, [4, 5])
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    @property
    def development(self) -> NDArray[np.int64]:
        """Train and validation together, for models that need no validation part."""
        return np.sort(np.concatenate([self.train, self.validation]))


def split_by_patient(
    dataset: Dataset,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    stratify: bool = True,
    by_content: bool = False,
) -> Split:
    """Divide the patients at random into train, validation and test.

    The result depends on the patients (or, where there are none, on the paths below the folder of
    the dataset), the labels and the seed; not on the order of the images.

    Parameters
    ----------
    dataset : Dataset
        The images.
    fractions : sequence of three float
        Share of the images in each part; they sum to 1. A part of 0 stays empty.
    seed : int
        Another seed, another split.
    stratify : bool
        Give each part its share of the yes and no of every label too, as far as patients allow.
    by_content : bool
        Read the files, and treat patients who share a file with the same bytes as one.

    Returns
    -------
    Split
        Every image is in one part.

    Raises
    ------
    SplitError
        Other than three fractions, or fractions that do not sum to 1, or fewer patients than parts.

    Examples
    --------
    >>> from pathlib import Path
    >>> from deepfixcx.datasets import ImageRecord
    >>> records = [
    ...     ImageRecord(Path(f"/{n}.png"), f"p{n // 2}", labels=(n // 2 % 2,), known=(True,))
    ...     for n in range(40)
    ... ]
    >>> dataset = Dataset("table", ("sick",), tuple(records), Path("/"))
    >>> split = split_by_patient(dataset, (0.5, 0.25, 0.25))
    >>> [len(part) for part in (split.train, split.validation, split.test)]
    [20, 10, 10]
    >>> set(dataset.patients[split.train]) & set(dataset.patients[split.test])
    set()
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or (shares < 0).any() or not np.isclose(shares.sum(), 1):
        raise SplitError(
            f"a split needs three fractions (train, validation, test) that sum to 1, "
            f"got {tuple(fractions)}"
        )
    groups = _groups(dataset, by_content)
    parts = assign(groups, _weights(dataset, stratify), shares, seed)
    train, validation, test = (np.flatnonzero(parts == part) for part in range(3))
    return Split(train, validation, test, _notes(dataset, by_content))


def folds_by_patient(
    dataset: Dataset,
    folds: int = 5,
    seed: int = 0,
    stratify: bool = True,
    by_content: bool = False,
) -> tuple[Split, ...]:
    """Divide the patients into folds; each is the test part once and the validation part once.

    Parameters
    ----------
    dataset : Dataset
        The images.
    folds : int
        Number of folds, 3 or more. In split k, fold k is the test part, the next one the
        validation part, and the others train.
    seed, stratify, by_content
        As in `split_by_patient`.

    Returns
    -------
    tuple of Split
        One for each fold.

    Raises
    ------
    SplitError
        Fewer than three folds, or fewer patients than folds.

    Examples
    --------
    >>> from pathlib import Path
    >>> from deepfixcx.datasets import ImageRecord
    >>> records = [ImageRecord(Path(f"/{n}.png"), f"p{n}") for n in range(10)]
    >>> dataset = Dataset("table", (), tuple(records), Path("/"))
    >>> splits = folds_by_patient(dataset)
    >>> sorted(np.concatenate([split.test for split in splits]).tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    if folds < 3:
        raise SplitError(f"3 folds or more are needed (train, validation, test), got {folds}")
    groups = _groups(dataset, by_content)
    fold = assign(groups, _weights(dataset, stratify), np.full(folds, 1 / folds), seed)
    notes = _notes(dataset, by_content)
    splits = []
    for number in range(folds):
        following = (number + 1) % folds
        train = np.flatnonzero((fold != number) & (fold != following))
        test, validation = np.flatnonzero(fold == number), np.flatnonzero(fold == following)
        splits.append(Split(train, validation, test, notes))
    return tuple(splits)


def official_split(
    dataset: Dataset,
    validation: float = 0.1,
    seed: int = 0,
    stratify: bool = True,
    by_content: bool = False,
) -> Split:
    """Take the published split of the dataset, without patients in two parts.

    The test part stays as it is. A patient who is also in another part loses the images there.
    Where no part is called validation, some of the training patients become it. Images of other
    parts (such as ``additional``) train too if they have a known label, and are left out if not.

    Parameters
    ----------
    dataset : Dataset
        The images, with `ImageRecord.split`.
    validation : float
        Share of the training images that become the validation part where there is none.
    seed, stratify, by_content
        As in `split_by_patient`.

    Returns
    -------
    Split
        Notes say how many images were left out and why.

    Raises
    ------
    SplitError
        The dataset comes without a training or without a test part, or `validation` is no share.

    Examples
    --------
    >>> from pathlib import Path
    >>> from deepfixcx.datasets.dataset import ImageRecord
    >>> parts = ["train"] * 4 + ["test"] * 2
    >>> records = [
    ...     ImageRecord(Path(f"/{n}.png"), f"p{n}", labels=(n % 2,), known=(True,), split=part)
    ...     for n, part in enumerate(parts)
    ... ]
    >>> split = official_split(Dataset("mine", ("sick",), tuple(records), Path("/")), 0.25)
    >>> len(split.train), len(split.validation), split.test.tolist()
    (3, 1, [4, 5])
    """
    if not 0 <= validation < 1:
        raise SplitError(
            f"validation is a share of the training part from 0 to 1, got {validation}"
        )
    given = np.array([record.split or "" for record in dataset.records], dtype=np.str_)
    labelled = dataset.known.any(axis=1) if dataset.label_names else np.ones(len(dataset), bool)
    held = np.isin(given, ("test", "validation"))
    train = ~held & (given != "") & ((given == "train") | labelled)
    test, validated = given == "test", given == "validation"
    tested_on_validation = not test.any() and validated.any()
    if tested_on_validation:  # CheXpert: its validation part is the one that radiologists labelled
        test, validated = validated, test
    if not train.any() or not test.any():
        raise SplitError(
            f"{dataset.name} has no training part or no test part; divide it by patient"
        )
    groups = _groups(dataset, by_content)
    notes = list(_notes(dataset, by_content))
    if tested_on_validation:
        notes.append(
            f"{dataset.name} has no test part; its validation part serves as the test part"
        )
    unused = len(dataset) - int((train | held).sum())
    if unused:
        notes.append(
            f"{counted(unused, 'image')} left out: in no part, or in a part without labels"
        )
    shared = np.isin(groups, groups[test]) & ~test & (train | validated)
    validated &= ~shared
    torn = np.isin(groups, groups[validated]) & train & ~shared
    train &= ~shared & ~torn
    lost = int((shared | torn).sum())
    if lost:
        notes.append(
            f"{counted(lost, 'image')} of patients (or copies) in a held-out part: left out"
        )
    if not validated.any() and validation > 0:
        rest = dataset.select(train)
        inner = assign(
            groups[train],
            _weights(rest, stratify),
            np.array([1 - validation, validation]),
            seed,
        )
        validated[np.flatnonzero(train)[inner == 1]] = True
        train &= ~validated
        notes.append(f"{dataset.name} has no validation part; it was taken from the training part")
    return Split(
        np.flatnonzero(train), np.flatnonzero(validated), np.flatnonzero(test), tuple(notes)
    )


def _groups(dataset: Dataset, by_content: bool) -> NDArray[np.str_]:
    """Name the group of each image: its patient, or several who share a file."""
    if not by_content:
        return dataset.patients
    return _joined(dataset.patients, find_duplicates(dataset))


def join_copies(dataset: Dataset, contents: Sequence[str]) -> tuple[Dataset, tuple[str, ...]]:
    """Make patients who share an image one, so that copies lie in one fold; say if any were."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, content in enumerate(contents):
        places[content].append(place)
    patients = _joined(dataset.patients, places.values())
    lost = len(np.unique(dataset.patients)) - len(np.unique(patients))
    if not lost:
        return dataset, ()
    records = [
        replace(record, patient=str(patient))
        for record, patient in zip(dataset.records, patients, strict=True)
    ]
    copies = f"patients who share an image count as one: {counted(lost, 'patient')} fewer"
    return replace(dataset, records=tuple(records)), (*_notes(dataset, True), copies)


def _joined(patients: NDArray[np.str_], copies: Iterable[Sequence[int]]) -> NDArray[np.str_]:
    """Return the patient of each image; those who have copies of one image are one."""
    names, member = np.unique(patients, return_inverse=True)
    first = list(range(len(names)))  # of each patient, one of the same group, never a later one

    def root(patient: int) -> int:
        while first[patient] != patient:
            patient = first[patient]
        return patient

    for places in copies:
        roots = {root(int(member[place])) for place in places}
        for patient in roots:
            first[patient] = min(roots)
    return names[[root(int(patient)) for patient in member]]


def _weights(dataset: Dataset, stratify: bool) -> NDArray[np.float64]:
    """Return what each image brings into a part: itself, and the yes and no of every label."""
    one = np.ones((len(dataset), 1))
    if not stratify:
        return one
    yes = dataset.known & (dataset.labels == 1)
    no = dataset.known & (dataset.labels == 0)
    return np.concatenate([one, yes, no], axis=1, dtype=np.float64)


def _notes(dataset: Dataset, by_content: bool) -> tuple[str, ...]:
    if dataset.has_patients:
        return ()
    copies = "; copies of a file were kept together" if by_content else ""
    return (f"some images have no patient id, so parts may share a patient{copies}",)
