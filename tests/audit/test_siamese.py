"""Siamese networks: they learn what is there to be learned, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepfixcx import Codec
from deepfixcx.audit.linkage import Records, attack_linkage, siamese_cnn
from deepfixcx.audit.linkage import siamese as networks
from deepfixcx.audit.linkage.pairs import Fit, Pairs, Similarity
from deepfixcx.audit.linkage.siamese import Siamese, seeded
from deepfixcx.errors import AuditError
from tests.audit.making import make_images, make_population


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for seconds."""
    mlp = replace(networks.PROTOCOL, epochs=6, pairs=400)
    monkeypatch.setattr(networks, "PROTOCOL", mlp)
    monkeypatch.setattr(siamese_cnn, "PROTOCOL", replace(siamese_cnn.PROTOCOL, epochs=2, pairs=50))
    contrast = replace(siamese_cnn.CONTRAST, epochs=6, every=2)
    monkeypatch.setattr(siamese_cnn, "CONTRAST", contrast)


def area(seen: np.ndarray, owners: np.ndarray, attacker: str | Fit, seed: int = 0) -> float:
    results = attack_linkage(Records(seen), owners, attacker=attacker, seed=seed, samples=20)
    return results[0].value.value


def test_the_small_network_links() -> None:
    vectors, owners = make_population(patients=60, noise=0.5)
    assert area(vectors, owners, "siamese-mlp") > 0.9


@pytest.mark.slow
def test_the_convolutional_network_learns_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """By contrast, then by the protocol: without the one or the other it judges otherwise."""
    drawn, _ = make_images(patients=48, images=1)
    owners = np.repeat(np.arange(48), 2)
    light = np.random.default_rng(2).uniform(0.8, 1, (96, 1, 1, 1)).astype(np.float32)
    images = drawn[owners] * light
    whole = area(images, owners, "siamese-cnn")
    assert whole > 0.9
    noisy = images + np.random.default_rng(0).normal(0, 0.2, images.shape).astype(np.float32)
    areas = [area(noisy, owners, "siamese-cnn")]
    for name in ("CONTRAST", "PROTOCOL"):
        with monkeypatch.context() as patch:
            patch.setattr(siamese_cnn, name, replace(getattr(siamese_cnn, name), epochs=0))
            areas.append(area(noisy, owners, "siamese-cnn"))
    assert len(set(areas)) == 3


@pytest.mark.parametrize(
    "attacker", ["siamese-mlp", pytest.param("siamese-cnn", marks=pytest.mark.slow)]
)
def test_the_same_seed_gives_the_same_network(attacker: str) -> None:
    images, owners = make_images(patients=24, side=16)
    before = torch.random.get_rng_state()
    once, again, other = (area(images, owners, attacker, seed) for seed in (1, 1, 2))
    assert once == again
    assert once != other
    assert (torch.random.get_rng_state() == before).all()


@pytest.mark.parametrize("poolings", ["l1", ("l1", "max")])
def test_codes_and_vectors_become_images(poolings: str | tuple[str, ...]) -> None:
    images, owners = make_images(patients=24)
    code = Codec(level=2, patches=3, pooling=poolings).encode(images)
    for seen in (code.array, images.reshape(len(images), -1)[:, ::32]):
        assert 0 <= area(seen, owners, "siamese-cnn") <= 1


def test_too_few_patients_are_refused() -> None:
    vectors, owners = make_population(patients=4)
    with pytest.raises(AuditError, match="four or more patients"):
        area(vectors, owners, "siamese-mlp")


def test_training_keeps_the_best_weights_of_the_patients_set_aside() -> None:
    """With a learning rate that destroys, the network stays as it began: whitening's angles."""
    vectors, owners = make_population(patients=40, noise=0.5)
    wild = replace(networks.PROTOCOL, learning_rate=100.0, epochs=3)
    still = replace(networks.PROTOCOL, epochs=0)

    def with_protocol(protocol: object) -> Fit:
        def fit(training: Pairs, seed: int) -> Similarity:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(networks, "PROTOCOL", protocol)
                return networks.fit_siamese_mlp(training, seed)

        return fit

    assert area(vectors, owners, with_protocol(wild)) == area(vectors, owners, with_protocol(still))


def test_judging_is_symmetric() -> None:
    with seeded(0):
        siamese = Siamese(torch.nn.Linear(5, 128))
    one, other = torch.rand(4, 5), torch.rand(3, 5)
    there, back = siamese.compare(one, other), siamese.compare(other, one)
    assert there.shape == (4, 3)
    np.testing.assert_allclose(there, back.T, atol=1e-5)


def test_strangers_are_drawn_as_from_a_list_of_all_pairs() -> None:
    generator = np.random.default_rng(3)
    usable = generator.random((7, 9)) > 0.3
    match = usable & (generator.random((7, 9)) > 0.6)
    empty = np.zeros((9, 2), np.float32)
    places = np.arange(9)
    pairs = Pairs(empty[:7], empty, places[:7], places, None, None, match, usable)
    rows, columns = np.nonzero(usable & ~match)
    chosen = np.random.default_rng(5).integers(0, len(rows), 50)
    drawn = networks._strangers(pairs, 50, np.random.default_rng(5))
    assert drawn[0].tolist() == rows[chosen].tolist()
    assert drawn[1].tolist() == columns[chosen].tolist()
