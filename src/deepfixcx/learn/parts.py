"""How a dataset is divided for a model, into parts and groups, so that it can be divided again."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from deepfixcx.choices import Part, Parting
from deepfixcx.datasets import Dataset, ImageRecord, Split, official_split, split_by_patient
from deepfixcx.errors import LabelError, ModelError, ModelFileError, SplitError
from deepfixcx.io.files import sha256_of
from deepfixcx.io.release_files import checksum_of

__all__ = [
    "PartRules",
    "check_counts",
    "confounder_note",
    "content_fingerprint",
    "fingerprint",
    "group_names",
    "images_fingerprint",
    "parts_of_images",
    "place_of",
    "places_in_part",
    "release_of",
]

PARTS = ("train", "validation", "test")
HASHING_THREADS = 4


@dataclass(frozen=True, slots=True)
class PartRules:
    """Into which parts a dataset is divided; no patient is in two of them.

    Parameters
    ----------
    split : {"patient", "official"}
        Divide patients at random, or take the split that the dataset comes with.
    validation : float
        Share of the images (of an official split without a validation part: of its training
        images) on which training is stopped and thresholds are chosen.
    test : float, optional
        Share of the images that are kept for `evaluate_model`; 0.2 by default. An official split
        has a test part of its own.
    by_content : bool
        Read the files, and treat patients who share a file as one.
    seed : int
        Of the division.

    Raises
    ------
    SplitError
        Shares that do not leave anything to train on, or a share for an official test part.

    Examples
    --------
    >>> PartRules().test
    0.2
    """

    split: Parting = "patient"
    validation: float = 0.15
    test: float | None = None
    by_content: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.split not in get_args(Parting):
            raise SplitError(f"split is one of {', '.join(get_args(Parting))}; got {self.split!r}")
        if self.split == "official":
            if self.test is not None:
                raise SplitError("an official split has a test part; omit the test share")
        elif self.test is None:
            object.__setattr__(self, "test", 0.2)
        if min(self.validation, self.test or 0) < 0 or self.validation + (self.test or 0) >= 1:
            raise SplitError(
                f"validation ({self.validation}) and test ({self.test or 0}) must have a sum of "
                "less than 1, because the rest is the training part"
            )

    def divide(self, dataset: Dataset) -> Split:
        """Divide a dataset.

        Raises
        ------
        SplitError
            Too few patients, or no official split.
        """
        if self.split == "official":
            return official_split(
                dataset, self.validation, seed=self.seed, by_content=self.by_content
            )
        test = self.test or 0.0
        shares = (1 - self.validation - test, self.validation, test)
        return split_by_patient(dataset, shares, seed=self.seed, by_content=self.by_content)

    def places(self, dataset: Dataset, part: Part) -> NDArray[np.int64]:
        """Return the places of the images of one part, in ascending order."""
        if part not in get_args(Part):
            raise SplitError(f"a part is one of {', '.join(get_args(Part))}; got {part!r}")
        if part == "all":
            return np.arange(len(dataset))
        places: NDArray[np.int64] = getattr(self.divide(dataset), part)
        return places

    def to_dict(self) -> dict[str, Any]:
        """Return the rules as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, rules: Mapping[str, Any]) -> PartRules:
        """Build rules from what `to_dict` returned."""
        try:
            return cls(**rules)
        except TypeError:
            raise ModelFileError("the rules of the split are damaged; train again") from None


def check_counts(counts: Mapping[str, tuple[int, int]], where: str) -> None:
    """Raise a LabelError for a label without positives or without negatives."""
    for name, (positives, negatives) in counts.items():
        if not positives or not negatives:
            raise LabelError(
                f"the label {name!r} has {positives} positives and {negatives} negatives among "
                f"{where}; omit it or use more images. A label of -1 is uncertain and counts as "
                "unknown; with --uncertain negative it counts as negative"
            )


