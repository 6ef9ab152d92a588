"""Occlusion: what an output loses when a part of the code is replaced by the baseline's.

It needs nothing of a model but its outputs, so it explains models that have no gradients.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution, Tells
from deepfixcx.explain.baselines import checked_baseline
from deepfixcx.explain.models import as_explainable

__all__ = ["Parts", "occlusion", "parts_of"]

Array = NDArray[np.float32]

Parts = Literal["cell", "band", "number"]
"""What is replaced at a time: all bands of a cell, all cells of a band, one cell of one band."""

NUMBERS_AT_ONCE = 1 << 22

_TELLS: dict[str, Tells] = {"cell": "place", "band": "band", "number": "place and band"}


def occlusion(
    model: object,
    code: Code,
    baseline: ArrayLike,
    target: int | str = 0,
    *,
    by: Parts = "number",
) -> Attribution:
    """Explain codes by occlusion.

    Parameters
    ----------
    model : object
        Any model; see `as_explainable`.
    code : Code
        What is explained, B images.
    baseline : array_like, shape (1, C, 4**J, P, P) or (B, C, 4**J, P, P)
        What the parts are replaced with; see `deepfixcx.explain.baselines`.
    target : int or str
        Which output of the model, by number or by name.
    by : {"number", "cell", "band"}
        What is replaced at a time, in all channels at once. Cells tell places only, with P * P
        questions to the model for each image; bands tell scales and orientations only, with 4**J;
        numbers tell both, with 4**J * P * P.

    Returns
    -------
    Attribution
        What the output loses, divided evenly among the numbers of the part. Parts that work
        together count more than once, or not at all, so the values need not sum to the change of
        the output.

    Raises
    ------
    ExplanationError
        The model fails on such codes, has no such output, or shapes do not fit.

    References
    ----------
    Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014,
    arXiv:1311.2901.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> code = Codec(level=1, patches=2).encode(np.eye(8, dtype=np.float32))
    >>> def brightness(codes):
    ...     return codes[:, 0, 0].mean(axis=(1, 2))
    >>> occlusion(brightness, code, np.zeros_like(code.array), by="cell").spatial()[0].tolist()
    [[0.125, 0.0], [0.0, 0.125]]
    """
    explained = as_explainable(model)
    explained.check(code)
    number, label = explained.target(target)
    start = checked_baseline(baseline, code)
    part_of = parts_of(code, by)
    count = int(part_of.max()) + 1
    sizes = np.bincount(part_of.ravel(), minlength=count)
    outputs = explained.outputs(code.array, number)
    before = np.broadcast_to(explained.outputs(start, number), outputs.shape).copy()
    values = np.empty_like(code.array)
    at_once = max(1, NUMBERS_AT_ONCE // part_of.size)
    for image in range(len(code)):
        one, instead = code.array[image], start[image % len(start)]
        lost = np.empty(count, np.float32)
        for first in range(0, count, at_once):
            parts = np.arange(first, min(first + at_once, count))
            chosen = part_of == parts.reshape(-1, *[1] * part_of.ndim)
            occluded = np.where(chosen, instead, one)
            lost[parts] = outputs[image] - explained.outputs(occluded, number)
        values[image] = (lost / sizes)[part_of]
    method = f"occlusion by {by}"
    return Attribution(
        values, code, start, outputs, before, method, number, label, explained.unit, _TELLS[by]
    )


def parts_of(code: Code, by: str) -> NDArray[np.int64]:
    """Return which part each number of a code belongs to, of the shape of one code.

    Raises
    ------
    ExplanationError
        Unknown parts.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> parts_of(Codec(level=1, patches=2).encode(np.eye(8)), "cell")[0, 3].tolist()
    [[0, 1], [2, 3]]
    """
    if by not in get_args(Parts):
        raise ExplanationError(f"occlusion is by {', '.join(get_args(Parts))}; got {by!r}")
    shape = code.array.shape[1:]
    bands, rows, columns = shape[1:4]
    band, row, column = np.ogrid[:bands, :rows, :columns]
    parts = {
        "cell": row * columns + column + 0 * band,
        "band": band + 0 * row + 0 * column,
        "number": (band * rows + row) * columns + column,
    }[by]
    parts = parts[np.newaxis] if len(shape) == 4 else parts[np.newaxis, ..., np.newaxis]
    return np.broadcast_to(parts, shape).astype(np.int64)
