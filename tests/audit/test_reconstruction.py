"""Inverting codes: what can come back does, what cannot does not, and the floors are honest."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.audit.features import Array, set_aside
from deepfixcx.audit.reconstruction import attack_reconstruction, attack_signs, torch_inverters
from deepfixcx.audit.reconstruction.attackers import Invert, LogScores, Released, likeness, resize
from deepfixcx.audit.result import figure_of
from deepfixcx.datasets import load_dataset
from deepfixcx.errors import AuditError, PixelsShapeError
from deepfixcx.learn.loading import encode_records, load_pixels
from deepfixcx.measures.quality import ms_ssim, ssim
from tests.audit.making import make_images

SPEC = CodecSpec(level=2, patches=4)


def encoded(images: np.ndarray, spec: CodecSpec = SPEC) -> Code:
    return Codec(spec).encode(images)


@pytest.mark.parametrize("attacker", ["ridge", "ridge-ssim"])
def test_pixels_that_are_released_come_back(attacker: str) -> None:
    images, owners = make_images(patients=60, side=16)
    flat = images.reshape(len(images), -1)
    inversion = attack_reconstruction(flat, images, owners, attacker=attacker)
    assert figure_of(inversion.results, "SSIM").gain.low > 0.02  # of 0.05 that are left
    assert figure_of(inversion.results, "PSNR").gain.low > 5
    assert inversion.images.min() >= 0
    assert inversion.images.max() <= 1


@pytest.mark.parametrize("attacker", ["ridge", "neighbour", "unet"])
def test_nothing_comes_back_from_constants(attacker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours are then anybody, and regressions the mean image: at the floor or below."""
    monkeypatch.setattr(torch_inverters, "EPOCHS", 2)
    images, owners = make_images(patients=40, side=16)
    inversion = attack_reconstruction(
        np.ones((len(images), 5), np.float32), images, owners, attacker=attacker
    )
    for figure in ("SSIM", "MS-SSIM"):
        assert figure_of(inversion.results, figure).gain.high < 0.03
    assert figure_of(inversion.results, "PSNR").gain.high < 0.5


def test_the_floor_is_the_mean_image_of_the_others() -> None:
    images, owners = make_images(patients=20, side=16)
    inversion = attack_reconstruction(encoded(images), images, owners, folds=2)
    means = np.unique(inversion.means, axis=0)
    assert len(means) == 2
    of_fold = (inversion.means == means[0]).all(axis=(1, 2, 3))
    np.testing.assert_allclose(means[0], images[~of_fold].mean(axis=0), atol=1e-6)
    assert not set(owners[of_fold]) & set(owners[~of_fold])
    floor = figure_of(inversion.results, "SSIM").floor
    by_hand = np.mean([ssim(*pair) for pair in zip(images, inversion.means, strict=True)])
    assert floor == pytest.approx(by_hand)


def test_attackers_are_tested_on_patients_outside_their_training() -> None:
    images, owners = make_images(patients=20, side=16)
    seen: list[tuple[set[int], int]] = []

    def spy(released: Released, known: Array, whose: NDArray[np.int64], _: int) -> Invert:
        del released
        number = len(seen)
        seen.append((set(whose), number))
        shape = known.shape[1:]
        return lambda unknown: np.full((len(unknown), *shape), number / 10, np.float32)

    inversion = attack_reconstruction(images.reshape(len(images), -1), images, owners, attacker=spy)
    for trained, number in seen:
        tested = (inversion.images == np.float32(number / 10)).all(axis=(1, 2, 3))
        assert tested.any()
        assert not trained & set(owners[tested])


def test_plain_is_what_the_codec_decodes() -> None:
    images, owners = make_images(patients=10)
    code = encoded(images)
    inversion = attack_reconstruction(code, images, owners, attacker="plain")
    decoded = np.asarray(Codec(SPEC).decode(code), np.float32)
    np.testing.assert_allclose(inversion.images, decoded.clip(0, 1), atol=1e-5)


def test_a_strangers_code_makes_the_control() -> None:
    images, owners = make_images(patients=40)
    results = attack_reconstruction(encoded(images), images, owners).results
    for result in results:
        assert result.control < result.value.value
        assert result.n == 40


def test_neighbours_are_other_peoples_images() -> None:
    images, owners = make_images(patients=20, side=16)
    inversion = attack_reconstruction(
        encoded(images, CodecSpec(1, 4)), images, owners, attacker="neighbour"
    )
    for shown, owner in zip(inversion.images, owners, strict=True):
        (place,) = np.flatnonzero((images == shown).all(axis=(1, 2, 3)))
        assert owners[place] != owner


