"""Mechanisms by name, as a user asks for them, and what they are compared with."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import (
    Chain,
    IdentitySuppression,
    KMixing,
    LabelResampling,
    Mechanism,
    Plain,
    TaskProjection,
)
from deepfixcx.mechanisms.independent import INDEPENDENT

__all__ = ["BASELINES", "DEFAULT", "MECHANISMS", "mechanism_named"]

MECHANISMS: Mapping[str, Callable[[], Mechanism]] = MappingProxyType(
    {
        "plain": Plain,
        "bands": lambda: INDEPENDENT["bands"],
        "quantization": lambda: INDEPENDENT["quantization"],
        "mixing-3": lambda: KMixing(3, "member"),
        "mixing-5": lambda: KMixing(5, "member"),
        "suppression": lambda: IdentitySuppression(20, 60),
        "projection": TaskProjection,
        "projection-mixing": lambda: Chain((TaskProjection(), KMixing(3, "member"))),
        "resampling-20": lambda: Chain((TaskProjection(), LabelResampling(0.2))),
        "resampling": lambda: Chain((TaskProjection(), LabelResampling(copies=4))),
        "resampling-codes": lambda: LabelResampling(components=20, copies=4),
    }
)
"""Each makes a mechanism that is not fitted yet. ``resampling-20`` keeps 20 % of each record."""

DEFAULT: tuple[str, ...] = (
    *("plain", "quantization", "mixing-3", "mixing-5", "suppression", "projection"),
    *("projection-mixing", "resampling-20", "resampling", "pixelate", "blur", "dp-pix"),
)

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
    return Plain() if name in BASELINES else MECHANISMS[name]()


def check_names(names: Sequence[str]) -> None:
    """See that there are mechanisms or baselines of these names.

    Raises
    ------
    MechanismError
        One is unknown, or there is no name.
    """
    known = [*MECHANISMS, *BASELINES]
    if not names:
        raise MechanismError(f"name a mechanism or more: {', '.join(known)}")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ";"
            raise MechanismError(
                f"unknown mechanism {name!r}{hint} choose from: {', '.join(known)}"
            )
