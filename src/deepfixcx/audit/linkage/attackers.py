"""The attackers by name, the weakest first. Those that need torch load it when they are asked."""

from __future__ import annotations

from collections.abc import Mapping

from deepfixcx.audit.linkage.distance import fit_distance
from deepfixcx.audit.linkage.pairs import Fit, Pairs, Similarity
from deepfixcx.audit.linkage.whitening import fit_whitening

__all__ = ["ATTACKERS", "REFERENCES"]


def _siamese_mlp(training: Pairs, seed: int) -> Similarity:
    from deepfixcx.audit.linkage.siamese_mlp import fit_siamese_mlp

    return fit_siamese_mlp(training, seed)


def _siamese_cnn(training: Pairs, seed: int) -> Similarity:
    from deepfixcx.audit.linkage.siamese_cnn import fit_siamese_cnn

    return fit_siamese_cnn(training, seed)


ATTACKERS: Mapping[str, Fit] = {
    "distance": fit_distance,
    "whitening": fit_whitening,
    "siamese-mlp": _siamese_mlp,
    "siamese-cnn": _siamese_cnn,
}

REFERENCES: Mapping[str, str] = {
    "labels": "Fellegi and Sunter 1969, doi:10.1080/01621459.1969.10501049",
    "distance": "Gaudio et al. 2023, doi:10.1002/widm.1495",
    "whitening": "Ioffe 2006, doi:10.1007/11744085_41",
    "siamese-mlp": "Packhäuser et al. 2022, doi:10.1038/s41598-022-19045-3",
    "siamese-cnn": "Packhäuser et al. 2023, doi:10.1007/978-3-031-43904-9_26",
}
