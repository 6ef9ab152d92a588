"""The report: everything in one file, from what is known, and silent about nothing that is not."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deepfixcx.audit.result import QUESTIONS
from deepfixcx.codec import Codec
from deepfixcx.errors import ReleaseError
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.images import phantom, write_png
from deepfixcx.measures import Interval
from deepfixcx.release import ReleaseOptions, private_folder, privatize_dataset
from deepfixcx.report.figure_data import Bar, BarPanel, Plane, Point
from deepfixcx.report.html import coloured, data_url, for_screen, paragraph, table
from deepfixcx.report.html_originals import Originals
from deepfixcx.report.html_plots import intervals_svg, points_svg
from deepfixcx.report.html_release import ReleaseFacts, detail_left
from deepfixcx.report.html_results import (
    Evidence,
    read_audit,
    read_evaluation,
    read_evidence,
    read_frontier,
    read_sweep,
)
from deepfixcx.report.page import LARGEST, ReportInputs, release_page, write_page
from deepfixcx.report.sections_proof import headers, reproduce, verdict, verdict_sentences
from deepfixcx.report.sections_release import worst_of
from deepfixcx.report.sections_results import Measured, frontier, row_of
from deepfixcx.report.words import GLOSSARY, terms_in
from deepfixcx.spec import CodecSpec
from tests.conftest import ROOT
from tests.studio.results import attack, write_results

EVIDENCE = {
    "files": 20, "files_found": 0, "files_failed": 0, "findings": 0, "strings": 99,
    "sources_read": 8,
}  # fmt: skip


class Outline(HTMLParser):
    """What a page loads, links to, and whether its tags close."""

    VOID = frozenset({"meta", "img", "br", "path", "circle", "rect", "polygon"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "data", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            assert not name.startswith("on")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    scans = folder / "scans"
    scans.mkdir()
    for number in range(6):
        pixels = phantom(np.random.default_rng(number), 64)
        write_png(scans / f"{number}.png", pixels[np.newaxis], bits=8)
    colour = np.random.default_rng(9).integers(0, 256, (48, 40, 3), np.uint8)
    Image.fromarray(colour).save(scans / "colour.png")
    (scans / "DOE_JANE.png").write_bytes(b"no image")
    privatize_dataset(scans, folder / "shared", ReleaseOptions(CodecSpec(2, 5)))
    write_results(folder)
    (folder / "shared.evidence").mkdir()
    (folder / "shared.evidence" / "summary.json").write_text(json.dumps(EVIDENCE), "utf-8")
    return folder


@pytest.fixture(scope="module")
def facts(shelf: Path) -> ReleaseFacts:
    return ReleaseFacts.read(shelf / "shared")


@pytest.fixture(scope="module")
def measured(shelf: Path) -> Measured:
    return Measured(
        read_audit(shelf / "shared.audit" / "audit.json"),
        read_evaluation(shelf / "evaluation.json"),
        read_sweep(shelf / "sweep"),
        read_frontier(shelf / "frontier"),
    )


@pytest.fixture(scope="module")
def originals(shelf: Path) -> Originals:
    return Originals.find(shelf / "scans", private_folder(shelf / "shared"))


def test_the_file_needs_no_other(
    facts: ReleaseFacts, measured: Measured, originals: Originals
) -> None:
    text = release_page(ReportInputs(facts, measured, None, originals, include_originals=True))
    page = Outline(text)
    assert not page.open
    assert not page.tags & {"script", "link", "iframe", "object", "base", "form"}
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert {f"#{name}" for name in page.ids} >= {x for x in page.addresses if x.startswith("#")}
    assert len(page.ids) == len(set(page.ids))
    assert "url(" not in text.replace("url(#stripes)", "")
    assert len(text.encode()) < LARGEST


def unlinked(page: str) -> str:
    """A page without the links from terms to their definitions."""
    return re.sub(r'<a href="#term-[^>]*>([^<]*)</a>', r"\1", page)


def test_the_same_inputs_give_the_same_bytes(facts: ReleaseFacts, measured: Measured) -> None:
    inputs = ReportInputs(facts, measured)
    assert release_page(inputs) == release_page(inputs)


def test_everything_that_was_measured_is_in_it(
    shelf: Path, facts: ReleaseFacts, measured: Measured
) -> None:
    evidence = read_evidence(shelf / "shared.evidence")
    text = unlinked(release_page(ReportInputs(facts, measured, evidence)))
    for words in (
        "7 images of 7 files were privatized with J=2 P=5 haar l1; it keeps",
        "1 file failed",
        "0.870 [0.830, 0.900] on 60 images of 41 patients, part test (chance 0.5)",
        "Public images alone: not measured. Caveat: copies of training images.",
        "Caveat: 1 image could not be read.",
        "Answers of the audit. Yes: Can records of one person be linked? Not shown: Can something",
        "208 images of 99 patients; quick attackers, no networks",
        "2 pairs of identical images were left out",
        "0.840 [0.800, 0.880] (whitening)",
        "Membership in a released model was not tested.",
        "recommended",
        "Every byte of 20 files was searched for 99 strings",
        "none of them was found",
        "NotAnImageError",
        "deepfixcx privatize ORIGINALS RELEASE --level 2 --patches 5",
        facts.checksum,
    ):
        assert words in text
    assert "not counted" in text  # the attacker that is too weak


def test_nothing_that_was_not_measured_is_passed_over(facts: ReleaseFacts) -> None:
    text = unlinked(release_page(ReportInputs(facts)))
    for words in (
        "No attack was made on the release: treat it as if it identified patients.",
        "The utility of the release was not measured.",
        *QUESTIONS,
        "Whether the images are still useful for any task.",
        "it is unknown which files of the input were not read",
        "Whether bytes of a header",
        "deepfixcx scan RELEASE --against ORIGINALS",
    ):
        assert words in text


def test_originals_are_looked_for_in_their_folder_alone(
    facts: ReleaseFacts, originals: Originals
) -> None:
    image = next(each for each in facts.images if each.channels == 1)
    assert originals.pixels(image) is not None
    name = f"../scans/{originals.names[image.source_id]}"
    assert replace(originals, names={image.source_id: name}).pixels(image) is None
    assert replace(originals, names={}).pixels(image) is None
    other = next(each for each in facts.images if each.channels == 3)
    swapped = {image.source_id: originals.names[other.source_id]}
    assert replace(originals, names=swapped).pixels(image) is None


def test_originals_and_names_stay_out_unless_asked_for(
    facts: ReleaseFacts, originals: Originals
) -> None:
    image = facts.images[0]
    original = originals.pixels(image)
    assert original is not None
    url = data_url(for_screen(original, 256))
    without = release_page(ReportInputs(facts, originals=originals))
    assert url not in without
    assert "DOE" not in without
    assert "scans" not in without
    shown = release_page(ReportInputs(facts, originals=originals, include_originals=True))
    assert url in shown
    assert "share it as you would share them" in shown
    with pytest.raises(ReleaseError, match="requires --originals"):
        release_page(ReportInputs(facts, include_originals=True))


def test_the_worst_are_most_like_their_originals(facts: ReleaseFacts, originals: Originals) -> None:
    worst = worst_of(facts, originals)
    assert worst.alike
    values = [value for _, value in worst.images]
    assert values == sorted(values, reverse=True)
    best, value = worst.images[0]
    original = originals.pixels(best)
    assert original is not None
    assert value == originals.likeness(facts, best)
    detail = worst_of(facts, None)
    assert not detail.alike
    assert detail.images[0][1] == max(detail_left(facts.pixels(each)) for each in facts.images)


def test_codes_alone_can_be_shown(shelf: Path, tmp_path: Path) -> None:
    spec = CodecSpec(2, 5)
    privatize_dataset(shelf / "scans", tmp_path / "codes", ReleaseOptions(spec, output="codes"))
    facts = ReleaseFacts.read(tmp_path / "codes")
    found = Originals.find(shelf / "scans", private_folder(tmp_path / "codes"))
    for image in facts.images:
        original = found.pixels(image)
        assert original is not None
        expected = Codec(spec).privatize(original, "compact").clip(0, 1)
        assert np.allclose(facts.pixels(image), expected, atol=1e-6)


def test_a_verdict_begins_with_what_a_scan_found(facts: ReleaseFacts) -> None:
    found = Evidence(files=9, holding=2, unsearched=0, findings=3, strings=50, sources=4, ignored=5)
    sentence = verdict_sentences(facts, Measured(), found)[2]
    assert "in 2 of 9 files: do not share the release as it is." in sentence
    assert 'class="verdict bad"' in verdict(facts, Measured(), found)
    assert "5 strings were left out of the search on purpose" in headers(facts, found)
    clean = replace(found, findings=0, holding=0)
    assert "do not share" not in verdict_sentences(facts, Measured(), clean)[2]


def test_dicom_is_made_again_with_the_same_key(facts: ReleaseFacts) -> None:
    about = {**facts.about, "options": {**facts.about["options"], "output": "dicom"}}
    assert "--key KEY" in reproduce(replace(facts, about=about))
    assert "with the same key" in reproduce(replace(facts, about=about))
    assert "KEY" not in reproduce(facts)


def with_about(facts: ReleaseFacts, manifests: list[object], **options: object) -> ReleaseFacts:
    """The same release, with other papers."""
    options = {**facts.about["options"], **options}
    about = {**facts.about, "options": options, "mechanisms": manifests}
    return replace(facts, about=about)


MIXING = {"mechanism": "mixing", "k": 3, "guarantee": "three <patients> stand behind a record"}
ROUNDED = {"mechanism": "quantization", "ratio": 2.0, "guarantee": "no more than its steps"}


def test_mechanisms_are_stated_with_their_guarantees(facts: ReleaseFacts) -> None:
    rounded = with_about(facts, [ROUNDED], mechanisms=["quantization"])
    page = unlinked(release_page(ReportInputs(rounded)))
    assert "haar l1 and then quantization; it keeps" in page
    assert ">no more than its steps</td>" in page
    assert "quantization (ratio = 2)" in page
    assert "7 images of 7 files" in page
    chain = {"mechanism": "chain", "steps": [{"mechanism": "projection", "directions": 2}, MIXING]}
    mixed = with_about(facts, [chain], mechanisms=["projection", "mixing-3"], labels=["sick"])
    reported = {"images": 6, "public_images": 40, "shape": [2], "drawn_from": "a secret"}
    mixed = replace(mixed, about={**mixed.about, "records": reported})
    page = unlinked(release_page(ReportInputs(mixed)))
    assert "7 records were made from 6 images with J=2 P=5 haar l1 and then projection and" in page
    assert "three &lt;patients&gt; stand behind a record" in page
    assert "none is stated" in page
    assert "7 records, made from codes of 6 images, with their labels (sick)" in page
    assert "A record has 2 values. It is not the code of one image" in page
    assert "learned from 40 images of other patients" in page
    assert "--mechanism projection,mixing-3 --labels sick --public PUBLIC" in page
    assert "drawn with a secret in the private folder" in page
    assert "No file failed" not in page
    assert "The 7 records that keep the most content" in page


@pytest.mark.parametrize(
    ("asked", "row"),
    [
        ([], "plain"),
        (["mixing-3"], "mixing-3"),
        (["mixing"], "mixing-3"),
        (["projection", "resampling"], "resampling"),
        ("projection,resampling", "resampling"),
        (["noise-2-16"], "noise-2-16"),
        (["suppression"], None),
        (["no such"], None),
    ],
)
def test_the_frontier_has_the_release_at_its_own_mechanism(
    facts: ReleaseFacts, asked: object, row: str | None
) -> None:
    figures = {"auc": 0.8, "linkage": 0.7}
    names = ("plain", "mixing-3", "resampling", "noise-2-16", "blur")
    rows = [FrontierRow(2, patches, name, 9, figures) for patches in (4, 5) for name in names]
    found = row_of(rows, with_about(facts, [], mechanisms=asked))
    assert (None if found is None else (found.patches, found.mechanism)) == (
        None if row is None else (5, row)
    )
    section = frontier(rows, with_about(facts, [], mechanisms=asked))
    assert section.count("(this release)") == (row is not None)
    assert ("was not tested" in section) == (row is None)


def test_another_grid_is_another_setting(facts: ReleaseFacts) -> None:
    assert row_of([FrontierRow(2, 6, "plain", 9, {})], facts) is None
    assert row_of([FrontierRow(3, 5, "plain", 9, {})], facts) is None
    row = FrontierRow(2, 5, "plain", 9, {})
    assert row_of([row], facts) is row
    for other in ({"pooling": "max"}, {"wavelet": "db2"}, {"grid": "padded"}):
        spec = {**facts.about["options"]["spec"], **other}
        assert row_of([row], with_about(facts, [], spec=spec)) is None


def test_originals_of_another_release_are_refused(
    facts: ReleaseFacts, originals: Originals, tmp_path: Path
) -> None:
    originals.check(facts.images)
    for number in range(6):  # the same names, other sizes
        write_png(tmp_path / f"{number}.png", np.zeros((1, 9, 9)), bits=8)
    with pytest.raises(ReleaseError, match="holds no original of the release"):
        replace(originals, folder=tmp_path).check(facts.images)
    first = next(each for each in facts.images if each.channels == 1)
    name = originals.names[first.source_id]
    (tmp_path / name).write_bytes((originals.folder / name).read_bytes())
    replace(originals, folder=tmp_path).check(facts.images)  # some are missing, and no more


def test_marks_mean_one_thing_each() -> None:
    value = Interval(0.8, 0.7, 0.9)
    drawn = intervals_svg(BarPanel(tuple([Bar("a", value, 0.6, 0.85)]), "t"))
    diamond = re.findall(r'<path d="M[^"]*l10 10-10 10-10-10z" fill="([^"]*)"', drawn)
    ring = re.findall(r'<path d="M[^"]*a6 6[^"]*" fill="none" stroke="([^"]*)"', drawn)
    assert diamond == ["var(--mark)"] * 2  # in the figure, and where it says what it means
    assert ring == ["var(--muted)"] * 2
    assert "0.600 without the images; 0.850 on raw images" in drawn
    alone = intervals_svg(BarPanel(tuple([Bar("a", value)]), "t"))
    assert "floor" not in alone
    assert "raw" not in alone
    weak = intervals_svg(BarPanel(tuple([Bar("a", value, valid=False)]), "t"))
    assert "<circle" not in weak
    assert "not counted" in weak
    assert "95 % interval as a line" in alone
    assert "the same, not counted" in weak
    assert "not counted" not in alone
    drawn = intervals_svg(BarPanel(tuple([Bar("a", value, 0.8)]), "t"))
    assert drawn.index("l10 10-10 10") < drawn.index(
        "<circle"
    )  # the floor lies below, and is larger


def test_figures_that_are_not_drawn_stand_in_a_table(facts: ReleaseFacts, tmp_path: Path) -> None:
    results = [
        attack("linkage", "released-raw", "whitening", "AUC", 0.81, 0.62),
        attack("linkage", "released-raw", "whitening", "EER", 0.27, 0.41),
        attack("reference", "raw", "whitening", "AUC", 0.86, 0.62),
    ]
    (tmp_path / "audit.json").write_text(json.dumps({"results": results}), "utf-8")
    page = release_page(ReportInputs(facts, Measured(read_audit(tmp_path / "audit.json"))))
    assert page.count("<h3>Linkage, ") == 1
    assert '>0.270 [0.230, 0.310]</td><td data-label="floor">0.410</td>' in page
    row = '<th scope="row">reference</th><td data-label="attacker">whitening, raw</td>'
    assert row in page


@pytest.mark.parametrize("name", ["dataset.json", "manifest.csv"])
def test_damaged_metadata_is_named(shelf: Path, tmp_path: Path, name: str) -> None:
    for paper in ("dataset.json", "manifest.csv"):
        (tmp_path / paper).write_bytes((shelf / "shared" / paper).read_bytes())
    ReleaseFacts.read(tmp_path)
    (tmp_path / name).write_bytes(b"{}" if name == "dataset.json" else b"status\ndone\n")
    with pytest.raises(ReleaseError, match="damaged"):
        ReleaseFacts.read(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ReleaseError, match=r"not a release|missing"):
        ReleaseFacts.read(tmp_path)


def test_a_manifest_cannot_lead_out_of_the_release(facts: ReleaseFacts, shelf: Path) -> None:
    for name in ("../scans/0.png", str(shelf / "scans" / "0.png")):
        with pytest.raises(ReleaseError, match="outside"):
            facts.pixels(replace(facts.images[0], image_file=name))


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (read_audit, "{}"),
        (read_audit, '{"results": [{"attack": "linkage"}]}'),
        (read_audit, "no json"),
        (read_audit, "[]"),
        (read_evaluation, '{"labels": [1]}'),
    ],
)
def test_damaged_results_are_named(tmp_path: Path, read: object, content: str) -> None:
    (tmp_path / "x.json").write_text(content, "utf-8")
    with pytest.raises(ReleaseError, match=r"x\.json"):
        read(tmp_path / "x.json")  # type: ignore[operator]


def test_missing_results_are_named(tmp_path: Path) -> None:
    for read in (read_sweep, read_frontier, read_evidence):
        with pytest.raises(ReleaseError):
            read(tmp_path)


def test_what_stands_in_a_file_cannot_become_markup(facts: ReleaseFacts, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'>"
    result = attack("linkage", evil, evil, "AUC", 0.8, 0.6, valid=False, reason=evil)
    audit = {"results": [result], "verdict": [evil], "not_tested": [evil]}
    (tmp_path / "audit.json").write_text(json.dumps(audit), "utf-8")
    text = release_page(ReportInputs(facts, Measured(read_audit(tmp_path / "audit.json"))))
    assert "<script" not in text
    assert not Outline(text).open


@given(st.text("<>&\"'/ =abp"))
def test_text_stays_text(text: str) -> None:
    for made in (paragraph(text), table([text], [[text, text]], caption=text)):
        outline = Outline(made)
        assert not outline.open
        assert outline.tags <= {"p", "div", "table", "thead", "tbody", "tr", "th", "td", "caption"}


def circles(svg: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_intervals_lie_where_their_values_say(values: list[float]) -> None:
    bars = [Bar(f"b{n}", Interval(value, value, value)) for n, value in enumerate(values)]
    # the last circle says what the others mean
    places = [x for x, _ in circles(intervals_svg(BarPanel(tuple(bars), "t")))[:-1]]
    ends = [x for x, _ in circles(intervals_svg(
        BarPanel((Bar("low", Interval(0, 0, 0)), Bar("high", Interval(1, 1, 1))), "t")
    ))]  # fmt: skip
    expected = ends[0] + np.array(values) * (ends[1] - ends[0])
    assert np.allclose(places, expected, atol=0.06)


@given(st.lists(st.tuples(st.floats(0.4, 1), st.floats(0.4, 1)), min_size=1, max_size=6))
def test_points_lie_where_their_values_say(values: list[tuple[float, float]]) -> None:
    nan = float("nan")
    points = [Point(Interval(x, nan, nan), Interval(y, nan, nan), "p") for x, y in values]
    places = np.array(circles(points_svg(Plane(tuple(points), "x", "y"))))
    order = np.array(values)
    for axis, sign in ((0, 1), (1, -1)):
        moved = sign * np.subtract.outer(places[:, axis], places[:, axis])
        asked = np.subtract.outer(order[:, axis], order[:, axis])
        assert (moved[asked > 1e-3 * np.ptp(order[:, axis]) + 1e-9] >= -0.11).all()


def test_pictures_are_what_was_asked_for() -> None:
    colour = np.random.default_rng(0).integers(0, 65536, (3, 7, 5), np.uint16)
    shown = for_screen(colour)
    assert np.abs(shown - np.moveaxis(colour, 0, -1) / 257).max() <= 0.51
    wide = np.arange(3000, dtype=np.float32)[None, None] / 3000
    assert for_screen(np.repeat(wide, 4, axis=1), most=1000).shape == (2, 1000)
    url = data_url(for_screen(np.eye(4)[None]))
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
    assert np.array_equal(back, 255 * np.eye(4, dtype=np.uint8))
    assert (coloured(np.zeros((2, 2))) == (68, 1, 84)).all()


def test_reports_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_page(tmp_path / "a.html", b"content")
    assert (tmp_path / "a.html").read_bytes().startswith(b"content")  # and a mark of its own
    with pytest.raises(ReleaseError, match="10"):
        write_page(tmp_path / "b.html", bytes(LARGEST + 1))
    with pytest.raises(ReleaseError, match="cannot be written"):
        write_page(tmp_path / "none" / "b.html", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_pdf_has_pages_and_asks_for_nothing(facts: ReleaseFacts, measured: Measured) -> None:
    pytest.importorskip("weasyprint", reason="needs the extra pdf", exc_type=ImportError)
    from deepfixcx.report.page import pdf_of

    text = release_page(ReportInputs(facts, measured))
    content = pdf_of(text)
    assert content.startswith(b"%PDF-")
    assert pdf_of(text) == content
    from weasyprint.urls import FatalURLFetchingError

    with pytest.raises(FatalURLFetchingError):
        pdf_of('<img src="http://127.0.0.1:9/x.png">')


def test_a_report_defines_the_terms_that_it_uses_and_no_others(
    facts: ReleaseFacts, measured: Measured
) -> None:
    page = release_page(ReportInputs(facts, measured))
    text, terms = page.split('<section id="terms">')
    assert '<a href="#term-auc">AUC</a>' in text
    assert '<tr id="term-auc">' in terms
    for term in ("AUC", "SSIM", "Linkage", "Checksum", "Band"):
        assert f'<th scope="row">{term}</th>' in terms
    assert "Pseudonym" not in terms
    assert "seudonym" not in text
    assert [term for term, _ in terms_in("epsilon, EERs and a mAP@R of 1")] == [
        "EER", "Epsilon", "mAP@R",
    ]  # fmt: skip


def test_the_page_of_terms_holds_the_glossary_of_reports() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    assert rows[1:] == [[term, meaning] for term, meaning in GLOSSARY.items()]
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.casefold)


def test_intervals_that_older_versions_wrote_as_lists_are_read(shelf: Path, tmp_path: Path) -> None:
    def as_list(found: dict[str, object]) -> object:
        return list(found.values()) if list(found) == ["value", "low", "high"] else found

    for name, read in (
        ("shared.audit/audit.json", read_audit),
        ("evaluation.json", read_evaluation),
    ):
        today = (shelf / name).read_text("utf-8")
        older = json.dumps(json.loads(today, object_hook=as_list))
        assert '"high"' in today
        assert '"high"' not in older
        (tmp_path / "older.json").write_text(older, "utf-8")
        assert repr(read(tmp_path / "older.json")) == repr(read(shelf / name))
