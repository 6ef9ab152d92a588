"""Fitted models of both kinds, and scores of images by models that never saw their patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.datasets import Split
from deepfixcx.errors import LabelError, ModelError, ModelFileError
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.options import TrainingOptions

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "LogisticScorer",
    "ModuleScorer",
    "build_module",
    "fold_numbers",
    "restore_scorer",
    "score_by_logistic",
    "score_by_mlp",
    "score_by_network",
]


@dataclass(frozen=True, eq=False, slots=True)
class LogisticScorer:
    """A logistic regression on codes."""

    model: LogisticCodes

    def probabilities(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (N, L)."""
        try:
            return self.model.predict_proba(inputs)
        except LabelError as error:
            raise ModelError(str(error)) from None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that was learned, by name."""
        return self.model.to_arrays()


@dataclass(frozen=True, eq=False, slots=True)
class ModuleScorer:
    """A module of torch that returns logits."""

    module: nn.Module

    def probabilities(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (N, L)."""
        import torch

        from deepfixcx.learn.fitting import logits_of

        logits = logits_of(self.module, torch.from_numpy(inputs), np.arange(len(inputs)))
        probabilities: NDArray[np.float32] = logits.sigmoid().numpy()
        return probabilities

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that was learned, by name."""
        from deepfixcx.learn.checkpoint import state_of

        return {name: value.numpy() for name, value in state_of(self.module).items()}


def build_module(options: TrainingOptions, channels: int, labels: int) -> nn.Module:
    """Make the untrained module of a model; the same seed gives the same weights."""
    torch = require("torch", extra="learn")
    from deepfixcx.learn.networks import CodeMLP, ImageNetwork, build_network, try_network

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        if options.spec is not None and options.kind == "mlp":
            return CodeMLP(options.spec.code_shape(channels), labels, l1=options.number("l1"))
        network = build_network(options.model, channels, labels)
    # the spec knows the side of compact images itself
    side = options.side if options.on == "images" else None
    module = ImageNetwork(network, channels, options.spec, side)
    if options.spec is not None:
        shape = options.spec.code_shape(channels)
    else:
        shape = (channels, int(options.number("side")), int(options.number("side")))
    try_network(module, options.model, torch.zeros(2, *shape), labels)
    return module


def restore_scorer(
    options: TrainingOptions,
    channels: int,
    labels: int,
    arrays: Mapping[str, NDArray[Any]],
    device: str,
) -> LogisticScorer | ModuleScorer:
    """Make the fitted model again whose `arrays` were stored."""
    damaged = ModelFileError("the weights do not match this model; copy the folder again")
    if options.kind == "logistic":
        try:
            model = LogisticCodes.from_arrays(arrays)
        except LabelError:
            raise damaged from None
        return LogisticScorer(model)
    module = build_module(options, channels, labels)
    import torch

    try:
        module.load_state_dict({name: torch.from_numpy(each) for name, each in arrays.items()})
    except RuntimeError:  # names or shapes differ
        raise damaged from None
    return ModuleScorer(module.to(choose_device(device)).eval())


def choose_device(name: str) -> Any:
    """Return a torch device by name; ``"auto"`` is a GPU where there is one, else the CPU."""
    torch = require("torch", extra="learn")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ModelError(
            f"there is no device {name!r} that torch can use here; omit --device, or use cpu"
        ) from None
    return device


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
    """Score every image by the logistic regression of the other folds."""
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
    """Score every image by a `CodeMLP` of the other folds."""
    torch = require("torch", extra="learn")
    from deepfixcx.learn.networks import CodeMLP

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
    """Score every image by a network of the other folds."""
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
