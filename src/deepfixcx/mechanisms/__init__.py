"""Mechanisms that make codes safer to release: mixing, projection, resampling, noise, and others.

A mechanism turns `Records`, codes with labels and patients, into the records that are released. It
is fitted on images of patients outside the release, states its guarantee, and writes an entry for
the manifest. `Chain` applies several in order. `PixelNoise` works on pixels instead of codes.
docs/privacy-research.md reports which mechanism helps against which attacker.
"""

from __future__ import annotations

from deepfixcx.mechanisms.catalogue import mechanism_named
from deepfixcx.mechanisms.files import PublishedMechanism, load_mechanism
from deepfixcx.mechanisms.independent import BandSelection, Quantization
from deepfixcx.mechanisms.mixing import KMixing
from deepfixcx.mechanisms.pixel_noise import Budget, EpsilonBound, PixelNoise, epsilon_lower_bound
from deepfixcx.mechanisms.projection import IdentitySuppression, TaskProjection
from deepfixcx.mechanisms.protocol import Chain, FittedMechanism, Mechanism, Plain
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.resampling import LabelResampling
from deepfixcx.mechanisms.sensitivity import Sensitivity, pixel_sensitivity, region_sensitivity
from deepfixcx.mechanisms.synthesis import ShrunkSynthesis

__all__ = [
    "BandSelection",
    "Budget",
    "Chain",
    "EpsilonBound",
    "FittedMechanism",
    "IdentitySuppression",
    "KMixing",
    "LabelResampling",
    "Mechanism",
    "PixelNoise",
    "Plain",
    "PublishedMechanism",
    "Quantization",
    "Records",
    "Sensitivity",
    "ShrunkSynthesis",
    "TaskProjection",
    "epsilon_lower_bound",
    "load_mechanism",
    "mechanism_named",
    "pixel_sensitivity",
    "region_sensitivity",
]
