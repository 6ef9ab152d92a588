"""The first page of a report, and the one set of figures behind pages and files."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from deepfixcx.audit.result import QUESTIONS
from deepfixcx.errors import ReleaseError
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.images import phantom, write_png
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.release.about import About, read_about
from deepfixcx.report.figure_data import COLOURS, SHAPES, frontier_planes
from deepfixcx.report.grid_figures import frontier_figure
from deepfixcx.report.html import style
from deepfixcx.report.html_plots import points_svg
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.html_results import read_audit
from deepfixcx.report.page import ReportInputs, agreement, first_page, release_page
from deepfixcx.report.sections_results import Measured, privacy_title
from deepfixcx.spec import CodecSpec
from tests.studio.results import attack


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ReleaseFacts:
    folder = tmp_path_factory.mktemp("first")
    (folder / "scans").mkdir()
    for number in range(2):
        pixels = phantom(np.random.default_rng(number), 32)
        write_png(folder / "scans" / f"{number}.png", pixels[np.newaxis], bits=8)
    privatize_dataset(folder / "scans", folder / "shared", ReleaseOptions(CodecSpec(2, 2)))
    return ReleaseFacts.read(folder / "shared")


def measured(folder: Path, *words: str) -> Measured:
    results = [
        attack("linkage", "released-raw", "distance", "AUC", 0.70, 0.62),
        attack("linkage", "released-raw", "whitening", "AUC", 0.81, 0.62),
        attack("linkage", "released-raw", "weak", "AUC", 0.99, 0.62, valid=False, reason="weak"),
    ]
    answers = dict(zip(QUESTIONS, words, strict=False))
    reported = {"results": results, "answers": answers, "images": 2, "patients": 2}
    (folder / "audit.json").write_text(json.dumps(reported), "utf-8")
    return Measured(read_audit(folder / "audit.json"))


def test_three_lights_name_the_strongest_attacker_that_counts(
    facts: ReleaseFacts, tmp_path: Path
) -> None:
    page = first_page(facts, measured(tmp_path, "not shown", "yes", "a little"), About())
    lights = re.findall(r'<li class="light (\w+)">.*?<span class="word">([^<]*)</span>', page)
    assert lights == [("good", "Not shown"), ("bad", "Yes"), ("warn", "A little")]
    evidence = "linkage AUC 0.810 [0.770, 0.850]; without the records 0.620. Attacker: whitening"
    assert evidence in page
    none = first_page(facts, Measured(), About())
    assert none.count('class="light none"') == 3
    assert "2 images; the number of patients is not stated (no audit)" in none


def test_the_heading_says_what_happened(tmp_path: Path) -> None:
    assert privacy_title(Measured()) == "No attack was made"
    yes, no = measured(tmp_path, *["yes"] * 5), measured(tmp_path, *["not shown"] * 5)
    assert privacy_title(yes) == "Attacks that succeeded"
    assert privacy_title(no) == "Attacks that did not succeed"


def test_what_people_state_is_on_the_page_and_cannot_become_markup(
    facts: ReleaseFacts, tmp_path: Path
) -> None:
    path = tmp_path / "about.toml"
    path.write_text(
        'institution = "<b>Clinic</b>"\nagree = ["Period <i>"]\nsignatures = ["Head <u>"]\n'
    )
    about = read_about(path)
    page = release_page(ReportInputs(facts, about=about, alerts=("It <s> fails.",)))
    assert not set(re.findall(r"<(b|i|u|s)>", page))
    for text in ("&lt;b&gt;Clinic", "Period &lt;i&gt;", "Head &lt;u&gt;"):
        assert text in page
    assert page.index('class="alert" role="alert">It &lt;s&gt; fails.') < page.index("<h1>")
    assert "Who receives the release." in agreement(about, Measured())
    assert "Who receives" not in agreement(About(recipients="a group"), Measured())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('owner = "x"', "unknown key 'owner'"),
        ('agree = "x"', "agree in 'about.toml' is not a list"),
        ("agree = [1]", "agree in 'about.toml' is not a list"),
        ("=", "is not TOML"),
    ],
)
def test_a_wrong_statement_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "about.toml").write_text(content)
    with pytest.raises(ReleaseError, match=re.escape(message)):
        read_about(tmp_path / "about.toml")
    with pytest.raises(ReleaseError, match="can be read"):
        read_about(tmp_path / "none.toml")


def frontier_rows() -> list[FrontierRow]:
    names = ("plain", "resampling", "blur")
    values = {"auc": 0.8, "linkage": 0.7, "floor_raw": 0.6, "psnr_gain": 0.5}
    return [
        FrontierRow(2, patches, name, 9, {**values, "auc": 0.8 + patches / 100})
        for patches in (2, 4)
        for name in names
    ]


def test_pages_and_files_draw_the_same_points_marks_and_lines() -> None:
    rows = frontier_rows()
    planes = frontier_planes(rows, rows[0], 0.65)
    assert [line.words for line in planes[0].lines] == [
        "chance",
        "label-only baseline",
        "threshold",
    ]
    figure = frontier_figure(rows, rows[0], 0.65)
    assert len(figure.axes) == len(planes) == 2
    for plane, axes in zip(planes, figure.axes, strict=True):
        assert axes.get_xlabel() == plane.x_title
        drawn = [line for line in axes.lines if line.get_linestyle() == "None"]
        marks = [line for line in drawn if line.get_markersize() == 8]
        assert [to_hex(str(line.get_color())) for line in marks] == [
            COLOURS[point.mark.colour] for point in plane.points
        ]
        svg = points_svg(plane)
        assert plane.x_title in svg
        for point in plane.points:
            assert f"var(--{point.mark.colour})" in svg
        for line in plane.lines:
            assert f">{line.words}</text>" in svg
            assert line.words in [each.get_label() for each in axes.lines]


def test_colours_of_files_are_those_of_light_pages() -> None:
    studio = Path(__file__).parents[2] / "src/deepfixcx/studio/static/studio.css"
    families = {name for name in COLOURS if name.startswith("family")}
    for sheet, names in ((style(), set(COLOURS)), (studio.read_text("utf-8"), families)):
        light = sheet.partition("@media")[0]
        for name in names:
            assert f"--{name}: {COLOURS[name]}" in light


def test_forms_lie_in_one_circle() -> None:
    for corners in SHAPES.values():
        assert all(math.hypot(x, y) <= 1.05 for x, y in corners)
    assert len({tuple(np.round(corners, 3).ravel()) for corners in SHAPES.values()}) == len(SHAPES)
