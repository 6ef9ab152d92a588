"""Identifiers in free text are replaced however they are written; the rest of a sentence stays."""

from __future__ import annotations

import re

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deepfixcx.deidentify import Deidentifier, Method, Profile
from deepfixcx.deidentify.free_text import PATTERNS, REMOVED, FreeText, near_to, nicknames
from deepfixcx.deidentify.identity import Identity
from deepfixcx.deidentify.walking import cleaned as reduced
from deepfixcx.errors import DeidentifyError
from tests.deidentify.making import KEY, make_header

HEADER = make_header(
    PatientName="Müller-Lüdenscheidt^Elisabeth^Marie=王^伟霖=김^민수",
    ReferringPhysicianName="Macallister^Robert",
    PatientAddress="12 Juniper Crescent",
    AccessionNumber="ACC4451982",
)
BEFORE, BEHIND = "Lungs are clear; ", "; heart of normal size."

OF_HEADER = [
    "Elisabeth", "ELISABETH", "elisabeth", "Müller", "Mueller", "MULLER", "Lüdenscheidt",
    "Ludenscheidt", "Müller-Lüdenscheidt", "Mueller Luedenscheidt", "Müller- Lüdenscheidt",
    "Muellerludenscheidt", "Elisabeth Müller-Lüdenscheidt", "Lüdenscheidt, Elisabeth",
    "Müller-Lüdenscheidt Elisabeth Marie", "E. Müller", "Müller E.", "EMüller", "E.M.M.", "MEM",
    "Elisabet", "Elizabeth", "Elsiabeth", "Ludenschiedt", "Lisa", "Betty", "Liz", "Else",
    "Macallister", "McAllister", "Mac Allister", "Macalister", "Bob", "Rob Macallister",
    "Robert", "王伟霖", "伟霖", "王伟霖先生", "김민수", "민수", "김 민수", "김민수 환자",
    "HOSP-774411", "774411", "HOSP 774411", "ACC4451982", "4451982", "Juniper", "Juniper Cresent",
    "19510607", "1951-06-07", "7.6.1951", "06/07/51", "7 June 1951", "June 7th, 1951",
    "7. Juni 1951",
    "7 juin 1951", "7 de junio de 1951", "1951年6月7日", "1951년 6월 7일",
    "seventh of June nineteen fifty-one", "4 March 2021",
]  # fmt: skip

OF_OTHERS = {
    "e-mail": "j.smith@mail.example.org",
    "address of the internet": "https://example.org/p/17",
    "UID": "1.2.840.10008.77.12",
    "street, US GB CA AU IE": "340 Marlow Terrace",
    "street, DE AT CH": "Rosenstraße 12a",
    "street, FR BE": "12 bis rue de la Paix",
    "street, ES MX": "Calle de Alcalá 45",
    "street, IT": "Via Garibaldi, 7",
    "street, NL": "Keizersgracht 123",
    "place, US": "Springfield, IL 62704",
    "post code, GB": "SW1A 1AA",
    "post code, DE FR ES IT": "80331 München",
    "post code, NL": "1012 AB",
    "post code, JP": "〒100-0001",
    "address, CN JP": "北京市朝阳区建国路88号",
    "address, KR": "서울시 강남구 테헤란로 152",
    "fiscal code, IT": "RSSMRA85T10A562S",
    "insurance number, GB": "QQ 12 34 56 C",
    "number behind a word": "MRN: A12-33",
    "date": "on 12 Oct 2019",
    "date, CN JP KR": "2019年10月12日",
    "date of numbers": "12/10/2019",
    "number with signs": "+49 89 1234567",
    "telephone number, FR CH NL": "01 23 45 67 89",
    "long number": "AB998877",
    "age over 89": "93 years",
    "person behind a title": "Prof. van der Berg",
    "person before a title, CN JP KR": "李医生",
}
NUMBERS_OF_COUNTRIES = ["(555) 123-4567", "020 7946 0958", "123-45-6789", "943 476 5919",
                        "1 85 05 78 006 084 36", "900101-1234567", "12345678Z",
                        "11010519491231002X"]  # fmt: skip
KEPT = [
    "Lungs are clear, no effusion. Compare with prior.",
    "T2 FLAIR axial 512 x 512, TR 4000 TE 80, 1.5 T",
    "Fracture of the radius; degeneration L4/L5; 3 x 4 x 5 mm; SUV 4.5",
    "Nodule of 12 mm in the right upper lobe, BI-RADS 3, follow-up in 6 months",
]


def cleaned(text: str) -> str:
    return FreeText(Identity.of(HEADER)).cleaned(text)


@pytest.mark.parametrize("form", [*OF_HEADER, *OF_OTHERS.values(), *NUMBERS_OF_COUNTRIES])
def test_an_identifier_is_replaced_and_the_sentence_stays(form: str) -> None:
    done = cleaned(f"{BEFORE}seen {form}{BEHIND}")
    rest = done.replace(REMOVED, "")
    assert rest.startswith(BEFORE)
    assert rest.endswith("heart of normal size.")
    for word in re.findall(r"\w{2,}", form):
        assert word in ("on", "of") or word.casefold() not in rest.casefold()


def test_each_pattern_has_an_example_that_it_finds() -> None:
    assert set(OF_OTHERS) == set(PATTERNS)
    for name, text in OF_OTHERS.items():
        assert re.search(PATTERNS[name], f"seen {text} here"), name


@pytest.mark.parametrize("text", KEPT)
def test_findings_and_technique_stay(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("DX SHOULDER LEFT 2 VIEWS", "DX SHOULDER LEFT 2 VIEWS"),
        ("CHEST 7 7 4 4 1 1 VIEWS", "CHEST VIEWS"),
        ("2 Meier CHEST 3 Mueller", "CHEST"),
        ("CHEST 2 and", "CHEST"),
        ("12 VIEWS", "VIEWS"),
    ],
)
def test_one_digit_stays_before_a_known_word(text: str, left: str) -> None:
    assert reduced(text) == left


def test_nothing_but_identifiers_leaves_nothing() -> None:
    assert cleaned("Elisabeth Müller, 7 June 1951") == ""


def test_errors_of_spelling_are_counted() -> None:
    assert near_to("mustermann", "mustremann", 1)
    assert near_to("abcde", "abde", 1)
    assert not near_to("abcdef", "badcfe", 1)
    assert "bob" in nicknames("robert")
    assert nicknames("zzz") == frozenset()


def test_free_text_is_dropped_by_default_and_kept_on_request() -> None:
    text = "Robert saw no effusion, rare anomaly of Elisabeth."
    item = Dataset()
    item.TextValue = text
    report = make_header(PatientName="Müller^Elisabeth", ReferringPhysicianName="X^Robert",
                         StudyComments=text, ContentSequence=Sequence([item]))  # fmt: skip
    profile = Profile(clean_descriptors=True, clean_structured=True)
    plain, done = Deidentifier(profile, KEY).apply(report)
    assert "anomaly" not in str(plain)
    assert Method.CLEAN_DESCRIPTORS in done.methods
    kept = Profile(clean_descriptors=True, clean_structured=True, keep_text=True)
    new, done = Deidentifier(kept, KEY).apply(report)
    expected = f"{REMOVED} saw no effusion, rare anomaly of {REMOVED}."
    assert new.StudyComments == new.ContentSequence[0].TextValue == expected
    assert not {Method.CLEAN_DESCRIPTORS, Method.CLEAN_STRUCTURED} & set(done.methods)
    assert "free text searched for identifiers and kept" in new.DeidentificationMethod
    with pytest.raises(DeidentifyError, match="descriptors or structured"):
        Profile(keep_text=True)
