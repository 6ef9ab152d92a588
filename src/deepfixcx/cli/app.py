"""The program ``deepfixcx``: its subcommands, their help, and how errors leave it.

Exit codes: 0 all done; 1 stopped while running; 2 bad arguments or unusable input; 3 some inputs
failed, some files of a release are wrong, or a scan found something: it is listed; 130 interrupted;
143 asked to end.

Help fits a screen: what is needed first, then the options in groups, with defaults. A command with
more than 20 options leaves the seldom used ones to --help-all.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from deepfixcx import __version__
from deepfixcx._words import plain
from deepfixcx.cli import (
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
from deepfixcx.cli._options import check_outside, check_places
from deepfixcx.errors import DeepfixcxError, ReleaseStoppedError, TrainingStoppedError

__all__ = ["Command", "Group", "app", "main"]

_DEFAULT = re.compile(r"\s*\[default: \(?(.*?)\)?\]$")
_REQUIRED = re.compile(r"\s*\[required\]$")
WIDEST = 30
"""Columns of the names at most; a longer one has its text in the next line."""

GROUPS = {
    "Codec": "level levels patches level-z volumes wavelet pooling boundary grid spec",
    "Dataset": "labels patient public layout uncertain blank split validation test by-content "
    "part folds within",
    "Mechanism": "mechanism mechanisms min-patients attackers max-linkage epsilon pixels",
    "Release": "output size dtype names mask about tables private",
    "DICOM": "retain rules private-elements explain-rules also key pseudonyms",
    "Model": "model network cnn on side epochs patience batch learning-rate weight-decay l1 "
    "balance device",
    "Explanation": "index spacing show-original label method baseline images",
    "Run": "seed seeds samples max-pixels workers engine scheduler insecure-scheduler cache resume "
    "add overwrite dry-run log json",
}
"""Options by what they are about; each other option stands under Options."""

SELDOM = {
    "wavelet", "boundary", "grid", "layout", "uncertain", "blank", "by-content", "min-patients",
    "epsilon", "pixels", "size", "dtype", "names", "network", "patience", "side", "batch",
    "learning-rate", "weight-decay", "l1", "balance", "max-pixels", "engine", "scheduler",
    "insecure-scheduler", "cache", "pseudonyms", "tables", "about", "dry-run", "log",
    "level-z", "seed",
}  # fmt: skip
"""Options that a command with many leaves to --help-all."""

MOST_SHOWN, MOST_UNGROUPED, WHOLE = 20, 12, "--help-all"


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Spell out control characters of names of files that a shell put on the command line."""
    try:
        yield
    except Exception as error:  # its class depends on the version of typer; raised again below
        if isinstance(message := getattr(error, "message", None), str):
            error.message = plain(message)  # type: ignore[attr-defined]
        raise


class Command(TyperCommand):
    """A command that lists what it needs apart from what it takes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; --help-all is --help with every option."""
        if WHOLE in args and self._seldom(ctx):
            ctx.meta[WHOLE] = True
            args = ["--help"]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, in rows of name and text."""
        left_out = set() if WHOLE in ctx.meta else self._seldom(ctx)
        needed, taken = [], []
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is None or _long_name(parameter) in left_out:
                continue
            name, text = row
            if parameter.required or parameter.param_type_name == "argument":
                needed.append((name, _REQUIRED.sub("", text)))
            else:
                taken.append((_group(parameter), (name, _DEFAULT.sub(r" [\1]", text))))
        sections = {"Needs": needed}
        titles = ("Options", *GROUPS) if len(taken) > MOST_UNGROUPED else ("Options",)
        for title in titles:
            sections[title] = [row for group, row in taken if group == title or len(titles) == 1]
        if left_out:
            names = f"{len(left_out)} more options"
            sections["Options"].append((WHOLE, f"Show {names} and exit."))
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=WIDEST)

    def _seldom(self, ctx: Any) -> set[str]:
        """Return the options that --help leaves out, none where all fit."""
        options = (each for each in self.get_params(ctx) if each.param_type_name == "option")
        names = {_long_name(each) for each in options}
        return names & SELDOM if len(names) > MOST_SHOWN else set()


def _long_name(parameter: Any) -> str:
    """Return the name of an option without dashes, or of an argument."""
    return str(max(parameter.opts, key=len)).lstrip("-")


def _group(parameter: Any) -> str:
    name = _long_name(parameter)
    return next((title for title, names in GROUPS.items() if name in names.split()), "Options")


class Group(TyperGroup):
    """The program, which says of each command in a whole sentence what it does."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the command line up to the name of a command."""
        with _plain_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Read the rest of the command line, and run the command."""
        with _plain_errors():
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options of the program itself."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, (each.help or "").split("\n\n")[0]) for name, each in commands if each]
            )
        rows = [parameter.get_help_record(ctx) for parameter in self.get_params(ctx)]
        with formatter.section("Options"):
            formatter.write_dl([row for row in rows if row])


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


for name, command in (
    ("privatize", privatize.command),
    ("deidentify", deidentify.command),
    ("status", status.command),
    ("node", node.command),
    ("verify", verify.command),
    ("withdraw", withdraw.command),
    ("apply-withdrawal", withdraw.apply_command),
    ("scan", scan.command),
    ("inspect", inspect.command),
    ("show", show.command),
    ("train", train.command),
    ("evaluate", evaluate.command),
    ("predict", predict.command),
    ("sweep", sweep.command),
    ("explain", explain.command),
    ("report", report.command),
    ("studio", studio.command),
    ("audit", audit.command),
    ("frontier", frontier.command),
    ("demo", demo.command),
    ("bench", bench.command),
):
    app.command(name, cls=Command)(_with_exit_codes(command))


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


main = app
