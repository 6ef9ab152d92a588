"""Options and parts: what fits together, and what was asked for before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx import CodecSpec
from deepfixcx.datasets import Dataset, ImageRecord
from deepfixcx.errors import DeepfixcxError, ModelError, ModelFileError, SplitError
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import PartRules, fingerprint

SPEC = CodecSpec(3, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "mlp"}, "needs a spec"),
        ({"model": "mlp", "spec": SPEC, "on": "images"}, "works on codes"),
        ({"model": "resnet18", "spec": SPEC, "on": "codes"}, "images or original"),
        ({"model": "resnet18", "spec": SPEC, "on": "original"}, "not encoded"),
        ({"model": "resnet18", "spec": SPEC, "on": "elsewhere"}, "a model works on"),
        ({"model": "resnet18"}, "needs a spec"),
        ({"model": "resnet19", "spec": SPEC}, "no model 'resnet19'"),
        ({"model": "mlp", "spec": SPEC, "side": 32}, "side is not used with codes"),
        ({"model": "resnet18", "spec": SPEC, "side": 0}, "1 pixel or more, got 0"),
        ({"model": "resnet18", "spec": SPEC, "side": 16}, "fewer than the 4x4 cells"),
        ({"model": "resnet18", "spec": SPEC, "l1": 0.1}, "has no l1"),
        ({"model": "logistic", "spec": SPEC, "epochs": 3}, "has no epochs"),
        ({"model": "logistic", "spec": SPEC, "balance": True}, "does not balance"),
        ({"model": "mlp", "spec": SPEC, "epochs": 0}, "at least 1"),
        ({"model": "mlp", "spec": SPEC, "batch": 1}, "at least 2"),
        ({"model": "mlp", "spec": SPEC, "learning_rate": 0.0}, "more than 0"),
        ({"model": "mlp", "spec": SPEC, "weight_decay": -1.0}, "at least 0"),
        ({"model": "mlp", "spec": SPEC, "seed": -1}, "a seed"),
    ],
)
def test_options_that_do_not_fit(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DeepfixcxError, match=words):
        TrainingOptions(**arguments)


def test_defaults_of_each_model() -> None:
    assert TrainingOptions("mlp", spec=SPEC).l1 == 1e-3
    assert TrainingOptions("resnet18", spec=SPEC).on == "images"
    assert TrainingOptions("resnet18", spec=SPEC).side is None
    assert TrainingOptions("resnet18", on="original").side == 224
    assert TrainingOptions("my.nets:Net", spec=SPEC).learning_rate == 3e-4
    with pytest.raises(ModelError, match="has no epochs"):
        TrainingOptions("logistic", spec=SPEC).number("epochs")


@given(
    model=st.sampled_from(["mlp", "logistic", "resnet18", "a.b:C"]),
    seed=st.integers(0, 2**63 - 1),
    poolings=st.sampled_from(["l1", ("l1", "max")]),
)
def test_options_survive_json(model: str, seed: int, poolings: str | tuple[str, ...]) -> None:
    options = TrainingOptions(model, spec=CodecSpec(2, (3, 4), pooling=poolings), seed=seed)
    assert TrainingOptions.from_dict(options.to_dict()) == options


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ModelError, match="unknown options"):
        TrainingOptions.from_dict({"model": "mlp", "optimizer": "sgd"})
    with pytest.raises(ModelFileError):
        PartRules.from_dict({"fraction": 3})


def dataset(root: str = "/data", images: int = 40, **changes: Any) -> Dataset:
    records = [
        ImageRecord(
            Path(f"{root}/{n}.png"), f"p{n // 2}", labels=(float(n // 2 % 2),), known=(True,)
        )
        for n in range(images)
    ]
    if "labels" in changes:
        records[3] = ImageRecord(records[3].path, "p1", labels=changes["labels"], known=(True,))
    return Dataset("table", ("sick",), tuple(records), Path(root))


def test_parts_are_disjoint_and_come_again() -> None:
    rules = PartRules(validation=0.2, test=0.3, seed=4)
    data = dataset()
    parts = [rules.places(data, part) for part in ("train", "validation", "test")]
    assert sorted(np.concatenate(parts)) == list(range(40))
    people = [set(data.patients[part]) for part in parts]
    assert sum(map(len, people)) == len(set().union(*people)) == data.patient_count
    assert len(parts[2]) == pytest.approx(12, abs=2)
    again = PartRules.from_dict(rules.to_dict())
    assert np.array_equal(again.places(dataset("/elsewhere"), "test"), parts[2])
    assert len(rules.places(data, "all")) == 40
    other = PartRules(validation=0.2, test=0.3, seed=5)
    assert not np.array_equal(other.places(data, "test"), parts[2])


def test_no_test_part() -> None:
    assert len(PartRules(validation=0.5, test=0.0).places(dataset(), "test")) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"validation": 0.5, "test": 0.5}, "less than 1"),
        ({"validation": -0.1}, "less than 1"),
        ({"split": "official", "test": 0.2}, "has a test part"),
        ({"split": "random"}, "one of patient, official"),
    ],
)
def test_rules_that_do_not_fit(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SplitError, match=words):
        PartRules(**arguments)


def test_unknown_part() -> None:
    with pytest.raises(SplitError, match="a part is one of"):
        PartRules().places(dataset(), "tests")  # type: ignore[arg-type]


def test_fingerprint_distinguishes_datasets() -> None:
    first = fingerprint(dataset())
    assert fingerprint(dataset("/elsewhere")) == first
    assert fingerprint(dataset().select(np.arange(40)[::-1])) == first
    assert fingerprint(dataset(images=39)) != first
    assert fingerprint(dataset(labels=(1 - dataset().labels[3, 0],))) != first
