"""The frontier on public X-rays, and whether noise keeps its promise.

    python -m benchmarks.frontier --markdown docs/privacy-research.md

The first table is `deepfixcx frontier` on `cxr_nih`. The second plays the pair game against noise:
a lower bound of epsilon from releases of two neighbouring images, beside what was claimed; and how
near a search for the worst two images comes to the sensitivity that noise is made for.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Table, put_section
from deepfixcx.datasets import load_dataset
from deepfixcx.experiments.frontier import run_frontier
from deepfixcx.experiments.frontier_inputs import DEFAULT, FrontierOptions
from deepfixcx.experiments.rows import FrontierRow
from deepfixcx.mechanisms import (
    PixelNoise,
    epsilon_lower_bound,
    pixel_sensitivity,
    region_sensitivity,
)
from deepfixcx.mechanisms.sensitivity import as_means, integer_codes
from deepfixcx.report import write_figure
from deepfixcx.report.grid_figures import frontier_figure
from deepfixcx.spec import CodecSpec

ROOT = Path(__file__).resolve().parents[1]
LABELS = "pneumonia,effusion,infiltration,atelectasis"
SIDE = 32
"""Of the images of the pair game; the promise does not depend on it."""

CONFIGURATIONS = [
    (CodecSpec(level, patches), what, epsilon, delta)
    for level, patches in ((1, 1), (2, 2), (3, 2))
    for what in ({"pixels": 1}, {"pixels": 8}, {"side": 8})
    for epsilon, delta in ((0.5, 0.0), (2.0, 0.0), (2.0, 1e-5))
]


# -- the frontier -----------------------------------------------------------------------------


def frontier_table(rows: Sequence[FrontierRow]) -> Table:
    """Lay the rows out, the most useful first."""
    table = Table(
        [
            "what is released",
            "J, P",
            "numbers",
            "utility AUC",
            "public images alone",
            "the release adds",
            "linkage AUC",
            "knowing labels",
            "precision@1 / chance",
            "SSIM gain",
            "PSNR gain",
        ],
        words=2,
    )
    for row in sorted(rows, key=lambda each: -each.figures["auc"]):
        figures = row.figures
        ratios = [
            figures[f"precision_{mode}"] / figures[f"chance_{mode}"] for mode in ("released", "raw")
        ]
        table.add(
            row.mechanism,
            f"{row.level}, {row.patches}",
            f"{row.numbers:,}",
            str(row.interval("auc")),
            str(row.interval("public_auc")),
            str(row.interval("added")),
            str(row.interval("linkage")),
            f"{figures['labelled_linkage']:.3f}",
            f"{max((each for each in ratios if math.isfinite(each)), default=math.nan):.1f} ×",
            f"{figures['ssim_gain']:+.3f}",
            f"{figures['psnr_gain']:+.2f} dB",
        )
    return table


# -- noise ------------------------------------------------------------------------------------


def neighbours(spec: CodecSpec, what: dict[str, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two neighbouring images (1, 1, H, W) whose codes are as far apart as is known."""
    one = np.zeros((1, 1, SIDE, SIDE), np.uint8)
    other = one.copy()
    if "side" in what:
        other[0, 0, : what["side"], : what["side"]] = 255
        return one, other
    blocks = [
        (row, column) for row in range(0, SIDE, spec.block) for column in range(0, SIDE, spec.block)
    ]
    for row, column in blocks[: what["pixels"]]:
        other[0, 0, row, column] = 255
    return one, other


def play(spec: CodecSpec, what: dict[str, int], epsilon: float, delta: float, trials: int) -> float:
    """Return the lower bound of epsilon that the pair game shows."""
    noise = PixelNoise(spec, epsilon, what.get("pixels"), what.get("side"), delta)
    pair = neighbours(spec, what)
    exact = [as_means(integer_codes(each, spec), spec, SIDE, SIDE) for each in pair]

    def releases(image: NDArray[Any]) -> Callable[[int], NDArray[Any]]:
        return lambda count: noise.encode(np.repeat(image, count, axis=0)).array

    def score(codes: NDArray[Any]) -> NDArray[np.float64]:
        if delta:
            likely = (codes - exact[0]) * (exact[1] - exact[0])
        else:
            likely = np.abs(codes - exact[0]) - np.abs(codes - exact[1])
        return np.asarray(likely.sum(axis=tuple(range(1, codes.ndim))), np.float64)

    bound = epsilon_lower_bound(
        releases(pair[0]), releases(pair[1]), score, trials=trials, delta=delta
    )
    return bound.value


