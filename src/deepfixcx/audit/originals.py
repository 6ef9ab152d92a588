"""The originals of a release as a data set: patients, known columns, attributes; and features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.audit.inference import above_median
from deepfixcx.audit.linkage.labels import encode_columns
from deepfixcx.audit.target import PublicImages, Target
from deepfixcx.datasets import Dataset, FeatureMatrix
from deepfixcx.errors import AuditError

__all__ = [
    "check_patients",
    "column_of",
    "guessed_attributes",
    "known_columns",
    "target_of_features",
]

ATTRIBUTES = ("sex", "view", "site", "hospital", "institution", "scanner", "manufacturer")
"""Columns that are guessed where the table has them, beside the age."""


def target_of_features(
    released: FeatureMatrix,
    *,
    raw: FeatureMatrix | None = None,
    public: FeatureMatrix | None = None,
    known: tuple[str, ...] = (),
) -> Target:
    """Make the target of an audit of a matrix of features, of any encoder.

    Parameters
    ----------
    released : FeatureMatrix
        What is shared, with the labels that are shared beside it.
    raw : FeatureMatrix, optional
        The features before protection, row by row; the released ones by default.
    public : FeatureMatrix, optional
        Features of other patients in the form of the released ones, on which attackers train.
    known : tuple of str
        Columns that the attacker knows for both images, such as ``"view"``.

    Returns
    -------
    Target
        For `audit_release`. Reconstruction is not attacked: there are no images.

    Raises
    ------
    AuditError
        Patients are missing or written in several ways, rows do not belong together, or a patient
        is public and released.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> patients = np.arange(60) // 2
    >>> features = generator.normal(size=(30, 8))[patients] + generator.normal(0, 0.1, (60, 8))
    >>> target = target_of_features(FeatureMatrix.of(features, patients.tolist()))
    >>> target.images is None, target.encoded.shape
    (True, (60, 8))
    """
    dataset = released.dataset
    check_patients(dataset, "the features")
    if raw is not None and raw.dataset.patients.tolist() != dataset.patients.tolist():
        raise AuditError(
            "the released and the original features are not of the same patients row by row; "
            "write both in one order"
        )
    for name in known:
        if not any(column_of(dataset, name)):
            raise AuditError(f"the features have no values in a column {name!r}")
    encoded = released.array
    if raw is not None and raw.array.shape == released.array.shape:
        encoded = raw.array
    labels = known_columns(dataset, known)
    shared = len(dataset.label_names)
    return Target(
        released=released.array,
        images=None,
        encoded=encoded,
        patients=dataset.patients,
        labels=labels if labels.shape[1] else None,
        attributes=guessed_attributes(dataset),
        record_labels=labels[:, :shared] if shared else None,
        label_names=dataset.label_names,
        public=None if public is None else _public(public, released, known),
        raw=None if raw is None else raw.array,
    )


def _public(public: FeatureMatrix, released: FeatureMatrix, known: tuple[str, ...]) -> PublicImages:
    check_patients(public.dataset, "the public features")
    both = set(public.dataset.patients.tolist()) & set(released.dataset.patients.tolist())
    if both:
        raise AuditError(
            f"{counted(len(both), 'patient is', 'patients are')} in both matrices; public "
            "features must be of other patients"
        )
    if public.array.shape[1] != released.array.shape[1]:
        raise AuditError(
            f"public features have {public.array.shape[1]} numbers and released ones "
            f"{released.array.shape[1]}; bring them into the form of the release"
        )
    if public.dataset.label_names != released.dataset.label_names:
        raise AuditError("public and released features have different labels; name them")
    labels = known_columns(public.dataset, known)
    return PublicImages(
        None, public.array, public.dataset.patients, labels if labels.shape[1] else None
    )


def known_columns(dataset: Dataset, columns: tuple[str, ...]) -> NDArray[np.float32]:
    """Return labels and known columns of each image, (N, L): labels first, NaN where unknown."""
    labels = np.array(dataset.labels, np.float32).reshape(len(dataset), -1)
    if not columns:
        return labels
    known = encode_columns([column_of(dataset, name) for name in columns])
    return np.concatenate([labels, known], axis=1)


def column_of(dataset: Dataset, name: str) -> list[str]:
    """Return the view, or another attribute, of each image; "" where it is not known."""
    if name == "view":
        return [record.view or "" for record in dataset.records]
    return [record.attributes.get(name, "") for record in dataset.records]


def check_patients(dataset: Dataset, table: str) -> None:
    """Refuse a table without patients, or whose IDs may write one patient in two ways."""
    if not dataset.has_patients:
        missing = sum(record.patient is None for record in dataset.records)
        raise AuditError(
            f"{missing:,} of {counted(len(dataset), 'row')} of {table!r} have no patient ID; "
            f"add them, or name the column that holds them with --patient"
        )
    written: dict[str, set[str]] = {}
    for name in set(dataset.patients.tolist()):
        plain = name.strip().casefold()
        number = plain.removesuffix(".0") if plain.removesuffix(".0").isdigit() else plain
        written.setdefault(number.lstrip("0") if number.isdigit() else number, set()).add(name)
    twice = sum(len(names) > 1 for names in written.values())
    if twice:
        raise AuditError(
            f"{table!r} spells {counted(twice, 'patient ID', 'patient IDs')} in several "
            "ways (such as 7, 07 and 7.0, or p1 and P1), so that one patient would count as "
            "several; use one spelling for each ID"
        )


def guessed_attributes(dataset: Dataset) -> dict[str, list[str]]:
    """Return what could be guessed: values of two kinds or more."""
    columns = {
        name: [record.attributes.get(name, "") for record in dataset.records] for name in ATTRIBUTES
    }
    columns["view"] = [record.view or "" for record in dataset.records]
    ages = above_median([record.attributes.get("age", "") for record in dataset.records])
    columns["age above the median"] = ages
    return {name: values for name, values in columns.items() if len({*values} - {""}) > 1}
