"""A model on disk: ``model.json`` and ``model.safetensors``, and no pickle.

``model.json`` is what a `Classifier` knows: ``format`` ("deepfixcx.model"), ``version``,
``options``, ``labels``, ``thresholds``, ``channels``, ``parts``, ``dataset`` (a hash), ``facts``,
``versions`` of the packages, ``weights``, the SHA-256 of the other file, which holds the arrays,
and ``mechanism``, that of ``mechanism.safetensors`` where the model was trained on a release by a
mechanism, or nothing. It is written last, so a folder that has it is whole.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from deepfixcx import __version__
from deepfixcx.errors import DeepfixcxError, ModelError, ModelFileError
from deepfixcx.io.folders import OwnFolder, states_format
from deepfixcx.io.results import claimed_folder
from deepfixcx.learn.checkpoint import write_whole
from deepfixcx.learn.classifier import Classifier
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import PartRules
from deepfixcx.learn.scorers import restore_scorer
from deepfixcx.measures.code_range import CodeRange
from deepfixcx.mechanisms.files import (
    MECHANISM_FILE,
    PublishedMechanism,
    load_mechanism,
    mechanism_bytes,
)

__all__ = ["CHECKPOINT_FILE", "MODEL_FILE", "claimed", "load_model", "read_settings", "save_model"]

FORMAT_NAME = "deepfixcx.model"
FORMAT_VERSION = 1
MODEL_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
CHECKPOINT_FILE = "training.safetensors"

_OURS = (MODEL_FILE, WEIGHTS_FILE, CHECKPOINT_FILE, MECHANISM_FILE)
"""The manifest goes first: a folder without it holds no model."""

RANGE, RANGES = "range.", ("center", "spread", "limit")
"""Prefix and names of the arrays that say within which range the training images lie."""

_PACKAGES = ("numpy", "torch", "monai", "scikit-learn", "safetensors")


@contextmanager
def claimed(folder: Path, *, resume: bool, overwrite: bool) -> Iterator[OwnFolder]:
    """Make and lock the folder of a model, or refuse one that holds something else."""
    if resume and overwrite:
        raise ModelError("--resume and --overwrite exclude each other; give one of them")
    with claimed_folder(folder, ModelError) as own:
        _make_room(own, resume=resume, overwrite=overwrite)
        yield own


def _make_room(own: OwnFolder, *, resume: bool, overwrite: bool) -> None:
    folder = own.folder
    present = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    explained = MODEL_FILE in present and not states_format(folder / MODEL_FILE)
    if explained or (present and present.isdisjoint(_OURS)):
        raise ModelError(f"{folder.name!r} is not empty and holds no model; choose another folder")
    if present and not (resume or overwrite):
        raise ModelError(
            f"{folder.name!r} already holds a model or a stopped training; continue with "
            "--resume, start again with --overwrite, or choose another folder"
        )
    own.recognize(MODEL_FILE, _OURS)
    left = own.remove(folder, _OURS) if overwrite else []  # what else lies in the folder stays
    if left:
        raise ModelError(
            f"{left[0]!r} in {folder.name!r} was not made by deepfixcx, or was changed since; "
            "move it or choose another folder"
        )


def save_model(classifier: Classifier, folder: Path) -> None:
    """Write a model into a folder that is there."""
    arrays = dict(classifier.scorer.arrays())
    if classifier.range is not None:
        arrays |= {f"{RANGE}{name}": getattr(classifier.range, name) for name in RANGES}
    weights = safetensors.numpy.save(
        {name: np.array(each, order="C") for name, each in arrays.items()}
    )
    write_whole(folder / WEIGHTS_FILE, weights)
    mechanism = b"" if classifier.mechanism is None else mechanism_bytes(classifier.mechanism)
    if mechanism:
        write_whole(folder / MECHANISM_FILE, mechanism)
    about = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "options": classifier.options.to_dict(),
        "labels": list(classifier.label_names),
        "thresholds": list(classifier.thresholds),
        "channels": classifier.channels,
        "parts": classifier.rules.to_dict(),
        "dataset": classifier.dataset,
        "facts": dict(classifier.facts),
        "versions": _versions(),
        "weights": hashlib.sha256(weights).hexdigest(),
        "mechanism": hashlib.sha256(mechanism).hexdigest() if mechanism else None,
    }
    text = json.dumps(about, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_whole(folder / MODEL_FILE, text.encode())


def load_model(
    folder: str | Path, *, network: str | None = None, device: str = "auto"
) -> Classifier:
    """Read a model that `train_model` wrote.

    Parameters
    ----------
    folder : path-like
        The folder of the model.
    network : str, optional
        For a model with your own network, its name ``"package.module:Class"`` once more: code that
        a file names does not run unless you name it too.
    device : str
        Where it works: ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"``, ...

    Returns
    -------
    Classifier
        Ready to score.

    Raises
    ------
    ModelFileError
        No model there, or a damaged one, or one of a newer format.
    ModelError
        Its network was not named, or there is no such device.
    MissingExtraError
        It needs a package that is not installed.

    Examples
    --------
    >>> load_model("no such folder")
    Traceback (most recent call last):
    deepfixcx.errors.ModelFileError: 'no such folder' holds no model...
    """
    place = Path(folder)
    about, weights = _read(place)
    damaged = ModelFileError(f"{place.name!r} holds a damaged model; copy it again")
    if about.get("version") != FORMAT_VERSION:
        raise ModelFileError(
            f"{place.name!r} has format version {about.get('version')!r} and this deepfixcx reads "
            f"{FORMAT_VERSION}; update deepfixcx to read it"
        )
    if hashlib.sha256(weights).hexdigest() != about.get("weights"):
        raise damaged
    try:
        options = TrainingOptions.from_dict(about["options"])
        names = tuple(str(name) for name in about["labels"])
        thresholds = tuple(float(each) for each in about["thresholds"])
        rules = PartRules.from_dict(about["parts"])
        channels, dataset, facts = int(about["channels"]), str(about["dataset"]), about["facts"]
        arrays = safetensors.numpy.load(weights)
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError, DeepfixcxError):
        raise damaged from None
    if not names or len(thresholds) != len(names) or channels not in (1, 3):
        raise damaged
    _check_network(options.model, network)
    known = [arrays.pop(f"{RANGE}{name}", None) for name in RANGES]
    scorer = restore_scorer(options, channels, len(names), arrays, device)
    mechanism = _mechanism(place, about.get("mechanism"))
    return Classifier(
        options,
        names,
        channels,
        thresholds,
        rules,
        dataset,
        facts,
        scorer,
        mechanism,
        _range(known),
    )


def _range(arrays: list[Any]) -> CodeRange | None:
    """Return the range of the training images, where the model has one."""
    if any(each is None for each in arrays):
        return None
    center, spread, limit = arrays
    return CodeRange(center, spread, float(limit))


def _mechanism(folder: Path, digest: str | None) -> PublishedMechanism | None:
    """Read the mechanism of a model that was trained on a release by one."""
    if digest is None:
        return None
    try:
        same = hashlib.sha256((folder / MECHANISM_FILE).read_bytes()).hexdigest() == digest
        if same:
            return load_mechanism(folder)
    except (OSError, DeepfixcxError):
        pass
    raise ModelFileError(
        f"{folder.name!r} has no {MECHANISM_FILE}, or a wrong one; copy the whole folder again"
    )


def read_settings(folder: Path) -> dict[str, Any]:
    """Return what decided the result of the training of a model."""
    about, _ = _read(folder)
    try:
        settings = {name: about[name] for name in ("options", "parts", "labels", "dataset")}
        return settings | {"content": about["facts"].get("content")}
    except (KeyError, AttributeError):
        raise ModelFileError(f"{folder.name!r} holds a damaged model; copy it again") from None


def _read(folder: Path) -> tuple[dict[str, Any], bytes]:
    try:
        text = (folder / MODEL_FILE).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ModelFileError(
            f"{folder.name!r} holds no model, because {MODEL_FILE} is missing; name a folder "
            "written by deepfixcx train, or finish a stopped training with --resume"
        ) from None
    try:
        about = json.loads(text)
    except ValueError:
        about = None
    if not isinstance(about, dict) or about.get("format") != FORMAT_NAME:
        raise ModelFileError(
            f"{MODEL_FILE} in {folder.name!r} is damaged or was not written by deepfixcx; copy "
            "the folder again, or train again"
        )
    try:
        return about, (folder / WEIGHTS_FILE).read_bytes()
    except OSError:
        raise ModelFileError(
            f"{folder.name!r} lacks {WEIGHTS_FILE}; copy the whole folder again"
        ) from None


def _check_network(model: str, network: str | None) -> None:
    own = ":" in model
    if own and network != model:
        raise ModelError(
            f"this model was trained with your own network {model!r}; if you trust its code, add "
            f"--network {model}"
        )
    if not own and network is not None:
        raise ModelError(f"this model is {model}, not your own network; omit --network")


def _versions() -> dict[str, str]:
    found = {"deepfixcx": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
