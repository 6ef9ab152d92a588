"""Parity with the original research code, whose results were recorded as goldens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.npyio import NpzFile

from deepfixcx import Code, Codec

TOLERANCE = 1e-5
CASES = 19
NOT_MEANS = ("max", "min", "median")


@pytest.fixture(scope="module")
def goldens(data_folder: Path) -> NpzFile:
    path = data_folder.parent / "parity" / "goldens.npz"
    if not path.is_file():
        pytest.skip("the goldens of the research code are not beside the data folder")
    loaded: NpzFile = np.load(path)
    return loaded


def _difference(got: np.ndarray, want: np.ndarray) -> float:
    assert got.shape == want.shape
    return float(np.abs(got - want).max() / np.abs(want).max())


def test_every_case_is_here(goldens: NpzFile) -> None:
    assert len(json.loads(str(goldens["cases"]))) == CASES


@pytest.mark.parametrize("number", range(CASES))
def test_codes_and_reconstructions(goldens: NpzFile, number: int) -> None:
    case = json.loads(str(goldens["cases"]))[number]
    codec = Codec(case["level"], case["patches"], case["wavelet"], case["pooling"], grid="padded")
    code = codec.encode(goldens[f"{number}_image"])
    area = 1 if case["pooling"] in NOT_MEANS else case["cell_area"]
    want = goldens[f"{number}_code_sum"] / area
    assert _difference(code.array[0], want) < TOLERANCE
    assert code.sizes.tolist() == [[case["height"], case["width"]]]
    # The recorded reconstruction starts from the recorded code, not from ours.
    if case.get("reconstruction"):
        recorded = Code(want[None].astype(np.float32), codec.spec, code.sizes)
        for source in (code, recorded):
            image = codec.decode(source)[0]
            assert _difference(image, goldens[f"{number}_reconstruction"]) < TOLERANCE
