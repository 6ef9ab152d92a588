"""Records of the ledger of a node: objects, results, deliveries, requests for commitment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Commitment", "Delivery", "Made", "Outcome", "Waiting"]


class Waiting(NamedTuple):
    """An object that waits for its profile."""

    number: int
    content: str
    calling: str
    received: float


@dataclass(frozen=True)  # without slots, which make pickling slow
class Made:
    """What a route made of an object."""

    route: str
    content: str
    sop_class: str
    instance: str
    syntax: str
    study: str
    series: str
    bytes: int
    to: tuple[str, ...]


@dataclass(frozen=True)  # without slots, which make pickling slow
class Outcome:
    """What became of an object: results, and why something was withheld (empty: nothing)."""

    made: tuple[Made, ...] = ()
    reason: str = ""
    meaning: str = ""
    """Digest of what the object states and shows, the same in every encoding."""


class Delivery(NamedTuple):
    """A result that waits for a destination."""

    number: int
    made: int
    content: str
    sop_class: str
    instance: str
    syntax: str
    study: str
    series: str
    refused: int


class Commitment(NamedTuple):
    """A request for storage commitment that is to be answered."""

    number: int
    calling: str
    uid: str
    items: list[tuple[str, str]]
    attempts: int
