"""Nothing that is in a header reaches a message, a warning, a log or a stream."""

from __future__ import annotations

import logging
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepfixcx.errors import DeepfixcxError
from deepfixcx.images import inspect_image, read_image
from deepfixcx.images.reading import QUIET

WriteDicom = Callable[..., Path]
GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)
CANARY = "CANARY^SECRET"


def planted(write_dicom: WriteDicom) -> bytes:
    """Return a DICOM file with the canary wherever a header has room for text."""
    path = write_dicom(
        GRAY[None],
        PatientName=CANARY,
        PatientID=CANARY,
        StudyDescription=CANARY,
        PhotometricInterpretation="MONOCHROME2",
        InstitutionName=CANARY * 4,
        WindowCenter=30,
        WindowWidth=60,
    )
    return path.read_bytes()


def damages(content: bytes) -> list[bytes]:
    """Damage the file in every way that makes the readers talk."""
    rng = np.random.default_rng(0)
    name = CANARY.encode()
    cut = [content[: int(len(content) * part)] for part in (0.3, 0.5, 0.7, 0.9, 0.99)]
    values = [
        content.replace(b"MONOCHROME2\x00"[:11], b"CANARY^SECR"),
        content.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00DA"),
        content.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00US"),
        content.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00ZZ"),
        content.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00SQ"),
        content.replace(b"\x28\x00\x50\x10DS\x02\x0030", b"\x28\x00\x50\x10DS\x02\x00CA"),
        content.replace(b"\x28\x00\x08\x00IS\x02\x001 ", b"\x28\x00\x08\x00IS\x02\x00CA"),
        content.replace(
            b"\x28\x00\x10\x00US\x02\x00\x08\x00", b"\x28\x00\x10\x00US\x02\x00\x99\x00"
        ),
        content.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840." + name[:12]),
        content.replace(b"DICM", b"dicm"),
    ]
    flipped = []
    for _ in range(40):
        damaged = bytearray(content)
        for at in rng.integers(132, len(content), 6):
            damaged[at] = rng.integers(256)
        flipped.append(bytes(damaged))
    return cut + values + flipped


def test_the_canary_never_sings(
    write_dicom: WriteDicom,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    files = damages(planted(write_dicom))
    said: list[str] = []
    errors = 0
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for content in files:
            path = tmp_path / "damaged"
            path.write_bytes(content)
            said.append(repr(inspect_image(path)))
            said.append(repr(inspect_image(path, decode=False)))
            try:
                read_image(path)
            except DeepfixcxError as error:
                said += [repr(error), *traceback.format_exception(error)]
                errors += 1
    said += [str(warning.message) for warning in warned] + [caplog.text, *capfd.readouterr()]
    assert errors > 20
    assert not warned
    assert not [record for record in caplog.records if not record.name.startswith("numba.")]
    for secret in ("CANARY", "SECRET"):
        assert secret not in "".join(said)


def test_silence_ends_with_the_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = list(warnings.filters), logging.getLogger("pydicom").level, Image.MAX_IMAGE_PIXELS
    Image.fromarray(GRAY).save(tmp_path / "image", "PNG")

    def read() -> None:
        for _ in range(40):
            read_image(tmp_path / "image")

    threads = [threading.Thread(target=read) for _ in range(4)]
    with QUIET:
        for thread in threads:
            thread.start()
        logging.getLogger("pydicom").error("inside")
    for thread in threads:
        thread.join(60)
    after = list(warnings.filters), logging.getLogger("pydicom").level, Image.MAX_IMAGE_PIXELS
    assert before == after
    logging.getLogger("pydicom").error("outside")
    assert [record.message for record in caplog.records] == ["outside"]
