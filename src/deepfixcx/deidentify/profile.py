"""What a steward chooses: the options of PS3.15 Annex E, the private elements, the words."""

from __future__ import annotations

from dataclasses import dataclass

from deepfixcx.deidentify.actions import Action
from deepfixcx.deidentify.private import PrivateElement
from deepfixcx.deidentify.table import read_table
from deepfixcx.errors import DeidentifyError

__all__ = ["Profile"]

# Where the standard leaves a choice to what the kind of image requires, the last alternative keeps
# every kind valid, and none of them keeps the value.
_RESOLVED = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "X/Z": Action.EMPTY,
    "D": Action.DUMMY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "U": Action.UID,
    "X/Z/U*": Action.UID,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """The Basic Profile of DICOM PS3.15 Annex E and the options that loosen it.

    Without options every date, description, device and characteristic is removed or replaced.

    Parameters
    ----------
    retain_dates : bool
        Shift dates by whole weeks, the same for all images of a patient, instead of removing them:
        Retain Longitudinal Temporal Information with Modified Dates. Times of day stay. The date
        of birth is emptied all the same.
    retain_patient : bool
        Keep sex, age, size, weight and the like: Retain Patient Characteristics. Ages over 89
        stay as they are.
    retain_device : bool
        Keep serial numbers, station names and the like: Retain Device Identity.
    clean_descriptors : bool
        Keep what is harmless of descriptions: Clean Descriptors. Only words of a list of anatomy
        and technique stay.
    clean_graphics : bool
        Keep drawn lines of graphic annotations, without their texts: Clean Graphics. Overlays are
        removed all the same: no program can know that a bitmap shows no writing.
    private : frozenset of PrivateElement
        Private elements that may stay: Retain Safe Private. All others are removed.
    words : frozenset of str
        More words that descriptions may keep; needs `clean_descriptors`.

    Raises
    ------
    DeidentifyError
        Words without `clean_descriptors`, or a word that is no single word.

    References
    ----------
    DICOM PS3.15, Annex E, Attribute Confidentiality Profiles.

    Examples
    --------
    >>> Profile().action(0x00080020), Profile(retain_dates=True).action(0x00080020)
    (<Action.EMPTY: 'Z'>, <Action.CLEAN: 'C'>)
    """

    retain_dates: bool = False
    retain_patient: bool = False
    retain_device: bool = False
    clean_descriptors: bool = False
    clean_graphics: bool = False
    private: frozenset[PrivateElement] = frozenset()
    words: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse words that would do nothing."""
        if self.words and not self.clean_descriptors:
            raise DeidentifyError(
                "words are only used with clean_descriptors=True; add it, or leave the words out"
            )
        if any(not word.isalnum() for word in self.words):
            raise DeidentifyError(
                "words are single words of letters and digits; split what has spaces or signs"
            )

    def action(self, tag: int) -> Action | None:
        """Return what becomes of an attribute, None where the standard does not name it.

        Of several options the stricter wins: C over K.
        """
        row = read_table().row(tag)
        if row is None:
            return None
        codes = {code for option, code in row.options.items() if self._chosen(option)}
        for code in (Action.CLEAN, Action.KEEP):
            if code.value in codes:
                return code
        return self.basic(tag)

    def basic(self, tag: int) -> Action | None:
        """Return what the Basic Profile alone does with an attribute."""
        row = read_table().row(tag)
        return None if row is None else _RESOLVED[row.basic]

    def _chosen(self, option: str) -> bool:
        return {
            "device": self.retain_device,
            "patient": self.retain_patient,
            "dates": self.retain_dates,
            "descriptors": self.clean_descriptors,
            "graphics": self.clean_graphics,
        }[option]
