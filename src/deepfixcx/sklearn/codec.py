"""CodecTransformer: the codec as a step of a scikit-learn pipeline (extra ``sklearn``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.choices import Boundary, Grid
from deepfixcx.codec import Codec
from deepfixcx.packets import band_path

__all__ = ["CodecTransformer"]

# A class needs its bases when this module is imported, so that is when the extra must be there.
BaseEstimator: Any = require("sklearn.base", extra="sklearn").BaseEstimator
TransformerMixin: Any = require("sklearn.base", extra="sklearn").TransformerMixin
validation: Any = require("sklearn.utils.validation", extra="sklearn")


class CodecTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn images into the embeddings of their codes.

    Nothing is learned from the pixels: `fit` checks the settings and remembers the image shape.

    Parameters
    ----------
    level : int
        J, the depth of the wavelet packet.
    patches : int or pair of int
        P, the cells per axis of each band.
    wavelet, pooling, boundary, grid
        As in `CodecSpec`.
    image_shape : None or tuple of int
        Shape that each row of a two-dimensional X is folded into: (H, W) or (C, H, W). None takes
        each row for an image of one row of pixels.

    Attributes
    ----------
    codec_ : Codec
        The codec that these settings make.
    image_shape_ : tuple of int
        (C, H, W) of the images.
    pixel_scale_ : {"uint8", "uint16", "unit", "float"}
        What `fit` saw: integers that are scaled, floats in [0, 1], or other numbers.
    n_features_in_ : int
        C * H * W, the numbers per image.
    feature_names_in_ : ndarray of str
        Names of the columns, where X was a data frame.

    Notes
    -----
    uint8 and uint16 are scaled to [0, 1], as everywhere in this package, also in a data frame
    (pandas ``UInt8``, Arrow ``uint8``). Other numbers become float32 and stay as they are.
    `transform` takes pixels on the scale that `fit` saw: whole numbers of another type
    count as that type, and pixels on another scale are refused.

    References
    ----------
    Gaudio et al., DeepFixCX, WIREs Data Mining and Knowledge Discovery, 2023,
    doi:10.1002/widm.1495.

    Examples
    --------
    >>> images = np.random.default_rng(0).random((10, 32, 32))
    >>> transformer = CodecTransformer(level=2, patches=3).fit(images)
    >>> transformer.transform(images).shape
    (10, 144)
    >>> transformer.get_feature_names_out()[[0, 10]].tolist()
    ['c0_aa_r0_c0', 'c0_av_r0_c1']
    """

    def __init__(
        self,
        level: int = 1,
        patches: int | tuple[int, int] = 1,
        wavelet: str = "haar",
        pooling: str | Sequence[str] = "l1",
        boundary: Boundary = "zero",
        grid: Grid = "balanced",
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.level = level
        self.patches = patches
        self.wavelet = wavelet
        self.pooling = pooling
        self.boundary = boundary
        self.grid = grid
        self.image_shape = image_shape

    def fit(self, X: ArrayLike, y: object = None) -> CodecTransformer:  # noqa: ARG002
        """Check the settings and remember the shape of the images.

        Parameters
        ----------
        X : array-like, shape (n, C * H * W), (n, H, W) or (n, C, H, W)
            Images.
        y : object
            Ignored.

        Returns
        -------
        CodecTransformer
            Itself.

        Raises
        ------
        SpecError, ImageTooSmallError
            The settings do not fit together, or not these images.
        ValueError
            X is not a finite array of such a shape, or does not fit `image_shape`.
        """
        self.codec_ = Codec(
            self.level, self.patches, self.wavelet, self.pooling, self.boundary, self.grid
        )
        images = self._validate(X, reset=True)
        shape = images.shape[1:]
        self.pixel_scale_ = _scale_of(images)
        self.image_shape_ = self._shape_of_images(shape)
        self.codec_.spec.cells(*self.image_shape_[1:])
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Encode images.

        Parameters
        ----------
        X : array-like, shape (n, C * H * W), (n, H, W) or (n, C, H, W)
            Images of the shape that `fit` saw.

        Returns
        -------
        ndarray of float32, shape (n, C * 4**J * P * P), times the number of poolings
            Embeddings; `get_feature_names_out` names the columns.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            `fit` was not called.
        ValueError
            X is not a finite array of images of that shape, or on another scale than `fit` saw.
        """
        validation.check_is_fitted(self)
        images = _on_scale(self._validate(X, reset=False), self.pixel_scale_)
        if images.ndim > 2 and self._with_channels(images.shape[1:]) != self.image_shape_:
            raise ValueError(
                f"X holds images of shape {images.shape[1:]}, and the transformer was fitted to "
                f"(channels, height, width) = {self.image_shape_}"
            )
        return self.codec_.encode(images.reshape(len(images), *self.image_shape_)).embedding()

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Name every number by channel, band, and row and column of its cell.

        Parameters
        ----------
        input_features : array-like of str
            Only checked against the names or the number of the input's features.

        Returns
        -------
        ndarray of str (object)
            Such as ``"c0_avd_r2_c1"``: channel 0, the band with path avd, cell in row 2 and
            column 1; with several poolings the name of the pooling follows, as in
            ``"c0_avd_r2_c1_max"``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            `fit` was not called.
        ValueError
            `input_features` are not those of `fit`.
        """
        validation.check_is_fitted(self)
        self._check_input_features(input_features)
        spec = self.codec_.spec
        rows, columns = spec.grid_shape
        poolings = [f"_{name}" for name in spec.poolings] if len(spec.poolings) > 1 else [""]
        names = [
            f"c{channel}_{band_path(band, spec.level)}_r{row}_c{column}{pooling}"
            for channel, band, row, column, pooling in product(
                range(self.image_shape_[0]),
                range(spec.bands),
                range(rows),
                range(columns),
                poolings,
            )
        ]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Say that images may have their own axes, and that embeddings are float32."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _validate(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        """Return X as an array of pixels, and set or check the number of its features."""
        if (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) <= 2:
            _refuse_masked(X)
            rows = validation.validate_data(self, X, dtype="numeric", reset=reset)
            return _as_pixels(rows, _declared(X))
        _refuse_masked(X)
        images = validation.check_array(X, dtype="numeric", allow_nd=True)
        if images.ndim > 4:
            raise ValueError(
                f"X must be (n, features), (n, H, W) or (n, C, H, W), got {images.ndim} axes"
            )
        flat = images.reshape(len(images), -1)
        validation.validate_data(self, flat, reset=reset, skip_check_array=True)
        return _as_pixels(images, images.dtype)

    def _shape_of_images(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return (C, H, W) of images that come as rows of this shape."""
        if self.image_shape is None:
            return self._with_channels(shape if len(shape) > 1 else (1, *shape))
        wanted = tuple(self.image_shape)
        if len(wanted) not in (2, 3) or any(length < 1 for length in wanted):
            raise ValueError(f"image_shape must be (H, W), (C, H, W) or None, got {wanted}")
        if math.prod(shape) != math.prod(wanted) or (len(shape) > 1 and shape != wanted):
            raise ValueError(
                f"X holds rows of shape {shape}, which are not images of image_shape={wanted}"
            )
        return self._with_channels(wanted)

    @staticmethod
    def _with_channels(shape: tuple[int, ...]) -> tuple[int, int, int]:
        channels, height, width = shape if len(shape) == 3 else (1, *shape)
        return int(channels), int(height), int(width)

    def _check_input_features(self, input_features: ArrayLike | None) -> None:
        if input_features is None:
            return
        given = np.asarray(input_features, dtype=object)
        known = getattr(self, "feature_names_in_", None)
        if known is not None and not np.array_equal(known, given):
            raise ValueError("input_features is not equal to feature_names_in_")
        if len(given) != self.n_features_in_:
            raise ValueError(
                f"input_features should have length equal to number of features "
                f"({self.n_features_in_}), got {len(given)}"
            )


def _refuse_masked(X: Any) -> None:
    rows = X if isinstance(X, list | tuple) else ()
    if np.ma.is_masked(X) or any(map(np.ma.is_masked, rows)):
        raise ValueError(
            "X has masked pixels, but a code has no mask; replace them first, for example with "
            "X.filled(0)"
        )


def _declared(X: Any) -> np.dtype[Any] | None:
    """Return the one dtype of an array or of the columns of a data frame, if it has one."""
    if not hasattr(X, "dtypes"):
        return getattr(X, "dtype", None)
    names = {str(each).lower().partition("[")[0] for each in np.atleast_1d(X.dtypes)}
    return np.dtype(names.pop()) if names in ({"uint8"}, {"uint16"}) else None


def _as_pixels(images: NDArray[Any], declared: Any) -> NDArray[Any]:
    """Let through what the codec takes and turn any other number into float32."""
    if isinstance(declared, np.dtype) and declared.kind == "u" and declared.itemsize <= 2:
        return images.astype(declared, copy=False)
    return images if images.dtype.kind == "f" else images.astype(np.float32)


def _scale_of(images: NDArray[Any]) -> str:
    if images.dtype.kind == "u":
        return "uint8" if images.dtype.itemsize == 1 else "uint16"
    return "unit" if images.min() >= 0 and images.max() <= 1 else "float"


def _on_scale(images: NDArray[Any], fitted: str) -> NDArray[Any]:
    """Return pixels on the scale that `fit` saw; pixels on another one are a `ValueError`."""
    given = _scale_of(images)
    if fitted in ("uint8", "uint16"):
        if given == fitted:
            return images
        most = np.iinfo(fitted).max
        # a few dark pixels may be 0 and 1, but numbers that are all at most 1 are on another scale
        if given == "float" and images.min() >= 0 and images.max() <= most:
            whole = images.astype(fitted)
            if np.array_equal(whole, images):
                return whole
        elif given == "unit" and not images.any():
            return images
    elif given in ("uint8", "uint16"):
        if fitted == "unit":
            return images  # scaled to [0, 1], as `fit` saw
        return images.astype(np.float32)  # the same numbers as `fit` saw
    elif fitted == "float" or given == "unit" or images.max() <= FAR_ABOVE_ONE:
        return images
    raise ValueError(
        "the scale of X differs from the pixels that the transformer was fitted to "
        f"({_WORDS[fitted]}); it holds {_WORDS[given]}: convert it, or fit again"
    )


FAR_ABOVE_ONE = 2.0
"""Filters may give pixels slightly above 1; those above this are on another scale."""

_WORDS = {
    "uint8": "uint8, 0 to 255",
    "uint16": "uint16, 0 to 65535",
    "unit": "floats in [0, 1]",
    "float": "floats beyond [0, 1]",
}
