"""Encode against grouped convolutions, ptwt and PyWavelets, on the same arrays, by turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, finish, new_parser
from benchmarks.table import Table, number
from deepfixcx import Codec, CodecSpec
from deepfixcx.bench.machine import (
    MemoryReader,
    by_turns,
    describe_machine,
    median_seconds,
    sample_pixels,
)

__all__ = ["Rates", "encode_table", "main", "rates_of", "same_numbers"]

CASES = (
    *((320, 320, level, patches) for level, patches in
      ((1, 160), (1, 79), (2, 19), (3, 5), (5, 5), (6, 5), (8, 1))),
    (1024, 1024, 3, 16), (1024, 1024, 5, 8), (2320, 2828, 3, 16), (2320, 2828, 6, 8),
)  # fmt: skip
TINY = ((32, 32, 1, 16), (40, 36, 3, 2))
DTYPES = ("float32", "uint8")
CODEC_BYTES, CODEC_IMAGES = 1 << 28, 1024
BATCH_PIXELS = 16 * 320 * 320
DEEPEST_PTWT = 6
SLOW = 4.0
"""A call that takes more seconds than this is measured once, and marked."""

TURN = 0.15
"""Seconds that a call of the others takes at least, where there are enough images."""

ALLOWED = 1e-4
Measured = tuple[dict[str, float], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Rates:
    """Images a second of everyone in one setting; None for who was left out.

    Attributes
    ----------
    case : str
        The setting in words.
    codec, codec_balanced : float
        This package, on the grid that the others use and on its own default.
    others : dict of str to (float or None)
        By name.
    once : frozenset of str
        Whose rate comes from a single call.
    share : float
        Bytes in and out a second, on the default grid, as a share of the bandwidth.
    bandwidth : float
        Bytes a second read from memory, measured by turns with the others.
    """

    case: str
    codec: float
    codec_balanced: float
    others: dict[str, float | None]
    once: frozenset[str]
    share: float
    bandwidth: float

    def times(self, name: str) -> float | None:
        """How many times faster the codec is than one of the others."""
        rate = self.others[name]
        return None if rate is None else self.codec / rate


def rates_of(calls: Mapping[str, tuple[Callable[[], object], int]], rounds: int) -> Measured:
    """Time calls by turns, each given with its number of images; return images a second.

    A call that takes longer than `SLOW` is made once.
    """
    first = {name: seconds_of(call) for name, (call, _) in calls.items()}
    once = frozenset(name for name in calls if first[name] > SLOW)
    quick = {name: call for name, (call, _) in calls.items() if name not in once}
    seconds = median_seconds(quick, rounds, warm=False) | {name: first[name] for name in once}
    return {name: images / seconds[name] for name, (_, images) in calls.items()}, once


def seconds_of(call: Callable[[], object]) -> float:
    """Time one call."""
    return by_turns({"call": call}, 1, warm=False)["call"][0]


def enough(call: Callable[[NDArray[Any]], object], few: NDArray[Any], most: int) -> NDArray[Any]:
    """Repeat images until a call on them takes about `TURN` seconds.

    A turn of one small batch would be spent on filling caches that the others have just used.
    """
    if seconds_of(lambda: call(few)) > TURN:
        return few
    times = round(TURN / seconds_of(lambda: call(few)))
    return np.resize(few, (len(few) * max(1, min(times, most // len(few))), *few.shape[1:]))


def same_numbers(ours: NDArray[Any], theirs: NDArray[Any], who: str) -> None:
    """Refuse to compare speeds of programs that compute different numbers.

    Raises
    ------
    ValueError
        They differ by more than 1e-4 (of the largest number, where that is above 1).
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"{who} computes {theirs.shape}, the codec {ours.shape}")
    worst = float(np.abs(ours - theirs).max())
    if not worst <= ALLOWED * max(1.0, float(np.abs(ours).max())):
        raise ValueError(f"{who} differs from the codec by {worst:.1e}")


