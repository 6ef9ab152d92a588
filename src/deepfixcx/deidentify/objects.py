"""DICOM objects without an image: what each kind may hold, and whether it can be de-identified."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["OBJECTS", "ObjectPolicy", "policy_of"]

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
