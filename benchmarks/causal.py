"""Whether explanations are causal: planted truth, insertion and deletion, sanity checks, rivals.

Rivals work on the same models and codes: the gradient alone and times the difference, Captum's
integrated gradients and DeepLift, and WAM (Kasmi et al., One wave to explain them all, ICML 2025):
mean gradients of noisy inputs in the wavelet domain, by their size. Its protocol inserts and
deletes wavelet coefficients, zeros instead; the numbers of a code are such coefficients, pooled.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from captum.attr import DeepLift, IntegratedGradients
from numpy.typing import NDArray

from benchmarks.explanations import SIDE, Parts, fitted_model, touched_cells
from benchmarks.planted import Direction, Planted, plant_discs, plant_edges
from benchmarks.table import Table, put_section
from benchmarks.utility import ROOT
from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.datasets import load_dataset
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.faithfulness import deletion_insertion, map_correlation
from deepfixcx.explain.gradients import slopes
from deepfixcx.explain.methods import explain_codes
from deepfixcx.explain.models import as_explainable
from deepfixcx.learn.loading import load_pixels
from deepfixcx.measures import mean_interval, roc_auc

__all__ = ["main"]

Array = NDArray[np.float32]

SPEC = CodecSpec(3, 4)
RADIUS = 24
STRENGTHS = (0.1, 0.2, 0.4)
PATTERNS: dict[str, tuple[Direction | None, float]] = {
    "vertical lines, 6 px": ("vertical", 6.0),
    "horizontal lines, 6 px": ("horizontal", 6.0),
    "diagonal lines, 6 px": ("diagonal", 6.0),
    "disc, 48 px": (None, 48.0),
}
"""Direction and period; the disc is brightness, coarser than all edges of the code."""

MODELS = ("logistic", "mlp", "network")
NAMED = ("AUC", "place", "and direction", "and octave")
NOISY, NOISE = 25, 0.25
"""Noisy codes that WAM averages, and their noise in standard deviations of each number."""

EXPLAINED = 40
"""Most images whose insertion and deletion are measured."""


# -- methods ----------------------------------------------------------------------------------


def attributions(model: object, code: Code, start: Array) -> Iterator[tuple[str, Attribution]]:
    """Explain codes by every method, compared with one baseline."""
    module = as_explainable(model).differentiable("this benchmark")
    ours = explain_codes(model, code, baseline=start)
    yield "integrated gradients", ours
    yield "DeepLift", explain_codes(model, code, baseline=start, method="deeplift")
    inputs, base = torch.from_numpy(code.array), torch.from_numpy(start)
    gradient = slopes(module, inputs, 0)[1]
    rivals: dict[str, Callable[[], torch.Tensor]] = {
        "gradient × difference": lambda: gradient * (inputs - base),
        "Captum, integrated gradients": lambda: IntegratedGradients(module).attribute(
            inputs, base, target=0, n_steps=50, internal_batch_size=2048
        ),
        "Captum, DeepLift": lambda: DeepLift(module).attribute(
            inputs, base.expand_as(inputs).contiguous(), target=0
        ),
        "WAM, size of mean gradients": lambda: _wam(module, inputs).abs(),
        "WAM × difference": lambda: _wam(module, inputs) * (inputs - base),
    }
    for name, rival in rivals.items():
        try:
            values = rival().detach().numpy().astype(np.float32)
        except (RuntimeError, AssertionError, KeyError, TypeError) as error:
            print(f"{name} fails: {error}", file=sys.stderr)
            continue
        yield name, replace(ours, values=values, method=name)


def _wam(module: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = NOISE * inputs.std(0, keepdim=True)
    total = torch.zeros_like(inputs)
    for _ in range(NOISY):
        total += slopes(module, inputs + noise * torch.randn(inputs.shape, generator=generator), 0)[
            1
        ]
    return total / NOISY


# -- planted truth ----------------------------------------------------------------------------


def planted_truth(pixels: Array, parts: Parts, options: argparse.Namespace) -> Table:
    """Plant patterns, and count images whose first reason has place, direction and octave right.

    A disc has every direction; its octave is the brightness.
    """
    columns = ["pattern", "strength"]
    columns += [f"{kind}: {what}" for kind in options.models for what in NAMED]
    table = Table(columns, words=1)
    for pattern, (direction, period) in PATTERNS.items():
        for strength in STRENGTHS:
            planted = _plant(pixels, direction, period, strength, options.seed)
            own, code = parts.of_copies(planted), Codec(SPEC).encode(planted.pixels)
            sick, healthy = (own.test[planted.labels[own.test, 0] == yes] for yes in (1, 0))
            touched = touched_cells(planted, sick, SPEC.grid_shape[0])
            cells: list[str] = []
            for kind in options.models:
                model = fitted_model(kind, code, planted.labels, own, options.seed)
                scores = as_explainable(model).outputs(code.array[own.test], 0)
                cells.append(f"{roc_auc(planted.labels[own.test, 0], scores):.2f}")
                start = code.array[healthy].mean(axis=0, keepdims=True)
                reference = code[np.concatenate([sick, healthy])]
                why = explain_codes(model, code[sick], baseline=start, reference=reference)
                truth = [_right(why, k, direction, period, touched) for k in range(len(why))]
                cells += [f"{100 * share:.0f} %" for share in np.mean(truth, axis=0)]
            table.add(pattern, f"{strength:.1f}", *cells)
            print(table.rows[-1], file=sys.stderr, flush=True)
    return table


def _plant(
    pixels: Array, direction: Direction | None, period: float, strength: float, seed: int
) -> Planted:
    generator = np.random.default_rng(seed)
    if direction is None:
        return plant_discs(pixels, 2, generator, RADIUS, strength)
    return plant_edges(pixels, 2, generator, direction, period, RADIUS, strength)


def _right(
    why: Attribution, row: int, direction: str | None, period: float, touched: NDArray[np.bool_]
) -> tuple[bool, bool, bool]:
    """Return whether the first reason has the right place, direction and octave."""
    (first,) = why.top(1, row)
    if first.bands is None or first.row is None or first.column is None:
        return False, False, False
    place = bool(touched[row, first.row, first.column])
    if direction is None:  # a disc has every direction
        return place, place, place and first.bands.orientation == "approximation"
    right = place and first.bands.orientation == direction
    return place, right, right and first.bands.low <= period <= first.bands.high


# -- faithfulness, sanity ---------------------------------------------------------------------


def curves(code: Code, labels: Array, parts: Parts, options: argparse.Namespace) -> Table:
    """Insert and delete numbers of codes in the order of each method."""
    columns = ["order of the numbers", "model", "baseline", "area, deletion", "area, insertion"]
    table = Table(columns, words=3)
    sick = parts.test[labels[parts.test, 0] == 1][:EXPLAINED]
    for kind in options.models:
        if kind == "logistic":
            continue
        model = fitted_model(kind, code, labels, parts, options.seed)
        mean = code.array[parts.train].mean(axis=0, keepdims=True)
        for baseline, start in (("mean", mean), ("zeros", 0 * mean)):
            orders: list[tuple[str, Attribution, np.random.Generator | None]] = [
                (name, why, None) for name, why in attributions(model, code[sick], start)
            ]
            orders.append(("random", orders[0][1], np.random.default_rng(options.seed)))
            for name, why, shuffled in orders:
                found = deletion_insertion(model, why, by="number", steps=32, shuffled=shuffled)
                areas = [
                    mean_interval(each) for each in (found.deletion_area, found.insertion_area)
                ]
                words = [f"{each.value:.2f} [{each.low:.2f}, {each.high:.2f}]" for each in areas]
                table.add(name, kind, baseline, *words)
    return table


def sanity(code: Code, labels: Array, parts: Parts, options: argparse.Namespace) -> Table:
    """Compare explanations with those of random weights, and of labels in random order."""
    table = Table(["method", "random weights", "random labels"])
    tested = code[parts.test[:EXPLAINED]]
    start = code.array[parts.train].mean(axis=0, keepdims=True)
    model = fitted_model("mlp", code, labels, parts, options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    weights = copy.deepcopy(model)
    with torch.no_grad():
        for values in weights.parameters():
            size = values.square().mean().sqrt()
            values.copy_(torch.randn(values.shape, generator=generator) * size)
    mixed = np.random.default_rng(options.seed).permutation(labels)
    others = [weights, fitted_model("mlp", code, mixed, parts, options.seed + 1)]
    explained = [dict(attributions(each, tested, start)) for each in (model, *others)]
    for name, why in explained[0].items():
        table.add(name, *(f"{map_correlation(why, each[name]):.2f}" for each in explained[1:]))
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Make every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, help="only so many X-rays")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--only", action="append", help="a section; all if absent")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args(words)
    warnings.filterwarnings("ignore", category=UserWarning, module="captum")
    data = options.data or Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data")
    dataset = load_dataset(data / "cxr_nih", labels="pneumonia")
    dataset = dataset.select(np.arange(len(dataset))[: options.images])
    pixels, labels = load_pixels(dataset.records, SIDE).array, np.array(dataset.labels)
    parts, code = Parts.by_patient(dataset.patients, options.seed), Codec(SPEC).encode(pixels)
    makers: tuple[tuple[str, Callable[[], Table]], ...] = (
        ("Sanity checks", lambda: sanity(code, labels, parts, options)),
        ("Insertion and deletion", lambda: curves(code, labels, parts, options)),
        ("Planted truth", lambda: planted_truth(pixels, parts, options)),
    )
    texts: list[str] = []
    for title, make in makers:
        if not options.only or title in options.only:
            texts += [f"**{title}**", make().markdown()]
            print("\n\n".join(texts[-2:]), end="\n\n", flush=True)
    limit = "" if options.images is None else f" --images {options.images}"
    kinds = "" if options.models == MODELS else f" --models {' '.join(options.models)}"
    texts.append(f"Made by `python -m benchmarks.causal --seed {options.seed}{limit}{kinds}`.")
    if options.markdown is not None:
        put_section(options.markdown, "causal", texts)


if __name__ == "__main__":
    main()
