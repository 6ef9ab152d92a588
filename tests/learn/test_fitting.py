"""The training loop: masked loss, weights, early stopping, seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepfixcx import CodecSpec
from deepfixcx.errors import ModelError
from deepfixcx.learn.fitting import Epoch, Fitted, fit, logits_of, masked_loss, yes_weights
from deepfixcx.learn.options import TrainingOptions

TRAIN, VALIDATION = np.arange(60), np.arange(60, 80)


def options(**numbers: float) -> TrainingOptions:
    settings = {"epochs": 6, "learning_rate": 0.05, "batch": 16} | numbers
    return TrainingOptions(spec=CodecSpec(2, 2), **settings)  # type: ignore[arg-type]


def data(labels: int = 1, share: float = 0.5) -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(80, 4)).astype(np.float32)
    hidden = inputs[:, :1] + 0.5 * generator.normal(size=(80, labels))
    truth = (hidden > np.quantile(hidden, 1 - share, axis=0)).astype(np.float32)
    return torch.from_numpy(inputs), torch.from_numpy(truth)


def fitted_layer(
    inputs: Tensor, labels: Tensor, chosen: TrainingOptions, train: np.ndarray = TRAIN
) -> tuple[nn.Linear, Fitted]:
    torch.manual_seed(7)
    layer = nn.Linear(4, labels.shape[1])
    return layer, fit(layer, inputs, labels, train, VALIDATION, chosen)


def test_unknown_labels_add_nothing() -> None:
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    labels = torch.tensor([[1.0, math.nan], [math.nan, 0.0]])
    loss = masked_loss(logits, labels, None)
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert (logits.grad == 0).tolist() == [[False, True], [True, False]]
    assert masked_loss(logits, torch.full((2, 2), math.nan), None).item() == 0


def test_training_with_unknown_labels_is_training_without_these_images() -> None:
    inputs, labels = data()
    hidden = labels.clone()
    hidden[30:60] = math.nan
    one_step = options(epochs=1, batch=60)
    first, _ = fitted_layer(inputs, hidden, one_step)
    second, _ = fitted_layer(inputs, labels, one_step, TRAIN[:30])
    assert torch.allclose(first.weight, second.weight, atol=1e-6)


def test_weights_of_yes() -> None:
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, math.nan], [0.0, 1.0]])
    assert yes_weights(labels).tolist() == [3, 1]


def test_balance_shifts_rare_labels_up() -> None:
    inputs, labels = data(share=0.1)
    means = []
    for balance in (False, True):
        chosen = TrainingOptions(
            spec=CodecSpec(2, 2), balance=balance, epochs=40, patience=40, learning_rate=0.05
        )
        torch.manual_seed(7)
        layer = nn.Linear(4, 1)
        fit(layer, inputs, labels, TRAIN, np.zeros(0, np.int64), chosen)  # all the epochs
        means.append(layer(inputs).sigmoid().mean().item())
    assert means[0] < 0.3
    assert means[1] > means[0] + 0.05


def test_the_best_epoch_is_kept() -> None:
    inputs, labels = data()
    layer, fitted = fitted_layer(inputs, labels, options(epochs=12, patience=12))
    best = max(fitted.history, key=lambda epoch: (epoch.auc, -epoch.validation_loss))
    assert fitted.best_epoch == best.number
    held = logits_of(layer, inputs, VALIDATION)
    assert masked_loss(held, labels[VALIDATION], None).item() == pytest.approx(best.validation_loss)


def test_training_stops_when_nothing_gets_better() -> None:
    inputs, labels = data()
    _, fitted = fitted_layer(inputs, 1 - labels, options(epochs=50, patience=3))
    assert len(fitted.history) == min(50, fitted.best_epoch + 3)
    inputs = torch.zeros_like(inputs)  # nothing can be learned, and the loss settles
    _, fitted = fitted_layer(inputs, labels, options(epochs=500, patience=2, learning_rate=1.0))
    assert len(fitted.history) < 100


def test_without_validation_the_last_epoch_is_kept() -> None:
    inputs, labels = data()
    torch.manual_seed(0)
    layer = nn.Linear(4, 1)
    fitted = fit(layer, inputs, labels, TRAIN, np.zeros(0, np.int64), options())
    assert fitted.best_epoch == len(fitted.history) == 6
    assert math.isnan(fitted.best_auc)


def test_validation_of_one_class_is_judged_by_loss() -> None:
    fitted = Fitted()
    for number, loss in enumerate((0.7, 0.5, 0.6), 1):
        fitted.note(Epoch(number, 0.1, loss, math.nan, 0.0))
    assert fitted.best_epoch == 2


def test_auc_goes_before_loss() -> None:
    fitted = Fitted()
    rounds = ((0.8, 0.5), (0.9, 0.6), (0.9, 0.55), (0.9, 0.7), (0.85, 0.1))
    for number, (auc, loss) in enumerate(rounds, 1):
        fitted.note(Epoch(number, 0.1, loss, auc, 0.0))
    assert (fitted.best_epoch, fitted.best_auc) == (3, 0.9)


@pytest.mark.parametrize("same", [True, False])
def test_seeds(same: bool) -> None:
    inputs, labels = data()
    first, _ = fitted_layer(inputs, labels, options(seed=3))
    torch.rand(10)  # other random numbers in between change nothing
    second, _ = fitted_layer(inputs, labels, options(seed=3 if same else 4))
    assert torch.equal(first.weight, second.weight) == same


def test_random_numbers_of_the_caller_are_left_alone() -> None:
    inputs, labels = data()
    torch.manual_seed(1)
    layer = nn.Linear(4, 1)
    before = torch.get_rng_state()
    fit(layer, inputs, labels, TRAIN, VALIDATION, options())
    assert torch.equal(torch.get_rng_state(), before)


def test_no_batch_has_one_image() -> None:
    sizes: list[int] = []

    class Counting(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            if self.training:
                sizes.append(len(inputs))
            return super().forward(inputs)

    inputs, labels = data()
    for train, batch in ((TRAIN[:5], 2), (TRAIN[:33], 16), (TRAIN[:3], 2), (TRAIN, 1000)):
        fit(Counting(4, 1), inputs, labels, train, VALIDATION, options(batch=batch, epochs=1))
        assert min(sizes) > 1
        assert sum(sizes) == len(train)
        sizes.clear()


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    inputs, labels = data()
    with pytest.raises(ModelError, match="no longer finite"):
        fitted_layer(inputs * math.inf, labels, options())
    with pytest.raises(ModelError, match="two images or more"):
        fitted_layer(inputs, labels, options(), TRAIN[:1])


def test_scores_do_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, _ = data()
    layer = nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.5)).train()
    whole = logits_of(layer, inputs, np.arange(80))
    monkeypatch.setattr("deepfixcx.learn.fitting.NUMBERS_AT_ONCE", 12)
    assert torch.allclose(logits_of(layer, inputs, np.arange(80)), whole, atol=1e-6)


def test_every_epoch_has_an_order_of_its_own() -> None:
    orders: list[list[float]] = []

    class Noting(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            if self.training:
                orders.append(inputs[:, 0].tolist())
            return super().forward(inputs)

    inputs, labels = data()
    fit(Noting(4, 1), inputs, labels, TRAIN, VALIDATION, options(batch=60, epochs=2))
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
