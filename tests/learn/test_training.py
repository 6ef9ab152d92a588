"""From files on disk to a folder that scores new images, and back."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepfixcx import Codec, CodecSpec
from deepfixcx.datasets import Dataset
from deepfixcx.errors import LabelError, ModelError, ModelFileError, SplitError
from deepfixcx.images import read_image
from deepfixcx.learn.classifier import Classifier
from deepfixcx.learn.model_folder import load_model
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import PartRules
from deepfixcx.learn.training import Trained, train_model
from tests.conftest import ROOT
from tests.learn.making import SPEC, make_dataset

OPTIONS = {
    "mlp": TrainingOptions("mlp", spec=SPEC, epochs=15, learning_rate=5e-3),
    "logistic": TrainingOptions("logistic", spec=SPEC),
    "own on images": TrainingOptions(
        "tests.learn.own:Small", spec=SPEC, epochs=40, patience=40, learning_rate=3e-3
    ),
    "own on originals": TrainingOptions(
        "tests.learn.own:Small", on="original", side=24, epochs=15, learning_rate=3e-3
    ),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("images"), 100)


@pytest.fixture(scope="module")
def models(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    folder = tmp_path_factory.mktemp("models")
    return {
        name: train_model(dataset, folder / name, options, device="cpu")
        for name, options in OPTIONS.items()
    }


def load(trained: Trained, folder: Path) -> Classifier:
    model = trained.classifier.options.model
    return load_model(folder, network=model if ":" in model else None, device="cpu")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_model_learns(dataset: Dataset, models: dict[str, Trained], name: str) -> None:
    trained = models[name]
    facts = trained.classifier.facts
    assert facts["validation_auc"]["sick"] > 0.7
    counts = [facts[f"images_{part}"] for part in ("train", "validation", "test")]
    assert sum(counts) == len(dataset)
    assert min(counts) > 5
    assert 0 < trained.classifier.thresholds[0] < 1
    assert trained.failures == ()


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_loaded_scores_like_what_was_trained(
    dataset: Dataset, name: str, tmp_path: Path
) -> None:
    options = OPTIONS[name]
    trained = train_model(dataset, tmp_path / "model", options, device="cpu")
    loaded = load(trained, tmp_path / "model")
    inputs = trained.classifier.load(dataset.records[:9]).array
    assert np.array_equal(loaded.scores(inputs), trained.classifier.scores(inputs))
    assert loaded.options == options
    assert loaded.thresholds == trained.classifier.thresholds
    assert loaded.label_names == ("sick",)
    assert loaded.dataset == trained.classifier.dataset
    assert dict(loaded.facts) == json.loads(json.dumps(dict(trained.classifier.facts)))
    assert loaded.scores(inputs[:0]).shape == (0, 1)


def test_same_seed_same_file(dataset: Dataset, tmp_path: Path) -> None:
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        options = TrainingOptions("mlp", spec=SPEC, epochs=3, seed=seed)
        train_model(dataset, tmp_path / name, options, device="cpu")
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_the_model_folder_names_no_patient(dataset: Dataset, tmp_path: Path) -> None:
    train_model(dataset, tmp_path / "model", OPTIONS["logistic"])
    text = (tmp_path / "model" / "model.json").read_text()
    assert "p1" not in text
    assert ".png" not in text
    assert str(tmp_path) not in text
    about = json.loads(text)
    assert about["versions"]["deepfixcx"]
    assert about["options"]["spec"] == SPEC.to_dict()


def test_codes_and_images_have_the_same_scores(
    dataset: Dataset, models: dict[str, Trained]
) -> None:
    pixels = [read_image(record.path).pixels[0] for record in dataset.records[:5]]
    code = Codec(SPEC).encode(np.stack(pixels))
    for name in ("mlp", "logistic", "own on images"):
        classifier = models[name].classifier
        expected = classifier.scores(classifier.load(dataset.records[:5]).array)
        np.testing.assert_allclose(classifier.scores_of_code(code), expected, atol=1e-6)
    with pytest.raises(ModelError, match="original images"):
        models["own on originals"].classifier.scores_of_code(code)
    other = Codec(CodecSpec(1, 4)).encode(np.stack(pixels))
    with pytest.raises(ModelError, match="takes codes of J=2"):
        models["mlp"].classifier.scores_of_code(other)
    colour = Codec(SPEC).encode(np.repeat(np.stack(pixels), 3, axis=1))
    with pytest.raises(ModelError, match="1 channels"):
        models["mlp"].classifier.scores_of_code(colour)


def test_attention(models: dict[str, Trained]) -> None:
    attention = models["mlp"].classifier.attention()
    assert attention.shape == SPEC.code_shape(1)
    assert (attention >= 0).all()
    details = attention[0, 1:].sum(axis=0)  # sick images have texture in the first cell
    assert details.argmax() == 0
    with pytest.raises(ModelError, match="has no attention"):
        models["logistic"].classifier.attention()


def test_threshold_is_of_the_validation_part(dataset: Dataset, models: dict[str, Trained]) -> None:
    """And neither of the training nor of the test part."""
    from deepfixcx.measures import youden_threshold

    classifier = models["logistic"].classifier
    chosen = dataset.select(classifier.rules.places(dataset, "validation"))
    scores = classifier.scores(classifier.load(chosen.records).array)
    expected = youden_threshold(chosen.labels[:, 0], scores[:, 0])
    assert classifier.thresholds[0] == pytest.approx(expected, abs=1e-6)


def test_statistics_are_of_the_training_part(dataset: Dataset, models: dict[str, Trained]) -> None:
    classifier = models["mlp"].classifier
    chosen = dataset.select(classifier.rules.places(dataset, "train"))
    codes = classifier.load(chosen.records).array
    size = classifier.scorer.arrays()["size"]
    np.testing.assert_allclose(size, np.abs(codes).mean(0), rtol=1e-5)


def test_unreadable_images_are_failures(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 60)
    for number in range(0, 60, 12):
        dataset.records[number].path.write_text("not an image")
    rules = PartRules(test=0.0)
    trained = train_model(dataset, tmp_path / "model", OPTIONS["logistic"], rules)
    assert {failure.error for failure in trained.failures} == {"NotAnImageError"}
    assert trained.classifier.facts["images_failed"] == len(trained.failures) == 5
    assert trained.classifier.facts["images_train"] + trained.classifier.facts[
        "images_validation"
    ] == 55  # fmt: skip
    for record in dataset.records:
        record.path.write_text("not an image")
    with pytest.raises(ModelError, match="NotAnImageError"):
        train_model(dataset, tmp_path / "other", OPTIONS["logistic"])
    assert not (tmp_path / "other").exists()


def test_unknown_labels(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 60, labels="sick,odd")
    assert np.isnan(dataset.labels).any()
    trained = train_model(dataset, tmp_path / "two", OPTIONS["mlp"], device="cpu")
    assert trained.classifier.label_names == ("sick", "odd")
    facts = trained.classifier.facts
    assert facts["images_unlabelled"] == 0
    assert sum(facts[f"images_{part}"] for part in ("train", "validation", "test")) == 60
    odd = dataset.with_labels("odd")
    trained = train_model(odd, tmp_path / "one", OPTIONS["logistic"])
    facts = trained.classifier.facts
    assert facts["images_unlabelled"] > 0
    used = facts["images_train"] + facts["images_validation"]
    rest = PartRules().divide(odd).development
    assert used == int(odd.known[rest].any(axis=1).sum())


def test_a_label_of_one_kind_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    healthy = dataset.select(dataset.labels[:, 0] == 0)
    with pytest.raises(LabelError, match="'sick' has 0 positives"):
        train_model(healthy, tmp_path / "model", OPTIONS["logistic"])
    assert not (tmp_path / "model").exists()
    with pytest.raises(SplitError, match="cannot be divided"):
        train_model(dataset.select([0, 1]), tmp_path / "model", OPTIONS["logistic"])


def test_without_validation(dataset: Dataset, tmp_path: Path) -> None:
    trained = train_model(
        dataset, tmp_path / "model", OPTIONS["mlp"], PartRules(validation=0.0), device="cpu"
    )
    assert trained.classifier.thresholds == (0.5,)
    assert trained.classifier.facts["best_epoch"] == 15
    assert any("its threshold is 0.5" in note for note in trained.notes)
    assert load_model(tmp_path / "model").facts["validation_auc"] == {"sick": None}


def test_the_test_part_is_not_read(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 60)
    for place in PartRules().places(dataset, "test"):
        dataset.records[place].path.write_text("not an image")
    trained = train_model(dataset, tmp_path / "model", OPTIONS["logistic"])
    assert trained.failures == ()


def test_folders_that_are_in_use(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    first = train_model(dataset, folder, OPTIONS["logistic"])
    with pytest.raises(ModelError, match="already holds a model"):
        train_model(dataset, folder, OPTIONS["logistic"])
    again = train_model(dataset, folder, OPTIONS["logistic"], resume=True)
    assert again.seconds == 0
    assert again.classifier.thresholds == first.classifier.thresholds
    with pytest.raises(ModelError, match=r"logistic and is mlp\); replace it with --overwrite"):
        train_model(dataset, folder, OPTIONS["mlp"], resume=True, device="cpu")
    with pytest.raises(ModelError, match="exclude each other"):
        train_model(dataset, folder, OPTIONS["mlp"], resume=True, overwrite=True, device="cpu")
    (folder / "notes.txt").write_text("mine")
    train_model(dataset, folder, OPTIONS["mlp"], overwrite=True, device="cpu")
    assert (folder / "notes.txt").read_text() == "mine"
    assert load_model(folder).options.model == "mlp"
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.txt").write_text("mine")
    with pytest.raises(ModelError, match="not empty"):
        train_model(dataset, tmp_path / "else", OPTIONS["logistic"], overwrite=True)
    with pytest.raises(ModelError, match="is a file"):
        train_model(dataset, tmp_path / "else" / "thesis.txt", OPTIONS["logistic"])


def edit(folder: Path, **changes: Any) -> None:
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | changes))


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.json").unlink(), "holds no model"),
        (lambda folder: (folder / "model.json").write_text("{"), "not written by deepfixcx"),
        (lambda folder: (folder / "model.json").write_text('{"a": 1}'), "not written by deepfixcx"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"), "holds no model"),
        (lambda folder: (folder / "model.safetensors").unlink(), "lacks model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "damaged"),
        (lambda folder: flip_last_bit(folder / "model.safetensors"), "damaged"),
        (lambda folder: edit(folder, version=2), "format version 2"),
        (lambda folder: edit(folder, thresholds=[]), "damaged"),
        (lambda folder: edit(folder, channels=2), "damaged"),
        (lambda folder: edit(folder, labels=None), "damaged"),
        (lambda folder: edit(folder, options={"model": "mlp"}), "damaged"),
        (lambda folder: edit(folder, parts={"shares": 1}), "damaged"),
        (
            lambda folder: edit(folder, labels=["a", "b"], thresholds=[1, 1]),
            "do not match",
        ),
    ],
)
@pytest.mark.parametrize("model", ["mlp"])
def test_damaged_models(
    dataset: Dataset, tmp_path: Path, model: str, damage: Any, words: str
) -> None:
    options = TrainingOptions(model, spec=SPEC, epochs=1)
    train_model(dataset, tmp_path, options, device="cpu")
    damage(tmp_path)
    with pytest.raises(ModelFileError, match=words):
        load_model(tmp_path, device="cpu")


def test_code_named_by_a_file_does_not_run_by_itself(dataset: Dataset, tmp_path: Path) -> None:
    options = TrainingOptions("tests.learn.own:Small", spec=SPEC, epochs=1)
    train_model(dataset, tmp_path, options, device="cpu")
    with pytest.raises(ModelError, match="--network tests"):
        load_model(tmp_path, device="cpu")
    with pytest.raises(ModelError, match="--network tests"):
        load_model(tmp_path, network="os:abort", device="cpu")
    assert load_model(tmp_path, network="tests.learn.own:Small", device="cpu")
    about = json.loads((tmp_path / "model.json").read_text())
    edit(tmp_path, options=about["options"] | {"model": "os:abort"})
    with pytest.raises(ModelError, match="--network os:abort"):
        load_model(tmp_path, network="tests.learn.own:Small", device="cpu")


def test_network_of_a_model_without_one(dataset: Dataset, tmp_path: Path) -> None:
    train_model(dataset, tmp_path, OPTIONS["logistic"])
    with pytest.raises(ModelError, match="not your own network"):
        load_model(tmp_path, network="tests.learn.own:Small")


def test_a_cache_is_of_codes(dataset: Dataset, models: dict[str, Trained], tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    train_model(dataset, tmp_path / "mlp", OPTIONS["logistic"], device="cpu", cache=cache)
    assert len(list((tmp_path / "cache").rglob("*"))) > 5
    with pytest.raises(ModelError, match="omit --cache"):
        train_model(
            dataset, tmp_path / "own", OPTIONS["own on originals"], device="cpu", cache=cache
        )
    with pytest.raises(ModelError, match="omit --cache"):
        models["own on originals"].classifier.load(dataset.records[:2], cache=cache)


def test_unknown_device(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no device 'abacus'"):
        train_model(dataset, tmp_path / "model", OPTIONS["mlp"], device="abacus")
    assert not (tmp_path / "model").exists()


def test_history_is_json_without_nan(dataset: Dataset, tmp_path: Path) -> None:
    train_model(dataset, tmp_path, OPTIONS["mlp"], PartRules(validation=0.0), device="cpu")
    text = (tmp_path / "model.json").read_text()
    about = json.loads(text, parse_constant=pytest.fail)
    assert len(about["facts"]["history"]) == 15
    assert about["facts"]["history"][0]["validation_auc"] is None
    assert math.isfinite(about["facts"]["history"][0]["train_loss"])


def test_a_logistic_model_needs_no_torch(dataset: Dataset, tmp_path: Path) -> None:
    train_model(dataset, tmp_path / "model", OPTIONS["logistic"])
    script = (
        "import sys; from pathlib import Path\n"
        "from deepfixcx.learn.model_folder import load_model\n"
        "from deepfixcx.learn.prediction import predict_files\n"
        "model = load_model(sys.argv[1]); path = Path(sys.argv[2])\n"
        "print(predict_files(model, [path], ['a']).scores.shape, 'torch' in sys.modules)"
    )
    words = [str(tmp_path / "model"), str(dataset.records[0].path)]
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert done.stdout.strip() == "(1, 1) False"


def test_missing_torch_is_named(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'deepfixcx\[learn\]"):
        train_model(dataset, tmp_path / "model", OPTIONS["mlp"])
    monkeypatch.undo()
    assert torch.ones(1).item() == 1
