"""A release names the patients of its images by pseudonyms, whatever its output."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydicom import dcmread, examples

from deepfixcx import CodecSpec
from deepfixcx.deidentify import load_key
from deepfixcx.errors import ReleaseError
from deepfixcx.release import ReleaseOptions, privatize_dataset, run, verify_release, withdraw
from tests.release.conftest import rows, write_gray

SPEC = CodecSpec(1, 2)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process, which spares the start of another one."""
    monkeypatch.setattr(run, "choose_run", lambda *_, **__: run._run_here)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of six images, two of each patient; the last has none."""
    (tmp_path / "in").mkdir()
    lines = ["file,case"]
    for number in range(6):
        write_gray(tmp_path / "in" / f"{number}.png", 12, 10, number)
        lines.append(f"{number}.png,{'' if number == 5 else f'MRN-{number // 2}'}")
    (tmp_path / "in" / "table.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "in" / "table.csv"


@pytest.mark.parametrize("output", ["images", "codes"])
def test_a_column_of_the_table_names_patients(output: str, table: Path, tmp_path: Path) -> None:
    options = ReleaseOptions(SPEC, output=output)  # type: ignore[arg-type]
    privatize_dataset(table, tmp_path / "out", options, patient="case")
    key = load_key(tmp_path / "out.private/deidentify.key")
    names = {f"MRN-{number}": key.pseudonym(("id", "", f"MRN-{number}")) for number in range(3)}
    sources = {row["source"]: row for row in rows(tmp_path / "out.private/sources.csv")}
    manifest = {row["source_id"]: row["patient"] for row in rows(tmp_path / "out/manifest.csv")}
    for number in range(6):
        row = sources[f"{number}.png"]
        wanted = "" if number == 5 else names[f"MRN-{number // 2}"]
        assert manifest[row["source_id"]] == row["patient"] == wanted
    assert verify_release(tmp_path / "out").sound
    done = withdraw(tmp_path / "out", patient="MRN-1")
    assert set(done.notice.source_ids) == {sources[f"{n}.png"]["source_id"] for n in (2, 3)}
    assert not any(
        names["MRN-1"].encode() in path.read_bytes()
        for path in [*(tmp_path / "out").rglob("*"), *(tmp_path / "out.private").rglob("*")]
        if path.is_file()
    )


def test_a_column_of_the_table_names_patients_of_dicom_files_that_are_made_of_pictures(
    table: Path, tmp_path: Path
) -> None:
    shutil.copy(str(examples.get_path("ct")), tmp_path / "in" / "ct.dcm")
    table.write_text(table.read_text() + "ct.dcm,MRN-0\n")
    out, names = tmp_path / "out", tmp_path / "names.csv"
    options = ReleaseOptions(SPEC, output="dicom")
    privatize_dataset(table, out, options, patient="case", pseudonyms=names)
    key = load_key(tmp_path / "out.private/deidentify.key")
    sources = {
        row["source_id"]: row["source"] for row in rows(tmp_path / "out.private/sources.csv")
    }
    found = {sources[row["source_id"]]: row for row in rows(out / "manifest.csv")}
    for number in range(5):
        row = found[f"{number}.png"]
        assert row["patient"] == key.pseudonym(("id", "", f"MRN-{number // 2}"))
    assert all(dcmread(out / r["dicom_file"]).PatientID == r["patient"] for r in found.values())
    assert len({row["patient"] for row in found.values()}) == 5  # 5.png and the header have theirs
    assert "MRN-1" in names.read_text()
    assert "MRN" not in "".join(str(dcmread(path)) for path in out.rglob("*.dcm"))
    with pytest.raises(ReleaseError, match="other patient"):
        privatize_dataset(table, out, options, resume=True)
    done = withdraw(out, patient="MRN-1", pseudonyms=names)
    assert done.images == 2
    assert "MRN-1" not in names.read_text()


def test_headers_name_patients_of_codes_as_of_dicom_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("ct", "mr"):
        shutil.copy(str(examples.get_path(name)), tmp_path / "in" / f"{name}.dcm")
    key = tmp_path / "hospital.key"
    codes, dicom = tmp_path / "codes", tmp_path / "dicom"
    privatize_dataset(
        tmp_path / "in", codes, ReleaseOptions(SPEC, output="codes"), patient="PatientID", key=key
    )
    privatize_dataset(tmp_path / "in", dicom, ReleaseOptions(SPEC, output="dicom"), key=key)
    named = [row["patient"] for row in rows(codes / "manifest.csv")]
    assert named == [row["patient"] for row in rows(dicom / "manifest.csv")]
    for row in rows(dicom / "manifest.csv"):
        assert dcmread(dicom / row["dicom_file"]).PatientID == row["patient"]


def test_a_release_without_patients_has_no_column_of_them(table: Path, tmp_path: Path) -> None:
    privatize_dataset(table, tmp_path / "out", ReleaseOptions(SPEC))
    assert "patient" not in rows(tmp_path / "out/manifest.csv")[0]


def test_a_column_requires_a_table(table: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="requires a table"):
        privatize_dataset(table.parent, tmp_path / "out", ReleaseOptions(SPEC), patient="case")
    with pytest.raises(ReleaseError, match="no column"):
        privatize_dataset(table, tmp_path / "other", ReleaseOptions(SPEC), patient="nothing")
