"""``deepfixcx sweep``: compare levels and numbers of patches on your own data."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepfixcx._words import counted
from deepfixcx.choices import Blank, Boundary, CodeModel, Grid, Layout, Uncertain
from deepfixcx.cli._console import SOME_FAILED, StepBar, default_workers, panel, program, write_json
from deepfixcx.cli._learning import (
    find_dataset,
    left_out,
    read_as,
    see_own_modules,
)
from deepfixcx.cli._options import (
    BLANK,
    BOUNDARY,
    DATASET,
    DEVICE,
    GRID,
    JSON,
    LAYOUT,
    OVERWRITE,
    PATIENT,
    POOLING,
    RESUME,
    UNCERTAIN,
    WAVELET,
    WORKERS,
)

if TYPE_CHECKING:
    from deepfixcx.experiments.sweep import Sweep

__all__ = ["command", "parse_numbers"]

MOST_SKIPPED = 3


def command(
    where: Annotated[Path, DATASET],
    labels: Annotated[
        str, typer.Option(help="Labels to learn: pneumonia,effusion or COLUMN=VALUE|VALUE.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the sweep to make.")],
    levels: Annotated[
        str, typer.Option("--levels", "-J", help="J, levels to try: 1-6 or 2,4.")
    ] = "1-6",
    patches: Annotated[
        str, typer.Option("--patches", "-P", help="P, cells per axis to try: 2,4,8 or 1-4.")
    ] = "2,4,8",
    wavelet: Annotated[str, WAVELET] = "haar",
    pooling: Annotated[str, POOLING] = "l1",
    boundary: Annotated[Boundary, BOUNDARY] = "zero",
    grid: Annotated[Grid, GRID] = "balanced",
    model: Annotated[CodeModel, typer.Option(help="Classifier on codes.")] = "logistic",
    cnn: Annotated[
        str | None,
        typer.Option(
            help="Also train a network: densenet121, resnet18, … or package.module:Class."
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Folds of the cross-validation, divided by patient.")
    ] = 5,
    within: Annotated[
        str | None,
        typer.Option(help="Compare images within each value of an attribute, such as view."),
    ] = None,
    side: Annotated[
        int | None, typer.Option(help="Image side in pixels for the network; default: 224.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Maximum number of epochs, of mlp and network.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of folds, classifiers and intervals.")] = 0,
    layout: Annotated[Layout | None, LAYOUT] = None,
    uncertain: Annotated[Uncertain | None, UNCERTAIN] = None,
    blank: Annotated[Blank | None, BLANK] = None,
    patient: Annotated[str | None, PATIENT] = None,
    device: Annotated[str, DEVICE] = "auto",
    workers: Annotated[int | None, WORKERS] = None,
    resume: Annotated[bool, RESUME] = False,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Try levels and numbers of patches on a dataset, and recommend a setting.

    Each setting is measured by its compression, the similarity of reconstructions, and the AUC of a
    classifier on new patients, beside the original, blur and median.

    Example: deepfixcx sweep xrays --labels pneumonia -o sweep
    """
    from deepfixcx.experiments.sweep import SweepOptions, run_sweep
    from deepfixcx.spec import CodecSpec

    names = tuple(pooling.split(",")) if "," in pooling else pooling
    options = SweepOptions(
        levels=parse_numbers("--levels", levels),
        patches=parse_numbers("--patches", patches),
        like=CodecSpec(1, 1, wavelet, names, boundary, grid),
        model=model,
        cnn=cnn,
        folds=folds,
        seed=seed,
        side=side,
        epochs=epochs,
        within=within,
    )
    see_own_modules(cnn)
    dataset = find_dataset(where, labels, layout, uncertain, blank, patient)
    with StepBar("sweep", resumable=True) as bar:
        sweep = run_sweep(
            dataset,
            out,
            options,
            workers=default_workers() if workers is None else workers,
            device=device,
            resume=resume,
            overwrite=overwrite,
            reading=bar.read,
            progress=bar.step,
            draw=_draw,
        )
    figures = list(_drawn(sweep))
    write_json(json, _figures(sweep, out, figures))
    same = [str(where), "--labels", labels, *read_as(layout, uncertain, blank, patient)]
    notes = (*dataset.notes, *left_out(dataset), *sweep.notes)
    _close(sweep, notes, out, figures, same)
    if sweep.failures:
        raise typer.Exit(SOME_FAILED)


