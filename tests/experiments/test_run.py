"""The frontier in a folder: rows, resuming, what is recommended."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepfixcx.datasets import Dataset, load_dataset
from deepfixcx.errors import DeepfixcxError, LabelError, MechanismError, SpecError
from deepfixcx.experiments.frontier import run_frontier
from deepfixcx.experiments.frontier_inputs import (
    BASELINES,
    DEFAULT,
    MECHANISMS,
    FrontierOptions,
    dp_pix,
    mechanism_named,
    read_inputs,
)
from deepfixcx.experiments.recommendation import recommend_mechanism
from deepfixcx.experiments.rows import FrontierRow, frontier_as_csv
from deepfixcx.report.grid_figures import frontier_figure
from tests.learn.making import make_dataset

OPTIONS = FrontierOptions(
    levels=(2,),
    patches=(2,),
    mechanisms=("plain", "mixing-3", "resampling", "noise-8-16", "pixelate", "dp-pix"),
    attackers=("whitening",),
    seeds=1,
)

TWO = replace(OPTIONS, mechanisms=("plain", "pixelate"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("frontier") / "xrays", 120)


@pytest.mark.slow
def test_a_frontier_writes_its_files(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "xrays", 340)  # as many as resampling needs
    steps: list[tuple[str, int, int]] = []
    frontier = run_frontier(
        dataset, tmp_path / "out", OPTIONS, progress=lambda *step: steps.append(step)
    )
    assert [row.mechanism for row in frontier.rows] == list(OPTIONS.mechanisms)
    assert (frontier.images, frontier.patients) == (340, 170)
    table = list(csv.DictReader((tmp_path / "out" / "frontier.csv").read_text().splitlines()))
    assert [row["mechanism"] for row in table] == list(OPTIONS.mechanisms)
    assert float(table[0]["auc"]) == pytest.approx(frontier.rows[0].figures["auc"], rel=1e-5)
    assert [int(row["numbers"]) for row in table] == [64, 64, 1, 64, 64, 64]
    assert {total for _, _, total in steps} == {6}
    text = (tmp_path / "out" / "frontier.csv").read_text()
    assert ".png" not in text
    assert "p17" not in text
    assert frontier_figure(frontier.rows, frontier.rows[0], 0.6).axes


def test_what_is_done_is_not_done_again(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = run_frontier(dataset, out, TWO)
    before = (out / "frontier.csv").read_bytes()
    (out / "rows" / "J2_P2_pixelate.json").unlink()
    kept = (out / "rows" / "J2_P2_plain.json").stat().st_mtime_ns
    said: list[str] = []
    again = run_frontier(
        dataset, out, TWO, resume=True, progress=lambda step, *_: said.append(step)
    )
    assert all("pixelate" in step for step in said)
    assert (out / "rows" / "J2_P2_plain.json").stat().st_mtime_ns == kept
    assert (out / "frontier.csv").read_bytes() == before
    assert again.recommendation == whole.recommendation
    with pytest.raises(MechanismError, match="--resume"):
        run_frontier(dataset, out, TWO)
    other = FrontierOptions(levels=(1,), patches=(2,), mechanisms=("plain",), seeds=1)
    with pytest.raises(MechanismError, match=r"differs in levels \(\[2\], now \[1\]\)"):
        run_frontier(dataset, out, other, resume=True)
    (out / "rows" / "J2_P2_plain.json").write_text("{}")
    with pytest.raises(MechanismError, match="was changed after deepfixcx wrote it"):
        run_frontier(dataset, out, TWO, resume=True)
    one = FrontierOptions(levels=(2,), patches=(2,), mechanisms=("plain",), seeds=1)
    with pytest.raises(MechanismError, match="changed since"):
        run_frontier(dataset, out, one, overwrite=True)
    (out / "rows" / "J2_P2_plain.json").unlink()
    assert len(run_frontier(dataset, out, one, overwrite=True).rows) == 1


def test_changed_images_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "xrays"
    dataset = make_dataset(folder, 120)
    one = FrontierOptions(levels=(2,), patches=(2,), mechanisms=("plain",), seeds=1)
    run_frontier(dataset, tmp_path / "out", one)
    (folder / "3.png").write_bytes((folder / "8.png").read_bytes())
    with pytest.raises(MechanismError, match="images differ from those"):
        run_frontier(dataset, tmp_path / "out", one, resume=True)


def test_bad_files_are_recorded(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "xrays", 120)
    (tmp_path / "xrays" / "7.png").write_text("Jane Doe")
    one = FrontierOptions(levels=(2,), patches=(2,), mechanisms=("plain",), seeds=1)
    frontier = run_frontier(dataset, tmp_path / "out", one)
    assert frontier.images == 119
    text = (tmp_path / "out" / "failures.csv").read_text()
    assert '"8","NotAnImageError"' in text
    assert "Jane" not in text


def test_settings_that_cannot_be_tried_are_skipped(dataset: Dataset, tmp_path: Path) -> None:
    # too few images for as many components
    options = FrontierOptions(
        levels=(1,), patches=(1,), mechanisms=("plain", "resampling-codes"), seeds=1
    )
    frontier = run_frontier(dataset, tmp_path / "out", options)
    assert len(frontier.rows) + len(frontier.skipped) == 2


def test_folders_and_datasets_that_do_not_serve_are_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MechanismError, match="is a file"):
        run_frontier(dataset, tmp_path / "file", OPTIONS)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    with pytest.raises(MechanismError, match="not empty"):
        run_frontier(dataset, tmp_path / "full", OPTIONS)
    with pytest.raises(LabelError, match="60 positives and 0 negatives"):
        read_inputs(dataset.select(dataset.labels[:, 0] == 1), OPTIONS.specs())
    folder = tmp_path / "nobody"
    make_dataset(folder, 20)
    rows = (folder / "manifest.csv").read_text().splitlines()
    without = [",".join(row.split(",")[:1] + row.split(",")[3:]) for row in rows]
    (folder / "manifest.csv").write_text("\n".join(without))
    with pytest.raises(MechanismError, match="patient IDs"):
        read_inputs(load_dataset(folder, labels="sick"), OPTIONS.specs())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"mechanisms": ("mixin-3",)}, "did you mean 'mixing-3'"),
        ({"mechanisms": ()}, "name at least one mechanism"),
        ({"mechanisms": ("noise-x",)}, "named noise-EPSILON-PIXELS"),
        ({"mechanisms": ("noise-1-16+mixing-33x",)}, "unknown mechanism 'mixing-33x'"),
        ({"attackers": ("oracle",)}, "unknown attacker"),
        ({"seeds": 0}, "one seed"),
        ({"public": 1.0}, "share"),
        ({"max_linkage": 0.3}, "0.5 .chance."),
        ({"epsilon": 0.0}, "positive epsilon"),
        ({"levels": (13,)}, "level"),
    ],
)
def test_bad_options_are_named(words: dict[str, object], reason: str) -> None:
    with pytest.raises((MechanismError, SpecError), match=reason):
        FrontierOptions(**words)  # type: ignore[arg-type]


def test_every_name_makes_a_mechanism() -> None:
    names = {mechanism_named(name).name for name in MECHANISMS}
    assert len(names) == len(MECHANISMS)
    assert set(DEFAULT) <= {*MECHANISMS, *BASELINES}


def test_dp_pix_has_the_noise_it_should() -> None:
    cells = np.full((400, 1, 8, 8), 0.5, np.float32)
    sizes = np.full((400, 2), 64)
    noisy = dp_pix(cells, sizes, epsilon=2.0, pixels=4, seed=0)
    assert noisy.std() == pytest.approx(np.sqrt(2) * 4 / 64 / 2, rel=0.05)
    assert not np.array_equal(noisy, dp_pix(cells, sizes, epsilon=2.0, pixels=4, seed=1))


def row(mechanism: str, auc: float, linkage: float, numbers: int = 10) -> FrontierRow:
    figures = {"auc": auc, "linkage": linkage, "floor_raw": 0.62}
    return FrontierRow(3, 4, mechanism, numbers, figures)


def test_the_most_useful_that_meets_the_threshold_is_recommended() -> None:
    rows = [row("plain", 0.9, 0.84), row("mixing-3", 0.86, 0.7), row("resampling", 0.88, 0.58)]
    assert recommend_mechanism(rows, 0.6).row == rows[2]
    assert recommend_mechanism(rows, 0.85).row == rows[0]
    assert recommend_mechanism(rows).row == rows[2]  # 0.05 above the floor of 0.62
    sentence = recommend_mechanism(rows, 0.6).sentence
    assert sentence.startswith("Take resampling with J=3, P=4")
    assert "Plain codes have an AUC of 0.900 and a linkage of 0.840" in sentence
    assert "The label-only baseline of linkage is an AUC of 0.620" in sentence
    nothing = recommend_mechanism(rows, 0.51)
    assert nothing.row is None
    assert "Lowest linkage: 0.580" in nothing.sentence
    unmeasured = [row("mixing-5", 0.95, float("nan"))]
    assert recommend_mechanism([*rows, *unmeasured], 0.6).row == rows[2]
    assert recommend_mechanism(unmeasured, 0.6).row is None
    found = {"precision_raw": 0.05, "chance_raw": 0.02}
    first = FrontierRow(3, 4, "projection", 1, {**rows[2].figures, **found, "auc": 0.89})
    assert recommend_mechanism([*rows, first]).row == rows[2]  # found first too often
    assert recommend_mechanism([*rows, first], 0.6).row == first
    reported = FrontierRow(3, 4, "bands", 1, {**first.figures, "chance_raw": 0.03, "auc": 0.88})
    assert recommend_mechanism([first, reported]).row == reported
    known = FrontierRow(3, 4, "bands", 1, {**reported.figures, "labelled_linkage": 0.7})
    assert recommend_mechanism([first, known]).row is None
    equal = [row("plain", 0.9, 0.5, 100), row("bands", 0.9, 0.5, 10)]
    assert recommend_mechanism(equal, 0.6).row == equal[1]


def test_rows_are_stored_whole() -> None:
    one = row("plain", 0.9, float("nan"))
    again = FrontierRow.from_json(one.to_json())
    assert again.to_json() == one.to_json()
    assert json.loads(one.to_json())["figures"]["linkage"] is None
    assert frontier_as_csv([one]).splitlines()[1] == "3,4,plain,10,0.9,,0.62"
    with pytest.raises(DeepfixcxError):
        FrontierRow.from_json("[]")
    with pytest.raises(MechanismError, match="no setting"):
        frontier_figure([])
