"""``deepfixcx evaluate`` on groups that have no case: words, never ``nan``."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from tests.learn.making import make_dataset

Run = Callable[..., Result]


def test_a_group_without_a_case_is_stated(run: Run, tmp_path: Path) -> None:
    xrays, model, kept = tmp_path / "xrays", tmp_path / "model", tmp_path / "figures.json"
    make_dataset(xrays, 60)
    with (xrays / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:  # the sick ones have one view, and so has every third of the others
        row["view"] = "AP" if row["sick"] == "1" or int(row["patient_id"][1:]) % 3 == 0 else "PA"
    with (xrays / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    codec = ("-J", 2, "-P", 4, "--workers", 1)
    done = run("train", xrays, "--labels", "sick", "--model", "logistic", "-o", model, *codec)
    assert done.exit_code == 0, done.output
    words = ("--part", "all", "--samples", 20, "--workers", 1, "--json", kept)
    done = run("evaluate", model, xrays, *words)
    assert done.exit_code == 0, done.output
    line = next(line for line in done.output.splitlines() if "view PA" in line)
    assert line.split()[2] == "–"
    assert "this group has no positives or no negatives" in line
    assert "nan" not in done.output.lower()
    found = json.loads(kept.read_text())["labels"][0]
    assert found["auc_of_group"]["PA"] == {"value": None, "low": None, "high": None}
    assert found["auc_of_group"]["AP"]["value"] is not None


def test_a_part_without_a_case_is_stated(run: Run, tmp_path: Path) -> None:
    xrays, model = tmp_path / "xrays", tmp_path / "model"
    make_dataset(xrays, 60)
    codec = ("-J", 2, "-P", 4, "--workers", 1)
    run("train", xrays, "--labels", "sick", "--model", "logistic", "-o", model, *codec)
    with (xrays / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["sick"] == "0"]
    with (xrays / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    words = ("--part", "all", "--samples", 20, "--workers", 1)
    done = run("evaluate", model, xrays, *words)
    assert done.exit_code == 0, done.output
    assert "0 positives" in done.output
    assert "nan" not in done.output.lower()
    assert "30 images of 15 patients" in done.output
