"""Volumes: `Codec(ndim=3)` against PyWavelets and a packet of conv3d on torch, by turns."""

from __future__ import annotations

import itertools
import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from benchmarks.command import arguments, finish, new_parser
from benchmarks.encode import rates_of, same_numbers
from benchmarks.table import Table, number
from deepfixcx import Codec, CodecSpec
from deepfixcx.bench.machine import MemoryReader, describe_machine
from deepfixcx.images.volumes import read_volume
from deepfixcx.packets import pixel_scale

__all__ = ["main"]

CASES = ((256, 2, 16), (256, 3, 8), (512, 3, 8))
TINY = ((16, 1, 4), (16, 2, 2))
DTYPES = ("uint16", "float32")
LARGEST_OF_OTHERS = 256
"""Side above which the others are omitted: PyWavelets would hold several times the volume."""


@dataclass(frozen=True, slots=True)
class Row:
    """Volumes a second of each program in one setting; None where it was omitted."""

    case: str
    encode: float
    decode: float
    share: float
    decode_share: float
    pywavelets: float | None
    conv3d: float | None
    bandwidth: float


def by_pywavelets(volume: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Encode with PyWavelets' transform of n dimensions and means of absolute values."""
    unit = volume / np.float32(np.iinfo(volume.dtype).max if volume.dtype.kind == "u" else 1)
    bands = [unit.astype(np.float32)]
    keys = ["".join(letters) for letters in itertools.product("ad", repeat=3)]
    for _ in range(spec.level):
        split = [pywt.dwtn(band, spec.wavelet, "periodization") for band in bands]
        bands = [parts[key] for parts in split for key in keys]
    return _block_means(np.abs(np.stack(bands)), spec)


def by_conv3d(spec: CodecSpec, threads: int) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return an encoder of grouped convolutions with stride 2, as the research code has in 2-D."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    low, high = (torch.tensor(taps) for taps in pywt.Wavelet(spec.wavelet).filter_bank[:2])
    pairs = itertools.product((low, high), repeat=3)
    filters = torch.stack([torch.einsum("i,j,k->ijk", *three) for three in pairs])[:, None].float()

    def encode(volume: NDArray[Any]) -> NDArray[np.float32]:
        scale = np.float32(np.iinfo(volume.dtype).max if volume.dtype.kind == "u" else 1)
        bands = torch.from_numpy(volume.astype(np.float32) / scale)[None, None]
        for _ in range(spec.level):
            groups = bands.shape[1]
            every = filters.repeat(groups, 1, 1, 1, 1)
            bands = functional.conv3d(bands, every, stride=2, groups=groups)
        with torch.no_grad():
            size = bands.shape[-1] // spec.grid_shape[-1]
            pooled = functional.avg_pool3d(bands.abs(), size)
        return np.asarray(pooled[0].numpy(), np.float32)

    return encode


def _block_means(bands: NDArray[np.float32], spec: CodecSpec) -> NDArray[np.float32]:
    slices, rows, columns = spec.grid_shape
    count, d, h, w = bands.shape
    laid = bands.reshape(count, slices, d // slices, rows, h // rows, columns, w // columns)
    means: NDArray[np.float32] = laid.mean((2, 4, 6), dtype=np.float64).astype(np.float32)
    return means


def processor_time(side: int, rounds: int) -> Table:
    """Measure encode and decode of one thread by processor time, which other work changes little.

    Reading is that of the volume, as whole vectors.
    """
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 65535, (side,) * 3, np.uint16)
    table = Table(["volume", "encode, ms", "of the bandwidth", "decode, ms"])
    reader = MemoryReader(1)
    for level, patches in ((1, 16), (2, 16), (3, 8)):
        codec = Codec(level, min(patches, side >> level), ndim=3)
        code = codec.encode(volume)
        calls: list[Callable[[], object]] = [
            lambda codec=codec: codec.encode(volume),  # type: ignore[misc]
            lambda codec=codec, code=code: codec.decode(code),  # type: ignore[misc]
            reader.read,
        ]
        times = [[_processor_seconds(call) for call in calls] for _ in range(rounds + 1)][1:]
        encode, decode, read = np.median(times, axis=0)
        share = (volume.nbytes + code.array.nbytes) / encode / (reader.nbytes / read)
        case = f"{side}³, J={level}, P={patches}, uint16"
        table.add(case, number(1e3 * encode), f"{share:.2f}", number(1e3 * decode))
    return table


def _processor_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(
    case: tuple[int, int, int], dtype: str, rounds: int, threads: int, reader: MemoryReader
) -> Row:
    """Measure every program in one setting; their numbers must agree."""
    side, level, patches = case
    spec = CodecSpec(level, patches, ndim=3)
    codec = Codec(spec)
    rng = np.random.default_rng(0)
    volume: NDArray[Any] = rng.random((side, side, side), np.float32)
    if dtype != "float32":
        volume = (volume * np.iinfo(dtype).max).astype(dtype)
    code = codec.encode(volume)
    calls: dict[str, tuple[Callable[[], object], int]] = {
        "encode": (lambda: codec.encode(volume), 1),
        "decode": (lambda: codec.decode(code), 1),
        "read": (reader.read, reader.nbytes),
    }
    if side <= LARGEST_OF_OTHERS:
        conv3d = by_conv3d(spec, threads)
        same_numbers(code.array[0, 0], by_pywavelets(volume, spec), "PyWavelets")
        same_numbers(code.array[0, 0], conv3d(volume), "conv3d")
        calls["PyWavelets"] = (lambda: by_pywavelets(volume, spec), 1)
        calls["conv3d"] = (lambda: conv3d(volume), 1)
    rates, _ = rates_of(calls, rounds)
    coded = code.array.nbytes
    return Row(
        case=f"{side}³, J={level}, P={patches}, {dtype}",
        encode=rates["encode"],
        decode=rates["decode"],
        share=rates["encode"] * (volume.nbytes + coded) / rates["read"],
        decode_share=rates["decode"] * (4 * volume.size + coded) / rates["read"],
        pywavelets=rates.get("PyWavelets"),
        conv3d=rates.get("conv3d"),
        bandwidth=rates["read"],
    )


def table_of(rows: Sequence[Row]) -> Table:
    """Lay rates out: volumes a second, shares of the bandwidth, ratios to the others."""
    table = Table(
        [
            "volume", "encode, volumes/s", "of the bandwidth", "decode, volumes/s",
            "of the bandwidth ", "PyWavelets", "conv3d", "× PyWavelets", "× conv3d",
        ]
    )  # fmt: skip
    for row in rows:
        others = (row.pywavelets, row.conv3d)
        table.add(
            row.case,
            number(row.encode),
            f"{row.share:.2f}",
            number(row.decode),
            f"{row.decode_share:.2f}",
            *("–" if rate is None else number(rate) for rate in others),
            *("–" if rate is None else number(row.encode / rate) for rate in others),
        )
    return table


VOLUMES = ("CT_pitch", "MNI152_T1_2mm", "MR_Gd", "spm152")
FACTORS = (4, 8)
"""Voxels a side that become one number: the ratios of MedVAE are 4**3 = 64 and 8**3 = 512."""


def errors(folder: Path) -> Table:
    """Compare reconstructions with block means of as many numbers, on real volumes."""
    table = Table(["volume", "ratio", "J = 1", "J = 2", "J = 1, sum", "block means"])
    for name in VOLUMES:
        with (folder / f"{name}.nii.gz").open("rb") as file:
            voxels = read_volume(file).voxels[0, 0]
        whole = voxels.astype(np.float32) * np.float32(pixel_scale(voxels))
        for factor in FACTORS:
            cut = tuple(slice(side // (4 * factor) * 4 * factor) for side in whole.shape)
            volume = whole[cut]
            table.add(name, f"1 : {factor**3}", *(f"{each:.1f}" for each in _psnr(volume, factor)))
    return table


def _psnr(volume: NDArray[np.float32], factor: int) -> list[float]:
    """Return PSNR in dB of codes of levels 1 and 2, of sums, and of block means."""
    cells = [tuple(side // (factor << level) for side in volume.shape) for level in (1, 2)]
    codecs = [Codec(1, cells[0], ndim=3), Codec(2, cells[1], ndim=3)]
    codecs.append(Codec(1, cells[0], pooling="sum", ndim=3))
    made = [codec.privatize(volume, "original") for codec in codecs]
    depth, height, width = (side // factor for side in volume.shape)
    means = volume.reshape(depth, factor, height, factor, width, factor).mean((1, 3, 5))
    made.append(np.kron(means, np.ones((factor,) * 3, np.float32)))
    return [-10 * math.log10(float(((np.clip(each, 0, 1) - volume) ** 2).mean())) for each in made]


def memory() -> float:
    """Return the peak of encoding 512³ uint16, in volumes; the volume itself is one."""
    codec, side = Codec(3, 8, ndim=3), 512
    codec.encode(np.zeros((64, 64, 64), np.uint16))
    volume = np.ones((side, side, side), np.uint16)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    codec.encode(volume)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1 + 1024 * (after - before) / volume.nbytes


def main(words: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = new_parser(__doc__)
    parser.add_argument("--own", action="store_true", help="only the codec, by processor time")
    options = arguments(parser, words)
    if options.own:
        os.environ["DEEPFIXCX_THREADS"] = "1"
        table = processor_time(16 if options.tiny else 256, options.rounds)
        finish(options, "volumes", describe_machine(), [("", table)], flags=" --own")
        return
    machine, began = describe_machine(), time.perf_counter()
    reader = MemoryReader(options.threads)
    notes, tables = list[str](), list[tuple[str, Table]]()
    if not options.tiny:
        notes.append(f"Encoding 512³ uint16 takes {memory():.2f} × the volume at its peak.")
    folder = Path(os.environ.get("DEEPFIXCX_DATA", "../shared/data")) / "volumes"
    if folder.is_dir() and not options.tiny:
        title = "PSNR in dB of reconstructions, beside block means of as many numbers"
        tables.append((title, errors(folder)))
    rows = []
    for case in TINY if options.tiny else CASES:
        for dtype in DTYPES:
            rows.append(compare(case, dtype, options.rounds, options.threads, reader))
            print(rows[-1], flush=True)
    bandwidths = sorted(row.bandwidth / 1e9 for row in rows)
    notes += [
        f"Read bandwidth of {options.threads} threads, measured by turns with each row: "
        f"{bandwidths[0]:.1f} to {bandwidths[-1]:.1f} GB/s. *Of the bandwidth* is bytes in and "
        "out. All programs compute the same numbers.",
        f"The whole run took {time.perf_counter() - began:.0f} s.",
    ]
    finish(
        options,
        "volumes",
        machine,
        [("", table_of(rows)), *tables],
        notes,
        [asdict(r) for r in rows],
    )


if __name__ == "__main__":
    main()