def test_searching_comes_nearer_to_the_code_than_ridge() -> None:
    images, owners = make_images(patients=40)
    code = encoded(images, CodecSpec(1, 8))
    kwargs: dict[str, Any] = {"most": 16, "seed": 1}
    ridge, searched = (
        attack_reconstruction(code, images, owners, attacker=name, **kwargs)
        for name in ("ridge", "variation")
    )
    assert (ridge.places == searched.places).all()
    assert len(ridge.places) == 16
    wanted = np.log(code.array[ridge.places] + 1e-2)
    errors = [
        float(((np.log(encoded(each.images, code.spec).array + 1e-2) - wanted) ** 2).mean())
        for each in (ridge, searched)
    ]
    assert errors[1] < 0.8 * errors[0]


def test_sizes_of_their_own_are_searched() -> None:
    images, owners = make_images(patients=12)
    large = [images[n] if n % 2 else resize(images[n], 48, 40) for n in range(len(images))]
    code = Codec(SPEC).encode(large)
    for attacker in ("plain", "variation"):
        inversion = attack_reconstruction(code, images, owners, attacker=attacker, most=6)
        assert inversion.images.shape == (6, 1, 32, 32)


@pytest.mark.slow
def test_the_network_learns_and_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_inverters, "EPOCHS", 6)
    images, owners = make_images(patients=40)
    code = encoded(images, CodecSpec(1, 8))
    once, again = (attack_reconstruction(code, images, owners, attacker="unet") for _ in range(2))
    assert (once.images == again.images).all()
    assert figure_of(once.results, "SSIM").gain.low > 0
    for other in (Codec(SPEC).encode(images[:, :, :30, :29]), code.array, code.array[:, 0, :, 0]):
        attack_reconstruction(other, images, owners, attacker="unet", most=5)


def test_what_does_not_fit_is_refused() -> None:
    images, owners = make_images(patients=10, side=16)
    flat = images.reshape(len(images), -1)
    with pytest.raises(AuditError, match="one of plain, neighbour"):
        attack_reconstruction(flat, images, owners, attacker="magic")
    with pytest.raises(AuditError, match="take 'neighbour', 'ridge' or 'unet'"):
        attack_reconstruction(flat, images, owners, attacker="plain")
    with pytest.raises(AuditError, match="one record and one patient"):
        attack_reconstruction(flat[:5], images, owners)
    with pytest.raises(AuditError, match="two patients or more"):
        set_aside(np.zeros(4, np.int64), np.random.default_rng(0))


def test_logarithms_of_codes_and_others_as_they_are() -> None:
    numbers = np.random.default_rng(0).random((6, 4)).astype(np.float32)
    assert LogScores.fit(numbers).knee is None
    code = numbers.reshape(6, 1, 4, 1, 1)
    twice = LogScores.fit(code)(code * 1000) - LogScores.fit(code)(code * 500)
    assert twice.std(axis=0).max() < 0.05  # a factor is a shift


# -- signs ------------------------------------------------------------------------------------


def test_signs_that_are_turned_are_all_wrong() -> None:
    images, owners = make_images(patients=10)
    flat = np.full_like(images, 0.5)
    results = attack_signs(SPEC, images, 1 - images, flat, owners, attacker="x")
    assert results[0].value.value == 0
    assert len(results) == 16
    assert results[0].floor == 0.5  # a flat image has no signs, and guessing is right in half


def test_coarse_images_show_coarse_signs() -> None:
    images, owners = make_images(patients=10)
    blurred = resize(resize(images, 8, 8), 32, 32)
    results = attack_signs(CodecSpec(3, 2), images, blurred, images, owners, attacker="x")
    by_band = {each.mode: each.value.value for each in results}
    assert by_band["aav"] > 0.9
    assert by_band["aav"] > by_band["vdd"] + 0.2
    assert results[0].floor == 1
    with pytest.raises(AuditError, match="of one shape"):
        attack_signs(SPEC, images, images[:3], images, owners, attacker="x")


# -- likeness ---------------------------------------------------------------------------------


