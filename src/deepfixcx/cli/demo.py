"""``deepfixcx demo``: images that are on every machine, privatized, and what to look at."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import percent
from deepfixcx.cli._console import (
    SOME_FAILED,
    default_workers,
    error_console,
    panel,
    program,
    ratio,
    write_json,
)
from deepfixcx.cli._options import JSON
from deepfixcx.io.files import make_folder
from deepfixcx.io.folders import MARKER, FileLedger, id_of, own_ledger, write_own

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from deepfixcx.release import Summary

__all__ = ["command"]


DICOM_FILES = (  # shipped inside the package pydicom; others of its files are broken on purpose
    "CT_small.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "JPEG2000.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "examples_jpeg2k.dcm",
    "examples_overlay.dcm",
    "examples_palette.dcm",
    "examples_ybr_color.dcm",
)
CONTACT_ROWS = {
    "head, CT": "J2K_pixelrep_mismatch.dcm",
    "abdomen, MR": "examples_overlay.dcm",
    "ultrasound": "examples_jpeg2k.dcm",
}
"""Rows of the contact sheet below the phantom."""

PHANTOMS, SEED, PHANTOM_SIDE = 12, 20230502, 512
FIGURES, IMAGES = ("contact-sheet.png", "show.png"), "originals"
"""What a demo writes itself: two figures, and images in a folder."""

LEVEL, PATCHES = 3, 8
COLUMNS = ((3, 32), (3, 16), (3, 8), (3, 4))


def command(
    folder: Annotated[
        Path, typer.Option(help="Folder to make, or to make again after an earlier demo.")
    ] = Path("deepfixcx-demo"),
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Privatize synthetic radiographs and sample DICOM files, and draw the results.

    The DICOM files are test files of the package pydicom. Nothing is downloaded. A second run
    replaces the files of the first.

    Example: deepfixcx demo
    """
    from deepfixcx.release import ReleaseOptions, privatize_dataset
    from deepfixcx.spec import CodecSpec

    began = time.perf_counter()
    spec = CodecSpec(LEVEL, PATCHES)
    with error_console.status("drawing synthetic radiographs") as status:
        _prepare(folder)
        originals = folder / "originals"
        phantom = _write_phantoms(folder)
        _copy_dicom_files(folder)
        status.update("privatizing")
        summary = privatize_dataset(
            originals,
            folder / "shared",
            ReleaseOptions(spec, output="both"),
            workers=min(2, default_workers()),
            overwrite=bool(id_of(folder / "shared.private")),
        )
        status.update("drawing figures")
        _draw(folder, phantom)
    figures = _figures(folder, summary, time.perf_counter() - began)
    write_json(json, figures)
    _close(folder, summary, figures)
    if summary.totals["files_failed"]:
        raise typer.Exit(SOME_FAILED)


def _prepare(folder: Path) -> None:
    """Make the folder, or empty it of what an earlier demo wrote; touch nothing else."""
    from deepfixcx.errors import ReleaseError

    try:
        if os.path.lexists(folder) and not (_is_empty(folder) or _is_demo(folder)):
            raise ReleaseError(
                f"{str(folder)!r} was not made by the demo, so it was not changed; choose "
                f"another folder with --folder"
            )
        make_folder(folder)
        if left := own_ledger(folder).remove(folder):
            raise ReleaseError(
                f"{left[0]!r} in {str(folder)!r} was changed since the demo made it; move it away, "
                f"or choose another folder with --folder"
            )
        for name in ("phantoms", "dicom"):
            make_folder(folder / "originals" / name)
    except OSError as error:
        raise ReleaseError(
            f"{str(folder)!r} cannot be written: {error.strerror}; choose another folder with "
            f"--folder"
        ) from None


