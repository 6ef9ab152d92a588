"""How true explanations of codes are: where, which edges, and by which shortcut."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.image_maps import SmallNetwork, grad_cam, occlusion, path_gradients
from benchmarks.planted import Direction, Planted, plant_discs, plant_edges, plant_marker
from benchmarks.sign_attack import guessed_signs
from benchmarks.table import Table, put_section
from benchmarks.utility import ROOT
from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.datasets import Dataset, load_dataset
from deepfixcx.explain.attribution import Attribution, Reason
from deepfixcx.explain.cohort import Bias, bias
from deepfixcx.explain.faithfulness import (
    deletion_insertion,
    label_randomization,
    model_randomization,
)
from deepfixcx.explain.gradients import integrated_gradients
from deepfixcx.explain.methods import explain_codes, with_other_baselines
from deepfixcx.explain.models import Explainable, as_explainable, mean_code
from deepfixcx.learn.baselines import BASELINES
from deepfixcx.learn.fitting import fit
from deepfixcx.learn.loading import load_pixels
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.learn.networks import ImageNetwork
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.scorers import ModuleScorer, build_module
from deepfixcx.measures import roc_auc
from deepfixcx.measures.code_range import CodeRange
from deepfixcx.report.drawing import figure_bytes
from deepfixcx.report.explained_model import attribution_figure

__all__ = ["Parts", "fitted_model", "main", "touched_cells"]

Array = NDArray[np.float32]
Places = NDArray[np.int64]

SIDE, NETWORK_SIDE = 320, 80
"""Pixels a side of the X-rays, and of what the network for comparison sees."""

DISC_SPEC, EDGE_SPEC, TASK_SPEC = CodecSpec(2, 16), CodecSpec(3, 8), CodecSpec(3, 4)
DISC_RADIUS, DISC_STRENGTH = 14, 0.5
EDGE_RADIUS, EDGE_STRENGTH = 20, 0.15
EDGES: tuple[tuple[Direction, float, str], ...] = (
    ("vertical", 6.0, "dmey"),
    ("horizontal", 6.0, "dmey"),
    ("vertical", 10.7, "dmey"),
    ("horizontal", 10.7, "dmey"),
    ("vertical", 6.0, "haar"),
    ("horizontal", 10.7, "haar"),
)
"""Stripes whose period, in pixels, lies in the middle of an octave; and the wavelet of the code."""

MARKER, CORRELATION = 24, 0.6
"""Height in pixels of the letter that is planted, and its correlation with the label."""

CHOSEN_ON = 25
"""The limit of the search was chosen on so many splits of clean, and as many of random labels."""

MODELS = ("logistic", "mlp", "network")
METHODS = ("integrated-gradients", "deeplift", "occlusion-by-cell")


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """Places of images to learn from, to stop by and to test on; no patient is in two of them."""

    train: Places
    validation: Places
    test: Places

    @classmethod
    def by_patient(cls, patients: NDArray[np.str_], seed: int) -> Parts:
        """Draw half of the patients to learn from, a sixth to stop by and a third to test on."""
        drawn = np.random.default_rng(seed).permutation(np.unique(patients))
        third, half = len(drawn) // 3, len(drawn) // 2
        chosen = (drawn[half:], drawn[third:half], drawn[:third])
        return cls(*(np.flatnonzero(np.isin(patients, part)) for part in chosen))

    def of_copies(self, planted: Planted) -> Parts:
        """Return the places of the copies of each part's images."""
        parts = (self.train, self.validation, self.test)
        return Parts(*(np.flatnonzero(np.isin(planted.sources, part)) for part in parts))


# -- models -----------------------------------------------------------------------------------


def train(
    module: nn.Module, inputs: Array, labels: Array, parts: Parts, how: TrainingOptions
) -> float:
    """Train a module, and return its AUC on the images to test."""
    fit(
        module,
        torch.from_numpy(inputs),
        torch.from_numpy(labels),
        parts.train,
        parts.validation,
        how,
    )
    module.eval()
    scores = ModuleScorer(module).probabilities(inputs[parts.test])
    return roc_auc(labels[parts.test, 0], scores[:, 0])


def train_on_codes(
    code: Code, labels: Array, parts: Parts, seed: int = 0
) -> tuple[nn.Module, float]:
    """Train a `CodeMLP`, and return it and its AUC."""
    how = TrainingOptions("mlp", spec=code.spec, seed=seed)
    module: Any = build_module(how, code.channels, 1)
    module.fit_normalization(torch.from_numpy(code.array[parts.train]))
    return module, train(module, code.array, labels, parts, how)