def slow_parts(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return mean SSIM and mean contrast times structure, window by window."""
    grid = np.arange(-5, 6)
    weights = np.exp(-(grid[:, None] ** 2 + grid[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    whole, structures = [], []
    for row in range(x.shape[0] - 10):
        for column in range(x.shape[1] - 10):
            one, other = (each[row : row + 11, column : column + 11] for each in (x, y))
            mean_x, mean_y = (weights * one).sum(), (weights * other).sum()
            spread_x, spread_y = ((weights * (each - mean) ** 2).sum()
                                  for each, mean in ((one, mean_x), (other, mean_y)))  # fmt: skip
            both = (weights * (one - mean_x) * (other - mean_y)).sum()
            structure = (2 * both + 0.03**2) / (spread_x + spread_y + 0.03**2)
            light = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
            whole.append(light * structure)
            structures.append(structure)
    return float(np.mean(whole)), float(np.mean(structures))


def test_several_scales_are_those_of_a_slow_loop() -> None:
    generator = np.random.default_rng(0)
    x = resize(generator.random((1, 8, 8)).astype(np.float32), 40, 40)
    y = (x + generator.normal(0, 0.05, x.shape)).clip(0, 1).astype(np.float32)
    _, fine = slow_parts(x[0].astype(float), y[0].astype(float))
    halves = [each[0].reshape(20, 2, 20, 2).mean(axis=(1, 3)).astype(float) for each in (x, y)]
    coarse, _ = slow_parts(*halves)
    weights = np.array([0.0448, 0.2856]) / (0.0448 + 0.2856)
    assert ms_ssim(x, y) == pytest.approx(fine ** weights[0] * coarse ** weights[1], rel=1e-4)


def test_more_noise_is_less_alike() -> None:
    image = make_images(patients=1, side=128)[0][0]
    generator = np.random.default_rng(0)
    for figure in ("SSIM", "MS-SSIM", "PSNR"):
        values = [
            likeness(figure, image[None], (image + generator.normal(0, size, image.shape))[None])[0]
            for size in (0.0, 0.02, 0.1, 0.4)
        ]
        assert all(one > other for one, other in pairwise(values))
    assert likeness("PSNR", image[None], image[None])[0] == 100


def test_likeness_of_unlike_shapes() -> None:
    with pytest.raises(PixelsShapeError, match="the same shape"):
        ms_ssim(np.zeros((1, 20, 20), np.float32), np.zeros((1, 20, 21), np.float32))
    with pytest.raises(PixelsShapeError, match="11 pixels"):
        ms_ssim(np.zeros((1, 8, 8), np.float32), np.zeros((1, 8, 8), np.float32))


# -- sizes ------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
def test_resizing_keeps_range_and_constants(before: int, after: int, seed: int) -> None:
    image = np.random.default_rng(seed).random((1, before, before)).astype(np.float32)
    resized = resize(image, after, after)
    assert resized.shape == (1, after, after)
    assert resized.min() >= image.min() - 1e-6
    assert resized.max() <= image.max() + 1e-6
    np.testing.assert_allclose(resize(np.full_like(image, 0.3), after, after), 0.3, rtol=1e-5)
    if before == after:
        np.testing.assert_allclose(resized, image, atol=1e-6)
    if before % after == 0:
        step = before // after
        means = image.reshape(1, after, step, after, step).mean(axis=(2, 4))
        np.testing.assert_allclose(resized, means, atol=1e-5)


def test_only_bands_that_can_be_seen_are_asked_to_agree() -> None:
    assert torch_inverters.visible_bands(CodecSpec(3, 4), 320, 320) == list(range(64))
    assert torch_inverters.visible_bands(CodecSpec(3, 4), 320, 64) == [0]
    assert len(torch_inverters.visible_bands(CodecSpec(3, 4), 320, 128)) == 9


@pytest.mark.slow
def test_real_x_rays_come_back(data_folder: Path) -> None:
    """Ridge regression inverted codes to an SSIM above the mean image in the first trials, too."""
    dataset = load_dataset(data_folder / "cxr_nih", labels="pneumonia")
    images = load_pixels(dataset.records, 64).array
    spec = CodecSpec(3, 4)
    codes = encode_records(dataset.records, spec).array
    code = Code(codes, spec, np.full((len(codes), 2), 320))
    plain, ridge = (
        figure_of(
            attack_reconstruction(code, images, dataset.patients, attacker=name, most=150).results,
            "SSIM",
        )
        for name in ("plain", "ridge-ssim")
    )
    assert plain.gain.high < 0
    assert ridge.gain.low > 0.05
    assert replace(ridge, attacker="plain").floor == plain.floor
