"""What comes out of a header, and what never does."""

from __future__ import annotations

import copy
import io
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread, examples
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import UID

from deepfixcx.deidentify import (
    Action,
    Deidentifier,
    Key,
    Method,
    PrivateElement,
    Profile,
    stamp,
)
from deepfixcx.deidentify.deidentifier import check
from deepfixcx.deidentify.silence import silence
from deepfixcx.deidentify.walking import Walk
from deepfixcx.errors import DeepfixcxError, DeidentifyError
from tests.deidentify.making import EVERYTHING, KEY, make_header

BASIC = Deidentifier(Profile(), KEY)
ALL = Deidentifier(EVERYTHING, KEY)


def written(header: Dataset) -> bytes:
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_same_patient_same_pseudonym_in_any_run_with_the_key() -> None:
    again = Deidentifier(EVERYTHING, Key(KEY.secret))
    first, _ = BASIC.apply(make_header())
    second, _ = again.apply(make_header(StudyInstanceUID="1.2.826.0.1.77.9", PatientName="X"))
    other, _ = BASIC.apply(make_header(PatientID="HOSP-774412"))
    elsewhere, _ = Deidentifier(Profile(), Key(b"2" * 32)).apply(make_header())
    assert first.PatientID == second.PatientID == str(first.PatientName)
    assert len({first.PatientID, other.PatientID, elsewhere.PatientID}) == 3


def test_issuer_distinguishes_equal_numbers() -> None:
    here, _ = BASIC.apply(make_header(IssuerOfPatientID="A"))
    there, _ = BASIC.apply(make_header(IssuerOfPatientID="B"))
    assert here.PatientID != there.PatientID


def test_patients_without_number_are_distinguished() -> None:
    named = [make_header(PatientID="", PatientName=name) for name in ("Doe^Jane", "DOE^JANE ", "X")]
    nobody = [
        make_header(PatientID="", PatientName="", StudyInstanceUID=uid)
        for uid in ("1.2.3.4", "1.2.3.5")
    ]
    seen = [BASIC.apply(header)[0].PatientID for header in named + nobody]
    assert seen[0] == seen[1]
    assert len(set(seen)) == 4


def test_uids_stay_consistent_inside_and_between_files() -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    reference.ReferencedSOPInstanceUID = "1.2.826.0.1.77.1"
    one, actions = BASIC.apply(make_header())
    two, _ = BASIC.apply(
        make_header(
            SOPInstanceUID="1.2.826.0.1.77.8", ReferencedImageSequence=Sequence([reference])
        )
    )
    pointed = two.ReferencedImageSequence[0]
    assert pointed.ReferencedSOPInstanceUID == one.SOPInstanceUID == actions.sop_instance_uid
    assert pointed.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert UID(one.SOPInstanceUID).is_valid
    assert one.StudyInstanceUID == two.StudyInstanceUID


def test_uids_of_the_standard_itself_stay() -> None:
    atlas = "1.2.840.10008.1.4.1.1"
    new, _ = BASIC.apply(make_header(FrameOfReferenceUID=atlas))
    assert new.FrameOfReferenceUID == atlas
    assert new.SOPClassUID == make_header().SOPClassUID


