"""Groups of images, by view or by another attribute, to compare only what is alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx.datasets import Dataset
from deepfixcx.errors import ModelError

__all__ = ["confounder_note", "group_names"]

CONFOUNDERS = ("view", "sex")


def group_names(dataset: Dataset, attribute: str) -> NDArray[np.str_]:
    """Return the view, or another attribute, of each image; "" where it is not known.

    Raises
    ------
    ModelError
        No image has it; the message lists what there is.
    """
    names = _names(dataset, attribute)
    if not any(names):
        known = {name for record in dataset.records for name in record.attributes}
        there = [*(["view"] if any(_names(dataset, "view")) else []), *sorted(known - {"view"})]
        raise ModelError(
            f"no image has {attribute!r}; the dataset has {', '.join(there) or 'no attribute'}: "
            f"name one of these with --within, or leave it away"
        )
    return np.array(names, dtype=np.str_)


def confounder_note(dataset: Dataset) -> tuple[str, ...]:
    """Return a note where images are of several views, or else sexes, that could be compared."""
    for attribute in CONFOUNDERS:
        if len(set(_names(dataset, attribute)) - {""}) > 1:
            return (f"{attribute} is known: consider --within {attribute}",)
    return ()


def _names(dataset: Dataset, attribute: str) -> list[str]:
    if attribute == "view":
        return [record.view or "" for record in dataset.records]
    return [record.attributes.get(attribute, "") for record in dataset.records]
