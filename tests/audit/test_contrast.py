"""Contrast: who is shown with whom, who repels whom, and how images are varied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepfixcx.audit.features import patient_numbers
from deepfixcx.audit.linkage import Pairs, Records, siamese_cnn
from deepfixcx.audit.linkage.siamese import Siamese, seeded
from deepfixcx.audit.linkage.siamese_cnn import Contrast, learn_by_contrast, vary
from deepfixcx.audit.linkage.trial import make_tests

SHORT = Contrast(1e-2, 1e-4, batch=64, temperature=0.1, epochs=20, every=4, patience=5)


def pairs_of(vectors: np.ndarray, patients: np.ndarray) -> Pairs:
    numbers = patient_numbers(patients)
    tests = make_tests(Records(vectors), None, numbers, 2, np.random.default_rng(0))
    return next(tests).training


class Flat(Siamese):
    """Looks at the one pixel there is."""

    def __init__(self, numbers: int) -> None:
        super().__init__(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(numbers, 128)))

    def embed(self, records: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(self.network(records), dim=-1)

    def judge(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (one * other).sum(-1)


def population(patients: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors; a quarter identifies the patient, the rest changes by visit."""
    generator = np.random.default_rng(0)
    owners = np.repeat(np.arange(patients), 2)
    nature = generator.normal(size=(patients, 3))[owners]
    visits = 2 * generator.normal(size=(len(owners), 9))
    return np.concatenate([nature, visits], axis=1).astype(np.float32), owners


def learned(training: Pairs, protocol: Contrast = SHORT) -> float:
    learning, aside = training.split(0.3, np.random.default_rng(1))
    seen = torch.from_numpy(training.all_probes)[:, :, None, None]
    with seeded(0):
        network = Flat(training.all_probes.shape[1])
        learn_by_contrast(network, learning, aside, seen, seen, protocol, np.random.default_rng(2))
    return siamese_cnn._area(network, aside, seen, seen)


def test_directions_that_distinguish_patients_are_learned() -> None:
    training = pairs_of(*population(200))
    before = learned(training, replace(SHORT, epochs=0))
    assert learned(training) > before + 0.1


def test_every_patient_is_shown_once() -> None:
    vectors, _ = population()
    patients = np.concatenate([np.repeat(np.arange(10), 8), np.arange(10, 50)])
    training = pairs_of(vectors, patients)
    rows = siamese_cnn._one_of_each(training, np.random.default_rng(0))
    shown = [training.probe_owners[[row]].indices[0] for row in rows]
    assert sorted(shown) == sorted(set(training.probe_owners.indices))


def test_a_partner_is_another_record_of_the_patient_where_there_is_one() -> None:
    vectors, _ = population()
    patients = np.concatenate([np.repeat(np.arange(20), 4), np.arange(20, 60)])
    training = pairs_of(vectors, patients)
    seen = torch.from_numpy(training.all_probes)[:, :, None, None]
    rows = np.arange(len(training.probe_places))
    partners = siamese_cnn._partners(training, rows, seen, seen, np.random.default_rng(0))
    for row, partner in zip(rows, partners[:, :, 0, 0].numpy(), strict=True):
        own = np.flatnonzero((training.all_gallery == partner).all(axis=1))[0]
        probe = training.probe_places[row]
        assert patients[own] == patients[probe]
        assert (own == probe) == (not training.match[row].any())


def test_records_of_one_patient_do_not_repel_each_other() -> None:
    cosines = torch.tensor([[5.0, 5.0], [0.0, 5.0]])
    strangers = np.eye(2, dtype=bool)
    apart = siamese_cnn._loss(cosines, strangers)
    together = siamese_cnn._loss(cosines, np.ones((2, 2), bool))
    assert together == pytest.approx(0, abs=1e-6)
    assert apart > 0.1


@pytest.mark.parametrize("shape", [(6, 1, 16, 16), (6, 4, 5, 3), (6, 9, 1, 1)])
def test_each_image_is_varied_in_its_own_way(shape: tuple[int, ...]) -> None:
    images = torch.rand(1, *shape[1:]).expand(shape)
    with seeded(0):
        varied = vary(images)
    assert varied.shape == images.shape
    assert torch.isfinite(varied).all()
    assert len({tuple(each.flatten().tolist()) for each in varied}) == len(varied)


def test_a_bright_spot_moves_no_farther_than_it_should() -> None:
    image = torch.zeros(200, 1, 21, 21)
    image[:, :, 10, 10] = 1e6
    with seeded(0):
        varied = vary(image)
    rows, columns = np.unravel_index(varied.flatten(1).argmax(1).numpy(), (21, 21))
    assert np.abs(rows - 10).max() in (1, 2)  # a tenth of half a side, enlarged a little
    assert np.abs(columns - 10).max() in (1, 2)