def test_dates_of_a_patient_keep_their_distances() -> None:
    dates = ["20200228", "20200301", "20210304"]
    new = [ALL.apply(make_header(StudyDate=date))[0].StudyDate for date in dates]
    days = [np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") for d in new]
    assert (np.diff(days).astype(int) == [2, 368]).all()
    moved = (np.datetime64("2020-02-28") - days[0]).astype(int)
    assert moved > 0
    assert moved % 7 == 0


def test_source_is_not_changed() -> None:
    source = make_header(InstitutionName="Clinic", StudyDescription="Chest")
    before = copy.deepcopy(source)
    ALL.apply(source)
    assert source == before


def test_private_elements_go_but_for_those_allowed() -> None:
    header = make_header()
    block = header.private_block(0x0019, "ACME COILS 1", create=True)
    block.add_new(0x01, "DS", "1.5")
    block.add_new(0x02, "LO", "secret note")
    other = header.private_block(0x0029, "ACME NOTES", create=True)
    other.add_new(0x01, "LO", "another note")
    new, _ = BASIC.apply(header)
    assert not any(element.tag.is_private for element in new)
    allowed = Profile(private=frozenset({PrivateElement("ACME COILS 1", 0x0019, 0x01)}))
    new, actions = Deidentifier(allowed, KEY).apply(header)
    kept = [element for element in new if element.tag.is_private]
    assert [str(element.value) for element in kept] == ["ACME COILS 1", "1.5"]
    assert Method.SAFE_PRIVATE in actions.methods
    _, actions = Deidentifier(allowed, KEY).apply(make_header())
    assert Method.SAFE_PRIVATE not in actions.methods


def test_private_elements_are_found_in_any_block() -> None:
    allowed = Profile(private=frozenset({PrivateElement("ACME", 0x0019, 0x05)}))
    header = make_header()
    header.add_new(0x00190010, "LO", "OTHER")
    header.add_new(0x00191005, "LO", "hidden")
    header.add_new(0x00190011, "LO", "ACME")
    header.add_new(0x00191105, "DS", "2")
    new, _ = Deidentifier(allowed, KEY).apply(header)
    assert [element.tag for element in new if element.tag.is_private] == [0x00190011, 0x00191105]


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_sequences_are_gone_into(depth: int) -> None:
    inner = Dataset()
    inner.PatientID = "HOSP-774411"
    inner.PatientAddress = "Lindenweg 5"
    inner.private_block(0x0019, "ACME", create=True).add_new(1, "LO", "note")
    for _ in range(depth):
        outer = Dataset()
        outer.AnatomicRegionSequence = Sequence([inner])
        inner = outer
    new, _ = ALL.apply(make_header(AnatomicRegionSequence=inner.AnatomicRegionSequence))
    for _ in range(depth):
        new = new.AnatomicRegionSequence[0]
    assert new.PatientID == ALL.apply(make_header())[0].PatientID
    assert len(new) == 1


def test_names_are_erased_in_unexpected_elements() -> None:
    header = make_header(
        Manufacturer="Acme for Ottilie",
        SoftwareVersions="v 774411",
        BodyPartExamined="WINTERBOTTOM",
        SequenceName="HOSP-774411",
        ImageType=["ORIGINAL", "PRIMARY"],
    )
    new, actions = ALL.apply(header)
    assert not new.Manufacturer
    assert not new.BodyPartExamined
    assert not new.SequenceName
    assert not new.SoftwareVersions  # the digits of a number, without its letters
    assert list(new.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert {each.reason for each in actions.handled} >= {"name inside", "table"}


def test_short_texts_that_no_table_names_are_cleaned() -> None:
    header = make_header(
        ContentDescription="Trial of Prof. Hansen, chest",
        Manufacturer="Acme",
        DerivationDescription="x",
    )
    segment = Dataset()
    segment.SegmentLabel = "liver of no. 5"
    segment.SegmentNumber = 1
    header.SegmentSequence = Sequence([segment])
    new, _ = BASIC.apply(header)
    assert new.ContentDescription == "chest"
    assert new.SegmentSequence[0].SegmentLabel == "liver"
    assert new.SegmentSequence[0].SegmentNumber == 1
    assert new.Manufacturer == "Acme"


@pytest.mark.parametrize(("scheme", "meaning"), [("SCT", "Lung of Hansen"), ("99HOME", "REMOVED")])
def test_codes_of_known_schemes_stay(scheme: str, meaning: str) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "39607008", scheme, meaning
    if scheme == "99HOME":
        code.CodeMeaning = "Ward of Hansen"
    new, _ = BASIC.apply(make_header(AnatomicRegionSequence=Sequence([code])))
    item = new.AnatomicRegionSequence[0]
    assert item.CodeMeaning == meaning
    assert (item.CodeValue == "39607008") is (scheme == "SCT")


def test_descriptions_keep_harmless_words_only() -> None:
    words = Profile(clean_descriptors=True, words=frozenset({"Frobnication"}))
    header = make_header(
        StudyDescription="CHEST PA frobnication for Dr. Hansen", SeriesDescription="Hansen"
    )
    assert "StudyDescription" not in BASIC.apply(header)[0]
    new, actions = Deidentifier(words, KEY).apply(header)
    assert new.StudyDescription == "CHEST PA frobnication"
    assert "SeriesDescription" not in new
    assert Method.CLEAN_DESCRIPTORS in actions.methods


def test_graphics_keep_lines_without_texts() -> None:
    lines, texts, note = Dataset(), Dataset(), Dataset()
    lines.GraphicData, lines.GraphicType = [1.0, 2.0], "POINT"
    texts.UnformattedTextValue = "Hansen"
    note.GraphicLayer = "LAYER1"
    note.GraphicObjectSequence = Sequence([lines])
    note.TextObjectSequence = Sequence([texts])
    header = make_header(GraphicAnnotationSequence=Sequence([note]))
    header.add_new(0x60000010, "US", 1)
    header.add_new(0x60000022, "LO", "drawn by Hansen")
    header.add_new(0x60003000, "OB", b"\0\1")
    new, _ = ALL.apply(header)
    (kept,) = new.GraphicAnnotationSequence
    assert kept.GraphicObjectSequence[0].GraphicData == [1.0, 2.0]
    assert "TextObjectSequence" not in kept
    assert not any(element.tag.group == 0x6000 for element in new)
    basic, _ = BASIC.apply(header)
    assert basic.GraphicAnnotationSequence[0].GraphicLayer == "REMOVED"


def test_what_was_done_is_stamped_with_the_codes_of_the_standard() -> None:
    new, actions = ALL.apply(make_header(DeidentificationMethod="by Hansen"))
    stamped = {
        (item.CodeValue, item.CodeMeaning) for item in new.DeidentificationMethodCodeSequence
    }
    known = {
        (code.value, code.meaning)
        for code in (getattr(codes.cid7050, name) for name in codes.cid7050.dir())
    }
    assert stamped <= known
    assert {code for code, _ in stamped} == {
        "113100",
        "113103",
        "113105",
        "113107",
        "113108",
        "113109",
    }
    assert new.PatientIdentityRemoved == "YES"
    assert new.LongitudinalTemporalInformationModified == "MODIFIED"
    assert "Hansen" not in str(new.DeidentificationMethod)
    basic, _ = BASIC.apply(make_header())
    assert [item.CodeValue for item in basic.DeidentificationMethodCodeSequence] == ["113100"]
    assert basic.LongitudinalTemporalInformationModified == "REMOVED"
    stamp(new, [*actions.methods, Method.CLEAN_PIXELS])
    assert new.DeidentificationMethodCodeSequence[-1].CodeValue == "113101"
    assert all((method.code, method.meaning) in known for method in Method)


def test_nothing_is_stamped_that_was_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the rules ends in an error and not in a stamp."""
    real = Walk.header

    def forgetful(self: Walk, old: Dataset, path: str = "") -> Dataset:
        new = real(self, old, path)
        if not path:
            new.PatientSex = old.PatientSex
        return new

    monkeypatch.setattr(Walk, "header", forgetful)
    with pytest.raises(DeidentifyError, match=r"\(0010,0040\).*must not be shared"):
        BASIC.apply(make_header())


def test_pixels_stay_only_when_asked_and_without_what_follows_them() -> None:
    pixels = np.arange(15, dtype=np.uint8)
    header = make_header(
        Rows=3,
        Columns=5,
        SamplesPerPixel=1,
        BitsAllocated=8,
        PhotometricInterpretation="MONOCHROME2",
    )
    header.add_new(0x7FE00010, "OB", pixels.tobytes() + b"by Hansen")
    header.add_new(0xFFFCFFFC, "OB", b"padding of Hansen ")
    assert "PixelData" not in BASIC.apply(header)[0]
    new, _ = BASIC.apply(header, keep_pixels=True)
    assert new.PixelData == pixels.tobytes() + b"\0"
    assert b"Hansen" not in written(new)


@pytest.mark.parametrize("name", ["ct", "mr", "rt_plan", "jpeg2k"])
def test_examples_are_written_and_read_again(name: str) -> None:
    source = getattr(examples, name)
    for each in (BASIC, ALL):
        new, _ = each.apply(source, keep_pixels=True)
        again = dcmread(io.BytesIO(written(new)))
        assert again.PatientID == new.PatientID
        if "PixelData" in source:
            assert (again.pixel_array == source.pixel_array).all()


def test_header_without_pixels_is_written_plainly() -> None:
    new, _ = BASIC.apply(examples.jpeg2k)
    assert dcmread(io.BytesIO(written(new))).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_actions_name_elements_and_no_values() -> None:
    header = make_header(PatientAddress="Lindenweg 5", InstitutionName="Clinic of Hope")
    _, actions = ALL.apply(header)
    said = repr(actions)
    assert "(0010,1040)" in said
    assert Action.REMOVE.value in actions.counts()
    for secret in ("Winterbottom", "774411", "Lindenweg", "Hope", "20210304", "19510607"):
        assert secret not in said


def test_directory_is_refused() -> None:
    header = make_header(SOPClassUID="1.2.840.10008.1.3.10")
    with pytest.raises(DeidentifyError, match="directory"):
        BASIC.apply(header)


@pytest.mark.parametrize("header", [Dataset(), None], ids=["empty", "unknown"])
def test_header_of_nothing_known_is_refused(header: Dataset | None) -> None:
    if header is None:
        header = Dataset()
        header.add_new(0x08200500, "UN", b"junk")
    with pytest.raises(DeidentifyError, match="no DICOM element"):
        BASIC.apply(header)


def test_bottomless_header_is_an_error() -> None:
    inner = Dataset()
    for _ in range(100):
        outer = Dataset()
        outer.AnatomicRegionSequence = Sequence([inner])
        inner = outer
    header = make_header(AnatomicRegionSequence=inner.AnatomicRegionSequence)
    with pytest.raises(DeidentifyError, match="nested too deeply"):
        BASIC.apply(header)


def test_words_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(DeidentifyError, match="clean_descriptors"):
        Profile(words=frozenset({"chest"}))
    with pytest.raises(DeidentifyError, match="single words"):
        Profile(words=frozenset({"two words"}), clean_descriptors=True)


def dicom_files(folder: Path) -> list[Path]:
    return sorted((folder / "dicom").rglob("*.dcm"))


def test_every_file_of_the_data_folder_is_handled(
    data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refused = []
    for path in dicom_files(data_folder):
        for each in (BASIC, ALL):
            with silence():
                header = dcmread(path, force=True)
            caplog.clear()
            try:
                new, _ = each.apply(header, keep_pixels=True)
            except DeepfixcxError:
                refused.append(path.name)
                continue
            assert caplog.text == ""
            assert new.PatientIdentityRemoved == "YES"
            if "SOPClassUID" in new and "SOPInstanceUID" in new:
                with silence():
                    again = dcmread(io.BytesIO(written(new)))
                assert again.PatientID == new.PatientID
    healthy = {path.name for path in (data_folder / "dicom" / "files").glob("*.dcm")}
    # Of two pydicom reads no element that it knows; two do not say how many pixels there are.
    assert healthy & set(refused) <= {
        "no_meta.dcm",
        "emri_small_jpeg_2k_lossless_too_short.dcm",
        "badVR.dcm",
        "meta_missing_tsyntax.dcm",
    }


@given(data=st.data())
def test_damaged_bytes_never_crash(data: st.DataObject) -> None:
    source = bytearray(Path(str(examples.get_path("rt_plan"))).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        source[data.draw(st.integers(132, len(source) - 1))] = data.draw(st.integers(0, 255))
    try:
        with silence():
            header = dcmread(io.BytesIO(bytes(source)), force=True)
    except Exception:  # pydicom itself refuses it
        return
    try:
        new, _ = ALL.apply(header)
    except DeepfixcxError:
        return
    assert new.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize("lacking", ["Rows", "BitsAllocated"])
def test_pixels_without_a_known_end_are_not_kept(lacking: str) -> None:
    header = copy.deepcopy(examples.ct)
    header.PixelData = bytes(header.PixelData) + b"Hansen^Anna "
    kept, _ = Deidentifier(Profile(), KEY).apply(header, keep_pixels=True)
    assert b"Hansen" not in kept.PixelData
    del header[lacking]
    with pytest.raises(DeidentifyError, match="the number of pixels"):
        Deidentifier(Profile(), KEY).apply(header, keep_pixels=True)
    assert "PixelData" not in Deidentifier(Profile(), KEY).apply(header)[0]


def test_what_cannot_be_read_in_the_new_header_is_no_proof() -> None:
    old, new = make_header(), Dataset()
    broken = RawDataElement(Tag(0x00280010), "US", 3, b"abc", 0, False, True)
    new._dict[broken.tag] = broken
    with pytest.raises(BytesLengthException), silence():
        check(old, new, Profile())
    old._dict[broken.tag] = broken
    check(old, Dataset(), Profile())  # of the old one it is only not compared with