def parse_numbers(option: str, text: str) -> tuple[int, ...]:
    """Read ``1-6``, ``2,4,8`` or both."""
    from deepfixcx.errors import SpecError

    numbers: list[int] = []
    for part in text.split(","):
        ends = [end.strip() for end in part.split("-")]
        if not 1 <= len(ends) <= 2 or not all(end.isdecimal() for end in ends):
            raise SpecError(f"{option} is like 1-6 or 2,4,8; got {text!r}")
        first, last = int(ends[0]), int(ends[-1])
        if not 1 <= first <= last <= 1024:
            raise SpecError(f"{option} are numbers from 1, the smaller first; got {text!r}")
        numbers += range(first, last + 1)
    return tuple(dict.fromkeys(numbers))


def _drawn(sweep: Sweep) -> dict[str, str]:
    """Return the names of the figures, and the values that each compares."""
    names = {"heatmaps.png": ""}
    for value, name in (("auc", "baselines.png"), ("cnn_auc", "baselines-network.png")):
        if any(row.level and math.isfinite(row.figures.get(value, math.nan)) for row in sweep.rows):
            names[name] = value
    return names


def _draw(sweep: Sweep) -> dict[str, bytes]:
    """Return the figures by name."""
    from deepfixcx.report.drawing import figure_bytes
    from deepfixcx.report.grid_figures import comparison_figure, heatmap_figure

    chosen = sweep.recommendation.row
    pair = None
    if chosen is not None and chosen.level is not None and chosen.patches is not None:
        pair = (chosen.level, chosen.patches)
    return {
        name: figure_bytes(
            comparison_figure(sweep.rows, value) if value else heatmap_figure(sweep.rows, pair)
        )
        for name, value in _drawn(sweep).items()
    }


def _figures(sweep: Sweep, out: Path, figures: list[str]) -> dict[str, object]:
    chosen = sweep.recommendation.row
    return {
        "command": "sweep",
        "images": sweep.images,
        "images_failed": len(sweep.failures),
        "patients": sweep.patients,
        "rows": [
            {"level": row.level, "patches": row.patches, **_finite(row.figures)}
            for row in sweep.rows
        ],
        "skipped": [
            {"level": each.level, "patches": each.patches[0], "reason": each.reason}
            for each in sweep.skipped
        ],
        "recommended_level": None if chosen is None else chosen.level,
        "recommended_patches": None if chosen is None else chosen.patches,
        "reason": sweep.recommendation.sentence,
        "figures": figures,
        "folder": str(out),
    }


def _finite(figures: Any) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _close(
    sweep: Sweep, notes: tuple[str, ...], out: Path, figures: list[str], same: list[str]
) -> None:
    chosen = sweep.recommendation.row
    rows = [
        ("images", f"{sweep.images:,} of {counted(sweep.patients, 'patient')}"),
        ("settings", f"{len(sweep.rows) - 1} tried, {len(sweep.skipped)} do not fit"),
    ]
    rows += [
        ("", f"J={each.level}, P={each.patches[0]}: {each.reason}")
        for each in sweep.skipped[:MOST_SKIPPED]
    ]
    if sweep.failures:
        rows.append(
            ("failed", f"{counted(len(sweep.failures), 'image')}, listed in {out}/failures.csv")
        )
    rows += [("note", note) for note in notes]
    rows += [
        ("table", f"{out}/sweep.csv"),
        ("figures", ", ".join(f"{out}/{name}" for name in figures)),
        ("recommended", sweep.recommendation.sentence),
    ]
    if chosen is not None:
        words = ["train", *same, "-J", str(chosen.level)]
        words += ["-P", str(chosen.patches), "-o", "model"]
        rows.append(("next", f"{program()} {shlex.join(words)}"))
    panel("sweep", rows, good=not sweep.failures)
