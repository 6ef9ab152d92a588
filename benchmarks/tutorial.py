"""Run the tutorial, and write what its blocks print, and the pictures they make, into the page.

``python -m benchmarks.tutorial`` does both. A test runs the page in the same way and compares.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from typer.testing import CliRunner

from deepfixcx.cli.app import app

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
PICTURES = {
    "show.png": "show.png",
    "why/model.png": "why.png",
    "shared.audit/verdict.png": "verdict.png",
}
MOST_WIDTH = 1100
COLORS = 256
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOME = "~/tutorial"
PANEL_WIDTH = 80


@dataclass(frozen=True)
class Block:
    """One fenced block of the page, and where its text stands."""

    language: str
    text: str
    start: int
    stop: int


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    return [Block(m[1], m[2], m.start(2), m.end(2)) for m in FENCE.finditer(page)]


def run_blocks(blocks: list[Block], folder: Path) -> Iterator[tuple[Block, str]]:
    """Run the blocks in a folder; yield each block of output with what was really printed."""
    names: dict[str, Any] = {}
    printed = ""
    with contextlib.chdir(folder):
        for block in blocks:
            if block.language == "text":
                yield block, printed
            elif block.language == "python":
                printed = _python(block.text, names)
            else:
                printed = "".join(_command(line) for line in block.text.splitlines())


def _python(text: str, names: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, str(PAGE), "exec"), names)
    return out.getvalue()


def _command(line: str) -> str:
    words = shlex.split(line.removeprefix("$ "), comments=True)
    done = CliRunner().invoke(app, words[1:], env={"COLUMNS": str(PANEL_WIDTH), "NO_COLOR": "1"})
    if done.exit_code:
        raise RuntimeError(f"{line}\n{done.output}") from done.exception
    return "".join(f"{line}\n" for line in map(_neutral, done.output.splitlines()) if line)


def _neutral(line: str) -> str:
    """Call the folder by the name of a home, and leave the frame of a panel where it was."""
    here = str(Path.cwd())
    if here not in line:
        return line.rstrip()
    text = line.replace(here, HOME)
    return f"{text.rstrip('│ ').ljust(PANEL_WIDTH - 1)}│" if line.endswith("│") else text


def renewed(page: str, outputs: list[tuple[Block, str]]) -> str:
    """Return the page with every block of output replaced by what was printed."""
    for block, printed in reversed(outputs):
        page = page[: block.start] + printed + page[block.stop :]
    return page


def copy_pictures(folder: Path, target: Path) -> None:
    """Copy the pictures that the commands made, small enough for a page."""
    target.mkdir(exist_ok=True)
    for made, name in PICTURES.items():
        with Image.open(folder / made) as picture:
            small = picture.convert("RGB")
        small.thumbnail((MOST_WIDTH, 10 * MOST_WIDTH))
        small.quantize(COLORS).save(target / name, optimize=True)


def main() -> None:
    """Run the page in a new folder, and renew its outputs and pictures."""
    page = PAGE.read_text("utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        outputs = list(run_blocks(blocks_of(page), folder))
        copy_pictures(folder, ROOT / "docs" / "images" / "tutorial")
    PAGE.write_text(renewed(page, outputs), "utf-8")


if __name__ == "__main__":
    main()
