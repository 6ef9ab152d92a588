"""Score new images, or codes of them, and write the scores as a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.datasets import ImageRecord
from deepfixcx.errors import ModelError
from deepfixcx.io.results import write_result
from deepfixcx.io.tables import TableWriter, free_name, read_rows
from deepfixcx.learn.classifier import Classifier

__all__ = [
    "Predictions",
    "is_scores",
    "predict_code",
    "predict_files",
    "with_failures",
    "write_scores",
]

OWN_COLUMNS = ("file", "patient", "error", "reason")
"""Columns of a table of scores that are no label's."""

OUTSIDE = "outside the range of the training images"
"""The reason that stands beside a score that is not reliable."""

FILES_AT_ONCE = 4096
"""Images that are in memory at a time."""


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """Scores of some images, in order, and which of them have none.

    Attributes
    ----------
    label_names : tuple of str, length L
        What was asked.
    thresholds : tuple of float, length L
        Scores from which on the answer is yes.
    names : tuple of str, length N
        Of the images.
    scores : ndarray of float32, shape (N, L)
        Probabilities of yes; NaN where the image could not be used.
    failures : mapping of int to (str, str)
        Place of an image that could not be used, to the name of the error and its message.
    outside : ndarray of bool, shape (N,), or None
        Images outside the range of those that the model was trained on; None where it is unknown.
    """

    label_names: tuple[str, ...]
    thresholds: tuple[float, ...]
    names: tuple[str, ...]
    scores: NDArray[np.float32]
    failures: dict[int, tuple[str, str]]
    outside: NDArray[np.bool_] | None = None

    def yes(self) -> NDArray[np.bool_]:
        """Return the answers at the thresholds, (N, L); False where there is no score."""
        return self.scores >= np.array(self.thresholds, np.float32)


