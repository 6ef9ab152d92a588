"""The inverters by name. Those that need torch load it when they are asked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepfixcx.audit.features import Array
from deepfixcx.audit.reconstruction.neighbour import fit_neighbour
from deepfixcx.audit.reconstruction.plain import fit_plain
from deepfixcx.audit.reconstruction.released import FitInverter, Invert, Released
from deepfixcx.audit.reconstruction.ridge import fit_interpolation, fit_ridge, fit_ridge_by_ssim

__all__ = ["INVERTERS", "REFERENCES"]


def _variation(released: Released, images: Array, owners: NDArray[np.int64], seed: int) -> Invert:
    from deepfixcx.audit.reconstruction.variation import fit_variation

    return fit_variation(released, images, owners, seed)


def _unet(released: Released, images: Array, owners: NDArray[np.int64], seed: int) -> Invert:
    from deepfixcx.audit.reconstruction.unet import fit_unet

    return fit_unet(released, images, owners, seed)


INVERTERS: Mapping[str, FitInverter] = {
    "plain": fit_plain,
    "neighbour": fit_neighbour,
    "ridge": fit_ridge,
    "ridge-ssim": fit_ridge_by_ssim,
    "interpolation": fit_interpolation,
    "variation": _variation,
    "unet": _unet,
}

REFERENCES: Mapping[str, str] = {
    "plain": "Gaudio et al. 2023, doi:10.1002/widm.1495",
    "neighbour": "Fredrikson et al. 2015, doi:10.1145/2810103.2813677",
    "ridge": "Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634",
    "ridge-ssim": "Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634",
    "interpolation": "Unser 1999, doi:10.1109/79.799930",
    "variation": "Rudin, Osher and Fatemi 1992, doi:10.1016/0167-2789(92)90242-F",
    "unet": "Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28",
}
