"""The networks: a small one on codes that says which numbers it uses, and those on images."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, cast

from deepfixcx._optional import require
from deepfixcx.errors import DeepfixcxError, ModelError
from deepfixcx.learn.options import NETWORKS
from deepfixcx.spec import CodecSpec

require("torch", extra="learn")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepfixcx.torch import Decode, Encode

__all__ = ["CodeMLP", "ImageNetwork", "build_network", "find_factory", "try_network"]

KNEE = 0.1
"""Where the logarithm begins, as a share of a number's mean size in the training set."""


class CodeMLP(nn.Module):
    """Classify codes: normalization, attention, and a multilayer perceptron.

    Every number of a code is brought to one scale by statistics of the training set, and then
    enters the first layer with a weight of its own, its attention. The directions in which numbers
    enter have length one, so that the attention alone says how strongly each is used, and an l1
    penalty on it cannot be evaded by larger weights elsewhere.

    Parameters
    ----------
    code_shape : sequence of int
        (C, 4**J, P, P), or (C, 4**J, P, P, F): `CodecSpec.code_shape`.
    labels : int
        L, the number of labels.
    hidden : sequence of int
        Widths of the hidden layers, one or more.
    dropout : float
        Share of hidden values that are dropped in training, from 0 to less than 1.
    l1 : float
        Weight of the attention's sum in `penalty`; 0 for none.

    Raises
    ------
    ModelError
        A shape, width or weight that is out of range.

    Notes
    -----
    Numbers of a code span orders of magnitude: the approximation is large and most details are
    small. So numbers are normalized as ``sign(x) * log(1 + |x| / (0.1 * m))``, m their mean size
    in the training set, then to mean 0 and variance 1. Over ten splits of 601 X-rays by patient
    (J=3, P=4, pneumonia) the mean area under the ROC curve was 0.900 so, against 0.883 without a
    logarithm, 0.883 with ``log(1 + x)``, which leaves small details as they are, and 0.893 with
    roots. On paediatric X-rays and on fundus photographs there was no difference.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495. Barron, Continuously differentiable exponential linear units, 2017.

    Examples
    --------
    >>> from deepfixcx import CodecSpec
    >>> mlp = CodeMLP(CodecSpec(level=3, patches=4).code_shape(channels=1), labels=2)
    >>> codes = torch.rand(8, 1, 64, 4, 4)
    >>> mlp.fit_normalization(codes)
    >>> mlp(codes).shape, mlp.attention().shape
    (torch.Size([8, 2]), torch.Size([1, 64, 4, 4]))
    """

    size: Tensor
    mean: Tensor
    deviation: Tensor
    held: Tensor | None = None

    def __init__(
        self,
        code_shape: Sequence[int],
        labels: int,
        hidden: Sequence[int] = (64,),
        dropout: float = 0.5,
        l1: float = 1e-3,
    ) -> None:
        super().__init__()
        self.code_shape = tuple(code_shape)
        _check(self.code_shape, labels, hidden, dropout, l1)
        self.l1 = l1
        numbers = math.prod(self.code_shape)
        for name, value in (("size", 1.0), ("mean", 0.0), ("deviation", 1.0)):
            self.register_buffer(name, torch.full(self.code_shape, value))
        # as strong as the default of a linear layer of torch
        strength = math.sqrt(hidden[0] / (3 * numbers))
        self.strength = nn.Parameter(torch.full(self.code_shape, strength))
        self.directions = nn.Parameter(torch.randn(hidden[0], numbers))
        self.bias = nn.Parameter(torch.zeros(hidden[0]))
        layers: list[nn.Module] = [nn.CELU(), nn.Dropout(dropout)]
        for width, following in pairwise(hidden):
            layers += [nn.Linear(width, following), nn.CELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], labels))

    def fit_normalization(self, codes: Tensor) -> None:
        """Take the statistics of a training set.

        Parameters
        ----------
        codes : Tensor, shape (B, C, 4**J, P, P) or (B, C, 4**J, P, P, F)
            Codes of two images or more.

        Raises
        ------
        ModelError
            The codes have another shape, or there are fewer than two.
        """
        self._check_codes(codes)
        if len(codes) < 2:
            raise ModelError(f"statistics need two codes or more, got {len(codes)}")
        with torch.no_grad():
            size = codes.abs().mean(0)
            self.size.copy_(torch.where(size > 0, size, 1))
            logarithms = self._logarithms(codes)
            deviation = logarithms.std(0, correction=0)
            self.mean.copy_(logarithms.mean(0))
            # a number that is the same in all images says nothing, and becomes 0
            self.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1))

    def forward(self, codes: Tensor) -> Tensor:
        """Return logits (B, L) of codes (B, C, 4**J, P, P), or (B, C, 4**J, P, P, F)."""
        self._check_codes(codes)
        values, weights = self._logarithms(codes) - self.mean, self.held
        if weights is None:
            values = values / self.deviation * self.attention()
            weights = F.normalize(self.directions, dim=0)
        logits: Tensor = self.layers(F.linear(values.flatten(1), weights, self.bias))
        return logits

    def hold(self, on: bool) -> None:
        """Multiply out the first weights once, for as long as they do not change."""
        with torch.no_grad():
            scale = (self.attention() / self.deviation).flatten()
            self.held = F.normalize(self.directions, dim=0) * scale if on else None

    def attention(self) -> Tensor:
        """Return how strongly each number enters, (C, 4**J, P, P) or (C, 4**J, P, P, F), >= 0."""
        return self.strength.abs()

    def penalty(self) -> Tensor:
        """Return what the attention adds to the loss: `l1` times its sum."""
        return self.l1 * self.attention().sum()

    def middle(self) -> Tensor:
        """Return the code in the middle of the training set, (C, 4**J, P, P).

        Its normalized numbers are 0: a baseline for explanations where no images are at hand.
        """
        return self.mean.sign() * torch.expm1(self.mean.abs()) * KNEE * self.size

    def _logarithms(self, codes: Tensor) -> Tensor:
        return codes.sign() * torch.log1p(codes.abs() / (KNEE * self.size))

    def _check_codes(self, codes: Tensor) -> None:
        if tuple(codes.shape[1:]) != self.code_shape:
            raise ModelError(
                f"this model was made for codes (B, {', '.join(map(str, self.code_shape))}), got "
                f"{tuple(codes.shape)}; encode with the spec of the model"
            )


