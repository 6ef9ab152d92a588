"""Which objects a route takes, and the profile by which it changes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deepfixcx.errors import NodeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from deepfixcx.deidentify import Deidentifier
    from deepfixcx.release.deidentified import DeidentifyOptions

__all__ = ["Profile", "Route", "check_keyword", "make_profile", "sop_class_uid"]

NAMES: Final = {
    "kind": str,
    "key": str,
    "retain": list,
    "rules": str,
    "private_elements": str,
    "mask": str,
    "ocr": str,
    "also": list,
    "max_pixels": int,
}
"""Names of a profile in the configuration; those of the options of ``deepfixcx deidentify``."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is done to an object: options of ``deepfixcx deidentify``, and the key."""

    name: str
    options: DeidentifyOptions
    deidentifier: Deidentifier = field(repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """Which objects get which profile and go to which destinations."""

    name: str
    profile: str
    to: tuple[str, ...]
    sources: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    sop_class: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()

    def takes(self, header: Dataset, calling: str) -> bool:
        """Return whether this route is for an object."""
        return (
            (not self.sources or calling in self.sources)
            and (not self.modality or self._is_one(header, "Modality", self.modality))
            and (not self.sop_class or self._is_one(header, "SOPClassUID", self.sop_class))
            and all(self._is_one(header, keyword, (pattern,)) for keyword, pattern in self.where)
        )

    @staticmethod
    def _is_one(header: Dataset, keyword: str, patterns: Iterable[str]) -> bool:
        """Return whether a value of an element fits a pattern; one that is absent is empty."""
        value = header.get(keyword)
        values = [value] if value is None or isinstance(value, str) else value
        values = values if isinstance(values, list) or hasattr(values, "__iter__") else [values]
        texts = ["" if each is None else str(each).strip() for each in values]
        return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)


def make_profile(name: str, content: Any, folder: Path, inbox: Path) -> Profile:
    """Make a profile of its table; paths are relative to a folder, and the key is made if new."""
    where = f"[profiles.{name}]"
    if not isinstance(content, dict):
        raise NodeError(f"{where} is not a table")
    if unknown := sorted(set(content) - set(NAMES)):
        raise NodeError(
            f"{where} has an unknown name, {unknown[0]!r}; known are {', '.join(sorted(NAMES))}"
        )
    for each, value in content.items():
        texts = value if isinstance(value, list) else ()
        if type(value) is not NAMES[each] or not all(isinstance(text, str) for text in texts):
            raise NodeError(f"{where} {each} has a value of the wrong type")
    if content.get("kind") != "deidentify":
        raise NodeError(f'{where} has kind {content.get("kind")!r}; it is "deidentify"')
    if "key" not in content:
        raise NodeError(f"{where} has no 'key'; name the key file, which is made on first use")
    from deepfixcx.deidentify import Deidentifier, load_key
    from deepfixcx.images import DEFAULT_MAX_PIXELS
    from deepfixcx.release.deidentified import (
        DeidentifyOptions,
        chosen_mask,
        chosen_objects,
        chosen_profile,
    )

    def path(each: str) -> Path | None:
        return folder / content[each] if each in content else None

    mask = content.get("mask")
    if mask is not None and mask not in ("phi", "all"):
        mask = str(folder / mask)
    rules = chosen_profile(content.get("retain", []), path("rules"), path("private_elements"))
    options = DeidentifyOptions(
        profile=rules,
        also=chosen_objects(content.get("also", [])),
        mask=None if mask is None else chosen_mask(mask, content.get("ocr", "tesseract")),
        max_pixels=content.get("max_pixels", DEFAULT_MAX_PIXELS),
    )
    key = load_key(folder / content["key"], apart_from=inbox)
    return Profile(name, options, Deidentifier(rules, key))


def sop_class_uid(text: str, where: str) -> str:
    """Return the UID of a SOP class that is named by its keyword or UID."""
    from pydicom._uid_dict import UID_dictionary

    if re.fullmatch(r"[0-9.]{1,64}", text):
        return text
    for uid, row in UID_dictionary.items():
        if row[4] == text:
            return uid
    raise NodeError(f"{where}: {text!r} is no SOP class; write its UID or keyword")


def check_keyword(keyword: str, where: str) -> None:
    """Refuse a condition on an attribute that does not exist."""
    from pydicom.datadict import tag_for_keyword

    if tag_for_keyword(keyword) is None:
        raise NodeError(f"{where}: {keyword!r} is no attribute of DICOM; write its keyword")
