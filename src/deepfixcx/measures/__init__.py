"""How well scores separate positives from negatives, with intervals over patients.

Everywhere: labels are 1, 0, or NaN where unknown, and what is unknown does not count.
"""

from __future__ import annotations

from deepfixcx.measures.areas import (
    auc_difference,
    auc_interval,
    average_precision,
    average_precision_interval,
    roc_auc,
)
from deepfixcx.measures.decisions import (
    Confusion,
    Reliability,
    calibration_interval,
    confusion_at,
    expected_calibration_error,
    reliability_curve,
    youden_threshold,
)
from deepfixcx.measures.intervals import Interval, patient_bootstrap
from deepfixcx.measures.shares import mean_difference, mean_interval, rate_interval

__all__ = [
    "Confusion",
    "Interval",
    "Reliability",
    "auc_difference",
    "auc_interval",
    "average_precision",
    "average_precision_interval",
    "calibration_interval",
    "confusion_at",
    "expected_calibration_error",
    "mean_difference",
    "mean_interval",
    "patient_bootstrap",
    "rate_interval",
    "reliability_curve",
    "roc_auc",
    "youden_threshold",
]
