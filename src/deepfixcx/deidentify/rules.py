"""Rules of a steward for single elements, which override the table and its options."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from deepfixcx.deidentify.actions import Action
from deepfixcx.errors import DeidentifyError

__all__ = ["ElementRule", "read_rules"]

ACTIONS: Final = {
    "remove": Action.REMOVE,
    "empty": Action.EMPTY,
    "dummy": Action.DUMMY,
    "keep": Action.KEEP,
    "clean": Action.CLEAN,
    "uid": Action.UID,
}
"""Words of a rule file for the actions of the standard."""

TEXTS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Kinds of elements that may be replaced by a text."""

FIXED: Final = frozenset({0x00100010, 0x00100020, 0x00120062, 0x00120063, 0x00120064})
"""The pseudonym, and what a header says of its de-identification."""

_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")


@dataclass(frozen=True, slots=True)
class ElementRule:
    """What becomes of one element, at every depth of a header.

    Attributes
    ----------
    tag : int
        The element.
    action : Action
        What is done.
    text : str or None
        The new value with `Action.DUMMY`; None for the usual one.

    Examples
    --------
    >>> ElementRule(0x00081030, Action.KEEP).action.name
    'KEEP'
    """

    tag: int
    action: Action
    text: str | None = None


def read_rules(path: str | Path) -> tuple[ElementRule, ...]:
    r"""Read rules for single elements.

    Parameters
    ----------
    path : path-like
        TOML with one table, ``elements``, whose keys are keywords or tags and whose values are
        ``"remove"``, ``"empty"``, ``"dummy"``, ``"keep"``, ``"clean"``, ``"uid"``, or
        ``{ replace = "TEXT" }``.

    Returns
    -------
    tuple of ElementRule
        For `Profile`, sorted by tag.

    Raises
    ------
    DeidentifyError
        The file cannot be read, or a rule is not one of these.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rules.toml"
    >>> _ = path.write_text('[elements]\nStudyDescription = "keep"\n"0010,4000" = "remove"\n')
    >>> [(f"{rule.tag:08X}", rule.action.name) for rule in read_rules(path)]
    [('00081030', 'KEEP'), ('00104000', 'REMOVE')]
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise DeidentifyError(f"the rules {path.name!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # the parser says where
        raise DeidentifyError(f"{path.name!r} cannot be read as rules: {error}") from None
    elements = content.get("elements")
    if set(content) != {"elements"} or not isinstance(elements, dict) or not elements:
        raise DeidentifyError(
            f"{path.name!r} has no rules: write one table, [elements], with lines such as "
            'StudyDescription = "keep"'
        )
    rules = [_rule(name, value) for name, value in elements.items()]
    if len({rule.tag for rule in rules}) < len(rules):
        raise DeidentifyError(f"{path.name!r} has two rules for one element; keep one of them")
    return tuple(sorted(rules, key=lambda rule: rule.tag))


def _rule(name: str, value: Any) -> ElementRule:
    found = _TAG.fullmatch(name)
    tag = int(found[1] + found[2], 16) if found else tag_for_keyword(name)
    if tag is None or (tag >> 16) % 2 or not keyword_for_tag(tag):
        raise DeidentifyError(
            f"the rules name {name!r}, which is no attribute of the standard; write its keyword or "
            "tag, such as StudyDescription or 0008,1030 (private ones: --private-elements)"
        )
    if tag in FIXED or tag >> 16 in (0x0002, 0x7FE0):
        raise DeidentifyError(f"a rule cannot change {name}; omit it")
    vr = dictionary_VR(tag)
    if isinstance(value, dict) and set(value) == {"replace"}:
        text = value["replace"]
        if not isinstance(text, str) or not text or vr not in TEXTS:
            raise DeidentifyError(f"the rule for {name} replaces a text by a text, or is no rule")
        return ElementRule(tag, Action.DUMMY, text)
    action = ACTIONS.get(value) if isinstance(value, str) else None
    if action is None or (action is Action.UID and vr != "UI"):
        raise DeidentifyError(
            f"the rule for {name} is one of {', '.join(ACTIONS)} (uid for UIDs alone) or "
            '{ replace = "TEXT" }'
        )
    return ElementRule(tag, action)
