"""Help that fits a screen: what is needed first, then each option with its default in brackets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand, TyperGroup

from deepfixcx._words import plain

__all__ = ["Command", "Group"]

_DEFAULT = re.compile(r"\s*\[default: \(?(.*?)\)?\]$")
_REQUIRED = re.compile(r"\s*\[required\]$")
WIDEST = 30
"""Columns of the names at most; a longer one has its text in the next line."""


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

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, in rows of name and text."""
        needed, taken = [], []
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is None:
                continue
            name, text = row
            if parameter.required or parameter.param_type_name == "argument":
                needed.append((name, _REQUIRED.sub("", text)))
            else:
                taken.append((name, _DEFAULT.sub(r" [\1]", text)))
        for title, rows in (("Needs", needed), ("Options", taken)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=WIDEST)


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
