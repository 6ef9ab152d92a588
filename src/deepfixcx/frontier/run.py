"""The frontier: specs times mechanisms, each with re-trained attackers, in a folder.

In the folder lie ``frontier.json`` (what is tried), ``rows/`` (a file for each setting that is
done) and, once all are, ``frontier.csv`` and ``failures.csv``. No file names a file or a patient.
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

import numpy as np
from numpy.typing import NDArray

from deepfixcx import __version__
from deepfixcx._optional import require
from deepfixcx.datasets import Dataset
from deepfixcx.errors import MechanismError, TrainingStoppedError
from deepfixcx.frontier.catalogue import mechanism_named
from deepfixcx.frontier.figures import figures_of, mean_figures
from deepfixcx.frontier.inputs import Inputs, dp_pix, read_inputs
from deepfixcx.frontier.options import FrontierOptions
from deepfixcx.frontier.rows import FrontierRow, Recommendation, recommend, rows_as_csv
from deepfixcx.frontier.trial import Trial
from deepfixcx.learn._files import write_whole
from deepfixcx.learn.mapping import Failure
from deepfixcx.learn.parts import fingerprint
from deepfixcx.spec import CodecSpec

__all__ = ["Frontier", "run_frontier"]

ABOUT, ROWS = "frontier.json", "rows"
PAPERS = ("frontier.csv", "failures.csv")

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many rows are done, and of how many."""


@dataclass(frozen=True, eq=False, slots=True)
class Frontier:
    """What came of it.

    Attributes
    ----------
    rows : tuple of FrontierRow
        Every setting that could be tried.
    skipped : tuple of (str, str)
        The settings that could not, and why.
    recommendation : Recommendation
        Which setting to take.
    failures : tuple of Failure
        Images that were not used.
    images, patients : int
        How many were.
    """

    rows: tuple[FrontierRow, ...]
    skipped: tuple[tuple[str, str], ...]
    recommendation: Recommendation
    failures: tuple[Failure, ...]
    images: int
    patients: int


def run_frontier(
    dataset: Dataset,
    folder: str | Path,
    options: FrontierOptions | None = None,
    *,
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    reading: Callable[[int, int], None] | None = None,
    progress: Progress | None = None,
) -> Frontier:
    """Try every mechanism on every spec.

    Parameters
    ----------
    dataset : Dataset
        Images with patients, and the labels to serve.
    folder : path-like
        To be made.
    options : FrontierOptions, optional
        What is tried.
    workers : int
        Processes that read. Never changes a number.
    resume : bool
        Go on with a frontier of the same images, labels and options; another wish is allowed.
    overwrite : bool
        Replace an earlier one in the folder.
    reading : callable, optional
        Told how many images are read, and of how many.
    progress : callable, optional
        Told what is being done, how many rows are done, and of how many.

    Returns
    -------
    Frontier

    Raises
    ------
    MechanismError
        The folder is in use or holds another frontier, or the images do not serve.
    LabelError
        No label, or one without both yes and no.
    TrainingStoppedError
        The disk is full; `resume` goes on.
    MissingExtraError
        A package to learn with is not installed.
    """
    options, place = options or FrontierOptions(), Path(folder)
    require("sklearn", extra="learn")
    identity = _identity(dataset, options)
    _claim(place, identity, resume=resume, overwrite=overwrite)
    inputs = read_inputs(dataset, options.specs(), workers=workers, report=reading)
    _begin(place, identity, inputs.content)
    rows, skipped = _try_all(place, inputs, options, progress)
    frontier = Frontier(
        tuple(rows),
        tuple(skipped),
        recommend(rows, options.max_linkage),
        inputs.failures,
        len(inputs.dataset),
        inputs.dataset.patient_count,
    )
    write_whole(place / "frontier.csv", rows_as_csv(rows).encode())
    write_whole(place / "failures.csv", _failures_as_csv(inputs.failures).encode())
    return frontier


