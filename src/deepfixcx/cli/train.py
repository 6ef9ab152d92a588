"""``deepfixcx train``: a dataset with labels becomes a model."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.markup import escape

from deepfixcx.choices import Blank, Boundary, Grid, Layout, On, Parting, Uncertain
from deepfixcx.cli._console import (
    INTERRUPTED,
    SOME_FAILED,
    console,
    default_workers,
    panel,
    program,
    write_json,
)
from deepfixcx.cli._learning import (
    LearningBar,
    TerminatedError,
    find_codes,
    find_dataset,
    find_released,
    left_out,
    read_as,
    see_own_modules,
    stops_cleanly,
)
from deepfixcx.cli._options import (
    BLANK,
    BOUNDARY,
    CACHE,
    DATASET,
    DEVICE,
    GRID,
    JSON,
    LAYOUT,
    LEVEL,
    OVERWRITE,
    PATCHES,
    PATIENT,
    POOLING,
    RESUME,
    SUGGESTED_LEVEL,
    SUGGESTED_PATCHES,
    UNCERTAIN,
    WAVELET,
    WORKERS,
    spec_of,
)

if TYPE_CHECKING:
    from deepfixcx.learn.classifier import ReleasedInputs
    from deepfixcx.learn.training import Trained
    from deepfixcx.spec import CodecSpec

__all__ = ["command"]

Codec: TypeAlias = tuple[
    int | None, str | None, str | None, str | None, Boundary | None, Grid | None
]
TERMINATED = 143


def command(
    where: Annotated[Path, DATASET],
    labels: Annotated[
        str,
        typer.Option(help="Labels to learn: a,b or COLUMN=VALUE|VALUE; of a release: labels.csv."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the model to make.")],
    model: Annotated[
        str,
        typer.Option(
            help="mlp, logistic, densenet121, resnet18, efficientnet-b0, or package.module:Class."
        ),
    ] = "mlp",
    on: Annotated[
        On | None,
        typer.Option(
            help="Model input; default: codes for mlp and logistic, else privatized images."
        ),
    ] = None,
    level: Annotated[int | None, LEVEL] = None,
    patches: Annotated[str | None, PATCHES] = None,
    wavelet: Annotated[str | None, WAVELET] = None,
    pooling: Annotated[str | None, POOLING] = None,
    boundary: Annotated[Boundary | None, BOUNDARY] = None,
    grid: Annotated[Grid | None, GRID] = None,
    side: Annotated[
        int | None,
        typer.Option(help="Image side in pixels for a network."),
    ] = None,
    layout: Annotated[Layout | None, LAYOUT] = None,
    uncertain: Annotated[Uncertain | None, UNCERTAIN] = None,
    blank: Annotated[Blank | None, BLANK] = None,
    patient: Annotated[str | None, PATIENT] = None,
    split: Annotated[
        Parting, typer.Option(help="By patient at random, or the official split of the dataset.")
    ] = "patient",
    validation: Annotated[
        float, typer.Option(help="Validation share, for early stopping and thresholds.")
    ] = 0.15,
    test: Annotated[
        float | None, typer.Option(help="Test share, for evaluate; default: 0.2.")
    ] = None,
    by_content: Annotated[
        bool, typer.Option("--by-content", help="Keep copies of a file in one part of the split.")
    ] = False,
    balance: Annotated[
        bool, typer.Option("--balance", help="Weight positives and negatives equally.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Maximum number of epochs.")] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after this many epochs without a better validation AUC."),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Batch size.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of AdamW.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of AdamW.")] = None,
    l1: Annotated[
        float | None, typer.Option("--l1", help="L1 penalty on the attention of mlp.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, initial weights and order.")] = 0,
    device: Annotated[str, DEVICE] = "auto",
    workers: Annotated[int | None, WORKERS] = None,
    cache: Annotated[Path | None, CACHE] = None,
    resume: Annotated[bool, RESUME] = False,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Train a classifier on codes, privatized images, or originals.

    Patients are divided into three parts: for training; for early stopping and thresholds; and for
    deepfixcx evaluate. The dataset may also be a received release with a table of labels by
    source_id, or one made with a mechanism, which has its own labels.

    Example: deepfixcx train xrays --labels pneumonia -o model
    """
    from deepfixcx.learn.options import TrainingOptions
    from deepfixcx.learn.parts import PartRules
    from deepfixcx.learn.training import train_model

    released = find_released(where, labels, layout, patient)
    plain = None if on == "original" else find_codes(where, labels, uncertain, blank, patient)
    codec = (level, patches, wavelet, pooling, boundary, grid)
    options = TrainingOptions(
        model=model,
        on=on,
        spec=_spec(on, codec, plain or released),
        side=side,
        seed=seed,
        balance=balance,
        epochs=epochs,
        patience=patience,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        l1=l1,
    )
    if released is not None and test is None:
        test = 0.0  # a model is evaluated on images, and there are none in a release
    released = plain or released
    rules = PartRules(split, validation, test, by_content, seed)
    see_own_modules(model)
    dataset = (
        released.dataset
        if released
        else find_dataset(where, labels, layout, uncertain, blank, patient)
    )
    try:
        with stops_cleanly(), LearningBar(options.epochs) as bar:
            trained = train_model(
                dataset,
                out,
                options,
                rules,
                workers=default_workers() if workers is None else workers,
                cache=None if cache is None else str(cache),
                device=device,
                resume=resume,
                overwrite=overwrite,
                reading=bar.read,
                report=bar.trained,
                released=released,
            )
    except KeyboardInterrupt as stop:
        console.print(escape(_stopped(out)), soft_wrap=True)
        code = TERMINATED if isinstance(stop, TerminatedError) else INTERRUPTED
        raise typer.Exit(code) from None
    write_json(json, _figures(trained, out))
    same = read_as(layout, uncertain, blank, patient)
    same += ["--labels", labels] if plain is not None else []
    following = _next_step(trained, where, out, same)
    notes = (*dataset.notes, *left_out(dataset), *trained.notes)
    _close(trained, notes, following, out)
    if trained.failures:
        raise typer.Exit(SOME_FAILED)


