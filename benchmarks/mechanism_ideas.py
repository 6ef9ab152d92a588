"""Research on mechanisms: every idea with its figures, those that failed too.

Each idea is tried on several divisions of the patients of `cxr_nih`: utility as the mean AUC over
four labels, linkage by the strongest of several re-trained attackers, released to released and
released to raw, and reconstruction by ridge regression. Ideas that are no part of the package are
written here.

    python -m benchmarks.mechanism_ideas --markdown docs/privacy-research.md
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Table, put_section
from deepfixcx.codec import Codec
from deepfixcx.datasets import load_dataset
from deepfixcx.errors import MechanismError
from deepfixcx.experiments.frontier import figures_of, mean_figures
from deepfixcx.experiments.frontier_inputs import ATTACKERS
from deepfixcx.experiments.trial import Trial, patient_folds
from deepfixcx.learn.baselines import blur, pixelate
from deepfixcx.learn.loading import load_pixels
from deepfixcx.learn.logistic import LogisticCodes
from deepfixcx.measures import roc_auc
from deepfixcx.mechanisms import (
    BandSelection,
    Chain,
    IdentitySuppression,
    KMixing,
    LabelResampling,
    Mechanism,
    PixelNoise,
    Plain,
    Quantization,
    Records,
    TaskProjection,
)
from deepfixcx.mechanisms.protocol import DataIndependent
from deepfixcx.mechanisms.records import label_patterns
from deepfixcx.mechanisms.whitening import Whitening, identity_directions, task_directions
from deepfixcx.spec import CodecSpec

ROOT = Path(__file__).resolve().parents[1]
LABELS = "pneumonia,effusion,infiltration,atelectasis"
SIDE, SMALL = 320, 64
COMPONENTS = 60
FOLDS = 5

Array = NDArray[np.float32]


# -- ideas that are no part of the package ----------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Moved:
    """A mechanism that moves whitened components; what moves them is in the subclasses."""

    name: str
    strength: float
    whitening: Whitening | None = None
    needed: Any = None
    identity: Any = None

    @property
    def guarantee(self) -> str:
        """Ideas promise nothing."""
        return "none that is proved"

    def fit(self, public: Records, generator: np.random.Generator) -> Moved:
        """Find components, the directions that labels need and those that tell patients apart."""
        whitening = Whitening.fit(public.array, COMPONENTS)
        scores = whitening.scores(public.array)
        needed = task_directions(scores, public.labels, public.labels.shape[1])
        identity = self.find(scores, public, needed, generator)
        return type(self)(self.name, self.strength, whitening, needed, identity)

    def find(self, scores: Any, public: Records, needed: Any, _: np.random.Generator) -> Any:
        """Return the directions that tell patients apart."""
        return identity_directions(scores, public.patient_of_each(), 40, needed)

    def move(self, scores: Any, records: Records, generator: np.random.Generator) -> Any:
        """Return the components that are released."""
        raise NotImplementedError

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Move every record."""
        whitening = self._fitted()
        moved = self.move(whitening.scores(records.array), records, generator)
        return records.with_array(whitening.rebuild(moved))

    def represent(self, array: Array) -> Array:
        """Keep the components, without moving them."""
        whitening = self._fitted()
        return whitening.rebuild(whitening.scores(array))

    def to_manifest(self) -> dict[str, Any]:
        """Return the name."""
        return {"mechanism": self.name}

    def _fitted(self) -> Whitening:
        if self.whitening is None:
            raise MechanismError("fit it first")
        return self.whitening


class IteratedRemoval(Moved):
    """Adversarial linear removal, again and again, each time on other patients (INLP)."""

    __slots__ = ()

    def find(
        self, scores: Any, public: Records, needed: Any, generator: np.random.Generator
    ) -> Any:
        """Find four directions at a time, each on a random half of the patients."""
        owners = public.patient_of_each()
        found = needed
        while found.shape[1] < needed.shape[1] + int(self.strength):
            half = generator.permutation(np.unique(owners))[::2]
            kept = np.isin(owners, half)
            more = identity_directions(scores[kept], owners[kept], 4, np.linalg.qr(found)[0])
            found = np.column_stack([found, more])
        return np.linalg.qr(found[:, needed.shape[1] :])[0]

    def move(self, scores: Any, records: Records, generator: np.random.Generator) -> Any:
        """Remove them."""
        del records, generator
        return scores - scores @ self.identity @ self.identity.T

    def represent(self, array: Array) -> Array:
        """Remove them from codes that are not released, too."""
        whitening = self._fitted()
        scores = whitening.scores(array)
        return whitening.rebuild(scores - scores @ self.identity @ self.identity.T)


