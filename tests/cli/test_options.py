"""No option is accepted and ignored: each, given alone, changes what a command writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

pytestmark = pytest.mark.slow

Run = Callable[..., Result]

PRIVATIZE = [
    "-J 1",
    "-P 5",
    "--wavelet db2",
    "--wavelet db2 --boundary periodic",
    "--pooling l2",
    "--grid padded -P 7",
    "--output codes",
    "--output images",
    "--output dicom",
    "--size original",
    "--dtype float16",
    "--dtype uint8",
    "--names keep",
    "--mechanism bands",
    "--mechanism quantization",
    "--seed 1",
    "--max-pixels 1650",
]

TRAIN = [
    "--model logistic",
    "-J 1",
    "-P 5",
    "--wavelet db2",
    "--wavelet db2 --boundary periodic",
    "--pooling l2",
    "--grid padded -P 7",
    "--uncertain positive",
    "--blank negative",
    "--validation 0.3",
    "--test 0.4",
    "--by-content",
    "--balance",
    "--epochs 3",
    "--patience 1 --epochs 9 --learning-rate 0.5",
    "--epochs 9 --learning-rate 0.5",
    "--batch 4",
    "--learning-rate 0.1",
    "--weight-decay 0.5",
    "--l1 0.5",
    "--seed 1",
]


OF_A_DATASET = [
    "",
    "--part train",
    "--part all",
    "--part all --uncertain positive",
    "--part all --blank negative",
    "--part all --samples 9",
]


@pytest.fixture
def xrays(tmp_path: Path) -> Path:
    """Sixty images of thirty patients; some labels are uncertain, some are not said."""
    folder = tmp_path / "xrays"
    folder.mkdir()
    rows = ["file,patient_id,sick"]
    for number in range(60):
        sick = int(number // 2 % 3 == 0)
        twice = number in (4, 23)  # the same file of two patients
        generator = np.random.default_rng(7 if twice else number)
        size = (40, 40 if twice else 40 + number % 3)
        pixels = generator.normal(128, 20 + 10 * (sick and not twice), size).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,p{number // 2},{-1 if number % 11 == 3 else sick}")
        if number % 13 == 5:
            rows[-1] = f"{number}.png,p{number // 2},"
    (folder / "manifest.csv").write_text("\n".join(rows), "utf-8")
    return folder


def digest(folder: Path, *names: str) -> str:
    """Return a hash of the names and bytes of a folder, or of these of its files."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (not names or path.name in names):
            found.update(path.relative_to(folder).as_posix().encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def test_each_option_of_privatize_changes_the_release(
    run: Run, xrays: Path, tmp_path: Path
) -> None:
    (xrays / "manifest.csv").unlink()
    for number in range(6, 60):
        (xrays / f"{number}.png").unlink()
    seen: dict[str, str] = {}
    for number, words in enumerate(["", *PRIVATIZE]):
        out = tmp_path / str(number)
        settings = ["-J", "2", "-P", "4", *words.split()]  # the last word of an option counts
        done = run("privatize", xrays, out, *settings, "--workers", 1)
        assert done.exit_code == (3 if "max-pixels" in words else 0), done.output
        what = digest(out)
        assert what not in seen, f"{words!r} is as {seen[what]!r}"
        seen[what] = words


def test_each_option_of_train_changes_the_model(run: Run, xrays: Path, tmp_path: Path) -> None:
    seen: dict[str, str] = {}
    for number, words in enumerate(["", *TRAIN]):
        out, report = tmp_path / str(number), tmp_path / "report.json"
        settings = ["-J", "2", "-P", "4", "--device", "cpu"]
        settings += [] if "logistic" in words or "--epochs" in words else ["--epochs", "2"]
        done = run(
            *("train", xrays, "--labels", "sick", *settings, *words.split()),
            *("-o", out, "--json", report, "--workers", 1),
        )
        assert done.exit_code == 0, done.output
        figures = json.loads(report.read_text("utf-8"))
        what = digest(out, "model.safetensors", "weights.safetensors")
        counts = ("images_train", "images_validation", "images_test", "epochs")
        what += str([figures[name] for name in counts])
        assert what not in seen, f"{words!r} is as {seen[what]!r}"
        seen[what] = words


def test_the_options_of_a_dataset_change_what_is_evaluated(
    run: Run, xrays: Path, tmp_path: Path
) -> None:
    model, report = tmp_path / "model", tmp_path / "report.json"
    words = ["--labels", "sick", "-J", 2, "--model", "logistic", "--workers", 1, "-o", model]
    assert run("train", xrays, *words).exit_code == 0
    found = []
    for each in OF_A_DATASET:
        done = run("evaluate", model, xrays, *each.split(), "--workers", 1, "--json", report)
        assert done.exit_code == 0, done.output
        figures = json.loads(report.read_text("utf-8"))
        found.append(json.dumps([figures["images"], figures["labels"]]))
    assert len(set(found)) == len(found)