def _is_demo(folder: Path) -> bool:
    """Return whether a folder is that of a demo, and not a release, a model, or other results."""
    listed = FileLedger(folder / MARKER).listed
    if not id_of(folder) or not listed:  # of a demo that was stopped at once, nothing is listed
        return bool(id_of(folder)) and {path.name for path in folder.iterdir()} <= {MARKER, IMAGES}
    return all(name in FIGURES or name.startswith(f"{IMAGES}/") for name in listed)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _write_phantoms(folder: Path) -> NDArray[np.float32]:
    """Write the phantoms, and return the first."""
    import numpy as np

    from deepfixcx.images import phantom
    from deepfixcx.images.plain import png_bytes

    drawn = [
        phantom(generator, PHANTOM_SIDE)
        for generator in np.random.default_rng(SEED).spawn(PHANTOMS)
    ]
    for number, pixels in enumerate(drawn, start=1):
        content = png_bytes(pixels[np.newaxis], bits=8)
        write_own(folder, f"originals/phantoms/phantom-{number:02d}.png", content)
    return drawn[0]


def _copy_dicom_files(folder: Path) -> None:
    """Copy what the installed pydicom ships; a stripped package ships nothing, and that is fine."""
    from importlib.resources import files

    shipped = files("pydicom") / "data" / "test_files"
    for name in DICOM_FILES:
        if (shipped / name).is_file():
            write_own(folder, f"originals/dicom/{name}", (shipped / name).read_bytes())


def _draw(folder: Path, phantom: NDArray[np.float32]) -> None:
    from deepfixcx.codec import Codec
    from deepfixcx.images import read_image
    from deepfixcx.report import gallery, show_figure
    from deepfixcx.report.drawing import figure_bytes
    from deepfixcx.spec import CodecSpec

    images: dict[str, NDArray[np.float32]] = {"chest, drawn": phantom}
    for title, name in CONTACT_ROWS.items():
        path = folder / "originals" / "dicom" / name
        if path.is_file():
            images[title] = read_image(path).pixels[0]
    specs = [CodecSpec(level, patches) for level, patches in COLUMNS]
    write_own(folder, "contact-sheet.png", figure_bytes(gallery(images, specs)))
    shown = show_figure(phantom, Codec(LEVEL, PATCHES))
    write_own(folder, "show.png", figure_bytes(shown))


def _figures(folder: Path, summary: Summary, seconds: float) -> dict[str, object]:
    totals = summary.totals
    return {
        "command": "demo",
        "files": totals["files"],
        "files_done": totals["files_done"],
        "files_failed": totals["files_failed"],
        "images": totals["images"],
        "ratio_memory": ratio(totals["source_bytes"], totals["kept_bytes"]),
        "seconds": round(seconds, 3),
        "contact_sheet": str(folder / "contact-sheet.png"),
        "show": str(folder / "show.png"),
        "originals": str(folder / "originals"),
        "release": str(folder / "shared"),
    }


def _close(folder: Path, summary: Summary, figures: Mapping[str, object]) -> None:
    totals = summary.totals
    share = percent(totals["kept_values"], totals["source_values"])
    failed = totals["files_failed"]
    rows = [
        ("done", f"{totals['files_done']} of {totals['files']} files, {totals['images']} images, "
                 f"in {figures['seconds']:.0f} s"),
        ("kept", f"{share} of the values, at level {LEVEL}, patches {PATCHES}"),
        ("files", f"{folder / 'contact-sheet.png'}  reconstructions by level and patches"),
        ("", f"{folder / 'show.png'}  one image: original, privatized image and code"),
        ("", f"{folder / 'shared'}  the folder to share: images, codes, manifest.csv"),
        ("do not share", f"{folder / 'shared.private'}  the source of each image"),
        ("next", f"{program()} privatize YOUR_FOLDER shared --level {LEVEL} --patches {PATCHES}"),
    ]  # fmt: skip
    if failed:
        rows.insert(1, ("failed", f"{failed}, listed in {folder / 'shared' / 'failures.csv'}"))
    panel("demo", rows, good=not failed)
