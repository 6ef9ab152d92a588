"""Codes on a GPU: images and volumes a second, share of its bandwidth, and equality with the CPU.

Without a GPU everything runs on the CPU, which checks the program and measures no device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.command import arguments, finish, new_parser
from benchmarks.encode import same_numbers
from benchmarks.table import Table, number
from deepfixcx import Codec, CodecSpec
from deepfixcx.bench.machine import describe_machine
from deepfixcx.torch import Decode, Encode
from deepfixcx.torch.functional import kernel_for

__all__ = ["main"]

CASES = (  # level, patches, size, count
    (2, 19, (320, 320), 8192),
    (3, 5, (320, 320), 8192),
    (5, 5, (320, 320), 8192),
    (2, 16, (256, 256, 256), 8),
    (3, 8, (256, 256, 256), 8),
)
TINY = ((1, 4, (16, 20), 3), (2, 2, (16, 16, 16), 2))
DTYPES = (torch.uint8, torch.float32)
COMPARED = 16
"""Images, or all volumes, whose codes and reconstructions are compared with those of the CPU."""

COPIED = 1 << 28
"""Numbers that are copied to measure the bandwidth of a device: 1 GiB each way."""


@dataclass(frozen=True, slots=True)
class Row:
    """Images or volumes a second in one setting."""

    case: str
    kernel: str
    encode: float
    share: float
    decode: float
    bandwidth: float


def seconds_of(call: Callable[[], Tensor], device: torch.device, rounds: int) -> float:
    """Return the median time of a call, with all work of the device done."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    call()  # compiles
    times = []
    for _ in range(rounds):
        wait()
        start = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def compare(
    case: tuple[int, int, tuple[int, ...], int], dtype: torch.dtype, device: torch.device,
    rounds: int, copied: int,
) -> Row:  # fmt: skip
    """Measure one setting; codes and reconstructions must be those of the CPU."""
    level, patches, size, count = case
    spec = CodecSpec(level, patches, ndim=len(size))
    generator = torch.Generator().manual_seed(0)
    some = torch.rand((min(count, COMPARED), 1, *size), generator=generator)
    some = some if dtype == torch.float32 else (some * 255).to(dtype)
    encode, decode = Encode(spec), Decode(spec, size=size)
    codec = Codec(spec)
    code = codec.encode(some.numpy())
    pixels = some.to(device).repeat(-(-count // len(some)), *[1] * (1 + len(size)))[:count]
    with torch.inference_mode():
        made = encode(pixels)
        few = made[: len(some)]
        same_numbers(code.array, few.float().cpu().numpy(), str(device))
        back = np.asarray(codec.decode(code, "original"))
        same_numbers(back, decode(few).cpu().numpy(), f"{device}, decoding,")
        encoding = seconds_of(lambda: encode(pixels), device, rounds)
        decoding = seconds_of(lambda: decode(made), device, rounds)
        source = torch.zeros(copied, device=device)
        bandwidth = 2 * 4 * copied / seconds_of(source.clone, device, rounds)
    moved = pixels.nbytes + made.nbytes
    sides = "×".join(map(str, size))
    return Row(
        f"{sides}, J={level}, P={patches}, {str(dtype).removeprefix('torch.')}",
        kernel_for(pixels, spec),
        count / encoding,
        moved / encoding / bandwidth,
        count / decoding,
        bandwidth,
    )


def table_of(rows: Sequence[Row]) -> Table:
    """Lay out rates and shares of the bandwidth."""
    table = Table(["images or volumes", "kernel", "encode, 1/s", "of the bandwidth", "decode, 1/s"])
    for row in rows:
        rates = number(row.encode), f"{row.share:.2f}", number(row.decode)
        table.add(row.case, row.kernel, *rates)
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = new_parser(__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = arguments(parser, words)
    device, machine = torch.device(options.device), describe_machine()
    tiny = options.tiny or device.type == "cpu"
    rows = []
    for case in TINY if tiny else CASES:
        for dtype in DTYPES:
            rows.append(compare(case, dtype, device, options.rounds, 1 << 16 if tiny else COPIED))
            print(rows[-1], flush=True)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        rates = sorted(row.bandwidth / 1e9 for row in rows)
        note = f"{name}, bandwidth of copies {rates[0]:,.0f} to {rates[-1]:,.0f} GB/s."
    else:
        note = "No GPU: small sizes on the CPU. The speed of a GPU is unmeasured."
    notes = [f"{note} Codes and reconstructions equal those of the CPU."]
    finish(options, "gpu", machine, [("", table_of(rows))], notes, [asdict(row) for row in rows])


if __name__ == "__main__":
    main()
