"""Convolutional networks on images, with the codec as a fixed first layer."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

from deepfixcx._optional import require
from deepfixcx.errors import DeepfixcxError, ModelError
from deepfixcx.learn.options import NETWORKS
from deepfixcx.spec import CodecSpec

require("torch", extra="learn")

import torch
from torch import Tensor, nn

from deepfixcx.torch import Decode, Encode

__all__ = ["ImageNetwork", "build_network", "find_factory", "try_network"]


def _densenet121(channels: int, labels: int) -> nn.Module:
    nets = require("monai.networks.nets", extra="learn")
    network: nn.Module = nets.DenseNet121(spatial_dims=2, in_channels=channels, out_channels=labels)
    return network


def _resnet18(channels: int, labels: int) -> nn.Module:
    nets = require("monai.networks.nets", extra="learn")
    network: nn.Module = nets.resnet18(
        spatial_dims=2, n_input_channels=channels, num_classes=labels
    )
    return network


def _efficientnet_b0(channels: int, labels: int) -> nn.Module:
    nets = require("monai.networks.nets", extra="learn")
    network: nn.Module = nets.EfficientNetBN(
        "efficientnet-b0",
        pretrained=False,
        spatial_dims=2,
        in_channels=channels,
        num_classes=labels,
    )
    return network


Factory = Callable[[int, int], Any]
"""What makes a network for a number of channels and of labels, untrained."""

_MONAI: dict[str, Factory] = dict(
    zip(NETWORKS, (_densenet121, _resnet18, _efficientnet_b0), strict=True)
)


class ImageNetwork(nn.Module):
    """Any network for images behind the codec and a fixed standardization.

    Parameters
    ----------
    network : nn.Module
        Takes images (B, C, H, W) and returns logits (B, L).
    channels : int
        C, of the images.
    spec : CodecSpec, optional
        Settings of the codec that stands in front. Without it the network sees images as they are.
    side : int, optional
        Height and width of the privatized images that the network sees, each value repeated over
        its cell; the compact size, P * 2**J, by default. Only with a spec.

    Attributes
    ----------
    mean, deviation : Tensor, shape (C, 1, 1)
        What the images are standardized with: 0 and 1 before `fit_normalization`.

    Raises
    ------
    ModelError
        A side without a spec.
    ImageTooSmallError
        The side is too small for the spec.

    Examples
    --------
    >>> network = build_network("resnet18", channels=1, labels=2)
    >>> model = ImageNetwork(network, channels=1, spec=CodecSpec(level=3, patches=4)).eval()
    >>> model(torch.rand(2, 1, 320, 320)).shape
    torch.Size([2, 2])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        spec: CodecSpec | None = None,
        side: int | None = None,
    ) -> None:
        super().__init__()
        if spec is None and side is not None:
            raise ModelError("side is the size of privatized images, so a spec is needed")
        self.spec = spec
        if spec is not None:
            self.encode = Encode(spec)
            self.decode = Decode(spec, size="compact" if side is None else (side, side))
        self.network = network
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("deviation", torch.ones(channels, 1, 1))

    def fit_normalization(self, inputs: Tensor, batch: int = 256) -> None:
        """Take mean and standard deviation of each channel of what the network will see.

        Parameters
        ----------
        inputs : Tensor
            As in `forward`.
        batch : int
            How many are taken at a time.
        """
        sums = torch.zeros(2, len(self.mean), dtype=torch.float64)
        count = 0
        with torch.no_grad():
            for start in range(0, len(inputs), batch):
                images = self.images(inputs[start : start + batch]).double()
                count += images[:, 0].numel()
                sums += torch.stack([images.sum((0, 2, 3)), images.square().sum((0, 2, 3))])
            mean, square = sums / max(count, 1)
            deviation = (square - mean.square()).clamp(min=1e-12).sqrt()
            self.mean.copy_(mean.view_as(self.mean))
            self.deviation.copy_(deviation.view_as(self.deviation))

    def images(self, inputs: Tensor) -> Tensor:
        """Return the images that the network sees, before standardization."""
        if self.spec is None:
            return inputs
        codes = inputs if inputs.ndim > 4 else self.encode(inputs)
        images: Tensor = self.decode(codes)
        return images

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, L).

        Parameters
        ----------
        inputs : Tensor
            Images (B, C, H, W) in [0, 1]; or, where there is a codec, codes (B, C, 4**J, P, P) of
            them, so that images need not be encoded again and again.
        """
        logits: Tensor = self.network((self.images(inputs) - self.mean) / self.deviation)
        return logits


def build_network(name: str, channels: int, labels: int) -> nn.Module:
    """Make an untrained network.

    Parameters
    ----------
    name : str
        ``"densenet121"``, ``"resnet18"`` or ``"efficientnet-b0"`` of MONAI; or your own as
        ``"package.module:Class"``, which is called with the numbers of channels and of labels, and
        returns a module from images (B, C, H, W) to logits (B, L).
    channels, labels : int
        C and L.

    Returns
    -------
    nn.Module
        Its weights depend on torch's random numbers.

    Raises
    ------
    ModelError
        No such name, or the module that is named cannot be imported or called.
    MissingExtraError
        MONAI is not installed.

    References
    ----------
    Cardoso et al., MONAI, 2022, arXiv:2211.02701.

    Examples
    --------
    >>> build_network("torch.nn:Nothing", channels=1, labels=2)
    Traceback (most recent call last):
    deepfixcx.errors.ModelError: 'torch.nn:Nothing' cannot be imported: ...
    """
    factory = find_factory(name)
    try:
        network = factory(channels, labels)
    except DeepfixcxError:
        raise
    except Exception as error:
        raise _no_network(name, f"called with ({channels}, {labels}), raised {error!r}") from error
    if not isinstance(network, nn.Module):
        raise _no_network(name, f"returned {type(network).__name__}, not a torch.nn.Module")
    return network


def find_factory(name: str) -> Factory:
    """Return what makes a network; see `build_network`."""
    if name in _MONAI:
        return _MONAI[name]
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ModelError(
            f"there is no network {name!r}; available: {', '.join(NETWORKS)}, and your own as "
            "package.module:Class"
        )
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise _no_network(name, f"cannot be imported: {error}") from error
    if not callable(found):
        raise _no_network(name, "cannot be called")
    return cast("Factory", found)


def try_network(model: ImageNetwork, name: str, example: Tensor, labels: int) -> None:
    """Run a model once, so that what does not fit is found before training."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            logits = model(example)
            size = tuple(model.images(example).shape[1:])
    except DeepfixcxError:
        raise
    except Exception as error:
        raise _no_network(name, f"fails on such images: {error!r}; try a larger side") from error
    finally:
        model.train(training)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (len(example), labels):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise _no_network(
            name, f"made {got} of images {size}, not logits of shape {(len(example), labels)}"
        )


def _no_network(name: str, reason: str) -> ModelError:
    return ModelError(f"{name!r} {reason}")
