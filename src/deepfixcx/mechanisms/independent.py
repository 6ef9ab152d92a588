"""Mechanisms that need neither other images nor labels: what a worker can do to one code alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from deepfixcx.choices import Independent
from deepfixcx.mechanisms.bands import BandSelection
from deepfixcx.mechanisms.quantization import Quantization

__all__ = ["INDEPENDENT", "IndependentMechanism"]

IndependentMechanism: TypeAlias = BandSelection | Quantization

INDEPENDENT: Mapping[Independent, IndependentMechanism] = MappingProxyType(
    {"bands": BandSelection(highest=0.5), "quantization": Quantization(4.0)}
)
"""By the names that ``privatize --mechanism`` and `frontier` know: the coarse half of the
frequencies; and numbers rounded to powers of 4."""
