"""Evaluation: the right images, the right figures, and no silent look at training images."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfixcx.choices import Part
from deepfixcx.datasets import Dataset
from deepfixcx.errors import LabelError, ModelError, SplitError
from deepfixcx.learn.classifier import Classifier
from deepfixcx.learn.evaluation import evaluate_model
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.training import train_model
from deepfixcx.measures import confusion_at, roc_auc
from tests.learn.making import SPEC, make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("images"), 120, labels="sick,odd")


@pytest.fixture(scope="module")
def classifier(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    options = TrainingOptions("logistic", spec=SPEC)
    return train_model(dataset, tmp_path_factory.mktemp("model"), options).classifier


class Fixed:
    """Stands in for a fitted model: scores that were decided before."""

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores

    def probabilities(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        assert len(inputs) == len(self.scores)
        return self.scores

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {}


def test_figures_of_known_scores(dataset: Dataset, classifier: Classifier) -> None:
    generator = np.random.default_rng(0)
    labels = dataset.labels[:, 0]
    scores = np.stack([0.4 * labels + 0.6 * generator.random(120)] * 2, axis=1).astype(np.float32)
    fixed = replace(classifier, scorer=Fixed(scores), thresholds=(0.5, 0.5))
    found = evaluate_model(fixed, dataset, "all", samples=200)
    sick, odd = found.labels
    views = np.array([record.view for record in dataset.records])
    assert (found.images, found.patients, found.within) == (120, 60, "view")
    assert sick.auc.value == pytest.approx(roc_auc(labels, scores[:, 0]))
    assert sick.auc.low < sick.auc.value < sick.auc.high
    assert sick.auc_within is not None
    assert sick.auc_within.value == pytest.approx(roc_auc(labels, scores[:, 0], views))
    assert sick.auc_of_group["AP"].value == pytest.approx(
        roc_auc(labels[views == "AP"], scores[views == "AP", 0])
    )
    assert sick.confusion == confusion_at(labels, scores[:, 0], 0.5)
    assert sick.sensitivity.value == sick.confusion.sensitivity
    assert sick.specificity.value == sick.confusion.specificity
    assert (sick.yes, sick.no) == (60, 60)
    assert odd.yes + odd.no == int(dataset.known[:, 1].sum()) < 120
    assert 0 <= sick.calibration_error.value < 0.5
    assert sick.reliability.counts.sum() == 120


def test_intervals_are_over_patients(dataset: Dataset, classifier: Classifier) -> None:
    """Two images of a patient with the same score are not two observations."""
    generator = np.random.default_rng(1)
    once = np.repeat(0.3 * dataset.labels[::2, 0] + generator.random(60), 2) / 1.3
    fixed = replace(classifier, scorer=Fixed(np.stack([once] * 2, 1).astype(np.float32)))
    nobody = replace(
        dataset, records=tuple(replace(record, patient=None) for record in dataset.records)
    )
    widths = []
    for data in (dataset, nobody):
        found = evaluate_model(fixed, data, "all", samples=400)
        widths.append(found.labels[0].auc.high - found.labels[0].auc.low)
    assert widths[0] > 1.2 * widths[1]
    assert found.patients is None
    assert any("no patient ids" in note for note in found.notes)


def test_only_the_test_part_is_read(dataset: Dataset, classifier: Classifier) -> None:
    places = classifier.rules.places(dataset, "test")
    found = evaluate_model(classifier, dataset, samples=50)
    assert found.part == "test"
    assert found.images == len(places)
    assert not set(dataset.patients[places]) & set(
        dataset.patients[classifier.rules.divide(dataset).development]
    )
    assert found.labels[0].auc.value > 0.9
    assert found.notes == ()


@pytest.mark.parametrize("part", ["test", "validation", "train"])
def test_parts_of_another_dataset_are_refused(
    dataset: Dataset, classifier: Classifier, part: Part
) -> None:
    """Even if one image is missing: who would be in which part is not known then."""
    with pytest.raises(SplitError, match="--part all"):
        evaluate_model(classifier, dataset.select(np.arange(119)), part)


def test_a_corrected_label_keeps_the_test_part(dataset: Dataset, classifier: Classifier) -> None:
    first, *rest = dataset.records
    corrected = replace(first, labels=(1 - first.labels[0], *first.labels[1:]))
    changed = replace(dataset, records=(*rest[::-1], corrected))
    before = classifier.rules.places(dataset, "test")
    found = evaluate_model(classifier, changed, "test", samples=10)
    assert found.images == len(before)
    assert found.patients == len(set(dataset.patients[before]))
    assert any("with other labels" in note for note in found.notes)
    whole = " ".join(evaluate_model(classifier, changed, "all", samples=10).notes)
    assert "trained on these images" in whole
    assert "another dataset" not in whole
    renamed = dataset.with_labels({"ill": "sick", "strange": "odd"})
    assert evaluate_model(classifier, renamed, "test", samples=10).images == len(before)


def test_notes_say_what_was_seen_before(dataset: Dataset, classifier: Classifier) -> None:
    notes = {
        part: " ".join(evaluate_model(classifier, dataset, part, samples=10).notes)
        for part in ("train", "validation", "all")
    }
    assert "trained on these images" in notes["train"]
    assert "chosen on these" in notes["validation"]
    assert "trained on these images" in notes["all"]
    other = evaluate_model(classifier, dataset.select(np.arange(60)), "all", samples=10)
    assert "another dataset" in other.notes[0]


def test_labels_may_be_called_otherwise(dataset: Dataset, classifier: Classifier) -> None:
    other = dataset.with_labels({"ill": "sick", "strange": "odd"})
    found = evaluate_model(classifier, other, "all", samples=10)
    assert [label.name for label in found.labels] == ["ill", "strange"]
    assert any("sick, odd" in note for note in found.notes)
    with pytest.raises(LabelError, match="1 labels"):
        evaluate_model(classifier, dataset.with_labels("sick"), "all")


def test_groups(dataset: Dataset, classifier: Classifier) -> None:
    bedside = dataset.select([record.view == "AP" for record in dataset.records])
    found = evaluate_model(classifier, bedside, "all", samples=10)
    assert found.notes[-1] == "all images have view AP; choose another attribute, or omit --within"
    assert found.within is None
    assert found.labels[0].auc_within is None
    assert found.labels[0].auc_of_group == {}


def test_groups_that_were_asked_for_exist(dataset: Dataset, classifier: Classifier) -> None:
    """A typing error is no evaluation without groups."""
    first, *others = dataset.records
    one = replace(dataset, records=(replace(first, attributes={"sex": "F"}), *others))
    with pytest.raises(ModelError, match=r"no image has 'sexx'; the dataset has view, .*sex"):
        evaluate_model(classifier, one, "all", within="sexx")
    found = evaluate_model(classifier, one, "all", within="sex", samples=10)
    assert set(found.labels[0].auc_of_group) == {"F", "unknown"}
    without = replace(
        dataset, records=tuple(replace(record, view=None) for record in dataset.records)
    )
    notes = evaluate_model(classifier, without, "all", samples=10).notes
    assert not any("view" in note for note in notes)
    places = classifier.rules.places(one, "test")
    elsewhere: Part = "test" if 0 not in places else "validation"
    notes = evaluate_model(classifier, one, elsewhere, within="sex", samples=10).notes
    assert "no image of this part has 'sex'" in notes


def test_all_right_is_not_certain(dataset: Dataset, classifier: Classifier) -> None:
    """Sixty images of thirty patients are decided rightly: the interval is that of thirty."""
    scores = np.stack([dataset.labels[:, 0]] * 2, axis=1).astype(np.float32)
    fixed = replace(classifier, scorer=Fixed(scores), thresholds=(0.5, 0.5))
    sick = evaluate_model(fixed, dataset, "all", samples=20).labels[0]
    for rate in (sick.sensitivity, sick.specificity):
        assert (rate.value, rate.high) == (1, 1)
        assert rate.low == pytest.approx(30 / (30 + 1.96**2), abs=1e-4)


def test_unreadable_images(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 60)
    options = TrainingOptions("logistic", spec=SPEC)
    classifier = train_model(dataset, tmp_path / "model", options).classifier
    places = classifier.rules.places(dataset, "test")
    dataset.records[places[0]].path.write_text("not an image")
    found = evaluate_model(classifier, dataset, samples=10)
    assert [failure.error for failure in found.failures] == ["NotAnImageError"]
    assert found.images == len(places) - 1
    for place in places:
        dataset.records[place].path.write_text("not an image")
    with pytest.raises(ModelError, match="NotAnImageError"):
        evaluate_model(classifier, dataset)


def test_a_part_without_images(dataset: Dataset, tmp_path: Path) -> None:
    from deepfixcx.learn.parts import PartRules

    options = TrainingOptions("logistic", spec=SPEC)
    classifier = train_model(dataset, tmp_path, options, PartRules(test=0.0)).classifier
    with pytest.raises(SplitError, match="the test part has no image"):
        evaluate_model(classifier, dataset)


def test_one_class_gives_null_and_no_error(dataset: Dataset, classifier: Classifier) -> None:
    healthy = dataset.select(dataset.labels[:, 0] == 0)
    found = evaluate_model(classifier, healthy, "all", samples=10)
    text = json.dumps(found.labels[0].to_dict(), allow_nan=False)
    assert json.loads(text)["auc"] == {"value": None, "low": None, "high": None}
    assert json.loads(text)["sensitivity"]["value"] is None


def test_intervals_are_seeded(dataset: Dataset, classifier: Classifier) -> None:
    results = [
        evaluate_model(classifier, dataset, "validation", samples=20, seed=seed).labels[1].to_dict()
        for seed in (0, 0, 1)
    ]
    assert results[0] == results[1]
    assert results[0]["calibration_error"] != results[2]["calibration_error"]


def test_images_of_the_test_part_that_were_trained_on_are_counted(
    dataset: Dataset, classifier: Classifier, tmp_path: Path
) -> None:
    """Files of the test part, which keep their names, are overwritten with training images."""
    shutil.copytree(dataset.root, tmp_path / "copy")
    records = tuple(
        replace(each, path=tmp_path / "copy" / each.path.relative_to(dataset.root))
        for each in dataset.records
    )
    moved = replace(dataset, records=records, root=tmp_path / "copy")
    assert not any("same bytes" in note for note in evaluate_model(classifier, moved).notes)
    train, test = (classifier.rules.places(moved, part) for part in ("train", "test"))
    for one, other in zip(train[:2], test[:2], strict=True):
        shutil.copy(records[one].path, records[other].path)
    notes = evaluate_model(classifier, moved).notes
    assert any(note.startswith("2 images of this part are also among") for note in notes)


def test_files_of_the_same_names_with_other_images_are_another_dataset(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 60, labels="sick")
    options = TrainingOptions("logistic", spec=SPEC)
    trained = train_model(dataset, tmp_path / "model", options).classifier
    assert evaluate_model(trained, dataset).images > 0
    first, second = (dataset.records[n].path for n in trained.rules.places(dataset, "train")[:2])
    before = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(SplitError, match="differ from those of the training"):
        evaluate_model(trained, dataset)
    with pytest.raises(ModelError, match="files of the same names hold other images"):
        train_model(dataset, tmp_path / "model", options, resume=True)
    old = replace(trained, facts={**trained.facts, "content": None})  # of version 0.1
    assert evaluate_model(old, dataset).images > 0
    first.write_bytes(before)
    assert evaluate_model(trained, dataset).images > 0
