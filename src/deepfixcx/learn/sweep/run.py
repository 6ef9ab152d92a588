"""The sweep: every level and number of patches on the data at hand, and which to take."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deepfixcx._optional import require
from deepfixcx.datasets import Dataset, folds_by_patient
from deepfixcx.datasets.splits import join_copies
from deepfixcx.errors import ModelError
from deepfixcx.learn.mapping import Failure, Report, WorkerPool
from deepfixcx.learn.parts import confounder_note
from deepfixcx.learn.scorers import choose_device
from deepfixcx.learn.sweep.options import SweepOptions
from deepfixcx.learn.sweep.rows import Recommendation, Row, compare, recommend, rows_as_csv
from deepfixcx.learn.sweep.setting import (
    Judge,
    Skipped,
    Survey,
    measure_original,
    measure_setting,
    survey_dataset,
)
from deepfixcx.learn.trial_folder import Progress, Say, TrialFolder, TrialKind

__all__ = ["Sweep", "run_sweep"]

KIND = TrialKind("sweep", 3, Row.from_json, ModelError)


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """What came of a sweep."""

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
    draw: Callable[[Sweep], Mapping[str, bytes]] | None = None,
) -> Sweep:
    """Try every setting on a dataset."""
    options = options or SweepOptions()
    _check_tools(options, device)
    ways = {"resume": resume, "overwrite": overwrite}
    with (
        TrialFolder.claim(KIND, Path(folder), dataset, options.to_dict(), **ways) as place,
        WorkerPool(workers) as pool,
    ):
        survey = survey_dataset(dataset, options.specs(), pool, reading)
        contents = [hashlib.sha256(each.tobytes()).hexdigest() for each in survey.small]
        joined, copies = join_copies(survey.dataset, contents)
        survey = replace(survey, dataset=joined)
        folds = folds_by_patient(survey.dataset, options.folds, options.seed)
        judge = Judge.of(survey.dataset, folds, options, device)
        place.begin(survey.content)
        measured, _ = place.try_all(_settings(survey, judge, pool), progress)
        rows = compare(measured, options.seed)
        notes = confounder_note(survey.dataset) if options.within is None else ()
        sweep = Sweep(
            tuple(rows),
            survey.skipped,
            recommend(rows),
            survey.failures,
            len(survey.dataset),
            survey.dataset.patient_count,
            (*folds[0].notes, *copies, *notes),
        )
        figures = {} if draw is None else draw(sweep)
        place.finish(rows_as_csv(rows), survey.failures, figures)
    return sweep


def _settings(survey: Survey, judge: Judge, pool: WorkerPool) -> dict[str, Callable[[Say], Row]]:
    """Return what measures each row, by its name; the original first."""
    settings: dict[str, Callable[[Say], Row]] = {
        Row().name: partial(measure_original, survey, judge, pool)
    }
    for spec in survey.specs:
        name = Row(spec.level, spec.grid_shape[0]).name
        settings[name] = partial(measure_setting, spec, survey, judge, pool)
    return settings


def _check_tools(options: SweepOptions, device: str) -> None:
    """See before hours of reading that there is everything to learn with."""
    require("sklearn", extra="learn")
    if options.model == "mlp" or options.cnn is not None:
        choose_device(device)
    if options.cnn is not None:
        from deepfixcx.learn.networks import find_factory

        find_factory(options.cnn)
