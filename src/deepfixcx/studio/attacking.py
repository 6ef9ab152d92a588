"""The attack that an audit makes, on one image: whose record is nearest, and what it looked like.

The attacker holds an image of a patient and searches the records of a release; with another image
of the same patient in the release, the own record of the image is no answer. A second attacker
learned, on all other images, to draw images from records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.linkage.attackers import fit_distance, fit_whitening
from deepfixcx.audit.linkage.pairs import Pairs, Records, Similarity
from deepfixcx.audit.reconstruction.attackers import LogScores, fit_ridge, resize
from deepfixcx.code import Code
from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError, MissingExtraError
from deepfixcx.learn.baselines import unit_pixels
from deepfixcx.measures.quality import ssim
from deepfixcx.report.html_originals import Originals
from deepfixcx.report.html_release import ReleaseFacts, Shared, spread_out
from deepfixcx.spec import CodecSpec

__all__ = ["Attack", "Attacked", "Guess"]

MOST = 300
"""Records that are searched, evenly chosen from the release."""

LEAST = 8
"""Fewer images teach an attacker nothing."""

SIDE = 64
"""Pixels a side of what the second attacker draws."""

KEPT_SIDE = 512
"""Originals are kept no larger than about this, as they are encoded anew for each P."""

GUESSES = 6


@dataclass(frozen=True, slots=True)
class Guess:
    """A record that the attacker names, and whether it is of the right patient."""

    image: Shared
    right: bool


@dataclass(frozen=True, eq=False, slots=True)
class Attacked:
    """What came of both attacks on one image."""

    guesses: tuple[Guess, ...]
    rank: int | None
    searched: int
    attacker: str
    drawn: NDArray[np.float32]
    likeness: float


class Attack:
    """Attacks on the records of a release whose originals are at hand."""

    def __init__(
        self, facts: ReleaseFacts, originals: Originals, patients: Mapping[str, str]
    ) -> None:
        found = [
            (image, pixels)
            for image in spread_out(facts.images, MOST)
            if (pixels := originals.pixels(image)) is not None
        ]
        if len(found) < LEAST:
            raise DeepfixcxError(f"an attack needs {LEAST} images or more with their originals")
        self.facts = facts
        self.images = [image for image, _ in found]
        grays = [unit_pixels(pixels, gray=True) for _, pixels in found]
        self._small = np.stack([resize(gray, SIDE, SIDE) for gray in grays])
        self._pixels = [_reduced(gray) for gray in grays]
        names = [
            patients.get(originals.names[image.source_id], image.source_id) for image in self.images
        ]
        self.owners = np.unique(names, return_inverse=True)[1].astype(np.int64)
        self._searched: tuple[int, NDArray[np.float32], NDArray[np.float32]] | None = None

    def on(self, image: Shared, patches: int) -> Attacked:
        """Attack the record of an image as if the release had so many patches."""
        place = self.images.index(image)
        spec = CodecSpec(
            self.facts.spec.level, patches, self.facts.spec.wavelet, self.facts.spec.pooling,
            self.facts.spec.boundary, self.facts.spec.grid,
        )  # fmt: skip
        code = Code.concatenate([Codec(spec).encode(pixels) for pixels in self._pixels])
        same = self.owners == self.owners[place]
        others = np.flatnonzero(~same)
        gallery = np.arange(len(self.images))
        if same.sum() > 1:  # the attacker has another image of the patient
            gallery = gallery[gallery != place]
        compare, attacker = self._similarity(code.array, others)
        alike = compare(code.array[[place]], code.array[gallery])[0]
        order = gallery[np.argsort(-alike, kind="stable")]
        right = np.flatnonzero(same[order])
        invert = fit_ridge(code[others], self._small[others], self.owners[others], 0)
        drawn = invert(code[np.array([place])])[0]
        return Attacked(
            tuple(Guess(self.images[each], bool(same[each])) for each in order[:GUESSES]),
            int(right[0]) + 1 if len(right) else None,
            len(gallery),
            attacker,
            drawn,
            float(ssim(self._small[place], drawn)),
        )

    def _similarity(
        self, array: NDArray[np.float32], others: NDArray[np.int64]
    ) -> tuple[Similarity, str]:
        """Train the attacker on pairs of other patients; without pairs it compares distances."""
        counts = np.bincount(self.owners[others], minlength=1)
        if (counts > 1).sum() >= LEAST:
            whose = Records(array).owners(self.owners)
            match = (self.owners[others][:, None] == self.owners[others]) & ~np.eye(
                len(others), dtype=np.bool_
            )
            usable = ~np.eye(len(others), dtype=np.bool_)
            pairs = Pairs(array, array, others, others, whose[others], whose[others], match, usable)
            try:
                return fit_whitening(pairs, 0), "whitening"
            except MissingExtraError:
                pass
        scores = LogScores.fit(array)
        distance = fit_distance()
        return (lambda one, other: distance(scores(one), scores(other))), "distance"


def _reduced(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image by means of blocks, with sides of about `KEPT_SIDE` at most."""
    step = max(1, max(pixels.shape[1:]) // KEPT_SIDE)
    if step == 1:
        return pixels
    height, width = (side // step * step for side in pixels.shape[1:])
    blocks = pixels[:, :height, :width].reshape(
        len(pixels), height // step, step, width // step, step
    )
    return np.asarray(blocks.mean(axis=(2, 4)), np.float32)
