"""A session with uploads of every kind, ended by SIGKILL, leaves no file and names nothing."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless

from deepfixcx.images.nifti import nifti_bytes
from deepfixcx.images.volumes import turned_of
from tests.studio.conftest import serving

pytest.importorskip("nicegui", reason="needs the extra studio")
pytest.importorskip("nibabel", reason="needs the extra nifti")

pytestmark = pytest.mark.slow


SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def uploads() -> dict[str, tuple[bytes, str]]:
    """Return files of several formats with a part of what the page then says of them."""
    radiograph = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    radiograph.PatientName = "DOE^JANE"
    plain, packed = io.BytesIO(), io.BytesIO()
    radiograph.save_as(plain)
    radiograph.compress(JPEG2000Lossless, generate_instance_uid=False)
    radiograph.save_as(packed)
    return {
        "DOE^JANE.dcm": (plain.getvalue(), "128 × 128 pixels, 16 bit, DICOM"),
        "DOE^JANE-j2k.dcm": (packed.getvalue(), "128 × 128 pixels, 16 bit, DICOM"),
    }


def volume() -> bytes:
    voxels = np.random.default_rng(0).random((12, 40, 30), np.float32)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    return nifti_bytes(voxels, affine, turned_of(affine, voxels.shape), bits=8)


def test_nothing_stays_after_uploads_and_sigkill(browser: Any, tmp_path: Path) -> None:
    for name in ("home", "temporary", "cwd", "elsewhere"):
        (tmp_path / name).mkdir()
    env = {
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "temporary"),
        "XDG_CACHE_HOME": str(tmp_path / "home" / "cache"),
        "MPLCONFIGDIR": str(tmp_path / "elsewhere"),  # a list of fonts, whoever runs it
    }
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 1500), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    content = written.getvalue()
    assert len(content) > 1 << 20  # web frameworks put larger bodies on the disk
    with serving(cwd=tmp_path / "cwd", env=env) as studio:
        tab = browser.new_context().new_page()
        tab.set_default_timeout(60_000)
        tab.goto(studio.url)
        tab.locator("img.privatized[data-shown]").wait_for()
        file = {"name": "DOE^JANE.png", "mimeType": "image/png", "buffer": content}
        tab.locator("input[type=file]").set_input_files(file)
        tab.get_by_text("2,000 × 1,500 pixels, 8 bit").wait_for()
        for name, (content, words) in uploads().items():
            file = {"name": name, "mimeType": "application/dicom", "buffer": content}
            with tab.expect_response(lambda answer: "/upload/" in answer.url) as answer:
                tab.locator("input[type=file]").set_input_files(file)
            assert answer.value.ok
            tab.get_by_text(words).wait_for()
        tab.locator("#level").press("ArrowRight")
        tab.get_by_role("link", name="Release").click()
        tab.get_by_text("deepfixcx privatize").wait_for()
        tab.get_by_role("link", name="Volumes").click()
        tab.locator(".volume[data-privatized]").wait_for()
        file = {"name": "DOE^JANE.nii.gz", "mimeType": "application/gzip", "buffer": volume()}
        tab.locator("input[type=file]").set_input_files(file)
        tab.get_by_text("12 slices of 40 × 30 pixels").wait_for()
        opened = [
            str(entry.readlink())
            for entry in Path(f"/proc/{studio.process.pid}/fd").iterdir()
            if entry.is_symlink()
        ]
        os.kill(studio.process.pid, signal.SIGKILL)
        studio.process.wait(20)
        tab.context.close()
        said = "".join(studio.said)
    for name in ("home", "temporary", "cwd"):
        assert files_below(tmp_path / name) == set()
    assert not [path for path in opened if path.startswith(str(tmp_path)) or "deleted" in path]
    assert "DOE" not in said
    assert said.count("token=") == 1