def fingerprint(dataset: Dataset) -> str:
    """Hash the files, patients and labels of a dataset, whatever their order and folder."""
    rows = sorted(
        [
            *place_of(dataset, record),
            [
                float(label) if known else None
                for label, known in zip(record.labels, record.known, strict=True)
            ],
        ]
        for record in dataset.records
    )
    return _digest([list(dataset.label_names), rows])


def images_fingerprint(dataset: Dataset) -> str:
    """Hash the files and patients of a dataset without its labels, as `fingerprint`."""
    return _digest(sorted((place_of(dataset, each) for each in dataset.records), key=json.dumps))


def content_fingerprint(dataset: Dataset) -> str:
    """Hash what the files of a dataset hold, whatever their order; one hash for all of them."""
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        digests = list(threads.map(_content_of, (each.path for each in dataset.records)))
    names = (place_of(dataset, each)[0] for each in dataset.records)
    return _digest(sorted(zip(names, digests, strict=True)))


def _content_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:  # reading the image reports why
        return ""


def release_of(dataset: Dataset) -> str | None:
    """Return the checksum of the release that holds all images of a dataset; None for others."""
    folders = {record.path.parent.resolve() for record in dataset.records}
    if not folders:
        return None
    shared = Path(os.path.commonpath([str(folder) for folder in folders]))
    for folder in (shared, *shared.parents):
        if checksum := checksum_of(folder):
            return checksum
    return None


def parts_of_images(dataset: Dataset, split: Split) -> str:
    """Return the part of each image, in the order of their names, as text that names none."""
    parts = np.zeros(len(dataset), np.uint8)  # of images in no part
    for number, name in enumerate(PARTS, start=1):
        parts[getattr(split, name)] = number
    return base64.b64encode(zlib.compress(parts[_by_name(dataset)].tobytes(), 9)).decode()


def places_in_part(dataset: Dataset, parts: str, part: Part) -> NDArray[np.int64] | None:
    """Return the places of one part as `parts_of_images` wrote it; None where it does not fit."""
    try:
        numbers = np.frombuffer(zlib.decompress(base64.b64decode(parts)), np.uint8)
    except (ValueError, zlib.error):
        return None
    if len(numbers) != len(dataset) or part not in PARTS:
        return None
    return np.sort(_by_name(dataset)[numbers == PARTS.index(part) + 1])


def _by_name(dataset: Dataset) -> NDArray[np.int64]:
    """Return places in the order of names; files that are listed twice keep theirs."""
    names = [place_of(dataset, record) for record in dataset.records]
    return np.array(sorted(range(len(names)), key=lambda place: json.dumps(names[place])), np.int64)


def place_of(dataset: Dataset, record: ImageRecord) -> list[Any]:
    """Return path, patient and official part of an image, as they identify it."""
    inside = record.path.is_relative_to(dataset.root)
    path = record.path.relative_to(dataset.root) if inside else record.path
    return [path.as_posix(), record.patient, record.split]


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=True).encode()).hexdigest()


CONFOUNDERS = ("view", "sex")


def group_names(dataset: Dataset, attribute: str) -> NDArray[np.str_]:
    """Return the view, or another attribute, of each image; "" where it is not known."""
    names = _names(dataset, attribute)
    if not any(names):
        known = {name for record in dataset.records for name in record.attributes}
        there = [*(["view"] if any(_names(dataset, "view")) else []), *sorted(known - {"view"})]
        raise ModelError(
            f"no image has {attribute!r}; the dataset has {', '.join(there) or 'no attribute'}: "
            f"name one of these with --within, or omit --within"
        )
    return np.array(names, dtype=np.str_)


def confounder_note(dataset: Dataset) -> tuple[str, ...]:
    """Return a note where images are of several views, or else sexes, that could be compared."""
    for attribute in CONFOUNDERS:
        if len(set(_names(dataset, attribute)) - {""}) > 1:
            return (f"the attribute {attribute} is known; consider --within {attribute}",)
    return ()


def _names(dataset: Dataset, attribute: str) -> list[str]:
    if attribute == "view":
        return [record.view or "" for record in dataset.records]
    return [record.attributes.get(attribute, "") for record in dataset.records]
