"""What a frontier compares: mechanisms by name, and baselines of as many numbers."""

from __future__ import annotations

from collections.abc import Sequence

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import catalogue
from deepfixcx.mechanisms.catalogue import MECHANISMS, OFFERED
from deepfixcx.mechanisms.protocol import Mechanism, Plain

__all__ = ["BASELINES", "DEFAULT", "MECHANISMS", "check_names", "mechanism_named"]

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
        raise MechanismError(f"name a mechanism or more: {', '.join([*OFFERED, *BASELINES])}")
    for name in names:
        catalogue.check_name(name, BASELINES)
