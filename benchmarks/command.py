"""What every benchmark's command line has in common."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.table import Table, put_section
from deepfixcx.bench import Machine
from deepfixcx.bench.machine import describe_machine

__all__ = ["arguments", "finish", "new_parser", "set_threads"]

BUSY = 0.5


def new_parser(what: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks take."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--rounds", type=int, default=7, help="medians of so many")
    parser.add_argument("--threads", type=int, default=2, help="threads, or worker processes")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser


def arguments(parser: argparse.ArgumentParser, words: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options and hold everyone to the same number of threads.

    torch's idle threads are told to sleep rather than to spin: on a machine where they share the
    cores with anything else, spinning makes its convolutions several times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = parser.parse_args(words)
    set_threads(options.threads)
    return options


def set_threads(threads: int) -> None:
    """Give the codec so many threads; baselines are told by whoever builds them."""
    os.environ["DEEPFIXCX_THREADS"] = str(threads)


def finish(
    options: argparse.Namespace,
    name: str,
    machine: Machine,
    tables: Sequence[tuple[str, Table]],
    notes: Sequence[str] = (),
    figures: object = None,
    *,
    flags: str = "",
) -> None:
    """Print the tables, and put them where the options ask for them.

    `flags` are the options that belong to the command shown below the table.
    """
    parts: list[str] = []
    for title, table in tables:
        parts += [f"**{title}**" if title else "", table.markdown()]
    parts += [*notes, conditions(f"{name}{flags}", options, machine)]
    parts = [part for part in parts if part]
    print("\n\n".join(parts), flush=True)
    if options.markdown is not None:
        put_section(options.markdown, name, parts)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def conditions(command: str, options: argparse.Namespace, before: Machine) -> str:
    """Say below a table how it was made, and whether the machine was free."""
    after = describe_machine().load_average
    others = "The machine was otherwise free."
    if before.load_average > BUSY:
        others = "**The machine was shared with other work**, which slows all columns."
    how = f"medians of {options.rounds}, by turns" if options.rounds > 1 else "one run each"
    return (
        f"Made by `python -m benchmarks.{command} --rounds {options.rounds} --threads "
        f"{options.threads}`: {how}. {before}; {after:.2f} at the end. {others}"
    )