def _try_all(
    place: Path, inputs: Inputs, options: FrontierOptions, progress: Progress | None
) -> tuple[list[FrontierRow], list[tuple[str, str]]]:
    """Return all rows, those on the disk as they are, and what could not be tried."""
    rows: list[FrontierRow] = []
    skipped: list[tuple[str, str]] = []
    settings = [(spec, name) for spec in options.specs() for name in options.mechanisms]
    for done, (spec, name) in enumerate(settings):
        empty = FrontierRow(spec.level, spec.grid_shape[0], name, 0)
        path = place / ROWS / f"{empty.name}.json"
        if path.is_file():
            rows.append(FrontierRow.from_json(path.read_text("utf-8")))
            continue

        def say(step: str, done: int = done, what: str = f"{spec}, {name}") -> None:
            if progress is not None:
                progress(f"{what}: {step}", done, len(settings))

        try:
            row = _try_one(spec, name, inputs, options, say)
        except MechanismError as error:  # too few patients for this mechanism, say
            skipped.append((empty.name, str(error)))
            continue
        write_whole(path, row.to_json().encode())
        rows.append(FrontierRow.from_json(row.to_json()))  # as a resumed one will read it
    return rows, skipped


def _try_one(
    spec: CodecSpec,
    name: str,
    inputs: Inputs,
    options: FrontierOptions,
    say: Callable[[str], None],
) -> FrontierRow:
    labels, patients = np.array(inputs.dataset.labels), inputs.dataset.patients
    several = []
    numbers = 0
    for seed in range(options.seeds):
        array = _array_of(name, spec, inputs, options, seed)
        trial = Trial(array, labels, patients, public=options.public, seed=seed)
        mechanism = mechanism_named(name)
        several.append(
            figures_of(trial, mechanism, inputs.small, attackers=options.attackers, say=say)
        )
        seen = trial.fit(mechanism).represent(array[:1])
        numbers = int(np.prod(seen.shape[1:]))
    return FrontierRow(spec.level, spec.grid_shape[0], name, numbers, mean_figures(several))


def _array_of(
    name: str, spec: CodecSpec, inputs: Inputs, options: FrontierOptions, seed: int
) -> NDArray[np.float32]:
    if name == "pixelate":
        return inputs.pixelated[spec]
    if name == "blur":
        return inputs.blurred[spec]
    if name == "dp-pix":
        return dp_pix(inputs.pixelated[spec], inputs.sizes, options.epsilon, options.pixels, seed)
    return inputs.codes[spec]


# -- the folder -------------------------------------------------------------------------------


def _identity(dataset: Dataset, options: FrontierOptions) -> str:
    """Hash what decides the figures."""
    parts = [options.to_dict(), list(dataset.label_names), fingerprint(dataset), __version__]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _claim(place: Path, identity: str, *, resume: bool, overwrite: bool) -> None:
    """See that the folder may be used, before anything is read."""
    if not place.exists():
        return
    if not place.is_dir():
        raise MechanismError(f"{place.name!r} is a file; name a folder for the frontier")
    if not any(place.iterdir()):
        return
    if not (place / ABOUT).is_file():
        raise MechanismError(f"the folder {place.name!r} holds other things; name a new one")
    if overwrite:
        shutil.rmtree(place / ROWS, ignore_errors=True)
        for name in (*PAPERS, ABOUT):
            (place / name).unlink(missing_ok=True)
        return
    if not resume:
        raise MechanismError(
            f"the folder {place.name!r} holds an earlier frontier; --resume goes on with it, "
            f"--overwrite replaces it"
        )
    if _about(place)["identity"] != identity:
        raise MechanismError(
            f"the folder {place.name!r} holds a frontier of other images, labels or options; "
            f"--overwrite replaces it"
        )


def _begin(place: Path, identity: str, content: str) -> None:
    """Write what is tried, or see that the images are still those of the rows that are there."""
    if (place / ABOUT).is_file():
        if _about(place)["content"] != content:
            raise MechanismError(
                "the images are not those with which the frontier began; --overwrite starts anew"
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
    about = {"format": "deepfixcx.frontier", "version": 1, "identity": identity, "content": content}
    write_whole(place / ABOUT, (json.dumps(about, indent=2) + "\n").encode())


def _about(place: Path) -> dict[str, str]:
    damaged = MechanismError(
        f"the folder {place.name!r} holds a damaged frontier; --overwrite starts it anew"
    )
    try:
        about = json.loads((place / ABOUT).read_text("utf-8"))
        if (about["format"], about["version"]) != ("deepfixcx.frontier", 1):
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
