"""A header in, the same header without the patient out, held against the old one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from deepfixcx.deidentify.actions import Action, Actions, Handled, Method, stamp
from deepfixcx.deidentify.elements import DUMMIES, is_registered, patient_of, text_values
from deepfixcx.deidentify.free_text import FreeText
from deepfixcx.deidentify.identity import Identity
from deepfixcx.deidentify.key import Key
from deepfixcx.deidentify.leftovers import erase
from deepfixcx.deidentify.profile import PrivateElement, Profile, creator_of, read_table
from deepfixcx.deidentify.silence import silence
from deepfixcx.deidentify.walking import Walk
from deepfixcx.errors import DeidentifyError

__all__ = ["Deidentifier", "check"]


@dataclass(frozen=True, slots=True)
class Deidentifier:
    """Takes the patient out of DICOM headers, always in the same way.

    Parameters
    ----------
    profile : Profile
        What may stay.
    key : Key
        What pseudonyms, UIDs and the shift of dates are derived from.

    Examples
    --------
    >>> from pydicom import examples
    >>> hidden, actions = Deidentifier(Profile(), Key(bytes(32))).apply(examples.ct)
    >>> hidden.PatientID == actions.pseudonym != examples.ct.PatientID
    True
    >>> hidden.StudyDate, "PatientBirthDate" in hidden, hidden.Modality
    ('', True, 'CT')
    """

    profile: Profile
    key: Key

    def apply(self, dataset: Dataset, *, keep_pixels: bool = False) -> tuple[Dataset, Actions]:
        """De-identify one header.

        Parameters
        ----------
        dataset : Dataset
            As pydicom reads it; it is not changed.
        keep_pixels : bool
            Take the pixel data over. What stands behind the last pixel of uncompressed data is
            cut off. Nothing else is done to them: writing that is burned in stays, and so do
            comments inside compressed frames. Without it the header has no pixels, so that the
            caller can add others.

        Returns
        -------
        header : Dataset
            With file meta information of its own, ready for ``save_as``.
        actions : Actions
            What was done to which element.

        Raises
        ------
        DeidentifyError
            The header is a directory, is damaged beyond what can be read, or something stayed that
            the profile takes away.
        """
        with silence():
            reason: DeidentifyError
            try:
                return self._apply(dataset, keep_pixels=keep_pixels)
            except DeidentifyError:
                raise
            except RecursionError:
                reason = DeidentifyError(
                    "the header is nested too deeply and may be damaged; copy the file again "
                    "from its source"
                )
            except Exception:  # pydicom raises whatever damaged bytes lead to
                reason = DeidentifyError(
                    "the header is damaged and cannot be de-identified; copy it again from its "
                    "source"
                )
        # Raised out here, so that what quotes the header is not even the context of this error.
        raise reason

    def pseudonym(self, dataset: Dataset) -> str:
        """Return what stands for the patient of a header, as `apply` writes it."""
        with silence():
            return self.key.pseudonym(patient_of(dataset))

    def _apply(self, dataset: Dataset, *, keep_pixels: bool) -> tuple[Dataset, Actions]:
        meta = getattr(dataset, "file_meta", None) or Dataset()
        kind = dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID")
        if kind == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in dataset:
            raise DeidentifyError(
                "this is a DICOM directory (a list of files); exclude it and make a new one"
            )
        pseudonym = self.pseudonym(dataset)
        days = self.key.days(patient_of(dataset))
        profile = self.profile
        identity = Identity.of(dataset, without=profile.keeps_identifier)
        text = FreeText(identity).cleaned if profile.keep_text else None
        walk = Walk(profile, self.key, pseudonym, days, keep_pixels=keep_pixels, free_text=text)
        new = walk.header(dataset)
        if not len(new):
            raise DeidentifyError(
                "the header contains no DICOM element; copy the file again from its source"
            )
        erased = erase(
            new,
            identity,
            frozenset({pseudonym, *(rule.text for rule in profile.rules if rule.text)}),
            dates_moved=profile.retain_dates or profile.retain_full_dates,
            keep_pixels=keep_pixels,
        )
        new.PatientName = new.PatientID = pseudonym
        check(dataset, new, self.profile)
        methods, notes = claimed(profile, walk, erased)
        stamp(new, methods, notes)
        new.file_meta = _file_meta(dataset, new, keep_pixels=keep_pixels)
        instance = str(new.get("SOPInstanceUID") or "")
        return new, Actions(pseudonym, instance, (*walk.handled, *erased), methods, notes)


OPTION_METHODS: Final = {
    "device": Method.DEVICE,
    "patient": Method.PATIENT,
    "dates": Method.MODIFIED_DATES,
    "full_dates": Method.FULL_DATES,
    "uids": Method.UIDS,
    "institution": Method.INSTITUTION,
    "descriptors": Method.CLEAN_DESCRIPTORS,
    "structured": Method.CLEAN_STRUCTURED,
    "graphics": Method.CLEAN_GRAPHICS,
}
DEVICE_WITHOUT_DATES: Final = "Device identity retained, its dates shifted"
IN_PART: Final = "applied in part"
"""Stands in (0012,0063) behind the code of a chosen option that a header does not claim."""


def claimed(
    profile: Profile, walk: Walk, erased: list[Handled]
) -> tuple[tuple[Method, ...], tuple[str, ...]]:
    """Return the options that a header may claim, which were kept in full, and notes on others."""
    notes, refused = [], set()
    for rule in profile.rules:
        before, table = profile.without_rules(rule.tag), read_table().row(rule.tag)
        if rule.action is Action.KEEP is not before or (
            rule.action is Action.CLEAN and before not in (Action.CLEAN, Action.KEEP)
        ):
            refused.add(Method.BASIC)
        elif table is not None and rule.action is not before:
            refused |= {OPTION_METHODS[name] for name in table.options if profile.chosen(name)}
    if profile.keep_text:
        refused |= {Method.CLEAN_DESCRIPTORS, Method.CLEAN_STRUCTURED} & {
            OPTION_METHODS[name] for name in OPTION_METHODS if profile.chosen(name)
        }
        notes.append("free text searched for identifiers and kept")
    if profile.rules:
        notes.append(f"rules of the site for {len(profile.rules)} elements")
    lost = {each.path for each in erased}
    for each in walk.handled:
        if each.action is Action.KEEP and each.reason == "option" and each.path in lost:
            refused |= _options_that_keep(each.path, profile)
    shifted = {each.path for each in walk.handled if each.action is Action.CLEAN}
    if (
        profile.retain_device
        and profile.retain_dates
        and any(map(is_device_tag, map(tag_at, shifted)))
    ):
        refused.add(Method.DEVICE)
        notes.append(DEVICE_WITHOUT_DATES)
    notes += [f"{each.code} {IN_PART}" for each in Method if each in refused - {Method.BASIC}]
    done = {Method.BASIC: True}
    done |= {OPTION_METHODS[name]: profile.chosen(name) for name in OPTION_METHODS}
    done[Method.SAFE_PRIVATE] = walk.private_kept > 0
    return tuple(each for each in Method if done.get(each) and each not in refused), tuple(notes)


def tag_at(path: str) -> int:
    """Return the tag of the last element of a path."""
    return int(path[-10:-1].replace(",", ""), 16)


def _options_that_keep(path: str, profile: Profile) -> set[Method]:
    row = read_table().row(tag_at(path))
    codes = {} if row is None else row.options
    return {OPTION_METHODS[name] for name in codes if profile.chosen(name) and codes[name] == "K"}


def is_device_tag(tag: int) -> bool:
    """Return whether an element is K under Device Identity and C under Modified Dates."""
    row = read_table().row(tag)
    return row is not None and (row.options.get("device"), row.options.get("dates")) == ("K", "C")


def _file_meta(old: Dataset, new: Dataset, *, keep_pixels: bool) -> FileMetaDataset:
    """Make file meta information of what readers need, without names of programs or hosts."""
    meta = FileMetaDataset()
    syntax = getattr(old, "file_meta", Dataset()).get("TransferSyntaxUID")
    if syntax is None or not keep_pixels:
        implicit, little = old.original_encoding
        syntax = ExplicitVRLittleEndian
        if keep_pixels and little is False:
            syntax = ExplicitVRBigEndian
        elif keep_pixels and implicit:
            syntax = ImplicitVRLittleEndian
    meta.TransferSyntaxUID = syntax
    if "SOPClassUID" in new:
        meta.MediaStorageSOPClassUID = new.SOPClassUID
    if "SOPInstanceUID" in new:
        meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    return meta


def check(old: Dataset, new: Dataset, profile: Profile) -> None:
    """Make sure that nothing stayed that the profile takes away."""
    before = {path: each for path, _, each in _all_elements(old, sound=False)}
    for path, parent, element in _all_elements(new, sound=True):
        if not _allowed(parent, element, before.get(path), profile):
            raise DeidentifyError(
                f"element {path} was not de-identified according to the profile, so this header "
                "must not be shared; report this error of deepfixcx"
            )


def _allowed(
    parent: Dataset, element: DataElement, before: DataElement | None, profile: Profile
) -> bool:
    tag = element.tag
    if tag.is_private:
        if tag.is_private_creator:
            return True
        named = PrivateElement(creator_of(parent, tag), tag.group, tag.element & 0xFF)
        return named in profile.private
    number = int(tag)
    action = profile.action(number)
    if action is Action.REMOVE:
        return False
    if action in (None, Action.KEEP):
        return True
    rule = profile.rule(number)
    old = set() if before is None else set(text_values(before)) - {""}
    same = set(text_values(element)) & old - {rule.text if rule else None}
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
    for tag in sorted(header.keys(), key=int):
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
