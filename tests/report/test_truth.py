"""A report says what was done to this release, and nothing that is true of others only."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from deepfixcx.audit.result import QUESTIONS, WORDS
from deepfixcx.errors import ReleaseError
from deepfixcx.experiments.recommendation import recommend_mechanism
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.images import phantom, write_png
from deepfixcx.release import ReleaseOptions, private_folder, privatize_dataset
from deepfixcx.report.html_originals import NotRead
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import (
    Audit,
    Evidence,
    read_audit,
    read_evaluation,
    read_evidence,
)
from deepfixcx.report.page import ReportInputs, release_page
from deepfixcx.report.sections_proof import binding, headers, untested, verdict, verdict_sentences
from deepfixcx.report.sections_results import Measured, frontier, utility
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
    page = re.sub(r'<a href="#term-[^>]*>([^<]*)</a>', r"\1", page)  # in the middle of words
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2] or page))
    return text.replace("\xa0", " ")


def test_harmless_strings_of_a_scan_are_stated_with_their_reasons(
    facts: ReleaseFacts, tmp_path: Path
) -> None:
    summary = {"files": 6, "files_found": 0, "files_failed": 0, "findings": 0, "strings": 50}
    summary |= {"sources_read": 4}
    harmless = {"a body part": 2, "maker of the device": 5}
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "harmless": harmless}), "utf-8")
    section = headers(facts, read_evidence(tmp_path))
    assert "none of them was found where it must not be." in section
    assert "7 further strings were found and listed as harmless" in section
    assert "<li>maker of the device: 5</li><li>a body part: 2</li>" in section
    assert "none of them was found." in headers(facts, CLEAN)
    assert "harmless" not in headers(facts, CLEAN)
    one = replace(CLEAN, harmless=(("a body part", 1),))
    assert "1 further string was found and listed as harmless" in headers(facts, one)
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "harmless": [7]}), "utf-8")
    with pytest.raises(ReleaseError, match=r"summary\.json"):
        read_evidence(tmp_path)


def test_a_scan_for_nothing_is_no_clean_one(facts: ReleaseFacts) -> None:
    nothing = replace(CLEAN, strings=0, sources=0)
    section = headers(facts, nothing)
    assert "nothing to search for" in section
    assert "Every byte" not in section
    assert "none of them was found" not in section
    assert "Whether bytes of a header" in untested(facts, Measured(), nothing)
    assert "Whether bytes of a header" not in untested(facts, Measured(), CLEAN)


def test_records_of_numbers_are_not_described_as_images(facts: ReleaseFacts) -> None:
    text = text_of(release_page(ReportInputs(of_records(facts, [1]))))
    for words in ("bands, each", "Preserved", "of 4,096", "come from a scanner", "burned into"):
        assert words not in text
    assert "The images that keep" not in text
    for words in (
        "8 records were made from 2 images with J=2 P=4 haar l1 and then projection and resampling",
        "a record has 1 value, 0.024 % of those of a typical image",
        "8 (1 a record, 0.024 % of an image)",
        "8 records, made from codes of 2 images (4 records for each image)",
        "A record has 1 value.",
        "the mechanisms below make the records from them, 1 value each",
        "means and a covariance only",
        "The mechanisms, which come after it, learned from 40 images of other patients.",
    ):
        assert words in text
    assert set(re.findall(r"[\d.]+ %", text)) == {"0.024 %"}  # of nothing else a share is stated


def test_records_that_are_codes_have_bands(facts: ReleaseFacts) -> None:
    text = text_of(release_page(ReportInputs(of_records(facts, [1, 16, 4, 4]))))
    for words in ("16 bands, each", "Preserved", "come from a scanner", "burned into"):
        assert words in text
    assert "(256 a record, 6.2 % of an image)" in text
    assert "a record has 6.2 % of the values of a typical image" in text


@pytest.mark.parametrize("words", list(product(WORDS, repeat=2)))
@pytest.mark.parametrize("rest", WORDS)
def test_the_verdict_says_what_the_answers_of_the_audit_say(
    facts: ReleaseFacts, tmp_path: Path, words: tuple[str, str], rest: str
) -> None:
    answers = dict.fromkeys(QUESTIONS, rest) | dict(zip(QUESTIONS[1::2], words, strict=True))
    # estimates are far above their baselines, or far below: the sentence does not judge them again
    value = 0.51 if "yes" in answers.values() else 0.99
    results = [attack("linkage", "released-raw", "whitening", "AUC", value, 0.6)]
    reported = {"results": results, "answers": answers}
    (tmp_path / "audit.json").write_text(json.dumps(reported), "utf-8")
    measured = Measured(read_audit(tmp_path / "audit.json"), bound=("audit",))
    assert 'class="verdict good"' not in verdict(facts, replace(measured, bound=()), None)
    sentence, page = verdict_sentences(facts, measured)[2], verdict(facts, measured, None)
    shown = {"yes", "a little"} & set(answers.values())
    assert ("The release is not anonymous" in sentence) == bool(shown)
    assert ('class="verdict bad"' in page) == bool(shown)
    assert ('class="verdict good"' in page) == (set(answers.values()) == {"not shown"})
    for word in WORDS:
        said = f"{word.capitalize()}: " in sentence or f"{word} (5 of 5" in sentence
        assert said == (word in answers.values())
    tested = untested(facts, measured, None)
    for asked, answer in answers.items():
        assert asked in sentence or len(set(answers.values())) == 1
        assert (asked in tested) == (answer == "not tested")


def test_an_audit_without_answers_is_no_tested_release(facts: ReleaseFacts, tmp_path: Path) -> None:
    strong = attack("linkage", "released-raw", "whitening", "AUC", 0.5, 0.6)
    (tmp_path / "audit.json").write_text(json.dumps({"results": [strong]}), "utf-8")
    measured = Measured(read_audit(tmp_path / "audit.json"))
    assert (
        "Treat the release as if it identified patients." in verdict_sentences(facts, measured)[2]
    )
    assert 'class="verdict unknown"' in verdict(facts, measured, None)
    assert "The audit states no answers" in untested(facts, measured, None)
    assert all(asked in untested(facts, measured, None) for asked in QUESTIONS)


def test_an_audit_of_some_images_is_no_test_of_all(facts: ReleaseFacts) -> None:
    some = Measured(Audit((), (), (), dict.fromkeys(QUESTIONS, "not shown"), images=3))
    assert "the audit attacked 3 of 4 images" in untested(facts, some, None)
    every = Measured(Audit((), (), (), dict.fromkeys(QUESTIONS, "not shown"), images=4))
    every = replace(every, bound=("audit", "scan"))
    assert 'class="verdict good"' not in verdict(facts, replace(some, bound=("audit",)), None)
    assert 'class="verdict good"' in verdict(facts, every, CLEAN)
    assert 'class="verdict good"' not in verdict(facts, every, replace(CLEAN, unchecked=True))
    assert every.audit is not None
    left = replace(every, audit=replace(every.audit, images=9, left_out=2))
    assert 'class="verdict good"' not in verdict(facts, left, CLEAN)
    assert "the audit left out 2 records" in untested(facts, left, None)
    of_another = replace(every, bound=("audit",), unbound=("scan",))
    assert 'class="verdict good"' not in verdict(facts, of_another, CLEAN)
    assert "the audit attacked" not in untested(facts, every, None)


@pytest.mark.parametrize("answers", [{"Is it safe?": "yes"}, {QUESTIONS[0]: "certainly not"}, [1]])
def test_answers_of_no_audit_are_refused(tmp_path: Path, answers: object) -> None:
    reported = {"results": [], "answers": answers}
    (tmp_path / "audit.json").write_text(json.dumps(reported), "utf-8")
    with pytest.raises(ReleaseError, match="not an audit of deepfixcx"):
        read_audit(tmp_path / "audit.json")


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"missing": 3}, "3 sources of this release were not given to the scan"),
        ({"unread": 1}, "1 source could not be read"),
        ({"unsearched": 2}, "2 files could not be searched"),
    ],
)
def test_an_incomplete_scan_is_no_clean_one(
    facts: ReleaseFacts, limit: dict[str, int], said: str
) -> None:
    partial = replace(CLEAN, **limit)  # type: ignore[arg-type]
    assert said in headers(facts, partial)
    assert "Whether bytes of a header" in untested(facts, Measured(), partial)
    assert "The scan is incomplete" in verdict_sentences(facts, Measured(), partial)[2]
    assert "The scan is incomplete" not in verdict_sentences(facts, Measured(), CLEAN)[2]
    assert "There was no private folder" in headers(facts, replace(CLEAN, unchecked=True))
    assert "read 7 words" in headers(facts, replace(CLEAN, words=7))
    assert "1 source has no valid header" in headers(facts, replace(CLEAN, as_bytes=1))


def test_results_are_bound_by_checksum_and_the_others_are_named(facts: ReleaseFacts) -> None:
    measured = Measured(bound=("audit", "scan"), unbound=("frontier",))
    own, other = binding(facts, measured)
    assert own == f"The audit and scan belong to this release (checksum {facts.checksum[:16]}…)."
    assert other.startswith("The frontier names no release, so it is not certain that it belongs")
    assert own in text_of(release_page(ReportInputs(facts, measured)))
    assert binding(facts, Measured()) == []


def test_a_changed_manifest_is_refused(facts: ReleaseFacts, tmp_path: Path) -> None:
    copytree(facts.folder, tmp_path / "copy")
    ReleaseFacts.read(tmp_path / "copy")
    with (tmp_path / "copy" / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write("")
        file.write("\n")
    with pytest.raises(ReleaseError, match="was changed after the release was made"):
        ReleaseFacts.read(tmp_path / "copy")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("totals", "kept_values"), "many"),
        (("totals", "source_bytes"), 10**30),
        (("totals", "files"), -1),
        (("options", "labels"), True),
        (("options", "labels"), [7]),
        (("options", "mechanisms"), 3),
        (("options", "spec", "patches"), [10**400, 2]),
        (("mechanisms",), 3),
        (("software",), "new"),
        (("records",), {"images": "two"}),
        (("records",), {"shape": [2.5]}),
        (("records",), {"labels_dropped": [None]}),
    ],
)
def test_metadata_of_another_type_is_damaged(
    facts: ReleaseFacts, tmp_path: Path, place: tuple[str, ...], value: object
) -> None:
    copytree(facts.folder, tmp_path / "copy")
    path = tmp_path / "copy" / "dataset.json"
    about = json.loads(path.read_text("utf-8"))
    inner = about
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    path.write_text(json.dumps(about), "utf-8")
    with pytest.raises(ReleaseError, match="is damaged"):
        ReleaseFacts.read(tmp_path / "copy")


def test_failures_are_counted_in_the_manifest(facts: ReleaseFacts) -> None:
    one = replace(facts, failures=(("7", "EmptyFileError", "the file is empty"),))
    assert "; 1 file failed." in verdict_sentences(one, Measured())[0]
    assert "failed" not in verdict_sentences(facts, Measured())[0]


def test_what_was_not_read_is_in_the_report(facts: ReleaseFacts, tmp_path: Path) -> None:
    private = private_folder(facts.folder)
    assert NotRead.find(facts, private) == NotRead()
    assert NotRead.find(facts, tmp_path / "none") is None
    copytree(facts.folder.parent / "scans", tmp_path / "scans")
    (tmp_path / "scans" / ".hidden.png").write_bytes(b"")
    (tmp_path / "scans" / "letter.txt").write_text("DOE JANE", "utf-8")
    privatize_dataset(tmp_path / "scans", tmp_path / "out", ReleaseOptions(CodecSpec(2, 4)))
    found = NotRead.find(ReleaseFacts.read(tmp_path / "out"), tmp_path / "out.private")
    assert found is not None
    assert dict(found.files) == {"hidden": 1, "not an image by name or content": 1}
    noted = replace(found, notes=(("the window is empty and was ignored", 2),))
    text = text_of(release_page(ReportInputs(facts, not_read=noted)))
    for words in ("hidden: 1", "content: 1", "the window is empty and was ignored: 2"):
        assert words in text
    assert "letter.txt" not in text
    with pytest.raises(ReleaseError, match="private folder of another release"):
        NotRead.find(facts, tmp_path / "out.private")


def test_dropped_labels_are_named(facts: ReleaseFacts) -> None:
    records = of_records(facts, [1])
    reported = {**(records.records or {}), "labels_dropped": ["hernia"], "labels_merged": True}
    reported |= {"min_patients": 11, "min_patients_positive": 50}
    dropped = replace(records, about={**records.about, "records": reported})
    text = text_of(release_page(ReportInputs(dropped)))
    assert "because fewer than 50 patients are positive or negative: hernia." in text
    assert "combinations of fewer than 11 patients became unknown" in text
    assert "not released, because" not in text_of(release_page(ReportInputs(records)))


def test_public_images_stand_beside_every_utility(facts: ReleaseFacts, tmp_path: Path) -> None:
    labels = [
        {"label": "sick", "auc": [0.8, 0.7, 0.9], "public_auc": [0.78, 0.7, 0.85],
         "added": [0.02, -0.01, 0.05]},
        {"label": "old", "auc": [0.7, 0.6, 0.8]},
    ]  # fmt: skip
    (tmp_path / "e.json").write_text(json.dumps({"labels": labels}), "utf-8")
    measured = Measured(evaluation=read_evaluation(tmp_path / "e.json"))
    assert "Public images alone: 0.780 [0.700, 0.850]." in verdict_sentences(facts, measured)[1]
    table = utility(measured)
    assert ">0.780 [0.700, 0.850]</td>" in table
    assert ">0.020 [-0.010, 0.050]</td>" in table
    assert table.count(">not measured</td>") == 2
    row = {"auc": 0.9, "public_auc": 0.88, "added": 0.02, "other_auc": 0.89, "linkage": 0.7}
    shown = text_of(frontier([FrontierRow(2, 4, "plain", 9, row)], facts))
    for value in ("0.880", "0.890", "not measured"):
        assert value in shown


def test_a_recommendation_says_by_which_threshold(facts: ReleaseFacts) -> None:
    rows = [
        FrontierRow(2, 4, name, 9, {"auc": auc, "linkage": linkage, "floor_raw": 0.6})
        for name, auc, linkage in (("plain", 0.9, 0.8), ("resampling", 0.8, 0.55))
    ]
    assert (
        recommend_mechanism(rows, 0.9).row != recommend_mechanism(rows).row
    )  # it changes what is recommended
    words = text_of(frontier(rows, facts))
    assert "By the default threshold of deepfixcx frontier (without --max-linkage): Take" in words


@pytest.mark.parametrize("content", ["label,score\nsick,0.4\n", "[]", b"\xff\xfe"])
def test_another_file_is_refused_with_the_expected_kind(
    tmp_path: Path, content: str | bytes
) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(
        ReleaseError, match=r"scores\.csv.*expected: the file that deepfixcx evaluat"
    ):
        read_evaluation(path)


def test_paper_has_numbers_of_pages_and_whole_words(facts: ReleaseFacts) -> None:
    page = release_page(ReportInputs(facts))
    assert '@bottom-center { content: counter(page) " / " counter(pages)' in page
    heads = re.findall(r"tbody th \{[^}]*\}", page)
    assert heads
    assert all("overflow-wrap: break-word" in each for each in heads)
