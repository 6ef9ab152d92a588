"""10,000 pairs of images a spec against the statements about what a code removes and preserves."""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.statement_checks import IMAGES, case_of, check
from benchmarks.table import Table
from deepfixcx import CodecSpec
from deepfixcx.explain.removal import KINDS, statements

__all__ = ["SPECS", "Tried", "main", "tried"]

SLOW = 20
"""Of so many images one is checked slowly: all that is preserved is computed again by hand."""

SPECS: tuple[tuple[CodecSpec, int, int, bool], ...] = (
    (CodecSpec(2, 2), 37, 29, False),
    (CodecSpec(2, 3, pooling="l2"), 33, 41, True),
    (CodecSpec(1, 4, pooling="sum"), 31, 27, False),
    (CodecSpec(2, (3, 2), pooling="sum_pos"), 45, 39, False),
    (CodecSpec(2, 3, pooling="sum_neg"), 45, 39, False),
    (CodecSpec(1, 3, pooling="max"), 27, 33, True),
    (CodecSpec(1, 3, pooling="min"), 33, 26, False),
    (CodecSpec(2, 2, pooling="median"), 35, 35, False),
    (CodecSpec(2, 5, grid="padded"), 43, 37, True),
    (CodecSpec(2, 8, pooling="sum"), 40, 40, False),
    (CodecSpec(1, 2, "db2"), 29, 31, True),
    (CodecSpec(1, 2, "bior2.2", ("sum_pos", "l1")), 33, 28, False),
)
"""Spec, height, width, in colour or not: odd sizes, every pooling, two grids, three wavelets."""


@dataclass(frozen=True, eq=False, slots=True)
class Tried:
    """What was tried against the statements about one spec."""

    pairs: int
    cells: dict[str, tuple[int, int]]  # by topic of what is removed: tried, counted
    falsified: tuple[str, ...]


def tried(spec: CodecSpec, height: int, width: int, colour: bool, pairs: int, seed: int) -> Tried:
    """Try as many pairs of images against the statements about a spec."""
    done: Counter[tuple[str, int]] = Counter()
    falsified: list[str] = []
    for number in itertools.count():
        kind = IMAGES[number % len(IMAGES)]
        case = case_of(spec, height, width, (seed, number), kind=kind, colour=colour)
        try:
            check(case, KINDS if number % SLOW == 0 else KINDS[:1])
        except AssertionError as error:
            falsified.append(f"{kind}, {number}: {error}")
        done += case.tried
        if done.total() >= pairs or number > 10 * pairs:
            break
    counted: dict[str, int] = {
        each.topic: each.cells
        for each in statements(spec, height, width)
        if each.exact and each.kind == "removed"
    }
    seen = Counter(topic for topic, _ in done)
    cells = {topic: (seen[topic], count) for topic, count in counted.items()}
    return Tried(done.total(), cells, tuple(falsified))


def main(words: Sequence[str] | None = None) -> None:
    """Print the table of what was tried against each spec."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000, help="of images, a spec")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    table = Table(
        ["spec", "image", "pairs", "removed: cells tried", "falsified", "seconds"], words=2
    )
    for spec, height, width, colour in SPECS:
        began = time.perf_counter()
        found = tried(spec, height, width, colour, options.pairs, options.seed)
        cells = ", ".join(f"{name} {one}/{of}" for name, (one, of) in found.cells.items())
        image = f"{height} × {width}{' colour' if colour else ''}"
        seconds = f"{time.perf_counter() - began:.0f}"
        table.add(str(spec), image, f"{found.pairs:,}", cells, str(len(found.falsified)), seconds)
        for words_of in found.falsified[:3]:
            print(words_of)
    print(table.markdown())


if __name__ == "__main__":
    main()
