"""What to train, and how: the options of one model, checked before anything is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from deepfixcx.choices import On
from deepfixcx.errors import ModelError
from deepfixcx.spec import CodecSpec

__all__ = ["NETWORKS", "TrainingOptions"]

NETWORKS = ("densenet121", "resnet18", "efficientnet-b0")
"""Networks of MONAI that have a name here."""

_NUMBERS: dict[str, dict[str, Any]] = {
    "mlp": {
        "epochs": 100,
        "patience": 20,
        "batch": 64,
        "learning_rate": 1e-3,
        "weight_decay": 1e-2,
        "l1": 1e-3,
    },
    "logistic": {},
    "network": {
        "epochs": 50,
        "patience": 10,
        "batch": 32,
        "learning_rate": 3e-4,
        "weight_decay": 1e-2,
    },
}
"""Which numbers a kind of model has, and their defaults."""

DEFAULT_SIDE = 224


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a model is trained.

    A number that is omitted (None) becomes the default of the model. One that the model has no
    use for is an error, so that no option is ignored.

    Parameters
    ----------
    model : str
        ``"mlp"`` or ``"logistic"`` on codes; ``"densenet121"``, ``"resnet18"``,
        ``"efficientnet-b0"`` or ``"package.module:Class"`` on images.
    on : {"codes", "images", "original"}, optional
        What the model sees; ``"codes"`` for mlp and logistic, ``"images"`` for the others.
    spec : CodecSpec, optional
        How images are encoded; needed unless `on` is ``"original"``, and an error if it is.
    side : int, optional
        Height and width in pixels of the images that a network sees; P * 2**J of privatized images
        and 224 of original ones by default. Not for models on codes.
    seed : int
        Of first weights, order of the images, and dropout.
    balance : bool
        Weight positives and negatives of each label as if they were equally frequent.
    epochs : int, optional
        Most passes over the training images; 100 for mlp, 50 for networks.
    patience : int, optional
        Epochs without a better validation AUC after which training ends; 20 and 10.
    batch : int, optional
        Most images a step, 2 or more; 64 and 32.
    learning_rate : float, optional
        Of AdamW; 1e-3 and 3e-4.
    weight_decay : float, optional
        Of AdamW; 1e-2.
    l1 : float, optional
        Weight of the penalty on the attention; 1e-3. Only for mlp.

    Raises
    ------
    ModelError
        Options that do not fit together, or are out of range.

    Examples
    --------
    >>> options = TrainingOptions("mlp", spec=CodecSpec(level=3, patches=4))
    >>> options.on, options.epochs, options.side
    ('codes', 100, None)
    >>> TrainingOptions.from_dict(options.to_dict()) == options
    True
    """

    model: str = "mlp"
    on: On | None = None
    spec: CodecSpec | None = None
    side: int | None = None
    seed: int = 0
    balance: bool = False
    epochs: int | None = None
    patience: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    l1: float | None = None

    def __post_init__(self) -> None:
        """Check every option, and fill in those that were omitted."""
        on_codes = self.model in ("mlp", "logistic")
        if not on_codes and self.model not in NETWORKS and ":" not in self.model:
            raise ModelError(
                f"there is no model {self.model!r}; available: mlp and logistic on codes, "
                f"{', '.join(NETWORKS)} on images, and your own network as package.module:Class"
            )
        if self.on is None:
            object.__setattr__(self, "on", "codes" if on_codes else "images")
        if self.on not in get_args(On):
            raise ModelError(f"a model works on {', '.join(get_args(On))}; got {self.on!r}")
        if on_codes != (self.on == "codes"):
            better = "codes" if on_codes else "images or original"
            raise ModelError(f"the model {self.model!r} works on {better}, not on {self.on}")
        self._check_spec_and_side()
        known = _NUMBERS[self.kind]
        for name in _NUMBERS["mlp"]:
            value = getattr(self, name)
            if name in known:
                object.__setattr__(self, name, known[name] if value is None else value)
                self._check_number(name)
            elif value is not None:
                raise ModelError(f"the model {self.model!r} has no {name}; omit it")
        if self.balance and self.kind == "logistic":
            raise ModelError("the model 'logistic' does not balance labels; omit --balance")
        if not 0 <= self.seed < 2**63:
            raise ModelError(f"a seed is a whole number from 0, got {self.seed}")

    @property
    def kind(self) -> Literal["mlp", "logistic", "network"]:
        """Which of the three kinds of model it is."""
        if self.model == "mlp":
            return "mlp"
        return "logistic" if self.model == "logistic" else "network"

    def number(self, name: str) -> float:
        """Return a number that this model has, such as ``"epochs"``."""
        value = getattr(self, name)
        if value is None:
            raise ModelError(f"the model {self.model!r} has no {name}")
        return float(value)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "spec": None if self.spec is None else self.spec.to_dict()}

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> TrainingOptions:
        """Build options from what `to_dict` returned.

        Raises
        ------
        ModelError, SpecError
            Unknown or unfit options.
        """
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(options) - known):
            raise ModelError(f"unknown options {unknown}; available: {sorted(known)}")
        spec = options.get("spec")
        return cls(**{**options, "spec": None if spec is None else CodecSpec.from_dict(spec)})

    def _check_spec_and_side(self) -> None:
        if self.on == "original":
            if self.spec is not None:
                raise ModelError("original images are not encoded: omit level and patches")
            object.__setattr__(self, "side", DEFAULT_SIDE if self.side is None else self.side)
        elif self.spec is None:
            raise ModelError(f"a model on {self.on} needs a spec; give level and patches")
        elif self.on == "codes" and self.side is not None:
            raise ModelError("side is not used with codes: images are encoded in their own size")
        if self.side is not None and self.side < 1:
            raise ModelError(f"side must be 1 pixel or more, got {self.side}")
        if self.on == "images" and self.spec is not None and self.side is not None:
            self.spec.cells(self.side, self.side)

    def _check_number(self, name: str) -> None:
        value = getattr(self, name)
        least = {"epochs": 1, "patience": 1, "batch": 2}.get(name, 0)
        if not math.isfinite(value) or value < least or (name == "learning_rate" and value == 0):
            more = "more than 0" if name == "learning_rate" else f"at least {least}"
            raise ModelError(f"{name} has to be {more}, got {value}")
