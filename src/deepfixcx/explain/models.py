"""A model and a baseline in the one form that every attribution method takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.measures.code_range import CodeRange
from deepfixcx.spec import CodecSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "BASELINES",
    "LOG_ODDS",
    "BaselineName",
    "Explainable",
    "as_explainable",
    "baseline_codes",
    "checked_baseline",
    "mean_code",
    "without_details",
    "zeros",
]

Array = NDArray[np.float32]

LOG_ODDS = "log odds"
NUMBERS_AT_ONCE = 1 << 22
"""Models are asked about at most so many numbers at a time, 16 MB."""


@dataclass(frozen=True, eq=False)
class Explainable:
    """A model in the form that explanations take."""

    function: Callable[[Array], NDArray[Any]]
    module: nn.Module | None = None
    unit: str = "output"
    labels: tuple[str, ...] = ()
    spec: CodecSpec | None = None
    range: CodeRange | None = None
    spreads: Mapping[str, float | None] = field(default_factory=dict)

    def outputs(self, codes: Array, target: int) -> Array:
        """Return one output for each code, (N,)."""
        numbers = max(1, int(np.prod(codes.shape[1:])))
        batch = max(1, NUMBERS_AT_ONCE // numbers)
        parts = [
            self._outputs(codes[start : start + batch], target)
            for start in range(0, len(codes), batch)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def target(self, wanted: int | str) -> tuple[int, str]:
        """Return number and name of an output."""
        if isinstance(wanted, str):
            if wanted not in self.labels:
                there = ", ".join(self.labels) or "numbers only"
                raise ExplanationError(f"the model has no label {wanted!r}; there are {there}")
            return self.labels.index(wanted), wanted
        if wanted < 0 or (self.labels and wanted >= len(self.labels)):
            raise ExplanationError(
                f"the model has the outputs 0 to {len(self.labels) - 1}, got {wanted}"
                if self.labels
                else f"outputs are counted from 0, got {wanted}"
            )
        return wanted, self.labels[wanted] if self.labels else f"output {wanted}"

    def check(self, code: Code) -> None:
        """Check that codes are of the spec that the model takes."""
        if self.spec is not None and code.spec != self.spec:
            raise ExplanationError(
                f"this model takes codes of {self.spec}, these were made with {code.spec}"
            )
        if not len(code):
            raise ExplanationError("the code has no image, so there is nothing to explain")

    def differentiable(self, method: str) -> nn.Module:
        """Return what gives gradients."""
        if self.module is None:
            raise ExplanationError(
                f"{method} needs gradients, and this model is not a torch module; explain it "
                "by occlusion"
            )
        return self.module

    def _outputs(self, codes: Array, target: int) -> Array:
        outputs = np.asarray(self.function(codes), np.float32)
        if outputs.ndim == 1:
            outputs = outputs[:, np.newaxis]
        if outputs.ndim != 2 or len(outputs) != len(codes):
            raise ExplanationError(
                f"a model must return outputs (N, L); for {len(codes)} codes it returned "
                f"{outputs.shape}"
            )
        if target >= outputs.shape[1]:
            raise ExplanationError(f"the model has {outputs.shape[1]} outputs, got {target}")
        return outputs[:, target]


def as_explainable(model: object) -> Explainable:
    """Bring a model into the form that explanations take.

    Parameters
    ----------
    model : object
        See above.

    Returns
    -------
    Explainable
        Modules are put into the mode of evaluation.

    Raises
    ------
    ExplanationError
        It is nothing that can be called on codes, or it sees original images.
    MissingExtraError
        The model needs torch, which is not installed.

    Examples
    --------
    >>> as_explainable(lambda codes: codes.mean(axis=(1, 2, 3, 4))).unit
    'output'
    """
    if isinstance(model, Explainable):
        return model
    torch = sys.modules.get("torch")  # a module of torch cannot be there without it
    if torch is not None and isinstance(model, torch.nn.Module):
        return _of_module(model)
    if isinstance(model, _Classifier):
        spec = model.options.spec
        if spec is None:
            raise ExplanationError(
                "this model was trained on original images, so a code cannot explain it; train "
                "one on codes, or on images that come from codes"
            )
        return replace(
            as_explainable(model.scorer),
            labels=tuple(model.label_names),
            spec=spec,
            range=model.range,
            spreads=model.facts.get("spread_of_log_odds") or {},
        )
    if isinstance(model, _Logistic):
        return _of_module(_logistic_twin(model))
    for name in ("module", "model"):  # scorers hold what they score with
        if isinstance(model, _Scorer) and hasattr(model, name):
            return as_explainable(getattr(model, name))
    if isinstance(model, _Estimator):
        estimator = model
        return Explainable(
            lambda codes: estimator.predict_proba(codes.reshape(len(codes), -1)), unit="output"
        )
    if callable(model):
        return Explainable(model)
    raise ExplanationError(
        "a model must be a torch module, a classifier, or a callable on codes; got "
        f"{type(model).__name__}"
    )


@runtime_checkable
class _Classifier(Protocol):
    """A trained model of `deepfixcx.learn`, which is beside this package and not below it."""

    options: Any
    scorer: Any
    label_names: tuple[str, ...]
    range: CodeRange | None
    facts: Mapping[str, Any]


@runtime_checkable
class _Scorer(Protocol):
    def probabilities(self, inputs: Array) -> Array: ...


@runtime_checkable
class _Estimator(Protocol):
    def predict_proba(self, embeddings: Array) -> Any: ...


@runtime_checkable
class _Logistic(Protocol):
    rooted: bool
    mean: Array
    projection: Array
    weights: Array
    bias: Array


def _of_module(module: nn.Module) -> Explainable:
    torch = require("torch", extra="learn")
    module.eval()

    def outputs(codes: Array) -> NDArray[Any]:
        device = next((each.device for each in module.parameters()), torch.device("cpu"))
        with torch.no_grad():
            made = module(torch.from_numpy(np.ascontiguousarray(codes)).to(device))
        answers: NDArray[Any] = made.float().cpu().numpy()
        return answers

    return Explainable(outputs, module, LOG_ODDS)


def _logistic_twin(model: _Logistic) -> nn.Module:
    require("torch", extra="learn")
    from deepfixcx.explain.gradients import LogisticTwin

    return LogisticTwin(model.rooted, model.mean, model.projection @ model.weights, model.bias)


BaselineName = Literal["mean", "details", "zeros"]
"""Names of baselines: the mean code, the code without its details, zeros."""

BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)


def mean_code(reference: Code) -> Array:
    """Return the mean of some codes, (1, C, 4**J, P, P)."""
    if len(reference) < 2:
        raise ExplanationError(
            "the mean code needs several images, and there is one; give more images, or use the "
            "baseline 'details'"
        )
    mean: Array = reference.array.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean[np.newaxis]


def without_details(code: Code) -> Array:
    """Return codes with only the approximation, (B, C, 4**J, P, P)."""
    left = np.zeros_like(code.array)
    left[:, :, 0] = code.array[:, :, 0]
    return left


def zeros(code: Code) -> Array:
    """Return a code of zeros, that of a black image, (1, C, 4**J, P, P)."""
    return np.zeros((1, *code.array.shape[1:]), np.float32)


def baseline_codes(
    name: str, code: Code, model: Explainable, reference: Code | None = None
) -> Array:
    """Return the baseline of this name."""
    if name == "details":
        return without_details(code)
    if name == "zeros":
        return zeros(code)
    if name != "mean":
        raise ExplanationError(f"there is no baseline {name!r}; available: {', '.join(BASELINES)}")
    if reference is not None:
        return mean_code(reference)
    middle = _middle(model)
    if middle is not None and middle.size == code.array[0].size:
        return middle.reshape(1, *code.array.shape[1:])
    return mean_code(code)


def checked_baseline(baseline: ArrayLike, code: Code) -> Array:
    """Return a baseline as an array of one or as many codes."""
    array = np.asarray(baseline, np.float32)
    if array.ndim != code.array.ndim or array.shape[1:] != code.array.shape[1:]:
        raise ExplanationError(
            f"a baseline of codes {code.array.shape} has shape (1 or B, "
            f"{', '.join(map(str, code.array.shape[1:]))}), got {array.shape}"
        )
    if len(array) not in (1, len(code)):
        raise ExplanationError(f"{len(code)} codes need one baseline or as many, got {len(array)}")
    return array


def _middle(model: Explainable) -> Array | None:
    """Ask a module for the middle of what it learned from."""
    module: Any = model.module
    if module is None or not callable(getattr(module, "middle", None)):
        return None
    middle: Array = module.middle().detach().cpu().numpy()
    return middle