class ShapedNoise(Moved):
    """Gaussian noise where patients differ, and none where labels do."""

    __slots__ = ()

    def move(self, scores: Any, records: Records, generator: np.random.Generator) -> Any:
        """Add it."""
        del records
        noise = generator.standard_normal((len(scores), self.identity.shape[1]))
        return scores + self.strength * noise @ self.identity.T


class Rotation(Moved):
    """Turn what tells patients apart by an own random rotation for every record."""

    __slots__ = ()

    def move(self, scores: Any, records: Records, generator: np.random.Generator) -> Any:
        """Give that part of each record a random direction and keep its length."""
        del records
        own = scores @ self.identity
        turned = generator.standard_normal(own.shape)
        lengths = np.linalg.norm(own, axis=1) / np.linalg.norm(turned, axis=1)
        return scores - own @ self.identity.T + (turned * lengths[:, None]) @ self.identity.T


def _shuffled(values: Any, records: Records, generator: np.random.Generator) -> Any:
    """Shuffle each column among records of equal labels."""
    moved = values.copy()
    patterns = label_patterns(records.labels)
    for pattern in range(patterns.max() + 1):
        here = np.flatnonzero(patterns == pattern)
        for column in range(values.shape[1]):
            moved[here, column] = values[generator.permutation(here), column]
    return moved


class Donors(Moved):
    """Take every component from another patient with the same labels."""

    __slots__ = ()

    def move(self, scores: Any, records: Records, generator: np.random.Generator) -> Any:
        """Shuffle each component among records of equal labels."""
        return _shuffled(scores, records, generator)


@dataclass(frozen=True, eq=False, slots=True)
class VectorDonors(DataIndependent):
    """As `Donors`, for the few numbers of a projection."""

    name: str = "donors"
    guarantee: str = "none that is proved"

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Shuffle each number among records of equal labels."""
        return records.with_array(_shuffled(records.flat, records, generator))

    def represent(self, array: Array) -> Array:
        """Return the vectors."""
        return array

    def to_manifest(self) -> dict[str, Any]:
        """Return the name."""
        return {"mechanism": self.name}


@dataclass(frozen=True, eq=False, slots=True)
class PublicTwins:
    """Release, instead of each record, the public record of equal labels that is nearest to it."""

    name: str = "public twins"
    guarantee: str = "numbers of a record are those of a public image"
    public: Records | None = None

    def fit(self, public: Records, generator: np.random.Generator) -> PublicTwins:
        """Remember the public records."""
        del generator
        return PublicTwins(self.name, self.guarantee, public)

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Replace every record."""
        del generator
        if self.public is None:
            raise MechanismError("fit it first")
        whitening = Whitening.fit(self.public.array, COMPONENTS)
        theirs, own = whitening.scores(self.public.array), whitening.scores(records.array)
        distances = ((own[:, None] - theirs[None]) ** 2).sum(axis=2)
        both = label_patterns(np.concatenate([records.labels, self.public.labels]))
        unlike = both[: len(own), None] != both[None, len(own) :]
        nearest = np.argmin(distances + 1e6 * unlike, axis=1)
        return records.with_array(self.public.array[nearest])

    def represent(self, array: Array) -> Array:
        """Return the codes."""
        return array

    def to_manifest(self) -> dict[str, Any]:
        """Return the name."""
        return {"mechanism": self.name}


def _after_projection(*steps: Mechanism, directions: int | None = None) -> Chain:
    return Chain((TaskProjection(directions), *steps))


LEVELS = Quantization(ratio=4.0, least=0.5, largest=2.0)

