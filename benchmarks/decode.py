"""Decode against transposed convolutions, and other wavelets than Haar against everyone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.command import arguments, finish, new_parser
from benchmarks.encode import Rates, enough, rates_of, same_numbers
from benchmarks.table import Table, number
from deepfixcx import Codec, CodecSpec
from deepfixcx.bench.machine import MemoryReader, describe_machine, sample_pixels
from deepfixcx.choices import Size

__all__ = ["decode_table", "main", "wavelet_table"]

CASES = ((1, 160), (2, 19), (3, 5), (5, 5), (6, 5))
WAVELETS = ("db2", "coif2", "sym4", "bior4.4")
WAVELET_LEVEL, WAVELET_PATCHES = 3, 5
SIDE, TINY_SIDE = 320, 32
SIZES: tuple[Size, ...] = ("compact", "original")
COUNT, BATCH = 256, 16
SOME = 64
"""Images of a call of the others, in batches."""


def compare_decode(
    level: int, patches: int, size: Size, side: int, rounds: int, threads: int, reader: MemoryReader
) -> Rates:
    """Measure decode of Haar codes against transposed convolutions."""
    from benchmarks.baselines import Conv

    spec = CodecSpec(level, patches, grid="padded")
    ours, default = Codec(spec), Codec(CodecSpec(level, patches))
    pixels = np.resize(sample_pixels(BATCH, side, side), (COUNT, 1, side, side))
    code, code_default = ours.encode(pixels), default.encode(pixels)
    few = code[:BATCH]
    other = Conv(spec, threads, BATCH)
    array = np.ascontiguousarray(few.array[:, 0])
    wanted = np.asarray(ours.decode(few, size))[:, 0]
    same_numbers(wanted, other.decode(array, side, side, size), "conv_transpose2d")
    many = enough(lambda codes: other.decode(codes, side, side, size), array, COUNT)
    rates, once = rates_of(
        {
            "codec": (lambda: ours.decode(code, size), COUNT),
            "codec_balanced": (lambda: default.decode(code_default, size), COUNT),
            "conv_transpose2d": (lambda: other.decode(many, side, side, size), len(many)),
            "read": (reader.read, reader.nbytes),
        },
        rounds,
    )
    moved = 4 * (spec.numbers(1) + wanted[0].size)
    return Rates(
        f"{size}, J={level}, P={patches}",
        rates["codec"],
        rates["codec_balanced"],
        {"conv_transpose2d": rates["conv_transpose2d"]},
        once,
        rates["codec_balanced"] * moved / rates["read"],
        rates["read"],
    )


def compare_wavelet(
    wavelet: str, task: str, level: int, patches: int, side: int, rounds: int, threads: int,
    reader: MemoryReader,
) -> Rates:  # fmt: skip
    """Measure encode or decode of another wavelet against torch, ptwt and PyWavelets."""
    from benchmarks.baselines import Conv, Ptwt, PyWavelets

    spec = CodecSpec(level, patches, wavelet, grid="padded")
    codec, default = Codec(spec), Codec(CodecSpec(level, patches, wavelet))
    few = np.resize(sample_pixels(BATCH, side, side), (SOME, side, side))
    pixels = np.resize(few[:BATCH], (COUNT, 1, side, side))
    code, code_default = codec.encode(pixels), default.encode(pixels)
    conv = Conv(spec, threads, BATCH)
    wavelets = PyWavelets(spec, threads, BATCH // threads)
    torch_wavelets = Ptwt(spec, threads, BATCH)
    array = np.ascontiguousarray(code.array[:SOME, 0])
    calls: dict[str, Any]
    if task == "encode":
        same_numbers(array, conv.encode(few), "conv2d")
        ours: Any = lambda: codec.encode(pixels)  # noqa: E731 - two branches, one name
        ours_default: Any = lambda: default.encode(pixels)  # noqa: E731
        calls = {
            "conv2d": lambda: conv.encode(few),
            "ptwt": lambda: torch_wavelets.encode(few),
            "PyWavelets": lambda: wavelets.encode(few),
        }
    else:
        wanted = np.asarray(codec.decode(code[:SOME]))[:, 0]
        same_numbers(wanted, conv.decode(array, side, side, "original"), "conv_transpose2d")
        ours = lambda: codec.decode(code)  # noqa: E731
        ours_default = lambda: default.decode(code_default)  # noqa: E731
        calls = {
            "conv2d": lambda: conv.decode(array, side, side, "original"),
            "ptwt": torch_wavelets.decoder(few),
            "PyWavelets": wavelets.decoder(few),
        }
    rates, once = rates_of(
        {
            "codec": (ours, COUNT),
            "codec_balanced": (ours_default, COUNT),
            "read": (reader.read, reader.nbytes),
            **{name: (call, SOME) for name, call in calls.items()},
        },
        rounds,
    )
    moved = 4 * (spec.numbers(1) + side * side)
    return Rates(
        f"{wavelet}, {task}",
        rates["codec"],
        rates["codec_balanced"],
        {name: rates[name] for name in calls},
        once,
        rates["codec_balanced"] * moved / rates["read"],
        rates["read"],
    )


def decode_table(rows: Sequence[Rates]) -> Table:
    """Lay rates of decoding out."""
    table = Table(
        ["reconstruction", "codec, images/s", "default grid", "of the bandwidth",
         "conv_transpose2d", "× conv_transpose2d"]
    )  # fmt: skip
    for row in rows:
        rate = row.others["conv_transpose2d"] or 0
        table.add(
            row.case, number(row.codec), number(row.codec_balanced), f"{row.share:.2f}",
            number(rate), number(row.codec / rate),
        )  # fmt: skip
    return table


def wavelet_table(rows: Sequence[Rates]) -> Table:
    """Lay rates of other wavelets out."""
    names = list(rows[0].others)
    table = Table(
        ["wavelet", "codec, images/s", "default grid", *names, *(f"× {name}" for name in names)]
    )
    for row in rows:
        rates = [row.others[name] or 0 for name in names]
        table.add(
            row.case, number(row.codec), number(row.codec_balanced), *map(number, rates),
            *(number(row.codec / rate) for rate in rates),
        )  # fmt: skip
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Run the comparisons."""
    options = arguments(new_parser(__doc__), words)
    machine = describe_machine()
    side = TINY_SIDE if options.tiny else SIDE
    settings = options.rounds, options.threads, MemoryReader(options.threads)
    decoded = [
        compare_decode(level, patches, size, side, *settings)
        for level, patches in (((1, 16), (3, 2)) if options.tiny else CASES)
        for size in SIZES
    ]
    patches = 2 if options.tiny else WAVELET_PATCHES
    wavelets = [
        compare_wavelet(wavelet, task, WAVELET_LEVEL, patches, side, *settings)
        for wavelet in (WAVELETS[:1] if options.tiny else WAVELETS)
        for task in ("encode", "decode")
    ]
    tables = [
        (f"Haar, {side}×{side}", decode_table(decoded)),
        (f"Other wavelets, {side}×{side}, J={WAVELET_LEVEL}, P={patches}, original size",
         wavelet_table(wavelets)),
    ]  # fmt: skip
    notes = [
        "All columns but *default grid* use the paper's padded grid. conv2d computes the numbers "
        "of the codec; ptwt and PyWavelets keep more coefficients at the edges, so theirs differ "
        "there."
    ]
    figures = [asdict(row) | {"once": sorted(row.once)} for row in (*decoded, *wavelets)]
    finish(options, "decode", machine, tables, notes, figures)


if __name__ == "__main__":
    main()
