"""A report says what was done to this release, and nothing that is true of others only."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepfixcx.errors import ReleaseError
from deepfixcx.frontier.rows import FrontierRow, recommend
from deepfixcx.images import phantom, write_png
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import Evidence, read_audit, read_evaluation, read_evidence
from deepfixcx.report.page import ReportInputs, release_page
from deepfixcx.report.sections_frontier import frontier
from deepfixcx.report.sections_proof import headers, untested, verdict, verdict_sentences
from deepfixcx.report.sections_results import Measured
from deepfixcx.spec import CodecSpec
from tests.studio.results import attack

CLEAN = Evidence(files=6, holding=0, unsearched=0, findings=0, strings=50, sources=4)
PROJECTION = {"mechanism": "projection", "directions": 1, "guarantee": "a function of one number"}
RESAMPLING = {"mechanism": "resampling", "copies": 4, "guarantee": "means and a covariance only"}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ReleaseFacts:
    folder = tmp_path_factory.mktemp("truth")
    (folder / "scans").mkdir()
    for number in range(4):
        pixels = phantom(np.random.default_rng(number), 64)
        write_png(folder / "scans" / f"{number}.png", pixels[np.newaxis], bits=8)
    privatize_dataset(folder / "scans", folder / "shared", ReleaseOptions(CodecSpec(2, 4)))
    return ReleaseFacts.read(folder / "shared")


def of_records(facts: ReleaseFacts, shape: list[int]) -> ReleaseFacts:
    """The papers that a release by mechanisms has: eight records of two images of 64 x 64."""
    numbers = 8 * int(np.prod(shape))
    totals = {**facts.totals, "kept_values": numbers, "kept_bytes": 4 * numbers}
    about = {
        **facts.about,
        "totals": {**totals, "source_values": 2 * 64 * 64},
        "mechanisms": [PROJECTION, RESAMPLING],
        "records": {"images": 2, "public_images": 40, "shape": shape, "drawn_from": "a secret"},
    }
    bare = (replace(each, image_file="", code_file="") for each in 2 * facts.images)
    return replace(facts, about=about, images=tuple(bare))


def text_of(page: str) -> str:
    """What a reader sees, each block on one line."""
    return html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2] or page))


def test_what_a_scan_called_harmless_is_told_with_its_reasons(
    facts: ReleaseFacts, tmp_path: Path
) -> None:
    summary = {"files": 6, "files_found": 0, "files_failed": 0, "findings": 0, "strings": 50}
    summary |= {"sources_read": 4}
    harmless = {"a body part": 2, "maker of the device": 5}
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "harmless": harmless}), "utf-8")
    section = headers(facts, read_evidence(tmp_path))
    assert "none of them was found where it must not be." in section
    assert "7 strings were found where there is a reason for it" in section
    assert "<li>maker of the device: 5</li><li>a body part: 2</li>" in section
    assert "none of them was found." in headers(facts, CLEAN)
    assert "harmless" not in headers(facts, CLEAN)
    one = replace(CLEAN, harmless=(("a body part", 1),))
    assert "1 string was found where there is a reason" in headers(facts, one)
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "harmless": [7]}), "utf-8")
    with pytest.raises(ReleaseError, match=r"summary\.json"):
        read_evidence(tmp_path)


def test_a_scan_for_nothing_is_no_clean_one(facts: ReleaseFacts) -> None:
    nothing = replace(CLEAN, strings=0, sources=0)
    section = headers(facts, nothing)
    assert "nothing to search for" in section
    assert "Every byte" not in section
    assert "none of them was found" not in section
    assert "Whether a byte of a header" in untested(facts, Measured(), nothing)
    assert "Whether a byte of a header" not in untested(facts, Measured(), CLEAN)


def test_records_of_numbers_are_not_described_as_images(facts: ReleaseFacts) -> None:
    text = text_of(release_page(ReportInputs(of_records(facts, [1]))))
    for words in ("bands, each", "Preserved", "of 4,096", "seen by a scanner", "burned into"):
        assert words not in text
    assert "The images of which" not in text
    for words in (
        "8 records were made from 2 images with J=2 P=4 haar l1 and then projection and resampling",
        "a record has 1 number, 0.024 % of those of a usual image",
        "8 (1 a record, 0.024 % of an image)",
        "8 records, made from codes of 2 images (4 records for each image)",
        "A record has 1 number.",
        "the mechanisms below make the records from them, 1 number each",
        "means and a covariance only",
        "The mechanisms, which come after it, learned from 40 images of other patients.",
    ):
        assert words in text
    assert set(re.findall(r"[\d.]+ %", text)) == {"0.024 %"}  # of nothing else a share is told


def test_records_that_are_codes_have_bands(facts: ReleaseFacts) -> None:
    text = text_of(release_page(ReportInputs(of_records(facts, [1, 16, 4, 4]))))
    for words in ("16 bands, each", "Preserved", "seen by a scanner", "burned into"):
        assert words in text
    assert "(256 a record, 6.2 % of an image)" in text
    assert "a record has 6.2 % of the numbers of a usual image" in text


@pytest.mark.parametrize(
    ("value", "floor", "said"),
    [
        (0.549, 0.705, "no more than labels alone tell"),
        (0.705, 0.705, "no more than labels alone tell"),
        (0.73, 0.705, "no more than 0.05 above it"),
        (0.5, float("nan"), "no more than guessing tells"),
    ],
)
def test_the_verdict_of_a_weak_attack_says_how_to_treat_the_release(
    facts: ReleaseFacts, tmp_path: Path, value: float, floor: float, said: str
) -> None:
    near = attack("linkage", "released-raw", "whitening", "AUC", value, floor)
    (tmp_path / "audit.json").write_text(json.dumps({"results": [near]}), "utf-8")
    measured = Measured(read_audit(tmp_path / "audit.json"))
    sentence = verdict_sentences(facts, measured)[2]
    assert f"{said}, against the attackers that were tried." in sentence
    assert "It is not proven anonymous: share it only with" in sentence
    assert 'class="verdict good"' in verdict(facts, measured, None)


def test_a_weaker_attack_far_above_its_own_floor_is_a_finding(
    facts: ReleaseFacts, tmp_path: Path
) -> None:
    results = [
        attack("linkage", "released-raw", "whitening", "AUC", 0.70, 0.705),
        attack("linkage", "released-released", "whitening", "AUC", 0.65, 0.55),
    ]
    (tmp_path / "audit.json").write_text(json.dumps({"results": results}), "utf-8")
    sentence = verdict_sentences(facts, Measured(read_audit(tmp_path / "audit.json")))[2]
    assert sentence.startswith("An attacker tells")
    assert "where 0.550 needs no image: it is not anonymous" in sentence


def test_a_recommendation_says_by_which_wish(facts: ReleaseFacts) -> None:
    rows = [
        FrontierRow(2, 4, name, 9, {"auc": auc, "linkage": linkage, "floor_raw": 0.6})
        for name, auc, linkage in (("plain", 0.9, 0.8), ("resampling", 0.8, 0.55))
    ]
    assert recommend(rows, 0.9).row != recommend(rows).row  # a wish changes what is recommended
    words = text_of(frontier(rows, facts))
    assert "By the default wish, that of deepfixcx frontier without --max-linkage: Take" in words


@pytest.mark.parametrize("content", ["label,score\nsick,0.4\n", "[]", b"\xff\xfe"])
def test_another_file_is_told_which_one_was_wanted(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ReleaseError, match=r"scores\.csv.*wanted: the file that deepfixcx evaluat"):
        read_evaluation(path)


def test_paper_has_numbers_of_pages_and_whole_words(facts: ReleaseFacts) -> None:
    page = release_page(ReportInputs(facts))
    assert '@bottom-center { content: counter(page) " / " counter(pages)' in page
    heads = re.findall(r"tbody th \{[^}]*\}", page)
    assert heads
    assert all("overflow-wrap: break-word" in each for each in heads)
