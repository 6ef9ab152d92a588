"""``deepfixcx explain`` of an image or a code."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import examples
from typer.testing import Result

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.explain.bands import band_energy, code_energy
from deepfixcx.images import read_image

Run = Callable[..., Result]

FILES = ["bands.csv", "explanation.json", "explanation.png"]


@pytest.fixture
def image(images: Path) -> Path:
    """One image of 48 x 40 pixels, under the name of a patient."""
    return (images / "0.png").rename(images / "Doe_Jane.png")


@pytest.fixture
def codes(image: Path) -> Path:
    """A file of the codes of three images."""
    generator = np.random.default_rng(0)
    path = image.with_name("Doe_codes.safetensors")
    Codec(2, (4, 5)).encode([generator.random((60, 50 + n)) for n in range(3)]).save(path)
    return path


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "bands.csv").read_text("utf-8"))))


def test_writes_a_figure_and_tables(run: Run, image: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = run("explain", image, "-o", out, "-J", 2, "-P", "4x5", "--json", report)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.glob("[!.]*")) == FILES
    with Image.open(out / "explanation.png") as figure:
        assert figure.width > 1200
    figures = json.loads(report.read_text())
    assert (figures["command"], figures["kind"]) == ("explain", "code")
    assert (figures["numbers_kept"], figures["numbers_source"]) == (320, 1920)
    assert (figures["height"], figures["width"], figures["channels"]) == (48, 40, 1)
    assert figures["spec"]["patches"] == [4, 5]
    assert sorted(figures["files"]) == FILES
    assert figures["original_shown"] is False
    assert figures["spacing_mm"] is None
    rows = rows_of(out)
    assert [row["path"] for row in rows[:4]] == ["aa", "av", "ah", "ad"]
    assert rows[1]["name"] == "vertical edges, 4–8 px"
    expected = band_energy(read_image(image).pixels[0], CodecSpec(2, (4, 5)))
    np.testing.assert_allclose([float(row["share"]) for row in rows], expected.shares, rtol=1e-6)
    assert "sign" in rows[1]["removed"].split(";")
    assert "brightness" in rows[0]["preserved"].split(";")
    whole = json.loads((out / "explanation.json").read_text("utf-8"))
    assert whole["energy"]["exact"] is True
    assert len(whole["bands"]) == 16
    assert whole["cell_pixels"] == [12, 8]
    assert {each["kind"] for each in whole["statements"]} == {"removed", "obscured", "preserved"}


def test_the_panel_has_a_table_of_scales_and_directions(
    run: Run, image: Path, tmp_path: Path
) -> None:
    result = run("explain", image, "-o", tmp_path / "out", "-J", 2, "-P", "4x5")
    energy = band_energy(read_image(image).pixels[0], CodecSpec(2, (4, 5)))
    for orientation, shares in zip(
        ("vertical", "horizontal", "diagonal"), energy.by_scale_and_orientation(), strict=True
    ):
        line = next(line for line in result.output.splitlines() if f"  {orientation} " in line)
        assert [f"{100 * share:.1f}" for share in shares] == [
            word for word in line.split() if word.replace(".", "").isdigit()
        ]
    for words in ("4–8 px", "2–4 px", "removed", "obscured", "preserved", "12 × 8 pixels"):
        assert words in result.output
    assert "320 of 1,920 values" in result.output


def test_no_name_of_a_file_comes_out(run: Run, image: Path, codes: Path, tmp_path: Path) -> None:
    for place, where in enumerate((image, codes)):
        out = tmp_path / f"out{place}"
        result = run("explain", where, "-o", out)
        assert result.exit_code == 0, result.output
        assert "Doe" not in result.output
        assert not any(b"Doe" in (out / name).read_bytes() for name in FILES)


def test_the_original_only_where_it_is_asked_for(run: Run, image: Path, tmp_path: Path) -> None:
    sizes = []
    for option in ([], ["--show-original"]):
        out = tmp_path / f"out{len(option)}"
        result = run("explain", image, "-o", out, *option)
        assert result.exit_code == 0
        assert ("do not share it" in result.output) == bool(option)
        with Image.open(out / "explanation.png") as figure:
            sizes.append(figure.height)
    assert sizes[1] > sizes[0] + 300  # another row of pictures


def test_dicom_brings_millimetres(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "ct.dcm"
    shutil.copy(examples.get_path("ct"), path)
    out = tmp_path / "out"
    result = run("explain", path, "-o", out, "-J", 2)
    assert result.exit_code == 0, result.output
    assert "32 × 32 pixels (21 × 21 mm)" in result.output
    assert "of 0.661 × 0.661 mm" in result.output
    assert float(rows_of(out)[1]["finest_mm"]) == pytest.approx(4 * 0.661468)
    result = run("explain", path, "-o", out, "-J", 2, "--spacing", "1x2", "--overwrite")
    assert "32 × 32 pixels (32 × 64 mm)" in result.output


def test_a_spacing_may_be_given(run: Run, image: Path, codes: Path, tmp_path: Path) -> None:
    for place, where in enumerate((image, codes)):
        result = run("explain", where, "-o", tmp_path / f"o{place}", "--spacing", "0.5")
        assert result.exit_code == 0, result.output
        assert "of 0.5 × 0.5 mm" in result.output
    for bad in ("wide", "1x2x3", "", "0", "-1", "nan"):
        result = run("explain", image, "-o", tmp_path / "bad", "--spacing", bad)
        assert result.exit_code == 2, bad
        assert "millimetres" in result.output
    assert not (tmp_path / "bad").exists()


def test_a_file_of_codes_needs_no_settings(run: Run, codes: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = run("explain", codes, "-o", out, "--index", 2, "--json", report)
    assert result.exit_code == 0, result.output
    assert "60 × 52 pixels, number 2 of 3" in result.output
    assert "estimated from the code" in result.output
    figures = json.loads(report.read_text())
    assert (figures["images"], figures["index"], figures["width"]) == (3, 2, 52)
    expected = code_energy(Code.load(codes), 2).shares
    reported = [float(row["share"]) for row in rows_of(out)]
    np.testing.assert_allclose(reported, expected, rtol=1e-6)
    for words in (["-J", "2"], ["--show-original"], ["--max-pixels", "9"], ["--grid", "padded"]):
        result = run("explain", codes, "-o", tmp_path / "other", *words)
        assert result.exit_code == 2
        assert f"{words[0].replace('-J', '--level')}: these options are for images" in result.output


def test_frames_of_a_file_are_counted(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "two.tiff"
    pages = [Image.fromarray(np.full((32, 32), value, np.uint8)) for value in (10, 200)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    result = run("explain", path, "-o", tmp_path / "out", "--index", 1)
    assert result.exit_code == 0, result.output
    assert "number 1 of 2" in result.output
    for index in (2, -1):
        result = run("explain", path, "-o", tmp_path / "other", "--index", index)
        assert result.exit_code == 2
        assert "2 frames, numbered from 0 to 1" in result.output


@pytest.mark.parametrize("inside", [(), ("spec",), ("options", "spec")])
def test_a_spec_comes_from_a_file(
    run: Run, image: Path, tmp_path: Path, inside: tuple[str, ...]
) -> None:
    spec = CodecSpec(1, 3, "db2", "l2", "periodic", "padded")
    content: object = spec.to_dict()
    for name in reversed(inside):
        content = {name: content}
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(content))
    result = run("explain", image, "-o", tmp_path / "out", "--spec", path)
    assert result.exit_code == 0, result.output
    assert "J=1 P=3 db2 l2 periodic padded" in result.output
    result = run("explain", image, "-o", tmp_path / "out2", "--spec", path, "--pooling", "l1")
    assert result.exit_code == 2
    assert "--pooling: not allowed with --spec" in result.output


@pytest.mark.parametrize("content", ["[1]", "{}", '{"spec": 3}', "no", '{"level": 1, "x": 2}'])
def test_bad_specs_are_named(run: Run, image: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "spec.json"
    path.write_text(content)
    result = run("explain", image, "-o", tmp_path / "out", "--spec", path)
    assert result.exit_code == 2
    assert "error" in result.output
    missing = run("explain", image, "-o", tmp_path / "out", "--spec", tmp_path / "no.json")
    assert missing.exit_code == 2
    assert "cannot be read" in missing.output


def test_settings_reach_the_codec(run: Run, image: Path, tmp_path: Path) -> None:
    words = ["--wavelet", "db2", "--pooling", "l2,max", "--boundary", "periodic"]
    words += ["--grid", "padded"]
    result = run("explain", image, "-o", tmp_path / "out", *words)
    assert result.exit_code == 0, result.output
    assert "J=3 P=4 db2 l2+max periodic padded" in result.output


def test_an_existing_explanation_is_kept(run: Run, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert run("explain", image, "-o", out).exit_code == 0
    before = (out / "explanation.png").read_bytes()
    result = run("explain", image, "-o", out, "-J", 1)
    assert result.exit_code == 2
    assert "--overwrite" in result.output
    assert (out / "explanation.png").read_bytes() == before
    assert run("explain", image, "-o", out, "-J", 1, "--overwrite").exit_code == 0
    assert (out / "explanation.png").read_bytes() != before
    assert (out / "notes.txt").read_text() == "mine"


def test_what_cannot_be_explained_is_named(
    run: Run, image: Path, codes: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.png"
    text.write_text("Jane Doe, born 1970")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(codes.read_bytes()[:100])
    (tmp_path / "file").write_text("")
    out = tmp_path / "out"
    for words, reason in (
        ([tmp_path / "none.png"], "does not exist"),
        ([tmp_path / "none.safetensors"], "cannot be read"),
        ([text], "IN, the file to explain: the content is not PNG"),
        ([broken], "error"),
        ([image.parent], "for a folder, add --model"),
        (["s3://bucket/a.png"], "cannot be read from a URL"),
        ([image, "-J", 4, "-P", 9], "smaller level or patches"),
        ([image, "-J", 6, "-P", 1], "smaller than one block of 64x64"),
        ([image, "-J", 9, "-P", 1], "smaller"),
        ([image, "-P", "many"], "--patches is a number"),
        ([image, "--wavelet", "gaus1"], "unknown wavelet"),
        ([image, "--max-pixels", 100], "more than 100 pixels"),
        (
            [image, "--method", "deeplift", "--device", "cpu"],
            "--method, --device: these options require --model",
        ),
        ([image, "--workers", 2], "these options require --model"),
    ):
        result = run("explain", *words, "-o", out)
        assert result.exit_code == 2, words
        assert reason in result.output, result.output
        assert "Jane" not in result.output
    assert not out.exists()
    for place in (tmp_path / "file", tmp_path / "no" / "out"):
        assert run("explain", image, "-o", place).exit_code == 2
    assert run("explain", image).exit_code == 2


def test_settings_of_a_codec_do_not_go_with_a_model(run: Run, image: Path, tmp_path: Path) -> None:
    words = ["--level", 3, "--spacing", "1", "--show-original", "--index", 0]
    result = run("explain", image, "-o", tmp_path / "out", "--model", tmp_path / "model", *words)
    assert result.exit_code == 2
    assert "--level, --index, --spacing: not allowed with --model" in result.output


def test_a_model_is_handed_over(
    run: Run, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("deepfixcx.cli.explain_model")
    calls: list[tuple[tuple[object, ...], dict[str, object]]] = []
    monkeypatch.setattr(
        module, "explain_with_model", lambda *args, **options: calls.append((args, options))
    )
    out, model = tmp_path / "out", tmp_path / "model"
    assert run("explain", image, "-o", out, "--model", model).exit_code == 0
    words = ["--label", "a", "--method", "occlusion", "--baseline", "zeros", "--images", 3]
    words += ["--network", "a:B", "--device", "cpu", "--workers", 2, "--overwrite", "--json", "j"]
    assert run("explain", image, "-o", out, "--model", model, *words).exit_code == 0
    assert [args for args, _ in calls] == [(model, image, out)] * 2
    assert calls[0][1] == {
        "label": None, "method": "integrated-gradients", "baseline": "mean", "images": None,
        "show_original": False, "network": None, "device": "auto", "workers": None,
        "overwrite": False, "json": None, "patient": None,
    }  # fmt: skip
    assert calls[1][1] == {
        "label": "a", "method": "occlusion", "baseline": "zeros", "images": 3, "network": "a:B",
        "show_original": False, "device": "cpu", "workers": 2, "overwrite": True, "patient": None,
        "json": Path("j"),
    }  # fmt: skip


def test_real_images(run: Run, data_folder: Path, tmp_path: Path) -> None:
    for place, folder in enumerate(("cxr_nih", "fundus_dr")):
        path = sorted((data_folder / folder / "images").iterdir())[0]
        out = tmp_path / str(place)
        result = run("explain", path, "-o", out, "--show-original")
        assert result.exit_code == 0, result.output
        assert path.stem not in result.output
