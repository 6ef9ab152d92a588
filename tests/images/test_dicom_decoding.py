"""The measure of reading against decoding: the right files, and the same pixels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.data import get_testdata_file

from benchmarks.dicom_decoding import decoded, displayed, measure, readable, speed_table
from deepfixcx.images import read_image

WriteDicom = Callable[..., Path]


def test_what_is_compared_is_the_same_picture(write_dicom: WriteDicom) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (1, 9, 7), dtype=np.uint16)
    path = write_dicom(pixels, WindowCenter=2048, WindowWidth=9000)
    assert decoded(path).tolist() == pixels[0].tolist()
    ours = read_image(path).pixels[0, 0]
    spread = (ours - ours.min()) / (ours.max() - ours.min())
    np.testing.assert_allclose(displayed(path), spread, atol=1e-5)


def test_only_images_are_measured(tmp_path: Path) -> None:
    shutil.copy(str(get_testdata_file("CT_small.dcm")), tmp_path / "ct.dcm")
    shutil.copy(str(get_testdata_file("rtplan.dcm")), tmp_path / "plan.dcm")
    (tmp_path / "notes.txt").write_text("no image", "utf-8")
    paths = readable(tmp_path)
    assert [path.name for path in paths] == ["ct.dcm"]
    speeds = measure(paths, rounds=1, least=1)
    assert speeds.files == 1
    assert min(speeds.decode, speeds.display, speeds.read) > 0
    share = f"{speeds.read / speeds.decode:.2f}"
    assert share in speed_table([("one", speeds)]).markdown()