def predict_files(
    classifier: Classifier,
    paths: Sequence[Path],
    names: Sequence[str],
    *,
    workers: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Score image files; of a file with several frames, the first.

    Parameters
    ----------
    classifier : Classifier
        The model.
    paths : sequence of Path
        Files, as `read_image` reads them.
    names : sequence of str
        What each is called in the result.
    workers : int
        Processes that read images.
    report : callable, optional
        Receives how many images are done, and of how many.

    Returns
    -------
    Predictions
        A file that cannot be used is among the failures; it raises nothing.
    """
    scores = np.full((len(paths), len(classifier.label_names)), np.nan, np.float32)
    failures: dict[int, tuple[str, str]] = {}
    outside = None if classifier.range is None else np.zeros(len(paths), np.bool_)
    for start in range(0, len(paths), FILES_AT_ONCE):
        records = [ImageRecord(path) for path in paths[start : start + FILES_AT_ONCE]]

        def say(done: int, _: int, before: int = start) -> None:
            if report is not None:
                report(before + done, len(paths))

        loaded = classifier.load(records, workers=workers, report=say)
        scores[start + loaded.places] = classifier.scores(loaded.array)
        if outside is not None and classifier.range is not None:
            outside[start + loaded.places] = classifier.range.outside(loaded.array)
        failures |= {start + each.place: (each.error, each.reason) for each in loaded.failures}
    return _predictions(classifier, names, scores, failures, outside)


def predict_code(classifier: Classifier, code: Code, names: Sequence[str]) -> Predictions:
    """Score the images of a code.

    Parameters
    ----------
    classifier : Classifier
        A model on codes, or on privatized images.
    code : Code
        Of the model's spec and channels.
    names : sequence of str
        What each of its images is called in the result.

    Returns
    -------
    Predictions
        A score for each image.

    Raises
    ------
    ModelError
        The model sees original images, or the code is of another spec or has other channels; or
        there are not as many names as images.
    """
    if len(names) != len(code):
        raise ModelError(f"the code has {len(code)} images, and there are {len(names)} names")
    scores = classifier.scores_of_code(code)
    outside = classifier.outside(code.array) if classifier.mechanism is None else None
    return _predictions(classifier, names, scores, {}, outside)


def with_failures(
    predictions: Predictions, names: Sequence[str], error: str, reason: str
) -> Predictions:
    """Add images that could not be used, all for one reason."""
    before = len(predictions.names)
    missing = np.full((len(names), len(predictions.label_names)), np.nan, np.float32)
    return replace(
        predictions,
        names=(*predictions.names, *names),
        scores=np.concatenate([predictions.scores, missing]),
        outside=None
        if predictions.outside is None
        else np.append(predictions.outside, np.zeros(len(names), np.bool_)),
        failures=predictions.failures
        | {before + place: (error, reason) for place in range(len(names))},
    )


def write_scores(
    predictions: Predictions, path: Path, patients: Sequence[str] | None = None
) -> None:
    """Write a table (CSV): ``file``, of each label its score and its answer, ``error``, ``reason``.

    With `patients`, the column ``patient`` follows ``file``.

    The columns of a label are called like it, or like it with ``_score`` behind where that is the
    name of another column; and the same with ``_yes`` behind, or ``_yes_yes`` where a label has
    that name. An image that could not be used has an error, and no scores. One outside the range of
    the training images has scores, and a reason without an error.

    An earlier table is replaced.

    Raises
    ------
    ReleaseError
        The file cannot be written.
    OverwriteError
        Another file is there.
    """
    text = io.StringIO()
    table = TableWriter(text)
    columns: list[str] = []
    for name in predictions.label_names:
        taken = {*OWN_COLUMNS, *predictions.label_names, *columns}
        score = free_name(f"{name}_score", "_score", taken) if name in OWN_COLUMNS else name
        columns += [score, free_name(f"{score}_yes", "_yes", taken)]
    rows: Iterator[list[str]] = _rows(predictions)
    header = ["file", *columns, "error", "reason"]
    if patients is not None:
        header.insert(1, "patient")
        rows = ([name, who, *rest] for (name, *rest), who in zip(rows, patients, strict=True))
    table.writerow(header)
    table.writerows(rows)
    write_result(path, text.getvalue().encode(), ".csv", recognize=is_scores)


def is_scores(content: bytes) -> bool:
    """Return whether a file is a table that `write_scores` wrote: its columns and values say."""
    try:
        header, *rows = read_rows(io.StringIO(content.decode(), newline=""))
    except (UnicodeDecodeError, ValueError, csv.Error):
        return False
    first = 2 if header[1:2] == ["patient"] and len(header) % 2 == 0 else 1
    names, width = header[first:-2], len(header)
    pairs = list(zip(names[::2], names[1::2], strict=False))
    text = io.StringIO()
    TableWriter(text).writerows([header, *rows])
    return (
        text.getvalue().encode() == content
        and (header[:1], header[-2:]) == (["file"], ["error", "reason"])
        and len(names) % 2 == 0
        and all(answer.startswith(f"{name}_yes") for name, answer in pairs)
        and all(len(row) == width and _has_scores(row[first:]) for row in rows)
    )


def _has_scores(row: Sequence[str]) -> bool:
    cells = row[:-2]
    if row[-2]:
        return not any(cells)
    scores, answers = cells[::2], cells[1::2]
    return all(re.fullmatch(r"[01]\.\d{6}", each) for each in scores) and set(answers) <= {"0", "1"}


def _rows(predictions: Predictions) -> Iterator[list[str]]:
    answers = predictions.yes()
    for place, name in enumerate(predictions.names):
        if place in predictions.failures:
            empty = [""] * (2 * len(predictions.label_names))
            yield [name, *empty, *predictions.failures[place]]
            continue
        cells = []
        for score, yes in zip(predictions.scores[place], answers[place], strict=True):
            cells += [f"{score:.6f}", str(int(yes))]
        far = predictions.outside is not None and predictions.outside[place]
        yield [name, *cells, "", OUTSIDE if far else ""]


def _predictions(
    classifier: Classifier,
    names: Sequence[str],
    scores: NDArray[np.float32],
    failures: dict[int, tuple[str, str]],
    outside: NDArray[np.bool_] | None,
) -> Predictions:
    return Predictions(
        classifier.label_names, classifier.thresholds, tuple(names), scores, failures, outside
    )
