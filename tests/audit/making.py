"""Patients who can be distinguished as well as a test requires, as vectors and as images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx.images import phantom

Vectors = NDArray[np.float32]
Owners = NDArray[np.int64]


def make_population(
    patients: int = 60, images: int = 2, noise: float = 0.7, numbers: int = 8, seed: int = 0
) -> tuple[Vectors, Owners]:
    """Return vectors of so many images of each patient, and whose they are; the less noise, the
    more alike the images of one patient."""
    generator = np.random.default_rng(seed)
    owners = np.repeat(np.arange(patients), images)
    nature = generator.normal(size=(patients, numbers))[owners]
    return (nature + generator.normal(0, noise, nature.shape)).astype(np.float32), owners


def make_images(patients: int = 40, images: int = 2, side: int = 32) -> tuple[Vectors, Owners]:
    """Return drawn chests (N, 1, side, side).

    Those of one patient differ by where they lie, light and noise: by light and noise alone they
    would be copies, which an audit does not count.
    """
    owners = np.repeat(np.arange(patients), images)
    drawn = [phantom(np.random.default_rng(patient), side) for patient in range(patients)]
    generator = np.random.default_rng(1)
    step = side // 10 * (np.arange(len(owners)) % images)
    pixels = np.stack(
        [np.roll(drawn[owner], (by, -by), (0, 1)) for owner, by in zip(owners, step, strict=True)]
    )[:, None].astype(np.float64)
    pixels = pixels * generator.uniform(0.8, 1, (len(owners), 1, 1, 1))
    pixels = pixels + generator.normal(0, 0.03, pixels.shape)
    return pixels.clip(0, 1).astype(np.float32), owners
