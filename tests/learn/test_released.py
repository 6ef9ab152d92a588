"""Records of a release by a mechanism as something to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepfixcx.code import Code
from deepfixcx.errors import LabelError, ModelError
from deepfixcx.learn.classifier import ReleasedInputs
from deepfixcx.learn.model_folder import load_model
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import PartRules
from deepfixcx.learn.training import train_model
from deepfixcx.mechanisms import PublishedMechanism, Records, mechanism_named
from deepfixcx.spec import CodecSpec
from tests.mechanisms.making import make_records

SPEC = CodecSpec(level=2, patches=2)
OPTIONS = TrainingOptions("logistic", spec=SPEC)


def inputs_of(name: str) -> tuple[ReleasedInputs, Records]:
    public, private = make_records(80, seed=1), make_records(120, seed=2)
    fitted = mechanism_named(name).fit(public, np.random.default_rng(0))
    released = fitted.apply(private, np.random.default_rng(0))
    mechanism = PublishedMechanism(fitted, SPEC, 1, ("sick", "wet"))
    return ReleasedInputs.of(released.array, released.labels, mechanism), public


@pytest.mark.parametrize("name", ["mixing-3", "projection", "resampling"])
def test_a_model_remembers_the_form_of_its_records(name: str, tmp_path: Path) -> None:
    inputs, others = inputs_of(name)
    rules = PartRules(test=0.0)
    trained = train_model(inputs.dataset, tmp_path / "m", OPTIONS, rules, released=inputs)
    model = load_model(tmp_path / "m")
    assert model.mechanism is not None
    assert model.channels == 1
    assert inputs.mechanism is not None
    seen = inputs.mechanism.represent(others.array)
    assert np.array_equal(model.scores(seen), trained.classifier.scores(seen))
    code = Code(others.array, SPEC, np.full((len(others), 2), 8))
    assert np.array_equal(model.scores_of_code(code), model.scores(seen))
    sick = others.labels[:, 0] == 1
    scores = model.scores(seen)[:, 0]
    assert scores[sick].mean() > scores[~sick].mean() + 0.1


def test_equal_records_are_never_in_two_parts() -> None:
    inputs, _ = inputs_of("mixing-3")
    assert len(np.unique(inputs.dataset.patients)) < len(inputs.dataset)
    split = PartRules().divide(inputs.dataset)
    seen = {inputs.array[place].tobytes() for place in split.train}
    held = {inputs.array[place].tobytes() for place in (*split.validation, *split.test)}
    assert held
    assert not seen & held


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    inputs, _ = inputs_of("projection")
    for options, rules, reason in (
        (TrainingOptions("mlp", spec=SPEC), PartRules(), "--model logistic"),
        (TrainingOptions("logistic", spec=CodecSpec(level=3, patches=2)), PartRules(), "codec"),
        (OPTIONS, PartRules(by_content=True), "--by-content"),
    ):
        with pytest.raises(ModelError, match=reason):
            train_model(inputs.dataset, tmp_path / "m", options, rules, released=inputs)
    with pytest.raises(ModelError, match="cache"):
        train_model(
            inputs.dataset, tmp_path / "m", OPTIONS, released=inputs, cache=str(tmp_path / "c")
        )
    assert inputs.mechanism is not None
    with pytest.raises(LabelError, match="no label 'fracture'"):
        ReleasedInputs.of(inputs.array, inputs.dataset.labels, inputs.mechanism, ["fracture"])
