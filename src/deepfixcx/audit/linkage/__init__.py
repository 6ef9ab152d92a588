"""Which records are of one patient: attackers, and how they are judged."""

from __future__ import annotations

from deepfixcx.audit.linkage.attack import attack_linkage, link_records
from deepfixcx.audit.linkage.attackers import ATTACKERS
from deepfixcx.audit.linkage.pairs import Fit, Pairs, Records, Similarity
from deepfixcx.audit.result import figure_of

__all__ = [
    "ATTACKERS",
    "Fit",
    "Pairs",
    "Records",
    "Similarity",
    "attack_linkage",
    "figure_of",
    "link_records",
]
