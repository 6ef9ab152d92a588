"""Names and labels from files reach a terminal and a spreadsheet as text, and nothing else."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deepfixcx._words import plain
from deepfixcx.cli._console import PlainConsole
from deepfixcx.experiments.rows import table_of
from deepfixcx.io.tables import Row, TableWriter, own_rows, read_rows
from deepfixcx.io.tables import Table as Cells
from deepfixcx.release import verify_release
from tests.release.conftest import rows, write_gray

HOSTILE = [
    "clear\x1b[2Jscreen", "title\x1b]0;mine\x07", "c1\x9b31m", "turned\u202egnp", "back\x08\x08",
    "return\rover", "isolate\u2066x\u2069", "nothing\x00", "zero\u200bwidth",
]  # fmt: skip
OBEYED = ("\x1b", "\x07", "\x9b", "\u202e", "\x08", "\r", "\u2066", "\x00", "\u200b")
FORMULAS = ["=HYPERLINK(1)", "@SUM", "-2+3", "+1-1", "\t=1", "'=x", "''@", "\uff1dx"]


@pytest.mark.parametrize("text", HOSTILE)
def test_console_prints_no_control_sequence_whatever_prints_it(text: str) -> None:
    printed = io.StringIO()
    console = PlainConsole(file=printed, width=80)  # a file, so that rich itself writes no styles
    table = Table("name", title=text)
    table.add_row(text)
    for thing in (text, table, Text(text)):
        console.print(thing)
    assert not any(sign in printed.getvalue() for sign in OBEYED)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "3 x 2 > 1 ? -"), ("cp1252", "3 × 2 > 1 é –"), ("utf-8", "3 × 2 → 1 é –")],
)
def test_terminal_shows_stand_ins_for_what_its_encoding_lacks(encoding: str, shown: str) -> None:
    printed = io.BytesIO()
    console = PlainConsole(file=io.TextIOWrapper(printed, encoding), width=40)
    console.print(Panel("3 × 2 → 1 é –", title="×"))
    console.print(Text("3 × 2 → 1 é –"))
    console.file.flush()
    lines = printed.getvalue().decode(encoding).splitlines()
    assert shown in lines[1]
    assert lines[3] == shown
    assert {len(line) for line in lines[:3]} == {40}
    assert ("╭" in lines[0]) == (encoding == "utf-8")


def test_text_of_any_language_stays() -> None:
    for text in ("Müller, Björn", "日本", "עברית", "naïve – 5 µm", "a\nb\tc"):
        assert plain(text) == text


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), min_size=1))
def test_table_reads_back_what_was_written(table: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    TableWriter(text).writerows(table)
    text.seek(0)
    assert list(read_rows(text)) == table


def test_formulas_are_neutralized_and_numbers_stay_numbers() -> None:
    text = io.StringIO()
    TableWriter(text).writerow([*FORMULAS, "-1", "+2.5e-3", -1, -0.5, "a=b"])
    cells = next(csv.reader(io.StringIO(text.getvalue(), newline="")))
    assert [cell[0] for cell in cells[: len(FORMULAS)]] == ["'"] * len(FORMULAS)
    assert cells[len(FORMULAS) :] == ["-1", "+2.5e-3", "-1", "-0.5", "a=b"]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
@pytest.mark.parametrize("separator", [";", "\t", "\n", "\r"])
def test_no_formula_begins_a_cell_for_readers_with_another_delimiter(
    sign: str, separator: str, tmp_path: Path
) -> None:
    """Spreadsheets of many languages separate the cells of a .csv file by semicolons."""
    cells = [f"{sign}1+1", f"x{separator}{sign}1+1", f"x{separator}'{sign}1+1,{separator}{sign}2*3"]
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        TableWriter(file).writerows([["file", "a", "b"], cells])
    for delimiter in ",;\t":
        with path.open(newline="") as file:
            for row in csv.reader(file, delimiter=delimiter):
                for cell in row:
                    assert not cell.startswith(("=", "+", "-", "@")), (delimiter, cell)
    (restored,) = own_rows(path)
    assert list(restored.values()) == cells


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_neutralized_cells_of_a_table_with_semicolons_are_restored(
    sign: str, delimiter: str
) -> None:
    text = f'file{delimiter}note\na.png{delimiter}"\'{sign}1+1"\n'
    (read,) = Cells(text.encode(), "t.csv")
    assert read.cells == {"file": "a.png", "note": f"{sign}1+1".strip()}


def test_columns_are_read_back_too(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("w", newline="") as file:
        TableWriter(file).writerows([["=label", "other"], ["-1", "@x"]])
    assert list(own_rows(tmp_path / "t.csv")) == [{"=label": "-1", "other": "@x"}]
    assert list(Cells(tmp_path / "t.csv")) == [Row(2, {"=label": "-1", "other": "@x"})]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deepfixcx", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_names_of_a_release_are_neutral_in_tables_and_on_the_terminal(tmp_path: Path) -> None:
    names = [f"{name}.png" for name in ("=HYPERLINK(1)", "@SUM", "-2+3", "esc\x1b[2J", "new\nline")]
    for number, name in enumerate(names):
        write_gray(tmp_path / "in" / name, 32, 32, number)
    out = tmp_path / "out"
    made = run("privatize", str(tmp_path / "in"), str(out), "-J", "2", "-P", "2", "--names", "keep")
    assert made.returncode == 0, made.stderr
    assert verify_release(out).sound
    raw = [row["source_id"] for row in rows(out / "manifest.csv")]
    assert not any(name.startswith(tuple("=@-")) for name in raw)
    assert sorted(row["source_id"] for row in own_rows(out / "manifest.csv")) == sorted(names)
    for image in (out / "images").iterdir():
        image.unlink()
    printed = run("verify", str(out))
    assert printed.returncode == 3
    assert "\x1b" not in printed.stdout + printed.stderr
    assert not any(line.startswith("line.png") for line in printed.stdout.splitlines())


@pytest.mark.slow
def test_hostile_dataset_json_and_arguments_are_spelled_out(tmp_path: Path) -> None:
    write_gray(tmp_path / "in" / "a.png", 32, 32, 0)
    out = tmp_path / "out"
    run("privatize", str(tmp_path / "in"), str(out), "-J", "2", "-P", "2")
    about = json.loads((out / "dataset.json").read_text())
    about["software"]["deepfixcx"] = "0\x1b[2J"
    about["options"]["pooling"] = "l1\x1b[2J\u202e"
    (out / "dataset.json").write_text(json.dumps(about))
    for words in (
        ["status", str(out)], ["verify", str(out)], ["report", str(out), "-o", "r.html"],
        ["verify", str(out), "extra\x1b[2J"], ["no\x1b[2J"], ["verify", "--no\x1b[2J"],
        ["privatize", "in\x1b[2J", "out", "-J", "2", "-P", "2"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "deepfixcx", *words],
            capture_output=True, text=True, cwd=tmp_path,
    timeout=240,
        )  # fmt: skip
        assert "\x1b" not in done.stdout + done.stderr, words
        assert "\u202e" not in done.stdout + done.stderr, words


def test_table_of_figures_with_formulas_as_labels() -> None:
    text = table_of(["=level"], [(["@x"], {"auc": -0.5})], ["auc"])
    assert text == "'=level,auc\n'@x,-0.5\n"
