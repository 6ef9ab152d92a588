"""``deepfixcx frontier``: compare mechanisms on your own data."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx.choices import Blank, Layout, Uncertain
from deepfixcx.cli._console import SOME_FAILED, StepBar, default_workers, panel, write_json
from deepfixcx.cli._learning import find_dataset, left_out
from deepfixcx.cli._options import (
    BLANK,
    JSON,
    LAYOUT,
    OVERWRITE,
    PATIENT,
    RESUME,
    UNCERTAIN,
    WORKERS,
    complete_attackers,
    complete_mechanisms,
    words_in,
)
from deepfixcx.cli.sweep import parse_numbers

if TYPE_CHECKING:
    from deepfixcx.datasets import Dataset, FeatureMatrix
    from deepfixcx.experiments.frontier import Frontier

__all__ = ["command"]

FIGURE = "frontier.png"
MOST_SKIPPED = 3


def command(
    where: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="Folder of a dataset, table, or features (.npz, .parquet, .safetensors).",
        ),
    ],
    labels: Annotated[
        str, typer.Option(help="Labels to preserve: pneumonia,effusion or COLUMN=VALUE.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the frontier to make.")],
    levels: Annotated[
        str | None,
        typer.Option("--levels", "-J", help="J, levels to try: 2-3 or 2,4.", show_default="3"),
    ] = None,
    patches: Annotated[
        str | None,
        typer.Option(
            "--patches", "-P", help="P, cells per axis to try: 2,4,8 or 1-4.", show_default="4"
        ),
    ] = None,
    mechanisms: Annotated[
        str | None,
        typer.Option(
            help="Mechanisms to try: plain,projection,resampling,noise-1-16.",
            autocompletion=complete_mechanisms,
        ),
    ] = None,
    attackers: Annotated[
        str,
        typer.Option(
            help="Linkage attackers: distance, whitening, siamese-mlp, siamese-cnn.",
            autocompletion=complete_attackers,
        ),
    ] = "distance,whitening",
    max_linkage: Annotated[
        float | None,
        typer.Option(help="Threshold: largest linkage AUC. Default: label-only baseline + 0.05."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Seeds of the patient splits that results are averaged over.")
    ] = 3,
    public: Annotated[
        float, typer.Option(help="Share of patients on whom mechanisms are fitted.")
    ] = 0.4,
    epsilon: Annotated[float, typer.Option(help="Of DP-Pix.")] = 1.0,
    pixels: Annotated[int, typer.Option(help="DP-Pix: number of pixels that may differ.")] = 16,
    min_patients: Annotated[int, typer.Option(help="Fewest patients of a released label.")] = 11,
    layout: Annotated[Layout | None, LAYOUT] = None,
    uncertain: Annotated[Uncertain | None, UNCERTAIN] = None,
    blank: Annotated[Blank | None, BLANK] = None,
    patient: Annotated[str | None, PATIENT] = None,
    workers: Annotated[int | None, WORKERS] = None,
    resume: Annotated[bool, RESUME] = False,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Try mechanisms on a dataset, attack each of them, and recommend a setting.

    Each setting is measured by three values: the AUC of a classifier on new patients, the linkage
    AUC of the strongest attacker, and the gain of reconstructions over the mean image. Features of
    any encoder, with a column of patient IDs, are tried without reconstruction.

    Example: deepfixcx frontier xrays --labels pneumonia -o frontier --max-linkage 0.6
    """
    from deepfixcx.datasets.features import is_feature_file, read_features
    from deepfixcx.errors import MechanismError
    from deepfixcx.experiments.frontier import run_frontier
    from deepfixcx.experiments.frontier_inputs import DEFAULT, FrontierOptions

    options = FrontierOptions(
        levels=parse_numbers("--levels", levels or "3"),
        patches=parse_numbers("--patches", patches or "4"),
        mechanisms=DEFAULT if mechanisms is None else _names(mechanisms),
        attackers=_names(attackers),
        seeds=seeds,
        public=public,
        max_linkage=max_linkage,
        min_patients=min_patients,
        epsilon=epsilon,
        pixels=pixels,
    )
    source: Dataset | FeatureMatrix
    if is_feature_file(where):
        of_images = {
            "--levels": levels, "--patches": patches, "--layout": layout, "--blank": blank,
            "--uncertain": uncertain,
        }  # fmt: skip
        if given := [option for option, value in of_images.items() if value is not None]:
            raise MechanismError(f"{where.name!r} holds features, not images; omit {given[0]}")
        source = read_features(where, labels, patient=patient)
        dataset = source.dataset
    else:
        source = dataset = find_dataset(where, labels, layout, uncertain, blank, patient)
    with StepBar("frontier", resumable=True) as bar:
        frontier = run_frontier(
            source,
            out,
            options,
            workers=default_workers() if workers is None else workers,
            resume=resume,
            overwrite=overwrite,
            reading=bar.read,
            progress=bar.step,
            draw=partial(_draw, max_linkage=max_linkage),
        )
    figures = [FIGURE] if frontier.rows else []
    write_json(json, _figures(frontier, out, figures))
    _close(frontier, left_out(dataset), out, figures)
    if frontier.failures:
        raise typer.Exit(SOME_FAILED)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words_in(text)))


