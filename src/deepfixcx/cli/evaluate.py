"""``deepfixcx evaluate``: how well a model does on images whose labels are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx._words import counted
from deepfixcx.choices import Blank, Layout, Part, Uncertain
from deepfixcx.cli._console import SOME_FAILED, console, default_workers, panel, write_json
from deepfixcx.cli._learning import (
    LearningBar,
    find_codes,
    find_dataset,
    left_out,
    range_rows,
    refuse_released,
    see_own_modules,
)
from deepfixcx.cli._options import (
    BLANK,
    CACHE,
    DATASET,
    DEVICE,
    JSON,
    LAYOUT,
    MODEL_FOLDER,
    NETWORK,
    OVERWRITE,
    PATIENT,
    UNCERTAIN,
    WORKERS,
)
from deepfixcx.errors import ModelError
from deepfixcx.io.results import check_result, write_result

if TYPE_CHECKING:
    from rich.table import Table

    from deepfixcx.learn.classifier import Classifier, ReleasedInputs
    from deepfixcx.learn.evaluation import Evaluation, LabelEvaluation
    from deepfixcx.measures import Interval

__all__ = ["command"]

MOST_GROUPS = 8


def command(
    folder: Annotated[Path, MODEL_FOLDER],
    where: Annotated[Path, DATASET],
    part: Annotated[
        Part,
        typer.Option(
            help="Part to score: test, validation or train of the model's dataset; all of another."
        ),
    ] = "test",
    labels: Annotated[
        str | None,
        typer.Option(help="Labels for those of the model, if names differ; of a release: a .csv."),
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Table to write of labels and scores of each image (.csv).")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(help="Scores of another model on the same images: paired AUC difference."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Table of the results for a paper: .csv or .tex (LaTeX).")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            help="Also evaluate within each value of an attribute: sex, …; view if known."
        ),
    ] = None,
    layout: Annotated[Layout | None, LAYOUT] = None,
    uncertain: Annotated[Uncertain | None, UNCERTAIN] = None,
    blank: Annotated[Blank | None, BLANK] = None,
    patient: Annotated[str | None, PATIENT] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Bootstrap samples for the calibration interval.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    network: Annotated[str | None, NETWORK] = None,
    device: Annotated[str, DEVICE] = "auto",
    workers: Annotated[int | None, WORKERS] = None,
    cache: Annotated[Path | None, CACHE] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Compare a model's scores with known labels, on images that it was not trained on.

    Each value has a 95 % interval over patients. Give the same --layout, --uncertain, --blank and
    --patient as to train.

    Example: deepfixcx evaluate model xrays
    """
    from deepfixcx.cli.explain_model import can_explain
    from deepfixcx.learn.evaluation import evaluate_model
    from deepfixcx.learn.model_folder import load_model
    from deepfixcx.learn.scores import compare_scores, paper_table, read_scored

    refuse_released(where)
    _check_out(scores, table, overwrite=overwrite)
    other = None if compare is None else read_scored(compare)
    see_own_modules(network)
    classifier = load_model(folder, network=network, device=device)
    asked = ",".join(classifier.label_names) if labels is None else labels
    codes = find_codes(where, asked, uncertain, blank, patient, classifier.label_names)
    if codes is None:
        dataset = find_dataset(where, asked, layout, uncertain, blank, patient)
    else:
        dataset = codes.dataset
        _check_codes(codes, classifier)
    with LearningBar() as bar:
        found = evaluate_model(
            classifier,
            dataset,
            part,
            within=within,
            samples=samples,
            seed=seed,
            workers=default_workers() if workers is None else workers,
            cache=None if cache is None else str(cache),
            reading=bar.read,
            released=codes,
        )
    differences = {}
    if other is not None and found.scored is not None:
        differences = compare_scores(found.scored, other, samples=samples, seed=seed)
    if scores is not None and found.scored is not None:
        found.scored.write(scores)
    if table is not None:
        content = paper_table(_values(found, differences), table.suffix)
        write_result(table, content, table.suffix, recognize=_recognize(table))
    notes = (*found.notes, *left_out(dataset))
    write_json(json, _figures(found, notes, differences, classifier))
    for label in found.labels:
        console.print(_table(label, found.within))
    _close(found, notes, differences, scores, explainable=can_explain(classifier))
    if found.failures:
        raise typer.Exit(SOME_FAILED)


def _table(label: LabelEvaluation, within: str | None) -> Table:
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    title = f"{escape(label.name)}: {label.yes} positives, {label.no} negatives"
    table = Table("", "value", "95 % interval", box=SIMPLE, pad_edge=False, title=title)
    rows = [("ROC AUC", label.auc)]
    if label.auc_within is not None:
        rows.append((f"  within {within}", label.auc_within))
        groups = list(label.auc_of_group.items())
        rows += [(f"  {within} {name}", area) for name, area in groups[:MOST_GROUPS]]
    rows += [
        ("average precision", label.average_precision),
        ("calibration error", label.calibration_error),
        ("sensitivity", label.sensitivity),
        ("specificity", label.specificity),
    ]
    for name, interval in rows:
        table.add_row(escape(name), *_cells(interval, label))
    counts = label.confusion
    table.add_section()
    table.add_row(f"at threshold {label.threshold:.3f}", "positive", "negative")
    table.add_row("  predicted positive", str(counts.true_positives), str(counts.false_positives))
    table.add_row("  predicted negative", str(counts.false_negatives), str(counts.true_negatives))
    return table


