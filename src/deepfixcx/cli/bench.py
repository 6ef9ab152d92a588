"""``deepfixcx bench``: how fast this machine is, and how near to what its memory allows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx.cli._console import (
    byte_size,
    console,
    default_workers,
    error_console,
    panel,
    program,
    write_json,
)
from deepfixcx.cli._options import JSON

if TYPE_CHECKING:
    from rich.table import Table

    from deepfixcx.bench import Results

__all__ = ["command"]

BUSY = 0.5
"""A load average above this means that others use the machine too."""


def command(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer settings and repetitions: about ten seconds.")
    ] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Measure encode, decode and a release from disk on this machine, in less than a minute.

    The images are synthetic. Files are written to the folder for temporary files and removed at the
    end. Run it while no other program uses the machine.

    Example: deepfixcx bench --quick
    """
    from deepfixcx.bench import measure

    with error_console.status("measuring") as status:
        results = measure(
            quick=quick,
            workers=default_workers(),
            say=lambda step: status.update(f"measuring {step}"),
        )
    figures = _figures(results)
    write_json(json, figures)
    console.print(_memory_table(results))
    console.print(_disk_table(results))
    _close(results)


def _figures(results: Results) -> dict[str, object]:
    roof = results.read_bytes_per_second
    return {
        "command": "bench",
        "quick": results.quick,
        "machine": asdict(results.machine),
        "read_bytes_per_second": round(roof),
        "memory": [speed.to_dict(roof) for speed in results.memory],
        "from_disk": [row.to_dict() for row in results.disk],
        "seconds": round(results.seconds, 3),
    }


def _memory_table(results: Results) -> Table:
    from rich.table import Table

    table = Table(title="in memory", title_justify="left")
    for name in ("task", "images", "setting"):
        table.add_column(name)
    for name in ("images/s", "bytes/s", "of bandwidth"):
        table.add_column(name, justify="right")
    for speed in results.memory:
        wavelet = "" if speed.wavelet == "haar" else f" {speed.wavelet}"
        table.add_row(
            speed.task,
            f"{speed.height}×{speed.width} {speed.dtype}",
            f"J={speed.level} P={speed.patches}{wavelet}",
            f"{speed.images_per_second:,.0f}",
            byte_size(speed.bytes_per_second),
            f"{speed.bytes_per_second / results.read_bytes_per_second:.0%}",
        )
    return table


def _disk_table(results: Results) -> Table:
    from rich.table import Table

    table = Table(title="from disk, privatize --output codes", title_justify="left")
    table.add_column("files")
    for name in ("files/s", "with start-up", "only decoding", "share"):
        table.add_column(name, justify="right")
    for row in results.disk:
        table.add_row(
            f"{row.speed.files} {row.kind}, {row.side}×{row.side}",
            f"{row.speed.privatize:,.0f}",
            f"{row.speed.privatize_with_start:,.0f}",
            f"{row.speed.loop:,.0f}",
            f"{row.speed.share:.0%}",
        )
    return table


def _close(results: Results) -> None:
    machine = results.machine
    encode = [speed for speed in results.memory if speed.task == "encode"]
    fastest = max(encode, key=lambda speed: speed.images_per_second)
    disk = results.disk[0]
    busy = machine.load_average > BUSY
    rows = [
        ("machine", f"{machine.processor}, {machine.cores} cores, {machine.threads} threads"),
        ("bandwidth", f"{byte_size(results.read_bytes_per_second)}/s read from memory"),
        ("encode", f"up to {fastest.images_per_second:,.0f} images/s of "
                   f"{fastest.height}×{fastest.width}"),
        ("from disk", f"{disk.speed.privatize:,.0f} {disk.kind} files/s, {disk.speed.share:.0%} of "
                      f"the speed of decoding alone"),
        ("took", f"{results.seconds:.0f} s"),
    ]  # fmt: skip
    if busy:
        rows.append(
            ("busy", f"load average {machine.load_average:.2f} at the start: other programs "
                     f"used this machine, so it is faster than measured")
        )  # fmt: skip
    rows.append(("next", f"{program()} privatize YOUR_FOLDER shared --level 3 --patches 5"))
    panel("bench", rows, good=not busy)
