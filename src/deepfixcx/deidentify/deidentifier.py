"""A header in, the same header without the patient out, held against the old one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from deepfixcx.deidentify.actions import Action, Actions, Method, stamp
from deepfixcx.deidentify.elements import DUMMIES, is_registered, patient_of, text_values
from deepfixcx.deidentify.identity import Identity
from deepfixcx.deidentify.key import Key
from deepfixcx.deidentify.leftovers import erase
from deepfixcx.deidentify.profile import PrivateElement, Profile, creator_of
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
        walk = Walk(self.profile, self.key, pseudonym, days, keep_pixels=keep_pixels)
        new = walk.header(dataset)
        if not len(new):
            raise DeidentifyError(
                "the header contains no DICOM element; copy the file again from its source"
            )
        handled = walk.handled + erase(
            new,
            Identity.of(dataset),
            frozenset({pseudonym}),
            dates_moved=self.profile.retain_dates,
            keep_pixels=keep_pixels,
        )
        new.PatientName = new.PatientID = pseudonym
        check(dataset, new, self.profile)
        methods = self._methods(walk.private_kept)
        stamp(new, methods)
        new.file_meta = _file_meta(dataset, new, keep_pixels=keep_pixels)
        instance = str(new.get("SOPInstanceUID") or "")
        return new, Actions(pseudonym, instance, tuple(handled), methods)

    def _methods(self, private_kept: int) -> tuple[Method, ...]:
        profile = self.profile
        done = {
            Method.BASIC: True,
            Method.CLEAN_GRAPHICS: profile.clean_graphics,
            Method.CLEAN_DESCRIPTORS: profile.clean_descriptors,
            Method.MODIFIED_DATES: profile.retain_dates,
            Method.PATIENT: profile.retain_patient,
            Method.DEVICE: profile.retain_device,
            Method.SAFE_PRIVATE: private_kept > 0,
        }
        return tuple(method for method, was_done in done.items() if was_done)


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
    before = {
        path: set(text_values(each)) - {""} for path, _, each in _all_elements(old, sound=False)
    }
    for path, parent, element in _all_elements(new, sound=True):
        if not _allowed(parent, element, before.get(path, set()), profile):
            raise DeidentifyError(
                f"element {path} was not de-identified according to the profile, so this header "
                "must not be shared; report this error of deepfixcx"
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
