"""``deepfixcx explain --model``: what it writes, of what, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from deepfixcx import Code, Codec
from deepfixcx.cli._explained import DIFFUSE
from deepfixcx.cli.explain_model import can_explain
from deepfixcx.images.nifti import nifti_bytes
from deepfixcx.io.folders import MARKER, write_own
from deepfixcx.learn.model_folder import load_model
from deepfixcx.learn.options import TrainingOptions
from tests.learn.making import make_dataset

Run = Callable[..., Result]

TRAINING = ("--labels", "sick", "-J", 2, "-P", 4, "--workers", 1)


@pytest.fixture
def xrays(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "xrays", 80)
    return tmp_path / "xrays"


@pytest.fixture
def model(tmp_path: Path, xrays: Path, run: Run) -> Path:
    done = run("train", xrays, *TRAINING, "--model", "logistic", "-o", tmp_path / "model")
    assert done.exit_code == 0, done.output
    return tmp_path / "model"


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "images.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sick_of(xrays: Path, out: Path) -> list[str]:
    """Return the label of each image that was explained."""
    with (xrays / "manifest.csv").open(newline="") as file:
        known = {row["file"]: row["sick"] for row in csv.DictReader(file)}
    return [known[row["file"]] for row in rows_of(out)]


def explain(run: Run, where: Path, model: Path, *words: object) -> Result:
    return run("explain", where, "--model", model, "--workers", 1, *words)


def test_the_test_part_of_its_own_dataset(
    run: Run, model: Path, xrays: Path, tmp_path: Path
) -> None:
    out = tmp_path / "why"
    done = explain(run, xrays, model, "-o", out, "--images", 2, "--json", tmp_path / "f.json")
    assert done.exit_code == 0, done.output
    assert "the test part of the dataset that the model was trained on" in done.output
    said = " ".join(done.output.replace("│", " ").split())
    positive = sum(json.loads(line) for line in sick_of(xrays, out))
    assert f"; {positive} of 16 with a known label have sick" in said
    assert (
        "trained on 52 images, 26 of them positive (50 %); the explained images are its test part"
        in said
    )
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["images_train"] == 52
    assert figures["images_in_other_colours"] == 0
    assert figures["images"] == figures["images_explained"] == 16
    assert figures["figures"] == 2
    assert figures["completeness_error"] < 0.01
    assert 0 <= figures["reasons_of_five_with_other_baselines"] <= 5
    assert sorted(path.name for path in (out / "images").iterdir()) == [
        "0001.json", "0001.png", "0002.json", "0002.png",
    ]  # fmt: skip
    with Image.open(out / "model.png") as drawn:
        assert drawn.width > 500
    summary = json.loads((out / "model.json").read_text())
    assert summary["images"] == 16
    assert summary["patients"] == 8
    rows = rows_of(out)
    assert len(rows) == 16
    assert [row["figure"] for row in rows[:3]] == ["images/0001.png", "images/0002.png", ""]
    one = json.loads((out / "images" / "0001.json").read_text())
    assert one["score"] == pytest.approx(float(rows[0]["sick"]), abs=1e-5)
    strongest = one["reasons"][0]
    low, high = strongest["with_other_baselines"]
    assert low <= strongest["amount"] <= high
    assert strongest["beyond_chance"] == (abs(strongest["amount"]) > strongest["chance"])
    said = strongest["words"] if strongest["beyond_chance"] else DIFFUSE
    assert rows[0]["strongest_reason"] == said
    assert one["outside_range"] is False
    assert figures["images_outside_range"] <= 1
    assert 0 <= figures["reasons_of_five_with_other_baselines"] <= 5


def test_the_corner_that_the_model_learned_is_named(
    run: Run, model: Path, xrays: Path, tmp_path: Path
) -> None:
    """Sick images have fine texture in the upper left corner, which is a shortcut here."""
    out, others = tmp_path / "why", tmp_path / "others"
    make_dataset(others, 160)  # in the 16 images of the test part it may be chance
    assert explain(run, others, model, "-o", out, "--images", 0).exit_code == 0
    few = explain(run, xrays, model, "-o", tmp_path / "few", "--images", 0)
    assert "places and bands are searched in 20 images or more" in " ".join(
        few.output.replace("│", " ").split()
    )
    first = json.loads((out / "model.json").read_text())["findings"][0]
    assert first["kind"] == "place and band"
    assert first["words"].startswith("upper left, cell row 1, column 1: more")


def test_scores_are_those_of_predict(run: Run, model: Path, xrays: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        (images / f"{number}.png").write_bytes((xrays / f"{number}.png").read_bytes())
    assert run("predict", model, images, "-o", tmp_path / "s.csv", "--workers", 1).exit_code == 0
    done = explain(run, images, model, "-o", tmp_path / "why")
    assert done.exit_code == 0
    assert "no summary over images" in done.output
    assert not (tmp_path / "why" / "model.json").exists()
    with (tmp_path / "s.csv").open(newline="") as file:
        scores = [float(row["sick"]) for row in csv.DictReader(file)]
    assert [float(row["sick"]) for row in rows_of(tmp_path / "why")] == pytest.approx(scores)


@pytest.mark.slow
def test_no_file_is_named_but_in_the_table(
    run: Run, model: Path, xrays: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(12):
        data = (xrays / f"{number}.png").read_bytes()
        (images / f"miller-{number}.png").write_bytes(data)
    (images / "miller-x.png").write_text("no image")
    done = explain(run, images, model, "-o", tmp_path / "why")
    assert done.exit_code == 3
    assert "1 × NotAnImageError" in done.output
    assert "miller" not in done.output
    files = (path for path in (tmp_path / "why").rglob("*") if path.is_file())
    written = [path for path in files if path.name != MARKER]
    assert len(written) == 2 * 12 + 3
    for path in written:
        assert "miller" not in path.name
        assert (b"miller" in path.read_bytes()) == (path.name == "images.csv")
    failed = [row for row in rows_of(tmp_path / "why") if row["error"]]
    assert [row["file"] for row in failed] == ["miller-x.png"]


def test_releases_and_files_of_codes(run: Run, model: Path, xrays: Path, tmp_path: Path) -> None:
    words = ("--output", "codes", "-J", 2, "-P", 4, "--workers", 1)
    done = run("privatize", xrays, tmp_path / "shared", *words)
    assert done.exit_code == 0, done.output
    done = explain(run, tmp_path / "shared", model, "-o", tmp_path / "why", "--images", 1)
    assert done.exit_code == 0, done.output
    assert "80 of 80 images: a release" in done.output
    code = Code.load(next((tmp_path / "shared" / "codes").glob("*.safetensors")))
    code[:3].save(tmp_path / "three.safetensors")
    out = tmp_path / "three"
    done = explain(run, tmp_path / "three.safetensors", model, "-o", out, "--method", "deeplift")
    assert done.exit_code == 0, done.output
    assert [row["file"] for row in rows_of(out)] == [f"three.safetensors:{n}" for n in range(3)]
    assert json.loads((out / "images" / "0003.json").read_text())["method"] == "DeepLift"


def test_one_image_with_every_method(run: Run, model: Path, xrays: Path, tmp_path: Path) -> None:
    for method, baseline in (
        ("integrated-gradients", "mean"),
        ("deeplift", "details"),
        ("occlusion-by-cell", "zeros"),
        ("occlusion-by-band", "mean"),
    ):
        out = tmp_path / method
        options = ("--method", method, "--baseline", baseline, "-o", out)
        done = explain(run, xrays / "3.png", model, *options)
        assert done.exit_code == 0, done.output
        one = json.loads((out / "images" / "0001.json").read_text())
        assert ("cells" in one) == (method != "occlusion-by-band")
        assert ("edges" in one) == (method != "occlusion-by-cell")
        assert one["baseline_output"] != one["output"]


@pytest.mark.parametrize("kind", ["mlp", "own"])
def test_modules_on_codes_and_on_images(run: Run, xrays: Path, tmp_path: Path, kind: str) -> None:
    network = "tests.learn.own:Small"
    more = ("--model", "mlp") if kind == "mlp" else ("--model", network, "--on", "images")
    done = run("train", xrays, *TRAINING, *more, "--epochs", 2, "-o", tmp_path / "model")
    assert done.exit_code == 0, done.output
    own = () if kind == "mlp" else ("--network", network)
    out = tmp_path / "why"
    words = ("--device", "cpu", "--images", 1, "-o", out)
    done = explain(run, xrays, tmp_path / "model", *words, *own)
    assert done.exit_code == 0, done.output
    summary = json.loads((out / "model.json").read_text())
    assert (summary["attention_bands"] is not None) == (kind == "mlp")


def test_originals_are_refused(run: Run, xrays: Path, tmp_path: Path) -> None:
    network = "tests.learn.own:Small"
    words = ("--labels", "sick", "--model", network, "--on", "original", "--side", 32)
    done = run("train", xrays, *words, "--epochs", 1, "--workers", 1, "-o", tmp_path / "model")
    assert done.exit_code == 0, done.output
    done = explain(run, xrays, tmp_path / "model", "--network", network, "-o", tmp_path / "why")
    assert done.exit_code == 2
    assert "trained on original images" in done.output
    assert not (tmp_path / "why").exists()


def test_overwriting(run: Run, model: Path, xrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "why"
    assert explain(run, xrays, model, "-o", out, "--images", 3).exit_code == 0
    (out / "notes.txt").write_text("mine")
    done = explain(run, xrays, model, "-o", out, "--images", 1)
    assert done.exit_code == 2
    assert "--overwrite" in done.output
    assert explain(run, xrays / "0.png", model, "-o", out, "--overwrite").exit_code == 0
    assert sorted(path.name for path in (out / "images").iterdir()) == ["0001.json", "0001.png"]
    assert not (out / "model.json").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_refusals(run: Run, model: Path, xrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "why"
    other = tmp_path / "other.safetensors"
    release = run("privatize", xrays, tmp_path / "shared", "-J", 1, "-P", 2, "--workers", 1)
    assert release.exit_code == 0
    Code.load(next((tmp_path / "shared" / "codes").glob("*.safetensors")))[:2].save(other)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.png").write_text("no image")
    for where, words, reason in (
        (xrays, ("--method", "lime"), "--method is one of"),
        (xrays, ("--baseline", "noise"), "--baseline is one of"),
        (xrays, ("--label", "odd"), "no label 'odd'; there are sick"),
        (xrays, ("--images", -1), "--images is a number from 0"),
        (xrays, ("--method", "gradient-shap", "--baseline", "zeros"), "omit the baseline"),
        (tmp_path / "nosuch", (), "to explain; check the path"),
        (tmp_path / "empty", (), "holds no image"),
        (tmp_path / "bad.png", (), "IN, the image to explain: NotAnImageError"),
        (other, (), "takes codes of J=2 P=4"),
    ):
        done = explain(run, where, model, *words, "-o", out)
        assert done.exit_code == 2, done.output
        assert reason in " ".join(done.output.split())
        assert not out.exists()
    done = explain(run, xrays, model, "-o", tmp_path / "no" / "folder")
    assert "does not exist" in done.output
    done = explain(run, xrays, model, "-o", tmp_path / "bad.png")
    assert "is a file" in done.output


def test_a_colour_image_for_a_model_of_gray_images_is_reported(
    run: Run, model: Path, xrays: Path, tmp_path: Path
) -> None:
    with Image.open(xrays / "0.png") as gray:
        Image.merge("RGB", (gray, gray, Image.new("L", gray.size))).save(tmp_path / "colour.png")
    for name, reported in ((xrays / "1.png", 0), (tmp_path / "colour.png", 1)):
        words = ("-o", tmp_path / f"why{reported}", "--json", tmp_path / "f.json")
        done = explain(run, name, model, *words)
        assert done.exit_code == 0, done.output
        assert json.loads((tmp_path / "f.json").read_text())["images_in_other_colours"] == reported
        assert ("1 image is in colour and the model takes gray images" in done.output) == reported


def test_why_is_only_offered_where_there_is_an_answer(
    run: Run, model: Path, xrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = ("predict", model, xrays, "-o", tmp_path / "a.csv", "--workers", 1)
    evaluate = ("evaluate", model, xrays, "--samples", 20, "--workers", 1)
    for words in (predict, evaluate):
        assert "explain --model" in run(*words).output
    classifier = load_model(model)
    assert can_explain(classifier)
    of_images = TrainingOptions(model="resnet18", on="original")
    assert not can_explain(replace(classifier, options=of_images))
    monkeypatch.setattr("deepfixcx.cli.explain_model.can_explain", lambda _classifier: False)
    for words, following in ((predict, "deepfixcx evaluate"), (evaluate, "deepfixcx predict")):
        more = ("--overwrite",) if words is predict else ()
        done = run(*words, *more)
        assert done.exit_code == 0, done.output
        assert following in done.output
        assert "explain --model" not in done.output


def test_a_table_is_read_as_predict_reads_it(
    run: Run, model: Path, xrays: Path, tmp_path: Path
) -> None:
    paths = [f"xrays/{path.name}" for path in sorted(xrays.glob("*.png"))[:11]]
    rows = [f"{path},p{number // 2}" for number, path in enumerate(paths)]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["file,case", *rows, "gone.png,p9", "xrays/0.png"]) + "\n")
    done = explain(run, table, model, "-o", tmp_path / "why", "--images", 0, "--patient", "case")
    assert done.exit_code == 3, done.output
    assert "11 of 13 images: a table of images" in done.output
    assert [row["file"] for row in rows_of(tmp_path / "why")] == [
        *paths, "gone.png", "row 14 of list.csv"
    ]  # fmt: skip
    summary = json.loads((tmp_path / "why" / "model.json").read_text())
    assert summary["patients"] == 6
    run("predict", model, table, "-o", tmp_path / "s.csv", "--workers", 1)
    with (tmp_path / "s.csv").open(newline="") as file:
        scored = list(csv.DictReader(file))
    assert [row["error"] for row in scored] == [row["error"] for row in rows_of(tmp_path / "why")]

    for where in (table, xrays / "0.png"):
        refused = explain(run, where, model, "-o", tmp_path / "no", "--patient", "ward")
        assert refused.exit_code == 2
        assert "no column 'ward'" in refused.output or "--patient requires" in refused.output


@pytest.mark.slow
def test_the_test_part_is_found_by_the_same_column_of_patients(
    run: Run, xrays: Path, tmp_path: Path
) -> None:
    rows = (xrays / "manifest.csv").read_text().splitlines()
    named = rows[0].replace("patient", "case")
    assert named != rows[0]
    (xrays / "manifest.csv").write_text("\n".join([named, *rows[1:], "gone.png"]) + "\n")
    model, words = tmp_path / "model", ("--patient", named.split(",")[1])
    trained = run("train", xrays, *TRAINING, *words, "--model", "logistic", "-o", model)
    assert "1 row or file left out" in " ".join(trained.output.replace("│", " ").split())
    done = explain(run, xrays, model, "-o", tmp_path / "why", "--images", 0, *words)
    text = " ".join(done.output.replace("│", " ").split())
    assert "the test part of the dataset that the model was trained on" in text
    assert "1 row or file left out" in text
    evaluated = run("evaluate", model, xrays, *words, "--json", tmp_path / "e.json")
    assert evaluated.exit_code == 0, evaluated.output
    assert "left out" in json.loads((tmp_path / "e.json").read_text())["notes"][-1]


def test_a_model_and_an_explanation_do_not_replace_each_other(
    run: Run, model: Path, xrays: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_own(other, "model.json", (model / "model.json").read_text())
    refused = explain(run, xrays, model, "-o", other, "--overwrite")
    assert (refused.exit_code, "holds a model" in refused.output) == (2, True)
    (other / "model.json").unlink()
    assert explain(run, xrays, model, "-o", other, "--images", 0).exit_code == 0
    before = (other / "model.json").read_bytes()
    refused = run("train", xrays, *TRAINING, "--model", "logistic", "-o", other, "--overwrite")
    assert (refused.exit_code, "holds no model" in refused.output) == (2, True)
    assert (other / "model.json").read_bytes() == before


def test_originals_are_drawn_where_they_are_asked_for(
    run: Run, model: Path, xrays: Path, tmp_path: Path
) -> None:
    widths = []
    for words in ([], ["--show-original"]):
        out = tmp_path / f"why{len(words)}"
        done = explain(run, xrays / "0.png", model, "-o", out, *words)
        assert done.exit_code == 0, done.output
        with Image.open(out / "images" / "0001.png") as drawn:
            widths.append(drawn.width)
    assert widths[1] > 1.3 * widths[0]
    pixels = np.zeros((1, 1, 32, 32), np.float32)
    Codec(2, 4).encode(pixels).save(tmp_path / "codes.safetensors")
    done = explain(
        run, tmp_path / "codes.safetensors", model, "-o", tmp_path / "no", "--show-original"
    )
    assert done.exit_code == 2
    assert "--show-original requires images" in " ".join(done.output.split())


def test_a_model_on_a_release_of_volumes_is_explained(run: Run, tmp_path: Path) -> None:
    volumes, sick = np.random.default_rng(0).random((40, 12, 16, 16)), np.arange(40) % 2 == 0
    volumes[sick, 8:, :8, :8] *= 0.5
    (tmp_path / "in").mkdir()
    for number, volume in enumerate(volumes):
        made = nifti_bytes(volume, np.eye(4), (False,) * 4, bits=16)
        (tmp_path / "in" / f"{number:02d}.nii.gz").write_bytes(made)
    out, model = tmp_path / "out", tmp_path / "model"
    options = ("--volumes", "-J", 1, "-P", "3x2x2", "--output", "codes", "--no-tables")
    assert run("privatize", tmp_path / "in", out, *options, "--workers", 1).exit_code == 0
    with (tmp_path / "out.private" / "sources.csv").open(newline="") as file:
        sources = {row["source_id"]: int(row["source"][:2]) for row in csv.DictReader(file)}
    lines = [f"{name},{int(sick[place])}" for name, place in sources.items()]
    (tmp_path / "labels.csv").write_text("\n".join(["source_id,sick", *lines]) + "\n")
    for kind in ("logistic", "mlp"):
        words = ("--labels", tmp_path / "labels.csv", "--model", kind, "-o", model, "--overwrite")
        done = run("train", out, *words, *(("--epochs", 2) if kind == "mlp" else ()))
        assert done.exit_code == 0, done.output
        why = tmp_path / f"why-{kind}"
        done = run("explain", out, "--model", model, "-o", why, "--images", 1)
        assert done.exit_code == 0, done.output
        facts = json.loads((why / "images" / "0001.json").read_text())
        assert np.shape(facts["cells"]) == (3, 2, 2)
        assert len(facts["reasons"][0]["cell"]) == 3
        assert "edges between slices of 2–4 px" in facts["edges"]
        assert (why / "model.png").stat().st_size > 10_000
    done = run("explain", tmp_path / "in", "--model", model, "-o", tmp_path / "no")
    assert done.exit_code != 0
    assert "volumes" in " ".join(done.output.split())
