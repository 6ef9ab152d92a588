"""Do explanations of codes tell the truth: where, which edges, and by which shortcut?"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.image_maps import SmallNetwork, grad_cam, occlusion, path_gradients
from benchmarks.planted import Planted, plant_discs, plant_edges, plant_marker
from benchmarks.table import Table, put_section
from benchmarks.utility import ROOT
from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.datasets import Dataset, load_dataset
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.baselines import mean_code
from deepfixcx.explain.bias import bias
from deepfixcx.explain.curves import deletion_insertion
from deepfixcx.explain.gradients import integrated_gradients
from deepfixcx.explain.groups import band_groups
from deepfixcx.explain.methods import explain_codes
from deepfixcx.explain.sanity import label_randomization, model_randomization
from deepfixcx.learn.baselines import BASELINES
from deepfixcx.learn.fitting import fit
from deepfixcx.learn.loading import load_pixels
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.scorers import ModuleScorer, build_module
from deepfixcx.measures import roc_auc

__all__ = ["Parts", "main"]

Array = NDArray[np.float32]
Places = NDArray[np.int64]

SIDE, NETWORK_SIDE = 320, 160
"""Pixels a side of the X-rays, and of what the network for comparison sees."""

DISC_SPEC, EDGE_SPEC, TASK_SPEC = CodecSpec(3, 8), CodecSpec(3, 8, "sym8"), CodecSpec(3, 4)
EDGES = (("vertical", 5.7), ("horizontal", 5.7), ("vertical", 11.3), ("horizontal", 11.3))
"""Stripes whose period lies in the middle of an octave."""


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


def train(module: nn.Module, inputs: Array, labels: Array, parts: Parts, how: Any) -> float:
    """Train a module; return its AUC on the images to test."""
    tensors = torch.from_numpy(inputs), torch.from_numpy(labels)
    if hasattr(module, "fit_normalization"):
        module.fit_normalization(tensors[0][torch.from_numpy(parts.train)])
    fit(module, *tensors, parts.train, parts.validation, how)
    module.eval()
    scores = ModuleScorer(module).probabilities(inputs[parts.test])
    return roc_auc(labels[parts.test, 0], scores[:, 0])


def train_on_codes(code: Code, labels: Array, parts: Parts, seed: int = 0) -> tuple[nn.Module, float]:
    """Train a `CodeMLP`; return it and its AUC."""
    how = TrainingOptions("mlp", spec=code.spec, seed=seed)
    module = build_module(how, code.channels, 1)
    return module, train(module, code.array, labels, parts, how)


# -- where ------------------------------------------------------------------------------------


def where(pixels: Array, parts: Parts, options: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    """Plant discs, train on codes and on images, and see whether maps point at the discs."""
    generator = np.random.default_rng(options.seed)
    planted = plant_discs(pixels, options.copies, generator, options.radius, options.strength)
    own = parts.of_copies(planted)
    sick = own.test[planted.labels[own.test, 0] == 1]
    code = Codec(DISC_SPEC).encode(planted.pixels)
    module, area = train_on_codes(code, planted.labels, own)
    healthy = own.train[planted.labels[own.train, 0] == 0]
    start = mean_code(code[healthy])
    maps: dict[str, tuple[str, float, Array]] = {}
    for method in ("integrated-gradients", "deeplift", "occlusion-by-cell"):
        why = explain_codes(module, code[sick], method=method, baseline=start)
        maps[f"code, {method.replace('-', ' ')}"] = ("CodeMLP", area, why.spatial())
    curves = [_curve_row("integrated gradients", module, why_of(module, code[sick], start), None)]
    curves.append(
        _curve_row("random order", module, why_of(module, code[sick], start), generator)
    )

    small = BASELINES["downsample"](planted.pixels, NETWORK_SIDE**2)
    network = SmallNetwork()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = SmallNetwork()
    how = TrainingOptions("resnet18", "original", side=NETWORK_SIDE, epochs=options.epochs)
    image_area = train(network, small, planted.labels, own, how)
    images, middle = small[sick], small[healthy].mean(axis=0)
    cells = DISC_SPEC.grid_shape[0]
    for name, made in (
        ("image, Grad-CAM", grad_cam(network, network.last, images)),
        ("image, integrated gradients", path_gradients(network, images, middle, steps=25)),
        ("image, occlusion", occlusion(network, images, middle, cells)),
    ):
        maps[name] = ("network", image_area, _on_cells(made, cells))
    cam = why_of(module, code[sick], start)
    curves.append(_curve_of_map("Grad-CAM of the network", module, cam, maps["image, Grad-CAM"][2]))

    table = Table(["map", "model", "AUC", "points at the disc", "its share of the map"], words=2)
    figures: dict[str, Any] = {}
    chance = _touched(planted, sick, cells).mean()
    for name, (model, auc, cell_map) in maps.items():
        hit, energy = _pointing(cell_map, _touched(planted, sick, cells))
        table.add(name, model, f"{auc:.3f}", f"{hit:.3f}", f"{energy:.3f}")
        figures[name] = {"auc": auc, "pointing": hit, "energy": energy}
    table.add("a map at random", "", "", f"{chance:.3f}", f"{chance:.3f}")
    figures["curves"] = curves
    return table, figures
