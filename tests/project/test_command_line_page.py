"""docs/command-line.md names every command, every option and every figure, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "command-line.md").read_text("utf-8")
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def section(title: str) -> str:
    """Return the text below a heading, up to the next heading."""
    (text,) = re.findall(rf"^##+ {title}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert isinstance(text, str)
    return text


def named_in(text: str) -> set[str]:
    """Return what the first columns of the tables name in code type."""
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {name.split()[0] for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described(name: str) -> None:
    options = {
        word
        for parameter in COMMANDS[name].params
        if parameter.param_type_name == "option"
        for word in parameter.opts
    } - {"--help"}
    assert named_in(section(name)) == options


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("privatize", ["privatize IN OUT -J 2 -P 4 --workers 1"]),
        ("status", ["status OUT"]),
        ("verify", ["verify OUT"]),
        ("inspect", ["inspect IN --workers 1"]),
        ("show", ["show IN/0.png -o one.png", "show IN/0.png -o many.png --sheet"]),
        ("explain", ["explain IN/0.png -o out"]),
    ],
)
def test_every_figure_is_described(
    name: str, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("IN").mkdir()
    Image.fromarray(np.eye(64, dtype=np.uint8) * 200).save("IN/0.png")
    if name in ("status", "verify"):
        CliRunner().invoke(app, ["privatize", "IN", "OUT", "-J", "2", "-P", "4", "--workers", "1"])
    figures: set[str] = set()
    for call in calls:
        done = CliRunner().invoke(app, [*call.split(), "--json", "figures.json"])
        assert done.exit_code == 0, done.output
        *names, last = json.loads(Path("figures.json").read_text("utf-8"))
        assert last == "file_checksum"
        figures |= set(names)
    assert named_in(section(f"Names of {name}")) == figures
