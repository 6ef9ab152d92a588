"""What was done to each element of a header: the record that names no value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from deepfixcx.deidentify.stamping import Method

__all__ = ["Action", "Actions", "Handled"]


class Action(StrEnum):
    """What the standard lets happen to an element, by its letter there.

    Examples
    --------
    >>> Action("X").name
    'REMOVE'
    """

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    KEEP = "K"
    CLEAN = "C"
    UID = "U"


@dataclass(frozen=True, slots=True)
class Handled:
    """One element and what was done to it.

    Attributes
    ----------
    path : str
        Where it was, such as ``(0040,0275)[0](0040,0007)``.
    action : Action
        What was done.
    reason : str
        Why: ``table`` (the standard names it), ``option``, ``private``, ``kind`` (the standard does
        not name it, and values of its kind may name a patient), ``name inside`` (its text held a
        name or number of the patient), ``unreadable``, ``file`` (it belongs to the old file).

    Examples
    --------
    >>> Handled("(0010,0010)", Action.DUMMY, "table").action.name
    'DUMMY'
    """

    path: str
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class Actions:
    """Everything that was done to one header. It holds no value of the old one.

    Attributes
    ----------
    pseudonym : str
        Of the patient; the new Patient ID.
    sop_instance_uid : str
        The new one, empty where there was none.
    handled : tuple of Handled
        What was done, in the order of the header. Elements that are in neither list nor table and
        stayed as they were are not in it.
    methods : tuple of Method
        What was done and verified, as it is stamped into the header.

    Examples
    --------
    >>> done = Handled("(0010,0010)", Action.DUMMY, "table")
    >>> Actions("P01", "1.2.3", (done,), ()).counts()
    {'D': 1}
    """

    pseudonym: str
    sop_instance_uid: str
    handled: tuple[Handled, ...]
    methods: tuple[Method, ...]

    def counts(self) -> dict[str, int]:
        """Return how many elements were handled in each way, by the letter of the action.

        Examples
        --------
        >>> done = Handled("(0010,1040)", Action.REMOVE, "table")
        >>> Actions("P1", "2.25.1", (done,), ()).counts()
        {'X': 1}
        """
        return dict(sorted(Counter(each.action.value for each in self.handled).items()))
