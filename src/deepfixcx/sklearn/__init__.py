"""The codec and mechanisms as steps of a scikit-learn pipeline (extra ``sklearn``)."""

from deepfixcx.sklearn.codec import CodecTransformer
from deepfixcx.sklearn.mechanisms import (
    BandSelector,
    IdentitySuppressor,
    Quantizer,
    TaskProjector,
)

__all__ = [
    "BandSelector",
    "CodecTransformer",
    "IdentitySuppressor",
    "Quantizer",
    "TaskProjector",
]
