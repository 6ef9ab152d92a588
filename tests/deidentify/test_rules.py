"""Rules of a site, and which options a header may claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepfixcx.deidentify import Action, Deidentifier, Profile, read_rules
from deepfixcx.deidentify.conformance import effective_rules, rules_digest, statement
from deepfixcx.deidentify.profile import read_table
from deepfixcx.deidentify.rules import ElementRule
from deepfixcx.errors import DeidentifyError
from tests.deidentify.making import KEY, make_header


def rule_file(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text, "utf-8")
    return path


def codes(profile: Profile, **elements: object) -> list[str]:
    _, actions = Deidentifier(profile, KEY).apply(make_header(**elements))
    return [method.code for method in actions.methods]


def test_rules_keep_replace_and_remove(tmp_path: Path) -> None:
    text = (
        '[elements]\nStudyDescription = "keep"\nInstitutionName = { replace = "Site 12" }\n'
        '"(0008,0060)" = "remove"\n'
    )
    profile = Profile(rules=read_rules(rule_file(tmp_path, text)))
    header = make_header(StudyDescription="Knee, follow-up", InstitutionName="St. Elsewhere")
    new, actions = Deidentifier(profile, KEY).apply(header)
    assert new.StudyDescription == "Knee, follow-up"
    assert new.InstitutionName == "Site 12"
    assert "Modality" not in new
    assert "rules of the site for 3 elements" in new.DeidentificationMethod
    assert actions.methods == ()
    assert "DeidentificationMethodCodeSequence" not in new


def test_what_a_rule_keeps_is_emptied_where_it_names_the_patient() -> None:
    profile = Profile(rules=(ElementRule(0x00081030, Action.KEEP),))
    header = make_header(StudyDescription="Knee of O. Winterbottom")
    assert Deidentifier(profile, KEY).apply(header)[0].StudyDescription == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        '[elements]\nPatientName = "keep"\n',
        '[elements]\nPixelData = "remove"\n',
        '[elements]\nNoSuchElement = "keep"\n',
        '[elements]\n"0029,1010" = "keep"\n',
        '[elements]\nStudyDate = "uid"\n',
        '[elements]\nRows = { replace = "12" }\n',
        '[elements]\nStudyDescription = "hide"\n',
        '[elements]\nStudyDescription = "keep"\n"0008,1030" = "remove"\n',
    ],
)
def test_a_rule_file_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DeidentifyError):
        read_rules(rule_file(tmp_path, text))


def test_a_stricter_rule_keeps_the_basic_profile_and_drops_the_option() -> None:
    rules = (ElementRule(0x00100040, Action.REMOVE),)  # sex, which the option patient keeps
    assert codes(Profile(retain_patient=True)) == ["113100", "113108"]
    assert codes(Profile(retain_patient=True, rules=rules)) == ["113100"]


def test_dates_of_a_device_that_are_shifted_drop_its_code() -> None:
    both = Profile(retain_device=True, retain_dates=True)
    assert codes(both) == ["113100", "113107", "113109"]
    assert codes(both, DateOfLastCalibration="20210303") == ["113100", "113107"]
    new, _ = Deidentifier(both, KEY).apply(make_header(DateOfLastCalibration="20210303"))
    assert new.DeidentificationMethod[2:] == [
        "Device identity retained, its dates shifted", "113109 applied in part"
    ]  # fmt: skip


def test_an_option_that_lost_an_element_is_not_claimed() -> None:
    profile = Profile(retain_institution=True)
    assert codes(profile, InstitutionName="St. Elsewhere") == ["113100", "113112"]
    assert codes(profile, InstitutionName="Praxis Winterbottom") == ["113100"]
    new, _ = Deidentifier(profile, KEY).apply(make_header(InstitutionName="Praxis Winterbottom"))
    assert new.DeidentificationMethod[2:] == ["113112 applied in part"]


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile(), "REMOVED"),
        (Profile(retain_dates=True), "MODIFIED"),
        (Profile(retain_full_dates=True), "UNMODIFIED"),
    ],
)
def test_header_states_what_became_of_dates(profile: Profile, said: str) -> None:
    new, _ = Deidentifier(profile, KEY).apply(make_header())
    assert new.LongitudinalTemporalInformationModified == said
    assert (new.StudyDate == "20210304") == (said == "UNMODIFIED")
    assert new.PatientBirthDate == ""


def test_uids_stay_where_they_are_retained() -> None:
    new, actions = Deidentifier(Profile(retain_uids=True), KEY).apply(make_header())
    assert new.SOPInstanceUID == "1.2.826.0.1.77.1"
    assert "113110" in [method.code for method in actions.methods]


def test_both_kinds_of_dates_exclude_each_other() -> None:
    with pytest.raises(DeidentifyError, match="full-dates"):
        Profile(retain_dates=True, retain_full_dates=True)


def test_statement_names_every_row_and_option() -> None:
    rows = list(effective_rules(Profile(retain_uids=True)))
    assert len(rows) == len(read_table().rows) + len(read_table().repeating)
    assert ("(0008,0018)", "SOPInstanceUID", "keep", "option") in rows
    text = statement(Profile(retain_uids=True), "phi", ("rt",))
    assert "| uids | 113110 | Retain UIDs Option | yes |" in text
    assert "| dates | 113107 |" in text
    assert "rt (included)" in text


def test_digest_of_rules_differs_with_the_rules() -> None:
    one = Profile(rules=(ElementRule(0x00081030, Action.KEEP),))
    assert rules_digest(Profile()) == ""
    assert rules_digest(one) == rules_digest(one) != rules_digest(Profile(
        rules=(ElementRule(0x00081030, Action.REMOVE),)
    ))  # fmt: skip
