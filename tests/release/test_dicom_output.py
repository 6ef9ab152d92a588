"""A release as DICOM: valid, derived, de-identified, read by others, and whole like any release."""

from __future__ import annotations

import csv
import io
import json
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread, examples
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from deepfixcx import Codec, CodecSpec
from deepfixcx.choices import Output
from deepfixcx.errors import ReleaseError, SpecError
from deepfixcx.images import read_image
from deepfixcx.images.masking import load_mask
from deepfixcx.release import (
    ReleaseOptions,
    Summary,
    privatize_dataset,
    run,
    verify_release,
    withdraw,
)
from tests.programs import plugin, program
from tests.release import orthanc
from tests.release.conftest import contents, rows

SPEC = CodecSpec(level=2, patches=5)
NAMES = [b"CompressedSamples", b"JFK IMAGING", b"1.3.6.1.4.1.5962"]
"""What stands in the headers of the files of pydicom that are used here."""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process, which spares the start of another one."""
    monkeypatch.setattr(run, "choose_run", lambda *_, **__: run._run_here)


def release(where: Path, out: Path, *, workers: int = 1, **options: object) -> Summary:
    running = {name: options.pop(name) for name in ("key", "resume") if name in options}
    return privatize_dataset(
        where,
        out,
        ReleaseOptions(SPEC, output="dicom", **options),  # type: ignore[arg-type]
        workers=workers,
        **running,  # type: ignore[arg-type]
    )


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A CT and an MR image, a scan of several frames in colour, a PNG, and a file that is none."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("ct", "mr", "rgb_color"):
        shutil.copy(str(examples.get_path(name)), folder / f"{name}.dcm")
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    (folder / "broken.dcm").write_bytes((folder / "ct.dcm").read_bytes()[:700])
    return folder


@pytest.fixture(scope="module")
def real(
    data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Path]]:
    """Every real DICOM file that can be released, by name: source and result."""
    out = tmp_path_factory.mktemp("real") / "out"
    summary = release(
        data_folder / "dicom" / "files", out, retain=("dates", "patient", "descriptors")
    )
    sources = {row["source_id"]: row["source"] for row in rows(summary.private / "sources.csv")}
    made = {
        sources[row["source_id"]]: out / row["dicom_file"]
        for row in rows(out / "manifest.csv")
        if row["dicom_file"]
    }
    folder = data_folder / "dicom" / "files"
    return {name: (folder / name, path) for name, path in sorted(made.items())}


def by_source(summary: Summary) -> dict[str, Dataset]:
    sources = {row["source_id"]: row["source"] for row in rows(summary.private / "sources.csv")}
    return {
        sources[row["source_id"]]: dcmread(Path(summary.folder) / row["dicom_file"])
        for row in rows(Path(summary.folder) / "manifest.csv")
        if row["dicom_file"]
    }


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_one_valid_file_for_each_input(scans: Path, tmp_path: Path) -> None:
    summary = release(scans, tmp_path / "out")
    listed = rows(tmp_path / "out" / "manifest.csv")
    assert {row["status"] for row in listed} == {"done", "failed"}
    assert [row["error"] for row in listed if row["error"]] == ["DamagedImageError"]
    assert not (tmp_path / "out" / "images").exists()
    assert not (tmp_path / "out" / "codes").exists()
    assert summary.totals["dicom_files"] == 4
    made = by_source(summary)
    assert {name: image.SOPClassUID for name, image in made.items()} == {
        "ct.dcm": CTImageStorage,
        "mr.dcm": MRImageStorage,
        "rgb_color.dcm": SecondaryCaptureImageStorage,
        "picture.png": SecondaryCaptureImageStorage,
    }
    for image in made.values():
        assert image.ImageType[0] == "DERIVED"
        assert "J=2 P=5 haar l1" in image.DerivationDescription
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
    assert len({image.SOPInstanceUID for image in made.values()}) == 4


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("size", ["compact", "original"])
def test_pixels_are_those_of_the_codec(scans: Path, tmp_path: Path, size: str) -> None:
    made = by_source(release(scans, tmp_path / "out", size=size))
    for name, image in made.items():
        source = read_image(scans / name)
        wanted = Codec(SPEC).privatize(source.pixels, size)[0]  # type: ignore[arg-type]
        most = 2**image.BitsStored - 1
        got = image.pixel_array.astype(np.float64) / most
        got = got if got.ndim == 2 else np.moveaxis(got, -1, 0)
        np.testing.assert_allclose(got, wanted.clip(0, 1).squeeze(), atol=0.51 / most + 1e-6)
        assert image.BitsStored == (16 if name in ("ct.dcm", "mr.dcm") else source.bits)
        # what a viewer shows, window and all, is what the codec made
        shown = read_image(Path(image.filename)).pixels
        scale = 1 if shown.dtype == np.float32 else np.iinfo(shown.dtype).max
        np.testing.assert_allclose(shown[0] / scale, wanted.clip(0, 1), atol=0.01)


@pytest.mark.usefixtures("here")
def test_the_patient_is_gone_from_every_byte_and_name(scans: Path, tmp_path: Path) -> None:
    release(scans, tmp_path / "out")
    sources = b"".join(path.read_bytes() for path in scans.iterdir())
    assert [name for name in NAMES if name in sources] == NAMES
    for path in (tmp_path / "out").rglob("*.*"):
        content = path.read_bytes()
        assert not [name for name in NAMES if name in content], path
        assert path.name not in {each.name for each in scans.iterdir()}


@pytest.mark.usefixtures("here")
def test_dates_and_patients_match_across_releases_that_share_a_key(
    scans: Path, tmp_path: Path
) -> None:
    key = tmp_path / "hospital.key"
    one = by_source(release(scans, tmp_path / "one", key=key, retain=("dates",)))
    two = by_source(release(scans, tmp_path / "two", key=key, retain=("dates",), size="original"))
    other = by_source(release(scans, tmp_path / "other", retain=("dates",)))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (tmp_path / "other.private" / "deidentify.key").is_file()
    for name, image in one.items():
        assert image.PatientID == two[name].PatientID != other[name].PatientID
        assert image.StudyInstanceUID == two[name].StudyInstanceUID != other[name].StudyInstanceUID
        assert image.SeriesInstanceUID != two[name].SeriesInstanceUID  # another derivation
        assert image.SOPInstanceUID != two[name].SOPInstanceUID
    assert one["ct.dcm"].StudyDate == two["ct.dcm"].StudyDate != dcmread(scans / "ct.dcm").StudyDate
    assert len({image.PatientID for image in one.values()}) == 4


def test_bytes_depend_on_inputs_options_and_key_alone(scans: Path, tmp_path: Path) -> None:
    key = tmp_path / "hospital.key"
    for name, workers in (("one", 1), ("two", 2)):
        release(scans, tmp_path / name, key=key, workers=workers)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert verify_release(tmp_path / "one").sound


@pytest.mark.usefixtures("here")
def test_verify_sees_a_changed_and_a_missing_file(scans: Path, tmp_path: Path) -> None:
    release(scans, tmp_path / "out")
    files = sorted((tmp_path / "out" / "dicom").iterdir())
    with files[0].open("r+b") as file:
        file.seek(-2, io.SEEK_END)
        file.write(b"\x01\x02")
    files[1].unlink()
    (tmp_path / "out" / "dicom" / "more.dcm").touch()
    found = verify_release(tmp_path / "out")
    assert found.changed == [f"dicom/{files[0].name}"]
    assert found.missing == [f"dicom/{files[1].name}"]
    assert found.unlisted == ["dicom/more.dcm"]


@pytest.mark.usefixtures("here")
def test_resumes_with_the_same_key_and_restores_missing_files(scans: Path, tmp_path: Path) -> None:
    key, other = tmp_path / "hospital.key", tmp_path / "other.key"
    summary = release(scans, tmp_path / "out", key=key)
    before = contents(tmp_path / "out")
    lost = tmp_path / "out" / next(iter(sorted(n for n in before if n.startswith("dicom/"))))
    lost.unlink()
    with pytest.raises(ReleaseError, match="other key"):
        release(scans, tmp_path / "out", key=other, resume=True)
    release(scans, tmp_path / "out", key=key, resume=True)
    assert contents(tmp_path / "out") == before
    stated = json.loads((tmp_path / "out" / "dataset.json").read_text())["totals"]
    assert stated.items() <= summary.totals.items()


@pytest.mark.usefixtures("here")
def test_the_key_stays_out_of_the_release_and_its_metadata(scans: Path, tmp_path: Path) -> None:
    key = tmp_path / "hospital.key"
    release(scans, tmp_path / "out", key=key)
    secret = key.read_text().split()[-1]
    for path in [*(tmp_path / "out").rglob("*.*"), tmp_path / "out.private" / "ledger.sqlite"]:
        assert secret.encode() not in path.read_bytes()
        assert bytes.fromhex(secret) not in path.read_bytes()
    with pytest.raises(ReleaseError, match="lies in OUT"):
        release(scans, tmp_path / "new", key=tmp_path / "new" / "hospital.key")


def test_options_that_have_no_use_are_refused(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="retain requires"):
        ReleaseOptions(SPEC, retain=("dates",))
    with pytest.raises(SpecError, match="retain is any of"):
        ReleaseOptions(SPEC, output="dicom", retain=("names",))  # type: ignore[arg-type]
    with pytest.raises(ReleaseError, match="require --output dicom"):
        privatize_dataset(scans, tmp_path / "out", ReleaseOptions(SPEC), key=tmp_path / "key")


def test_a_header_that_cannot_be_carried_over_is_one_failure(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepfixcx.release import dicom_output

    made = dicom_output.DicomOutput._header

    def fail(self: dicom_output.DicomOutput, source: dicom_output.DicomSource) -> Dataset:
        if source.header is not None and source.header.dataset.Modality == "MR":
            raise ValueError("CANARY^NAME")
        return made(self, source)

    monkeypatch.setattr(dicom_output.DicomOutput, "_header", fail)
    out = "memory://scans-as-dicom"  # worked in this process
    options = ReleaseOptions(SPEC, output="dicom")
    summary = privatize_dataset(scans, out, options, private=tmp_path / "private")
    listed = rows(summary.private / "sources.csv")
    failed = {row["source"]: (row["error"], row["reason"]) for row in listed if row["error"]}
    assert failed["mr.dcm"][0] == "DeidentifyError"
    assert "CANARY" not in str(failed)
    assert len(failed) == 2


@pytest.mark.slow
def test_every_real_file_keeps_its_kind_where_that_is_valid(
    real: dict[str, tuple[Path, Path]],
) -> None:
    assert len(real) >= 33
    kept = {
        name
        for name, (_, path) in real.items()
        if dcmread(path, stop_before_pixels=True).SOPClassUID
        in (
            CTImageStorage,
            MRImageStorage,
            ComputedRadiographyImageStorage,
            DigitalXRayImageStorageForPresentation,
        )
    }
    assert {"CT_small.dcm", "MR_small_RLE.dcm", "RG1_J2KI.dcm", "MR2_JPLL.dcm"} <= kept
    assert "JPEG2KLossless_1s_1f_u_16_16.dcm" in kept
    assert not {"rtdose_1frame.dcm", "liver_nonbyte_aligned.dcm", "emri_small.dcm"} & kept
    assert dcmread(real["emri_small.dcm"][1]).NumberOfFrames == 10
    lossy = dcmread(real["RG1_J2KI.dcm"][1], stop_before_pixels=True)
    assert lossy.LossyImageCompressionMethod == ["ISO_15444_1", "DEEPFIXCX"]
    assert float(lossy.LossyImageCompressionRatio[0]) == 10


@pytest.mark.slow
def test_a_validator_finds_no_error(real: dict[str, tuple[Path, Path]]) -> None:
    dciodvfy = program("dicom3tools", "dciodvfy")
    for name, (_, path) in real.items():
        done = subprocess.run([dciodvfy, str(path)], capture_output=True, check=False, timeout=240)
        said = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        assert not [line for line in said if line.startswith("Error")], name
        assert any(line.strip() for line in said), name  # it did look


@pytest.mark.slow
def test_dcmtk_and_highdicom_read_every_file(
    real: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    import highdicom

    dump = program("dcmtk", "dcmdump")
    convert = program("dcmtk", "dcm2img", "dcm2pnm")
    for name, (source, path) in real.items():
        reported = subprocess.run(
            [dump, str(path)], capture_output=True, check=True, timeout=240
        ).stdout
        assert b"DerivationDescription" in reported, name
        assert len(highdicom.imread(path).get_stored_frames()) == len(read_image(source).pixels)
        picture = tmp_path / "picture.pnm"
        subprocess.run(
            [convert, "--write-raw-pnm", str(path), str(picture)], check=True, timeout=240
        )
        with Image.open(picture) as image:
            theirs = np.asarray(image, np.float64) / 255
        ours = read_image(path)
        scale = 1 if ours.pixels.dtype == np.float32 else np.iinfo(ours.pixels.dtype).max
        first = np.moveaxis(ours.pixels[0] / scale, 0, -1).squeeze()
        assert np.abs(theirs - first).max() < 0.01, name


@pytest.mark.slow
def test_an_archive_stores_finds_and_gives_back_every_file(
    real: dict[str, tuple[Path, Path]], archive: orthanc.Orthanc
) -> None:
    files = [path.read_bytes() for _, path in real.values()]
    stored = archive.store(files)
    assert len(stored["00081199"]["Value"]) == len(files)
    assert not stored.get("00081198", {}).get("Value")
    for path in (path for _, path in real.values()):
        image = dcmread(path)
        (found,) = archive.find("instances", SOPInstanceUID=image.SOPInstanceUID)
        assert found["0020000D"]["Value"] == [image.StudyInstanceUID]
        studies = archive.find("studies", PatientID=image.PatientID)
        assert image.StudyInstanceUID in {each["0020000D"]["Value"][0] for each in studies}
        back = archive.fetch(image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
        assert dcmread(io.BytesIO(back)) == image


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[orthanc.Orthanc]:
    server = program("orthanc", "Orthanc")
    web = plugin("orthanc-dicomweb", orthanc.PLUGIN)
    (tmp_path / "archive").mkdir()
    with orthanc.running(server, web, tmp_path / "archive") as running:
        yield running


@pytest.mark.usefixtures("here")
def test_the_manifest_describes_frames_of_one_file(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "dicom" / "files" / "emri_small.dcm"
    release(source, tmp_path / "out")
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["frame"] for row in listed] == [str(number) for number in range(10)]
    assert len({(row["dicom_file"], row["dicom_sha256"]) for row in listed}) == 1
    assert verify_release(tmp_path / "out").sound


@pytest.mark.usefixtures("here")
def test_a_release_does_not_retain_more_than_it_states(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    release(scans / "ct.dcm", out, retain=("dates", "device"))
    assert verify_release(out).sound
    about = json.loads((out / "dataset.json").read_text())
    about["options"]["retain"] = ["device"]
    (out / "dataset.json").write_text(json.dumps(about))
    assert any("does not state as retained" in each for each in verify_release(out).contradictions)


MASK = """
[[rules]]
manufacturer = "GE MEDICAL SYSTEMS"
rows = 128
columns = 128
regions = [[0, 0, 20, 128]]
"""


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("output", ["dicom", "both"])
def test_a_mask_is_painted_before_encoding_and_written_down(
    scans: Path, tmp_path: Path, output: str
) -> None:
    (tmp_path / "rules.toml").write_text(MASK)
    mask = load_mask(tmp_path / "rules.toml")
    options = ReleaseOptions(SPEC, output=output, mask=mask)  # type: ignore[arg-type]
    summary = privatize_dataset(scans, tmp_path / "out", options)
    listed = {row["source_id"]: row for row in rows(tmp_path / "out" / "manifest.csv")}
    names = {row["source"]: row["source_id"] for row in rows(summary.private / "sources.csv")}
    assert summary.totals["files_done"] == 1  # no rule is for the others
    row = listed[names["ct.dcm"]]
    assert row["masked"] == "1"
    assert listed[names["picture.png"]]["error"] == "DeidentifyError"
    about = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert about["options"]["mask"] == mask.name
    pixels = read_image(scans / "ct.dcm").pixels.copy()
    assert pixels[:, :, :20].any()
    pixels[:, :, :20] = 0
    wanted = Codec(SPEC).privatize(pixels)[0].clip(0, 1)
    kept = tmp_path / "out" / (row["dicom_file"] or row["image_file"])
    shown = read_image(kept).pixels[0]
    shown = shown / 65535 if shown.dtype == np.uint16 else shown
    np.testing.assert_allclose(shown, wanted, atol=2e-5)
    if output == "dicom":
        assert "1 regions painted black" in dcmread(kept).DerivationDescription


@pytest.mark.usefixtures("here")
def test_another_mask_is_another_release(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(MASK)
    mask = load_mask(tmp_path / "rules.toml")
    release(scans, tmp_path / "out", mask=mask)
    with pytest.raises(ReleaseError, match="other mask"):
        release(scans, tmp_path / "out", resume=True)


@pytest.mark.usefixtures("here")
def test_says_when_writing_stays_legible(scans: Path, tmp_path: Path) -> None:
    few = release(scans, tmp_path / "few")
    assert (few.legible_images, few.legible_from) == (0, 0)
    options = ReleaseOptions(CodecSpec(1, 32), output="codes")
    assert privatize_dataset(scans, tmp_path / "some", options).legible_images == 0
    Image.fromarray(np.zeros((1600, 1600), np.uint8)).save(scans / "large.png")
    options = ReleaseOptions(CodecSpec(1, 80), output="codes")
    many = privatize_dataset(scans / "large.png", tmp_path / "many", options)
    assert (many.legible_images, many.legible_from) == (1, 80)


@pytest.mark.usefixtures("here")
def test_a_release_of_several_outputs_has_the_bytes_of_each_alone_and_loses_all_of_an_image(
    scans: Path, tmp_path: Path
) -> None:
    whole, found = tmp_path / "images,codes,dicom", dict[str, set[str]]()
    key = tmp_path / "key"
    outputs: tuple[Output, ...] = ("both", "dicom", "codes,dicom", "images,codes,dicom")
    for output in outputs:
        options = ReleaseOptions(SPEC, output=output)
        keys = {} if output == "both" else {"key": key}
        privatize_dataset(scans, tmp_path / output, options, **keys)  # type: ignore[arg-type]
        assert verify_release(tmp_path / output).sound, output
        results = contents(tmp_path / output)
        found[output] = {f"{name} {sha}" for name, sha in results.items()
                         if name.startswith(("images/", "codes/", "dicom/"))}  # fmt: skip
    assert found["images,codes,dicom"] == found["both"] | found["dicom"]
    assert found["codes,dicom"] == {e for e in found[whole.name] if not e.startswith("images/")}
    frames = [row for row in rows(whole / "manifest.csv") if row["status"] == "done"]
    assert all(row["image_file"] and row["code_file"] and row["patient"] for row in frames)
    later = tmp_path / "later"
    later.mkdir()
    shutil.copy(str(examples.get_path("overlay")), later / "new.dcm")
    options = ReleaseOptions(SPEC, output="images,codes,dicom")
    privatize_dataset(later, whole, options, key=key, add=True)
    assert found[whole.name] < {f"{name} {sha}" for name, sha in contents(whole).items()}
    gone = frames[0]["source_id"]
    withdraw(whole, images=[gone], key=key)
    assert not [name for name in contents(whole) if gone in name]
    assert verify_release(whole).sound
    about = json.loads((whole / "dataset.json").read_text())
    about["options"]["output"] = "codes,dicom"
    (whole / "dataset.json").write_text(json.dumps(about))
    assert any("do not match the output" in e for e in verify_release(whole).contradictions)