def climb(spec: CodecSpec, what: dict[str, int], steps: int, seed: int) -> tuple[float, float]:
    """Return how near a search comes to the L1 and the L2 sensitivity, as shares."""
    generator = np.random.default_rng(seed)
    bound = (
        region_sensitivity(spec, what["side"], SIDE, SIDE)
        if "side" in what
        else pixel_sensitivity(spec, what["pixels"])
    )
    shares = []
    for figure, most in ((1, bound.l1), (2, bound.l2)):
        pair = np.concatenate(neighbours(spec, what))
        changed = np.argwhere(pair[0, 0] != pair[1, 0])
        best = 0.0
        for _ in range(steps):
            row, column = changed[generator.integers(len(changed))]
            before = pair[:, 0, row, column].copy()
            pair[:, 0, row, column] = generator.permutation(np.array([0, 255], np.uint8))
            if generator.random() < 0.5:  # the pixels around may be anything, in both images
                place = generator.integers(0, SIDE, 2)
                around = pair[:, 0, place[0], place[1]].copy()
                if around[0] == around[1]:
                    pair[:, 0, place[0], place[1]] = generator.choice([0, 128, 255])
            else:
                place, around = np.array([row, column]), before
            codes = integer_codes(pair, spec)
            difference = np.abs(codes[1] - codes[0]).astype(np.float64)
            found = float((difference**figure).sum() ** (1 / figure))
            if found < best:
                pair[:, 0, place[0], place[1]] = around
                pair[:, 0, row, column] = before
            best = max(best, found)
        shares.append(best / most)
    return shares[0], shares[1]


def noise_table(trials: int, steps: int) -> Table:
    """Play the game and climb, for every configuration."""
    table = Table(
        ["what may differ", "J, P", "claimed ε", "δ", "shown ε ≥", "worst L1 found", "worst L2"],
        words=2,
    )
    for spec, what, epsilon, delta in CONFIGURATIONS:
        if "side" in what:
            differ = f"a square of {what['side']} × {what['side']}"
        else:
            differ = "1 pixel" if what["pixels"] == 1 else f"{what['pixels']} pixels"
        shown = play(spec, what, epsilon, delta, trials)
        shares = climb(spec, what, steps, 0)
        table.add(
            differ,
            f"{spec.level}, {spec.grid_shape[0]}",
            f"{epsilon:g}",
            f"{delta:g}",
            f"{shown:.2f}",
            *(f"{100 * share:.0f} % of the bound" for share in shares),
        )
        print(table.rows[-1], flush=True)
    return table


# -- the command ------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> None:
    """Make both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--only", choices=["frontier", "noise"], help="one of the tables")
    parser.add_argument("--seeds", type=int, default=5, help="divisions of the patients")
    parser.add_argument("--levels", type=int, nargs="+", default=[3])
    parser.add_argument("--patches", type=int, nargs="+", default=[4])
    parser.add_argument("--mechanisms", nargs="+", default=list(DEFAULT))
    parser.add_argument("--max-linkage", type=float)
    parser.add_argument("--folder", type=Path, help="keep rows there, and go on with them")
    parser.add_argument("--trials", type=int, default=4000, help="releases of the pair game")
    parser.add_argument("--steps", type=int, default=400, help="of the search for the worst")
    parser.add_argument("--figure", type=Path, help="file for the plot")
    parser.add_argument("--markdown", type=Path, help="page whose sections to replace")
    options = parser.parse_args(words)
    sections: dict[str, list[str]] = {}
    if options.only != "noise":
        sections["frontier"] = _frontier(options)
    if options.only != "frontier":
        command = f"python -m benchmarks.frontier --only noise --trials {options.trials}"
        table = noise_table(options.trials, options.steps)
        sections["noise"] = [table.markdown(), f"Made by `{command} --steps {options.steps}`."]
    for name, parts in sections.items():
        print("\n\n".join(parts), end="\n\n")
        if options.markdown is not None:
            put_section(options.markdown, name, parts)


def _frontier(options: argparse.Namespace) -> list[str]:
    data = options.data or Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data")
    settings = FrontierOptions(
        levels=tuple(options.levels),
        patches=tuple(options.patches),
        mechanisms=tuple(options.mechanisms),
        seeds=options.seeds,
        max_linkage=options.max_linkage,
    )
    dataset = load_dataset(data / "cxr_nih", labels=LABELS)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="deepfixcx-"))
    frontier = run_frontier(
        dataset,
        folder,
        settings,
        resume=True,
        progress=lambda step, done, total: print(f"{done}/{total} {step}", flush=True),
    )
    if options.figure is not None:
        chosen = frontier.recommendation.row
        write_figure(options.figure, frontier_figure(frontier.rows, chosen, options.max_linkage))
    command = f"python -m benchmarks.frontier --only frontier --seeds {options.seeds}"
    command += f" --levels {' '.join(map(str, options.levels))}"
    command += f" --patches {' '.join(map(str, options.patches))}"
    command += f" --mechanisms {' '.join(options.mechanisms)}"
    return [
        frontier_table(frontier.rows).markdown(),
        frontier.recommendation.sentence,
        f"Made by `{command}`.",
    ]


if __name__ == "__main__":
    main()
