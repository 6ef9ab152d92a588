"""deepfixcx: privatize and compress medical images without learning.

pixels -> wavelet-packet bands -> pooled code -> ( file | reconstruction | classifier | audit )

One image: `read_image`, `Codec`, `CodecSpec`, `Code`. A folder of them: `privatize_dataset` with
`ReleaseOptions`, `verify_release`, `load_codes`. Their labels: `load_dataset`. All that goes wrong:
`DeepfixcxError`. The names load on first use, so that ``import deepfixcx`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfixcx.code import Code
    from deepfixcx.codec import Codec
    from deepfixcx.datasets import load_dataset
    from deepfixcx.errors import DeepfixcxError
    from deepfixcx.images import read_image
    from deepfixcx.release import ReleaseOptions, load_codes, privatize_dataset, verify_release
    from deepfixcx.spec import CodecSpec

__all__ = [
    "Code",
    "Codec",
    "CodecSpec",
    "DeepfixcxError",
    "ReleaseOptions",
    "__version__",
    "load_codes",
    "load_dataset",
    "privatize_dataset",
    "read_image",
    "verify_release",
]

__version__ = "0.1.0"

_HOMES = {
    "Code": "deepfixcx.code",
    "Codec": "deepfixcx.codec",
    "CodecSpec": "deepfixcx.spec",
    "DeepfixcxError": "deepfixcx.errors",
    "ReleaseOptions": "deepfixcx.release",
    "load_codes": "deepfixcx.release",
    "load_dataset": "deepfixcx.datasets",
    "privatize_dataset": "deepfixcx.release",
    "read_image": "deepfixcx.images",
    "verify_release": "deepfixcx.release",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepfixcx' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
