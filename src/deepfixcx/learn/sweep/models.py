"""Scores of images by classifiers that never saw their patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.datasets import Split
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.scorers import ModuleScorer, build_module, choose_device

__all__ = ["fold_numbers", "score_by_logistic", "score_by_mlp", "score_by_network"]

Array = NDArray[np.float32]


def fold_numbers(folds: Sequence[Split]) -> NDArray[np.int64]:
    """Return the fold in which each image is tested, shape (N,)."""
    numbers = np.zeros(sum(len(fold.test) for fold in folds), np.int64)
    for number, fold in enumerate(folds):
        numbers[fold.test] = number
    return numbers


def score_by_logistic(
    inputs: Array, labels: Array, folds: Sequence[Split], *, rooted: bool, seed: int = 0
) -> Array:
    """Score every image by the logistic regression of the other folds.

    Parameters
    ----------
    inputs : ndarray of float32, shape (N, ...)
        Codes or small images.
    labels : ndarray of float32, shape (N, L)
        1, 0, or NaN where unknown.
    folds : sequence of Split
        As of `folds_by_patient`.
    rooted, seed
        As in `LogisticCodes.fit`.

    Returns
    -------
    ndarray of float32, shape (N, L)
        Log odds. Compare them within a fold only.
    """
    scores = np.zeros(labels.shape, np.float32)
    for fold in folds:
        learned = fold.development
        model = LogisticCodes.fit(inputs[learned], labels[learned], rooted=rooted, seed=seed)
        scores[fold.test] = model.decision(inputs[fold.test])
    return scores


def score_by_mlp(
    inputs: Array,
    labels: Array,
    folds: Sequence[Split],
    options: TrainingOptions,
    device: str = "auto",
) -> Array:
    """Score every image by a `CodeMLP` of the other folds.

    Parameters
    ----------
    inputs : ndarray of float32, shape (N, C, 4**J, P, P) or (N, C, s, s)
        Codes, or small images.
    labels, folds
        As in `score_by_logistic`.
    options : TrainingOptions
        Of the mlp.
    device : str
        As in `choose_device`.

    Returns
    -------
    ndarray of float32, shape (N, L)
        Probabilities.
    """
    torch = require("torch", extra="learn")
    from deepfixcx.learn.mlp import CodeMLP

    if inputs.ndim == 4:  # an image counts as a code of one band
        inputs = inputs[:, :, None]

    def build() -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            return CodeMLP(inputs.shape[1:], labels.shape[1], l1=options.number("l1"))

    return _score_by_module(build, inputs, labels, folds, options, device)


def score_by_network(
    inputs: Array,
    labels: Array,
    folds: Sequence[Split],
    options: TrainingOptions,
    device: str = "auto",
) -> Array:
    """Score every image by a network of the other folds.

    Parameters
    ----------
    inputs : ndarray of float32, shape (N, C, 4**J, P, P) or (N, C, side, side)
        Codes, of which the network sees the images made of them; or images.
    labels, folds
        As in `score_by_logistic`.
    options : TrainingOptions
        Of the network.
    device : str
        As in `choose_device`.

    Returns
    -------
    ndarray of float32, shape (N, L)
        Probabilities.
    """
    channels, count = int(inputs.shape[1]), int(labels.shape[1])
    return _score_by_module(
        lambda: build_module(options, channels, count), inputs, labels, folds, options, device
    )


def _score_by_module(
    build: Any,
    inputs: Array,
    labels: Array,
    folds: Sequence[Split],
    options: TrainingOptions,
    device: str,
) -> Array:
    torch = require("torch", extra="learn")
    from deepfixcx.learn.fitting import fit

    chosen = choose_device(device)
    tensor, truth = torch.from_numpy(inputs), torch.from_numpy(np.array(labels))
    scores = np.zeros(labels.shape, np.float32)
    for fold in folds:
        module: Any = build()
        module.fit_normalization(tensor[torch.from_numpy(fold.train)])
        module = module.to(chosen)
        fit(module, tensor, truth, fold.train, fold.validation, options)
        scores[fold.test] = ModuleScorer(module).probabilities(inputs[fold.test])
    return scores
