"""Bands of one octave and orientation, taken together: what people can tell apart and name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from deepfixcx.explain.naming import ORIENTATIONS, WORDS, Orientation, band_names, extent

__all__ = ["BandGroup", "band_groups"]


@dataclass(frozen=True, slots=True)
class BandGroup:
    """Bands of one orientation whose scales lie in one octave.

    Attributes
    ----------
    orientation : {"approximation", "horizontal", "vertical", "diagonal"}
        Direction of the edges.
    low, high : float
        Finest and coarsest period in pixels; `high` of the approximation is infinite.
    bands : tuple of int
        Their places in a code.

    Examples
    --------
    >>> print(band_groups(3)[4])
    vertical edges of 4–8 px
    """

    orientation: Orientation
    low: float
    high: float
    bands: tuple[int, ...]

    def __str__(self) -> str:
        """Return the name in words, such as ``vertical edges of 4–8 px``."""
        words = WORDS[self.orientation]
        if self.orientation == "approximation":
            return words
        return f"{words} of {extent(self.low, self.high)} px"


@lru_cache(maxsize=8)
def band_groups(level: int) -> tuple[BandGroup, ...]:
    """Group the bands of a level by octave and orientation.

    Parameters
    ----------
    level : int
        J, as in `band_names`.

    Returns
    -------
    tuple of BandGroup
        The approximation, then octave by octave from the coarsest; vertical, horizontal, diagonal
        in each. Every band is in one group.

    Raises
    ------
    ExplanationError
        The level is beyond those that can be explained.

    Examples
    --------
    >>> [str(group) for group in band_groups(1)]
    ['local brightness', 'vertical edges of 2–4 px', 'horizontal edges of 2–4 px',
     'diagonal texture of 2–4 px']
    """
    names = band_names(level)
    groups = []
    keys: list[tuple[float, Orientation]] = [(names[0].octave[0], "approximation")]
    octaves = sorted({name.octave[0] for name in names[1:]}, reverse=True)
    keys += [(low, orientation) for low in octaves for orientation in ORIENTATIONS]
    for low, orientation in keys:
        members = [
            name for name in names if (name.octave[0], name.orientation) == (low, orientation)
        ]
        numbers = tuple(name.number for name in members)
        if members:
            groups.append(BandGroup(orientation, low, members[0].octave[1], numbers))
    return tuple(groups)
