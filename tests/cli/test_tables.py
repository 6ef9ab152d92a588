"""Tables as users write them: every command reads the same ones, and takes --patient alike."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deepfixcx.cli.app import app
from deepfixcx.io.tables import Table
from deepfixcx.release.protected.protection import read_members
from tests.learn.making import make_dataset

Run = Callable[..., Result]

IMAGES = 60
SETTINGS = ("-J", 1, "-P", 2, "--workers", 1)
AS_USERS_WRITE_THEM = {
    "commas.csv": (",", "utf-8"),
    "mark.csv": (",", "utf-8-sig"),
    "semicolons.csv": (";", "utf-8"),
    "tabs.tsv": ("\t", "utf-8"),
    "excel.txt": ("\t", "utf-16"),
    "packed.csv.gz": (";", "utf-8-sig"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images, listed in tables whose patients stand in the column ``who``."""
    folder = tmp_path_factory.mktemp("tables")
    make_dataset(folder, IMAGES)
    (folder / "manifest.csv").unlink()
    rows = [["file", "case", "who", "sick", "note"]]
    for number in range(IMAGES):
        note = 'one "quoted", two; and three' if number % 3 else "-"
        sick = str(int(number // 2 % 2 == 0))
        rows.append([f"{number}.png", f"c{number}", f"{number // 2:03d}", sick, note])
    for name, (delimiter, encoding) in AS_USERS_WRITE_THEM.items():
        with (folder / "text").open("w", newline="", encoding=encoding) as file:
            csv.writer(file, delimiter=delimiter).writerows(rows)
        content = (folder / "text").read_bytes()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (folder / "text").unlink()
    return folder


@pytest.fixture(scope="module")
def model(place: Path) -> Path:
    words = ["train", place / "commas.csv", "--labels", "sick", "--model", "logistic", *SETTINGS]
    words += ["--patient", "who", "-o", place / "model"]
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return place / "model"


def flat(done: Result) -> str:
    return " ".join(done.output.replace("│", " ").split())


def command(name: str, place: Path, out: Path, table: str) -> list[object]:
    """Return a command that reads a table of patients, in its fastest form."""
    where, labels = place / table, ("--labels", "sick")
    made: dict[str, list[object]] = {
        "train": [where, *labels, "--model", "logistic", *SETTINGS, "-o", out],
        "evaluate": [place / "model", where, "--workers", 1, "--samples", 20],
        "predict": [place / "model", where, "--workers", 1, "-o", out.with_suffix(".csv")],
        "sweep": [where, *labels, "-J", "1", "-P", "2", "--folds", 3, "--workers", 1, "-o", out],
        "frontier": [where, *labels, "-J", "1", "-P", "2", "--seeds", 1, "--workers", 1,
                     "--mechanisms", "plain", "--attackers", "distance",
                     "--min-patients", 5, "-o", out],
        "privatize": [where, out, *SETTINGS, "--mechanism", "mixing-2", *labels,
                      "--min-patients", 5],
    }  # fmt: skip
    return [name, *made[name]]


ALL = ("train", "evaluate", "predict", "sweep", "frontier", "privatize")


@pytest.mark.parametrize("name", ALL)
def test_a_missing_column_of_patients_is_named_with_those_there_are(
    run: Run, place: Path, model: Path, tmp_path: Path, name: str
) -> None:
    assert model.is_dir()
    done = run(*command(name, place, tmp_path / "out", "commas.csv"), "--patient", "whose")
    assert done.exit_code == 2, done.output
    assert (
        "'commas.csv' has no column 'whose' for the patient; its columns are: file, case, who, "
        "sick, note" in flat(done)
    )
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.csv").exists()


def test_the_named_column_decides_who_is_in_one_part(run: Run, place: Path, tmp_path: Path) -> None:
    reported = []
    for words in ((), ("--patient", "who")):
        out = tmp_path / f"model{len(words)}"
        done = run(*command("train", place, out, "commas.csv"), *words)
        assert done.exit_code == 0, done.output
        reported.append("no patient ids" in flat(done))
        assert (f"--patient {words[1]}" in flat(done)) if words else "--patient" not in flat(done)
    assert reported == [True, False]


@pytest.mark.parametrize("name", ["evaluate", "sweep", "frontier"])
def test_patients_of_the_named_column_are_counted(
    run: Run, place: Path, model: Path, tmp_path: Path, name: str
) -> None:
    assert model.is_dir()
    report = ("--json", tmp_path / "reported.json")
    words = ("--patient", "who", *(("--part", "train") if name == "evaluate" else ()))
    done = run(*command(name, place, tmp_path / "out", "commas.csv"), *words, *report)
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "reported.json").read_text())
    assert 2 * figures["patients"] == figures["images"]


