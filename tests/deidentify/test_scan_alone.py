"""A recipient finds what should not be in a folder without knowing its sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from deepfixcx.deidentify import Deidentifier, Profile
from deepfixcx.deidentify.scan import scan_alone
from tests.deidentify.making import EVERYTHING, KEY, make_header, save

ALL = Profile(
    retain_dates=True, retain_uids=True, retain_institution=True, retain_device=True,
    retain_patient=True, clean_descriptors=True,
)  # fmt: skip


@pytest.mark.parametrize("profile", [Profile(), EVERYTHING, ALL, Profile(retain_full_dates=True)])
def test_a_header_of_our_own_has_no_findings(profile: Profile, tmp_path: Path) -> None:
    header = make_header(
        InstitutionName="St. Elsewhere", StudyDescription="CT chest 20210304", StationName="CT4",
        DeviceSerialNumber="SN-1", DateOfLastCalibration="20210303",
        SoftwareVersions="release 20200914, build 1234567",
        OperatorsName="Nurse^Joy", AccessionNumber="A-771245",
    )  # fmt: skip
    new, _ = Deidentifier(profile, KEY).apply(header)
    save(new, tmp_path / "a.dcm")
    found = scan_alone(tmp_path)
    assert found.counts("kind") == {}
    assert found.clean


@pytest.mark.parametrize(
    ("keyword", "value", "kind"),
    [
        ("OperatorsName", "Nurse^Joy", "name"),
        ("PatientBirthDate", "19510607", "date"),
        ("ContentDate", "20210304", "date"),
        ("FrameOfReferenceUID", "1.2.840.113619.2.1", "uid"),
        ("AccessionNumber", "771245", "identifier"),
        ("PatientAddress", "1 Elm Street", "identifier"),
        ("InstitutionName", "St. Elsewhere", "identifier"),
        ("DeviceSerialNumber", "SN-1", "identifier"),
        ("ImageComments", "seen on 2021-03-04", "date"),
        ("ImageComments", "call +49 30 1234567", "telephone number"),
        ("ImageComments", "mail a.b@example.org", "address"),
        ("ImageComments", "for Dr. Kildare", "name"),
        ("ImageComments", "record 12345678", "number"),
        ("SoftwareVersions", "installed by Dr. Kildare", "name"),
    ],
)
def test_what_was_put_back_is_found(keyword: str, value: str, kind: str, tmp_path: Path) -> None:
    new, _ = Deidentifier(Profile(), KEY).apply(make_header())
    setattr(new, keyword, value)
    save(new, tmp_path / "a.dcm")
    assert scan_alone(tmp_path).counts("kind") == {kind: 1}


def test_private_elements_and_headers_that_are_not_deidentified_are_found(tmp_path: Path) -> None:
    new, _ = Deidentifier(Profile(), KEY).apply(make_header())
    block = new.private_block(0x0029, "ACME", create=True)
    block.add_new(0x10, "LO", "note")
    save(new, tmp_path / "a.dcm")
    save(make_header(), tmp_path / "b.dcm")
    counts = scan_alone(tmp_path).counts("kind")
    assert counts["private element"] == 1
    assert counts["not de-identified"] == 1
    assert counts["name"] == 1


def test_command_without_sources(tmp_path: Path) -> None:
    new, _ = Deidentifier(Profile(), KEY).apply(make_header())
    (tmp_path / "out").mkdir()
    save(new, tmp_path / "out" / "a.dcm")
    done = CliRunner().invoke(app, ["scan", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    save(make_header(), tmp_path / "out" / "b.dcm")
    done = CliRunner().invoke(app, ["scan", str(tmp_path / "out")])
    assert done.exit_code == 3
    assert "Winterbottom" not in done.output
    assert "Winterbottom" not in (tmp_path / "out.evidence" / "evidence.csv").read_text()
