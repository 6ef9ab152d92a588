"""`Privatize` as a transform of the kind that torchvision's ``transforms.v2`` has.

It stands in a ``v2.Compose`` and follows that library's rules for what is an image, but needs
nothing of it: where torchvision is not installed, it takes tensors, arrays and pillow images.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from deepfixcx import torch as twins
from deepfixcx.choices import Boundary, Grid, Size
from deepfixcx.packets import refuse_masked
from deepfixcx.spec import CodecSpec
from deepfixcx.torch.functional import SCALES, check_pixels

__all__ = ["Privatize"]

MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I", "F")
"""Modes of pillow images whose arrays hold colours; others are converted to RGB first."""


class Privatize(nn.Module):
    """Privatize the images of a sample, and leave the rest of it as it is.

    A sample is an image, or several objects, or a tuple, list or dictionary of them. As in
    torchvision, its images are the pillow images and the ``tv_tensors`` images and videos; where
    there is none, the first plain tensor or array is the image, and the others are labels.

    What goes in as a pillow image, an array or a tensor comes out as such, with its dtype: integers
    are rounded and clipped, floats are not. Tensors are channels first, arrays (H, W) or
    (H, W, C).

    Parameters
    ----------
    level, patches, wavelet, pooling, boundary, grid
        As in `deepfixcx.torch.Encode`; the first may be a whole spec.
    size : {"compact", "original"}
        Images of P * 2**J pixels a side, or as large as they came. Masks and boxes of a sample
        only fit the images of original size.

    Raises
    ------
    PixelsError
        From the call: an image that cannot be encoded.

    Examples
    --------
    >>> transform = Privatize(level=3, patches=4)
    >>> image, label = transform(torch.zeros(1, 320, 320, dtype=torch.uint8), 5)
    >>> image.shape, image.dtype, label
    (torch.Size([1, 32, 32]), torch.uint8, 5)
    """

    def __init__(
        self,
        level: int | CodecSpec,
        patches: int | tuple[int, int] | None = None,
        wavelet: str = "haar",
        pooling: str | Sequence[str] = "l1",
        boundary: Boundary = "zero",
        grid: Grid = "balanced",
        size: Size = "compact",
    ) -> None:
        super().__init__()
        self.privatize = twins.Privatize(level, patches, wavelet, pooling, boundary, grid, size)

    def forward(self, *sample: Any) -> Any:
        """Return the sample with its images privatized."""
        leaves, structure = tree_flatten(sample if len(sample) > 1 else sample[0])
        images = [place for place, leaf in enumerate(leaves) if isinstance(leaf, _image_types())]
        if not images:
            images = [place for place, leaf in enumerate(leaves) if _is_plain(leaf)][:1]
        for place in images:
            leaves[place] = self._privatized(leaves[place])
        return tree_unflatten(leaves, structure)

    def _privatized(self, image: Any) -> Any:
        if isinstance(image, Image.Image):
            if image.mode not in MODES:
                image = image.convert("L" if image.mode == "1" else "RGB")
            return Image.fromarray(self._of_array(np.asarray(image)))
        if isinstance(image, np.ndarray):
            refuse_masked(image)
            return self._of_array(image)
        check_pixels(image)
        small = self._of_tensor(image.as_subclass(Tensor))
        return small if type(image) is Tensor else _tv_tensors().wrap(small, like=image)

    def _of_array(self, array: NDArray[Any]) -> NDArray[Any]:
        first = np.moveaxis(array, -1, 0) if array.ndim == 3 else array
        small = self._of_tensor(torch.from_numpy(np.array(first, order="C"))).numpy()
        return np.ascontiguousarray(np.moveaxis(small, 0, -1)) if array.ndim == 3 else small

    def _of_tensor(self, pixels: Tensor) -> Tensor:
        small: Tensor = self.privatize(pixels)
        if pixels.dtype not in SCALES:
            return small
        return (small.clamp(0, 1) / SCALES[pixels.dtype]).round().to(pixels.dtype)


def _tv_tensors() -> Any:
    """Return torchvision's module of tensor types, or None where it is not imported."""
    return sys.modules.get("torchvision.tv_tensors")


def _image_types() -> tuple[type, ...]:
    known = _tv_tensors()
    return (Image.Image, known.Image, known.Video) if known else (Image.Image,)


def _is_plain(leaf: Any) -> bool:
    """Return whether this is an array, or a tensor that does not say what it is."""
    known = _tv_tensors()
    if isinstance(leaf, Tensor):
        return not (known and isinstance(leaf, known.TVTensor))
    return isinstance(leaf, np.ndarray)