# -- where, and which edges -------------------------------------------------------------------


def where(pixels: Array, parts: Parts, options: argparse.Namespace) -> list[Table]:
    """Plant discs, train on codes and on images, and see whose maps point at the discs."""
    generator = np.random.default_rng(options.seed)
    planted = plant_discs(pixels, options.copies, generator, DISC_RADIUS, DISC_STRENGTH)
    own = parts.of_copies(planted)
    sick, healthy = (own.test[planted.labels[own.test, 0] == yes] for yes in (1, 0))
    code, cells = Codec(DISC_SPEC).encode(planted.pixels), DISC_SPEC.grid_shape[0]
    module, area = train_on_codes(code, planted.labels, own)
    start = mean_code(code[healthy])
    why = integrated_gradients(module, code[sick], start)
    maps = [
        (
            f"code, {method.replace('-', ' ')}",
            area,
            explain_codes(module, code[sick], method=method, baseline=start).spatial(),
        )
        for method in METHODS
    ]
    small = BASELINES["downsample"](planted.pixels, NETWORK_SIDE**2)
    network, its_area = _train_network(small, planted.labels, own, options)
    images, middle = small[sick], small[healthy].mean(axis=0)
    cam = _on_cells(grad_cam(network, network.last, images), cells)
    maps += [
        ("image, Grad-CAM", its_area, cam),
        (
            "image, integrated gradients",
            its_area,
            _on_cells(path_gradients(network, images, middle, steps=25), cells),
        ),
        ("image, occlusion", its_area, occlusion(network, images, middle, cells)),
    ]
    touched = touched_cells(planted, sick, cells)
    table = Table(["map", "AUC of the model", "points at the disc", "share on the disc"], words=1)
    for name, auc, each in maps:
        hit, energy = _pointing(each, touched)
        table.add(name, f"{auc:.3f}", f"{hit:.3f}", f"{energy:.3f}")
    table.add("by chance", "", f"{touched.mean():.3f}", f"{touched.mean():.3f}")
    return [table, _curves(module, why, cam, generator)]


