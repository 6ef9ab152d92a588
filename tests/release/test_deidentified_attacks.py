"""Planted words, damaged files and a validator against the command; benchmarks try more."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.deidentify_attacks import (
    canaries,
    errors_of,
    fuzz,
    left,
    plant,
    unreadable,
    validator,
)
from tests.programs import program


@pytest.mark.slow
def test_none_of_500_planted_words_is_released_or_printed(tmp_path: Path) -> None:
    result = canaries(tmp_path)
    assert result["planted"] == 500
    for name in ("basic", "options"):
        done = result[name]
        assert isinstance(done, dict)
        assert done["left"] == []
        assert done["withheld"] <= 2
        assert done["released"] >= 48


def test_the_search_finds_every_word_in_the_sources(tmp_path: Path) -> None:
    planted = plant(tmp_path / "in")
    assert len(planted) == 500
    missing = set(planted.values()) - left(planted, tmp_path / "in", b"")
    # Names of 16 letters end before their last letters.
    assert all(place.startswith("element") for place in missing)


@pytest.mark.slow
def test_damaged_files_are_withheld_or_sound(data_folder: Path, tmp_path: Path) -> None:
    result = fuzz(tmp_path, data_folder, 60, seed=3)
    assert result["listed"] == 60
    assert result["exit"] == 3
    assert result["unreadable"] == {}
    assert not result["traceback"]
    assert 5 < int(str(result["released"])) < 55


def test_a_released_file_that_cannot_be_read_is_noticed(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "dicom" / "files" / "CT_small.dcm"
    assert unreadable(source) == "identity is not stated as removed"
    (tmp_path / "cut.dcm").write_bytes(source.read_bytes()[:3000])
    assert unreadable(tmp_path / "cut.dcm")


@pytest.mark.slow
def test_a_validator_finds_no_error_that_was_not_in_the_source(
    data_folder: Path, tmp_path: Path
) -> None:
    program("dicom3tools", "dciodvfy")
    result = validator(tmp_path, data_folder)
    assert result["new_errors"] == {}
    assert int(str(result["compared"])) >= 35
    assert errors_of(data_folder / "dicom" / "files" / "test-SR.dcm")
