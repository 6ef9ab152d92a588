"""Images made of codes by attackers who have seen other patients, and how near they come."""

from __future__ import annotations

from deepfixcx.audit.reconstruction.attack import Inversion, attack_reconstruction, attack_signs
from deepfixcx.audit.reconstruction.attackers import INVERTERS

__all__ = ["INVERTERS", "Inversion", "attack_reconstruction", "attack_signs"]
