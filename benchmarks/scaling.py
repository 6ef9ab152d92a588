"""How the cost grows with the pixels, J, P, the number of images and of workers: five plots."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.command import arguments, finish, new_parser, set_threads
from benchmarks.table import Table, number
from deepfixcx import Codec, CodecSpec
from deepfixcx.bench.disk import privatize_times
from deepfixcx.bench.machine import describe_machine, median_seconds, sample_pixels, write_samples
from deepfixcx.bench.suite import measure_encode
from deepfixcx.release import ReleaseOptions

__all__ = ["Curve", "main", "plot", "scaling_table"]

SECONDS = 0.1
SPEC = CodecSpec(level=3, patches=5)
COLOURS = {"float32": "#1b6f8a", "uint8": "#d1603d", "threads": "#1b6f8a", "processes": "#d1603d"}


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot: what was varied, and what came of it."""

    plot: str
    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def over_pixels(tiny: bool, rounds: int) -> list[Curve]:
    """Measure images of several sides at J=3, P=5."""
    sides = (40, 64) if tiny else (64, 128, 256, 320, 512, 1024, 2048, 4096)
    return [
        Curve(
            "pixels",
            dtype,
            tuple(float(side * side) for side in sides),
            tuple(1 / _rate(SPEC, side, dtype, rounds) for side in sides),
        )
        for dtype in ("float32", "uint8")
    ]


def over_level(tiny: bool, rounds: int) -> list[Curve]:
    """Measure 512 x 512 at P=2 and every level."""
    levels, side = ((1, 2), 32) if tiny else (tuple(range(1, 9)), 512)
    return [
        Curve(
            "level",
            dtype,
            tuple(map(float, levels)),
            tuple(1 / _rate(CodecSpec(level, 2), side, dtype, rounds) for level in levels),
        )
        for dtype in ("float32", "uint8")
    ]


def over_patches(tiny: bool, rounds: int) -> list[Curve]:
    """Measure 512 x 512 at J=3 and many patches."""
    cells, side = ((1, 2), 32) if tiny else ((1, 2, 4, 8, 16, 32, 64), 512)
    return [
        Curve(
            "patches",
            dtype,
            tuple(map(float, cells)),
            tuple(1 / _rate(CodecSpec(3, patches), side, dtype, rounds) for patches in cells),
        )
        for dtype in ("float32", "uint8")
    ]


def over_images(tiny: bool, rounds: int) -> list[Curve]:
    """Measure one call on more and more images of 320 x 320."""
    counts, side = ((1, 2), 40) if tiny else ((1, 4, 16, 64, 256, 1024), 320)
    codec = Codec(SPEC)
    curves = []
    for dtype in ("float32", "uint8"):
        pixels = np.resize(sample_pixels(4, side, side, dtype), (counts[-1], 1, side, side))
        calls: dict[str, Callable[[], object]] = {
            str(count): _encode(codec, pixels[:count]) for count in counts
        }
        seconds = median_seconds(calls, rounds)
        each = tuple(seconds[str(count)] / count for count in counts)
        curves.append(Curve("images", dtype, tuple(map(float, counts)), each))
    return curves


def over_workers(tiny: bool, rounds: int, most: int) -> list[Curve]:
    """Measure threads in memory, and processes from disk over PNG of 320 x 320."""
    workers = tuple(range(1, most + 1))
    side, files = (40, 64) if tiny else (320, 2000)
    threads = []
    for count in workers:
        set_threads(count)
        threads.append(_rate(SPEC, side, "uint8", rounds))
    with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
        folder = Path(place) / "images"
        write_samples(folder, "PNG", side, files)
        options = ReleaseOptions(SPEC, output="codes")
        processes = [
            float(
                np.median(
                    [privatize_times(folder, options, n).without_start for _ in range(rounds)]
                )
            )
            for n in workers
        ]
    x = tuple(map(float, workers))
    return [
        Curve("workers", name, x, tuple(rate / rates[0] for rate in rates))
        for name, rates in (("threads", threads), ("processes", processes))
    ]


def _rate(spec: CodecSpec, side: int, dtype: str, rounds: int) -> float:
    speed = measure_encode(spec, side, side, dtype, rounds=rounds, seconds=SECONDS)
    return speed.images_per_second


def _encode(codec: Codec, pixels: Any) -> Callable[[], object]:
    return lambda: codec.encode(pixels)


TITLES = {
    "pixels": ("Pixels of an image, H·W", "µs an image", "J=3, P=5", True),
    "level": ("J", "µs an image", "512×512, P=2", False),
    "patches": ("P", "µs an image", "512×512, J=3", True),
    "images": ("Images in one call", "µs an image", "320×320, J=3, P=5", True),
    "workers": ("Threads, or worker processes", "times the speed of one", "320×320, J=3, P=5",
                False),
}  # fmt: skip


def plot(curves: Sequence[Curve], target: Path) -> None:
    """Draw the curves of one plot into a PNG file."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    from matplotlib.figure import Figure

    across, up, title, logarithmic = TITLES[curves[0].plot]
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    scale = 1.0 if curves[0].plot == "workers" else 1e6
    for curve in curves:
        values = [scale * value for value in curve.y]
        axes.plot(curve.x, values, "o-", color=COLOURS[curve.name], label=curve.name)
    if curves[0].plot == "workers":
        axes.plot(curves[0].x, curves[0].x, "--", color="#999999", label="as many times")
    if logarithmic:
        axes.set_xscale("log")
    if curves[0].plot == "pixels":
        axes.set_yscale("log")
    else:
        axes.set_xticks(curves[0].x, [f"{x:.0f}" for x in curves[0].x])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
    axes.set(xlabel=across, ylabel=up, title=title)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)


def scaling_table(curves: Sequence[Curve]) -> Table:
    """Lay out what the plots show."""
    table = Table(["varied", "what", "from", "to", "at the first", "at the last"], words=2)
    for curve in curves:
        unit, scale = ("×", 1.0) if curve.plot == "workers" else ("µs", 1e6)
        table.add(
            TITLES[curve.plot][0], curve.name, number(curve.x[0]), number(curve.x[-1]),
            f"{number(scale * curve.y[0])} {unit}", f"{number(scale * curve.y[-1])} {unit}",
        )  # fmt: skip
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Measure and draw."""
    parser = new_parser(__doc__)
    parser.add_argument("--plots", type=Path, help="folder for the plots")
    options = arguments(parser, words)
    machine = describe_machine()
    groups = [
        over_pixels(options.tiny, options.rounds),
        over_level(options.tiny, options.rounds),
        over_patches(options.tiny, options.rounds),
        over_images(options.tiny, options.rounds),
        over_workers(options.tiny, options.rounds, options.threads),
    ]
    set_threads(options.threads)
    curves = [curve for group in groups for curve in group]
    if options.plots is not None:
        for group in groups:
            plot(group, options.plots / f"{group[0].plot}.png")
    flags = f" --plots {options.plots.as_posix()}" if options.plots is not None else ""
    figures = [{"plot": c.plot, "name": c.name, "x": c.x, "y": c.y} for c in curves]
    finish(options, "scaling", machine, [("", scaling_table(curves))], (), figures, flags=flags)


if __name__ == "__main__":
    main()
