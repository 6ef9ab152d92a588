"""What a user does wrong is said in one line, with what to do, before any work; exit code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from deepfixcx.cli.app import app

Run = Callable[..., Result]

CODEC = "-J 2 -P 4"
TRAIN = "train xrays --labels pneumonia -o new"
SWEEP = "sweep xrays --labels pneumonia -o new"
FRONTIER = "frontier xrays --labels pneumonia -o new"
AUDIT = "audit shared --against xrays --patients"

WRONG = [
    # what is not there, or is something else
    (f"privatize nowhere new {CODEC}", "check the path"),
    (f"privatize empty new {CODEC}", "holds no image"),
    (f"privatize broken.csv new {CODEC}", "name one of its columns 'file' or 'path'"),
    ("status nowhere", "use verify, which needs no ledger"),
    ("status shared --private nowhere", "its ledger is not in 'nowhere'"),
    ("verify nowhere", "check the path"),
    ("verify xrays", "so it is not a release or was not finished"),
    ("verify damaged", "is damaged"),
    ("scan nowhere --against xrays", "check the path"),
    ("scan shared --against nowhere", "check the path"),
    ("inspect nowhere", "check the path"),
    ("inspect empty", "PNG, JPEG, TIFF, BMP, DICOM and NIfTI are supported"),
    ("show nowhere.png -o new.png", "the file does not exist"),
    ("show bad.png -o new.png", "copy it again from its source"),
    ("show xrays -o new.png", "for a folder use inspect or privatize"),
    ("train nowhere --labels pneumonia -o new", "no file or folder 'nowhere'"),
    ("train empty --labels pneumonia -o new", "a table with a column 'file', or put them into"),
    ("train broken.csv --labels pneumonia -o new", "Its columns are: a, b"),
    ("evaluate nowhere xrays", "name a folder written by deepfixcx train"),
    ("evaluate torn xrays", "copy the folder again"),
    ("evaluate model nowhere", "no file or folder 'nowhere'"),
    ("predict model nowhere -o new.csv", "no file or folder 'nowhere'"),
    ("predict model empty -o new.csv", "holds no image to score"),
    ("predict model empty.safetensors -o new.csv", "is not a file of codes"),
    ("explain nowhere.png -o new", "the file does not exist"),
    ("explain xrays/0.png --model nowhere -o new", "name a folder written by deepfixcx train"),
    ("explain xrays/0.png --spec nowhere.json -o new", "cannot be read"),
    ("report nowhere -o new.html", "it is not a release"),
    ("report damaged -o new.html", "is damaged; copy the release again"),
    ("report shared -o new.html --sweep xrays", "not a finished sweep"),
    ("audit nowhere --against xrays --patients xrays/manifest.csv", "so it is not a release"),
    (f"{AUDIT} nowhere.csv", "check the path"),
    (f"{AUDIT} broken.csv", "Its columns are: a, b"),
    ("studio nowhere", "omit it, or name another"),
    # what would be overwritten, or cannot be written
    (f"privatize xrays shared {CODEC}", "start again with --overwrite"),
    (f"privatize xrays note.txt {CODEC}", "choose another folder"),
    (f"privatize xrays xrays/new {CODEC}", "choose an output folder outside the input"),
    (f"privatize xrays /proc/new {CODEC}", "choose another folder"),
    (f"privatize xrays new {CODEC} --private new/secret", "outside the release"),
    (f"privatize xrays new {CODEC} --json nowhere/new.json", "make it first"),
    ("show xrays/0.png -o nowhere/new.png", "make it first"),
    ("show xrays/0.png -o new.jpg", "name it 'new.png'"),
    ("train xrays --labels pneumonia -o model", "start again with --overwrite"),
    ("train xrays --labels pneumonia -o full", "choose another folder"),
    ("predict model xrays/0.png -o xrays/manifest.csv", "was not made by deepfixcx"),
    ("predict model xrays -o new.txt", "name it 'new.csv'"),
    ("sweep xrays --labels pneumonia -o full", "choose a new folder"),
    ("explain xrays/0.png -o note.txt", "-o names a folder"),
    ("report shared -o new.txt", "name it 'new.html'"),
    ("demo --folder full", "choose another folder with --folder"),
    ("bench --json nowhere/new.json", "make it first"),
    # settings that are none, or do not go together
    ("privatize xrays new -P 4", "Missing option '--level' / '-J'"),
    ("privatize xrays new -J two -P 4", "Invalid value for '--level' / '-J'"),
    ("privatize xrays new -J 0 -P 4", "a whole number from 1 to 12"),
    ("privatize xrays new -J 2 -P four", "4, or rows x columns as 4x6"),
    ("privatize xrays new -J 2 -P 0", "at least 1"),
    (f"privatize xrays new {CODEC} --wavelet nosuch", "choose one of: bior1.1"),
    (f"privatize xrays new {CODEC} --pooling nosuch", "choose one of: l1, l2"),
    (f"privatize xrays new {CODEC} --boundary mirror", "not one of 'zero', 'periodic'"),
    (f"privatize xrays new {CODEC} --mechanism nosuch", "nosuch"),
    (f"privatize xrays new {CODEC} --retain dates", "requires output 'dicom'"),
    (
        f"privatize xrays new {CODEC} --key note.txt",
        "--key and --pseudonyms require --output dicom",
    ),
    (f"privatize xrays new {CODEC} --mask rules.json", "it needs a list of rules"),
    (f"privatize xrays new {CODEC} --workers 0", "at least 1"),
    (f"privatize xrays new {CODEC} --max-pixels 0", "max_pixels is a number from 1"),
    (f"privatize xrays new {CODEC} --scheduler tcp://127.0.0.1:9", "requires --engine dask"),
    (f"privatize xrays new {CODEC} --resume --overwrite", "exclude each other"),
    ("privatize xrays shared -J 3 -P 4 --resume", "--overwrite starts again"),
    (f"privatize xrays s3://bucket/x {CODEC}", "with --private"),
    (f"privatize xrays nosuch://bucket/x {CODEC} --private p", "check the spelling"),
    ("verify shared --workers 0", "at least 1"),
    ("show xrays/0.png -o new.png -J 9", "a smaller level or patches"),
    ("show xrays/0.png -o new.png --sheet -J 2", "omit --sheet"),
    ("train xrays --labels nosuch -o new", "available labels: pneumonia"),
    ("train xrays --labels age -o new", "write age=VALUE"),
    (f"{TRAIN} --model nosuch", "package.module:Class"),
    (f"{TRAIN} --model mine:Net", "cannot be imported"),
    (f"{TRAIN} --epochs 0", "at least 1"),
    (f"{TRAIN} --test 0.9 --validation 0.5", "the rest is the training part"),
    (f"{TRAIN} --split official", "divide it by patient"),
    (f"{TRAIN} --layout chexpert", "no train.csv or valid.csv"),
    (f"{TRAIN} --layout nosuch", "not one of 'chexpert'"),
    (f"{TRAIN} --on original -J 2", "omit --level"),
    (f"{TRAIN} --device nosuch", "omit --device, or use cpu"),
    (f"{TRAIN} -J 9", "a smaller level or patches"),
    ("evaluate model xrays --labels nosuch", "available labels: pneumonia"),
    ("evaluate model xrays --within nosuch", "the dataset has age"),
    ("evaluate model xrays --samples 0", "Invalid value for '--samples'"),
    (f"{SWEEP} -J x", "like 1-6 or 2,4,8"),
    (f"{SWEEP} -J 9", "a smaller level or patches"),
    (f"{SWEEP} --folds 1", "3 folds or more"),
    (f"{SWEEP} --cnn nosuch", "your own as package.module:Class"),
    ("explain xrays/0.png -o new --index 5", "numbered from 0"),
    ("explain xrays/0.png -o new --spacing x", "rows x columns as 0.14x0.2"),
    ("explain xrays/0.png -o new --label pneumonia", "these options require --model"),
    ("explain xrays/0.png -o new --model model --method nosuch", "one of integrated-gradients"),
    ("explain xrays/0.png -o new --model model --label nosuch", "there are pneumonia"),
    ("explain xrays/0.png -o new --model model -J 2", "whose folder states its settings"),
    (f"{FRONTIER} --mechanisms nosuch", "choose from: plain"),
    (f"{FRONTIER} --attackers nosuch", "choose from distance"),
    (f"{FRONTIER} --public 2", "a share of the patients"),
    ("studio --port 99999", "omit --port to select a free port"),
    ("privatise xrays new", "No such command 'privatise'"),
]
"""A command line, and what of its answer has to be read."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each: images with labels, a release, a model, and their ruins."""
    place = tmp_path_factory.mktemp("place")
    for name in ("xrays", "empty", "full"):
        (place / name).mkdir()
    rows = ["file,patient_id,pneumonia,age"]
    for number in range(24):
        noise = 10 + 30 * (number // 2 % 2)
        pixels = np.random.default_rng(number).normal(128, noise, (48, 48)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(place / "xrays" / f"{number}.png")
        rows.append(f"{number}.png,p{number // 2},{number // 2 % 2},{50 + number}")
    (place / "xrays" / "manifest.csv").write_text("\n".join(rows), "utf-8")
    (place / "full" / "mine.txt").write_text("mine", "utf-8")
    (place / "note.txt").write_text("hello", "utf-8")
    (place / "broken.csv").write_text("a,b\n1,2\n", "utf-8")
    (place / "rules.json").write_text('{"a": 1}', "utf-8")
    (place / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    (place / "empty.safetensors").write_bytes(b"")
    for words in (
        f"privatize {place}/xrays {place}/shared {CODEC} --workers 1",
        f"train {place}/xrays --labels pneumonia {CODEC} -o {place}/model --model logistic",
    ):
        done = CliRunner().invoke(app, words.split())
        assert done.exit_code == 0, done.output
    for whole, torn, file in (
        ("shared", "damaged", "dataset.json"),
        ("model", "torn", "model.json"),
    ):
        shutil.copytree(place / whole, place / torn)
        (place / torn / file).write_text("{", "utf-8")
    return place


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[words for words, _ in WRONG])
def test_what_is_wrong_is_said(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(place)
    before = {path for path in place.rglob("*")}
    done = run(*words.split())
    text = " ".join(done.output.split())
    assert done.exit_code == 2, text
    assert said in text
    assert "Traceback" not in text
    left = {path for path in place.rglob("*")} - before
    assert not left, "nothing may be left behind"


def test_what_can_be_used_is_used_and_the_rest_is_said(
    run: Run, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad file among good ones costs that file: exit code 3, and where to read which it was."""
    shutil.copytree(place / "xrays", tmp_path / "xrays")
    shutil.copy(place / "bad.png", tmp_path / "xrays" / "bad.png")
    monkeypatch.chdir(tmp_path)
    for words, said in (
        ("inspect xrays", "list them with --show-names"),
        (f"privatize xrays new {CODEC} --workers 1", "failures.csv"),
        (f"predict {place}/model xrays -o scores.csv", "listed in scores.csv"),
    ):
        done = run(*words.split(), "--json", "figures.json")
        assert done.exit_code == 3, done.output
        assert said in done.output
        assert json.loads((tmp_path / "figures.json").read_text("utf-8"))["command"] in words
