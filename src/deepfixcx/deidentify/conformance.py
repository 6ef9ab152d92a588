"""What a profile does, in words: every rule that is in force, and the conformance statement.

Objects without an image have a policy each: what a kind may hold, and whether it is released.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pydicom.datadict import keyword_for_tag

from deepfixcx import __version__
from deepfixcx.deidentify.actions import EQUIPMENT, Action, Method
from deepfixcx.deidentify.deidentifier import DEVICE_WITHOUT_DATES, IN_PART, OPTION_METHODS
from deepfixcx.deidentify.profile import EDITION, OPTIONS, Profile, read_table
from deepfixcx.deidentify.walking import PATIENT_ID, PATIENT_NAME

__all__ = [
    "OBJECTS",
    "ObjectPolicy",
    "chosen_options",
    "effective_rules",
    "policy_of",
    "rules_digest",
    "statement",
]

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."


class ObjectPolicy(NamedTuple):
    """A kind of object: its name, how it is allowed (empty: never), and what is done to it."""

    name: str
    word: str
    classes: tuple[str, ...]
    policy: str


OBJECTS: Final = (
    ObjectPolicy("key object selection", "ko", ("88.59",), "Table E.1-1; references are replaced."),
    ObjectPolicy(
        "structured report",
        "sr",
        ("88.",),
        "Clean Structured Content: codes, numbers and references stay, texts and names do not.",
    ),
    ObjectPolicy(
        "presentation state",
        "pr",
        ("11.",),
        "Table E.1-1: annotations, overlays and labels are removed, windows and areas stay.",
    ),
    ObjectPolicy(
        "radiotherapy object",
        "rt",
        ("481.",),
        "Table E.1-1: labels and names become dummies, contours, beams and doses stay.",
    ),
    ObjectPolicy(
        "registration or measurement map",
        "reg",
        ("66.1", "66.2", "66.3", "67"),
        "Table E.1-1: matrices and references stay.",
    ),
    ObjectPolicy(
        "surface or tractography",
        "seg",
        ("66.5", "66.6", "68.1", "68.2"),
        "Table E.1-1: geometry stays. A surface of a head shows a face.",
    ),
    ObjectPolicy(
        "encapsulated document", "", ("104.",), "The document is not examined, so it is withheld."
    ),
    ObjectPolicy(
        "waveform", "", ("9.",), "Speech and annotations are not examined, so it is withheld."
    ),
    ObjectPolicy(
        "raw data or spectroscopy", "", ("66", "4.2", "4.4"), "Its data are not examined."
    ),
)
"""Most specific prefixes first; what no row names is withheld."""


def policy_of(sop_class: str) -> ObjectPolicy | None:
    """Return the policy of a SOP class without an image, or None where there is none."""
    for policy in OBJECTS:
        for prefix in policy.classes:
            whole = _STORAGE + prefix
            if sop_class == whole or (prefix.endswith(".") and sop_class.startswith(whole)):
                return policy
    return None


_OF_HEADERS: Final = """
Every element of a header is handled, at every depth of nesting:

1. An element that Table E.1-1 names is handled as the Basic Profile, the chosen options and the
   rules of the site say. Of several options the stricter wins (C over K). Where the table leaves a
   choice (X/Z, X/D, Z/D, X/Z/D), the last alternative is taken, which keeps every kind of object
   valid.
2. An element that the table does not name is removed if its value representation is free text, a
   name, a date or a time, or if the dictionary does not know it. Short texts keep words of anatomy
   and technique, UIDs are replaced, numbers and terms stay.
3. Private elements are removed, but for those that the site lists as safe.
4. Every value that stays is compared with the names, numbers and dates of the patient, the study
   and the institution in the source header: by tokens and as they sound, in all usual encodings.
   An element that holds one is emptied.
5. The new header is compared with the old one; a header with an element that was not handled as
   stated here is withheld.
"""

_DEVIATIONS: Final = f"""
- Attributes that are K in Retain Device Identity and C in Retain Longitudinal Modified Dates (dates
  of calibration, installation and manufacture) are shifted where both options are chosen: a date of
  calibration is often that of the examination, and would show by how many days dates were shifted.
  Such a header does not claim 113109; (0012,0063) states "{DEVICE_WITHOUT_DATES}".
- An option is not claimed for a header in which an element that it keeps named the patient and was
  emptied, nor where a rule of the site handles one of its elements otherwise. (0012,0063) then
  states its code and "{IN_PART}". 113100 is not claimed where a rule of the site keeps an element
  that the Basic Profile removes; (0012,0063) states that there are rules.
