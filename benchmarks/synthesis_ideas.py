"""Ideas beyond synthesis, and rivals, by name: what each sees of an image and how it is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.synthesis_kinds import (
    Autoencoder,
    BesidePublic,
    Catalogued,
    Copula,
    Covariance,
    Fitted,
    FullCovariance,
    LowRankSlopes,
    Mixture,
    NoisyMixture,
    PatternGraph,
    PrivateAutoencoder,
    PublicAlone,
    PublicResiduals,
    Synthesis,
)
from benchmarks.synthesis_rivals import PixelComponents
from deepfixcx.mechanisms import LabelResampling, Mechanism, Plain, Records, TaskProjection
from deepfixcx.mechanisms.synthesis import ShrunkSynthesis

__all__ = ["GROUPS", "IDEAS", "Fitted", "Idea", "PublicAlone", "late_records"]

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Idea:
    """What is tried: a mechanism or a kind of synthesis, and what it sees of the images."""

    title: str
    kind: type[Fitted] = Synthesis
    numbers: int = 8
    mechanism: Mechanism | None = None
    specs: tuple[str, ...] = ("2,19",)
    trust: str = "shrunk"
    conditioned: bool = False
    histogram: float = 0.25
    components: int | None = None
    supervised: bool = True
    budgeted: bool = True

    @property
    def of_images(self) -> bool:
        """Whether a record is a function of one image, so that it shows who is in the release."""
        return isinstance(self.mechanism, Plain | PixelComponents)

    @property
    def budgets(self) -> bool:
        """Whether noise can be added."""
        return issubclass(self.kind, Synthesis) and self.budgeted

    def seen(self, codes: Mapping[str, Array]) -> Array:
        """Return the codes that it sees; several specs as one vector of roots."""
        if len(self.specs) == 1:
            return codes[self.specs[0]]
        parts = [np.sqrt(np.abs(codes[spec])).reshape(len(codes[spec]), -1) for spec in self.specs]
        return np.concatenate([each / each.shape[1] ** 0.5 for each in parts], axis=1)

    def fit(self, public: Records, generator: np.random.Generator) -> Fitted:
        """Fit it on public images with the four labels."""
        if self.kind is PublicAlone:
            fitted = (self.mechanism or Plain()).fit(public, generator)
            return PublicAlone(fitted, public)
        if self.mechanism is not None:
            return Catalogued(self.mechanism.fit(public, generator))
        directions = "labels" if self.supervised else "variance"
        own = ShrunkSynthesis(self.numbers, components=self.components, directions=directions).fit(
            public, generator
        )
        made: Any = self.kind(own, public)  # type: ignore[call-arg]
        made.trust, made.histogram = self.trust, self.histogram
        whole: Fitted = made
        return whole


def late_records(fitted: Fitted, public: Records, private: Records) -> tuple[Fitted, Records]:
    """Return a fitted idea and records for other labels than it was fitted on."""
    return fitted.with_labels(public), private


def _resampling() -> Mechanism:
    from deepfixcx.mechanisms import Chain

    return Chain((TaskProjection(), LabelResampling(copies=4, label_patients=11)))


def _components(numbers: int) -> Idea:
    mechanism: Any = PixelComponents(numbers)
    title = f"{numbers} principal components of 76 × 76 pixels"
    return Idea(title, Catalogued, mechanism=mechanism, specs=("pixelated",))


IDEAS: dict[str, Idea] = {
    "plain": Idea("plain codes", Catalogued, mechanism=Plain()),
    "public": Idea("public images alone, as codes", PublicAlone),
    "public-8": Idea("public images alone, 8 numbers", PublicAlone, mechanism=TaskProjection(8)),
    "resampling": Idea("projection, resampling", Catalogued, mechanism=_resampling()),
    "labels": Idea(
        "labels alone (8 numbers drawn by public slopes)", trust="public", budgeted=False
    ),
    "synthesis-4": Idea("synthesis, 4 numbers", numbers=4),
    "synthesis-8": Idea("synthesis, 8 numbers"),
    "synthesis-24": Idea("synthesis, 24 numbers", numbers=24),
    "synthesis-40": Idea("synthesis, 40 numbers", numbers=40),
    "public-slopes": Idea("8 numbers, public slopes only", trust="public"),
    "synthesis-36": Idea("synthesis, 36 numbers", numbers=36),
    "private-slopes": Idea("8 numbers, private slopes, not shrunk", trust="private"),
    "low-rank-slopes": Idea("8 numbers, slopes in the public span", LowRankSlopes),
    "low-rank-24": Idea("24 numbers, slopes in the public span", LowRankSlopes, 24),
    "covariance": Idea("8 numbers, covariance corrected, rank 2", Covariance),
    "full-covariance": Idea("8 numbers, covariance corrected, full rank", FullCovariance),
    "copula": Idea("8 numbers, copula with public marginals", Copula),
    "residuals": Idea("8 numbers, residuals of public images", PublicResiduals),
    "mixture": Idea("8 numbers, mixture of 3, private counts", Mixture),
    "dp-em": Idea("8 numbers, mixture of 3 by DP-EM", NoisyMixture),
    "graph": Idea("8 numbers, pattern graph, 4 bins", PatternGraph),
    "autoencoder": Idea("8 numbers, autoencoder of public residuals", Autoencoder),
    "dp-autoencoder": Idea("8 numbers, conditional autoencoder by DP-SGD", PrivateAutoencoder),
    "dp-autoencoder-24": Idea(
        "24 numbers, conditional autoencoder by DP-SGD", PrivateAutoencoder, 24
    ),
    "conditioned": Idea("8 numbers, also given view, sex, age", conditioned=True),
    "conditioned-24": Idea("24 numbers, also given view, sex, age", numbers=24, conditioned=True),
    "conditioned-pca": Idea(
        "20 principal components, also given view, sex, age",
        numbers=20,
        supervised=False,
        conditioned=True,
    ),
    "levels": Idea("8 numbers of three specs", specs=("2,19", "3,4", "4,4")),
    "levels-24": Idea("24 numbers of three specs", numbers=24, specs=("2,19", "3,4", "4,4")),
    "levels-pca": Idea(
        "20 principal components of three specs",
        numbers=20,
        supervised=False,
        specs=("2,19", "3,4", "4,4"),
    ),
    "coarse": Idea("8 numbers of J=3 P=4", specs=("3,4",)),
    "components-30": Idea("8 numbers of 30 components", components=30),
    "components-20": Idea("8 numbers of 20 components", components=20),
    "components-120": Idea("8 numbers of 120 components", components=120),
    "pca-12": Idea("12 principal components", numbers=12, supervised=False),
    "synthesis-pca-20": Idea("synthesis, 20 principal components", numbers=20, supervised=False),
    "pca-30": Idea("30 principal components", numbers=30, supervised=False),
    "pca-low-rank": Idea(
        "20 principal components, slopes in the public span", LowRankSlopes, 20, supervised=False
    ),
    "pixelated": Idea("pixelated to 76 × 76", Catalogued, mechanism=Plain(), specs=("pixelated",)),
    "dp-pix": Idea("DP-Pix, ε = 1 for 16 pixels", Catalogued, mechanism=Plain(), specs=("dp-pix",)),
    "pixel-components-8": _components(8),
    "pixel-components-24": _components(24),
    "pixel-components-60": _components(60),
    "heartspot-rows": Idea(
        "HeartSpot, 20 rows (6,400 pixels)", Catalogued, mechanism=Plain(), specs=("rows",)
    ),
    "heartspot-lines": Idea(
        "HeartSpot, lines in the heart, quadtree", Catalogued, mechanism=Plain(), specs=("heart",)
    ),
    "walloc": Idea(
        "linear layer on the packet (6,400)", Catalogued, mechanism=Plain(), specs=("walloc",)
    ),
    "pixelated-synthesis": Idea("synthesis, 8 numbers of 76 × 76 pixels", specs=("pixelated",)),
    "heartspot-rows-synthesis": Idea("synthesis, 8 numbers of HeartSpot's rows", specs=("rows",)),
    "heartspot-lines-synthesis": Idea(
        "synthesis, 8 numbers of HeartSpot's lines", specs=("heart",)
    ),
    "walloc-synthesis": Idea("synthesis, 8 numbers of the linear layer", specs=("walloc",)),
    "beside-public": Idea("8 numbers, public images beside", BesidePublic),
    "pca-beside": Idea(
        "20 principal components, public images beside", BesidePublic, 20, supervised=False
    ),
    "beside-public-24": Idea("24 numbers, public images beside", BesidePublic, 24),
}
"""Every idea by the name that --ideas takes."""

FIRST = (
    *("plain", "public", "public-8", "resampling", "labels"),
    *(f"synthesis-{numbers}" for numbers in (4, 8, 24, 36)),
    "synthesis-pca-20",
)
RIVALS = tuple(
    name for name in IDEAS if name.startswith(("pixel", "dp-pix", "heartspot", "walloc"))
)
GROUPS: dict[str, tuple[str, ...]] = {
    "synthesis-goals": FIRST,
    "synthesis-ideas": tuple(name for name in IDEAS if name not in (*FIRST, *RIVALS)),
    "rivals": ("plain", *RIVALS, "synthesis-8"),
}
"""What is measured together, by the section of the page."""
