"""An attacker who guesses the sign of edges, which l1 codes do not store, from other images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deepfixcx import Codec, CodecSpec
from deepfixcx.measures import Interval, mean_interval
from deepfixcx.measures.code_range import signed_root

__all__ = ["guessed_signs"]

STRONGEST = 0.05
"""Share of cells and detail bands whose edges count as the strongest."""

PENALTY = 1.0


def guessed_signs(
    spec: CodecSpec, pixels: NDArray[np.float32], patients: NDArray[np.str_], *, seed: int = 0
) -> Interval:
    """Return how often the sign of the strongest edges of a cell is guessed right, with chance 0.5.

    The sign is that of the sum of a band in a cell. Ridge regression learns it from the codes of
    half of the patients, and is tested on the other half; intervals are over patients.
    """
    codes = signed_root(Codec(spec).encode(pixels).array).reshape(len(pixels), -1)
    signed = Codec(replace(spec, pooling="sum")).encode(pixels).array[:, :, 1:]
    signed = signed.reshape(len(pixels), -1)
    owners = np.random.default_rng(seed).permutation(np.unique(patients))
    learned = np.isin(patients, owners[: len(owners) // 2])
    known, unknown = codes[learned], codes[~learned]
    center, spread = known.mean(axis=0), known.std(axis=0) + 1e-6
    known, unknown = (known - center) / spread, (unknown - center) / spread
    mean = signed[learned].mean(axis=0)
    kernel = known @ known.T / known.shape[1] + PENALTY / 10 * np.eye(len(known), dtype=np.float32)
    guessed = mean + unknown @ known.T / known.shape[1] @ np.linalg.solve(
        kernel, signed[learned] - mean
    )
    truth = signed[~learned]
    strong = np.abs(truth) >= np.quantile(np.abs(truth), 1 - STRONGEST)
    right = np.where(strong, (guessed > 0) == (truth > 0), np.nan)
    tested = patients[~learned]
    shares = [np.nanmean(right[tested == each]) for each in np.unique(tested)]
    return mean_interval(shares, (0, 1))
