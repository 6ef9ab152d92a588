"""Names, numbers and dates are taken out of every element, in every way that they are written."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deepfixcx.deidentify import Deidentifier, PrivateElement, Profile
from deepfixcx.deidentify.silence import silence
from deepfixcx.errors import DeidentifyError
from tests.deidentify.making import EVERYTHING, KEY, make_header, save

BASIC, ALL = Deidentifier(Profile(), KEY), Deidentifier(EVERYTHING, KEY)

WRITTEN = [
    ("Mustermann^Hansjakob", "t1_Mustermann"),
    ("Mustermann^Hansjakob", "MUSTERMANN1"),
    ("Mustermann^Hansjakob", "x7Hansjakob9"),
    ("Mustermann^Hansjakob", "PraxisMustermann"),
    ("Mustermann^Hansjakob", "praxismustermann"),
    ("Mustermann^Hansjakob", "hmustermann"),
    ("Mustermann^Hansjakob", "MustermannH"),
    ("Mustermann^Hansjakob", "HansjakobMustermann"),
    ("Mustermann^Hansjakob", "H. M."),
    ("Mustermann^Hansjakob", "Muster-\nmann"),
    ("Meier-Mustermann^Anna", "MUSTERMANN KNIE"),
    ("Meyer-Igelsbach^Ute", "IGELSBACH"),
    ("Müller^Jörg", "MUELLER"),
    ("Müller^Jörg", "MULLER"),
    ("MUELLER^JOERG", "Müller"),
    ("Muller^Jorg", "Mueller"),
    ("Groß^Åse", "GROSS"),
    ("Gross^Aase", "Åse"),
    ("Sørensen^Bjørn", "SOERENSEN"),
    ("Łukasz^Świętosława", "swietoslawa"),
    ("Nguyễn^Thị^Hoa", "NGUYEN"),
    ("Nguyễn^Thị^Hoa", "Hoa"),
    ("Đặng^Bích", "DANG"),
    ("García-Lorca y Vega^José", "GARCIA"),
    ("García Lorca^José", "garcialorca"),
    ("O'Neill^Sean", "ONEILL"),
    ("ONeill^Sean", "O'Neill"),
    ("van der Berg^Jan", "VanDerBerg"),
    ("van der Berg^Jan", "Berg, v.d."),
    ("McDonald^Fay", "Mc Donald"),
    ("Иванов^Алексей", "Ivanov"),
    ("Иванов^Алексей", "IWANOW"),
    ("Ivanov^Aleksey", "Иванов"),
    ("Παπαδόπουλος^Γιώργος", "Papadopoulos"),
    ("Wang^XiaoDong=王^小东", "王小东"),
    ("Wang^XiaoDong=王^小东", "xiao dong"),
    ("王^小东", "Xiaodong"),
    ("محمد^علي", "محمد"),
    ("Li^Wu", "Li"),
    ("Li^Wu", "*se2d_wu"),
    ("Ng^Bo", "BO"),
    ("Head^Long", "LONG"),
    ("Max^Kim", "kim"),
    ("Nguyễn^Thị^Bích", "NTB"),
    ("McDonald^Ron", "MacDonald"),
    ("van der Berg^Jan", "VDBerg"),
    ("al-Ḥasan^ʿAbd ar-Raḥmān", "Rahman"),
    ("Þórsdóttir^Ása", "THORSDOTTIR"),
    ("Çelik^İpek", "ipek"),
]


@pytest.mark.parametrize(("name", "text"), WRITTEN)
@pytest.mark.parametrize("keyword", ["SequenceName", "ScanOptions", "Manufacturer"])
def test_a_name_is_found_however_it_is_written(name: str, text: str, keyword: str) -> None:
    with silence():
        new, _ = BASIC.apply(make_header(PatientName=name, **{keyword: text}))
    assert not new.get(keyword)


@pytest.mark.parametrize(
    "text",
    ["T1 SPIN ECHO", "FC30", "B30f", "STANDARD", "NORM", "DIXON W", "*tse2d1_15", "syngo MR E11"],
)
def test_other_texts_stay(text: str) -> None:
    for name in ("Mustermann^Hansjakob", "Müller^Jörg", "Nguyễn^Thị^Hoa", "O'Neill^Sean"):
        new, _ = BASIC.apply(make_header(PatientName=name, SequenceName=text))
        assert new.SequenceName == text


NUMBERS = [
    ("4711815", "SeriesNumber", "4711815"),
    ("004711815", "SeriesNumber", "4711815"),
    ("HJM4711815", "InstanceNumber", "4711815"),
    ("4711815", "TableHeight", "4711815.0"),
    ("4711815", "TableHeight", "4.711815e6"),
    ("4711815", "SequenceName", "no_0004711815x"),
    ("HJM-471-1815", "SequenceName", "hjm4711815"),
    ("4711815", "SequenceName", "4711-815"),
    ("4711815", "EchoTime", "0.4711815"),
    ("4711815", "ReconstructionDiameter", "4711815"),
    ("4711", "NumberOfTemporalPositions", "4711"),
    ("4711815", "DiffusionBValue", 4711815.0),
    ("4711815", "TriggerWindow", "4711815"),
    ("0007", "SequenceName", "a 0007 b"),
]


@pytest.mark.parametrize(("number", "keyword", "value"), NUMBERS)
def test_a_number_is_found_however_it_is_written(number: str, keyword: str, value: Any) -> None:
    with silence():
        new, _ = BASIC.apply(make_header(PatientID=number, **{keyword: value}))
    assert not new.get(keyword)


DATES = [
    "19470811", "1947-08-11", "1947/8/11", "11.08.1947", "11.8.1947", "11.8.47", "08/11/47",
    "8/11/1947", "110847", "081147", "470811", "47-08-11", "11AUG1947", "11 Aug 1947",
    "11. August 1947", "August 11, 1947", "Aug 11th, 1947", "11-AUG-47", "11 août 1947",
    "11 de agosto de 1947", "1947 Aug 11", "DOB19470811", "19470811101112", "born_11_08_1947",
]  # fmt: skip


@pytest.mark.parametrize("text", DATES)
@pytest.mark.parametrize("deidentifier", [BASIC, ALL], ids=["basic", "dates retained"])
def test_a_date_is_found_however_it_is_written(text: str, deidentifier: Deidentifier) -> None:
    with silence():
        new, _ = deidentifier.apply(make_header(PatientBirthDate="19470811", SequenceName=text))
    assert not new.get("SequenceName")


@pytest.mark.parametrize("text", ["19470812", "12.8.1947", "VB17 2010-11-08", "1.2.3", "3.4.5.6"])
def test_other_dates_stay(text: str) -> None:
    new, _ = BASIC.apply(make_header(PatientBirthDate="19470811", SequenceName=text))
    assert new.SequenceName == text


def test_a_number_or_date_among_numbers_is_found() -> None:
    header = make_header(PatientID="70481516", PatientBirthDate="19571103", Rows=512)
    header.SeriesNumber, header.AcquisitionNumber = "70481516", "19571103"
    new, _ = BASIC.apply(header)
    assert new.SeriesNumber is None
    assert new.AcquisitionNumber is None
    assert new.Rows == 512


def test_sizes_of_the_pixels_stay_and_terms_stay_whatever_the_patient_is_called() -> None:
    header = make_header(
        PatientName="Original^Primary", PatientID="4096", Rows=4096, Modality="CT",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], PhotometricInterpretation="RGB",
    )  # fmt: skip
    new, _ = BASIC.apply(header)
    assert (new.Rows, new.Modality, new.PhotometricInterpretation) == (4096, "CT", "RGB")
    assert list(new.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]


def test_a_name_among_required_terms_leaves_the_others() -> None:
    with silence():
        header = make_header(
            Modality="OTTILIE",
            ImageType=["ORIGINAL", "PRIMARY", "WINTERBOTTOM", "AXIAL"],
            SpecificCharacterSet=["ISO_IR 100", "WINTERBOTTOM"],
            PhotometricInterpretation="OTTILIE",
        )
        new, _ = BASIC.apply(header)
    assert new.Modality == "OT"
    assert list(new.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert new.SpecificCharacterSet == "ISO_IR 100"
    assert not new.PhotometricInterpretation


NAME = "Müllerstädt^Jörg"


@pytest.mark.parametrize("tag", [0x00281201, 0x00282000, 0x00283006, 0x54001010, 0x00480105])
@pytest.mark.parametrize(
    "note",
    [
        "desc MÜLLERSTÄDT".encode("latin-1"),
        b"\x00\x80\xff\x07Muellerstaedt\x00\x01",
        "\x01\x02 Müllerstädt".encode("utf-16-le"),
        b"\x07" + "Müllerstädt, Jörg".encode("utf-16-be"),
        "für Müllerstädt".encode(),
        b"\x90\x01\x02 774411 \x80\x03",
    ],
)
def test_bytes_are_searched_in_every_nesting(tag: int, note: bytes) -> None:
    inner, header = Dataset(), make_header(PatientName=NAME)
    for each in (inner, header):
        if tag == 0x00480105:
            item = Dataset()
            item.add_new(0x00282000, "OB", note + b" " * (len(note) % 2))
            each.add_new(tag, "SQ", Sequence([item]))
        else:
            each.add_new(tag, "OB", note + b" " * (len(note) % 2))
    header.ReferencedImageSequence = Sequence([inner])
    new, actions = BASIC.apply(header)
    content = io.BytesIO()
    new.save_as(content, enforce_file_format=True)
    assert note not in content.getvalue()
    # A colour profile that is no sound one is removed whatever it holds.
    assert {"name inside", "unreadable"} & {each.reason for each in actions.handled}


ELSEWHERE = {
    "a name split over values": ({}, "SoftwareVersions", ["Winter", "bottom"]),
    "the study in a text": ({}, "SoftwareVersions", "of 1.2.826.0.1.77.2"),
    "an address of the referrer": (
        {"ReferringPhysicianAddress": "Lindenweg 5"}, "SequenceName", "lindenweg",
    ),
    "a telephone of a person": (
        {"ReferringPhysicianTelephoneNumbers": "0471 18155"}, "SequenceName", "047118155",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE)
def test_other_things_that_lead_to_a_patient_are_found(case: str) -> None:
    elements, keyword, value = ELSEWHERE[case]
    new, _ = BASIC.apply(make_header(**elements, **{keyword: value}))
    assert not new.get(keyword)


def test_a_name_or_date_of_another_kind_of_value_is_one() -> None:
    """As files have it whose writer did not know the standard."""
    header = make_header(SequenceName="t1_mustermann", ConvolutionKernel="11.08.1947")
    header.add(DataElement(0x00100010, "LO", "Mustermann^Eva", validation_mode=config.IGNORE))
    header.add(DataElement(0x00100030, "SH", "19470811", validation_mode=config.IGNORE))
    new, _ = BASIC.apply(header)
    assert not new.get("SequenceName")
    assert not new.get("ConvolutionKernel")


def test_a_private_uid_that_stays_is_another_one() -> None:
    header = make_header()
    block = header.private_block(0x0029, "ACME", create=True)
    block.add_new(1, "UI", "1.2.3.19510607.4")
    block.add_new(2, "UI", "1.2.3.4.5")
    kept = frozenset(PrivateElement("ACME", 0x29, number) for number in (1, 2))
    new, _ = Deidentifier(Profile(private=kept), KEY).apply(header)
    uids = [str(each.value) for each in new if each.VR == "UI" and each.tag.is_private]
    assert uids == [KEY.uid("1.2.3.19510607.4"), KEY.uid("1.2.3.4.5")]


SHORT_IN_BYTES = [
    ("Lee^Kim", "Kim".encode("utf-16-le")),
    ("Lee^Kim", b"\x01\x02LEE1\x00\xff"),
    ("Ek^Bo", b"\x01\x02Bo\x00\xff"),
    ("McDonald^Ron", "Mc Donald".encode("utf-16-be")),
    ("山田^太郎", "\x01太郎".encode("utf-16-le")),
    ("Wang^Wei=王^伟", b"\x01\x02" + "王伟".encode("gb18030") + b"\x00\xff"),
    ("김^희중", b"\x01\x02" + "희중".encode("euc_kr")),
    ("Ivanov^Igor=Иванов^Игорь", "Иванов".encode("cp1251") + b"\x00\x01"),
]


@pytest.mark.parametrize(("name", "note"), SHORT_IN_BYTES)
def test_short_and_foreign_names_are_found_in_few_bytes(name: str, note: bytes) -> None:
    header = make_header(PatientName=name)
    header.add_new(0x00282000, "OB", note + b"\0" * (len(note) % 2))
    assert "ICCProfile" not in BASIC.apply(header)[0]


def test_noise_is_kept_in_tables() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 8192).astype(np.uint8).tobytes()
    for name in ("Mustermann^Hansjakob", "Müller^Jörg", "Lee^Kim", "山田^太郎", "Smith^John"):
        header = make_header(PatientName=name)
        header.add_new(0x00281201, "OW", noise)
        assert "RedPaletteColorLookupTableData" in BASIC.apply(header)[0]


def test_a_table_that_the_pixels_need_is_not_silently_dropped() -> None:
    header = make_header(Rows=1, Columns=2, SamplesPerPixel=1, BitsAllocated=8)
    header.PhotometricInterpretation = "MONOCHROME2"
    header.add_new(0x00281201, "OW", b"WINTERBOTTOM")
    header.add_new(0x7FE00010, "OB", b"\0\1")
    assert "RedPaletteColorLookupTableData" not in BASIC.apply(header)[0]
    with pytest.raises(DeidentifyError, match="exclude this image"):
        BASIC.apply(header, keep_pixels=True)


def test_a_private_creator_that_is_called_like_a_patient_goes_with_its_block() -> None:
    header = make_header()
    block = header.private_block(0x0029, "WINTERBOTTOM NOTES", create=True)
    block.add_new(1, "US", 7)
    profile = Profile(private=frozenset({PrivateElement("WINTERBOTTOM NOTES", 0x29, 1)}))
    new, _ = Deidentifier(profile, KEY).apply(header)
    assert not [each for each in new if each.tag.is_private]


def test_uids_that_are_not_registered_are_replaced() -> None:
    header = make_header(FrameOfReferenceUID="1.2.840.10008.4711.815")
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.19470811"
    header.ReferencedImageSequence = Sequence([item])
    new, _ = BASIC.apply(header)
    assert new.FrameOfReferenceUID.startswith("2.25.")
    assert new.ReferencedImageSequence[0].ReferencedSOPClassUID.startswith("2.25.")
    assert new.SOPClassUID == header.SOPClassUID


FILLED = {
    "AE": "WINTERBOTTOM", "CS": "WINTERBOTTOM", "LO": "Winterbottom", "LT": "Winterbottom",
    "SH": "Winterbottom", "ST": "Winterbottom", "UC": "Winterbottom", "UT": "Winterbottom",
    "UR": "http://x/Winterbottom", "PN": "Winterbottom", "IS": "774411", "DS": "774411",
    "UL": 774411, "SL": 774411, "FD": 774411.0, "FL": 774411.0, "DA": "19510607",
    "DT": "19510607101112", "OB": b"Winterbottom", "OW": b"Winterbottom", "UN": b"Winterbottom",
    "OL": b"Winterbottom", "SV": 774411, "UV": 774411,
}  # fmt: skip


@pytest.mark.parametrize("deidentifier", [BASIC, ALL], ids=["basic", "all options"])
def test_no_element_of_the_dictionary_lets_a_name_number_or_date_pass(
    deidentifier: Deidentifier,
) -> None:
    """Every element that DICOM knows holds one, at the top and in a sequence."""
    header, inner, count = make_header(), Dataset(), 0
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        kind = vr.split(" ")[0]
        if kind not in FILLED or tag >> 16 < 8 or tag >> 16 in (0x7FE0, 0xFFFE) or not keyword:
            continue
        if tag in (0x00080005, 0x00100010, 0x00100020, 0x00100030):
            continue
        for each in (header, inner):
            each.add(DataElement(tag, kind, FILLED[kind], validation_mode=config.IGNORE))
        count += 1
    header.ReferencedImageSequence = Sequence([inner])
    assert count > 3000
    with silence():
        new, _ = deidentifier.apply(header)
        content = io.BytesIO()
        new.save_as(content, enforce_file_format=True)
        again = dcmread(io.BytesIO(content.getvalue()))
    left = [each.keyword for each in again.iterall() if _holds(each)]
    assert left == []
    assert b"winterbottom" not in content.getvalue().lower()


def _holds(element: DataElement) -> bool:
    if element.VR == "SQ":
        return False
    texts = [str(each) for each in (element.value if element.VM > 1 else [element.value])]
    return any("774411" in each or "19510607" in each for each in texts)


def test_the_lossy_compression_of_the_source_is_no_way_around(tmp_path: Any) -> None:
    from typer.testing import CliRunner

    from deepfixcx.cli.app import app

    (tmp_path / "in").mkdir()
    header = make_header(
        Rows=8, Columns=8, SamplesPerPixel=1, BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=0, PhotometricInterpretation="MONOCHROME2", LossyImageCompression="01",
        LossyImageCompressionRatio="774411", LossyImageCompressionMethod="WINTERBOTTOM",
    )  # fmt: skip
    header.add_new(0x7FE00010, "OB", np.arange(64, dtype=np.uint8).tobytes())
    save(header, tmp_path / "in" / "a.dcm")
    words = ["privatize", tmp_path / "in", tmp_path / "out", "-J", 1, "-P", 2, "--output", "dicom"]
    done = CliRunner().invoke(app, [str(each) for each in [*words, "--workers", 1]])
    assert done.exit_code == 0, done.output
    content = (tmp_path / "out" / "dicom" / "000001.dcm").read_bytes()
    assert b"WINTERBOTTOM" not in content
    assert b"774411" not in content