def test_predict_writes_the_patient_of_each_row(
    run: Run, place: Path, model: Path, tmp_path: Path
) -> None:
    assert model.is_dir()
    (place / "ragged.csv").write_text("file,who\n0.png,007\nno.png,7\n1.png\n2.png,NA\n")
    words = command("predict", place, tmp_path / "out", "ragged.csv")
    done = run(*words, "--patient", "who")
    assert done.exit_code == 3, done.output
    rows = [row.cells for row in Table(tmp_path / "out.csv")]
    assert [(row["file"], row["patient"]) for row in rows] == [
        ("0.png", "007"), ("no.png", "7"), ("2.png", ""), ("row 4 of ragged.csv", ""),
    ]  # fmt: skip
    assert rows[3]["reason"] == "the row has 1 cells, the header 2"
    done = run("predict", place / "model", place / "0.png", "-o", tmp_path / "o.csv",
               "--patient", "who", "--workers", 1)  # fmt: skip
    assert done.exit_code == 2
    assert "--patient requires a table" in flat(done)


def test_a_mechanism_groups_by_the_named_column(run: Run, place: Path, tmp_path: Path) -> None:
    words = command("privatize", place, tmp_path / "out", "commas.csv")
    done = run(*words, "--patient", "who")
    assert done.exit_code == 0, done.output
    members = read_members(tmp_path / "out.private")
    assert {member.patient for group in members.values() for member in group} == {
        f"{number:03d}" for number in range(IMAGES // 2)
    }


def test_options_that_would_change_nothing_are_refused(
    run: Run, place: Path, tmp_path: Path
) -> None:
    words = ("privatize", place / "commas.csv", tmp_path / "out", *SETTINGS, "--min-patients", 3)
    done = run(*words)
    assert done.exit_code == 2
    assert "--labels, --public and --min-patients require" in flat(done)
    done = run("privatize", place, tmp_path / "out", *SETTINGS, "--patient", "who")
    assert done.exit_code == 2
    (tmp_path / "classes" / "sick").mkdir(parents=True)
    (tmp_path / "classes" / "sick" / "0.png").write_bytes((place / "0.png").read_bytes())
    done = run("train", tmp_path / "classes", "--labels", "sick", "-o", tmp_path / "m",
               "--patient", "who")  # fmt: skip
    assert done.exit_code == 2
    assert "a column of patients ('who') requires a table" in flat(done)


@pytest.mark.parametrize("table", AS_USERS_WRITE_THEM)
def test_every_command_reads_the_same_tables(
    run: Run, place: Path, model: Path, tmp_path: Path, table: str
) -> None:
    assert model.is_dir()
    for name in ("train", "evaluate", "predict"):
        out = tmp_path / name
        report = ("--json", tmp_path / f"{name}.json")
        done = run(*command(name, place, out, table), "--patient", "who", *report)
        assert done.exit_code == 0, (name, done.output)
    assert "another dataset" not in (tmp_path / "evaluate.json").read_text()
    assert json.loads((tmp_path / "predict.json").read_text())["images"] == IMAGES
    done = run("privatize", place / table, tmp_path / "release", *SETTINGS,
               "--output", "codes", "--json", tmp_path / "release.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "release.json").read_text())
    assert (figures["files"], figures["files_failed"]) == (IMAGES, 0)


def test_a_ragged_row_is_a_failure_of_that_row(run: Run, place: Path, tmp_path: Path) -> None:
    (place / "few.csv").write_text("file;who\n0.png;1\n1.png\n2.png;3;4\n3.png;5;\n")
    done = run("privatize", place / "few.csv", tmp_path / "out", *SETTINGS, "--names", "keep")
    assert done.exit_code == 3, done.output
    rows = [row.cells for row in Table(tmp_path / "out" / "failures.csv")]
    assert sorted((row["source_id"], row["reason"]) for row in rows) == [
        (
            f"row {number} of few.csv",
            f"the row has {cells} cells, the header 2; correct this row of the table",
        )
        for number, cells in ((3, 1), (4, 3))
    ]


def test_a_quotation_mark_without_its_pair_loses_no_row(
    run: Run, place: Path, tmp_path: Path
) -> None:
    (place / "open.csv").write_text('file,note\n0.png,ok\n1.png,"note\n2.png,ok\n')
    for words in (
        ["privatize", place / "open.csv", tmp_path / "out", *SETTINGS],
        ["train", place / "open.csv", "--labels", "note", "-o", tmp_path / "m"],
    ):
        done = run(*words)
        assert done.exit_code == 2
        assert "row 3 of 'open.csv' has a quotation mark without its pair" in flat(done)
