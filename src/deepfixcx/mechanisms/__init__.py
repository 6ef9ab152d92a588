"""What makes codes safer to release: mixing, suppression, projection, resampling, bands, noise.

A mechanism turns `Records`, codes with labels and patients, into the records that are released. It
is fitted on images of patients who are not in the release, says in one sentence what it guarantees,
and writes an entry for the papers of the release. `Chain` puts several in a row. `PixelNoise` is
apart: it begins with pixels.

Which of them help against which attacker is measured in docs/privacy-research.md.
"""

from __future__ import annotations

from deepfixcx.mechanisms.bands import BandSelection
from deepfixcx.mechanisms.catalogue import mechanism_named
from deepfixcx.mechanisms.epsilon_bound import EpsilonBound, epsilon_lower_bound
from deepfixcx.mechanisms.files import PublishedMechanism, load_mechanism
from deepfixcx.mechanisms.mixing import KMixing
from deepfixcx.mechanisms.pixel_noise import Budget, PixelNoise
from deepfixcx.mechanisms.projection import TaskProjection
from deepfixcx.mechanisms.protocol import Chain, FittedMechanism, Mechanism, Plain
from deepfixcx.mechanisms.quantization import Quantization
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.resampling import LabelResampling
from deepfixcx.mechanisms.sensitivity import Sensitivity, pixel_sensitivity, region_sensitivity
from deepfixcx.mechanisms.suppression import IdentitySuppression

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
    "TaskProjection",
    "epsilon_lower_bound",
    "load_mechanism",
    "mechanism_named",
    "pixel_sensitivity",
    "region_sensitivity",
]
