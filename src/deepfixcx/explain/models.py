"""Any model as one thing that can be explained: outputs of codes, and gradients where there are.

What `as_explainable` takes, in this order:

- a module of torch, from codes (N, C, 4**J, P, P) to logits (N, L);
- a `Classifier` of `deepfixcx.learn`, or its scorer: known by attributes, not imported;
- a `LogisticCodes`, or anything with its five attributes: a twin in torch gives its gradients;
- anything with ``predict_proba``, as in scikit-learn: it is given embeddings (N, n);
- any callable that takes codes (N, C, 4**J, P, P) as ndarray and returns (N, L).

The last two are asked for outputs only, and need no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.spec import CodecSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LOG_ODDS", "Explainable", "as_explainable"]

Array = NDArray[np.float32]

LOG_ODDS = "log odds"
NUMBERS_AT_ONCE = 1 << 22
"""Models are asked about at most so many numbers at a time, 16 MB."""


@dataclass(frozen=True, eq=False)
class Explainable:
    """A model in the form that explanations take.

    Attributes
    ----------
    function : callable
        Outputs (N, L) of codes (N, C, 4**J, P, P).
    module : nn.Module or None
        What gives gradients, from codes to the same outputs.
    unit : str
        Of the outputs: ``"log odds"``, or ``"output"`` where nothing is known.
    labels : tuple of str
        Names of the outputs, where they have some.
    spec : CodecSpec or None
        Of the codes that it takes, where it is known.
    """

    function: Callable[[Array], NDArray[Any]]
    module: nn.Module | None = None
    unit: str = "output"
    labels: tuple[str, ...] = ()
    spec: CodecSpec | None = None

    def outputs(self, codes: Array, target: int) -> Array:
        """Return one output for each code, (N,).

        Raises
        ------
        ExplanationError
            The model fails on such codes, or has no such output.
        """
        numbers = max(1, int(np.prod(codes.shape[1:])))
        batch = max(1, NUMBERS_AT_ONCE // numbers)
        parts = [
            self._outputs(codes[start : start + batch], target)
            for start in range(0, len(codes), batch)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def target(self, wanted: int | str) -> tuple[int, str]:
        """Return number and name of an output.

        Raises
        ------
        ExplanationError
            The model has no output of this name or number.
        """
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
        """Check that codes are of the spec that the model takes.

        Raises
        ------
        ExplanationError
            They are not, or there are none.
        """
        if self.spec is not None and code.spec != self.spec:
            raise ExplanationError(
                f"this model takes codes of {self.spec}, these were made with {code.spec}"
            )
        if not len(code):
            raise ExplanationError("there is no image in the code, so there is nothing to explain")

    def differentiable(self, method: str) -> nn.Module:
        """Return what gives gradients.

        Raises
        ------
        ExplanationError
            The model gives none.
        """
        if self.module is None:
            raise ExplanationError(
                f"{method} needs gradients, so a module of torch; explain this model by occlusion"
            )
        return self.module

    def _outputs(self, codes: Array, target: int) -> Array:
        outputs = np.asarray(self.function(codes), np.float32)
        if outputs.ndim == 1:
            outputs = outputs[:, np.newaxis]
        if outputs.ndim != 2 or len(outputs) != len(codes):
            raise ExplanationError(
                f"a model returns outputs (N, L); of {len(codes)} codes it made {outputs.shape}"
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
        return replace(as_explainable(model.scorer), labels=tuple(model.label_names), spec=spec)
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
        f"a model is a module of torch, a classifier, or a callable on codes; got "
        f"{type(model).__name__}"
    )


@runtime_checkable
class _Classifier(Protocol):
    """A trained model of `deepfixcx.learn`, which is beside this package and not below it."""

    options: Any
    scorer: Any
    label_names: tuple[str, ...]


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
    from deepfixcx.explain.twins import LogisticTwin

    return LogisticTwin(model.rooted, model.mean, model.projection @ model.weights, model.bias)
