"""Every real DICOM image against decoders that share no code with ours: gdcm, dcmtk, OpenJPH.

Stored values have to agree to the bit, and what is shown within the rounding to 8 bits.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import HTJ2KLossless

from deepfixcx.errors import DeepfixcxError
from deepfixcx.images import read_image
from deepfixcx.images.dicom.decoding import decode_frames
from tests.programs import program

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

YBR = ("SC_rgb_dcmtk_+eb+cy+s2.dcm", "SC_rgb_small_odd_jpeg.dcm")
"""gdcm leaves these in YBR; dcmtk makes RGB of them, as we do."""

CONVERTED = "SC_ybr_full_422_uncompressed.dcm"
"""Both leave this one in YBR unless they draw it."""

SCALED_BY_FRAME = ("emri_small.dcm", "emri_small_jpeg_2k_lossless.dcm")
"""Without a window; dcmtk looks for the darkest and brightest in one frame, we in all."""


def readable(data_folder: Path) -> list[Path]:
    paths = []
    for path in sorted((data_folder / "dicom" / "files").glob("*.dcm")):
        try:
            read_image(path)
        except DeepfixcxError:
            continue
        paths.append(path)
    assert len(paths) == 36
    return paths


def unpacked(path: Path, target: Path) -> bool:
    """Let another program write the file without compression."""
    gdcm, dcmtk = program("libgdcm-tools", "gdcmconv"), program("dcmtk", "dcmdjpeg")
    command = [gdcm, "--raw", "--force", str(path), str(target)]
    if path.name in YBR:
        command = [dcmtk, "--write-xfer-little", str(path), str(target)]
    return subprocess.run(command, capture_output=True, check=False, timeout=240).returncode == 0


def values_of(dataset: Dataset, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read uncompressed values by hand."""
    count, height, width, samples = shape
    size = int(np.prod(shape))
    if dataset.BitsAllocated == 1:
        bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
        return bits[:size].reshape(shape)
    values = np.frombuffer(dataset.PixelData, dtype.newbyteorder("<"), size)
    if samples == 3 and dataset.PlanarConfiguration == 1:
        return np.moveaxis(values.reshape(count, samples, height, width), 1, -1)
    return values.reshape(shape)


def test_stored_values(data_folder: Path, tmp_path: Path) -> None:
    compared = 0
    for path in readable(data_folder):
        dataset = dcmread(path)
        ours = decode_frames(dataset).values
        if path.name == CONVERTED:
            continue
        if dataset.file_meta.TransferSyntaxUID == HTJ2KLossless:
            (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
            theirs = imagecodecs.htj2k_decode(frame)[np.newaxis]  # OpenJPH; ours is OpenJPEG
        else:
            assert unpacked(path, tmp_path / "raw.dcm"), path.name
            theirs = values_of(dcmread(tmp_path / "raw.dcm"), ours.shape, ours.dtype)
        unused = 8 * ours.dtype.itemsize - max(dataset.BitsStored, 8)
        # bits above those stored are the sign's to fill, and not everybody does it
        np.testing.assert_array_equal(ours << unused, theirs << unused, path.name)
        compared += 1
    assert compared == 35


def test_what_is_shown(data_folder: Path, tmp_path: Path) -> None:
    draw = program("dcmtk", "dcm2img", "dcm2pnm")
    compared = 0
    for path in readable(data_folder):
        header = dcmread(path, stop_before_pixels=True)
        if header.file_meta.TransferSyntaxUID == HTJ2KLossless or path.name in SCALED_BY_FRAME:
            continue
        source = path
        if header.file_meta.TransferSyntaxUID.is_encapsulated:
            source = tmp_path / "raw.dcm"
            assert unpacked(path, source), path.name
        grays = ["--min-max-window"]
        if header.get("VOILUTSequence"):
            grays = ["--use-voi-lut", "1"]
        elif "WindowCenter" in header:
            grays = ["--use-window", "1"]
        picture = tmp_path / "picture.pnm"
        command = [draw, "--write-raw-pnm", *grays, str(source), str(picture)]
        subprocess.run(command, capture_output=True, check=True, timeout=240)
        with Image.open(picture) as image:
            theirs = np.asarray(image, np.float64)
        first = read_image(path).pixels[0]
        scale = 1 if first.dtype == np.float32 else np.iinfo(first.dtype).max
        ours = np.moveaxis(255 / scale * first.astype(np.float64), 0, -1).squeeze()
        if theirs.min() == theirs.max():
            continue  # a window beside all values, which we do not apply
        off = 2.01 if header.PhotometricInterpretation.startswith("YBR_FULL") else 1.2
        assert np.abs(ours - theirs).max() <= off, path.name
        compared += 1
    assert compared >= 32