IDEAS: dict[str, tuple[str, Mechanism]] = {
    "plain": ("plain codes", Plain()),
    "bands": ("bands: drop the coarse third", BandSelection(lowest=0.3)),
    "fine-bands": ("bands: drop the fine half", BandSelection(highest=0.5)),
    "quantization": ("quantization, ratio 4", Quantization(4.0)),
    "quantization-16": ("quantization, ratio 16", Quantization(16.0)),
    "mixing-3": ("k-mixing, k = 3", KMixing(3, "member")),
    "mixing-5": ("k-mixing, k = 5", KMixing(5, "member")),
    "mixing-3-jitter": ("k-mixing, k = 3, jittered", KMixing(3, "member", jitter=0.9)),
    "suppression": ("identity suppression, 20 of 60 directions", IdentitySuppression(20, 60)),
    "suppression-50": ("identity suppression, 50 of 60", IdentitySuppression(50, 60)),
    "inlp": ("iterated removal (INLP), 40 of 60", IteratedRemoval("INLP", 40)),
    "shaped-noise": ("noise where patients differ, 2 deviations", ShapedNoise("shaped noise", 2)),
    "rotation": ("random rotation where patients differ", Rotation("rotation", 0)),
    "mixing-rotation": (
        "k-mixing, k = 3, then rotation",
        Chain((Rotation("rotation", 0), KMixing(3, "member"))),
    ),
    "donors": ("each component from another patient of equal labels", Donors("donors", 0)),
    "twins": ("nearest public image of equal labels", PublicTwins()),
    "projection": ("projection, a direction a label", TaskProjection()),
    "projection-8": ("projection, 8 directions", TaskProjection(8)),
    "projection-levels": ("projection, rounded to 5 values", _after_projection(LEVELS)),
    "projection-mixing": ("projection, k-mixing, k = 3", _after_projection(KMixing(3, "member"))),
    "projection-mixing-10": (
        "projection, k-mixing, k = 10",
        _after_projection(KMixing(10, "member")),
    ),
    "projection-donors": (
        "projection, each number from another patient",
        _after_projection(VectorDonors()),
    ),
    "kept-50": ("projection, resampling, half kept", _after_projection(LabelResampling(0.5))),
    "kept-20": ("projection, resampling, 20 % kept", _after_projection(LabelResampling(0.2))),
    "kept-10": ("projection, resampling, 10 % kept", _after_projection(LabelResampling(0.1))),
    "kept-0": ("projection, resampling", _after_projection(LabelResampling())),
    "copies": (
        "projection, resampling, 4 copies",
        _after_projection(LabelResampling(copies=4)),
    ),
    "copies-8": (
        "projection on 8, resampling, 4 copies",
        _after_projection(LabelResampling(copies=4), directions=8),
    ),
    "decoded": (
        "projection decoded to codes, resampling, 4 copies",
        Chain((TaskProjection(decoded=True), LabelResampling(components=4, copies=4))),
    ),
    "codes-20": ("resampling of 20 components, 4 copies", LabelResampling(0, 20, 4)),
    "codes-60": ("resampling of 60 components, 4 copies", LabelResampling(0, 60, 4)),
}
"""Every idea by the name that --ideas takes: what it is, and the mechanism."""

SOURCES = {
    "pixelate": "pixelated images of as many numbers",
    "blur": "blurred images of as many numbers",
    "dp-pix": "DP-Pix, ε = 1 for 16 pixels",
    "noise": "codes with noise, ε = 1 for 16 pixels",
}
"""What is compared with codes: the same numbers kept in another way, or codes with noise."""


# -- trials -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Data:
    """All that is tried on.

    Attributes
    ----------
    inputs : mapping of str to ndarray of float32
        Codes, and what they are compared with.
    labels, patients : ndarray
        Of each image.
    small : ndarray of float32, shape (N, 1, 64, 64)
        Images to be reconstructed.
    """

    inputs: Mapping[str, Array]
    labels: Array
    patients: NDArray[np.str_]
    small: Array


