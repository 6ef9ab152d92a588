"""What the benchmarks write is computed right from given timings."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cost_model, decode, encode, from_disk, memory, scaling
from benchmarks.all import PARTS, commands
from benchmarks.command import finish
from benchmarks.cost_model import Linear, Setting, fit, held_out, relative_errors, terms
from benchmarks.encode import Rates, geometric_mean, rates_of, same_numbers
from benchmarks.table import Table, number, put_section
from deepfixcx.bench import DiskSpeed, Machine
from tests.conftest import ROOT

MACHINE = Machine("a processor", 2, 2, 1 << 30, 0.1, "3.11", "2.0", "0.61", "0.1")


def rates(case: str = "a case") -> Rates:
    others = {"conv2d": 50.0, "ptwt": None, "PyWavelets": 20.0}
    return Rates(case, 1000.0, 1100.0, others, frozenset({"PyWavelets"}), 0.5, 2e10)


def cells(table: Table, row: int = 0) -> dict[str, str]:
    return dict(zip(table.columns, table.rows[row], strict=True))


def test_numbers_have_three_digits() -> None:
    shown = [number(value) for value in (0, 0.012345, 3.14159, 42.42, 999.6, 16384.2, 1.2e7)]
    assert shown == ["0", "0.0123", "3.14", "42.4", "1,000", "16,400", "12,000,000"]


def test_a_table_is_aligned_markdown() -> None:
    table = Table(["who", "n"])
    table.add("someone", "1")
    table.add("me", "12,000")
    assert table.markdown().splitlines() == [
        "| who     |      n |",
        "| ------- | -----: |",
        "| someone |      1 |",
        "| me      | 12,000 |",
    ]
    with pytest.raises(ValueError, match="2 columns, 3 cells"):
        table.add("a", "b", "c")


def test_a_section_of_a_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- end of a -->\nafter\n")
    put_section(page, "a", ["new", "newer"])
    put_section(page, "a", ["new", "newer"])
    assert page.read_text() == "before\n<!-- a -->\n\nnew\n\nnewer\n\n<!-- end of a -->\nafter\n"
    with pytest.raises(ValueError, match="no marks for the section 'b'"):
        put_section(page, "b", [])


def test_ratios_of_encode() -> None:
    row = cells(encode.encode_table([rates()]))
    assert (row["codec, images/s"], row["default grid"], row["of the bandwidth"]) == (
        "1,000",
        "1,100",
        "0.50",
    )
    assert (row["conv2d"], row["× conv2d"]) == ("50", "20")
    assert (row["ptwt"], row["× ptwt"]) == ("–", "–")
    assert (row["PyWavelets"], row["× PyWavelets"]) == ("20¹", "50")


def test_geometric_mean() -> None:
    assert geometric_mean([4, 9]) == pytest.approx(6)


def test_ratios_of_decode() -> None:
    row = Rates("compact", 900.0, 800.0, {"conv_transpose2d": 30.0}, frozenset(), 0.2, 1e10)
    assert cells(decode.decode_table([row]))["× conv_transpose2d"] == "30"
    table = decode.wavelet_table([Rates("db2", 90.0, 80.0, {"ptwt": 30.0}, frozenset(), 0, 1)])
    assert cells(table)["× ptwt"] == "3"


def test_rates_count_images(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"codec": 0.5, "quick": 2.0, "slow": 9.0}
    calls: list[str] = []

    first = iter(seconds.values())

    def timed(wanted: dict[str, object], rounds: int, *, warm: bool) -> dict[str, float]:
        assert (rounds, warm) == (7, False)
        calls.extend(wanted)
        return {name: seconds[name] for name in wanted}

    monkeypatch.setattr(encode, "seconds_of", lambda _: next(first))
    monkeypatch.setattr(encode, "median_seconds", timed)
    given: dict[str, tuple[Callable[[], object], int]] = {
        "codec": (int, 100),
        "quick": (int, 8),
        "slow": (int, 9),
    }
    found, once = rates_of(given, rounds=7)
    assert found == {"codec": 200, "quick": 4, "slow": 1}
    assert once == {"slow"}
    assert calls == ["codec", "quick"]


def test_different_numbers_are_refused() -> None:
    ours = np.array([1.0, 2.0])
    same_numbers(ours, ours + 1e-5, "someone")
    with pytest.raises(ValueError, match="someone differs"):
        same_numbers(ours, ours + 1e-2, "someone")
    with pytest.raises(ValueError, match="someone differs"):
        same_numbers(ours, ours * np.nan, "someone")
    with pytest.raises(ValueError, match="someone computes"):
        same_numbers(ours, ours[:1], "someone")


def test_shares_from_disk() -> None:
    speed = DiskSpeed(100, 2, 90.0, 40.0, 100.0, 50.0)
    table = from_disk.disk_table([("PNG", 320, {"codes | only decoding": speed})])
    assert table.rows[0] == (
        "PNG, 320×320", "codes", "only decoding", "100", "90", "100", "0.90", "40", "50", "0.80",
    )  # fmt: skip


def test_peaks_of_memory() -> None:
    table = memory.memory_table([memory.Peak(10_000, 120_000_000, 450_000_000, 12.34)])
    assert table.rows[0] == ("10,000", "450", "120", "12.3")


def test_few_files_become_many(tmp_path: Path) -> None:
    memory.link_samples(tmp_path, 16, 25)
    assert len(list(tmp_path.glob("*.png"))) == 25


def test_scaling_is_laid_out() -> None:
    curve = scaling.Curve("pixels", "uint8", (100.0, 400.0), (1e-6, 4e-6))
    assert scaling.scaling_table([curve]).rows[0][1:] == ("uint8", "100", "400", "1 µs", "4 µs")


@pytest.mark.parametrize("name", scaling.TITLES)
def test_plots_are_small(name: str, tmp_path: Path) -> None:
    curve = "threads" if name == "workers" else "uint8"
    scaling.plot([scaling.Curve(name, curve, (1.0, 2.0), (1.0, 1.5))], tmp_path / "a" / "plot.png")
    content = (tmp_path / "a" / "plot.png").read_bytes()
    assert content[1:4] == b"PNG"
    assert len(content) < 100_000


def test_the_model_finds_the_coefficients_it_was_made_with() -> None:
    true = Linear((2e-6, 3e-9, 0.0, 5e-9))
    settings = [Setting(s * s, j, p) for s in (50, 100, 400) for j in (1, 3, 5) for p in (1, 4)]
    rows = [terms(setting) for setting in settings]
    seconds = [true.seconds(row) for row in rows]
    found = fit(rows, seconds)
    assert found.coefficients == pytest.approx(true.coefficients, rel=1e-6, abs=1e-15)
    assert max(relative_errors(found, rows, seconds)) < 1e-6
    assert relative_errors(Linear((1.0,)), [[2.0]], [4.0]) == [0.5]


def test_no_coefficient_is_negative() -> None:
    found = fit([(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], [3.0, 2.0, 1.0])
    assert min(found.coefficients) >= 0


def test_one_setting_in_four_is_held_out() -> None:
    settings = [Setting(1, 1, place) for place in range(9)]
    assert [setting.patches for setting in held_out(settings)] == [3, 7]


def test_cost_of_many_images() -> None:
    table = cost_model.cost_table({"PNG": Linear((0.0, 3600 / 320**2))}, 1000)
    row = table.rows[0]
    assert row[1:3] == ("1,000,000", "1 GB")
    assert row[5:7] == ("10,000,000,000", "10 TB")


@pytest.mark.parametrize(("load", "said"), [(0.1, "otherwise free"), (1.5, "was shared")])
def test_below_a_table_stands_how_it_was_made(
    load: float, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- encode -->\n<!-- end of encode -->\n")
    options = argparse.Namespace(rounds=7, threads=2, markdown=page, json=tmp_path / "all.json")
    machine = Machine("a processor", 2, 2, 1 << 30, load, "3.11", "2.0", "0.61", "0.1")
    table = Table(["who", "n"])
    finish(options, "encode", machine, [("a title", table)], ["a note"], {"n": 1}, flags=" --x")
    printed = capsys.readouterr().out
    for text in (printed, page.read_text()):
        assert "`python -m benchmarks.encode --x --rounds 7 --threads 2`" in text
        assert "**a title**" in text
        assert "a note" in text
        assert said in text
    assert (tmp_path / "all.json").read_text().split() == ["{", '"n":', "1", "}"]


def test_the_page_has_a_place_for_every_part() -> None:
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    for name in PARTS:
        assert f"<!-- {name} -->" in page
        assert f"<!-- end of {name} -->" in page
    assert [command[2] for command in commands(7, 2)] == [f"benchmarks.{name}" for name in PARTS]
