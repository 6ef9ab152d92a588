"""What a frontier tries."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from deepfixcx.audit.linkage import ATTACKERS as KNOWN_ATTACKERS
from deepfixcx.errors import MechanismError
from deepfixcx.frontier.catalogue import DEFAULT, check_names, mechanism_named
from deepfixcx.frontier.figures import ATTACKERS
from deepfixcx.frontier.noise import split_noise
from deepfixcx.mechanisms.catalogue import label_patients
from deepfixcx.mechanisms.records import MIN_PATIENTS
from deepfixcx.spec import CodecSpec

__all__ = ["FrontierOptions"]


@dataclass(frozen=True, slots=True)
class FrontierOptions:
    """Settings of a frontier.

    Parameters
    ----------
    levels, patches : tuple of int
        J and P; every pair is tried.
    mechanisms : tuple of str
        By their names in `deepfixcx.frontier.catalogue`; baselines too, and noise, such as
        ``"noise-1-16"``, alone or before others: ``"noise-8-16+mixing-3"``.
    attackers : tuple of str
        Of linkage; see `deepfixcx.audit.linkage.ATTACKERS`.
    seeds : int
        So many divisions of the patients are averaged.
    public : float
        Share of the patients that mechanisms are fitted on.
    max_linkage : float, optional
        The wish: recommend the most useful setting whose linkage AUC is at most this; see
        `deepfixcx.frontier.rows.recommend` for what is asked by default.
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
            raise MechanismError("a frontier needs an attacker and a seed, or more")
        if not 0 < self.public < 1:
            raise MechanismError(f"public is a share of the patients, got {self.public}")
        if self.min_patients < 2:
            raise MechanismError(f"--min-patients is 2 or more, got {self.min_patients}")
        if self.max_linkage is not None and not 0.5 <= self.max_linkage <= 1:
            raise MechanismError(
                f"linkage is an AUC, 0.5 by chance and 1 at worst; got {self.max_linkage}"
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
        """Return what decides the figures, as plain JSON values; the wish does not."""
        settings = asdict(self)
        del settings["max_linkage"]
        return settings
