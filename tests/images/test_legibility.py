"""The rule by which privatize warns, measured again in small."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import legibility as benchmark
from deepfixcx import CodecSpec
from deepfixcx.images.masking import CELLS_PER_LETTER, legible_height, stays_legible


@pytest.mark.slow
def test_writing_is_read_above_the_rule_and_not_far_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # the other reader, tesseract, is slow
    points = benchmark.measure(
        np.random.default_rng(1), heights=(32,), levels=(1, 3), cells=(1, 2, 4, 8), characters=40
    )
    shares = benchmark.by_cells(points, "share")
    assert max(shares[1], shares[2]) < 0.2 < shares[CELLS_PER_LETTER]
    assert benchmark.by_cells(points, "share", level=1)[8] > 0.8


def test_legible_writing_grows_with_cells_and_shrinks_with_patches() -> None:
    assert legible_height(CodecSpec(3, 4), 1024, 1024) == 1024
    assert legible_height(CodecSpec(3, 8), 1024, 1024) == 512
    assert legible_height(CodecSpec(1, (128, 32)), 1024, 1024) == 128  # the wider cells count
    assert not stays_legible(CodecSpec(3, 8), 1024, 1024)
    assert stays_legible(CodecSpec(2, 128), 1024, 1024)
