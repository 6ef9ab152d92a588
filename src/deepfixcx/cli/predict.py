"""``deepfixcx predict``: scores for new images, or for codes of them."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import SOME_FAILED, default_workers, panel, reason_rows, write_json
from deepfixcx.cli._learning import (
    LearningBar,
    ListedTable,
    find_listed,
    range_rows,
    see_own_modules,
)
from deepfixcx.cli._options import DEVICE, JSON, MODEL_FOLDER, NETWORK, OVERWRITE, PATIENT, WORKERS

if TYPE_CHECKING:
    from deepfixcx.learn.classifier import Classifier
    from deepfixcx.learn.prediction import Predictions

__all__ = ["command"]


def command(
    folder: Annotated[Path, MODEL_FOLDER],
    where: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="Folder, image, table with a column 'path' or 'file', codes, or a release.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write, a .csv file.")],
    patient: Annotated[str | None, PATIENT] = None,
    network: Annotated[str | None, NETWORK] = None,
    device: Annotated[str, DEVICE] = "auto",
    workers: Annotated[int | None, WORKERS] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Score new images, or the codes of a release.

    The table lists each image with its score (the probability of a positive) and its prediction for
    each label; with --patient also the patient. An image that cannot be read has an error instead.

    Example: deepfixcx predict model xrays -o scores.csv
    """
    from deepfixcx.cli.explain_model import can_explain
    from deepfixcx.datasets.files import local_path
    from deepfixcx.learn.model_folder import load_model
    from deepfixcx.learn.prediction import write_scores

    folder, where = local_path(folder, "a model"), local_path(where, "the input of predict")
    _check_out(out, overwrite=overwrite)
    see_own_modules(network)
    classifier = load_model(folder, network=network, device=device)
    listed = find_listed(where, patient)
    predictions = _predict(
        classifier, where, listed, default_workers() if workers is None else workers
    )
    write_scores(predictions, out, None if patient is None or listed is None else listed.patients)
    answers = predictions.yes().sum(axis=0).tolist()
    failed = len(predictions.failures)
    figures = {
        "command": "predict",
        "images": len(predictions.names),
        "images_scored": len(predictions.names) - failed,
        "images_failed": failed,
        "yes": dict(zip(predictions.label_names, answers, strict=True)),
        "thresholds": dict(zip(predictions.label_names, predictions.thresholds, strict=True)),
        "images_outside_range": None
        if predictions.outside is None
        else int(predictions.outside.sum()),
        "table": str(out),
    }
    write_json(json, figures)
    _close(predictions, out, explainable=can_explain(classifier))
    if failed:
        raise typer.Exit(SOME_FAILED)


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse, before any work, a place where no table can or should be written."""
    from deepfixcx.errors import ModelError
    from deepfixcx.io.results import check_result
    from deepfixcx.learn.prediction import is_scores

    if out.suffix.lower() != ".csv":
        raise ModelError(f"the output is a CSV table; name it {str(out.with_suffix('.csv'))!r}")
    check_result(out, "-o", ".csv", overwrite=overwrite, recognize=is_scores)


def _predict(
    classifier: Classifier, where: Path, listed: ListedTable | None, workers: int
) -> Predictions:
    """Score whatever `where` is; `listed` is what a table lists."""
    from deepfixcx.code import Code
    from deepfixcx.datasets.files import list_images
    from deepfixcx.errors import ModelError, ReleaseError
    from deepfixcx.io.release_files import holds_codes, holds_records
    from deepfixcx.learn.prediction import predict_code, predict_files, with_failures
    from deepfixcx.release import Release

    if not os.path.exists(where):
        raise ModelError(f"there is no file or folder {str(where)!r} to score; check the path")
    if holds_codes(where):
        release = Release.open(where)
        code, names = release.codes(classifier.channels)
        predictions = predict_code(classifier, code, names)
        with suppress(ReleaseError):  # gray and colour may lie in one release
            other, odd_names = release.codes(4 - classifier.channels)
            reason = (
                f"a code of {other.channels} channels, and the model takes {classifier.channels}"
            )
            predictions = with_failures(predictions, odd_names, "CodeError", reason)
        return predictions
    if where.suffix.lower() == ".safetensors" and where.is_file():
        code = Code.load(where)
        return predict_code(classifier, code, [f"{where.name}:{row}" for row in range(len(code))])
    if listed is not None:
        paths, names = listed.paths, listed.names
    elif where.is_dir():
        found, closed = list_images(where)
        paths = sorted([*found, *(path for path, _ in closed)])
        names = [path.relative_to(where).as_posix() for path in paths]
    else:
        paths, names = [where], [where.name]
    if not paths and holds_records(where):
        raise ModelError(
            f"{str(where)!r} is a release of records, which serve for training; score images or "
            "codes"
        )
    if not paths:
        bad = listed.bad if listed is not None else []
        why = f": no row of {len(bad):,} can be used; the first, {bad[0][1]}" if bad else ""
        raise ModelError(f"{str(where)!r} holds no image to score{why}")
    with LearningBar() as bar:
        predictions = predict_files(classifier, paths, names, workers=workers, report=bar.read)
    for name, reason in listed.bad if listed is not None else ():
        predictions = with_failures(predictions, [name], "RowError", reason)
    return predictions


def _close(predictions: Predictions, out: Path, *, explainable: bool) -> None:
    images, failed = len(predictions.names), len(predictions.failures)
    rows = [("scored", f"{images - failed:,} of {counted(images, 'image')}")]
    rows.append(("failed", f"{failed}, listed in {out.name}" if failed else "none"))
    reasons = Counter(f"{error}: {reason}" for error, reason in predictions.failures.values())
    rows += reason_rows(reasons.most_common())
    for name, yes in zip(
        predictions.label_names, predictions.yes().sum(axis=0).tolist(), strict=True
    ):
        rows.append((name, f"{yes} positives, {images - failed - yes} negatives"))
    rows += range_rows(predictions.outside, images - failed)
    rows.append(("table", f"{out}  contains file names; protect it like the files"))
    if failed == images:
        next_step = "no image was scored; fix the cause, then run again with --overwrite"
    elif explainable:
        next_step = "explain the scores: deepfixcx explain --model"
    else:
        next_step = "evaluate the model: deepfixcx evaluate"
    rows.append(("next", next_step))
    panel("predict", rows, good=not failed)
