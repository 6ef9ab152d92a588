"""The sweep: every level and number of patches on one's own data, and which to take.

In the folder of a sweep lie ``sweep.json`` (what is swept), ``rows/`` (a file for each setting that
is done) and, once all are, ``sweep.csv`` and ``failures.csv``. No file holds a name of a file or
of a patient.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepfixcx import __version__
from deepfixcx._optional import require
from deepfixcx.datasets import Dataset, folds_by_patient
from deepfixcx.errors import ModelError, ModelFileError, TrainingStoppedError
from deepfixcx.learn._files import write_whole
from deepfixcx.learn.grouping import confounder_note
from deepfixcx.learn.mapping import Crew, Failure, Report
from deepfixcx.learn.parts import fingerprint
from deepfixcx.learn.scorers import choose_device
from deepfixcx.learn.sweep_options import SweepOptions
from deepfixcx.learn.sweep_rows import Recommendation, Row, recommend, rows_as_csv
from deepfixcx.learn.sweep_setting import Judge, measure_original, measure_setting
from deepfixcx.learn.sweep_survey import Skipped, Survey, survey_dataset

__all__ = ["Sweep", "run_sweep"]

PAPERS = ("sweep.csv", "failures.csv")
ABOUT, ROWS = "sweep.json", "rows"

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many rows are done, and of how many."""


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """What came of a sweep.

    Attributes
    ----------
    rows : tuple of Row
        The original, and then every setting that fits.
    skipped : tuple of Skipped
        The settings that do not.
    recommendation : Recommendation
        Which setting to take.
    failures : tuple of Failure
        Images that were not used.
    images, patients : int
        How many were.
    notes : tuple of str
        What a user should know.
    """

    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    recommendation: Recommendation
    failures: tuple[Failure, ...]
    images: int
    patients: int
    notes: tuple[str, ...]


