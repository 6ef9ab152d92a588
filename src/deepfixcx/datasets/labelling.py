"""Answer the labels that a user asked for, out of what the records know."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from deepfixcx.datasets.labels import (
    LabelRule,
    State,
    categories,
    normal_name,
    read_state,
    settle,
)
from deepfixcx.datasets.records import ImageRecord
from deepfixcx.errors import LabelError

__all__ = ["answer", "find_name", "is_odd"]

_OF_RECORD = ("view", "split")

Answers = list[tuple[float, bool]]


def answer(
    rule: LabelRule, label_names: Sequence[str], records: Sequence[ImageRecord]
) -> tuple[Answers, int]:
    """Answer one label for every record.

    Parameters
    ----------
    rule : LabelRule
        The label.
    label_names : sequence of str
        The labels that the records have.
    records : sequence of ImageRecord
        The images.

    Returns
    -------
    tuple of list and int
        (value, known) for every record; and how many cells held a word that is no answer.

    Raises
    ------
    LabelError
        No such label or attribute, no image with such a value, or numbers that are no answers.
    """
    label = find_name(rule.column, label_names)
    if label is not None:
        place = label_names.index(label)
        given = [(record.labels[place], record.known[place]) for record in records]
        return (_equal_label(rule, given) if rule.values else given), 0
    told = {name for name in _OF_RECORD if any(getattr(record, name) for record in records)}
    names = sorted(told.union(*(record.attributes for record in records)))
    name = find_name(rule.column, names)
    if name is None:
        raise LabelError(_no_such_label(rule, label_names, names))
    cells = [_cell(record, name) for record in records]
    if rule.values:
        return _equal_category(rule, cells), 0
    return _yes_or_no(rule, cells)


def find_name(wanted: str, names: Iterable[str]) -> str | None:
    """Find a name, exactly or but for case, spaces and underscores.

    Examples
    --------
    >>> find_name("no_finding", ["Edema", "No Finding"])
    'No Finding'
    """
    names = tuple(names)
    if wanted in names:
        return wanted
    alike = [name for name in names if normal_name(name) == normal_name(wanted)]
    return alike[0] if alike else None


def is_odd(cell: str, state: State | None) -> bool:
    """Whether a cell counts as blank although it holds a word, such as ``ungraded``."""
    return state == "blank" and bool(cell.strip())


def _cell(record: ImageRecord, name: str) -> str:
    if name in record.attributes:
        return record.attributes[name]
    return (getattr(record, name) if name in _OF_RECORD else None) or ""


def _equal_label(rule: LabelRule, given: Answers) -> Answers:
    """Answer ``pneumonia=no``: the label itself, the other way round."""
    states = {read_state(value) for value in rule.values}
    if states not in ({"yes"}, {"no"}):
        raise LabelError(f"{rule.column!r} is a label: compare it with yes or no, 1 or 0")
    wanted = float(states == {"yes"})
    return [(float(value == wanted) if known else value, known) for value, known in given]


def _equal_category(rule: LabelRule, cells: Sequence[str]) -> Answers:
    held = [categories(cell) for cell in cells]
    missing = sorted(rule.values.difference(*held)) if held else []
    if missing:
        raise LabelError(
            f"no image has {missing[0]!r} in {rule.column!r}; check how it is spelled there"
        )
    return [
        (float(bool(found & rule.values)), True) if found else settle("blank", "ignore", "ignore")
        for found in held
    ]


def _yes_or_no(rule: LabelRule, cells: Sequence[str]) -> tuple[Answers, int]:
    states = [read_state(cell) for cell in cells]
    if not any(state in ("yes", "no", "uncertain") for state in states) or None in states:
        raise LabelError(
            f"{rule.column!r} does not hold yes and no; "
            f"write {rule.column}=VALUE for the images where it holds a value"
        )
    odd = sum(map(is_odd, cells, states))
    return [settle(state, "ignore", "ignore") for state in states if state is not None], odd


def _no_such_label(rule: LabelRule, labels: Sequence[str], attributes: Sequence[str]) -> str:
    names = [*labels, *(f"{name}=..." for name in attributes)]
    words = [f'"{name}"' if "," in name else name for name in names]
    if any("," in name for name in names):
        words[-1] += " (put a name with a comma in double quotes, inside the quotes of the shell)"
    normal = {normal_name(word): word for word in reversed([*labels, *attributes])}
    close = difflib.get_close_matches(normal_name(rule.column), normal, n=1)
    hint = f"did you mean {normal[close[0]]!r}? " if close else ""
    return f"there is no label {rule.name!r}; {hint}there are: {', '.join(words) or 'none'}"
