"""What a cell of a table says about a label, and how a user names a label.

A label is a yes-or-no question about an image. A cell answers it with one of four states: yes, no,
uncertain, or nothing at all. A user names a label by its column (``pneumonia``), or, where a column
holds categories, by the column and the values that mean yes (``kind=bacteria|virus``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from deepfixcx.choices import Blank, Uncertain
from deepfixcx.errors import LabelError

__all__ = [
    "Blank",
    "LabelRule",
    "Labels",
    "State",
    "Uncertain",
    "categories",
    "check_policies",
    "normal_name",
    "parse_labels",
    "read_state",
    "settle",
]

State = Literal["yes", "no", "uncertain", "blank"]
"""What one cell says."""

_YES = frozenset({"yes", "y", "true", "t", "positive", "pos", "present"})
_NO = frozenset({"no", "n", "false", "f", "negative", "neg", "absent"})
_UNCERTAIN = frozenset({"uncertain", "u"})
_NUMBERS: dict[float, State] = {1.0: "yes", 0.0: "no", -1.0: "uncertain"}

Labels = str | Sequence[str] | Mapping[str, str]
"""How labels are asked for: names, or new names and what each stands for."""


def read_state(cell: str) -> State | None:
    """Say which of the four states a cell of a label column holds.

    Parameters
    ----------
    cell : str
        For example ``1``, ``0.0``, ``-1``, ``yes``, ``False``, ``positive``, or nothing.

    Returns
    -------
    {"yes", "no", "uncertain", "blank"} or None
        None for a number that is no answer, such as 2. Words that are no answer, such as
        ``ungraded``, and NaN say as little as a blank cell.

    Examples
    --------
    >>> [read_state(cell) for cell in ("1.0", "no", "-1", "", "ungraded", "2")]
    ['yes', 'no', 'uncertain', 'blank', 'blank', None]
    """
    word = cell.strip().casefold()
    if word in _YES:
        return "yes"
    if word in _NO:
        return "no"
    if word in _UNCERTAIN:
        return "uncertain"
    try:
        number = float(word)
    except ValueError:
        return "blank"
    return "blank" if number != number else _NUMBERS.get(number)


def settle(state: State, uncertain: Uncertain, blank: Blank) -> tuple[float, bool]:
    """Turn a state into a label and whether it is known.

    Examples
    --------
    >>> settle("uncertain", uncertain="positive", blank="ignore")
    (1.0, True)
    >>> settle("blank", uncertain="positive", blank="ignore")
    (nan, False)
    """
    if state == "uncertain":
        answer = {"positive": "yes", "negative": "no"}.get(uncertain, "")
    elif state == "blank":
        answer = "no" if blank == "negative" else ""
    else:
        answer = state
    if not answer:
        return float("nan"), False
    return float(answer == "yes"), True


def check_policies(uncertain: str, blank: str) -> None:
    """Refuse words that are no policy.

    Raises
    ------
    LabelError
        The message names the words that are.
    """
    for name, word, known in (("uncertain", uncertain, Uncertain), ("blank", blank, Blank)):
        if word not in get_args(known):
            raise LabelError(f"{name} is one of {', '.join(get_args(known))}; got {word!r}")


def normal_name(name: str) -> str:
    """Bring a column's or label's name into the form in which two of them are compared.

    Examples
    --------
    >>> normal_name("Patient ID"), normal_name("No Finding"), normal_name("AP/PA")
    ('patient_id', 'no_finding', 'ap_pa')
    """
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def categories(cell: str) -> frozenset[str]:
    """Return the categories that a cell lists: one, or several with ``|`` between them."""
    return frozenset(word.strip().casefold() for word in cell.split("|") if word.strip())


@dataclass(frozen=True, slots=True)
class LabelRule:
    """One label that was asked for.

    Attributes
    ----------
    name : str
        What the label is called from here on.
    column : str
        The label or column that answers it.
    values : frozenset of str
        The categories that mean yes, in lower case; empty where the column itself says yes or no.
    """

    name: str
    column: str
    values: frozenset[str] = frozenset()


def parse_labels(labels: Labels) -> tuple[LabelRule, ...]:
    """Read how a user names labels.

    Parameters
    ----------
    labels : str, sequence of str, or mapping of str to str
        ``"pneumonia,kind=bacteria|virus"``, where a name with a comma is put in double quotes as
        in CSV; or the same in a list; or a mapping from new names to
        such words. ``COLUMN=A|B`` is yes where the column holds A or B, no where it holds anything
        else, and unknown where it is blank.

    Returns
    -------
    tuple of LabelRule
        In the order asked for.

    Raises
    ------
    LabelError
        No label at all, the same one twice, or a word without column or value.

    Examples
    --------
    >>> [rule.name for rule in parse_labels("pneumonia,kind=bacteria|virus")]
    ['pneumonia', 'kind=bacteria|virus']
    >>> rule, = parse_labels({"infection": "kind=bacteria|virus"})
    >>> rule.name, rule.column, sorted(rule.values)
    ('infection', 'kind', ['bacteria', 'virus'])
    """
    if isinstance(labels, str):
        try:
            labels = next(csv.reader([labels], skipinitialspace=True), [""])
        except csv.Error:
            raise LabelError("the names of labels stand in one line, with commas between") from None
    if not isinstance(labels, Mapping):
        labels = dict(_once(label.strip() for label in labels))
    rules = tuple(_rule(name.strip(), words) for name, words in labels.items())
    if not rules:
        raise LabelError("no label was named; leave labels away to get all of them")
    return rules


def _once(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise LabelError(f"the label {name!r} is asked for twice")
        seen.add(name)
        yield name, name


def _rule(name: str, words: str) -> LabelRule:
    column, equals, values = (part.strip() for part in words.partition("="))
    if not (name and column) or (equals and not categories(values)):
        raise LabelError(
            f"{words!r} names no label; write a label or column, or COLUMN=VALUE for the images "
            f"where a column holds that value"
        )
    return LabelRule(name, column, categories(values))
