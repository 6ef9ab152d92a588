"""What decides the result of a training, and in what two trainings differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deepfixcx.datasets import Dataset
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import PartRules, fingerprint

__all__ = ["differences", "settings_of"]


def settings_of(options: TrainingOptions, rules: PartRules, dataset: Dataset) -> dict[str, Any]:
    """Return all that decides the result of a training, as plain JSON values."""
    settings = {
        "options": options.to_dict(),
        "parts": rules.to_dict(),
        "labels": list(dataset.label_names),
        "dataset": fingerprint(dataset),
    }
    as_read: dict[str, Any] = json.loads(json.dumps(settings))  # lists, no tuples, as from a file
    return as_read


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say in words in what settings differ from those of before; "" where they are the same.

    Examples
    --------
    >>> differences({"labels": ["sick"], "parts": {"seed": 0}}, {"labels": ["odd"]})
    'labels was sick and is odd; split seed was 0 and is none'
    """
    old, new = _flat(before), _flat(now)
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if "model" in changed:  # what only one of two models has follows from that
        changed = [name for name in changed if None not in (old.get(name), new.get(name))]
    words = [
        f"{name} was {_word(old.get(name))} and is {_word(new.get(name))}"
        for name in changed
        if name != "dataset"
    ]
    # the hash of the dataset is also that of the names of its labels
    if "dataset" in changed and "labels" not in changed:
        words.append("the images, their patients or their labels are others")
    return "; ".join(words)


def _flat(settings: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    """Return settings by the names that a user knows; those of the split are called so."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, "split " if name == "parts" else "")
        else:
            found[group + name] = value
    return found


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value))
    return "none" if value is None else str(value)
