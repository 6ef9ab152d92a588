"""What a sweep tries, and how it judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from deepfixcx.choices import CodeModel
from deepfixcx.errors import ModelError
from deepfixcx.learn.options import NETWORKS, TrainingOptions
from deepfixcx.spec import CodecSpec

__all__ = ["SweepOptions"]


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """Which settings are tried, and what learns from them."""

    levels: Sequence[int] = (1, 2, 3, 4, 5, 6)
    patches: Sequence[int] = (2, 4, 8)
    like: CodecSpec | None = None
    model: CodeModel = "logistic"
    cnn: str | None = None
    folds: int = 5
    seed: int = 0
    side: int | None = None
    epochs: int | None = None
    within: str | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        for name in ("levels", "patches"):
            values = tuple(getattr(self, name))
            if not values or len(set(values)) != len(values):
                raise ModelError(f"{name} must be one or more different numbers; got {values}")
            object.__setattr__(self, name, values)
        if self.model not in get_args(CodeModel):
            raise ModelError(f"a sweep trains logistic or mlp on codes, not {self.model!r}")
        if self.folds < 3:
            raise ModelError(
                f"a sweep needs 3 folds or more (train, validation, test), got {self.folds}"
            )
        if self.cnn is None and self.side is not None:
            raise ModelError("side is the size of the images of a network; name a network with cnn")
        if self.cnn is None and self.model == "logistic" and self.epochs is not None:
            raise ModelError("the model 'logistic' has no epochs; omit them")
        if self.cnn is not None and self.cnn not in NETWORKS and ":" not in self.cnn:
            raise ModelError(
                f"there is no network {self.cnn!r}; available: {', '.join(NETWORKS)}, and your "
                "own as package.module:Class"
            )
        for spec in self.specs():
            self.for_mlp(spec)
            self.for_network(spec)

    def specs(self) -> tuple[CodecSpec, ...]:
        """Return all settings, by level and then patches."""
        like = self.like or CodecSpec(1, 1)
        return tuple(
            replace(like, level=level, patches=patches)
            for level in sorted(self.levels)
            for patches in sorted(self.patches)
        )

    def for_mlp(self, spec: CodecSpec) -> TrainingOptions:
        """Return how the mlp is trained."""
        return TrainingOptions("mlp", spec=spec, seed=self.seed, epochs=self.epochs)

    def for_network(self, spec: CodecSpec | None) -> TrainingOptions | None:
        """Return how the network is trained, on images made of codes or, without a spec, others."""
        if self.cnn is None:
            return None
        if spec is None:
            return TrainingOptions(
                self.cnn, "original", side=self.side, seed=self.seed, epochs=self.epochs
            )
        original = TrainingOptions(self.cnn, "original", side=self.side)
        return TrainingOptions(
            self.cnn, "images", spec, int(original.number("side")), self.seed, epochs=self.epochs
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        values = asdict(self)
        return {**values, "like": None if self.like is None else self.like.to_dict()}