def _check(
    code_shape: tuple[int, ...], labels: int, hidden: Sequence[int], dropout: float, l1: float
) -> None:
    if len(code_shape) not in (4, 5, 6) or min(code_shape) < 1:
        raise ModelError(f"a code has shape (C, 4**J, P, P) or more axes, got {code_shape}")
    if labels < 1:
        raise ModelError(f"a classifier needs one label or more, got {labels}")
    if not hidden or min(hidden) < 1:
        raise ModelError(f"hidden layers have positive widths, got {tuple(hidden)}")
    if not 0 <= dropout < 1:
        raise ModelError(f"dropout is a share from 0 to less than 1, got {dropout}")
    if l1 < 0 or not math.isfinite(l1):
        raise ModelError(f"l1 is the weight of a penalty, 0 or more, got {l1}")


Factory = Callable[[int, int], Any]
"""What makes a network for a number of channels and of labels, untrained."""


def _monai(name: str, channels: int, labels: int) -> nn.Module:
    """Return an untrained network of MONAI; constructors name channels and labels differently."""
    nets = require("monai.networks.nets", extra="learn")
    network: nn.Module
    if name == "densenet121":
        network = nets.DenseNet121(spatial_dims=2, in_channels=channels, out_channels=labels)
    elif name == "resnet18":
        network = nets.resnet18(spatial_dims=2, n_input_channels=channels, num_classes=labels)
    else:
        network = nets.EfficientNetBN(
            name, pretrained=False, spatial_dims=2, in_channels=channels, num_classes=labels
        )
    return network


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
    if name in NETWORKS:
        return partial(_monai, name)
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
