"""``deepfixcx studio``: a local web page to look at settings, models, releases and audits."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from deepfixcx.cli._console import console

__all__ = ["command"]


def command(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="Folder of images, releases, models, audits and sweeps; optional.",
        ),
    ] = None,
    originals: Annotated[
        Path | None,
        typer.Option(help="Folder of the original images, to show them beside the releases."),
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(help="Table of the patient of each original: shows whom an attacker finds."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any other address admits other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 selects a free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Open a web page on this machine to explore settings, releases and audits.

    Only browsers with the printed link have access. Images stay in memory, and the page loads
    nothing from other servers. Ctrl-C ends it.

    Example: deepfixcx studio
    """
    from deepfixcx.errors import ReleaseError
    from deepfixcx.studio.releases import Library
    from deepfixcx.studio.server import Studio, bound

    for given in (folder, originals):
        if given is not None and not given.is_dir():
            raise ReleaseError(f"there is no folder {str(given)!r}; omit it, or name another")
    try:
        listening = bound(host, port)
    except (OSError, OverflowError):
        raise typer.BadParameter(
            f"cannot listen on {host}, port {port}: the port is in use, or the address is not of "
            "this machine; omit --port to select a free port"
        ) from None
    owners = {} if patients is None else _patients(patients)
    library = Library(None if folder is None else folder.resolve(), originals, owners)
    studio = Studio.make(listening, library)
    console.print("[bold]studio[/bold]  open this link; it holds the access token:")
    console.print(f"\n    {studio.url}\n", soft_wrap=True, markup=False)
    if host not in ("127.0.0.1", "::1", "localhost"):
        console.print("Other machines can reach the studio, and the connection is not encrypted.")
    console.print("Ctrl-C ends it.")
    if browser:
        webbrowser.open(studio.url)
    studio.serve()


def _patients(table: Path) -> dict[str, str]:
    """Read the patient of each original from a table, by the path of the original."""
    from deepfixcx.datasets.table import listed_images
    from deepfixcx.errors import ReleaseError
    from deepfixcx.io.tables import Table

    if not table.is_file():
        raise ReleaseError(f"there is no table {str(table)!r}; correct --patients")
    found = {each.path: each.patient for each in listed_images(Table(table), None)}
    return {path: patient for path, patient in found.items() if path and patient}
