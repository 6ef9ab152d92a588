"""``deepfixcx withdraw`` and ``apply-withdrawal``: remove a patient from a release or a copy."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import panel, program, write_json
from deepfixcx.cli._options import JSON, KEY, PSEUDONYMS

if TYPE_CHECKING:
    from deepfixcx.release import Withdrawal

__all__ = ["apply_command", "command"]


def command(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Release folder.")],
    patient: Annotated[
        str, typer.Option("--patient", metavar="<ID>", help="Patient to withdraw, or pseudonym.")
    ] = "",
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="<ID>", help="Image to withdraw: ID, or source name."),
    ] = None,
    patients: Annotated[
        Path | None, typer.Option(help="Table of images and patients, if OUT has no patients.")
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="Column of patients in that table.", show_default="recognised"),
    ] = None,
    notice: Annotated[
        Path | None, typer.Option(help="Notice for recipients.", show_default="beside OUT")
    ] = None,
    key: Annotated[Path | None, KEY] = None,
    pseudonyms: Annotated[Path | None, PSEUDONYMS] = None,
    private: Annotated[
        Path | None,
        typer.Option("--private", help="Folder of its ledger; default: OUT.private."),
    ] = None,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Remove a patient from a finished release.

    Removes their files, rows of codes and rows of all tables from OUT and OUT.private, and writes
    a notice of IDs and checksums for recipients, who run deepfixcx apply-withdrawal. All other
    images keep their IDs and values. After an interruption, run the same command again.

    Example: deepfixcx withdraw shared --patient 4711
    """
    from deepfixcx.release import withdraw

    made = withdraw(
        folder,
        images=image or (),
        patient=patient,
        table=patients,
        column=column,
        private=private,
        key=key,
        pseudonyms=pseudonyms,
        notice=notice,
    )
    write_json(json, _figures_of("withdraw", made))
    path = "" if made.notice_path is None else str(made.notice_path)
    rows = [
        ("withdrawn", _amount(made)),
        ("rewritten", f"{counted(made.shards, 'file')} of codes"),
        ("checksum", f"{made.notice.after}  (SHA-256 of dataset.json)"),
        ("before", made.notice.before),
        ("notice", f"{path}  IDs and checksums only; send it to each recipient"),
        ("next", f"recipients: {program()} apply-withdrawal {shlex.quote(Path(path).name)} COPY"),
    ]
    panel("withdraw", rows)


def _amount(made: Withdrawal) -> str:
    files = counted(len(made.notice.source_ids), "source")
    return f"{counted(made.images, 'image')} of {files}"


def _figures_of(name: str, made: Withdrawal) -> dict[str, object]:
    """Return the summary as JSON values."""
    return {
        "command": name,
        "release": str(made.folder),
        "images": made.images,
        "source_ids": list(made.notice.source_ids),
        "code_files_rewritten": made.shards,
        "checksum_before": made.notice.before,
        "release_checksum": made.notice.after,
        "notice": None if made.notice_path is None else str(made.notice_path),
    }


def apply_command(
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
    write_json(json, _figures_of("apply-withdrawal", made))
    amount = counted(made.images, "image") if made.images else "nothing: the copy is up to date"
    rows = [
        ("withdrawn", amount),
        ("rewritten", f"{counted(made.shards, 'file')} of codes"),
        ("checksum", f"{made.notice.after}  as the sender states"),
        ("next", f"{program()} verify {shlex.quote(str(folder))}"),
    ]
    panel("apply-withdrawal", rows)
