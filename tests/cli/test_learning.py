"""`train`, `evaluate` and `predict`, as a user types them."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from deepfixcx import Code
from deepfixcx.learn.checkpoint import read_header
from deepfixcx.learn.fitting import fit
from tests.conftest import ROOT
from tests.learn.making import make_dataset

Run = Callable[..., Result]

CODEC = ("-J", "2", "-P", "4", "--workers", "1")


@pytest.fixture(scope="module")
def xrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learning") / "xrays"
    make_dataset(folder, 80)
    return folder


@pytest.fixture
def model(xrays: Path, tmp_path: Path, run: Run) -> Path:
    done = run(
        "train", xrays, "--labels", "sick", "--model", "logistic", "-o", tmp_path / "model", *CODEC
    )
    assert done.exit_code == 0, done.output
    return tmp_path / "model"


def figures(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["mlp", "logistic"])
def test_train_evaluate_predict(name: str, xrays: Path, tmp_path: Path, run: Run) -> None:
    model, kept = tmp_path / "model", tmp_path / "figures.json"
    epochs = ["--epochs", 25] if name == "mlp" else []
    done = run(
        *("train", xrays, "--labels", "sick", "--model", name, "-o", model, "--json", kept),
        *(*CODEC, *epochs, "--device", "cpu", "--cache", tmp_path / "cache"),
    )
    assert done.exit_code == 0, done.output
    assert "evaluate" in done.output
    trained = figures(kept)
    assert trained["labels"] == ["sick"]
    assert trained["images_train"] + trained["images_validation"] + trained["images_test"] == 80
    done = run("evaluate", model, xrays, "--json", kept, "--samples", 50, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "ROC AUC" in done.output
    assert "within view" in done.output
    found = figures(kept)
    assert found["images"] == trained["images_test"]
    assert found["labels"][0]["auc"]["value"] > 0.7
    scores = tmp_path / "scores.csv"
    done = run("predict", model, xrays, "-o", scores, "--json", kept, "--workers", 1)
    assert done.exit_code == 0, done.output
    table = rows(scores)
    assert len(table) == figures(kept)["images_scored"] == 80
    assert sum(int(row["sick_yes"]) for row in table) == figures(kept)["yes"]["sick"]


def test_predict_one_image_and_codes(xrays: Path, model: Path, tmp_path: Path, run: Run) -> None:
    outcomes = {}
    run("privatize", xrays, tmp_path / "release", *CODEC, "--output", "codes", "--names", "keep")
    shard = min((tmp_path / "release" / "codes").rglob("*.safetensors"))
    for name, where in (
        ("folder", xrays),
        ("image", xrays / "7.png"),
        ("release", tmp_path / "release"),
        ("file", shard),
    ):
        done = run("predict", model, where, "-o", tmp_path / f"{name}.csv", "--workers", 1)
        assert done.exit_code == 0, done.output
        outcomes[name] = rows(tmp_path / f"{name}.csv")
    assert len(outcomes["folder"]) == len(outcomes["release"]) == 80
    assert len(outcomes["file"]) == len(Code.load(shard))
    of_folder = {Path(row["file"]).stem: float(row["sick"]) for row in outcomes["folder"]}
    for row in outcomes["release"]:
        assert float(row["sick"]) == pytest.approx(of_folder[Path(row["file"]).stem], abs=1e-5)
    assert float(outcomes["image"][0]["sick"]) == pytest.approx(of_folder["7"], abs=1e-5)
    assert outcomes["file"][0]["file"] == f"{shard.name}:0"


def test_bad_files_are_rows(xrays: Path, model: Path, tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "new"
    (folder / "ward").mkdir(parents=True)
    (folder / "ward" / "good.png").write_bytes((xrays / "0.png").read_bytes())
    (folder / "text.png").write_text("not an image")
    (folder / "empty.png").touch()
    done = run("predict", model, folder, "-o", tmp_path / "scores.csv", "--workers", 1)
    assert done.exit_code == 3
    assert "1 of 3 images" in done.output
    found = {row["file"]: row["error"] for row in rows(tmp_path / "scores.csv")}
    assert found == {
        "empty.png": "EmptyFileError",
        "text.png": "NotAnImageError",
        "ward/good.png": "",
    }


def test_codes_of_colour_in_a_release_are_failures(
    xrays: Path, model: Path, tmp_path: Path, run: Run
) -> None:
    from PIL import Image

    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes((xrays / f"{number}.png").read_bytes())
    Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * n) for n in range(3)]).save(
        folder / "c.png"
    )
    run("privatize", folder, tmp_path / "release", *CODEC, "--output", "codes", "--names", "keep")
    done = run("predict", model, tmp_path / "release", "-o", tmp_path / "scores.csv")
    assert done.exit_code == 3, done.output
    errors = [row["error"] for row in rows(tmp_path / "scores.csv")]
    assert sorted(errors) == ["", "", "", "CodeError"]


def test_training_with_bad_files_says_so(tmp_path: Path, run: Run) -> None:
    dataset = make_dataset(tmp_path / "xrays", 60)
    for record in dataset.records[:2]:
        record.path.write_text("not an image")
    words = ("--labels", "sick", "--model", "logistic", "--test", 0, "-o", tmp_path / "model")
    done = run("train", tmp_path / "xrays", *words, *CODEC, "--json", tmp_path / "figures.json")
    assert done.exit_code == 3
    assert figures(tmp_path / "figures.json")["images_failed"] == 2
    assert "NotAnImageError" in done.output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--model", "resnet19"], "no model 'resnet19'"),
        (["--model", "mlp", "--side", "32"], "side is not used with codes"),
        (["--model", "mlp", "--on", "images"], "works on codes"),
        (["--model", "resnet18", "--on", "original", "-J", "3"], "not encoded"),
        (["--model", "logistic", "--l1", "1"], "has no l1"),
        (["--split", "official"], "has no training part"),
        (["--split", "official", "--test", "0.2"], "has a test part"),
        (["--validation", "0.9"], "less than 1"),
        (["--device", "abacus"], "no device"),
        (["--layout", "nih"], "NIH ChestX-ray14"),
        (["--uncertain", "perhaps"], "not one of 'ignore'"),
        (["--labels", "sicc"], "did you mean 'sick'"),
        (["-P", "4y4"], "--patches"),
        (["-P", "40"], "ImageTooSmallError"),
        (["--model", "nowhere:Net"], "cannot be imported"),
        (["--resume", "--overwrite"], "exclude each other"),
    ],
)
def test_bad_arguments_of_train(
    xrays: Path, tmp_path: Path, run: Run, words: list[str], reason: str
) -> None:
    labels = [] if "--labels" in words else ["--labels", "sick"]
    done = run("train", xrays, *labels, *words, "-o", tmp_path / "model", "--workers", 1)
    assert done.exit_code == 2, done.output
    assert reason in " ".join(done.output.split())
    assert not (tmp_path / "model").exists()


def test_bad_arguments_of_evaluate_and_predict(
    xrays: Path, model: Path, tmp_path: Path, run: Run
) -> None:
    make_dataset(tmp_path / "other", 20)
    out = tmp_path / "scores.csv"
    (tmp_path / "empty").mkdir()
    (tmp_path / "code.safetensors").write_bytes(b"nothing of ours")
    for words, reason in (
        (["evaluate", tmp_path / "gone", xrays], "holds no model"),
        (["evaluate", model, tmp_path / "other"], "--part all"),
        (["evaluate", model, xrays, "--labels", "sick,odd"], "2 labels"),
        (["evaluate", model, xrays, "--within", "sexx"], "the dataset has view"),
        (["evaluate", model, xrays, "--network", "a:B"], "not your own network"),
        (["predict", model, xrays, "-o", tmp_path / "scores.txt"], "is a CSV table"),
        (["predict", model, xrays, "-o", tmp_path / "gone" / "scores.csv"], "no folder"),
        (["predict", model, tmp_path / "gone", "-o", out], "to score"),
        (["predict", model, tmp_path / "empty", "-o", out], "to score"),
        (["predict", model, tmp_path / "code.safetensors", "-o", out], "not a file of codes"),
    ):
        done = run(*words, "--workers", 1) if words[0] == "predict" else run(*words)
        assert done.exit_code == 2, done.output
        assert reason in " ".join(done.output.split())
    out.write_text("mine")
    assert run("predict", model, xrays / "0.png", "-o", out).exit_code == 2
    assert out.read_text() == "mine"
    theirs = run("predict", model, xrays / "0.png", "-o", out, "--overwrite")
    assert theirs.exit_code == 2
    assert out.read_text() == "mine"
    out.unlink()
    for again in ((), ("--overwrite",)):
        assert run("predict", model, xrays / "0.png", "-o", out, *again).exit_code == 0


def test_own_network(
    xrays: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found in the folder where the command is run, and only if it is named."""
    source = Path(__file__).parents[1] / "learn" / "own.py"
    (tmp_path / "mine.py").write_text(source.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    words = ("--labels", "sick", "--model", "mine:Small", "--epochs", 2, "-o", "model")
    done = run("train", xrays, *words, *CODEC, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "--network mine:Small" in done.output
    assert run("predict", "model", xrays / "0.png", "-o", "scores.csv").exit_code == 2
    named = ("--network", "mine:Small", "-o", "scores.csv")
    assert run("predict", "model", xrays / "0.png", *named).exit_code == 0


SAYING_WHEN = """
import signal
import sys
from deepfixcx.cli import _learning
from deepfixcx.cli.app import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where tests run
wanted = int(sys.argv.pop(1))

def say(epoch):
    if epoch == wanted:
        print("now", flush=True)

_learning.LearningBar.read = lambda self, done, images: say(0)
_learning.LearningBar.trained = lambda self, epoch, fitted: say(epoch.number)
main()
"""


def stopped_training(words: list[str], epoch: int, number: signal.Signals) -> tuple[int, str]:
    """Run a command until an epoch is done (0: while it reads), and send a signal."""
    with subprocess.Popen(
        [sys.executable, "-c", SAYING_WHEN, str(epoch), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(number)
        rest = process.stdout.read()
    return process.returncode, " ".join(rest.replace("now\n", "").split())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_trained_before_a_signal_is_kept(
    xrays: Path, tmp_path: Path, run: Run, number: signal.Signals, code: int
) -> None:
    model = tmp_path / "model"
    words = ["train", str(xrays), "--labels", "sick", "-o", str(model), *CODEC, "--device", "cpu"]
    many = ["--epochs", "100000", "--patience", "100000"]
    exit_code, text = stopped_training([*words, *many], 3, number)
    assert exit_code == code
    found = re.search(r"Stopped after epoch (\d+), which is kept; continue with: .* --resume", text)
    assert found is not None, text
    assert int(found[1]) == read_header(model / "training.safetensors").epochs >= 3
    again = run(*words, *many, "--resume", "--seed", 1)
    assert again.exit_code == 2
    assert "seed was 0 and is 1" in again.output
    labels = [word.replace("sick", "odd") for word in words]
    assert "labels was sick and is odd" in run(*labels, *many, "--resume").output
    logistic = run(*words, "--model", "logistic", "--resume")
    assert "model was mlp and is logistic" in logistic.output
    assert (model / "training.safetensors").is_file()


def test_a_training_that_was_stopped_while_it_read_kept_nothing(
    xrays: Path, tmp_path: Path
) -> None:
    words = ["train", str(xrays), "--labels", "sick", "-o", str(tmp_path / "model"), *CODEC]
    exit_code, text = stopped_training(words, 0, signal.SIGTERM)
    assert exit_code == 143
    assert "Stopped before the first epoch was saved; start again with:" in text
    assert "--resume" not in text
    assert not (tmp_path / "model").exists()


def test_interrupted_training_can_be_started_again(
    xrays: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deepfixcx.learn.fitting.fit", interrupt)
    words = ("train", xrays, "--labels", "sick", "-o", tmp_path / "model", *CODEC)
    monkeypatch.setattr(sys, "argv", ["deepfixcx", *map(str, words)])
    done = run(*words, "--device", "cpu")
    assert done.exit_code == 130
    assert "start again with" in done.output
    monkeypatch.setattr("deepfixcx.learn.fitting.fit", fit)
    done = run(*words, "--device", "cpu", "--epochs", 2, "--resume")
    assert done.exit_code == 0, done.output


def test_a_full_disk_stops_training(
    xrays: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deepfixcx.io.files.os.fsync", full)
    words = ("--labels", "sick", "--model", "logistic", "-o", tmp_path / "model")
    done = run("train", xrays, *words, *CODEC)
    assert done.exit_code == 2  # before the training began
    assert "No space left" in done.output


@pytest.mark.slow
def test_every_figure_is_described(xrays: Path, model: Path, tmp_path: Path, run: Run) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    kept = tmp_path / "figures.json"
    again = ("train", xrays, "--labels", "sick", "--model", "logistic", "-o", model, "--resume")
    for name, words in (
        ("train", (*again, *CODEC)),
        ("evaluate", ("evaluate", model, xrays, "--samples", 5)),
        ("predict", ("predict", model, xrays / "0.png", "-o", tmp_path / "scores.csv")),
    ):
        done = run(*words, "--json", kept)
        assert done.exit_code == 0, done.output
        found = figures(kept)
        del found["file_checksum"]
        assert described(page, f"Names of {name}") == set(found)
        if name == "evaluate":
            inner = set(found["labels"][0]) | set(found["labels"][0]["reliability"])
            assert described(page, "Names in labels of evaluate") | REPORTED == inner


REPORTED = {"predicted", "observed", "counts"}
"""Described in words, beside `reliability`."""


def described(page: str, title: str) -> set[str]:
    """Return what the first column of the table below a heading names."""
    (text,) = re.findall(rf"^### {title}\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
