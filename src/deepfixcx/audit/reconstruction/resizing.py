"""Images of another size: pixels are averaged when they become fewer, interpolated when more."""

from __future__ import annotations

import numpy as np

from deepfixcx.audit.features import Array

__all__ = ["resize"]


def resize(images: Array, height: int, width: int) -> Array:
    """Resize images (..., H, W) along both axes.

    Examples
    --------
    >>> resize(np.array([[0, 2], [4, 6]], np.float32), 1, 2).tolist()
    [[2.0, 4.0]]
    """
    rows, columns = _weights(images.shape[-2], height), _weights(images.shape[-1], width)
    return np.asarray(rows @ images @ columns.T, np.float32)


def _weights(before: int, after: int) -> Array:
    """Return what each new pixel takes of each old one, (after, before); rows sum to 1."""
    scale = before / after
    reach = max(scale, 1.0)  # half the width of the triangle
    centres = (np.arange(after) + 0.5) * scale - 0.5
    if scale > 1:  # an average over the pixels that become one
        low = np.arange(after)[:, None] * scale
        edges = np.clip(np.arange(before + 1)[None], low, low + scale)
        weights = np.diff(edges, axis=1)
    else:
        places = np.clip(centres, 0, before - 1)[:, None]
        weights = np.maximum(1 - np.abs(np.arange(before)[None] - places) / reach, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
