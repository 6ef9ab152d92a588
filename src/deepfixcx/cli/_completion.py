"""Words that a shell offers for options whose words are no type: names, and lists of names."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["attackers", "baselines", "mechanisms", "methods", "poolings", "retained", "wavelets"]


def poolings(incomplete: str) -> list[str]:
    """Offer ways to pool, with commas between."""
    from typing import get_args

    from deepfixcx.choices import Pooling

    return _listed(incomplete, get_args(Pooling))


def retained(incomplete: str) -> list[str]:
    """Offer what may stay of headers, with commas between."""
    from typing import get_args

    from deepfixcx.choices import Retained

    return _listed(incomplete, get_args(Retained))


def wavelets(incomplete: str) -> list[str]:
    """Offer discrete wavelets."""
    import pywt

    return _begun(incomplete, pywt.wavelist(kind="discrete"))


def mechanisms(incomplete: str) -> list[str]:
    """Offer mechanisms, with commas between."""
    from deepfixcx.mechanisms.catalogue import OFFERED

    return _listed(incomplete, OFFERED)


def attackers(incomplete: str) -> list[str]:
    """Offer attackers of linkage, with commas between."""
    from deepfixcx.audit.linkage import ATTACKERS

    return _listed(incomplete, ATTACKERS)


def methods(incomplete: str) -> list[str]:
    """Offer ways to explain a model."""
    from deepfixcx.explain.methods import METHODS

    return _begun(incomplete, METHODS)


def baselines(incomplete: str) -> list[str]:
    """Offer what answers of a model are compared with."""
    from deepfixcx.explain.models import BASELINES

    return _begun(incomplete, BASELINES)


def _begun(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _listed(incomplete: str, words: Iterable[str]) -> list[str]:
    """Return what goes on with the last word of a list; none twice."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{word}" for word in _begun(last, words) if word not in taken]
