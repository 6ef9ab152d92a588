"""The programs that make the tables of docs/privacy-research.md."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.frontier import climb, frontier_table, neighbours, play
from benchmarks.mechanism_ideas import IDEAS, main, meets_goal, tiny
from benchmarks.mechanism_inversion import as_codes, invert, table_of
from benchmarks.mechanism_membership import membership
from benchmarks.mechanism_scale import SIZES, worth
from benchmarks.mechanism_synthesis import Division, goals, mean_row
from benchmarks.mechanism_synthesis import tiny as tiny_synthesis
from benchmarks.siamese import IDEAS as SIAMESE_IDEAS
from benchmarks.siamese import changed, link
from benchmarks.synthesis_attacks import linkage as synthesis_linkage
from benchmarks.synthesis_attacks import membership as membership_of_worst
from benchmarks.synthesis_attacks import scorer_of
from benchmarks.synthesis_ideas import IDEAS as SYNTHESIS_IDEAS
from benchmarks.synthesis_kinds import noise
from benchmarks.synthesis_rivals import heart_lines, quadtree
from deepfixcx.audit.linkage import siamese_cnn
from deepfixcx.code import Code
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.experiments.trial import Trial
from deepfixcx.mechanisms import LabelResampling, Plain, Records
from deepfixcx.mechanisms.catalogue import mechanism_named
from deepfixcx.spec import CodecSpec
from tests.audit.making import make_images


@pytest.mark.slow
def test_ideas_are_tried_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text("<!-- ideas -->\nold\n<!-- end of ideas -->\n")
    words = ["--tiny", "--seeds", "1", "--level", "2", "--ideas", "donors"]
    words += ["--attackers", "distance", "--json", str(figures), "--markdown", str(page)]
    main(words)
    text = page.read_text()
    assert "old" not in text
    for name in ("plain", "donors"):
        assert IDEAS[name][0] in text
    kept = json.loads(figures.read_text())
    assert set(kept) == {"plain", "donors", "pixelate"}
    capsys.readouterr()
    main([*words, "--resume"])
    assert " s\n" not in capsys.readouterr().out  # nothing is tried again
    assert page.read_text() == text


def test_the_goal_asks_for_all_of_it() -> None:
    good = {
        f"{name}_{mode}": value
        for mode in ("released", "raw")
        for name, value in (("linkage", 0.6), ("floor", 0.6), ("precision", 0.01), ("chance", 0.01))
    } | {"labelled_linkage": 0.62}
    assert meets_goal(good, 0.01)
    assert not meets_goal(good, 0.03)
    for name, value in (
        ("linkage_raw", 0.66),
        ("precision_released", 0.03),
        ("labelled_linkage", 0.7),
        ("linkage_released", float("nan")),
    ):
        assert not meets_goal({**good, name: value}, 0.01)


def test_codes_of_a_device_are_those_of_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--tiny", "--rounds", "1", "--device", "cpu"])
    printed = capsys.readouterr().out
    assert "16×16×16, J=2, P=2, uint8" in printed
    assert "The speed of a GPU is unmeasured. Codes and reconstructions equal those" in printed


def test_membership_is_plain_in_plain_codes() -> None:
    data = tiny(CodecSpec(1, 2))
    plain, _ = membership(Plain(), 16, data, 1)
    resampled, _ = membership(LabelResampling(0, 2, 4), 2, data, 1)
    assert plain > resampled


@pytest.mark.parametrize("name", ["plain", "mixing-3", "resampling"])
def test_inverters_see_codes_whatever_was_released(name: str) -> None:
    """Undoing a projection gives codes of the right shape, and as near as few numbers allow."""
    spec = CodecSpec(2, 2)
    data = tiny(spec)
    trial = Trial(data.inputs["codes"], data.labels, data.patients)
    fitted = trial.fit(mechanism_named(name))
    released = trial.release(fitted)
    seen = as_codes(fitted, spec, (32, 32))(released.array)
    assert isinstance(seen, Code)
    assert seen.array.shape == (len(released), *spec.code_shape(1))
    assert seen.sizes.tolist() == [[32, 32]] * len(released)
    if released.array.ndim > 2:
        assert (seen.array == released.array).all()
    else:
        mean = data.inputs["codes"].mean(axis=0)
        assert np.abs(seen.array.mean(axis=0) - mean).max() < 0.1 * mean.max()
    for attacker in ("plain", "ridge"):
        figures = {each.figure for each in invert(name, attacker, data, spec, (32, 32), 0)}
        assert figures == {"SSIM", "MS-SSIM", "PSNR"}


def test_the_strongest_inverter_decides_the_goal() -> None:
    options = argparse.Namespace(mechanisms=["plain", "resampling"], attackers=["ridge", "unet"])
    few, many = {"SSIM": [0.04] * 3, "PSNR": [2.0] * 3}, {"SSIM": [0.06] * 3, "PSNR": [2.5] * 3}
    rows = {"plain ridge": few, "plain unet": many, "resampling ridge": few, "resampling unet": few}
    last = table_of({name: {**row, "seconds": 1.0} for name, row in rows.items()}, options).rows[-1]
    assert list(last[1:5]) == ["+0.060", "+2.50 (not met)", "+0.040", "+2.00 (goal met)"]


@pytest.mark.slow
def test_parts_of_the_network_are_left_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    images, owners = make_images(patients=24, side=16)
    monkeypatch.setattr(siamese_cnn, "CONTRAST", replace(siamese_cnn.CONTRAST, epochs=4, every=2))
    monkeypatch.setattr(siamese_cnn, "PROTOCOL", replace(siamese_cnn.PROTOCOL, epochs=1, pairs=9))
    before = siamese_cnn.CONTRAST, siamese_cnn.PROTOCOL, siamese_cnn.vary
    for idea in ("unvaried", "contrast", "both"):
        assert "[" in link(idea, images, owners, owners % 2, 0)["AUC"]
    assert (siamese_cnn.CONTRAST, siamese_cnn.PROTOCOL, siamese_cnn.vary) == before
    with changed(SIAMESE_IDEAS["protocol"][1]()):
        assert siamese_cnn.CONTRAST.epochs == 0
        assert siamese_cnn.PROTOCOL.pairs == 5000


def test_noise_is_audited() -> None:
    pytest.importorskip("opendp", reason="the extra [dp] is not installed")
    spec = CodecSpec(2, 2)
    assert play(spec, {"side": 4}, 2.0, 0.0, trials=200) <= 2
    for what, count in (({"pixels": 5}, 5), ({"side": 3}, 9)):
        one, other = neighbours(spec, what)
        assert int((one != other).sum()) == count
        shares = climb(spec, what, 20, 0)
        assert 0 < min(shares) <= max(shares) <= 1


def test_the_frontier_is_laid_out_by_utility() -> None:
    figures = dict.fromkeys(
        [f"{name}_{mode}" for name in ("precision", "chance") for mode in ("released", "raw")], 0.1
    ) | {"linkage": 0.6, "labelled_linkage": np.nan, "ssim_gain": 0.0, "psnr_gain": 1.0}
    rows = [FrontierRow(3, 4, "low", 4, {**figures, "auc": 0.6})]
    rows += [FrontierRow(3, 4, "high", 4, {**figures, "auc": 0.8})]
    lines = frontier_table(rows).markdown().splitlines()
    assert lines[2].startswith("| high")
    assert "1.0 ×" in lines[2]


# -- synthesis and its rivals ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def division() -> Division:
    return Division(tiny_synthesis(), 0)


@pytest.mark.parametrize(
    "name",
    [
        "synthesis-4",
        "covariance",
        "mixture",
        "dp-em",
        pytest.param("dp-autoencoder", marks=pytest.mark.slow),
        "graph",
        "pca-12",
    ],
)
def test_ideas_of_synthesis_draw_finite_records_with_and_without_noise(
    division: Division, name: str
) -> None:
    idea = SYNTHESIS_IDEAS[name]
    fitted = idea.fit(division.public(idea, division.images.labels), np.random.default_rng(0))
    private = fitted.prepared(division.private(idea, None))
    for rho in (None, 0.5):
        made = fitted.release(private, rho, np.random.default_rng(1))
        assert made.array.shape[1] == idea.numbers
        assert len(np.unique(made.labels, axis=0)) >= 4
        assert made.array.std() < 10


def test_noise_costs_what_it_is_asked_to_cost() -> None:
    """A sum of bound B with deviation s costs B² / 2 s²."""
    drawn, deviation = noise(40_000, 3.0, 0.5, np.random.default_rng(0))
    assert 3.0**2 / (2 * deviation**2) == pytest.approx(0.5)
    assert drawn.std() == pytest.approx(deviation, rel=0.02)


def test_membership_of_the_worst_patient_is_chance_if_a_release_reveals_no_member() -> None:
    """Chosen on one half of the releases and judged on the other, the worst is as others."""
    trial = Division(tiny_synthesis(), 0).trial
    private = trial.private

    def nothing(places: object, generator: np.random.Generator) -> Records:
        del places
        drawn = generator.normal(size=(60, 4))
        return Records.of(drawn, generator.integers(0, 2, (60, 4)), np.arange(60))

    seen = np.random.default_rng(1).normal(size=(len(private), 4)).astype(np.float32)
    patients = private.patients
    found = membership_of_worst(scorer_of(nothing, seen, private), patients, 0, 40)
    assert abs(found["membership"] - 0.5) < 0.05
    assert abs(found["worst"] - 0.5) < 0.3

    def everything(places: np.ndarray, generator: np.random.Generator) -> Records:
        del generator
        return Records.of(seen[places], private.labels[places], places)

    found = membership_of_worst(scorer_of(everything, seen, private), patients, 0, 8)
    assert found == {"membership": 1.0, "worst": 1.0}


def test_linkage_is_perfect_where_rows_are_images_and_chance_where_they_are_drawn() -> None:
    generator = np.random.default_rng(0)
    patients = np.arange(120) // 2
    nature = generator.normal(size=(60, 5))[patients]
    images = (nature + generator.normal(0, 0.05, (120, 5))).astype(np.float32)
    labels = np.zeros((120, 1), np.float32)
    found = synthesis_linkage(Records.of(images, labels, patients), images, labels, 0)
    assert found["linkage"].value > 0.99
    assert found["top1"] > 15
    drawn = Records.of(generator.normal(size=(120, 5)), labels, patients)
    found = synthesis_linkage(drawn, images, labels, 0)
    assert found["linkage"].value < 0.65


def test_goals_name_what_is_reached() -> None:
    carriers = {f"carriers {count}": 0.5 for count in (11, 16, 35, 50, 77)}
    row = {"linkage": 0.59, "with labels": 0.7, "label-only": 0.7, "top1": 1.4, "worst": 0.61,
           "named": 0.75, "edema": 0.8, "sex": 0.77, **carriers}  # fmt: skip
    rows = {"plain": {**row, "named": 0.757}, "public": row, "synthesis-8": row}
    cells = goals(rows).rows[0]
    assert [cell.split()[0] for cell in cells[1:]] == [
        "yes", "yes", "yes", "no", "yes", "no", "yes", "no", "yes", "yes",
    ]  # fmt: skip
    assert mean_row([{"top1": 1.0}, {"top1": 2.0}], [], 0) == {"top1": 1.5}


def test_a_release_is_worth_making_from_between_two_sizes() -> None:
    flat = [0.7] * len(SIZES)
    rising = [0.7, 0.7, 0.72, 0.72, 0.72]
    assert worth({"public": flat, "2": rising}, "2") == "3,000"
    assert worth({"public": flat, "2": flat}, "2") == "more than 1,000,000"
    assert worth({"public": flat, "2": [0.8] * len(SIZES)}, "2") == "fewer than 200"


def test_a_quadtree_keeps_edges_and_flattens_the_rest() -> None:
    images = np.zeros((1, 320, 320), np.float32)
    images[0, 200:, :] = 1
    images[0, :160] += np.random.default_rng(0).normal(0, 0.01, (160, 320))
    found = quadtree(images)
    assert (found[0, 200:] == 1).all()
    assert len(np.unique(found[0, :160])) == 2
    lines = heart_lines()
    assert 0.05 < lines.mean() < 0.35
    assert not lines[:8].any()