def _spec(on: On | None, codec: Codec, released: ReleasedInputs | None) -> CodecSpec | None:
    """Return the spec that is asked for, or that of the release where none is."""
    from deepfixcx.errors import ModelError

    given = any(setting is not None for setting in codec)
    if on == "original" and given:
        raise ModelError(
            "original images are not encoded; omit --level, --patches, --wavelet, --pooling, "
            "--boundary and --grid"
        )
    if on == "original":
        return None
    if released is not None and not given:
        return released.spec
    level, patches, wavelet, pooling, boundary, grid = codec
    return spec_of(
        SUGGESTED_LEVEL if level is None else level,
        str(SUGGESTED_PATCHES) if patches is None else patches,
        wavelet or "haar",
        pooling or "l1",
        boundary or "zero",
        grid or "balanced",
    )


def _figures(trained: Trained, out: Path) -> dict[str, object]:
    facts, classifier = trained.classifier.facts, trained.classifier
    spec = classifier.options.spec
    return {
        "command": "train",
        "model": classifier.options.model,
        "on": classifier.options.on,
        "spec": None if spec is None else str(spec),
        "labels": list(classifier.label_names),
        "thresholds": list(classifier.thresholds),
        "validation_auc": facts["validation_auc"],
        "images_train": facts["images_train"],
        "images_validation": facts["images_validation"],
        "images_test": facts["images_test"],
        "images_failed": facts["images_failed"],
        "epochs": len(facts.get("history", ())) or None,
        "best_epoch": facts.get("best_epoch"),
        "seconds": round(trained.seconds, 3),
        "seconds_reading": facts["seconds_reading"],
        "seconds_training": facts["seconds_training"],
        "folder": str(out),
    }


def _close(trained: Trained, notes: tuple[str, ...], following: str, out: Path) -> None:
    facts, classifier = trained.classifier.facts, trained.classifier
    parts = ("train", "validation", "test")
    counts = ", ".join(f"{facts[f'images_{part}']} {part}" for part in parts)
    spec = classifier.options.spec
    seen = f"{classifier.options.on}" if spec is None else f"{classifier.options.on} {spec}"
    rows = [("model", f"{classifier.options.model} on {seen}"), ("images", counts)]
    if trained.failures:
        first = trained.failures[0]
        count = len(trained.failures)
        rows.append(("failed", f"{count} could not be read; the first: {first.error}"))
    for name, area in facts["validation_auc"].items():
        shown = "unknown" if area is None else f"{area:.3f}"
        rows.append(("validation", f"AUC {shown} of {name}"))
    if "best_epoch" in facts:
        rows.append(("epochs", f"{len(facts['history'])}, the best was {facts['best_epoch']}"))
    if trained.seconds:
        reading, training = facts["seconds_reading"], facts["seconds_training"]
        rows.append(("time", f"{reading:.1f} s reading, {training:.1f} s training"))
    rows += [("note", note) for note in notes]
    rows += [("folder", str(out)), ("next", following)]
    panel("train", rows, good=not trained.failures)


def _next_step(trained: Trained, where: Path, out: Path, same: list[str]) -> str:
    model = trained.classifier.options.model
    more = [*same, *(("--network", model) if ":" in model else ())]
    if trained.classifier.facts["images_test"]:
        return f"{program()} {shlex.join(['evaluate', str(out), str(where), *more])}"
    return f"{program()} {shlex.join(['predict', str(out)])} IMAGES -o scores.csv"


def _stopped(out: Path) -> str:
    """Say what is kept of a training that was stopped, and with which command it goes on."""
    from deepfixcx.learn.checkpoint import read_header
    from deepfixcx.learn.model_folder import CHECKPOINT_FILE

    again = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    if (out / CHECKPOINT_FILE).is_file():
        epochs = read_header(out / CHECKPOINT_FILE).epochs
        command = shlex.join([*again, "--resume"])
        return (
            f"Stopped after epoch {epochs}, which is kept; continue with:\n  {program()} {command}"
        )
    return (
        f"Stopped before the first epoch was saved; start again with:\n  {program()} "
        f"{shlex.join(again)}"
    )