- With free text kept, sentences stay where Clean Descriptors and Clean Structured Content would
  keep known words alone. Names, numbers and dates of the header are replaced, also as
  nicknames, initials, in another order or with an error of spelling, and so are addresses,
  telephone numbers, numbers of records, dates, and persons behind a title. Names of others without
  a title may stay, so neither option is claimed.
- Patient ages over 89 stay with Retain Patient Characteristics.
- Overlays are removed with Clean Graphics, too. Recognizable visual features (113102) are not
  removed and never claimed.
"""


def chosen_options(profile: Profile) -> list[str]:
    """Return the names of the chosen options, as ``--retain`` calls them."""
    return sorted(name for name in OPTIONS if profile.chosen(name))


def rules_digest(profile: Profile) -> str:
    """Return SHA-256 of rules, private elements and words of a site; empty where it has none."""
    own = (profile.rules, sorted(profile.private), sorted(profile.words))
    return hashlib.sha256(repr(own).encode()).hexdigest() if any(own) else ""


def effective_rules(profile: Profile) -> Iterator[tuple[str, str, str, str]]:
    """Yield tag, keyword, action and reason of every row of the table and of every rule."""
    table = read_table()
    for tag in sorted({*table.rows, *(rule.tag for rule in profile.rules)}):
        action, rule = profile.action(tag), profile.rule(tag)
        reason = "table" if action is profile.basic(tag) else "option"
        if tag in (PATIENT_NAME, PATIENT_ID):
            action, reason = Action.DUMMY, "pseudonym"
        elif rule is not None:
            reason = "rule" if rule.text is None else f"rule, value {rule.text!r}"
        name = keyword_for_tag(tag)
        yield f"({tag >> 16:04X},{tag & 0xFFFF:04X})", name, _word(action), reason
    for mask, repeated, _ in table.repeating:
        digits = f"{repeated:08X}"
        shown = "".join("x" if m == "0" else d for m, d in zip(f"{mask:08X}", digits, strict=True))
        action = profile.action(repeated)
        reason = "table" if action is profile.basic(repeated) else "option"
        yield f"({shown[:4]},{shown[4:]})", "", _word(action), reason


def _word(action: Action | None) -> str:
    return "" if action is None else action.name.lower()


def statement(profile: Profile, mask: str | None = None, also: Sequence[str] = ()) -> str:
    """Return the conformance statement of a profile as Markdown."""
    chosen = chosen_options(profile)
    counts = Counter((action, reason.partition(",")[0]) for *_, action, reason in
                     effective_rules(profile))  # fmt: skip
    lines = [
        "# De-identification conformance statement",
        "",
        f"Program: deepfixcx {__version__}. Standard: DICOM PS3.15, Annex E, edition {EDITION} of "
        f"the Basic Profile ({len(read_table().rows) + len(read_table().repeating)} rows).",
        "",
        "## Profile and options",
        "",
        "| option | code (DCM) | meaning | chosen |",
        "|---|---|---|---|",
        f"| basic | {Method.BASIC.code} | {Method.BASIC.meaning} | yes |",
    ]
    for name, method in sorted(OPTION_METHODS.items(), key=lambda each: each[1].code):
        yes = "yes" if name in chosen else "no"
        lines.append(f"| {name.replace('_', '-')} | {method.code} | {method.meaning} | {yes} |")
    for method, yes in (
        (Method.SAFE_PRIVATE, f"{len(profile.private)} elements" if profile.private else "no"),
        (Method.CLEAN_PIXELS, mask or "no"),
        (Method.CLEAN_FEATURES, "never"),
    ):
        lines.append(f"| | {method.code} | {method.meaning} | {yes} |")
    lines += ["", f"Free text: {'kept without identifiers' if profile.keep_text else 'dropped'}."]
    lines += ["", "A code is written into (0012,0064) of a file only if its option was applied in "
              f"full there. Contributing Equipment ({EQUIPMENT[0]}, {EQUIPMENT[1]}) is written.",
              "", "## How headers are handled", _OF_HEADERS, "## Actions in force", "",
              "| action | reason | attributes |", "|---|---|---|"]  # fmt: skip
    lines += [f"| {what} | {why} | {count} |" for (what, why), count in sorted(counts.items())]
    lines += ["", "`deepfixcx deidentify --explain-rules` lists them one by one.", ""]
    lines += ["## Objects without an image", "", "| kind | --also | policy |", "|---|---|---|"]
    for each in OBJECTS:
        word = each.word + (" (included)" if each.word in also else "") if each.word else "never"
        lines.append(f"| {each.name} | {word} | {each.policy} |")
    lines += ["", "Every other object without an image, and DICOM directories, are withheld.", ""]
    lines += ["## Deviations, limits and decisions", _DEVIATIONS]
    return "\n".join(lines)
