"""The program ``deepfixcx``: its subcommands, and how errors leave it.

Exit codes: 0 all done; 1 stopped while running; 2 bad arguments or unusable input; 3 some inputs
failed, some files of a release are wrong, or a scan found something: it is listed; 130 interrupted;
143 asked to end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated

import typer

from deepfixcx import __version__
from deepfixcx.cli import (
    apply_withdrawal,
    audit,
    bench,
    deidentify,
    demo,
    evaluate,
    explain,
    frontier,
    inspect,
    node,
    predict,
    privatize,
    report,
    scan,
    show,
    status,
    studio,
    sweep,
    train,
    verify,
    withdraw,
)
from deepfixcx.cli._console import INTERRUPTED, fail
from deepfixcx.cli._help import Command, Group
from deepfixcx.cli._outside import check_outside, check_places
from deepfixcx.errors import DeepfixcxError, ReleaseStoppedError, TrainingStoppedError

__all__ = ["app", "main"]

STOPPED, BAD_ARGUMENTS = 1, 2

app = typer.Typer(
    name="deepfixcx",
    cls=Group,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,  # a traceback with local variables would show patient data
    rich_markup_mode=None,  # help in plain lines: its tables would need twice the screen
)


def _with_exit_codes(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors into one line on the terminal and an exit code."""

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        try:
            check_outside(options)
            check_places(options)
            command(*args, **options)
        except (ReleaseStoppedError, TrainingStoppedError) as error:
            fail(str(error))
            raise typer.Exit(STOPPED) from None
        except DeepfixcxError as error:
            fail(str(error))
            raise typer.Exit(BAD_ARGUMENTS) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


for name, module in (
    ("privatize", privatize),
    ("deidentify", deidentify),
    ("status", status),
    ("node", node),
    ("verify", verify),
    ("withdraw", withdraw),
    ("apply-withdrawal", apply_withdrawal),
    ("scan", scan),
    ("inspect", inspect),
    ("show", show),
    ("train", train),
    ("evaluate", evaluate),
    ("predict", predict),
    ("sweep", sweep),
    ("explain", explain),
    ("report", report),
    ("studio", studio),
    ("audit", audit),
    ("frontier", frontier),
    ("demo", demo),
    ("bench", bench),
):
    app.command(name, cls=Command)(_with_exit_codes(module.command))


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"deepfixcx {__version__}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Privatize and compress medical images without learning.

    Start with deepfixcx demo, or draw one image with deepfixcx show.
    """


def main() -> None:
    """Run the program."""
    app()
