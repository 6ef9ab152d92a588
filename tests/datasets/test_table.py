"""Tables: columns are recognised, and a bad row is a problem, not an end."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.datasets import Columns, Dataset, ImageRecord, read_table
from deepfixcx.errors import DatasetError, LabelError, LayoutError

HEADER = "File Name,Patient ID,Study,View Position,Gender,Age,split,pneumonia,grade,eye,quality\n"
ROWS = (
    "0.png,p1,s1,pa,Female,60,train,1,0,L,yes\n"
    "1.png,p1,s2,AP,M,61,valid,0.0,1,R,ungraded\n"
    "2.png,,s1,,,,test,-1,2,L,no\n"
    "3.png,p3,s1,,,,,,,R|L,\n"
)


@pytest.fixture
def table(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    (tmp_path / "list.csv").write_text(HEADER + ROWS)
    return tmp_path / "list.csv"


def answers(dataset: Dataset, name: str) -> list[float | None]:
    place = dataset.label_names.index(name)
    return [None if np.isnan(value) else float(value) for value in dataset.labels[:, place]]


def test_columns_are_recognised(table: Path) -> None:
    dataset = read_table(table)
    assert dataset.label_names == ("pneumonia",)
    first, second, third, fourth = dataset.records
    assert first.path == table.parent / "0.png"
    assert (first.patient, first.study, first.view, first.split) == ("p1", "s1", "PA", "train")
    assert first.attributes == {
        "sex": "F", "age": "60", "grade": "0", "eye": "L", "quality": "yes",
    }  # fmt: skip
    assert (second.split, second.attributes["sex"]) == ("validation", "M")
    assert (third.patient, third.view, fourth.split) == (None, None, None)
    assert answers(dataset, "pneumonia") == [1, 0, None, None]


def test_images_without_a_patient_are_reported(table: Path) -> None:
    dataset = read_table(table)
    assert any("1 image without a patient id" in note for note in dataset.notes)
    assert dataset.patients.tolist() == ["p1", "p1", "file:2.png", "p3"]


def test_uncertain_and_blank(table: Path) -> None:
    dataset = read_table(table, uncertain="positive", blank="negative")
    assert answers(dataset, "pneumonia") == [1, 0, 1, 0]


def test_other_words_count_as_blank_and_are_reported(table: Path) -> None:
    dataset = read_table(table, "quality")
    assert answers(dataset, "quality") == [1, None, 0, None]
    assert any("'quality': 1 cells" in note for note in dataset.notes)


def test_policies_hold_for_a_column_with_odd_words(table: Path) -> None:
    dataset = read_table(table, "quality", blank="negative")
    assert answers(dataset, "quality") == [1, 0, 0, 0]


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_index_of_pandas_is_no_label(table: Path, name: str) -> None:
    table.write_text(f"{name},file,sick\n0,0.png,1\n1,1.png,0\n")
    dataset = read_table(table)
    assert dataset.label_names == ("sick",)
    assert dataset.records[0].attributes == {}


def test_categories(table: Path) -> None:
    dataset = read_table(table, "grade=1|2, eye=l, view=PA, pneumonia=no")
    assert answers(dataset, "grade=1|2") == [0, 1, 1, None]
    assert answers(dataset, "eye=l") == [1, 0, 1, 1]
    assert answers(dataset, "view=PA") == [1, 0, None, None]
    assert answers(dataset, "pneumonia=no") == [0, 1, None, None]


def test_new_names(table: Path) -> None:
    assert read_table(table, {"left": "eye=L"}).label_names == ("left",)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("pneumonja", "did you mean 'pneumonia'"),
        ("grade", "write grade=VALUE"),
        ("eye", "write eye=VALUE"),
        ("eye=X", "no image has 'x'"),
        ("eye=", "is not a label"),
        ("=L", "is not a label"),
        ("pneumonia,pneumonia", "named twice"),
        ([], "no label was named"),
        ("pneumonia=often", "compare it with yes or no"),
    ],
)
def test_label_that_is_not_there(table: Path, labels: str, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        read_table(table, labels)


def test_columns_that_a_user_names(tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture(tmp_path / "pixels" / "a.png")
    table = tmp_path / "t.csv"
    table.write_text("scan,who,when,how,which\na.png,p1,s9,ap,val\n")
    with pytest.raises(LayoutError, match=r"no column of paths.*scan, who"):
        read_table(table)
    columns = Columns(path="scan", patient="who", study="when", view="how", split="which")
    (record,) = read_table(table, columns=columns, images=tmp_path / "pixels").records
    reported = (record.patient, record.study, record.view, record.split)
    assert reported == ("p1", "s9", "AP", "validation")
    assert record.attributes == {}
    with pytest.raises(LayoutError, match="no column 'nobody'"):
        read_table(table, columns=Columns(path="scan", patient="nobody"))


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("gone.png,p1,,,,,,1,0,L,yes", "UnreadableFileError"),
        ("empty.png,p1,,,,,,1,0,L,yes", "EmptyFileError"),
        (".,p1,,,,,,1,0,L,yes", "UnreadableFileError"),
        (",p1,,,,,,1,0,L,yes", "RowError"),
        ("0.png,p1,,,,,,1,0,L,yes", "RowError"),
        ("./x/../0.png,p1,,,,,,1,0,L,yes", "RowError"),
        ("good.png,p1", "RowError"),
        ("good.png,p1,,,,,,1,0,L,yes,more", "RowError"),
    ],
)
def test_bad_row_is_a_problem(table: Path, row: str, error: str) -> None:
    (table.parent / "good.png").write_bytes(b"any")
    (table.parent / "empty.png").touch()
    with table.open("a") as file:
        file.write(f"\n{row}\n")  # below a blank line, which a spreadsheet counts
    dataset = read_table(table)
    assert len(dataset) == 4
    (problem,) = dataset.problems
    assert (problem.source, problem.row, problem.error) == ("list.csv", 7, error)
    assert "p1" not in str(problem) + repr(problem)
    assert ".png" not in str(problem) + repr(problem)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(table: Path, delimiter: str) -> None:
    table.write_text(table.read_text().replace(",", delimiter), encoding="utf-8-sig")
    assert answers(read_table(table), "pneumonia") == [1, 0, None, None]


def test_gzipped(table: Path) -> None:
    packed = table.with_name("list.csv.gz")
    packed.write_bytes(gzip.compress(table.read_bytes()))
    assert len(read_table(packed)) == 4
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(LayoutError, match="not a readable table"):
        read_table(packed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no header"),
        (b"file,sick\n", "holds no image"),
        (b"file,sick\ngone.png,1\n", ": 1 × UnreadableFileError"),
        (b"file,sick,sick\n0.png,1,0\n", "two columns 'sick'"),
        (b"\xff\xfef\x00i\x00l\x00e\x00\x00", "not a readable table"),
        (b"PK\x03\x04\xff\xfe, a workbook", "not a readable table"),
        (b"file,note\n0.png,\xe4\n", "not a readable table"),
        (b'file,note\n0.png,"' + b"x" * 200_000 + b'"\n', "row 2 .*more than 131,072"),
        (b'file,note\n0.png,"a\n1.png,b\n', "row 2 .*quotation mark without its pair"),
    ],
)
def test_unusable_table(table: Path, content: bytes, message: str) -> None:
    table.write_bytes(content)
    with pytest.raises(LayoutError, match=message):
        read_table(table)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"no table 'nowhere\.csv'; check the path"):
        read_table(tmp_path / "nowhere.csv")


def test_absolute_paths(table: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "other.csv"
    other.write_text(f"path\n{table.parent / '0.png'}\n")
    dataset = read_table(other)
    assert dataset.records[0].path == table.parent / "0.png"
    assert dataset.label_names == ()
    assert dataset.labels.shape == (1, 0)


def test_table_is_read_relative_to_itself(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(table.parent)
    assert all(record.path.is_absolute() for record in read_table("list.csv").records)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused_by_name(content: bytes, headed: bool) -> None:
    with TemporaryDirectory() as folder:
        table = Path(folder) / "list.csv"
        table.write_bytes(b"file,sick,kind\n" * headed + content)
        try:
            dataset = read_table(table, columns=Columns(patient="kind") if headed else None)
        except DatasetError:
            return
        assert len(dataset) == 1  # the table itself is the only file there
        assert dataset.records[0].path == table


@given(st.text(max_size=60))
def test_any_words_for_labels_are_understood_or_refused_by_name(words: str) -> None:
    records = (ImageRecord(Path("/a"), labels=(1.0,), known=(True,), attributes={"kind": "x"}),)
    dataset = Dataset("table", ("sick",), records, Path("/"))
    try:
        assert len(dataset.with_labels(words).label_names) == words.count(",") + 1
    except LabelError:
        return


def test_table_without_a_usable_image_says_where_paths_begin(table: Path) -> None:
    table.write_text("file,sick\nno/0.png,1\nno/1.png,0\n")
    with pytest.raises(LayoutError) as reported:
        read_table(table)
    assert str(reported.value) == (
        "'list.csv' holds no image that can be read: 2 × UnreadableFileError: the file does not "
        f"exist; paths are relative to the folder {table.parent.name!r}"
    )
    table.write_text("file,sick\nno/0.png,1\n,0\nno/1.png,0\n")
    with pytest.raises(LayoutError, match="3 problems, most often UnreadableFileError"):
        read_table(table)


def ids(tmp_path: Path, picture: Callable[..., Path], *patients: str) -> Dataset:
    lines = ["file,patient_id,sick"]
    for number, patient in enumerate(patients):
        picture(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{patient},{number % 2}")
    (tmp_path / "ids.csv").write_text("\n".join(lines))
    return read_table(tmp_path / "ids.csv")


def test_words_for_a_missing_cell_are_no_patient(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    dataset = ids(tmp_path, picture, "a", "a", "nan", "NaN", "NA", "None", "<NA>", "null", "n/a")
    assert dataset.patient_count == 8
    assert any("7 images without a patient id" in note for note in dataset.notes)


def test_ids_are_text_and_those_that_differ_by_zeros_are_noted(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    dataset = ids(tmp_path, picture, "007", "7", "7.0", "70", "8")
    assert dataset.patient_count == 5
    assert any(note.startswith("3 patient ids differ") for note in dataset.notes)
    assert not any("zeros" in note for note in ids(tmp_path, picture, "1", "10", "p1").notes)


def test_label_with_a_comma_is_named_in_quotes(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for number in range(2):
        picture(tmp_path / f"{number}.png")
    (tmp_path / "t.csv").write_text('file,"opacity, left",sick\n0.png,1,0\n1.png,0,1\n')
    names = read_table(tmp_path / "t.csv", 'sick, "opacity, left"').label_names
    assert names == ("sick", "opacity, left")
    with pytest.raises(LabelError, match=r'"opacity, left".*double quotes'):
        read_table(tmp_path / "t.csv", "edema")
