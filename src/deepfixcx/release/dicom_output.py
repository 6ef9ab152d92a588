"""A privatized image as DICOM: the de-identified header of its source, and new identifiers.

One file for each input, with all its frames. What was no DICOM file becomes a Secondary Capture
image of the patient that the table IN names, or of a patient of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from deepfixcx import __version__
from deepfixcx.errors import DeidentifyError, ImageFileError
from deepfixcx.images import ImageFrames
from deepfixcx.images.reading import read_header
from deepfixcx.release.deidentified import DeidentifyOptions
from deepfixcx.release.options import ReleaseOptions
from deepfixcx.release.storage import open_hashed

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from deepfixcx.deidentify import Deidentifier, MappingTable, Profile
    from deepfixcx.images.dicom.geometry import Lattice
    from deepfixcx.images.dicom.reading import DicomHeader
    from deepfixcx.images.dicom.writing import Derivation
    from deepfixcx.release.ledger import Ledger
    from deepfixcx.release.plan import Plan

T = TypeVar("T")

__all__ = ["DicomOutput", "DicomSource", "dicom_output", "write_patients"]


@dataclass(frozen=True)  # without slots, which make pickling slow
class DicomSource:
    """What one input gives to the DICOM file that is made of it."""

    header: DicomHeader | None = field(repr=False)
    content: str
    frames: ImageFrames = field(repr=False)
    masked: int
    patient: str = field(default="", repr=False)
    slices: int = 1
    """Slices of the volume of which this is one."""
    lattice: Lattice | None = None
    """Where the pixels of a slice lie on those of its source."""


@dataclass(frozen=True)  # without slots, which make pickling slow
class DicomOutput:
    """Writes DICOM files; it travels to the workers with the key in it."""

    deidentifier: Deidentifier = field(repr=False)
    options: ReleaseOptions

    def content(self, source: DicomSource, images: Sequence[NDArray[Any]]) -> bytes:
        """Return one DICOM file."""
        from deepfixcx.images.dicom.writing import dicom_bytes

        return dicom_bytes(self.dataset(source, images))

    def patient(self, source: DicomSource) -> str:
        """Return the pseudonym of the patient, as it stands in the file."""
        if source.header is not None:
            return self.deidentifier.pseudonym(source.header.dataset)
        if source.patient:
            return self.deidentifier.key.pseudonym(("id", "", source.patient))
        return self.deidentifier.key.pseudonym(("file", source.content))

    def dataset(self, source: DicomSource, images: Sequence[NDArray[Any]]) -> Dataset:
        """Return the data set of that file."""
        return _guarded(lambda: self._dataset(source, images))

    def identifiers(self, source: DicomSource) -> tuple[str, str, str]:
        """Return study, series and instance as they stand in that file."""

        def found() -> tuple[str, str, str]:
            header = self._header(source)
            made = self._derivation(source, header)
            return str(header.StudyInstanceUID), made.series_uid, made.instance_uid

        return _guarded(found)

    def _dataset(self, source: DicomSource, images: Sequence[NDArray[Any]]) -> Dataset:
        from deepfixcx.images.dicom.geometry import lattice_of
        from deepfixcx.images.dicom.writing import derived_dataset

        height, width = source.frames.pixels.shape[2:]
        header = self._header(source)
        return derived_dataset(
            header,
            images,
            bits=source.frames.bits,
            derivation=self._derivation(source, header),
            lattice=source.lattice
            or lattice_of(self.options.spec, self.options.size, height, width),
        )

    def _header(self, source: DicomSource) -> Dataset:
        from pydicom.dataset import Dataset

        key = self.deidentifier.key
        if source.header is not None:
            header, _ = self.deidentifier.apply(source.header.dataset)
        else:
            header = Dataset()
            header.PatientID = header.PatientName = self.patient(source)
        if not header.get("StudyInstanceUID"):
            header.StudyInstanceUID = key.uid(_one("study", source.content))
        return header

    def _derivation(self, source: DicomSource, hidden: Dataset) -> Derivation:
        """Say how an image was made; only of `hidden`, the new header, are texts repeated."""
        from deepfixcx.images.dicom.geometry import unusable_spacings
        from deepfixcx.images.dicom.writing import Derivation, lossy_before

        options, key = self.options, self.deidentifier.key
        setting = json.dumps(
            {name: options.to_dict()[name] for name in ("spec", "size", "mask")}, sort_keys=True
        )
        series, before = source.content, tuple[tuple[str, str], ...]()
        notes = f"; {source.masked} regions painted black before" if source.masked else ""
        channels, height, width = source.frames.pixels.shape[1:]
        if source.header is not None:
            header = source.header.dataset
            series = str(header.get("SeriesInstanceUID") or source.content)
            pixels = source.frames.pixels.size * source.frames.bits // 8
            ratio = pixels / max(1, source.header.stored)
            before = lossy_before(hidden, source.header.syntax, ratio)
            if unusable := unusable_spacings(header):
                notes += f"; left out, as not two positive numbers: {', '.join(unusable)}"
        kept = channels * prod(options.spec.compact_shape())
        return Derivation(
            description=f"deepfixcx {__version__}: {options.size} reconstruction of a code of "
            f"wavelet packets pooled in cells, {options.spec}{notes}",
            instance_uid=key.uid(_one("image", source.content, setting)),
            series_uid=key.uid(_one("series", series, setting)),
            ratio=channels * source.slices * height * width / kept,
            resampled=options.size == "compact",
            before=before,
        )


def _guarded(make: Callable[[], T]) -> T:
    """Return what is made of a header, or raise an error that quotes nothing of it."""
    from deepfixcx.images.reading import QUIET

    reason: DeidentifyError
    with QUIET:
        try:
            return make()
        except DeidentifyError:
            raise
        except Exception:
            reason = DeidentifyError(
                "the header is damaged, so no valid DICOM file can be made; copy the file "
                "again from its source, or choose another --output"
            )
    # Raised out here, so that what quotes the header is not even the context of this error.
    raise reason


def dicom_output(options: ReleaseOptions, key: Path, release: Path | str) -> DicomOutput:
    """Prepare the writing of DICOM files; the key file is made on first use."""
    from deepfixcx.deidentify import Deidentifier, load_key

    own = options.known_profile if isinstance(options, DeidentifyOptions) else None
    profile = own or _profile(options)
    apart_from = release if isinstance(release, Path) else ""
    return DicomOutput(Deidentifier(profile, load_key(key, apart_from=apart_from)), options)


def _profile(options: ReleaseOptions) -> Profile:
    from deepfixcx.deidentify import Profile

    retained = options.retain
    return Profile(
        retain_dates="dates" in retained,
        retain_patient="patient" in retained,
        retain_device="device" in retained,
        clean_descriptors="descriptors" in retained,
    )


def patients_table(table: Path, release: Path | str) -> MappingTable:
    """Return the table of patients at a place, with the rows that it has."""
    from deepfixcx.deidentify import MappingTable

    apart_from = release if isinstance(release, Path) else table / "release"
    return MappingTable(table, apart_from=apart_from)


def check_table(table: Path, release: Path | str) -> None:
    """See that a table of patients may be written, before any work."""
    from deepfixcx.errors import DeidentifyError

    if table.suffix.lower() != ".csv":
        raise DeidentifyError(
            f"the table of pseudonyms is a CSV file; name it {table.with_suffix('.csv').name!r}"
        )
    patients_table(table, release)


def write_patients(
    table: Path,
    plan: Plan,
    ledger: Ledger,
    dicom: DicomOutput,
    release: Path | str,
    listed: Mapping[str, str],
) -> None:
    """Write which pseudonym is whose, by headers of inputs or who a table says they are of."""
    from pydicom.dataset import Dataset

    patients, key = patients_table(table, release), dicom.deidentifier.key
    failed = {row.source_id for row in ledger.records() if row.error}
    for source in (each.source for each in plan.items if each.source_id not in failed):
        patient = listed.get(source.name, "")
        with suppress(ImageFileError):
            stream, _ = open_hashed(source.path)
            with stream:
                header = read_header(stream)
            if header is not None:
                patients.add(header.dataset, dicom.deidentifier.pseudonym(header.dataset))
            elif patient:
                named = Dataset()
                named.PatientID = patient
                patients.add(named, key.pseudonym(("id", "", patient)))
    patients.save()


def _one(*parts: str) -> str:
    """Join parts into one text that no other parts give."""
    return json.dumps(["deepfixcx", *parts])
