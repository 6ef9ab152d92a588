"""What is written without pydicom and pynetdicom is what they read."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.pdu import P_DATA_TF

from deepfixcx.node.dimse import PIECE_BYTES, data_set_start, pieces_of
from deepfixcx.node.inbox import meta_bytes
from tests.node.conftest import scan

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("instance", ["1.2.3", "1.22.3", "2.25." + "1" * 59])
def test_file_meta_information_is_what_pydicom_reads(instance: str) -> None:
    meta = dcmread(BytesIO(meta_bytes(CT, instance, EXPLICIT))).file_meta
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.MediaStorageSOPInstanceUID == instance
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.FileMetaInformationGroupLength == len(meta_bytes(CT, instance, EXPLICIT)) - 144


@pytest.mark.parametrize("instance", ["", "1.2.x", "1" * 65, "1.2/../3"])
def test_what_is_no_uid_makes_no_file(instance: str) -> None:
    with pytest.raises(ValueError, match="UID"):
        meta_bytes(CT, instance, EXPLICIT)


@pytest.mark.parametrize("longest", [0, 128, 4096, 16384, 16385, 1 << 21])
def test_pieces_of_a_file_are_its_data_set_in_pdus_that_fit(tmp_path: Path, longest: int) -> None:
    path = tmp_path / "1.dcm"
    image = scan()
    image.PixelData = bytes(range(256)) * 64 * 90  # more than one piece
    image.Rows, image.Columns = 360 * 2, 1024
    image.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    start = 144 + struct.unpack("<I", whole[140:144])[0]
    sent, ends = b"", []
    for piece in pieces_of(BytesIO(whole), data_set_start(BytesIO(whole)), 7, longest):
        assert len(piece) <= PIECE_BYTES * 1.2 + 12 or longest > PIECE_BYTES
        while piece:
            length = struct.unpack(">I", piece[2:6])[0]
            assert not longest or length <= longest
            pdu = P_DATA_TF()
            pdu.decode(piece[: 6 + length])
            (item,) = pdu.presentation_data_value_items
            assert item.presentation_context_id == 7
            value = item.presentation_data_value
            assert value is not None
            ends.append(value[0])
            sent += value[1:]
            piece = piece[6 + length :]
    assert sent == whole[start:]
    assert ends == [0] * (len(ends) - 1) + [2]
