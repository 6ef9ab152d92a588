"""A release by a mechanism as what ``train`` learns from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepfixcx.errors import ModelError
from deepfixcx.io.release_files import holds_records

if TYPE_CHECKING:
    from deepfixcx.learn.classifier import ReleasedInputs

__all__ = ["find_released", "refuse_released"]


def find_released(
    where: Path, labels: str, layout: str | None, patient: str | None = None
) -> ReleasedInputs | None:
    """Return the records of a release that has labels; None where it is something else."""
    from deepfixcx.datasets.labels import parse_labels
    from deepfixcx.learn.classifier import ReleasedInputs
    from deepfixcx.mechanisms import load_mechanism
    from deepfixcx.release import load_records, release_checksum

    if not holds_records(where):
        return None
    if (layout, patient) != (None, None):
        raise ModelError(
            f"{where.name!r} was made with a mechanism, so it has no layout and no patient "
            "table; omit --layout and --patient"
        )
    records = load_records(where)
    wanted = [rule.name for rule in parse_labels(labels)]
    inputs = ReleasedInputs.of(records.array, records.labels, load_mechanism(where), wanted)
    return replace(inputs, checksum=release_checksum(where))


def refuse_released(where: Path) -> None:
    """Refuse to judge a model on the records of a release."""
    if holds_records(where):
        raise ModelError(
            f"{where.name!r} was made with a mechanism: models are trained on its records and "
            "evaluated on images; give a dataset of other patients with these labels, and "
            "--part all"
        )
