"""Images for the commands, and the commands themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from deepfixcx.cli.app import app


@pytest.fixture
def run() -> Callable[..., Result]:
    """Call a command in this process with the words of its command line."""

    def call(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})

    return call


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six small gray images in a folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(6):
        pixels = generator.integers(0, 256, (48, 40 + number), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder
