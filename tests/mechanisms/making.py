"""Records that tests of mechanisms share."""

from __future__ import annotations

import numpy as np

from deepfixcx.mechanisms import Records


def make_records(
    patients: int = 60, images: int = 2, labels: int = 2, seed: int = 0, *, level: int = 2
) -> Records:
    """Draw codes in which patients differ in some numbers and the sick in others."""
    generator = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), images)
    truth = generator.integers(0, 2, (patients, labels))[owner].astype(np.float32)
    codes = generator.gamma(4.0, 0.05, (len(owner), 1, 4**level, 2, 2))
    codes[:, 0, :4] += generator.gamma(2.0, 0.2, (patients, 4, 2, 2))[owner]
    for column in range(labels):
        codes[:, 0, 8 + column] += 0.15 * truth[:, column, None, None]
    names = np.char.add("p", owner.astype(np.str_))
    return Records.of(codes.astype(np.float32), truth, names)