def compare(
    case: tuple[int, int, int, int], dtype: str, rounds: int, threads: int, reader: MemoryReader
) -> Rates:
    """Measure everyone in one setting."""
    from benchmarks.baselines import Conv, Ptwt, PyWavelets

    height, width, level, patches = case
    spec = CodecSpec(level, patches, grid="padded")
    ours, default = Codec(spec), Codec(CodecSpec(level, patches))
    count = max(2, min(CODEC_IMAGES, CODEC_BYTES // (4 * height * width)))
    batch = max(1, min(16, BATCH_PIXELS // (height * width), count))
    few = sample_pixels(batch, height, width, dtype)
    pixels = np.resize(few, (count, 1, height, width))
    others: dict[str, Any] = {"conv2d": Conv(spec, threads, batch)}
    if dtype == "float32" or level <= 3:
        others["PyWavelets"] = PyWavelets(spec, threads, max(1, batch // threads))
        if level <= DEEPEST_PTWT:
            others["ptwt"] = Ptwt(spec, threads, batch)
    wanted = ours.encode(few[:, None]).array[:, 0]
    for name, other in others.items():
        if name != "ptwt" or level <= 3:  # deeper, one call takes seconds
            same_numbers(wanted, other.encode(few), name)
    calls: dict[str, tuple[Callable[[], object], int]] = {
        "codec": (lambda: ours.encode(pixels), count),
        "codec_balanced": (lambda: default.encode(pixels), count),
        "read": (reader.read, reader.nbytes),
    }
    for name, other in others.items():
        many = enough(other.encode, few, count)
        calls[name] = (_call(other, many), len(many))
    rates, once = rates_of(calls, rounds)
    moved = pixels.nbytes / count + 4 * spec.numbers(1)
    return Rates(
        case=f"{height}×{width}, J={level}, P={patches}, {dtype}",
        codec=rates["codec"],
        codec_balanced=rates["codec_balanced"],
        others={name: rates.get(name) for name in ("conv2d", "ptwt", "PyWavelets")},
        once=once,
        share=rates["codec_balanced"] * moved / rates["read"],
        bandwidth=rates["read"],
    )


def _call(other: Any, pixels: NDArray[Any]) -> Callable[[], object]:
    return lambda: other.encode(pixels)


def encode_table(rows: Sequence[Rates]) -> Table:
    """Lay rates out: images a second, then how many times faster the codec is."""
    names = list(rows[0].others) if rows else []
    table = Table(
        [
            "images", "codec, images/s", "default grid", "of the bandwidth", *names,
            *(f"× {name}" for name in names),
        ]
    )  # fmt: skip
    for row in rows:
        rates, ratios = [], []
        for name in names:
            rate, ratio = row.others[name], row.times(name)
            rates.append("–" if rate is None else number(rate) + "¹" * (name in row.once))
            ratios.append("–" if ratio is None else number(ratio))
        table.add(
            row.case, number(row.codec), number(row.codec_balanced), f"{row.share:.2f}",
            *rates, *ratios,
        )  # fmt: skip
    return table


def geometric_mean(values: Sequence[float]) -> float:
    """Return the mean of ratios."""
    return math.exp(sum(map(math.log, values)) / len(values))


def main(words: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    options = arguments(new_parser(__doc__), words)
    machine, began = describe_machine(), time.perf_counter()
    reader = MemoryReader(options.threads)
    rows = []
    for case in TINY if options.tiny else CASES:
        for dtype in DTYPES:
            rows.append(compare(case, dtype, options.rounds, options.threads, reader))
            print(rows[-1], flush=True)
    small = [row for row in rows if options.tiny or row.case.startswith("320")]
    ratios = [row.times("conv2d") or 0 for row in small]
    bandwidths = sorted(row.bandwidth / 1e9 for row in rows)
    notes = [
        f"Read bandwidth of {options.threads} threads, measured by turns with each row: "
        f"{bandwidths[0]:.1f} to {bandwidths[-1]:.1f} GB/s. Against conv2d at 320×320: "
        f"geometric mean × {number(geometric_mean(ratios))}, least × {number(min(ratios))}. "
        f"All columns but *default grid* compute the same numbers, on the paper's padded grid; "
        f"*of the bandwidth* is bytes in and out on the default grid. ¹ A single call.",
        f"The whole run took {time.perf_counter() - began:.0f} s.",
    ]
    figures = [asdict(row) | {"once": sorted(row.once)} for row in rows]
    finish(options, "encode", machine, [("", encode_table(rows))], notes, figures)


if __name__ == "__main__":
    main()
