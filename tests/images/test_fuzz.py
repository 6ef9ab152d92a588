"""Damaged at random: our errors come out, nothing else, and nothing is printed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file

from deepfixcx.errors import DeepfixcxError
from deepfixcx.images import ImageFrames, inspect_image, read_image

# One small file for every decoder; all of them are installed with pydicom.
DICOM = (
    "MR_small_RLE.dcm",
    "JPEG2000.dcm",
    "JPEG-lossy.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "emri_small_jpeg_2k_lossless.dcm",
    "image_dfl.dcm",
    "SC_rgb_rle_2frame.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
)
MAX_PIXELS = 2**21


def sound_files() -> list[bytes]:
    files = []
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    for mode, extensions in {"RGB": "PNG JPEG TIFF BMP", "P": "PNG TIFF", "F": "TIFF"}.items():
        for extension in extensions.split():
            stream = io.BytesIO()
            Image.fromarray(noise).convert("L" if mode == "F" else mode).convert(mode).save(
                stream, extension
            )
            files.append(stream.getvalue())
    for name in DICOM:
        path = get_testdata_file(name, download=False)
        if path is not None:
            files.append(Path(str(path)).read_bytes())
    return files


FILES = sound_files()


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(FILES)))
    # Half of the damage hits the header, where it does more than in the pixels.
    reach = draw(st.sampled_from([min(600, len(content)), len(content)]))
    places = st.integers(0, reach - 1)
    for at, value in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        content[at] = value
    if draw(st.booleans()):
        del content[draw(st.integers(1, len(content))) :]
    return bytes(content)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=damaged_files())
def test_only_our_errors_come_out(
    content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(content)
    problem = inspect_image(path, max_pixels=MAX_PIXELS).problem
    if problem:
        with pytest.raises(DeepfixcxError) as caught:
            read_image(path, max_pixels=MAX_PIXELS)
        assert type(caught.value).__name__ == problem
    else:
        frames = read_image(path, max_pixels=MAX_PIXELS)
        assert isinstance(frames, ImageFrames)
        assert frames.pixels.ndim == 4
        assert frames.pixels.shape[1] in (1, 3)
        assert np.isfinite(frames.pixels).all()
    assert capfd.readouterr() == ("", "")


def test_the_sound_files_read(tmp_path: Path) -> None:
    assert len(FILES) >= 12
    for content in FILES:
        (tmp_path / "sound").write_bytes(content)
        read_image(tmp_path / "sound", max_pixels=MAX_PIXELS)
