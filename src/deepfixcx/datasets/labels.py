"""What a cell of a table says about a label, and how a user names a label.

A label is a yes-or-no question about an image. A cell answers it with one of four states: yes, no,
uncertain, or nothing at all. A user names a label by its column (``pneumonia``), or, where a column
holds categories, by the column and the values that mean yes (``kind=bacteria|virus``).
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from deepfixcx.choices import Blank, Uncertain
from deepfixcx.errors import LabelError

if TYPE_CHECKING:
    from deepfixcx.datasets.dataset import ImageRecord


__all__ = [
    "Blank",
    "LabelRule",
    "Labels",
    "State",
    "Uncertain",
    "answer",
    "categories",
    "check_policies",
    "find_name",
    "is_odd",
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
    """Say which of the four states a cell of a label column holds."""
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
    """Turn a state into a label and whether it is known."""
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
    """Refuse words that are no policy."""
    for name, word, known in (("uncertain", uncertain, Uncertain), ("blank", blank, Blank)):
        if word not in get_args(known):
            raise LabelError(f"{name} is one of {', '.join(get_args(known))}; got {word!r}")


def normal_name(name: str) -> str:
    """Bring a column's or label's name into the form in which two of them are compared."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def categories(cell: str) -> frozenset[str]:
    """Return the categories that a cell lists: one, or several with ``|`` between them."""
    return frozenset(word.strip().casefold() for word in cell.split("|") if word.strip())


@dataclass(frozen=True, slots=True)
class LabelRule:
    """One label that was asked for."""

    name: str
    column: str
    values: frozenset[str] = frozenset()


def parse_labels(labels: Labels) -> tuple[LabelRule, ...]:
    """Read how a user names labels."""
    if isinstance(labels, str):
        try:
            labels = next(csv.reader([labels], skipinitialspace=True), [""])
        except csv.Error:
            raise LabelError("give the names of labels in one line, separated by commas") from None
    if not isinstance(labels, Mapping):
        labels = dict(_once(label.strip() for label in labels))
    rules = tuple(_rule(name.strip(), words) for name, words in labels.items())
    if not rules:
        raise LabelError("no label was named; omit labels to use all of them")
    return rules


def _once(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise LabelError(f"the label {name!r} is named twice")
        seen.add(name)
        yield name, name


def _rule(name: str, words: str) -> LabelRule:
    column, equals, values = (part.strip() for part in words.partition("="))
    if not (name and column) or (equals and not categories(values)):
        raise LabelError(
            f"{words!r} is not a label; write the name of a label or column, or COLUMN=VALUE to "
            "select the images with that value"
        )
    return LabelRule(name, column, categories(values))


_OF_RECORD = ("view", "split")

Answers = list[tuple[float, bool]]


def answer(
    rule: LabelRule, label_names: Sequence[str], records: Sequence[ImageRecord]
) -> tuple[Answers, int]:
    """Answer one label for every record."""
    label = find_name(rule.column, label_names)
    if label is not None:
        place = label_names.index(label)
        given = [(record.labels[place], record.known[place]) for record in records]
        return (_equal_label(rule, given) if rule.values else given), 0
    filled = {name for name in _OF_RECORD if any(getattr(record, name) for record in records)}
    names = sorted(filled.union(*(record.attributes for record in records)))
    name = find_name(rule.column, names)
    if name is None:
        raise LabelError(_no_such_label(rule, label_names, names))
    cells = [_cell(record, name) for record in records]
    if rule.values:
        return _equal_category(rule, cells), 0
    return _yes_or_no(rule, cells)


def find_name(wanted: str, names: Iterable[str]) -> str | None:
    """Find a name, exactly or but for case, spaces and underscores."""
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
        raise LabelError(f"{rule.column!r} is a label; compare it with yes or no, 1 or 0")
    wanted = float(states == {"yes"})
    return [(float(value == wanted) if known else value, known) for value, known in given]


def _equal_category(rule: LabelRule, cells: Sequence[str]) -> Answers:
    held = [categories(cell) for cell in cells]
    missing = sorted(rule.values.difference(*held)) if held else []
    if missing:
        raise LabelError(f"no image has {missing[0]!r} in {rule.column!r}; check the spelling")
    return [
        (float(bool(found & rule.values)), True) if found else settle("blank", "ignore", "ignore")
        for found in held
    ]


def _yes_or_no(rule: LabelRule, cells: Sequence[str]) -> tuple[Answers, int]:
    states = [read_state(cell) for cell in cells]
    if not any(state in ("yes", "no", "uncertain") for state in states) or None in states:
        raise LabelError(
            f"{rule.column!r} does not contain yes and no; write {rule.column}=VALUE to select a "
            "value"
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
    return f"there is no label {rule.name!r}; {hint}available labels: {', '.join(words) or 'none'}"
