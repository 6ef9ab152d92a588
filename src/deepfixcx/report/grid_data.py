"""The estimates of a sweep as grids of coloured cells: levels down, patches across."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from deepfixcx.experiments.rows import FrontierRow, Row

__all__ = ["Cell", "Grid", "grids_of", "shade"]


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of one setting; no words where the setting does not fit the images."""

    level: int
    patches: int
    value: float = math.nan
    words: str = ""
    long: str = ""
    share: float = 0.0

    @property
    def name(self) -> str:
        """The setting as the rows of tables name it."""
        return f"J{self.level}_P{self.patches}"

    @property
    def colour(self) -> str:
        """Darker where better."""
        return shade(self.share)

    @property
    def deep(self) -> bool:
        """Whether letters on the colour are white."""
        return self.share > DEEP


@dataclass(frozen=True, slots=True)
class Grid:
    """One estimate of every setting: levels down, patches across."""

    name: str
    title: str
    levels: tuple[int, ...]
    patches: tuple[int, ...]
    cells: tuple[tuple[Cell, ...], ...]


def _times(value: float) -> str:
    return f"{value:,.0f} ×" if value >= 1000 else f"{value:.3g} ×"


@dataclass(frozen=True, slots=True)
class _Estimate:
    """An estimate of a setting: its title and words; whether colours go by powers, or down."""

    title: str
    words: Callable[[float], str]
    powers: bool = False
    less: bool = False


ESTIMATES: Mapping[str, _Estimate] = MappingProxyType(
    {
        "share": _Estimate(
            "share of values kept", lambda value: f"{100 * value:.3g} %", powers=True, less=True
        ),
        "ratio_memory": _Estimate("times smaller in memory", _times, powers=True),
        "ratio_disk": _Estimate("times smaller on disk", _times, powers=True),
        "ssim": _Estimate("SSIM of the reconstruction", lambda value: f"{value:.2f}"),
        "psnr": _Estimate("PSNR of the reconstruction", lambda value: f"{value:.1f} dB"),
        "auc": _Estimate("AUC, codes", lambda value: f"{value:.3f}"),
        "cnn_auc": _Estimate("AUC, network on images", lambda value: f"{value:.3f}"),
        "linkage": _Estimate("linkage AUC", lambda value: f"{value:.3f}", less=True),
    }
)

BLUES = ((247, 251, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107))
"""Steps of the colour scale, light to dark."""

DEEP = 0.6
"""Share of the scale from which on letters are white; no cell has a colour near it."""


def shade(share: float) -> str:
    """Return the colour of a share of the scale, as ``#rrggbb``."""
    place = min(max(share, 0.0), 1.0) * (len(BLUES) - 1)
    low = min(int(place), len(BLUES) - 2)
    mixed = (
        round(a + (b - a) * (place - low)) for a, b in zip(BLUES[low], BLUES[low + 1], strict=True)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


Place = tuple[int | None, int | None]


def grids_of(rows: Sequence[Row | FrontierRow]) -> list[Grid]:
    """Return a grid for each estimate that any setting has; the best setting is the darkest."""
    settings = {(row.level, row.patches): row for row in rows if row.level is not None}
    originals = [row for row in rows if row.level is None]
    levels = tuple(sorted({level for level, _ in settings if level is not None}))
    patches = tuple(sorted({count for _, count in settings if count is not None}))
    grids = []
    for name, about in ESTIMATES.items():
        values = {place: row.figures.get(name, math.nan) for place, row in settings.items()}
        finite: dict[Place, float] = {
            place: value for place, value in values.items() if math.isfinite(value)
        }
        if not finite:
            continue
        shares = _shares(finite, about)
        cells = tuple(
            tuple(
                Cell(
                    level, count, finite[level, count], about.words(finite[level, count]),
                    str(settings[level, count].interval(name)), shares[level, count],
                )
                if (level, count) in finite
                else Cell(level, count)
                for count in patches
            )
            for level in levels
        )  # fmt: skip
        whole = [row.figures.get(name, math.nan) for row in originals]
        known = [about.words(value) for value in whole if math.isfinite(value)]
        title = f"{about.title} (original {known[0]})" if known else about.title
        grids.append(Grid(name, title, levels, patches, cells))
    return grids


def _shares(values: Mapping[Place, float], about: _Estimate) -> dict[Place, float]:
    """Return places on the colour scale; values with equal text have the middle colour."""
    if len({about.words(value) for value in values.values()}) == 1:
        return dict.fromkeys(values, 0.4)
    logs = {place: math.log(value) if about.powers else value for place, value in values.items()}
    signed = {place: -value if about.less else value for place, value in logs.items()}
    low, high = min(signed.values()), max(signed.values())
    places = {place: (value - low) / (high - low) for place, value in signed.items()}
    # a step in the middle: letters, dark below it and white above, stand out everywhere
    return {
        place: share if share <= 0.5 else 0.74 + 0.48 * (share - 0.5)
        for place, share in places.items()
    }
