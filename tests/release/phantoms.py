"""Small datasets of drawn chests with patients and labels, as a mechanism needs them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from deepfixcx.datasets import Dataset, load_dataset
from deepfixcx.images import phantom, write_png
from deepfixcx.mechanisms import mechanism_named
from deepfixcx.mechanisms.catalogue import needs_public
from deepfixcx.release import ProtectedSummary, ReleaseOptions, privatize_protected
from deepfixcx.spec import CodecSpec

LABELS = "pneumonia,effusion"
SPEC = CodecSpec(level=2, patches=2)
OPTIONS = ReleaseOptions(SPEC, output="codes")
PRIVATE_TABLES = {"images.csv", "members.csv", "protected.json", "public.csv", "withheld.csv"}
CANARY = "zzcanary"
"""In the name of every file and patient; must be nowhere in a release."""


@cache
def chest(patient: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(phantom(np.random.default_rng(patient), size=32), np.float64)


def write_dataset(root: Path, *, first: int = 0, images: int = 60, kind: str = "p") -> Path:
    """Write two images of each patient, and a table; return the folder."""
    root.mkdir(parents=True)
    rows = ["file,patient_id,pneumonia,effusion"]
    for number in range(images):
        patient = first + number // 2
        visit = np.random.default_rng([patient, number])
        image = chest(patient) + visit.normal(0, 0.01, (32, 32))
        sick, wet = patient % 2, patient // 2 % 2
        image[4:16, 4:16] += sick * visit.normal(0, 0.08, (12, 12))
        image[16:28, 16:28] += wet * visit.normal(0, 0.08, (12, 12))
        name = f"{CANARY}-{number}.png"
        write_png(root / name, image[None].astype(np.float32).clip(0, 1), bits=8)
        rows.append(f"{name},{CANARY}-{kind}{patient},{sick},{wet}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


def read_dataset(root: Path, labels: str = LABELS) -> Dataset:
    return load_dataset(root, labels=labels)


class Maker:
    """Makes releases of two datasets; resampling with two labels needs 100 patients and more."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = read_dataset(write_dataset(root / "in", images=208))
        self.public = read_dataset(write_dataset(root / "public", first=1000, images=80))

    def __call__(self, mechanism: str, folder: Path | str, **more: Any) -> ProtectedSummary:
        learns = needs_public(mechanism_named(mechanism))
        more = {"public": self.public if learns else None, **more}
        dataset = more.pop("dataset", self.images)
        options = more.pop("options", OPTIONS)
        return privatize_protected(dataset, folder, options, mechanism, **more)
