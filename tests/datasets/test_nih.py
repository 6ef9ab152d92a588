"""NIH ChestX-ray14: its header, the two names of sex, ages, and where images are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from deepfixcx.datasets import PUBLISHED, read_published
from deepfixcx.errors import LayoutError

read_nih = partial(read_published, PUBLISHED["nih"])


def test_reads_records(nih: Path) -> None:
    dataset = read_nih(nih)
    assert dataset.patients.tolist() == ["1", "1", "2"]
    assert [record.view for record in dataset.records] == ["PA", "PA", "AP"]
    assert [record.study for record in dataset.records] == ["0", "1", "0"]
    assert dataset.records[2].path == nih / "images_012" / "images" / "00000002_000.png"
    assert dataset.counts()["Pleural_Thickening"] == (1, 2, 0)
    assert dataset.counts()["No Finding"] == (1, 2, 0)
    assert dataset.known.all()


def test_several_findings_of_one_image(nih: Path) -> None:
    dataset = read_nih(nih, "cardiomegaly,emphysema,hernia")
    assert dataset.labels[0].tolist() == [1, 1, 0]


def test_problems_are_kept(nih: Path) -> None:
    problems = read_nih(nih).problems
    assert [(p.row, p.error) for p in problems] == [(5, "UnreadableFileError"), (6, "RowError")]
    assert "Heart" not in str(problems[1])


def test_official_split(nih: Path) -> None:
    assert [record.split for record in read_nih(nih).records] == ["train", "train", "test"]
    (nih / "test_list.txt").unlink()
    dataset = read_nih(nih)
    assert [record.split for record in dataset.records] == ["train", "train", None]
    assert any("test_list.txt is not there" in note for note in dataset.notes)


@pytest.mark.parametrize("column", ["Patient Gender", "Patient Sex"])
def test_sex_under_both_names(nih: Path, column: str) -> None:
    table = nih / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Patient Gender", column))
    assert [record.attributes.get("sex") for record in read_nih(nih).records] == ["M", "M", "F"]


def test_impossible_age_is_left_out(nih: Path) -> None:
    assert [r.attributes.get("age") for r in read_nih(nih).records] == ["58", "58", None]


@pytest.mark.parametrize("ending", ["", ",", ",Unnamed: 11"])
def test_last_column_without_a_name(nih: Path, ending: str) -> None:
    table = nih / "Data_Entry_2017.csv"
    header, *rows = table.read_text().splitlines()
    rows = [row.rstrip(",") + ("," if ending else "") for row in rows]
    table.write_text("\n".join([header.rstrip(",") + ending, *rows]))
    assert len(read_nih(nih)) == 3


def test_newer_table_is_read(nih: Path) -> None:
    text = (nih / "Data_Entry_2017.csv").read_text()
    newer = text.replace("Patient Gender", "Patient Sex").replace("No Finding", "Mass")
    (nih / "Data_Entry_2017_v2020.csv").write_text(newer)
    assert read_nih(nih).counts()["Mass"] == (1, 2, 0)


def test_images_in_one_folder(nih: Path) -> None:
    (nih / "images").mkdir()
    for path in list(nih.glob("images_0*/images/*.png")):
        path.rename(nih / "images" / path.name)
    assert len(read_nih(nih)) == 3


def test_blank_findings_are_unknown(nih: Path) -> None:
    table = nih / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Cardiomegaly|Emphysema", ""))
    assert not read_nih(nih).known[0].any()


def test_table_without_its_columns(tmp_path: Path) -> None:
    (tmp_path / "Data_Entry_2017.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LayoutError, match="lacks columns"):
        read_nih(tmp_path)
    with pytest.raises(LayoutError, match="no Data_Entry"):
        read_nih(tmp_path / "nowhere")
