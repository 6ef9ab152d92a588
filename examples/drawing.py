"""What the examples learn from: a folder of images with a table of labels, or drawn X-rays."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from deepfixcx.datasets import Dataset, load_dataset
from deepfixcx.images import write_png
from deepfixcx.images.phantoms import phantom

PATIENTS, IMAGES_A_PATIENT, SIDE = 30, 2, 128


def dataset_of_arguments() -> Dataset:
    """Return the dataset that the command line names, or a drawn one."""
    if len(sys.argv) == 3:
        return load_dataset(Path(sys.argv[1]), labels=sys.argv[2])
    return load_dataset(draw_dataset(Path(tempfile.mkdtemp())), labels="nodules")


def draw_dataset(folder: Path) -> Path:
    """Draw X-rays of people who do not exist; every other one has fine nodules in the lungs."""
    generator = np.random.default_rng(0)
    rows = ["file,patient_id,nodules"]
    for patient in range(PATIENTS):
        for image in range(IMAGES_A_PATIENT):
            pixels = phantom(generator, SIDE)
            sick = patient % 2
            pixels = pixels + sick * 0.08 * generator.standard_normal(pixels.shape)
            name = f"{patient:02d}-{image}.png"
            write_png(folder / name, np.clip(pixels, 0, 1)[np.newaxis], bits=8)
            rows.append(f"{name},P{patient:02d},{sick}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder
