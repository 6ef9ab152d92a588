"""``deepfixcx studio`` as a user types it; what the page does is tested in tests/studio."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


def test_a_folder_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    for words in ([str(tmp_path / "none")], ["--originals", str(tmp_path / "none")]):
        done = run("studio", *words)
        assert done.exit_code == 2
        assert "there is no folder" in done.output


def test_a_port_in_use_is_named(run: Run) -> None:
    pytest.importorskip("nicegui", reason="needs the extra studio")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("studio", "--no-browser", "--port", port)
    assert done.exit_code == 2
    assert "cannot listen" in done.output
