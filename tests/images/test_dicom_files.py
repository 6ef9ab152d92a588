"""Every real DICOM file of the data folder: stored values to the bit, or the right error."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from deepfixcx.errors import DeepfixcxError, NotAnImageError
from deepfixcx.images import inspect_image, read_image
from deepfixcx.images.dicom.decoding import decode_frames

ERRORS = {
    "files/MR_truncated.dcm": "DamagedImageError",
    "files/emri_small_jpeg_2k_lossless_too_short.dcm": "DamagedImageError",
    "files/badVR.dcm": "ContradictoryHeaderError",
    "files/no_meta.dcm": "NotAnImageError",  # one stray byte before its first element
    "files/meta_missing_tsyntax.dcm": "ContradictoryHeaderError",
    "files/ExplVR_BigEndNoMeta.dcm": "NoPixelsError",
    "files/rtplan.dcm": "NoPixelsError",
    "files/test-SR.dcm": "NoPixelsError",
    "malformed/CT_small__trunc60.dcm": "DamagedImageError",
    "malformed/CT_small__trunc_hdr.dcm": "DamagedImageError",
    "malformed/CT_small__rows_huge.dcm": "ContradictoryHeaderError",
    "malformed/CT_small__bits_zero.dcm": "ContradictoryHeaderError",
    "malformed/SC_rgb_rle_2frame__trunc60.dcm": "DamagedImageError",
    "malformed/SC_rgb_rle_2frame__trunc_hdr.dcm": "DamagedImageError",
    "malformed/SC_rgb_rle_2frame__bitrot.dcm": "ContradictoryHeaderError",
    "malformed/SC_rgb_rle_2frame__rows_huge.dcm": "ContradictoryHeaderError",
    "malformed/SC_rgb_rle_2frame__bits_zero.dcm": "ContradictoryHeaderError",
    "malformed/JPEG2000__trunc60.dcm": "DamagedImageError",
    "malformed/JPEG2000__trunc_hdr.dcm": "DamagedImageError",
    "malformed/JPEG2000__bitrot.dcm": "DamagedImageError",
    "malformed/JPEG2000__rows_huge.dcm": "ContradictoryHeaderError",
    "malformed/JPEG2000__bits_zero.dcm": "ContradictoryHeaderError",
    "malformed/empty.dcm": "EmptyFileError",
    "malformed/text_not_dicom.dcm": "NotAnImageError",
}
# pydicom's own decoders refuse 12-bit JPEG; GDCM and libjpeg-turbo agree on these values.
JPEG_EXTENDED = "files/JPEG-lossy.dcm"
JPEG_EXTENDED_SHA256 = "d30242775a41"


def rows(data_folder: Path) -> list[dict[str, str]]:
    with (data_folder / "dicom" / "manifest.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def test_every_file_reads_or_has_its_error(data_folder: Path) -> None:
    outcomes, expected = {}, {}
    for row in rows(data_folder):
        name = row["file"]
        expected[name] = ERRORS.get(name, "")
        path = data_folder / "dicom" / name
        try:
            frames = read_image(path)
        except DeepfixcxError as error:
            outcomes[name] = type(error).__name__
        else:
            outcomes[name] = ""
            assert frames.pixels.ndim == 4, name
            assert frames.pixels.flags.c_contiguous, name
            if frames.pixels.dtype == np.float32:
                assert 0 <= frames.pixels.min() <= frames.pixels.max() <= 1, name
        assert inspect_image(path).problem == outcomes[name], name
    assert outcomes == expected


@pytest.mark.filterwarnings("ignore")
def test_stored_values_are_exact(data_folder: Path) -> None:
    checked = 0
    for row in rows(data_folder):
        exact = row["decode"] == "ok" and "malformed" not in row["file"]
        if not exact and row["file"] != JPEG_EXTENDED:
            continue
        values = decode_frames(dcmread(data_folder / "dicom" / row["file"])).values
        if row["file"].endswith("bigendian.dcm"):  # the table has the hash of bytes in that order
            values = values.byteswap()
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        if exact:
            height, width = int(float(row["rows"])), int(float(row["cols"]))
            shape = (int(row["frames"]), height, width, int(float(row["samples"])))
            assert values.shape == shape, row["file"]
            assert digest == row["sha256"], row["file"]
        else:
            assert digest.startswith(JPEG_EXTENDED_SHA256)
        checked += 1
    assert checked == 36


def test_what_a_viewer_shows(data_folder: Path) -> None:
    folder = data_folder / "dicom" / "files"
    plain = read_image(folder / "rsna_chest_cr.dcm").pixels
    inverted = read_image(folder / "Fake_MONOHR1.dcm").pixels
    np.testing.assert_array_equal(inverted, 255 - plain)
    one = [read_image(folder / f"MR_small_{kind}.dcm").pixels for kind in ("implicit", "RLE")]
    np.testing.assert_array_equal(one[0], one[1])
    segmentation = read_image(folder / "liver_nonbyte_aligned.dcm").pixels
    assert set(np.unique(segmentation)) == {0, 255}


def test_a_data_set_without_preamble_and_meta_reads(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "dicom" / "files" / "no_meta.dcm"
    with pytest.raises(NotAnImageError):
        read_image(source)
    (tmp_path / "bare").write_bytes(source.read_bytes()[1:])
    assert read_image(tmp_path / "bare").pixels.shape == (1, 1, 128, 128)