def _train_network(
    images: Array, labels: Array, parts: Parts, options: argparse.Namespace
) -> tuple[SmallNetwork, float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = SmallNetwork()
    how = TrainingOptions(
        "resnet18", "original", side=NETWORK_SIDE, epochs=options.epochs, learning_rate=2e-3
    )
    return network, train(network, images, labels, parts, how)


def _curves(
    module: nn.Module, why: Attribution, cam: Array, generator: np.random.Generator
) -> Table:
    """Delete and insert the cells of codes, in the order of three maps."""
    of_network = replace(why, values=_over_numbers(cam, why))
    table = Table(["order of the cells", "area while deleting", "area while inserting"], words=1)
    for name, each, shuffled in (
        ("integrated gradients of the code", why, None),
        ("Grad-CAM of the network", of_network, None),
        ("random", why, generator),
    ):
        curves = deletion_insertion(module, each, shuffled=shuffled)
        areas = curves.deletion_area.mean(), curves.insertion_area.mean()
        table.add(name, *(f"{area:.2f}" for area in areas))
    return table


def edges(pixels: Array, parts: Parts, options: argparse.Namespace) -> Table:
    """Plant stripes, and see whether the first reason that attributions name is about those."""
    columns = ["stripes", "wavelet", "AUC of the model", "orientation", "and scale", "and place"]
    table = Table(columns, words=2)
    for direction, period, wavelet in EDGES:
        generator = np.random.default_rng(options.seed)
        planted = plant_edges(
            pixels, options.copies, generator, direction, period, EDGE_RADIUS, EDGE_STRENGTH
        )
        own = parts.of_copies(planted)
        sick, healthy = (own.test[planted.labels[own.test, 0] == yes] for yes in (1, 0))
        code = Codec(replace(EDGE_SPEC, wavelet=wavelet)).encode(planted.pixels)
        module, area = train_on_codes(code, planted.labels, own)
        why = integrated_gradients(module, code[sick], mean_code(code[healthy]))
        touched = touched_cells(planted, sick, EDGE_SPEC.grid_shape[0])
        right = np.array(
            [
                _right(why.top(1, image)[0], direction, period, touched[image])
                for image in range(len(why))
            ]
        )
        shares = np.cumprod(right, axis=1).mean(axis=0)
        stripes = f"{direction}, {period} px"
        table.add(stripes, wavelet, f"{area:.3f}", *(f"{share:.3f}" for share in shares))
    return table


def _right(
    reason: Reason, direction: str, period: float, touched: NDArray[np.bool_]
) -> tuple[bool, bool, bool]:
    """Return whether a reason has the right orientation, scale and place."""
    bands = reason.bands
    if bands is None or reason.row is None or reason.column is None:
        return False, False, False
    inside = bool(touched[reason.row, reason.column])
    return bands.orientation == direction, bands.low <= period <= bands.high, inside


def touched_cells(planted: Planted, which: Places, cells: int) -> NDArray[np.bool_]:
    """Return which cells what was put in reaches into, (N, cells, cells)."""
    side = SIDE / cells
    first = np.arange(cells) * side
    reach = [
        (first < planted.places[which, axis, None] + planted.radius / 2)
        & (first + side > planted.places[which, axis, None] - planted.radius / 2)
        for axis in (0, 1)
    ]
    return reach[0][:, :, None] & reach[1][:, None, :]


def _pointing(maps: Array, touched: NDArray[np.bool_]) -> tuple[float, float]:
    """Return how often the largest cell is one that is touched, and what of the map lies there."""
    best = maps.reshape(len(maps), -1).argmax(axis=1)
    hits = touched.reshape(len(maps), -1)[np.arange(len(maps)), best]
    towards = np.maximum(maps, 0)
    share = (towards * touched).sum(axis=(1, 2)) / np.maximum(towards.sum(axis=(1, 2)), 1e-12)
    return float(hits.mean()), float(share.mean())


def _on_cells(maps: Array, cells: int) -> Array:
    """Bring maps (N, h, w) to a grid of cells: sums of finer ones, repetitions of coarser ones."""
    height = maps.shape[1]
    if height >= cells:
        size = height // cells
        summed: Array = maps.reshape(len(maps), cells, size, cells, size).sum(axis=(2, 4))
        return summed
    places = np.arange(cells) * height // cells
    return maps[:, places][:, :, places]


def _over_numbers(maps: Array, like: Attribution) -> Array:
    """Spread maps (N, P, P) evenly over the bands, so that they have the form of an attribution."""
    shape = like.values.shape
    return np.ascontiguousarray(np.broadcast_to(maps[:, None, None], shape), np.float32)


# -- a real task ------------------------------------------------------------------------------


def honesty(dataset: Dataset, pixels: Array, parts: Parts, options: argparse.Namespace) -> Table:
    """Explain a model of pneumonia: completeness, sanity checks, and speed."""
    code = Codec(TASK_SPEC).encode(pixels)
    labels = np.array(dataset.labels)
    module, area = train_on_codes(code, labels, parts)
    tested, start = code[parts.test], mean_code(code[parts.train])

    def explain(model: object) -> Attribution:
        return integrated_gradients(model, tested, start)

    error = explain(module).completeness_error
    checks = model_randomization(module, explain, seed=options.seed)
    seeds = count()  # from the same first weights, two models are alike whatever they learn
    mixed = label_randomization(
        lambda given: train_on_codes(code, given, parts, next(seeds))[0],
        labels,
        explain,
        seed=options.seed,
    )
    table = Table(["what", "figure"], words=2)
    table.add("AUC of the model, pneumonia", f"{area:.3f}")
    table.add("completeness error, largest of all images", f"{100 * error.max():.4f} %")
    table.add("rank correlation with the same model made random", f"{checks[-1].correlation:.3f}")
    table.add("rank correlation with a model of random labels", f"{mixed.correlation:.3f}")
    return table


def shortcuts(dataset: Dataset, pixels: Array, options: argparse.Namespace) -> Table:
    """Plant a marker anywhere, in as many splits, and count how often the search names it.

    The limit of the search was chosen on the first splits of clean and random labels, so false
    alarms are counted on the next ones.
    """
    names = ["what", "model", "splits", "found", "place right", "false alarms", "detectable"]
    table = Table(names, words=2)
    for kind in options.models:
        for what in ("marker", "none", "random labels"):
            splits = range(options.splits)
            if what != "marker":
                splits = range(CHOSEN_ON, CHOSEN_ON + options.clean)
            found, right, alarms, weakest = 0, 0, 0, []
            for split in splits:
                search, cells = _searched(dataset, pixels, kind, what, (options.seed, split))
                places = [_cell_named(each.words) for each in search.findings]
                found += bool(places)
                right += bool(places) and places[0] in cells
                alarms += any(place not in cells for place in places)
                weakest.append(search.detectable or np.nan)
            table.add(what, kind, str(len(splits)), str(found),
                      str(right) if what == "marker" else "", str(alarms),
                      f"{float(np.nanmedian(weakest)):.2f}")  # fmt: skip
            print(table.markdown().splitlines()[-1], file=sys.stderr, flush=True)
    return table


def _searched(
    dataset: Dataset, pixels: Array, kind: str, what: str, seeds: tuple[int, int]
) -> tuple[Bias, set[tuple[int, int]]]:
    """Search a model of a split for shortcuts; return the cells that hold a marker, too."""
    generator, side = np.random.default_rng(seeds), TASK_SPEC.grid_shape[0]
    truth, cells = np.array(dataset.labels)[:, 0], set()
    if what == "random labels":
        truth = generator.permutation(truth)
    if what == "marker":
        share = np.where(truth == 1, 0.5 + CORRELATION / 2, 0.5 - CORRELATION / 2)
        row, column = generator.integers(0, SIDE - MARKER, 2).tolist()
        pixels = plant_marker(pixels, generator.random(len(truth)) < share, MARKER, (row, column))
        ends = [(at * side // SIDE, (at + MARKER - 1) * side // SIDE) for at in (row, column)]
        cells = {(r, c) for r in ends[0] for c in ends[1]}
    code, parts = Codec(TASK_SPEC).encode(pixels), Parts.by_patient(dataset.patients, seeds[1])
    model = fitted_model(kind, code, truth[:, None], parts, seeds[1])
    search = bias(
        model, code[parts.test], labels=truth[parts.test], patients=dataset.patients[parts.test]
    )
    return search, cells


def _cell_named(words: str) -> tuple[int, int]:
    """Return the cell that a finding names, counted from 0."""
    found = re.search(r"cell row (\d+), column (\d+)", words)
    return (int(found[1]) - 1, int(found[2]) - 1) if found else (-1, -1)


def fitted_model(kind: str, code: Code, labels: Array, parts: Parts, seed: int) -> Any:
    """Train a model on codes, or a network on the privatized images that are made of them."""
    if kind == "logistic":
        learned = np.concatenate([parts.train, parts.validation])
        return LogisticCodes.fit(code.array[learned], labels[learned])
    if kind == "mlp":
        return train_on_codes(code, labels.astype(np.float32), parts, seed)[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ImageNetwork(SmallNetwork(), code.channels, code.spec)
    network.fit_normalization(torch.from_numpy(code.array[parts.train]))
    how = TrainingOptions("resnet18", "images", code.spec, epochs=40, learning_rate=2e-3, seed=seed)
    train(network, code.array, labels.astype(np.float32), parts, how)
    return network


def reasons(dataset: Dataset, pixels: Array, options: argparse.Namespace) -> Table:
    """Count images of which a model has a reason that is larger than chance."""
    table = Table(["labels", "model", "models", "images with a reason"], words=2)
    code = Codec(TASK_SPEC).encode(pixels)
    for kind in ("logistic", "mlp"):
        for what in ("pneumonia", "random"):
            shares = []
            for seed in range(options.splits):
                parts = Parts.by_patient(dataset.patients, seed)
                labels = np.array(dataset.labels)
                if what == "random":
                    labels = np.random.default_rng(seed).permutation(labels)
                model = fitted_model(kind, code, labels, parts, seed)
                why = explain_codes(model, code[parts.test])
                shares.append(np.mean([bool(why.reasons(1, row)) for row in range(len(why))]))
            table.add(what, kind, str(options.splits), f"{100 * np.mean(shares):.1f} %")
    return table


def ranges(data: Path, pixels: Array, parts: Parts) -> Table:
    """Count images outside the range of the training images."""
    others = load_dataset(data / "cxr_kermany", labels="pneumonia")
    known = CodeRange.of(Codec(TASK_SPEC).encode(pixels).array[parts.train])
    table = Table(["images", "number", "outside the range"], words=1)
    for name, images in (
        ("of the same source, tested", pixels[parts.test]),
        ("of another hospital", load_pixels(others.records, SIDE).array),
    ):
        outside = known.outside(Codec(TASK_SPEC).encode(images).array)
        table.add(name, str(len(outside)), f"{100 * outside.mean():.1f} %")
    return table


def attackers(dataset: Dataset, pixels: Array, options: argparse.Namespace) -> Table:
    """Guess what statements call removed, by what was learned on images of other patients."""
    table = Table(["J", "P", "brighter side of the strongest edges", "95 % interval"])
    for level, patches in ((3, 4), (3, 8), (3, 16), (4, 8)):
        spec = CodecSpec(level, patches)
        right = guessed_signs(spec, pixels, dataset.patients, seed=options.seed)
        limits = f"{100 * right.low:.0f}–{100 * right.high:.0f} %"
        table.add(str(level), str(patches), f"{100 * right.value:.0f} %", limits)
    return table


def speed(dataset: Dataset, pixels: Array, parts: Parts, options: argparse.Namespace) -> Table:
    """Measure an explanation of one image, from its pixels on, and that of a model on all codes.

    The model is in memory and knows the range of its training images, as a trained model does.
    """
    columns = ["J", "P", "model", "one image", "with the figure", f"model, {len(pixels)} codes"]
    table = Table(columns, words=3)
    labels, threads = np.array(dataset.labels), torch.get_num_threads()
    torch.set_num_threads(1)
    for spec in (TASK_SPEC, replace(TASK_SPEC, level=5)):
        codec = Codec(spec)
        code = codec.encode(pixels)
        for kind in MODELS[: 3 if spec == TASK_SPEC else 2]:
            trained = as_explainable(fitted_model(kind, code, labels, parts, options.seed))
            known = CodeRange.of(code.array[parts.train])
            spread = {trained.target(0)[1]: float(trained.outputs(code.array, 0).std())}
            model = replace(trained, range=known, spreads=spread)
            start = mean_code(code[parts.train])

            def one(
                codec: Codec = codec, model: Explainable = model, start: Array = start
            ) -> Attribution:
                own = codec.encode(pixels[parts.test[0]])
                why = explain_codes(model, own, baseline=start)
                return with_other_baselines(model, why, method="integrated-gradients")

            def whole(model: Explainable = model, code: Code = code) -> Bias:
                return bias(model, code, labels=labels[:, 0], patients=dataset.patients)

            drawn = partial(lambda one: figure_bytes(attribution_figure(one())), one)
            seconds = [_seconds(call, 5) for call in (one, drawn)]
            words = [f"{1000 * each:.0f} ms" for each in seconds] + [f"{_seconds(whole, 2):.2f} s"]
            table.add(str(spec.level), str(spec.grid_shape[0]), kind, *words)
    torch.set_num_threads(threads)
    return table


def _seconds(call: Callable[[], object], times: int) -> float:
    """Return the least time on one core of some calls; the first, which compiles, is left out."""
    call()
    taken = []
    for _ in range(times):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


# -- the command ------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> None:
    """Make every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--copies", type=int, default=8, help="of each X-ray, half of them planted")
    parser.add_argument("--epochs", type=int, default=20, help="most passes of the network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--splits", type=int, default=10, help="by patient, of shortcuts, reasons")
    parser.add_argument("--clean", type=int, default=25, help="splits without a marker, twice")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS, help="of shortcuts")
    parser.add_argument("--only", action="append", help="a section; all if absent")
    parser.add_argument("--images", type=int, help="only so many X-rays, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args(words)
    data = options.data or Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data")
    dataset = load_dataset(data / "cxr_nih", labels="pneumonia")
    dataset = dataset.select(np.arange(len(dataset))[: options.images])
    pixels = load_pixels(dataset.records, SIDE).array
    parts = Parts.by_patient(dataset.patients, options.seed)
    texts: list[str] = []
    makers: tuple[tuple[str, Callable[[], list[Table]]], ...] = (
        ("What is removed, attacked", lambda: [attackers(dataset, pixels, options)]),
        ("Range", lambda: [ranges(data, pixels, parts)]),
        ("A disc of known place", lambda: where(pixels, parts, options)),
        ("Stripes of known direction and period", lambda: [edges(pixels, parts, options)]),
        ("Speed", lambda: [speed(dataset, pixels, parts, options)]),
        ("Pneumonia", lambda: [honesty(dataset, pixels, parts, options)]),
        ("Reasons against chance", lambda: [reasons(dataset, pixels, options)]),
        ("Shortcuts", lambda: [shortcuts(dataset, pixels, options)]),
    )
    for title, make in makers:
        if options.only and title not in options.only:
            continue
        part = [f"**{title}**", *(table.markdown() for table in make())]
        print("\n\n".join(part), end="\n\n", flush=True)
        texts += part
    command = f"python -m benchmarks.explanations --copies {options.copies} --seed {options.seed}"
    command += f" --splits {options.splits}"
    texts.append(
        f"Made by `{command} --epochs {options.epochs}` on {len(pixels)} X-rays of "
        f"{dataset.patient_count} patients, a third of them tested; no patient is in two parts."
    )
    print(texts[-1])
    if options.markdown is not None:
        put_section(options.markdown, "explanations", texts)


if __name__ == "__main__":
    main()
