"""`Privatize` and `Privatized`: the codec as transforms of MONAI (extra ``learn``)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from torch import Tensor

from deepfixcx import torch as twins
from deepfixcx._optional import require
from deepfixcx.choices import Boundary, Grid, Size
from deepfixcx.errors import PixelsShapeError
from deepfixcx.packets import refuse_masked
from deepfixcx.spec import CodecSpec
from deepfixcx.torch.functional import kind_not_taken

require("monai", extra="learn")

from monai.config.type_definitions import KeysCollection, NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms.transform import MapTransform, Transform
from monai.transforms.utils import scale_affine
from monai.utils.type_conversion import convert_to_dst_type, convert_to_tensor

__all__ = ["Privatize", "Privatized"]


class Privatize(Transform):
    """Privatize an image of shape (C, H, W).

    Parameters
    ----------
    level, patches, wavelet, pooling, boundary, grid
        As in `deepfixcx.torch.Encode`; the first may be a whole spec.
    size : {"compact", "original"}
        Images of P * 2**J pixels a side, or as large as they came. The affine of a `MetaTensor` is
        scaled with the image.

    Raises
    ------
    PixelsError
        From the call: not an image of two dimensions with channels first, or one that cannot be
        encoded.

    Notes
    -----
    Floats are taken as they are: let `ScaleIntensity` bring intensities to [0, 1] before. Only
    pixels are privatized: file names and headers stay in the metadata of a `MetaTensor`.

    Examples
    --------
    >>> import torch
    >>> Privatize(level=3, patches=4)(torch.rand(1, 320, 320)).shape
    torch.Size([1, 32, 32])
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
        self.privatize = twins.Privatize(level, patches, wavelet, pooling, boundary, grid, size)

    def __call__(self, img: NdarrayOrTensor) -> Tensor:
        """Return the privatized image, a `MetaTensor` where MONAI tracks metadata."""
        refuse_masked(img)
        if isinstance(img, Tensor) and (kind := kind_not_taken(img)):
            raise PixelsShapeError(f"the image is in a {kind}")
        image = convert_to_tensor(img, track_meta=get_track_meta())
        ndim = self.privatize.spec.ndim
        if image.ndim != 1 + ndim:
            sides = "images (C, H, W)" if ndim == 2 else "volumes (C, D, H, W)"
            raise PixelsShapeError(
                f"Privatize with this spec takes {sides}, got shape {tuple(image.shape)}; use "
                "slices of volumes or a spec with ndim=3, and add a channel axis "
                "(EnsureChannelFirst)"
            )
        small: Tensor = self.privatize(convert_to_tensor(image, track_meta=False))
        result: Tensor = convert_to_dst_type(small, dst=image, dtype=small.dtype)[0]
        if isinstance(result, MetaTensor) and isinstance(image, MetaTensor):
            scale = scale_affine(tuple(image.shape[1:]), tuple(small.shape[1:]))
            affine = image.affine
            result.affine = affine @ affine.new_tensor(to_affine_nd(len(affine) - 1, scale))
        return result


class Privatized(MapTransform):
    """Privatize images of a dictionary: `Privatize` for each of the keys.

    Parameters
    ----------
    keys : hashable or collection of hashable
        Keys of the images.
    level, patches, wavelet, pooling, boundary, grid, size
        As in `Privatize`.
    allow_missing_keys : bool
        Whether a dictionary may lack some of the keys.

    Raises
    ------
    KeyError
        From the call: a key is missing and may not.
    PixelsError
        From the call: as `Privatize`.

    Examples
    --------
    >>> import torch
    >>> transform = Privatized("image", level=3, patches=4)
    >>> transform({"image": torch.rand(1, 320, 320), "label": 1})["image"].shape
    torch.Size([1, 32, 32])
    """

    def __init__(
        self,
        keys: KeysCollection,
        level: int | CodecSpec,
        patches: int | tuple[int, int] | None = None,
        wavelet: str = "haar",
        pooling: str | Sequence[str] = "l1",
        boundary: Boundary = "zero",
        grid: Grid = "balanced",
        size: Size = "compact",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.privatize = Privatize(level, patches, wavelet, pooling, boundary, grid, size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a dictionary with the images privatized and the rest as it is."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.privatize(result[key])
        return result
