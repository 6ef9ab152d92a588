"""What Hypothesis draws: specs, and pixels of every dtype and memory layout."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepfixcx.choices import Boundary, Grid
from deepfixcx.spec import BOUNDARIES, GRIDS, POOLINGS, CodecSpec

DTYPES = ["uint8", "<u2", ">u2", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
WAVELETS = ["haar", "db2", "coif1", "sym4", "bior2.2", "rbio3.1", "bior4.4", "db7"]
MAX_SIDE = 70

sides = st.integers(1, MAX_SIDE)
wavelets = st.sampled_from(WAVELETS)
poolings = st.one_of(
    st.sampled_from(POOLINGS),
    st.lists(st.sampled_from(POOLINGS), min_size=2, max_size=3, unique=True).map(tuple),
)


@st.composite
def specs(
    draw: st.DrawFn,
    height: int,
    width: int,
    wavelet: st.SearchStrategy[str] = wavelets,
    pooling: st.SearchStrategy[str | tuple[str, ...]] = poolings,
) -> CodecSpec:
    """Draw a spec that fits an image of this size."""
    level = draw(st.integers(1, 3))
    grid = draw(st.sampled_from(GRIDS))
    boundary = draw(st.sampled_from(BOUNDARIES))
    # The padded grid takes more cells than there are rows; the balanced one does not.
    most = [-(-side // 2**level) + (2 if grid == "padded" else 0) for side in (height, width)]
    return CodecSpec(
        level=level,
        patches=(draw(st.integers(1, min(6, most[0]))), draw(st.integers(1, min(6, most[1])))),
        wavelet=draw(wavelet),
        pooling=draw(pooling),
        boundary=cast("Boundary", boundary),
        grid=cast("Grid", grid),
    )


@st.composite
def images(draw: st.DrawFn, shape: tuple[int, ...], dtypes: list[str] = DTYPES) -> NDArray[Any]:
    """Draw pixels of this shape: random numbers, some of them extreme, in any memory layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    layout = draw(st.sampled_from(["plain", "transposed", "flipped", "sliced", "read-only"]))
    stored = {
        "transposed": (*shape[:-2], shape[-1], shape[-2]),
        "sliced": (*shape[:-2], 2 * shape[-2] + 1, 3 * shape[-1]),
    }.get(layout, shape)
    unit = rng.random(stored)
    unit[rng.random(stored) < draw(st.sampled_from([0, 0.3]))] = draw(st.sampled_from([0, 1]))
    full = 256**dtype.itemsize - 1 if dtype.kind == "u" else 1
    pixels = (unit * full).astype(dtype)
    if layout == "transposed":
        return np.swapaxes(pixels, -1, -2)
    if layout == "flipped":
        return pixels[..., ::-1, ::-1]
    if layout == "sliced":
        return pixels[..., 1::2, ::3]
    pixels.flags.writeable = layout != "read-only"
    return pixels


@st.composite
def images_and_specs(
    draw: st.DrawFn, /, **settings: st.SearchStrategy[Any]
) -> tuple[NDArray[Any], CodecSpec]:
    """Draw pixels of 2 to 4 axes and a spec that fits them."""
    height, width = draw(sides), draw(sides)
    leading = draw(st.sampled_from([(), (1,), (2,), (1, 3), (3, 1), (2, 2)]))
    return draw(images((*leading, height, width))), draw(specs(height, width, **settings))
