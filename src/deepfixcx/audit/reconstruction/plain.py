"""The plain reconstruction: every value is repeated over its cell, and the transform undone."""

from __future__ import annotations

import numpy as np

from deepfixcx.audit.features import Array
from deepfixcx.audit.reconstruction.released import Invert, Released, code_of
from deepfixcx.audit.reconstruction.resizing import resize
from deepfixcx.codec import Codec

__all__ = ["fit_plain"]


def fit_plain(_: Released, images: Array, *__: object) -> Invert:
    """Decode as anybody can who has the code; nothing is learned but the size of the images.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.
    """
    height, width = images.shape[2:]

    def invert(released: Released) -> Array:
        code = code_of(released, "plain")
        decoded = Codec(code.spec).decode(code, "original")
        return np.stack([resize(image, height, width) for image in decoded]).clip(0, 1)

    return invert
