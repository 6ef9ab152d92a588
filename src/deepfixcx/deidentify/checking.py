"""The new header held against the old one, before it may say that it was de-identified."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from deepfixcx.deidentify.actions import Action
from deepfixcx.deidentify.dummies import DUMMIES, is_registered
from deepfixcx.deidentify.patient import text_values
from deepfixcx.deidentify.private import PrivateElement, creator_of
from deepfixcx.deidentify.profile import Profile
from deepfixcx.errors import DeidentifyError

__all__ = ["check"]


def check(old: Dataset, new: Dataset, profile: Profile) -> None:
    """Make sure that nothing stayed that the profile takes away.

    Raises
    ------
    DeidentifyError
        Something stayed. The message names the element, not its value.
    """
    before = {
        path: set(text_values(each)) - {""} for path, _, each in _all_elements(old, sound=False)
    }
    for path, parent, element in _all_elements(new, sound=True):
        if not _allowed(parent, element, before.get(path, set()), profile):
            raise DeidentifyError(
                f"element {path} was not de-identified as the profile says, so this header must "
                f"not be shared; report it as a mistake of deepfixcx"
            )


def _allowed(parent: Dataset, element: DataElement, old: set[str], profile: Profile) -> bool:
    tag = element.tag
    if tag.is_private:
        if tag.is_private_creator:
            return True
        named = PrivateElement(creator_of(parent, tag), tag.group, tag.element & 0xFF)
        return named in profile.private
    action = profile.action(tag)
    if action is Action.REMOVE:
        return False
    if action in (None, Action.KEEP):
        return True
    same = set(text_values(element)) & old
    if element.VR == "UI":
        return all(map(is_registered, same))
    if action is Action.CLEAN:
        # Harmless words may stay as they were; a date or a title may not.
        return not same or element.VR not in ("DA", "DT", "AE")
    return element.VR == "SQ" or same <= {str(DUMMIES.get(element.VR))}


def _all_elements(
    header: Dataset, path: str = "", *, sound: bool
) -> Iterator[tuple[str, Dataset, DataElement]]:
    """Yield the elements of a header; in a sound one, each has to be readable."""
    for tag in sorted(header.keys()):
        try:
            element = header[tag]
            items = list(element.value or []) if element.VR == "SQ" else []
        except Exception:  # pydicom raises whatever damaged bytes lead to
            if sound:
                raise
            continue
        where = f"{path}{element.tag}".replace(" ", "")
        yield where, header, element
        for number, item in enumerate(items):
            yield from _all_elements(item, f"{where}[{number}]", sound=sound)
