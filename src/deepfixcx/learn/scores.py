"""Scores of an evaluation as a table, their comparison with another model, and tables for papers.

Two models are compared on the same images: patients are drawn with replacement, and both areas are
measured on each draw, so that what images share drops out of the difference.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import LabelError, LayoutError
from deepfixcx.io.results import write_result
from deepfixcx.io.tables import TableWriter, own_rows
from deepfixcx.measures import Interval, roc_auc

__all__ = ["Scored", "compare_scores", "is_paper_table", "is_scored", "paper_table", "read_scored"]

FIRST = ("image", "patient")
LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}"}


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """The images of an evaluation with their patients, labels and scores, each (N, L)."""

    images: tuple[str, ...]
    patients: tuple[str, ...]
    label_names: tuple[str, ...]
    labels: NDArray[np.float32]
    scores: NDArray[np.float32]

    def write(self, path: Path) -> None:
        """Write a table: ``image``, ``patient``, and of each label its answer and its score."""
        text = io.StringIO()
        table = TableWriter(text)
        columns = [f"{name}{end}" for name in self.label_names for end in ("_label", "_score")]
        table.writerow([*FIRST, *columns])
        for image, patient, known, scores in zip(
            self.images, self.patients, self.labels.tolist(), self.scores.tolist(), strict=True
        ):
            cells = [
                cell
                for label, score in zip(known, scores, strict=True)
                for cell in ("" if label != label else str(int(label)), f"{score:.6f}")
            ]
            table.writerow([image, patient, *cells])
        write_result(path, text.getvalue().encode(), ".csv", recognize=is_scored)


def is_scored(content: bytes) -> bool:
    """Return whether a file is a table that `Scored.write` wrote."""
    try:
        return next(own_rows(content, FIRST)) is not None and content.startswith(b"image,patient,")
    except (LayoutError, StopIteration):
        return False


def read_scored(path: Path) -> Scored:
    """Read a table that `Scored.write` wrote."""
    try:
        rows = list(own_rows(path, FIRST))
        names = tuple(name.removesuffix("_score") for name in rows[0] if name.endswith("_score"))
        labels = [[float(row[f"{name}_label"] or "nan") for name in names] for row in rows]
        scores = [[float(row[f"{name}_score"]) for name in names] for row in rows]
    except (OSError, LookupError, ValueError):
        raise LabelError(
            f"{path.name!r} is no table of scores; name the file of deepfixcx evaluate --scores"
        ) from None
    first = [tuple(row[name] for row in rows) for name in FIRST]
    return Scored(
        first[0], first[1], names, np.array(labels, np.float32), np.array(scores, np.float32)
    )


def compare_scores(
    one: Scored, other: Scored, *, samples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return the AUC of `one` minus that of `other` for each label, with its 95 % interval."""
    places = {image: place for place, image in enumerate(other.images)}
    if one.label_names != other.label_names or set(one.images) != set(places):
        raise LabelError(
            "the two tables of scores are of other images or labels; evaluate both models on the "
            "same part of the same dataset"
        )
    order = [places[image] for image in one.images]
    pairs = {}
    generator = np.random.default_rng(seed)
    whose = np.unique(one.patients, return_inverse=True)[1]
    count = int(whose.max()) + 1
    members = [np.flatnonzero(whose == patient) for patient in range(count)]
    draws = [
        np.concatenate([members[each] for each in generator.integers(0, count, count)])
        for _ in range(samples)
    ]
    for column, name in enumerate(one.label_names):
        known = one.labels[:, column]
        if not np.array_equal(known, other.labels[order, column], equal_nan=True):
            raise LabelError(f"the two tables have other labels {name!r}; evaluate both again")
        mine, theirs = one.scores[:, column], other.scores[order, column]

        def difference(
            chosen: NDArray[np.int64] | slice,
            known: NDArray[np.float32] = known,
            mine: NDArray[np.float32] = mine,
            theirs: NDArray[np.float32] = theirs,
        ) -> float:
            return roc_auc(known[chosen], mine[chosen]) - roc_auc(known[chosen], theirs[chosen])

        found = np.array([difference(draw) for draw in draws])
        pairs[name] = Interval.of_draws(difference(slice(None)), found, count)
    return pairs


def paper_table(rows: Sequence[tuple[str, str, Interval]], kind: str) -> bytes:
    """Return values with intervals as CSV, or as the body of a table in LaTeX (booktabs)."""
    if kind == ".tex":
        lines = [r"\begin{tabular}{llrr}", r"\toprule", r"Label & Value & Estimate & 95\,\% CI \\",
                 r"\midrule"]  # fmt: skip
        for label, name, each in rows:
            words = [_latex(label), _latex(name), _number(each.value)]
            bounds = f"{_number(each.low)}--{_number(each.high)}"
            lines.append(" & ".join([*words, bounds if math.isfinite(each.low) else "--"]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""]).encode()
    text = io.StringIO()
    table = TableWriter(text)
    table.writerow(["label", "value", "estimate", "low", "high"])
    for label, name, each in rows:
        numbers = (
            "" if not math.isfinite(n) else f"{n:.6f}" for n in (each.value, each.low, each.high)
        )
        table.writerow([label, name, *numbers])
    return text.getvalue().encode()


def is_paper_table(content: bytes) -> bool:
    """Return whether a file is a CSV table that `paper_table` made."""
    return content.startswith(b"label,value,estimate,low,high\n")


def _latex(text: str) -> str:
    plain = text.replace("\\", "/")
    return "".join(LATEX.get(letter, letter) for letter in plain)


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "--"