def _cells(interval: Interval, label: LabelEvaluation) -> tuple[str, str]:
    """Return a figure and its limits in words; of one that is not known, why it is not."""
    if not math.isfinite(interval.value):
        for count, answer in ((label.yes, "positive"), (label.no, "negative")):
            if not count:
                return "–", f"no image is {answer}"
        return "–", "this group has no positives or no negatives"
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return f"{interval.value:.3f}", "too few patients"
    return f"{interval.value:.3f}", f"{interval.low:.3f} – {interval.high:.3f}"


def _check_codes(codes: ReleasedInputs, classifier: Classifier) -> None:
    """Refuse codes of a release that the model does not take."""
    if codes.array.shape[1] != classifier.channels:
        raise ModelError(f"the model takes codes of {classifier.channels} channels")
    if codes.spec != classifier.options.spec:
        raise ModelError(
            f"the model takes {classifier.options.spec or 'original images'}, and the release "
            f"holds codes of {codes.spec}; train on this release"
        )


def _figures(
    found: Evaluation,
    notes: tuple[str, ...],
    differences: Mapping[str, Interval],
    classifier: Classifier,
) -> dict[str, object]:
    return {
        "command": "evaluate",
        "part": found.part,
        "images": found.images,
        "images_failed": len(found.failures),
        "patients": found.patients,
        "within": found.within,
        "labels": [label.to_dict() for label in found.labels],
        "notes": list(notes),
        "release_checksum": found.release_checksum,
        "images_outside_range": found.outside,
        "on": classifier.options.on,
        "spec": None if classifier.options.spec is None else str(classifier.options.spec),
        "auc_difference": {name: each.to_dict(6) for name, each in differences.items()},
    }


def _check_out(scores: Path | None, table: Path | None, *, overwrite: bool) -> None:
    """Refuse, before any work, places where no table can or should be written."""
    from deepfixcx.learn.scores import is_scored

    if scores is not None and scores.suffix.lower() != ".csv":
        raise ModelError(f"scores are a CSV table; name it {str(scores.with_suffix('.csv'))!r}")
    if table is not None and table.suffix not in (".csv", ".tex"):
        raise ModelError("--table writes CSV or LaTeX; name a file that ends in .csv or .tex")
    if scores is not None:
        check_result(scores, "--scores", ".csv", overwrite=overwrite, recognize=is_scored)
    if table is not None:
        check_result(
            table, "--table", table.suffix, overwrite=overwrite, recognize=_recognize(table)
        )


def _recognize(table: Path) -> Callable[[bytes], bool] | None:
    """Return what knows a CSV table by its header; one in LaTeX has a checksum."""
    from deepfixcx.learn.scores import is_paper_table

    return is_paper_table if table.suffix == ".csv" else None


def _values(
    found: Evaluation, differences: Mapping[str, Interval]
) -> list[tuple[str, str, Interval]]:
    """Return each label, the name of a value, and the value."""
    rows = []
    for label in found.labels:
        rows += [
            (label.name, "ROC AUC", label.auc),
            (label.name, "average precision", label.average_precision),
            (label.name, "calibration error", label.calibration_error),
            (label.name, "sensitivity", label.sensitivity),
            (label.name, "specificity", label.specificity),
        ]
    return [*rows, *((name, "AUC difference", each) for name, each in differences.items())]


def _close(
    found: Evaluation,
    notes: tuple[str, ...],
    differences: Mapping[str, Interval],
    scores: Path | None,
    *,
    explainable: bool,
) -> None:
    images = counted(found.images, "image")
    patients = ", patients unknown"
    if found.patients is not None:
        patients = f" of {counted(found.patients, 'patient')}"
    rows = [
        ("part", found.part),
        ("scored", f"{images}{patients}"),
        ("failed", str(len(found.failures) or "none")),
    ]
    if found.failures:
        first = found.failures[0]
        rows.append(("", f"the first: {first.error}, {first.reason}"))
    rows += range_rows(found.outside, found.images)
    for name, each in differences.items():
        rows.append(("difference", f"AUC {each} of {name}, this model minus the other"))
    if scores is not None:
        rows.append(("scores", f"{scores}  contains IDs of images and patients; protect it"))
    rows += [("note", note) for note in notes]
    why = "; explain scores with explain --model" if explainable else ""
    rows.append(("next", f"score new images with deepfixcx predict{why}"))
    panel("evaluate", rows, good=not found.failures)
