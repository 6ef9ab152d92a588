"""No text of any file that a report reads becomes markup in it."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.suite import Audit
from deepfixcx.images import phantom, write_png
from deepfixcx.measures import Interval
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.report.audit_page import audit_figure, audit_markdown
from deepfixcx.report.drawing import figure_bytes
from deepfixcx.report.html_originals import NotRead
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import (
    read_audit,
    read_evaluation,
    read_evidence,
    read_frontier,
    read_sweep,
)
from deepfixcx.report.page import ReportInputs, release_page
from deepfixcx.report.sections_results import Measured
from deepfixcx.spec import CodecSpec
from tests.release.phantoms import Maker
from tests.report.planting import Planted, marker, plant_csv, plant_json
from tests.studio.results import write_results

EVIDENCE = {
    "files": 20, "files_found": 0, "files_failed": 1, "findings": 0, "strings": 99, "ignored": 1,
    "sources_read": 8, "sources_failed": 1, "sources_missing": 1, "words_after": 3,
    "harmless": {"a body part": 2}, "program": "deepfixcx",
}  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary release with a failure and notes, one by mechanisms, and results of all kinds."""
    folder = tmp_path_factory.mktemp("escaping")
    (folder / "scans").mkdir()
    for number in range(3):
        pixels = phantom(np.random.default_rng(number), 64)
        write_png(folder / "scans" / f"{number}.png", pixels[np.newaxis], bits=8)
    (folder / "scans" / "broken.png").write_bytes(b"no image")
    (folder / "scans" / ".hidden.png").write_bytes(b"")
    privatize_dataset(folder / "scans", folder / "images", ReleaseOptions(CodecSpec(2, 4)))
    Maker(folder / "protected")("projection", folder / "records")
    write_results(folder)
    (folder / "scan").mkdir()
    (folder / "scan" / "summary.json").write_text(json.dumps(EVIDENCE), "utf-8")
    return folder


@pytest.mark.parametrize("name", ["images", pytest.param("records", marks=pytest.mark.slow)])
def test_no_text_of_a_file_becomes_markup(shelf: Path, tmp_path: Path, name: str) -> None:
    there = tmp_path / "there"
    copytree(shelf, there)
    release, private = there / name, there / f"{name}.private"
    audit, evaluation = there / "shared.audit" / "audit.json", there / "evaluation.json"

    def inputs() -> ReportInputs:
        facts = ReleaseFacts.read(release)
        measured = Measured(
            read_audit(audit),
            read_evaluation(evaluation),
            read_sweep(there / "sweep"),
            read_frontier(there / "frontier"),
        )
        scan = read_evidence(there / "scan")
        return ReportInputs(facts, measured, scan, not_read=NotRead.find(facts, private))

    def page() -> str:
        return release_page(inputs())

    number, about = 1, release / "dataset.json"
    for path in (audit, evaluation, there / "scan" / "summary.json"):
        number = plant_json(path, inputs, number)
    number = plant_json(about, page, number)
    table = private / ("sources.csv" if name == "images" else "withheld.csv")
    number = plant_csv(table, inputs, number, None) if name == "images" else number
    for folder, kind in (("sweep", "sweep.csv"), ("frontier", "frontier.csv")):
        number = plant_csv(there / folder / kind, inputs, number, None)
    number = plant_csv(release / "manifest.csv", page, number, about)
    text = page()
    found = Planted(text)
    assert len(found.shown) > 30
    assert "data-planted" in text


def test_no_label_becomes_markup_in_the_verdict_of_an_audit() -> None:
    value = Interval(0.8, 0.7, 0.9)
    found = [
        AttackResult(
            attack, f"{marker(number)}|\n$\\frac$", "logistic", "AUC", value, 0.5, 0.5,
            Interval(0.3, 0.2, 0.4), control=0.5, raw=0.9, n=40, seed=0, reference="",
        )
        for number, attack in enumerate(("inference", "rare labels", "membership"))
    ]  # fmt: skip
    audit = Audit(tuple(found), (marker(7),), 40, 40, False, 0)
    page = audit_markdown(audit, notes=[marker(8)])
    assert "<" not in page
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(found)
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert figure_bytes(audit_figure(audit), dpi=40).startswith(b"\x89PNG")
