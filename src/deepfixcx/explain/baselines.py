"""What codes are compared with: a code that stands for nothing in particular.

An attribution says what a code has more or less of than its baseline. Against the mean code of
other images it says what is unusual about the image; against the code without details (the paper's
choice) it says what edges contribute, and nothing about brightness; against zeros, black, it says
what everything contributes, on a path far away from any image.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.models import Explainable

__all__ = [
    "BASELINES",
    "BaselineName",
    "baseline_codes",
    "checked_baseline",
    "mean_code",
    "without_details",
    "zeros",
]

Array = NDArray[np.float32]

BaselineName = Literal["mean", "details", "zeros"]
"""Names of baselines: the mean code, the code without its details, zeros."""

BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)


def mean_code(reference: Code) -> Array:
    """Return the mean of some codes, (1, C, 4**J, P, P).

    Raises
    ------
    ExplanationError
        There are fewer than two codes.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> code = Codec(level=1, patches=1).encode(np.array([[[[1.0]]], [[[3.0]]]]))
    >>> mean_code(code)[0, 0, 0].tolist()
    [[1.0]]
    """
    if len(reference) < 2:
        raise ExplanationError(
            "the mean code is that of several images, and there is one; give more images, or "
            "compare with the code without its details"
        )
    mean: Array = reference.array.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean[np.newaxis]


def without_details(code: Code) -> Array:
    """Return codes of which the approximation alone is left, (B, C, 4**J, P, P).

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> without_details(Codec(level=1, patches=1).encode(np.eye(2)))[0, 0, :, 0, 0].tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    left = np.zeros_like(code.array)
    left[:, :, 0] = code.array[:, :, 0]
    return left


def zeros(code: Code) -> Array:
    """Return a code of zeros, that of a black image, (1, C, 4**J, P, P)."""
    return np.zeros((1, *code.array.shape[1:]), np.float32)


def baseline_codes(
    name: str, code: Code, model: Explainable, reference: Code | None = None
) -> Array:
    """Return the baseline of this name.

    Parameters
    ----------
    name : {"mean", "details", "zeros"}
        The mean of `reference`; without it, the middle of the codes that the model learned from,
        where it knows it (`CodeMLP` and `LogisticCodes` do); otherwise the mean of `code`.
    code : Code
        What is explained.
    model : Explainable
        The model.
    reference : Code, optional
        Codes of other images.

    Raises
    ------
    ExplanationError
        Unknown name, or a mean of a single code.
    """
    if name == "details":
        return without_details(code)
    if name == "zeros":
        return zeros(code)
    if name != "mean":
        raise ExplanationError(f"there is no baseline {name!r}; there are {', '.join(BASELINES)}")
    if reference is not None:
        return mean_code(reference)
    middle = _middle(model)
    if middle is not None and middle.size == code.array[0].size:
        return middle.reshape(1, *code.array.shape[1:])
    return mean_code(code)


def checked_baseline(baseline: ArrayLike, code: Code) -> Array:
    """Return a baseline as an array of one or as many codes.

    Raises
    ------
    ExplanationError
        Its shape is another.
    """
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
