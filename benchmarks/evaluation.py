"""Processor time and memory of an evaluation of as many scores as ChestX-ray14 has images.

Run from a checkout, and from another one beside it to compare two versions:
``python -m benchmarks.evaluation [IMAGES]``. Scores and labels are drawn; images are not read.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from deepfixcx.learn.evaluation import _Judge

IMAGES, PATIENTS = 112_120, 30_805  # of ChestX-ray14


def main() -> None:
    """Print seconds of the processor, the memory beyond that of Python, and the values."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    generator = np.random.default_rng(0)
    patients = np.sort(generator.integers(0, max(count * PATIENTS // IMAGES, 2), count))
    labels = (generator.random(count) < 0.1).astype(np.float32)
    scores = (0.5 * generator.random(count) + 0.2 * labels).astype(np.float32)
    views = np.where(generator.random(count) < 0.4, "AP", "PA")
    _Judge(patients[:100], views[:100], 10, 0).label("warm", labels[:100], scores[:100], 0.4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    found = _Judge(patients, views, 1000, 0).label("sick", labels, scores, 0.4)
    seconds = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{count:,} scores: {seconds:.2f} s of processor time, {after / 1024:.0f} MB "
          f"({(after - before) / 1024:.0f} MB for the evaluation)")  # fmt: skip
    print(f"AUC {found.auc}, within views {found.auc_within}, AP {found.average_precision}, "
          f"calibration error {found.calibration_error}")  # fmt: skip


if __name__ == "__main__":
    main()
