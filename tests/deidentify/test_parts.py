"""Key, dates, words, private elements and the table of patients."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepfixcx.deidentify import (
    Deidentifier,
    Key,
    MappingTable,
    PrivateElement,
    Profile,
    load_key,
    read_private_elements,
)
from deepfixcx.deidentify.scan.texts import decoded
from deepfixcx.deidentify.walking import cleaned, harmless_words, shifted
from deepfixcx.errors import DeidentifyError
from tests.deidentify.making import KEY, make_header

NAMES = Path(__file__).parent / "fixtures" / "usual_names.txt"


def test_key_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "hospital.key"
    key = load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path) == key
    assert key != load_key(tmp_path / "other.key")
    assert [each.name for each in sorted(tmp_path.iterdir())] == ["hospital.key", "other.key"]


def test_key_does_not_show_itself() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert "thirty" not in repr(Deidentifier(Profile(), KEY))


def test_another_process_finds_the_same_pseudonym(tmp_path: Path) -> None:
    path = tmp_path / "hospital.key"
    here = load_key(path).pseudonym(("id", "", "4711"))
    code = (
        "import sys; from deepfixcx.deidentify import load_key; "
        "print(load_key(sys.argv[1]).pseudonym(('id', '', '4711')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert done.stdout.strip() == here


def test_pseudonyms_are_those_of_releases_made_before() -> None:
    """They must never change, or the same patient becomes another one."""
    key = Key(bytes(range(32)))
    assert key.pseudonym(("id", "", "4711")) == "POPEVBQPNEKN7TYHC"
    assert key.uid("1.2.3") == "2.25.83088135239994342695228089692098613167"
    assert key.days(("id", "", "4711")) == -3192


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "hospital.key"
    load_key(path)
    path.chmod(mode)
    with pytest.raises(DeidentifyError, match="chmod 600"):
        load_key(path)


@pytest.mark.parametrize("content", [b"", b"secret", b"deepfixcx-key-1 12\n", b"\xff\xfe" * 40])
def test_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hospital.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(DeidentifyError, match="is not a key file"):
        load_key(path)
    assert path.read_bytes() == content


def test_key_in_the_folder_to_share_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shared" / "deep").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "shared")
    for place in (tmp_path / "shared" / "deep" / "a.key", link / "a.key"):
        with pytest.raises(DeidentifyError, match="would lie in the release"):
            load_key(place, apart_from=tmp_path / "shared")
        assert not place.exists()
    load_key(tmp_path / "shared.key", apart_from=tmp_path / "shared")


def test_key_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeidentifyError, match="cannot be read or created"):
        load_key(tmp_path / "no folder" / "a.key")
    with pytest.raises(DeidentifyError, match="at least 32 bytes"):
        Key(b"short")


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
@example(["ab", "c"], ["a", "bc"])
def test_different_patients_differ(one: list[str], other: list[str]) -> None:
    same = KEY.pseudonym(tuple(one)) == KEY.pseudonym(tuple(other))
    assert same == (one == other)


@given(st.text())
def test_dates_move_by_weeks_into_the_past(patient: str) -> None:
    days = KEY.days((patient,))
    assert days % 7 == 0
    assert -3653 < days <= -364


@given(
    st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
    st.integers(-4000, 4000),
)
def test_shift_is_that_of_the_calendar(moment: datetime.datetime, days: int) -> None:
    moved = moment + datetime.timedelta(days)
    assert shifted(f"{moment:%Y%m%d}", "DA", days) == f"{moved:%Y%m%d}"
    for form in ("%Y%m%d%H%M%S", "%Y%m%d%H%M%S.%f", "%Y%m%d%H"):
        assert shifted(f"{moment:{form}}+0200", "DT", days) == f"{moved:{form}}+0200"
    assert shifted(f"{moment:%H%M%S}", "TM", days) == f"{moment:%H%M%S}"


@pytest.mark.parametrize(
    ("text", "vr", "moved"),
    [
        ("2004.01.19", "DA", "20040112"),
        ("2004", "DT", "2003"),
        ("200401", "DT", "200312"),
        ("20040119 ", "DA", "20040112"),
        ("20041332", "DA", ""),
        ("00010101", "DA", ""),
        ("Hansen", "TM", ""),
        ("", "DA", ""),
    ],
)
def test_unusual_dates(text: str, vr: str, moved: str) -> None:
    assert shifted(text, vr, -7) == moved


def test_no_harmless_word_is_a_usual_name() -> None:
    names = {name for line in NAMES.read_text("utf-8").splitlines()[1:] for name in line.split()}
    assert len(names) > 200
    assert not harmless_words() & names


@given(st.text())
def test_nothing_is_kept_but_harmless_words(text: str) -> None:
    for word in cleaned(text).split():
        assert word.casefold() in harmless_words() or any(letter.isdigit() for letter in word)


@pytest.mark.parametrize("text", ["4711", "20040119", "HOSP-774411", "Müller", "山田", "A1234567"])
def test_numbers_and_names_are_not_harmless(text: str) -> None:
    assert cleaned(f"chest {text} knee") == "chest knee"


def test_private_elements_are_read(tmp_path: Path) -> None:
    path = tmp_path / "private.csv"
    path.write_text("creator,group,element\nACME,0019,1003\n", "utf-8-sig")
    assert read_private_elements(path) == {PrivateElement("ACME", 0x19, 3)}


@pytest.mark.parametrize(
    "row", ["ACME,0018,01", "ACME,x,01", ",0019,01", "ACME,0019", "ACME,10019,01"]
)
def test_row_that_names_no_private_element_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "private.csv"
    path.write_text(f"creator,group,element\n{row}\n", "utf-8")
    with pytest.raises(DeidentifyError, match=r"row 2 of 'private\.csv'"):
        read_private_elements(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\0"])
def test_table_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "private.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DeidentifyError, match=r"not a readable table|there is no table"):
        read_private_elements(path)


def test_table_of_patients_grows_and_stays_apart(tmp_path: Path) -> None:
    deidentifier = Deidentifier(Profile(), KEY)
    path = tmp_path / "patients.csv"
    for number in ("1001", "1002", "1001"):
        header = make_header(PatientID=number)
        table = MappingTable(path, apart_from=tmp_path / "shared")
        table.add(header, deidentifier.apply(header)[1].pseudonym)
        table.save()
    lines = path.read_text("utf-8").splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["1001", "1002"]
    assert lines[1].endswith(KEY.pseudonym(("id", "", "1001")))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(DeidentifyError, match="would lie in the release"):
        MappingTable(tmp_path / "shared" / "p.csv", apart_from=tmp_path / "shared")


def test_a_patient_without_a_number_is_called_by_name(tmp_path: Path) -> None:
    table = MappingTable(tmp_path / "patients.csv", apart_from=tmp_path / "shared")
    for name in ("Roe^Jane", ""):
        header = make_header(PatientID="", PatientName=name, PatientBirthDate="19700102")
        table.add(header, "P1")
    table.save()
    rows = [line.split(",") for line in (tmp_path / "patients.csv").read_text().splitlines()[1:]]
    assert ["19700102", "roe^jane", "P1"] in rows
    assert ["", str(header.StudyInstanceUID), "P1"] in rows


def test_table_of_patients_replaces_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("name,age\nA,1\n", "utf-8")
    with pytest.raises(DeidentifyError, match="not a patient table"):
        MappingTable(path, apart_from=tmp_path / "shared")
    table = MappingTable(tmp_path / "no folder" / "p.csv", apart_from=tmp_path / "shared")
    with pytest.raises(DeidentifyError, match="cannot be written"):
        table.save()
    assert os.listdir(tmp_path) == ["patients.csv"]


def test_letters_that_are_no_text_in_utf_7_are_no_text() -> None:
    half = "AEHdpQBC"  # A, half of a pair, B
    assert list(decoded(f"x +{half}- y")) == []
    assert list(decoded("Hi +AE0-uster")) == [("utf-7", b"Muster")]
