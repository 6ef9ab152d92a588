"""The speed of encode and decode in memory, as a rate and as a share of what memory allows."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.bench.clock import median_seconds
from deepfixcx.bench.samples import sample_pixels
from deepfixcx.choices import Size
from deepfixcx.codec import Codec
from deepfixcx.spec import CodecSpec

__all__ = ["Speed", "measure_decode", "measure_encode"]

MOST_BYTES = 1 << 29
MOST_IMAGES = 4096


@dataclass(frozen=True, slots=True)
class Speed:
    """One measured speed.

    Attributes
    ----------
    task : str
        ``"encode"``, ``"decode compact"`` or ``"decode original"``.
    level, patches : int
        J and P.
    wavelet : str
        Its name.
    height, width : int
        Of the images.
    dtype : str
        Of the pixels.
    images : int
        Images a call.
    seconds : float
        Median of a call.
    bytes_moved : int
        Bytes of pixels and codes that one call reads and writes.

    Examples
    --------
    >>> speed = Speed("encode", 3, 4, "haar", 320, 320, "uint8", 64, 0.016, 6_815_744)
    >>> speed.images_per_second, round(speed.bytes_per_second / 1e6)
    (4000.0, 426)
    """

    task: str
    level: int
    patches: int
    wavelet: str
    height: int
    width: int
    dtype: str
    images: int
    seconds: float
    bytes_moved: int

    @property
    def images_per_second(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    @property
    def bytes_per_second(self) -> float:
        """Bytes in plus bytes out, a second."""
        return self.bytes_moved / self.seconds

    def to_dict(self, read_bytes_per_second: float) -> dict[str, object]:
        """Return plain JSON values, with the share of the bandwidth reached."""
        return {
            **asdict(self),
            "seconds": round(self.seconds, 6),
            "images_per_second": round(self.images_per_second, 1),
            "bytes_per_second": round(self.bytes_per_second),
            "bandwidth_share": round(self.bytes_per_second / read_bytes_per_second, 4),
        }


def measure_encode(
    spec: CodecSpec,
    height: int,
    width: int,
    dtype: str = "float32",
    *,
    rounds: int = 7,
    seconds: float = 0.15,
) -> Speed:
    """Measure `Codec.encode`.

    Parameters
    ----------
    spec : CodecSpec
        The codec.
    height, width : int
        H and W of the images.
    dtype : str
        Of their pixels: ``"float32"``, ``"uint8"`` or ``"uint16"``.
    rounds : int
        The median of so many calls counts.
    seconds : float
        A call takes about so long: the number of images is chosen for it.

    Returns
    -------
    Speed

    Examples
    --------
    >>> speed = measure_encode(CodecSpec(1, 2), 8, 8, rounds=1, seconds=0.001)
    >>> speed.images_per_second > 0
    True
    """
    codec = Codec(spec)
    most = min(MOST_IMAGES, MOST_BYTES // (height * width * np.dtype(dtype).itemsize))
    few = sample_pixels(min(4, max(1, most)), height, width, dtype)
    images = _fitting(lambda: codec.encode(few[:, None]), len(few), seconds, most)
    pixels = np.resize(few, (images, 1, height, width))
    taken = median_seconds({"encode": lambda: codec.encode(pixels)}, rounds)["encode"]
    moved = pixels.nbytes + 4 * images * spec.numbers(1)
    return _speed("encode", spec, pixels, taken, moved)


def measure_decode(
    spec: CodecSpec,
    height: int,
    width: int,
    size: Size = "compact",
    *,
    rounds: int = 7,
    seconds: float = 0.15,
) -> Speed:
    """Measure `Codec.decode`.

    Parameters
    ----------
    spec, height, width, rounds, seconds
        As in `measure_encode`.
    size : {"compact", "original"}
        As in `Codec.decode`.

    Returns
    -------
    Speed

    Examples
    --------
    >>> measure_decode(CodecSpec(1, 2), 8, 8, rounds=1, seconds=0.001).task
    'decode compact'
    """
    codec = Codec(spec)
    side = height * width if size == "original" else int(np.prod(spec.compact_shape()))
    most = min(MOST_IMAGES, MOST_BYTES // (4 * max(side, spec.numbers(1))))
    few = sample_pixels(min(4, max(1, most)), height, width)
    code = codec.encode(few[:, None])
    images = _fitting(lambda: codec.decode(code, size), len(few), seconds, most)
    pixels = np.resize(few, (images, 1, height, width))
    codes = codec.encode(pixels)
    taken = median_seconds({"decode": lambda: codec.decode(codes, size)}, rounds)["decode"]
    moved = 4 * images * (spec.numbers(1) + side)
    return _speed(f"decode {size}", spec, pixels, taken, moved)


def _fitting(call: Any, images: int, seconds: float, most: int) -> int:
    """Return how many images take about so many seconds, from a call on a few."""
    call()
    began = time.perf_counter()
    call()
    taken = max(time.perf_counter() - began, 1e-6)
    return max(1, min(most, max(images, round(images * seconds / taken))))


def _speed(task: str, spec: CodecSpec, pixels: NDArray[Any], taken: float, moved: int) -> Speed:
    images, _, height, width = pixels.shape
    return Speed(
        task=task,
        level=spec.level,
        patches=spec.grid_shape[0],
        wavelet=spec.wavelet,
        height=height,
        width=width,
        dtype=pixels.dtype.name,
        images=images,
        seconds=taken,
        bytes_moved=moved,
    )
