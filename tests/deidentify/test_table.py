"""The table is the standard's, and every row of it is handled as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from deepfixcx.deidentify import Deidentifier, Key, Profile
from deepfixcx.deidentify.identity import IDENTIFYING
from deepfixcx.deidentify.profile import OPTIONS, Row, read_table

FIXTURES = Path(__file__).parent / "fixtures"
PROFILES = {
    "basic": Profile(),
    "device": Profile(retain_device=True),
    "patient": Profile(retain_patient=True),
    "dates": Profile(retain_dates=True),
    "descriptors": Profile(clean_descriptors=True),
    "graphics": Profile(clean_graphics=True),
    "uids": Profile(retain_uids=True),
    "institution": Profile(retain_institution=True),
    "full_dates": Profile(retain_full_dates=True),
    "structured": Profile(clean_structured=True),
    "all": Profile(
        retain_device=True,
        retain_patient=True,
        retain_dates=True,
        clean_descriptors=True,
        clean_graphics=True,
        retain_uids=True,
        retain_institution=True,
        clean_structured=True,
    ),
}
# What the standard changed between the edition of the fixture and that of the package.
CHANGED_BASIC = {"300A00B2": "X/Z", "00100020": "Z/D", "30060009": "Z", "30100077": "X/D"}

CANARY = "Quillfeather"
PLANTED: dict[str, Any] = {
    "DA": "20010203",
    "DT": "20010203040506",
    "TM": "040506",
    "UI": "1.2.3.4.5.6",
    "AS": "041Y",
    "DS": "41.25",
    "IS": "41",
    "SQ": None,
}


def read_fixture(name: str = "ps3_15_table.txt") -> dict[tuple[str, str], str]:
    """Return the code of each column and tag that is written down."""
    found = {}
    for line in (FIXTURES / name).read_text("utf-8").splitlines():
        if not line.startswith("#"):
            column, code, *tags = line.split()
            for tag in tags:
                assert (column, tag) not in found, f"{tag} stands twice"
                found[column, tag] = code
    return found


def row_of(tag: str) -> Row:
    row = read_table().row(int(tag.replace("X", "0"), 16))
    assert row is not None, tag
    return row


def test_fixture_is_whole() -> None:
    columns = [column for column, _ in read_fixture()]
    columns += [column for column, _ in read_fixture("ps3_15_options.txt")]
    counts = {column: columns.count(column) for column in ("basic", *OPTIONS)}
    assert counts == {
        "basic": 459,
        "device": 36,
        "patient": 12,
        "dates": 56,
        "descriptors": 106,
        "graphics": 4,
        "uids": 59,
        "institution": 10,
        "full_dates": 165,
        "structured": 3,
    }


def test_basic_column_is_that_of_an_independent_reading() -> None:
    written = {tag: code for (column, tag), code in read_fixture().items() if column == "basic"}
    assert {tag: row_of(tag).basic for tag in written} == {**written, **CHANGED_BASIC}


@pytest.mark.parametrize("option", OPTIONS)
def test_no_code_of_an_option_is_without_an_independent_reading(option: str) -> None:
    names = ("table", "newer", "options", "newest")
    read = {key: code for name in names for key, code in read_fixture(f"ps3_15_{name}.txt").items()}
    written = {tag: code for (column, tag), code in read.items() if column == option}
    table = read_table()
    ours = {
        f"{tag:08X}": row.options[option]
        for tag, row in table.rows.items()
        if option in row.options
    }
    repeating = [row.options[option] for _, _, row in table.repeating if option in row.options]
    assert ours == {tag: code for tag, code in written.items() if "X" not in tag}
    assert repeating == [code for tag, code in written.items() if "X" in tag]


def test_every_date_of_the_table_can_be_shifted() -> None:
    for tag, row in read_table().rows.items():
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            continue
        if vr in ("DA", "DT", "TM") and tag not in (0x00100030, 0x00100032, 0x00160077):
            assert row.options.get("dates") == "C", f"{tag:08X}"


def kind_of(tag: int) -> str:
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "LO"


def planted(tag: int, vr: str) -> Any:
    """Return a unique value; of sequences an item with an unlisted note."""
    if vr == "SQ":
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = "1234-5", "DCM"
        item.CodeMeaning = "Anatomy"
        item.PatientAddress = f"{CANARY} {tag:08X}"
        return Sequence([item])
    if vr in PLANTED:
        return PLANTED[vr]
    if vr in ("US", "UL", "SS", "SL", "FL", "FD", "UV", "SV", "AT"):
        return 41
    if vr in ("OB", "OW", "UN", "OF", "OD", "OL"):
        return CANARY.encode() + b"%08X" % tag
    # Without digits, which would be a number of the patient where another element has them, too.
    return CANARY[:6] + f"{tag:08x}".translate(str.maketrans("0123456789", "ghijklmnop"))


def whole_table() -> tuple[Dataset, dict[int, Row]]:
    """Return a header that has every attribute of the table, and the rows."""
    rows = dict(read_table().rows)
    rows[0x50020010] = rows[0x60023000] = rows[0x60024000] = row_of("60XX3000")
    # Command elements are of messages and file meta of a file: no header holds either.
    rows = {tag: row for tag, row in rows.items() if tag >> 16 not in (0, 2, 4)}
    header = Dataset()
    for tag in rows:
        vr = kind_of(tag)
        value = planted(tag, vr)
        if vr == "PN" or tag in IDENTIFYING:  # others that hold a word of theirs are emptied
            value = f"Zorb^{tag:08X}"
        header.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    return header, rows


def text_of(element: DataElement) -> str:
    return str(element.value)


@pytest.mark.parametrize("name", PROFILES)
def test_every_row_is_handled_as_the_table_says(name: str) -> None:
    profile = PROFILES[name]
    header, rows = whole_table()
    new, _ = Deidentifier(profile, Key(b"k" * 32)).apply(header)
    chosen = (
        [name]
        if name in OPTIONS
        else []
        if name == "basic"
        else [each for each in OPTIONS if each != "full_dates"]
    )
    for tag, row in rows.items():
        allowed = {code for option, code in row.options.items() if option in chosen}
        # C is stricter than K; what cannot be cleaned is handled as the Basic Profile says.
        codes = "C" if "C" in allowed else "K" if "K" in allowed else row.basic
        check_row(name, tag, codes, row.basic, header[tag], new.get(tag))


def check_row(
    name: str, tag: int, code: str, basic: str, old: DataElement, new: DataElement | None
) -> None:
    where = f"{tag:08X} {code}"
    if code == "K":
        if isinstance(old.value, bytes):  # holds the tag, which is a number of the patient here
            return
        assert new is not None, where
        if tag in IDENTIFYING:  # holds the name that is the patient's, too
            assert new.value == "", where
        elif old.VR == "SQ":
            assert CANARY not in text_of(new), where
            assert new.value[0].CodeValue == "1234-5", where
        elif old.VR in ("DA", "DT") and name != "full_dates":  # it is that of the examination, too
            assert new.value == "", where
        else:
            assert new.value == old.value, where
        return
    if new is None:
        assert "X" in (basic if code == "C" else code), where
        return
    assert CANARY[:6] not in text_of(new), where
    alternatives = basic.split("/") if code == "C" else code.split("/")
    if tag in (0x00100010, 0x00100020):
        assert new.value not in ("", old.value), where
    elif alternatives == ["X"] and code != "C":
        pytest.fail(f"{where} is still there")
    elif alternatives == ["Z"] and code != "C":
        assert not new.value, where
    elif code == "D":
        assert new.value, where
    elif code == "U":
        assert UID(new.value).is_valid, where
        assert new.value != old.value, where
    elif old.VR not in ("SQ", "TM"):
        assert new.value != old.value, where


def test_dates_are_shifted_and_not_removed() -> None:
    header, rows = whole_table()
    new, _ = Deidentifier(PROFILES["dates"], Key(b"k" * 32)).apply(header)
    shifted = {
        new[tag].value[:8]
        for tag, row in rows.items()
        if row.options.get("dates") == "C" and kind_of(tag) in ("DA", "DT")
    }
    assert len(shifted) == 1
    assert shifted != {"20010203"}


def test_repeating_groups_are_found_by_any_of_their_tags() -> None:
    table = read_table()
    for tag in (0x60003000, 0x60FE3000, 0x501E0005):
        row = table.row(tag)
        assert row is not None
        assert row.basic == "X"
    assert table.row(0x60003001) is None
    assert table.row(0x00280010) is None