def run_sweep(
    dataset: Dataset,
    folder: str | Path,
    options: SweepOptions | None = None,
    *,
    workers: int = 1,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    reading: Report | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Try every setting on a dataset.

    Each image is scored by classifiers that learned from other patients. The AUC compares images
    of one fold only, because the scores of two folds have no common scale, and its interval is
    over patients. What is kept after a stop are whole rows: `resume` does the others, and the
    result is the same.

    Parameters
    ----------
    dataset : Dataset
        Images with the labels to learn, and no others.
    folder : path-like
        Folder of the sweep, to be made.
    options : SweepOptions, optional
        What is tried.
    workers : int
        Processes that read and encode. Never changes a number.
    device : str
        Where torch works: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    resume : bool
        Go on with a sweep of the same images, labels and options.
    overwrite : bool
        Replace an earlier sweep in the folder.
    reading : callable, optional
        Told how many images of the first pass are read, and of how many.
    progress : callable, optional
        Told what is being done, how many rows are done, and of how many.

    Returns
    -------
    Sweep
        The rows and the recommendation.

    Raises
    ------
    ModelError
        The folder is in use, holds another sweep, or no setting fits the images.
    LabelError
        A label that does not have both yes and no.
    SplitError
        Fewer patients than folds.
    TrainingStoppedError
        The disk is full; `resume` goes on.
    MissingExtraError
        A package to learn with is not installed.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495, heatmaps over levels and patches.
    """
    options, place = options or SweepOptions(), Path(folder)
    identity = _identity(dataset, options)
    _check_tools(options, device)
    _claim(place, identity, resume=resume, overwrite=overwrite)
    with Crew(workers) as crew:
        survey = survey_dataset(dataset, options.specs(), crew, reading)
        folds = folds_by_patient(survey.dataset, options.folds, options.seed)
        judge = Judge.of(survey.dataset, folds, options, device)
        _begin(place, identity, survey.content)
        rows = _measure_all(place, survey, judge, crew, progress)
    sweep = Sweep(
        tuple(rows),
        survey.skipped,
        recommend(rows),
        survey.failures,
        len(survey.dataset),
        survey.dataset.patient_count,
        (*folds[0].notes, *(confounder_note(survey.dataset) if options.within is None else ())),
    )
    write_whole(place / "sweep.csv", rows_as_csv(rows).encode())
    write_whole(place / "failures.csv", _failures_as_csv(survey.failures).encode())
    return sweep


def _measure_all(
    place: Path, survey: Survey, judge: Judge, crew: Crew, progress: Progress | None
) -> list[Row]:
    """Return all rows; those that are on the disk already are not measured again."""
    rows: list[Row] = []
    specs = (None, *survey.specs)
    for spec in specs:
        empty = Row() if spec is None else Row(spec.level, spec.grid_shape[0])
        path = place / ROWS / f"{empty.name}.json"
        if path.is_file():
            rows.append(Row.from_json(path.read_text("utf-8")))
            continue

        def say(step: str, done: int = len(rows)) -> None:
            if progress is not None:
                progress(step, done, len(specs))

        if spec is None:
            row = measure_original(survey, judge, crew, say)
        else:
            row = measure_setting(spec, survey, judge, crew, say)
        write_whole(path, row.to_json().encode())
        rows.append(Row.from_json(row.to_json()))  # as a resumed sweep will read it
    return rows


def _check_tools(options: SweepOptions, device: str) -> None:
    """See before hours of reading that there is everything to learn with."""
    require("sklearn", extra="learn")
    if options.model == "mlp" or options.cnn is not None:
        choose_device(device)
    if options.cnn is not None:
        from deepfixcx.learn.networks import find_factory

        find_factory(options.cnn)


# -- the folder -------------------------------------------------------------------------------


def _identity(dataset: Dataset, options: SweepOptions) -> str:
    """Hash what decides the result of a sweep."""
    parts = [options.to_dict(), list(dataset.label_names), fingerprint(dataset), __version__]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _claim(place: Path, identity: str, *, resume: bool, overwrite: bool) -> None:
    """See that the folder may be used, before anything is read."""
    if not place.exists():
        return
    if not place.is_dir():
        raise ModelError(f"{place.name!r} is a file; name a folder for the sweep")
    if not any(place.iterdir()):
        return
    if not (place / ABOUT).is_file():
        raise ModelError(f"the folder {place.name!r} holds other things; name a new one")
    if overwrite:
        shutil.rmtree(place / ROWS, ignore_errors=True)
        for name in (*PAPERS, ABOUT):
            (place / name).unlink(missing_ok=True)
        return
    if not resume:
        raise ModelError(
            f"the folder {place.name!r} holds an earlier sweep; --resume goes on with it, "
            f"--overwrite replaces it"
        )
    if _about(place)["identity"] != identity:
        raise ModelError(
            f"the folder {place.name!r} holds a sweep of other images, labels or options; "
            f"--overwrite replaces it"
        )


def _begin(place: Path, identity: str, content: str) -> None:
    """Write what is swept, or see that the images are still those of the rows that are there."""
    if (place / ABOUT).is_file():
        if _about(place)["content"] != content:
            raise ModelError(
                "the images are not those with which the sweep began; --overwrite starts it anew"
            )
        for name in PAPERS:
            (place / name).unlink(missing_ok=True)
        return
    try:
        (place / ROWS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingStoppedError(
            f"the folder {place.name!r} cannot be made: {error.strerror}; choose another place"
        ) from None
    about = {"format": "deepfixcx.sweep", "version": 1, "identity": identity, "content": content}
    write_whole(place / ABOUT, (json.dumps(about, indent=2) + "\n").encode())


def _about(place: Path) -> dict[str, str]:
    damaged = ModelFileError(
        f"the folder {place.name!r} holds a damaged sweep; --overwrite starts it anew"
    )
    try:
        about = json.loads((place / ABOUT).read_text("utf-8"))
        if {about["format"], about["version"]} != {"deepfixcx.sweep", 1}:
            raise damaged
        return {name: str(about[name]) for name in ("identity", "content")}
    except (OSError, ValueError, KeyError, TypeError):
        raise damaged from None


def _failures_as_csv(failures: tuple[Failure, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "error", "reason"])
    writer.writerows([each.place + 1, each.error, each.reason] for each in failures)
    return text.getvalue()
