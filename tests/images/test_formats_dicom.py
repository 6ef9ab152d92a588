"""DICOM against dcmtk, GDCM and ITK: every kind of the matrix is read the same or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.formats import DIFFERENT, REFUSED, SAME, Kind, all_kinds, compare
from deepfixcx.errors import UnsupportedImageError
from deepfixcx.images import read_image
from tests.programs import program

pytestmark = pytest.mark.slow

MODULES = ("formats_dicom", "formats_dicom_tables")


def verdicts(kinds: list[Kind], folder: Path) -> list[str]:
    program("dcmtk", "dcmj2pnm")
    program("libgdcm-tools", "gdcmconv")
    rows = [compare(kind, folder) for kind in kinds]
    assert [row.kind.name for row in rows if row.verdict == DIFFERENT] == []
    return [row.verdict for row in rows]


def test_kinds_across_the_whole_matrix(tmp_path: Path) -> None:
    found = verdicts(list(all_kinds(MODULES))[::11], tmp_path)
    assert found.count(SAME) > 50
    assert found.count(REFUSED) > 5


def test_luma_and_chroma_of_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    deep = [kind for kind in all_kinds(MODULES) if "YBR_FULL, 1" in kind.name]
    assert len(deep) == 2
    assert verdicts(deep, tmp_path) == [REFUSED] * 2
    for number, kind in enumerate(deep):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(kind.content())
        with pytest.raises(UnsupportedImageError, match="bits per sample is not read"):
            read_image(path)


@pytest.mark.slow
def test_every_kind(tmp_path: Path) -> None:
    kinds = list(all_kinds(MODULES))
    assert len({kind.name for kind in kinds}) == len(kinds) > 600
    found = verdicts(kinds, tmp_path)
    assert found.count(REFUSED) >= 70
