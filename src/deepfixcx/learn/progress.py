"""How training goes, epoch by epoch, and which epoch is the best."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Epoch", "Fitted"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What came of one pass over the training images.

    Attributes
    ----------
    number : int
        From 1.
    train_loss, validation_loss : float
        Mean binary cross-entropy; of validation NaN where there are no images.
    auc : float
        Mean area under the ROC curve over the labels, on the validation images; NaN where no label
        has a yes and a no.
    seconds : float
        How long it took.
    """

    number: int
    train_loss: float
    validation_loss: float
    auc: float
    seconds: float


@dataclass(slots=True)
class Fitted:
    """How training went.

    Attributes
    ----------
    history : list of Epoch
        All epochs.
    best_epoch : int
        The one whose weights were kept.
    best_auc, best_loss : float
        Its AUC and loss on the validation images.
    """

    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best_auc: float = math.nan
    best_loss: float = math.inf

    def note(self, epoch: Epoch) -> bool:
        """Add an epoch, and return whether it is the best so far."""
        self.history.append(epoch)
        if not self._is_best(epoch):
            return False
        self.best_epoch, self.best_auc = epoch.number, epoch.auc
        self.best_loss = epoch.validation_loss
        return True

    def _is_best(self, epoch: Epoch) -> bool:
        if not self.best_epoch or math.isnan(epoch.validation_loss):
            return True  # without validation images, the last epoch is kept
        if math.isnan(epoch.auc) or epoch.auc == self.best_auc:
            return epoch.validation_loss < self.best_loss
        return epoch.auc > self.best_auc

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Fitted:
        """Build it from what `to_dict` returned."""
        return cls(**{**values, "history": [Epoch(**each) for each in values["history"]]})