def load(folder: Path, spec: CodecSpec, *, noise: bool) -> Data:
    """Read and encode the X-rays."""
    dataset = load_dataset(folder / "cxr_nih", labels=LABELS)
    loaded = load_pixels(dataset.records, SIDE)
    dataset = dataset.select(loaded.places)
    bytes_ = np.rint(loaded.array * 255).astype(np.uint8)
    numbers = spec.numbers(1)
    pixelated = pixelate(loaded.array, numbers)
    generator = np.random.default_rng(0)
    # Fan 2018: a mean of b x b pixels moves by m / b**2 where m pixels differ; here epsilon is 1
    scale = 16 * pixelated.shape[-1] ** 2 / SIDE**2
    inputs = {
        "codes": Codec(spec).encode(bytes_).array,
        "pixelate": pixelated,
        "blur": blur(loaded.array, numbers),
        "dp-pix": (pixelated + generator.laplace(0, scale, pixelated.shape)).clip(0, 1),
    }
    if noise:
        inputs["noise"] = PixelNoise(spec, 1.0, pixels=16).encode(bytes_).array
    return Data(
        {name: np.asarray(value, np.float32) for name, value in inputs.items()},
        np.array(dataset.labels),
        dataset.patients,
        pixelate(loaded.array, SMALL**2),
    )


def tiny(spec: CodecSpec) -> Data:
    """Draw images that take seconds: patients differ in place, the sick in texture."""
    generator = np.random.default_rng(0)
    patients = np.arange(160) // 2
    labels = generator.integers(0, 2, (80, 2))[patients].astype(np.float32)
    pixels = 0.5 + 0.2 * generator.normal(size=(80, 1, 8, 8))[patients].repeat(4, 2).repeat(4, 3)
    pixels += generator.normal(0, 0.05, pixels.shape)
    for column in range(2):
        texture = generator.normal(0, 0.2, (160, 1, 32, 16)) * labels[:, column, None, None, None]
        pixels[..., 16 * column : 16 * (column + 1)] += texture
    shown: Array = np.asarray(pixels.clip(0, 1), np.float32)
    return Data(
        {"codes": Codec(spec).encode(shown).array, "pixelate": pixelate(shown, 64)},
        labels,
        patients.astype(np.str_),
        shown,
    )


def try_idea(
    mechanism: Mechanism, array: Array, data: Data, seeds: int, attackers: Sequence[str]
) -> list[dict[str, float]]:
    """Return the figures of one idea, for each division."""
    return [
        figures_of(
            Trial(array, data.labels, data.patients, seed=seed),
            mechanism,
            data.small,
            attackers=attackers,
        )
        for seed in range(seeds)
    ]


def utility_with_public(array: Array, data: Data, seeds: int) -> tuple[float, float]:
    """Return the utility of plain codes of the public patients alone, and of all patients.

    A mechanism that is fitted on public patients has learned from them; so may its rivals.
    """
    alone, together = [], []
    for seed in range(seeds):
        trial = Trial(array, data.labels, data.patients, seed=seed)
        public, private = trial.public, trial.private
        model = LogisticCodes.fit(public.array, public.labels)
        alone.append(_mean_area(private, model.decision(private.array)))
        fold = patient_folds(private.patients, FOLDS, seed)
        scores = np.zeros(private.labels.shape, np.float32)
        for number in range(FOLDS):
            rest, tested = fold != number, fold == number
            codes = np.concatenate([public.array, private.array[rest]])
            labels = np.concatenate([public.labels, private.labels[rest]])
            scores[tested] = LogisticCodes.fit(codes, labels).decision(private.array[tested])
        together.append(_mean_area(private, scores, fold.astype(np.str_)))
    return float(np.mean(alone)), float(np.mean(together))


def _mean_area(records: Records, scores: Array, groups: NDArray[np.str_] | None = None) -> float:
    pairs = zip(records.labels.T, scores.T, strict=True)
    return float(np.mean([roc_auc(*pair, groups) for pair in pairs]))


def meets_goal(figures: Mapping[str, float], loss: float) -> bool:
    """Ask goal 1: linkage near the label floor, precision@1 near chance, utility nearly kept."""
    linked = all(
        figures[f"linkage_{mode}"] <= figures[f"floor_{mode}"] + 0.05
        and figures[f"precision_{mode}"] <= 2 * figures[f"chance_{mode}"]
        for mode in ("released", "raw")
    )
    return linked and figures["labelled_linkage"] <= figures["floor_raw"] + 0.05 and loss <= 0.02


