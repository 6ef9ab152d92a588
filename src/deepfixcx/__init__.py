"""deepfixcx: privatize and compress medical images without learning.

pixels -> wavelet-packet bands -> pooled code -> ( file | reconstruction | classifier | audit )

The names below load on first use, so that ``import deepfixcx`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfixcx.code import Code
    from deepfixcx.codec import Codec
    from deepfixcx.errors import DeepfixcxError
    from deepfixcx.spec import CodecSpec

__all__ = ["Code", "Codec", "CodecSpec", "DeepfixcxError", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "Code": "deepfixcx.code",
    "Codec": "deepfixcx.codec",
    "CodecSpec": "deepfixcx.spec",
    "DeepfixcxError": "deepfixcx.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepfixcx' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
