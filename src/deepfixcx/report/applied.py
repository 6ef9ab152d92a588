"""What a release did to codes beside the codec: its mechanisms, and what each guarantees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Applied", "applied_in"]

NOT_PARAMETERS = frozenset({"mechanism", "guarantee", "steps"})


@dataclass(frozen=True, slots=True)
class Applied:
    """One mechanism of a release.

    Attributes
    ----------
    name : str
        Its family, such as ``"mixing"``.
    parameters : str
        In words: ``"k = 3, jitter = 0.1"``.
    guarantee : str
        What it promises; empty where its manifest says nothing.
    """

    name: str
    parameters: str
    guarantee: str

    @property
    def words(self) -> str:
        """Name and parameters in a line."""
        return f"{self.name} ({self.parameters})" if self.parameters else self.name


def applied_in(manifests: Sequence[Any]) -> tuple[Applied, ...]:
    """Read the manifests of mechanisms, a chain as its steps.

    Parameters
    ----------
    manifests : sequence
        ``mechanisms`` of ``dataset.json``.

    Examples
    --------
    >>> applied_in([{"mechanism": "mixing", "k": 3, "guarantee": "three patients"}])
    (Applied(name='mixing', parameters='k = 3', guarantee='three patients'),)
    """
    return tuple(_flat(manifests))


def _flat(manifests: Sequence[Any]) -> Iterator[Applied]:
    for each in manifests:
        if not isinstance(each, Mapping):
            yield Applied(str(each), "", "")
        elif isinstance(each.get("steps"), list):
            yield from _flat(each["steps"])
        else:
            parameters = ", ".join(
                f"{name.replace('_', ' ')} = {_short(value)}"
                for name, value in each.items()
                if name not in NOT_PARAMETERS and value not in (None, "", [])
            )
            name = str(each.get("mechanism", "a mechanism without a name"))
            yield Applied(name, parameters, str(each.get("guarantee", "")))


def _short(value: object) -> str:
    """Return a parameter in words; of a long list, how many there are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        listed = ", ".join(map(str, value))
        return listed if len(listed) <= 60 else f"{len(value)} of them"
    return str(value)
