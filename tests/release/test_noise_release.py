"""Releases with noise: drawn once for every image, accounted for, and only where it can hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from deepfixcx.errors import MechanismError, ReleaseError, SpecError
from deepfixcx.images.masking import DeviceMask
from deepfixcx.mechanisms import PixelNoise
from deepfixcx.release import (
    ReleaseOptions,
    load_codes,
    privatize_dataset,
    privatize_protected,
    verify_release,
)
from deepfixcx.spec import CodecSpec
from tests.release.conftest import contents, rows
from tests.release.phantoms import read_dataset, write_dataset

SPEC = CodecSpec(level=2, patches=2)
NOISE = PixelNoise(SPEC, epsilon=2.0, pixels=16)
OPTIONS = ReleaseOptions(SPEC, output="codes", noise=NOISE)


def test_codes_have_noise_and_the_metadata_states_it(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "in", images=12)
    privatize_dataset(root, tmp_path / "plain", ReleaseOptions(SPEC, output="codes"))
    rounded = ReleaseOptions(SPEC, output="codes", noise=NOISE, mechanisms=("quantization",))
    for name, options in (("one", OPTIONS), ("two", OPTIONS), ("rounded", rounded)):
        privatize_dataset(root, tmp_path / name, options)
        assert verify_release(tmp_path / name).sound
    codes = {name: load_codes(tmp_path / name)[0].array for name in ("plain", "one", "two")}
    scale = NOISE.budget(32, 32).scale / (255 * SPEC.block) / 4**2  # 16 members of each cell
    for name in ("one", "two"):
        errors = codes[name] - codes["plain"]
        assert np.abs(errors[codes[name] > 0]).mean() == pytest.approx(scale, rel=0.35)
    assert not np.array_equal(codes["one"], codes["two"])
    about = json.loads((tmp_path / "rounded" / "dataset.json").read_text())
    assert [each["mechanism"] for each in about["mechanisms"]] == ["noise", "quantization"]
    assert 0 < about["mechanisms"][0]["epsilon"] <= 2
    assert about["mechanisms"][0]["pixels"] == 16
    values = np.unique(load_codes(tmp_path / "rounded")[0].array)
    assert len(values) < 15


def test_noise_is_never_drawn_again_by_a_resume(tmp_path: Path) -> None:
    root, out = write_dataset(tmp_path / "in", images=20), tmp_path / "out"
    privatize_dataset(root, out, OPTIONS)
    before = contents(out)
    privatize_dataset(root, out, OPTIONS, resume=True)
    assert contents(out) == before
    code = next((out / "codes").iterdir())
    kept = code.read_bytes()
    code.unlink()
    with pytest.raises(ReleaseError, match="costs epsilon again"):
        privatize_dataset(root, out, OPTIONS, resume=True)
    code.write_bytes(kept)
    privatize_dataset(root, out, OPTIONS, resume=True)
    assert contents(out) == before
    with pytest.raises(ReleaseError, match=r"started with other .*noise"):
        privatize_dataset(root, out, ReleaseOptions(SPEC, output="codes"), resume=True)
    privatize_dataset(root, out, OPTIONS, overwrite=True)
    assert contents(out) != before


def test_noise_then_mixing_keeps_what_was_drawn(tmp_path: Path) -> None:
    dataset = read_dataset(write_dataset(tmp_path / "in"))
    out, plain = tmp_path / "out", ReleaseOptions(SPEC, output="codes")
    privatize_protected(dataset, out, plain, "noise-2-16,mixing-3")
    before = contents(out)
    privatize_protected(dataset, out, plain, "noise-2-16,mixing-3", resume=True)
    assert contents(out) == before
    about = json.loads((out / "dataset.json").read_text())
    assert [each["mechanism"] for each in about["mechanisms"]] == ["noise", "mixing"]
    assert about["options"]["noise"] == NOISE.name
    shutil.rmtree(tmp_path / "out.private" / "images" / "codes")
    with pytest.raises(ReleaseError, match="costs epsilon again"):
        privatize_protected(dataset, out, plain, "noise-2-16,mixing-3", resume=True)
    assert contents(out) == before


def test_images_whose_pixels_depend_on_each_other_are_left_out(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "in", images=4)
    shutil.copy(str(get_testdata_file("CT_small.dcm")), root / "ct.dcm")
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save(root / "deep.png")
    summary = privatize_dataset(root, tmp_path / "out", OPTIONS)
    assert summary.totals["files_failed"] == 2
    failed = rows(tmp_path / "out" / "failures.csv")
    assert {row["error"] for row in failed} == {"MechanismError"}
    assert all("8-bit images" in row["reason"] for row in failed)


def test_options_that_break_the_promise_are_refused(tmp_path: Path) -> None:
    other = PixelNoise(CodecSpec(level=1, patches=2), epsilon=1.0, pixels=4)
    with pytest.raises(SpecError, match="noise is for codes of"):
        ReleaseOptions(SPEC, noise=other)
    with pytest.raises(SpecError, match="--mask"):
        ReleaseOptions(SPEC, output="dicom", noise=NOISE)
    mask = DeviceMask(())
    with pytest.raises(SpecError, match="--mask"):
        ReleaseOptions(SPEC, output="codes", noise=NOISE, mask=mask)
    dataset = read_dataset(write_dataset(tmp_path / "in", images=4))
    with pytest.raises(MechanismError, match="ordinary release"):
        privatize_protected(
            dataset, tmp_path / "out", ReleaseOptions(SPEC, output="codes"), "noise-2-16"
        )
