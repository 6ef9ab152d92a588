"""Filters by name: the banks of PyWavelets in the form that the kernels use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pywt
from numpy.typing import NDArray

__all__ = ["FilterBank", "filter_bank"]


@dataclass(frozen=True)
class FilterBank:
    """The four filters of a discrete wavelet, each of shape (L,), float32.

    Attributes
    ----------
    analysis_low, analysis_high : ndarray
        Cross-correlated with the image to split a band.
    synthesis_low, synthesis_high : ndarray
        Spread over the image to merge four subbands. PyWavelets' reconstruction filters, reversed:
        splitting correlates where PyWavelets convolves, so merging runs backwards too.
    offset : int
        How far before its output position a filter begins, (L - 1) // 2.

    Examples
    --------
    >>> bank = filter_bank("db2")
    >>> bank.analysis_low.shape, bank.offset
    ((4,), 1)
    """

    analysis_low: NDArray[np.float32]
    analysis_high: NDArray[np.float32]
    synthesis_low: NDArray[np.float32]
    synthesis_high: NDArray[np.float32]
    offset: int

    @property
    def analysis(self) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        """The analysis filters and their offset, the form that kernels take."""
        return self.analysis_low, self.analysis_high, self.offset

    @property
    def synthesis(self) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        """The synthesis filters and their offset, the form that kernels take."""
        return self.synthesis_low, self.synthesis_high, self.offset


@lru_cache(maxsize=32)
def filter_bank(wavelet: str) -> FilterBank:
    """Return the filters of a wavelet.

    Parameters
    ----------
    wavelet : str
        Name of a discrete wavelet of PyWavelets.

    Returns
    -------
    FilterBank
        Its filters, read-only.

    Raises
    ------
    ValueError
        PyWavelets does not know the name (a `CodecSpec` has checked it before).

    References
    ----------
    PyWavelets, ``Wavelet.filter_bank``.

    Examples
    --------
    >>> filter_bank("haar").analysis_low.round(4).tolist()
    [0.707099974155426, 0.707099974155426]
    """
    known = pywt.Wavelet(wavelet)
    low, high, back_low, back_high = (np.asarray(taps) for taps in known.filter_bank)
    return FilterBank(
        analysis_low=_frozen(low),
        analysis_high=_frozen(high),
        synthesis_low=_frozen(back_low[::-1]),
        synthesis_high=_frozen(back_high[::-1]),
        offset=(len(low) - 1) // 2,
    )


def _frozen(taps: NDArray[np.float64]) -> NDArray[np.float32]:
    filter_ = np.ascontiguousarray(taps, dtype=np.float32)
    filter_.flags.writeable = False
    return filter_
