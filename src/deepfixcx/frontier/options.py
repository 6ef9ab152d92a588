"""What a frontier tries: mechanisms and baselines by name, noise before them, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deepfixcx.audit.linkage import ATTACKERS as KNOWN_ATTACKERS
from deepfixcx.errors import MechanismError
from deepfixcx.frontier.figures import ATTACKERS
from deepfixcx.mechanisms import PixelNoise, catalogue
from deepfixcx.mechanisms.catalogue import (
    MECHANISMS,
    OFFERED,
    label_patients,
    names_in,
    noise_named,
)
from deepfixcx.mechanisms.protocol import Mechanism, Plain
from deepfixcx.mechanisms.records import MIN_PATIENTS
from deepfixcx.spec import CodecSpec

__all__ = [
    "BASELINES",
    "DEFAULT",
    "MECHANISMS",
    "FrontierOptions",
    "check_names",
    "mechanism_named",
    "split_noise",
]

DEFAULT: tuple[str, ...] = (
    *("plain", "quantization", "suppression", "projection"),
    *("resampling-20", "resampling", "pixelate", "blur", "dp-pix"),
)
"""Without mixing: an attacker who holds candidate images finds the members of its records."""

BASELINES = ("pixelate", "blur", "dp-pix")
"""As many numbers of an image, kept in another way."""


def mechanism_named(name: str) -> Mechanism:
    """Make a mechanism; that of a baseline releases it as it is.

    Raises
    ------
    MechanismError
        There is none of that name.

    Examples
    --------
    >>> mechanism_named("mixing-3").name
    'mixing k=3 a member'
    """
    check_names([name])
    return Plain() if name in BASELINES else catalogue.mechanism_named(name)


def check_names(names: Sequence[str]) -> None:
    """See that there are mechanisms or baselines of these names.

    Raises
    ------
    MechanismError
        One is unknown, or there is no name.
    """
    if not names:
        raise MechanismError(f"name at least one mechanism: {', '.join([*OFFERED, *BASELINES])}")
    for name in names:
        catalogue.check_name(name, BASELINES)


def split_noise(name: str, spec: CodecSpec) -> tuple[PixelNoise | None, str]:
    """Return the noise that a name begins with, or None, and the name of the mechanism after it.

    Raises
    ------
    MechanismError
        The noise is out of range, or does not fit the spec.

    Examples
    --------
    >>> spec = CodecSpec(level=2, patches=4)
    >>> [split_noise(name, spec)[1] for name in ("mixing-3", "noise-2-16", "noise-2-9+mixing-3")]
    ['mixing-3', 'plain', 'mixing-3']
    """
    first, *others = names_in(name) or (name,)
    noise = noise_named(first, spec)
    if noise is None:
        return None, name
    return noise, "+".join(others) or "plain"


@dataclass(frozen=True, slots=True)
class FrontierOptions:
    """Settings of a frontier.

    Parameters
    ----------
    levels, patches : tuple of int
        J and P; every pair is tried.
    mechanisms : tuple of str
        By their names in `deepfixcx.frontier.options`; baselines too, and noise, such as
        ``"noise-1-16"``, alone or before others: ``"noise-8-16+mixing-3"``.
    attackers : tuple of str
        Of linkage; see `deepfixcx.audit.linkage.ATTACKERS`.
    seeds : int
        So many divisions of the patients are averaged.
    public : float
        Share of the patients that mechanisms are fitted on.
    max_linkage : float, optional
        The threshold: recommend the most useful setting whose linkage AUC is at most this; see
        `deepfixcx.frontier.rows.recommend` for the default threshold.
    min_patients : int
        Fewest patients of each combination of released labels, as for ``privatize``.
    epsilon, pixels : float, int
        Of DP-Pix: its promise, and how many pixels may differ.

    Raises
    ------
    MechanismError
        An option is unknown or out of range.
    SpecError
        No such level or patches.

    Examples
    --------
    >>> len(FrontierOptions(levels=(2, 3), patches=(4,)).specs())
    2
    """

    levels: tuple[int, ...] = (2, 3)
    patches: tuple[int, ...] = (4,)
    mechanisms: tuple[str, ...] = DEFAULT
    attackers: tuple[str, ...] = ATTACKERS
    seeds: int = 3
    public: float = 0.4
    max_linkage: float | None = None
    min_patients: int = MIN_PATIENTS
    epsilon: float = 1.0
    pixels: int = 16

    def __post_init__(self) -> None:
        """Check the options."""
        check_names(
            [split_noise(name, spec)[1] for name in self.mechanisms for spec in self.specs()]
        )
        for attacker in self.attackers:
            if attacker not in KNOWN_ATTACKERS:
                raise MechanismError(
                    f"unknown attacker {attacker!r}; choose from {', '.join(KNOWN_ATTACKERS)}"
                )
        if not self.attackers or self.seeds < 1:
            raise MechanismError("a frontier needs at least one attacker and one seed")
        if not 0 < self.public < 1:
            raise MechanismError(f"public is a share of the patients, got {self.public}")
        if self.min_patients < 2:
            raise MechanismError(f"--min-patients is 2 or more, got {self.min_patients}")
        if self.max_linkage is not None and not 0.5 <= self.max_linkage <= 1:
            raise MechanismError(
                f"the linkage threshold is an AUC from 0.5 (chance) to 1; got {self.max_linkage}"
            )
        if self.epsilon <= 0 or self.pixels < 1:
            raise MechanismError(
                f"DP-Pix needs a positive epsilon and 1 pixel or more, got {self.epsilon}, "
                f"{self.pixels}"
            )

    def specs(self) -> tuple[CodecSpec, ...]:
        """Return every pair of level and patches."""
        return tuple(CodecSpec(level, patches) for level in self.levels for patches in self.patches)

    def label_patients(self, name: str) -> int:
        """Return how many positives and how many negatives a label needs for one mechanism."""
        last = mechanism_named(split_noise(name, self.specs()[0])[1])
        return max(self.min_patients, label_patients(last))

    def to_dict(self) -> dict[str, Any]:
        """Return what decides the figures, as plain JSON values; the threshold does not."""
        settings = asdict(self)
        del settings["max_linkage"]
        return settings
