"""How well a network does on original images, and on images that the codec made (AUC)."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import put_section
from benchmarks.utility import (
    ROOT,
    TASKS,
    Line,
    Task,
    counts_of,
    line_of,
    tiny_task,
    utility_table,
)
from deepfixcx import Codec, CodecSpec
from deepfixcx.learn.baselines import BASELINES
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.scorers import score_by_logistic, score_by_network

__all__ = ["lines_of", "main"]

Array = NDArray[np.float32]

SIDE = 96
"""Pixels a side of the original that the network sees, so that two cores finish in minutes."""


def lines_of(task: Task, specs: Sequence[CodecSpec], options: argparse.Namespace) -> Iterator[Line]:
    """Yield the original image, then for each setting what the network and a small model get."""
    channels, whole = task.pixels.shape[1], task.pixels.shape[-1]
    side = min(options.side, whole)
    small = BASELINES["downsample"](task.pixels, channels * side**2)
    network = TrainingOptions(options.network, "original", side=side, epochs=options.epochs)

    def scores(inputs: Array, how: TrainingOptions) -> list[Array]:
        return [
            score_by_network(inputs, task.labels, task.folds, replace(how, seed=seed))
            for seed in range(options.seeds)
        ]

    yield line_of(
        task, f"original at {side}×{side}", options.network, small[0].size, scores(small, network)
    )
    for spec in specs:
        codes = Codec(spec).encode(task.pixels).array
        setting, numbers = f"J={spec.level}, P={spec.grid_shape[0]}", spec.numbers(channels)
        seen = TrainingOptions(options.network, "images", spec, epochs=options.epochs)
        made = f"image of {setting}, {'×'.join(map(str, spec.compact_shape()))}"
        yield line_of(task, made, options.network, numbers, scores(codes, seen))
        linear = score_by_logistic(codes, task.labels, task.folds, rooted=True)
        yield line_of(task, f"code {setting}", "logistic", numbers, [linear])


def main(words: Sequence[str] | None = None) -> None:
    """Judge every task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=list(TASKS))
    parser.add_argument("--network", default="resnet18", help="as deepfixcx train --model")
    parser.add_argument("--side", type=int, default=SIDE, help="of the original that it sees")
    parser.add_argument("--level", type=int, default=2, help="J")
    parser.add_argument("--patches", type=int, nargs="+", default=[8, 32], help="P")
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=30, help="most passes")
    parser.add_argument("--tiny", action="store_true", help="a drawn task, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(words)
    data = options.data or Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data")
    parts: list[str] = []
    lines: list[Line] = []
    for name in ["tiny"] if options.tiny else options.tasks:
        task = tiny_task(options.folds) if options.tiny else TASKS[name](data, options.folds)
        deepest = task.pixels.shape[-1] // 2**options.level
        specs = [CodecSpec(options.level, each) for each in options.patches if each <= deepest]
        own = list(lines_of(task, specs, options))
        lines += own
        parts += [f"**{task.name}** ({counts_of(task)})", utility_table(own).markdown()]
        print("\n\n".join(parts[-2:]), end="\n\n", flush=True)
    parts.append(_conditions(options))
    print(parts[-1])
    if options.markdown is not None:
        put_section(options.markdown, "networks", parts)
    if options.json is not None:
        options.json.write_text(
            json.dumps([asdict(line) for line in lines], indent=2) + "\n", "utf-8"
        )


def _conditions(options: argparse.Namespace) -> str:
    words = " --tiny" if options.tiny else f" --tasks {' '.join(options.tasks)}"
    words += f" --network {options.network} --side {options.side} --level {options.level}"
    words += f" --patches {' '.join(map(str, options.patches))} --folds {options.folds}"
    return (
        f"Made by `python -m benchmarks.networks{words} --seeds {options.seeds} "
        f"--epochs {options.epochs}`. Networks begin untrained. Folds never share a patient; the "
        f"AUC compares images of one fold, with 95 % intervals over patients."
    )


if __name__ == "__main__":
    main()
