"""The codec for PyTorch (extra ``torch``): modules, functions, and adapters to other libraries.

`Encode`, `Decode` and `Privatize` are `torch.nn.Module` twins of `deepfixcx.Codec`: the same
numbers, within 1e-5, on any device, differentiable, and ready for ``torch.compile``,
``torch.export`` and ONNX. `functional` holds the same as functions, `torchvision` and `monai` the
transforms that those libraries expect.
"""

from __future__ import annotations

from deepfixcx._optional import require

require("torch", extra="torch")

from deepfixcx.torch.modules import Adaptive, Decode, Encode, Privatize

__all__ = ["Adaptive", "Decode", "Encode", "Privatize"]
