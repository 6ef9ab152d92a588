"""The training loop: one module, all images in memory, the best epoch kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.errors import ModelError
from deepfixcx.learn.checkpoint import Clock, Keeping
from deepfixcx.learn.options import TrainingOptions
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
from deepfixcx.learn.networks import CodeMLP

__all__ = ["Epoch", "Fitted", "fit", "logits_of", "masked_loss", "yes_weights"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What came of one pass over the training images."""

    # From 1
    number: int
    # Mean binary cross-entropy; of validation NaN where there are no images
    train_loss: float
    validation_loss: float
    # Mean area under the ROC curve over the labels, on the validation images; NaN where no label
    # has positives and negatives
    auc: float
    # How long it took
    seconds: float


@dataclass(slots=True)
class Fitted:
    """How training went."""

    # All epochs
    history: list[Epoch] = field(default_factory=list)
    # The one whose weights were kept
    best_epoch: int = 0
    # Its AUC and loss on the validation images
    best_auc: float = math.nan
    best_loss: float = math.inf

    def note(self, epoch: Epoch) -> bool:
        """Add an epoch, and return whether it is the best so far."""
        self.history.append(epoch)
        if not self._is_best(epoch):
            return False
        self.best_epoch, self.best_auc = epoch.number, epoch.auc
        self.best_loss = epoch.validation_loss
        return True

    def _is_best(self, epoch: Epoch) -> bool:
        if not self.best_epoch or math.isnan(epoch.validation_loss):
            return True  # without validation images, the last epoch is kept
        if math.isnan(epoch.auc) or epoch.auc == self.best_auc:
            return epoch.validation_loss < self.best_loss
        return epoch.auc > self.best_auc

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Fitted:
        """Build it from what `to_dict` returned."""
        return cls(**{**values, "history": [Epoch(**each) for each in values["history"]]})


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
        Receives each epoch, and how training went up to then.

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
    run = _Run.of(module, inputs, labels, train, validation, options)
    fitted, best = Fitted(), state_of(module)
    if keeping is not None and keeping.resume and keeping.path.is_file():
        checkpoint = load_checkpoint(keeping.path, keeping.settings)
        checkpoint.restore(module, run.optimizer)
        fitted, best = Fitted.from_dict(checkpoint.progress), checkpoint.best
    clock = Clock(keeping)
    standing: Checkpoint | None = None
    try:
        while not _is_over(fitted, options):
            epoch = run.epoch(len(fitted.history) + 1)
            if fitted.note(epoch):
                best = state_of(module)
            if keeping is not None:
                # a copy: a step that is interrupted has changed some weights and not others
                standing = Checkpoint.of(module, best, run.optimizer, fitted.to_dict())
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
    """Return the mean binary cross-entropy over the labels that are known."""
    known = ~labels.isnan()
    losses = F.binary_cross_entropy_with_logits(
        logits, labels.nan_to_num(), pos_weight=yes_weight, reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def yes_weights(labels: Tensor) -> Tensor:
    """Return how many no there are for a yes of each label, (L,); 1 where either is missing."""
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


@dataclass(frozen=True, eq=False, slots=True)
class _Run:
    """One module and all that it learns from, from epoch to epoch."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    inputs: Tensor
    labels: Tensor
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    options: TrainingOptions
    weights: Tensor | None

    @classmethod
    def of(
        cls,
        module: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        options: TrainingOptions,
    ) -> _Run:
        optimizer = torch.optim.AdamW(
            module.parameters(),
            lr=options.number("learning_rate"),
            weight_decay=options.number("weight_decay"),
        )
        weights = yes_weights(labels[train]).to(_device_of(module)) if options.balance else None
        return cls(module, optimizer, inputs, labels, train, validation, options, weights)

    def epoch(self, number: int) -> Epoch:
        """Learn from every training image once, and look at the validation images."""
        start = time.perf_counter()
        device = _device_of(self.module)
        with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
            torch.manual_seed(_seed_of_epoch(self.options.seed, number))
            loss = self._learn()
        held = logits_of(self.module, self.inputs, self.validation)
        truth = self.labels[self.validation]
        return Epoch(
            number,
            loss,
            float(masked_loss(held, truth, None)) if len(held) else math.nan,
            _mean_auc(truth.numpy(), held.numpy()),
            time.perf_counter() - start,
        )

    def _learn(self) -> float:
        self.module.train()
        device, count = _device_of(self.module), len(self.train)
        order = torch.from_numpy(self.train)[torch.randperm(count)]
        # batches of nearly one size, and none of one image, which cannot be normalized
        steps = min(-(-count // int(self.options.number("batch"))), count // 2)
        total = torch.zeros((), device=device)
        for some in order.tensor_split(steps):
            truth = self.labels[some].to(device)
            loss = masked_loss(self.module(self.inputs[some].to(device)), truth, self.weights)
            total += loss.detach() * len(some)
            if isinstance(self.module, CodeMLP):
                loss = loss + self.module.penalty()
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self.optimizer.step()
        mean = float(total) / count
        if not math.isfinite(mean):
            raise ModelError(
                "the loss is no longer finite; train again with a smaller --learning-rate"
            )
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
