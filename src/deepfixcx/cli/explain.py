"""``deepfixcx explain``: what a code keeps of an image; with a model, why it decided."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx.choices import Boundary, Grid
from deepfixcx.cli._options import (
    BOUNDARY,
    DEVICE,
    GRID,
    JSON,
    LEVEL,
    MAX_PIXELS,
    NETWORK,
    OVERWRITE,
    PATCHES,
    PATIENT,
    POOLING,
    SUGGESTED_LEVEL,
    SUGGESTED_PATCHES,
    WAVELET,
    WORKERS,
    complete_baselines,
    complete_methods,
    spec_of,
)

if TYPE_CHECKING:
    from deepfixcx.spec import CodecSpec

__all__ = ["command"]


def command(
    where: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="An image or a file of codes; with --model also a folder, table, or release.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for figures and tables.")],
    level: Annotated[int | None, LEVEL] = None,
    patches: Annotated[str | None, PATCHES] = None,
    wavelet: Annotated[str | None, WAVELET] = None,
    pooling: Annotated[str | None, POOLING] = None,
    boundary: Annotated[Boundary | None, BOUNDARY] = None,
    grid: Annotated[Grid | None, GRID] = None,
    spec: Annotated[
        Path | None,
        typer.Option(help="A .json file with all settings: of a spec, a release or a model."),
    ] = None,
    index: Annotated[
        int | None,
        typer.Option(help="Index of the image in a file of codes, or of the frame; from 0."),
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(help="Pixel spacing in mm, as 0.14 or rows x columns; DICOM states its own."),
    ] = None,
    show_original: Annotated[
        bool,
        typer.Option(
            "--show-original",
            help="Also draw the image; without --model also its difference from the "
            "reconstruction.",
        ),
    ] = False,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Model folder, written by train: explain its scores instead."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="With --model: label to explain; default: the first.")
    ] = None,
    patient: Annotated[str | None, PATIENT] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="With --model: integrated-gradients (default), deeplift, gradient-shap, "
            "occlusion, occlusion-by-cell or occlusion-by-band.",
            autocompletion=complete_methods,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="With --model: baseline of the attribution: mean, details or zeros.",
            autocompletion=complete_baselines,
        ),
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="With --model: number of images with their own figure.")
    ] = None,
    network: Annotated[str | None, NETWORK] = None,
    device: Annotated[str | None, DEVICE] = None,
    workers: Annotated[int | None, WORKERS] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Show what a code keeps of an image: each band by scale and direction.

    Writes a figure, a table of the bands and a JSON file. The original is drawn only with --show-
    original.

    With --model, explain the scores of a model that was trained on codes.

    Example: deepfixcx explain xray.dcm -o explained --level 3 --patches 8
    """
    from deepfixcx.datasets.files import local_path

    where = local_path(where, "what explain takes")
    settings: dict[str, object] = {
        "--level": level,
        "--patches": patches,
        "--wavelet": wavelet,
        "--pooling": pooling,
        "--boundary": boundary,
        "--grid": grid,
    }
    if model is not None:
        mine = {"--spec": spec, "--index": index, "--spacing": spacing, "--max-pixels": max_pixels}
        _refuse(settings | mine, "not allowed with --model, whose folder states its settings")
        from deepfixcx.cli.explain_model import explain_with_model

        explain_with_model(
            local_path(model, "a model"), where, out, label=label, patient=patient,
            method=method or "integrated-gradients", baseline=baseline or "mean", images=images,
            show_original=show_original, network=network, device=device or "auto",
            workers=workers, overwrite=overwrite, json=json,
        )  # fmt: skip
        return
    of_models: dict[str, object] = {"--label": label, "--patient": patient, "--method": method}
    of_models |= {"--baseline": baseline, "--images": images, "--network": network}
    of_models |= {"--device": device}
    _refuse(of_models | {"--workers": workers}, "these options require --model")
    from deepfixcx.cli.explain_code import Asked, explain_one

    whole: CodecSpec | None = None
    if where.suffix.lower() == ".safetensors":
        taken = {"--spec": spec, "--max-pixels": max_pixels}
        taken |= {"--show-original": show_original or None}
        _refuse(
            settings | taken, ("these options are for images; a file of codes states its settings")
        )
    elif spec is not None:
        _refuse(
            settings,
            ("not allowed with --spec, which states all settings; omit them, or omit --spec"),
        )
        whole = _read_spec(local_path(spec, "a spec"))
    else:
        whole = spec_of(
            SUGGESTED_LEVEL if level is None else level,
            patches or str(SUGGESTED_PATCHES),
            wavelet or "haar",
            pooling or "l1",
            boundary or "zero",
            grid or "balanced",
        )
    pair = None if spacing is None else _parse_spacing(spacing)
    asked = Asked(whole, index or 0, pair, show_original, max_pixels, overwrite)
    explain_one(where, out, asked, json=json)


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Refuse options that would be ignored."""
    from deepfixcx.errors import ExplanationError

    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ExplanationError(f"{', '.join(given)}: {why}")


def _read_spec(path: Path) -> CodecSpec:
    """Read a spec from its own file, or from one of a release, a model or an explanation."""
    import json as json_module

    from deepfixcx.errors import SpecError
    from deepfixcx.spec import CodecSpec

    try:
        found = json_module.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SpecError(f"--spec {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SpecError(f"--spec {str(path)!r} is not JSON") from None
    for inside in ("options", "spec"):
        found = found.get(inside, found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise SpecError(f"--spec {str(path)!r} holds no codec settings")
    return CodecSpec.from_dict(found)


def _parse_spacing(text: str) -> tuple[float, float]:
    """Read ``0.14`` or ``0.14x0.2``; whether they are above 0 is asked later."""
    from deepfixcx.errors import ExplanationError

    numbers = text.lower().split("x")
    try:
        pair = [float(number) for number in numbers]
    except ValueError:
        pair = []
    if not 1 <= len(pair) <= 2:
        raise ExplanationError(
            f"--spacing is millimetres such as 0.14, or rows x columns as 0.14x0.2; got {text!r}"
        )
    return pair[0], pair[-1]