def table_of(rows: Mapping[str, list[dict[str, float]]]) -> Table:
    """Lay the figures of all ideas out."""
    table = Table(
        [
            "idea",
            "utility AUC",
            "loss ± over seeds",
            "linkage, released",
            "linkage, raw",
            "label floor",
            "knowing labels",
            "precision@1 / chance",
            "SSIM gain",
            "PSNR gain",
            "goal 1",
        ]
    )
    plain = rows["plain"]
    for name, several in rows.items():
        mean = mean_figures(several)
        losses = [base["auc"] - each["auc"] for base, each in zip(plain, several, strict=True)]
        loss, spread = float(np.mean(losses)), float(np.std(losses, ddof=1)) if losses[1:] else 0.0
        ratio = max(
            mean[f"precision_{mode}"] / mean[f"chance_{mode}"]
            if math.isfinite(mean[f"precision_{mode}"])
            else -math.inf
            for mode in ("released", "raw")
        )
        table.add(
            IDEAS[name][0] if name in IDEAS else SOURCES[name],
            f"{mean['auc']:.3f}",
            "" if name == "plain" else f"{loss:+.3f} ± {spread:.3f}",
            _number(mean["linkage_released"]),
            _number(mean["linkage_raw"]),
            _number(mean["floor_raw"]),
            _number(mean["labelled_linkage"]),
            f"{ratio:.1f} ×" if math.isfinite(ratio) else "–",
            f"{mean['ssim_gain']:+.3f}",
            f"{mean['psnr_gain']:+.2f} dB",
            "yes" if name != "plain" and meets_goal(mean, loss) else "no",
        )
    return table


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


# -- the command ------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> None:
    """Try every idea."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--ideas", nargs="+", choices=sorted(IDEAS), default=list(IDEAS))
    parser.add_argument("--seeds", type=int, default=5, help="divisions of the patients")
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--patches", type=int, default=4)
    parser.add_argument("--attackers", nargs="+", default=list(ATTACKERS), help="of linkage")
    parser.add_argument("--no-noise", action="store_true", help="do without OpenDP")
    parser.add_argument("--tiny", action="store_true", help="drawn images, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    parser.add_argument("--section", default="ideas", help="its name")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--resume", action="store_true", help="keep the figures in that file")
    options = parser.parse_args(words)
    spec = CodecSpec(options.level, options.patches)
    folder = options.data or Path(
        os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data"
    )
    data = tiny(spec) if options.tiny else load(folder, spec, noise=not options.no_noise)
    rows: dict[str, list[dict[str, float]]] = {}
    if options.resume and options.json is not None and options.json.is_file():
        rows = json.loads(options.json.read_text("utf-8"))
    for name in dict.fromkeys(["plain", *options.ideas, *SOURCES]):
        if name in rows or (name not in IDEAS and name not in data.inputs):
            continue
        began = time.monotonic()
        mechanism = IDEAS[name][1] if name in IDEAS else Plain()
        array = data.inputs["codes" if name in IDEAS else name]
        try:
            rows[name] = try_idea(mechanism, array, data, options.seeds, options.attackers)
        except MechanismError as error:  # drawn images are too few for some ideas
            print(f"{name:22s} {error}")
            continue
        mean = mean_figures(rows[name])
        print(
            f"{name:22s} auc {mean['auc']:.3f} linkage {mean['linkage_released']:.3f} "
            f"{mean['linkage_raw']:.3f} precision {mean['precision_released']:.4f} "
            f"{mean['precision_raw']:.4f} of {mean['chance_raw']:.4f} labels "
            f"{mean['labelled_linkage']:.3f}/{mean['floor_raw']:.3f} ssim {mean['ssim_gain']:+.3f} "
            f"psnr {mean['psnr_gain']:+.2f} {time.monotonic() - began:.0f} s",
            flush=True,
        )
        if options.json is not None:
            options.json.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    order = [name for name in (*IDEAS, *SOURCES) if name in rows]
    table = table_of({name: rows[name] for name in order})
    command = f"python -m benchmarks.mechanism_ideas --level {spec.level} --patches"
    command += f" {spec.grid_shape[0]} --seeds {options.seeds} --attackers"
    command += f" {' '.join(options.attackers)}"
    parts = [f"**Codes with {spec}, {options.seeds} divisions of the patients**", table.markdown()]
    alone, together = utility_with_public(data.inputs["codes"], data, options.seeds)
    parts.append(
        f"Utility of plain codes of the public patients alone: {alone:.3f}; of these and the "
        f"released ones: {together:.3f}."
    )
    parts.append(f"Made by `{command}`.")
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, options.section, parts)


if __name__ == "__main__":
    main()
