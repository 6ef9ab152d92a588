"""Make every table and plot of docs/performance.md anew: about half an hour on a free machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from benchmarks.command import new_parser

__all__ = ["commands", "main"]

PAGE, PLOTS = "docs/performance.md", "docs/images/performance"
PARTS: dict[str, tuple[str, ...]] = {
    "encode": (),
    "decode": (),
    "from_disk": (),
    "memory": ("--many",),
    "scaling": ("--plots", PLOTS),
    "cost_model": (),
}


def commands(rounds: int, threads: int) -> list[list[str]]:
    """Return the command of each part; each runs in a process of its own."""
    shared = ["--rounds", str(rounds), "--threads", str(threads), "--markdown", PAGE]
    return [
        [sys.executable, "-m", f"benchmarks.{name}", *shared, *own] for name, own in PARTS.items()
    ]


def main(words: Sequence[str] | None = None) -> None:
    """Run every part in turn; stop at the first that fails."""
    options = new_parser(__doc__).parse_args(words)
    for command in commands(options.rounds, options.threads):
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
