"""``deepfixcx apply-withdrawal``: remove from a copy what its sender withdrew."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import panel, program, write_json
from deepfixcx.cli._options import JSON
from deepfixcx.cli.withdraw import figures_of

__all__ = ["command"]


def command(
    received: Annotated[
        Path, typer.Argument(metavar="NOTICE", help="File that deepfixcx withdraw wrote.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Copy of the release.")],
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Remove from a copy of a release what its sender withdrew.

    Removes exactly the images that the notice names. Afterwards the copy has the bytes and the
    checksum of the sender's release; otherwise nothing is changed. After an interruption, run the
    same command again.

    Example: deepfixcx apply-withdrawal shared.withdrawal-9c1f20aa.json copy
    """
    from deepfixcx.release import apply_withdrawal

    made = apply_withdrawal(received, folder)
    write_json(json, figures_of("apply-withdrawal", made))
    amount = counted(made.images, "image") if made.images else "nothing: the copy is up to date"
    rows = [
        ("withdrawn", amount),
        ("rewritten", f"{counted(made.shards, 'file')} of codes"),
        ("checksum", f"{made.notice.after}  as the sender states"),
        ("next", f"{program()} verify {shlex.quote(str(folder))}"),
    ]
    panel("apply-withdrawal", rows)
