"""How well scores tell yes from no: ranking, calibration, decisions, and intervals over patients.

Everywhere: labels are 1, 0, or NaN where unknown, and what is unknown does not count.
"""

from __future__ import annotations

from deepfixcx.measures.bootstrap import Interval, auc_interval, patient_bootstrap
from deepfixcx.measures.calibration import (
    Reliability,
    expected_calibration_error,
    reliability_curve,
)
from deepfixcx.measures.decisions import Confusion, confusion_at, youden_threshold
from deepfixcx.measures.ranking import average_precision, roc_auc

__all__ = [
    "Confusion",
    "Interval",
    "Reliability",
    "auc_interval",
    "average_precision",
    "confusion_at",
    "expected_calibration_error",
    "patient_bootstrap",
    "reliability_curve",
    "roc_auc",
    "youden_threshold",
]
