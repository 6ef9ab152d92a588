"""The training loop: one module, all images in memory, the best epoch kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import ModelError
from deepfixcx.learn.keeping import Clock, Keeping
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.progress import Epoch, Fitted
from deepfixcx.measures import roc_auc

require("torch", extra="learn")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepfixcx.learn.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    state_of,
)
from deepfixcx.learn.mlp import CodeMLP

__all__ = ["fit", "logits_of", "masked_loss", "yes_weights"]

NUMBERS_AT_ONCE = 1 << 22
"""Inputs are scored in runs of about so many numbers, 16 MB."""


def fit(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    options: TrainingOptions,
    *,
    keeping: Keeping | None = None,
    report: Callable[[Epoch, Fitted], None] | None = None,
) -> Fitted:
    """Train a module, and leave the weights of its best epoch in it.

    The best epoch has the highest mean AUC on the validation images, of equal ones that with the
    lower loss; training ends when none was better for as long as `TrainingOptions.patience` says.
    The same seed gives the same weights on a CPU, stopped and resumed or not.

    Parameters
    ----------
    module : nn.Module
        From a batch of inputs to logits (B, L), with its first weights and on its device. The
        `CodeMLP.penalty` of a `CodeMLP` adds to the loss.
    inputs : Tensor, shape (N, ...)
        All of them; batches are moved to the module's device.
    labels : Tensor, shape (N, L)
        1, 0, or NaN where unknown. What is unknown adds nothing to the loss.
    train, validation : ndarray of int64
        Places.
    options : TrainingOptions
        Of a kind of model that has epochs.
    keeping : Keeping, optional
        Write checkpoints there: now and then, and of the last whole epoch where training is
        interrupted.
    report : callable, optional
        Told each epoch, and how training went up to then.

    Returns
    -------
    Fitted
        The epochs, and which one was kept.

    Raises
    ------
    ModelError
        Too few training images, a loss that is not finite, or a checkpoint of another training.
    TrainingStoppedError
        A checkpoint cannot be written.
    """
    if len(train) < 2:
        raise ModelError(f"training needs two images or more, got {len(train)}")
    device = _device_of(module)
    optimizer = torch.optim.AdamW(
        module.parameters(),
        lr=options.number("learning_rate"),
        weight_decay=options.number("weight_decay"),
    )
    weights = yes_weights(labels[train]).to(device) if options.balance else None
    fitted, best = Fitted(), state_of(module)
    if keeping is not None and keeping.resume and keeping.path.is_file():
        checkpoint = load_checkpoint(keeping.path, keeping.settings)
        checkpoint.restore(module, optimizer)
        fitted, best = Fitted.from_dict(checkpoint.progress), checkpoint.best
    clock = Clock(keeping)
    forked = [device.index or 0] if device.type == "cuda" else []
    standing: Checkpoint | None = None
    try:
        with torch.random.fork_rng(devices=forked):
            while not _is_over(fitted, options):
                start = time.perf_counter()
                number = len(fitted.history) + 1
                torch.manual_seed(_seed_of_epoch(options.seed, number))
                loss = _one_epoch(module, optimizer, inputs, labels, train, options, weights)
                held = logits_of(module, inputs, validation)
                epoch = Epoch(
                    number,
                    loss,
                    float(masked_loss(held, labels[validation], None)) if len(held) else math.nan,
                    _mean_auc(labels[validation].numpy(), held.numpy()),
                    time.perf_counter() - start,
                )
                if fitted.note(epoch):
                    best = state_of(module)
                if keeping is not None:
                    # a copy: a step that is interrupted has changed some weights and not others
                    standing = Checkpoint.of(module, best, optimizer, fitted.to_dict())
                    if clock.is_time():
                        clock.measure(
                            partial(save_checkpoint, keeping.path, keeping.settings, standing)
                        )
                if report is not None:
                    report(epoch, fitted)
    except KeyboardInterrupt:
        if keeping is not None and standing is not None:
            save_checkpoint(keeping.path, keeping.settings, standing)
        raise
    module.load_state_dict(best)
    module.eval()
    return fitted


def masked_loss(logits: Tensor, labels: Tensor, yes_weight: Tensor | None) -> Tensor:
    """Return the mean binary cross-entropy over the labels that are known.

    Parameters
    ----------
    logits, labels : Tensor, shape (B, L)
        Labels are 1, 0, or NaN where unknown.
    yes_weight : Tensor, shape (L,), optional
        What a yes counts, where a no counts 1.

    Returns
    -------
    Tensor
        A number; 0 where nothing is known.

    Examples
    --------
    >>> masked_loss(torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [math.nan]]), None)
    tensor(0.6931)
    """
    known = ~labels.isnan()
    losses = F.binary_cross_entropy_with_logits(
        logits, labels.nan_to_num(), pos_weight=yes_weight, reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def yes_weights(labels: Tensor) -> Tensor:
    """Return how many no there are for a yes of each label, (L,); 1 where either is missing.

    Examples
    --------
    >>> yes_weights(torch.tensor([[1.0], [0.0], [0.0], [math.nan]]))
    tensor([2.])
    """
    yes, no = (labels == 1).sum(0), (labels == 0).sum(0)
    return torch.where((yes > 0) & (no > 0), no / yes.clamp(min=1), 1.0)


def logits_of(module: nn.Module, inputs: Tensor, places: NDArray[np.int64]) -> Tensor:
    """Return the logits of some inputs, (n, L) on the CPU, without training the module."""
    module.eval()
    device = _device_of(module)
    batch = max(1, NUMBERS_AT_ONCE // max(1, math.prod(inputs.shape[1:])))
    if not len(places):
        return torch.zeros(0, 1)
    with torch.inference_mode():
        parts = [
            module(inputs[torch.from_numpy(some)].to(device)).float().cpu()
            for some in np.array_split(places, -(-len(places) // batch))
        ]
    return torch.cat(parts)


def _one_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    labels: Tensor,
    train: NDArray[np.int64],
    options: TrainingOptions,
    weights: Tensor | None,
) -> float:
    module.train()
    device = _device_of(module)
    order = torch.from_numpy(train)[torch.randperm(len(train))]
    # batches of nearly one size, and none of one image, which cannot be normalized
    steps = min(-(-len(train) // int(options.number("batch"))), len(train) // 2)
    total = torch.zeros((), device=device)
    for some in order.tensor_split(steps):
        truth = labels[some].to(device)
        loss = masked_loss(module(inputs[some].to(device)), truth, weights)
        total += loss.detach() * len(some)
        if isinstance(module, CodeMLP):
            loss = loss + module.penalty()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
    mean = float(total) / len(train)
    if not math.isfinite(mean):
        raise ModelError("the loss is no longer finite; train again with a smaller --learning-rate")
    return mean


def _is_over(fitted: Fitted, options: TrainingOptions) -> bool:
    done = len(fitted.history)
    waited = done - fitted.best_epoch
    return done >= options.number("epochs") or waited >= options.number("patience")


def _mean_auc(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    areas = [roc_auc(*pair) for pair in zip(labels.T, scores.T, strict=False)]
    known = [area for area in areas if not math.isnan(area)]
    return float(np.mean(known)) if known and len(scores) else math.nan


def _seed_of_epoch(seed: int, epoch: int) -> int:
    """Every epoch has random numbers of its own, so none have to be kept for a resume."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def _device_of(module: nn.Module) -> torch.device:
    return next((each.device for each in module.parameters()), torch.device("cpu"))
