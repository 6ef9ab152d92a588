"""Codes with noise on trial: the noise is the one that is promised, and attackers have none."""

from __future__ import annotations

import numpy as np
import pytest

from deepfixcx.audit.result import figure_of
from deepfixcx.codec import Codec
from deepfixcx.errors import MechanismError
from deepfixcx.experiments.frontier_inputs import noised, split_noise
from deepfixcx.experiments.trial import Trial
from deepfixcx.mechanisms import PixelNoise, Plain
from deepfixcx.spec import CodecSpec
from tests.mechanisms.making import make_records

SPEC = CodecSpec(level=2, patches=2)
NOISE = PixelNoise(SPEC, epsilon=2.0, pixels=4)


def codes(count: int = 300, height: int = 32, width: int = 48) -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(0).integers(0, 256, (1, 1, height, width), dtype=np.uint8)
    code = Codec(SPEC).encode(image).array
    return np.repeat(code, count, axis=0), np.tile([[height, width]], (count, 1))


def test_the_noise_is_as_large_as_was_promised() -> None:
    """Laplacian noise of scale b has a mean size of b; here b is the sensitivity over epsilon."""
    plain, sizes = codes()
    exact = plain + 100  # so that nothing is cut off at 0
    noise = noised(exact, sizes, NOISE, seed=0) - exact
    members = 8 * 12 / 2 / 2  # coefficients of a cell: blocks of 4 pixels, 2 cells a side
    scale = 4 * 4**2 / 4 / members / 2.0  # m 4**J, less the factor of means, over epsilon
    assert np.abs(noise).mean() == pytest.approx(scale, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.02 * scale)


def test_it_is_distributed_as_the_noise_that_is_released() -> None:
    pytest.importorskip("opendp", reason="the extra [dp] is not installed")
    plain, sizes = codes(400)
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 32, 48), dtype=np.uint8)
    real = NOISE.encode(np.repeat(image, 400, axis=0)).array
    shares = (0.1, 0.5, 0.9)
    ours = np.quantile(noised(plain, sizes, NOISE, seed=0), shares, axis=0)
    theirs = np.quantile(real, shares, axis=0)
    assert np.median(np.abs(ours - theirs) / theirs.mean()) < 0.1


def test_larger_images_need_less_noise() -> None:
    plain, sizes = codes(200)
    several = sizes.copy()
    several[100:] *= 2
    noise = np.abs(noised(plain + 100, several, NOISE, seed=0) - plain - 100)
    assert noise[100:].mean() == pytest.approx(noise[:100].mean() / 4, rel=0.1)


def test_the_same_seed_gives_the_same_noise() -> None:
    plain, sizes = codes(3)
    once, again, other = (noised(plain, sizes, NOISE, seed) for seed in (1, 1, 2))
    assert (once == again).all()
    assert (once != other).any()
    assert (once >= 0).all()


def test_noise_that_is_not_tried_is_named() -> None:
    plain, sizes = codes(1)
    for noise in (PixelNoise(SPEC, 1.0, side=2), PixelNoise(SPEC, 1.0, pixels=1, delta=1e-5)):
        with pytest.raises(MechanismError, match="only Laplacian pixel noise"):
            noised(plain, sizes, noise, seed=0)


def test_names_tell_the_noise_and_what_follows() -> None:
    noise, rest = split_noise("noise-0.5-64+mixing-5", SPEC)
    assert noise is not None
    assert (noise.epsilon, noise.pixels, rest) == (0.5, 64, "mixing-5")
    assert split_noise("projection+mixing-5", SPEC) == (None, "projection+mixing-5")
    with pytest.raises(MechanismError, match="named noise-EPSILON"):
        split_noise("noise-much", SPEC)


def test_attackers_and_tests_have_images_without_noise() -> None:
    """An attacker who assumes one orientation would fail on mirrored records."""
    records = make_records(patients=60, labels=2, seed=0)
    turned = np.asarray(records.array.mean() * 2 - records.array, np.float32)
    trial = Trial(records.array, records.labels, records.patients, noisy=turned, min_patients=2)
    fitted = trial.fit(Plain())
    released = trial.release(fitted)
    assert (released.array == turned[trial.places]).all()
    among = figure_of(trial.linkage(fitted, released, "distance"), "AUC").value.value
    raw = figure_of(trial.linkage(fitted, released, "distance", raw=True), "AUC").value.value
    assert raw < 0.5 < 0.8 < among
    assert trial.utility(fitted).auc.value < 0.5
