"""The program as a whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import typer
from typer.testing import Result

from deepfixcx import __version__
from deepfixcx.cli.app import _with_exit_codes
from deepfixcx.errors import DeepfixcxError, ReleaseStoppedError
from tests.conftest import COMMANDS

Run = Callable[..., Result]


def test_version_and_help(run: Run) -> None:
    assert run("--version").output.strip() == f"deepfixcx {__version__}"
    text = run("--help").output
    for command in COMMANDS:
        assert command in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_teaches(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


def test_unknown_command_is_two(run: Run) -> None:
    assert run("privatise").exit_code == 2


def test_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "deepfixcx", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert __version__ in ran.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ReleaseStoppedError("the disk is full"), 1),
        (DeepfixcxError("bad"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes(error: BaseException, code: int) -> None:
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as exit_:
        _with_exit_codes(command)()
    assert exit_.value.exit_code == code
