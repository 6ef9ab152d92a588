"""The programs that make the tables of docs/privacy-research.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.frontier import climb, frontier_table, neighbours, play
from benchmarks.mechanism_ideas import IDEAS, main, meets_goal, tiny
from benchmarks.mechanism_membership import membership
from deepfixcx.frontier.rows import FrontierRow
from deepfixcx.mechanisms import LabelResampling, Plain
from deepfixcx.spec import CodecSpec


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


def test_membership_is_plain_in_plain_codes() -> None:
    data = tiny(CodecSpec(1, 2))
    plain, _ = membership(Plain(), 16, data, 1)
    resampled, _ = membership(LabelResampling(0, 2, 4), 2, data, 1)
    assert plain > resampled


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
