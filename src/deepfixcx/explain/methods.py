"""Attribution by occlusion, every attribution method by name, and how large a reason is by chance.

A model whose labels say nothing has weights of random direction. Its amount for some numbers of a
code is then normal, with a variance that is their share of the squared distance between code and
baseline, in standard deviations of each number; `FACTOR` was measured on logistic models,
multilayer perceptrons and networks that were fitted to permuted labels
(`python -m benchmarks.explanations`). Compared are amounts of a model whose scores spread as much.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution, Resolves
from deepfixcx.explain.groups import group_members
from deepfixcx.explain.models import (
    BASELINES,
    Explainable,
    as_explainable,
    baseline_codes,
    checked_baseline,
)
from deepfixcx.measures.code_range import FEWEST, CodeRange, signed_root

__all__ = [
    "METHODS",
    "MethodName",
    "Parts",
    "chance_of",
    "even_shares",
    "explain_codes",
    "occlusion",
    "parts_of",
    "range_of",
    "summed_shares",
    "with_other_baselines",
]

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

Parts = Literal["cell", "band", "number"]
"""What is replaced at a time: all bands of a cell, all cells of a band, one cell of one band."""

NUMBERS_AT_ONCE = 1 << 22

FEW_STEPS, ROUGH = 16, 0.01
"""Integrated gradients take more than so few steps where they miss more than this share of the
sizes of all amounts, which changes the second digit of a reason at most."""

FACTOR, LINEAR_FACTOR = 1.75, 1.5
"""Amounts of models of random labels are so much larger than those of independent weights."""

CHANCE = 0.05
"""Share of images of such a model in which any reason seems larger than chance."""

LEAST = 1e-6

_RESOLVES: dict[str, Resolves] = {"cell": "place", "band": "band", "number": "place and band"}


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
        What the parts are replaced with; see `deepfixcx.explain.models`.
    target : int or str
        Which output of the model, by number or by name.
    by : {"number", "cell", "band"}
        What is replaced at a time, in all channels at once. Cells give positions only, with P * P
        questions to the model for each image; bands give scales and orientations only, with 4**J;
        numbers give both, with 4**J * P * P.

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
        values, code, start, outputs, before, method, number, label, explained.unit, _RESOLVES[by]
    )


def parts_of(code: Code, by: str) -> NDArray[np.int64]:
    """Return which part each number of a code belongs to, of the shape of one code."""
    if by not in get_args(Parts):
        raise ExplanationError(f"occlusion is by {', '.join(get_args(Parts))}; got {by!r}")
    shape, spec = code.array.shape[1:], code.spec
    number = np.arange(math.prod(shape[1 : 2 + spec.ndim])).reshape(shape[1 : 2 + spec.ndim])
    cells = math.prod(spec.grid_shape)
    parts = {"cell": number % cells, "band": number // cells, "number": number}[by]
    parts = parts[np.newaxis] if isinstance(spec.pooling, str) else parts[np.newaxis, ..., None]
    return np.broadcast_to(parts, shape).astype(np.int64)


MethodName = Literal[
    "integrated-gradients",
    "deeplift",
    "gradient-shap",
    "occlusion",
    "occlusion-by-cell",
    "occlusion-by-band",
]

METHODS: tuple[MethodName, ...] = get_args(MethodName)

_PARTS: dict[str, Parts] = {
    "occlusion": "number",
    "occlusion-by-cell": "cell",
    "occlusion-by-band": "band",
}


def explain_codes(
    model: object,
    code: Code,
    *,
    method: str = "integrated-gradients",
    baseline: str | ArrayLike = "mean",
    target: int | str = 0,
    reference: Code | None = None,
) -> Attribution:
    """Explain a model's answers on codes.

    Parameters
    ----------
    model : object
        See `as_explainable`.
    code : Code
        What is explained, B images.
    method : str
        ``"integrated-gradients"``, ``"deeplift"`` or ``"gradient-shap"`` for models with
        gradients; ``"occlusion"``, ``"occlusion-by-cell"`` or ``"occlusion-by-band"`` for any.
    baseline : str or array_like
        ``"mean"``, ``"details"`` or ``"zeros"``, see `baseline_codes`; or codes of your own.
    target : int or str
        Which output of the model, by number or by name.
    reference : Code, optional
        Images that the mean is taken of, and that gradient SHAP draws from; `code` if left away.

    Returns
    -------
    Attribution
        Of every image. Its `Attribution.chance` is there where the range of the codes is known:
        from the model, or from 20 images or more.

    Raises
    ------
    ExplanationError
        Unknown method or baseline; the model has no gradients where they are needed, or no such
        output; or gradient SHAP was given another baseline than ``"mean"``.

    Examples
    --------
    >>> import numpy as np
    >>> from deepfixcx import Codec
    >>> code = Codec(level=1, patches=2).encode(np.random.default_rng(0).random((5, 1, 8, 8)))
    >>> def brightness(codes):
    ...     return codes[:, 0, 0].mean(axis=(1, 2))
    >>> why = explain_codes(brightness, code, method="occlusion")
    >>> why.edges(absolute=True).argmax(axis=1).tolist()
    [0, 0, 0, 0, 0]
    """
    if method not in METHODS:
        raise ExplanationError(f"there is no method {method!r}; available: {', '.join(METHODS)}")
    explained = as_explainable(model)
    explained.check(code)
    why = _attributed(explained, code, method, baseline, target, reference)
    known = _range(explained, code if reference is None else reference)
    spread = (
        float(why.outputs.std())
        if len(code) >= FEWEST
        else explained.spreads.get(why.label) or None
    )
    if known is None or not spread:
        return why
    linear = type(explained.module).__name__ == "LogisticTwin"
    return replace(why, chance=chance_of(why, known, spread, linear=linear))


def with_other_baselines(
    model: object, why: Attribution, *, method: str, n: int = 5
) -> Attribution:
    """Return an attribution with `others` and `stable`: what changes with another baseline.

    Compared are the baselines of other names, `BASELINES`, that the method and codes allow.
    """
    strongest = [_places(why, n, image) for image in range(len(why))]
    amounts, kept = [], []
    for name in BASELINES if method != "gradient-shap" else ():
        try:
            other = explain_codes(model, why.code, method=method, baseline=name, target=why.target)
        except ExplanationError:  # one code has no mean
            continue
        if not np.array_equal(other.baseline, why.baseline):
            amounts.append(other.amounts())
            kept.append([len(own & _places(other, n, row)) for row, own in enumerate(strongest)])
    if not amounts:
        return why
    return replace(why, others=np.stack(amounts), stable=np.mean(kept, axis=0))


def _places(why: Attribution, n: int, image: int) -> set[tuple[object, ...]]:
    return {(each.cell, each.bands and each.bands.orientation) for each in why.top(n, image)}


def _range(explained: Explainable, code: Code) -> CodeRange | None:
    """Return the range that the model knows, or that of enough codes."""
    if explained.range is not None and explained.range.center.shape == code.array.shape[1:]:
        return explained.range
    return range_of(code)


def _attributed(
    explained: Explainable,
    code: Code,
    method: str,
    baseline: str | ArrayLike,
    target: int | str,
    reference: Code | None,
) -> Attribution:
    if method == "gradient-shap":
        if not isinstance(baseline, str) or baseline != "mean":
            raise ExplanationError(
                "gradient SHAP draws its baselines from images; omit the baseline"
            )
        from deepfixcx.explain.gradients import gradient_shap

        return gradient_shap(explained, code, code if reference is None else reference, target)
    start = (
        baseline_codes(baseline, code, explained, reference)
        if isinstance(baseline, str)
        else baseline
    )
    if method in _PARTS:
        return occlusion(explained, code, start, target, by=_PARTS[method])
    if method == "deeplift":
        from deepfixcx.explain.deeplift import deep_lift

        return deep_lift(explained, code, start, target)
    return _integrated(explained, code, start, target)


def _integrated(
    explained: Explainable, code: Code, start: ArrayLike, target: int | str
) -> Attribution:
    """Integrate gradients in few steps, and in more where the values do not yet add up."""
    from deepfixcx.explain.gradients import integrated_gradients

    why = integrated_gradients(explained, code, start, target, steps=FEW_STEPS)
    amounts = why.amounts()
    amounts = amounts.reshape(len(amounts), -1)
    missed = np.abs(amounts.sum(axis=1) - (why.outputs - why.baseline_outputs))
    rough = np.flatnonzero(missed > ROUGH * np.abs(amounts).sum(axis=1))
    if not len(rough):
        return why
    base = why.baseline if len(why.baseline) == 1 else why.baseline[rough]
    values = why.values.copy()
    values[rough] = integrated_gradients(explained, code[rough], base, target).values
    return replace(why, values=values)


# -- chance ----------------------------------------------------------------------------------------


def even_shares(code: Code, known: CodeRange, baseline: NDArray[np.float32] | None) -> Floats:
    """Return the squared distance to a baseline in each group and cell, (B, G, *cells).

    Distances are in standard deviations of the range; without a baseline they are those to its
    center, and their sum is 1 on average over images.
    """
    members = group_members(code.spec.level, code.spec.level_z)
    shares = np.empty((len(code), len(members), *code.spec.grid_shape))
    used = max(1, int(np.isfinite(known.spread).sum()))
    starts = (known.center[None] if baseline is None else signed_root(baseline)) / known.spread
    for image, values in enumerate(code.array):
        squares = (signed_root(values) / known.spread - starts[image % len(starts)]) ** 2
        squares = squares if isinstance(code.spec.pooling, str) else squares.sum(axis=-1)
        of_bands = squares.sum(axis=0).reshape(squares.shape[1], -1)
        shares[image] = (members @ of_bands).reshape(shares.shape[1:])
    least: Floats = np.maximum(shares / used, LEAST / shares[0].size)
    return least


def chance_of(
    why: Attribution, known: CodeRange, spread: float, *, linear: bool
) -> NDArray[np.float32]:
    """Return the amount that each reason has to exceed, of the shape of `Attribution.chance`.

    `spread` is the standard deviation of the output over many images, `linear` whether the model
    is a logistic regression.
    """
    shares = summed_shares(why, known)
    special = require("scipy.special", extra="sklearn")
    quantile = -float(special.ndtri(CHANCE / 2 / shares[0].size))
    factor = LINEAR_FACTOR if linear else FACTOR
    return (factor * quantile * spread * np.sqrt(shares)).astype(np.float32)


def summed_shares(why: Attribution, known: CodeRange, *, center: bool = False) -> Floats:
    """Return even shares of an attribution's positions and bands, in the shape of its amounts."""
    shares = even_shares(why.code, known, None if center else why.baseline)
    if why.resolves == "place":
        shares = shares.sum(axis=1, keepdims=True)
    elif why.resolves == "band":
        shares = shares.sum(axis=tuple(range(2, shares.ndim)), keepdims=True)
    return shares


def range_of(code: Code) -> CodeRange | None:
    """Return the range of the codes of enough images."""
    return CodeRange.of(code.array) if len(code) >= FEWEST else None