def _draw(frontier: Frontier, *, max_linkage: float | None) -> dict[str, bytes]:
    """Return the figure, unless nothing could be tried."""
    from deepfixcx.report.drawing import figure_bytes
    from deepfixcx.report.grid_figures import frontier_figure

    if not frontier.rows:
        return {}
    figure = frontier_figure(frontier.rows, frontier.recommendation.row, max_linkage)
    return {FIGURE: figure_bytes(figure)}


def _figures(frontier: Frontier, out: Path, figures: list[str]) -> dict[str, object]:
    chosen = frontier.recommendation.row
    return {
        "command": "frontier",
        "images": frontier.images,
        "images_failed": len(frontier.failures),
        "patients": frontier.patients,
        "labels": list(frontier.labels),
        "labels_dropped": list(frontier.dropped),
        "rows": [
            {
                "level": row.level,
                "patches": row.patches,
                "mechanism": row.mechanism,
                "numbers": row.numbers,
                **{
                    name: value if math.isfinite(value) else None
                    for name, value in row.figures.items()
                },
            }
            for row in frontier.rows
        ],
        "skipped": [{"setting": name, "reason": reason} for name, reason in frontier.skipped],
        "recommended": None if chosen is None else chosen.name,
        "reason": frontier.recommendation.sentence,
        "figures": figures,
        "folder": str(out),
    }


def _close(frontier: Frontier, notes: tuple[str, ...], out: Path, figures: list[str]) -> None:
    rows = [
        ("images", f"{frontier.images} of {frontier.patients} patients"),
        ("labels", ", ".join(frontier.labels)),
        ("settings", f"{len(frontier.rows)} tried, {len(frontier.skipped)} skipped"),
    ]
    rows += [("", f"{name}: {reason}") for name, reason in frontier.skipped[:MOST_SKIPPED]]
    if frontier.dropped:
        why = "left out: too few positive or negative patients for every mechanism tried"
        rows.insert(2, ("dropped", f"{', '.join(frontier.dropped)}  {why}"))
    if frontier.failures:
        rows.append(("failed", f"{len(frontier.failures)} images, listed in {out}/failures.csv"))
    rows.append(("table", f"{out}/frontier.csv"))
    if figures:
        rows.append(("figure", ", ".join(f"{out}/{name}" for name in figures)))
    rows.append(("recommended", frontier.recommendation.sentence))
    rows += [("note", note) for note in notes]
    rows.append(("note", "attackers that were not tried may link more patients"))
    panel("frontier", rows, good=not frontier.failures)
