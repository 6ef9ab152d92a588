"""Releases of volumes: NIfTI and DICOM series in, codes, NIfTI and DICOM series out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from typer.testing import CliRunner

from deepfixcx import Codec, CodecSpec
from deepfixcx.cli.app import app
from deepfixcx.errors import NotAVolumeError, SeriesError, SpecError
from deepfixcx.images.dicom.geometry import lattice_of
from deepfixcx.images.nifti import is_bare_volume, nifti_bytes
from deepfixcx.images.volumes import Volume, move_affine, read_series, read_volume
from deepfixcx.release import (
    Release,
    ReleaseOptions,
    find_sources,
    privatize_dataset,
    verify_release,
    withdraw,
)
from tests.release.conftest import contents

SPEC = CodecSpec(1, (2, 3, 4), ndim=3)
CANARY = "Zebulon Quagmire"
COLUMNS, ROWS = np.array([0.96, 0.28, 0]), np.array([-0.224, 0.768, 0.6])
OBLIQUE = np.stack([COLUMNS, ROWS, np.cross(COLUMNS, ROWS)], axis=1)


def smooth(depth: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint16]:
    """Return a volume in which neighbours look alike, so that its direction shows."""
    z, y, x = np.mgrid[0:depth, 0:height, 0:width]
    wave = np.sin(z / 3 + seed) + 0.01 * y * x + 0.1 * z
    return np.asarray((wave - wave.min()) / np.ptp(wave) * 4000, np.uint16)


def write_slices(
    folder: Path,
    volume: NDArray[np.uint16],
    patient: str = "P1",
    change: Callable[[int, Dataset], None] | None = None,
) -> list[Path]:
    """Write an oblique DICOM series, one file a slice, in an order that is not that of names."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, pixels in enumerate(volume):
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, f"1.2.{place + 1}"
        header.PatientID, header.PatientName = patient, CANARY
        header.StudyInstanceUID, header.SeriesInstanceUID = f"1.3.{patient[1:]}", "1.4"
        header.Modality, header.ImageType = "MR", ["ORIGINAL", "PRIMARY"]
        (header.Rows, header.Columns), header.SamplesPerPixel = pixels.shape, 1
        header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
        header.PixelRepresentation, header.PhotometricInterpretation = 0, "MONOCHROME2"
        header.PixelSpacing, header.SliceThickness = [0.5, 0.75], 3
        header.ImageOrientationPatient = [*OBLIQUE[:, 0], *OBLIQUE[:, 1]]
        header.ImagePositionPatient = [*(np.array([10.0, 20, 30]) + 2.5 * place * OBLIQUE[:, 2])]
        header.InstanceNumber = place + 1
        header.PixelData = pixels.astype("<u2").tobytes()
        header["PixelData"].VR = "OW"
        if change is not None:
            change(place, header)
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        path = folder / f"{(7 * place) % len(volume):03d}.dcm"
        header.save_as(path, enforce_file_format=True)
        paths.append(path)
    return sorted(paths)


def write_nifti(path: Path, volume: NDArray[Any], affine: NDArray[Any], canary: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    make: Any = nibabel.Nifti1Image
    image = make(volume, affine)
    if canary:
        for name in ("descrip", "aux_file", "db_name", "intent_name"):
            image.header[name] = canary[:16].encode()
        for code in (4, 6):
            image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, canary.encode()))
    image.to_filename(path)
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a DICOM series, two NIfTI files and one slice."""
    folder = tmp_path_factory.mktemp("volumes")
    write_slices(folder / "series", smooth(9, 12, 14))
    affine = np.array([[-0.75, 0, 0, 9], [0, 0, 2.5, 4], [0, 0.5, 0.2, 7], [0, 0, 0, 1.0]])
    write_nifti(folder / f"{CANARY}.nii.gz", smooth(14, 12, 9, 1), affine, CANARY)
    write_nifti(folder / "two.nii", np.stack([smooth(10, 8, 6, 2)] * 2, -1), np.eye(4))
    write_slices(folder / "alone", smooth(1, 12, 14), "P2")
    return folder


@pytest.fixture(scope="module")
def release(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make images and codes of them."""
    folder = tmp_path_factory.mktemp("releases") / "out"
    summary = privatize_dataset(inputs, folder, ReleaseOptions(SPEC, names="keep"))
    assert (summary.totals["files_done"], summary.totals["files_failed"]) == (3, 1)
    return folder


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _sound(folder: Path) -> bool:
    found = verify_release(folder)
    assert found.sound, found
    return True


def _series(folder: Path, names: str = "*") -> Volume:
    return read_series(io.BytesIO(path.read_bytes()) for path in sorted(folder.glob(names)))


def _volume(path: Path) -> Volume:
    return read_volume(io.BytesIO(path.read_bytes()))


def _nifti(path: Path) -> Any:
    return nibabel.load(path)


def _refused(folder: Path, names: str) -> str:
    with pytest.raises((SeriesError, NotAVolumeError)) as caught:
        _series(folder, names)
    return str(caught.value)


# -- reading ----------------------------------------------------------------------------------


def test_slices_are_sorted_along_their_normal_whatever_their_names(inputs: Path) -> None:
    volume = _series(inputs / "series")
    values = smooth(9, 12, 14) / smooth(9, 12, 14).max()
    np.testing.assert_allclose(volume.voxels[0, 0], values, atol=1e-3)
    column, row, slice_ = volume.affine[:3, :3].T * [-1, -1, 1]  # left, posterior, head
    np.testing.assert_allclose(column, 0.75 * OBLIQUE[:, 0], atol=1e-9)
    np.testing.assert_allclose(row, 0.5 * OBLIQUE[:, 1], atol=1e-9)
    np.testing.assert_allclose(slice_, 2.5 * OBLIQUE[:, 2], atol=1e-9)


def test_a_nifti_file_and_the_series_of_its_slices_are_one_volume(
    inputs: Path, tmp_path: Path
) -> None:
    """nibabel's affine is the judge: the same voxels at the same millimetres, stored any way."""
    series = _series(inputs / "series")
    stored, affine = smooth(9, 12, 14).transpose(2, 1, 0), series.affine
    for flips in ((1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)):
        turn = np.diag([*flips, 1.0])
        turn[:3, 3] = [
            side - 1 if flip < 0 else 0 for side, flip in zip(stored.shape, flips, strict=True)
        ]
        turned = stored[:: flips[0], :: flips[1], :: flips[2]]
        path = write_nifti(tmp_path / "turned.nii", turned, affine @ turn)
        same = _volume(path)
        np.testing.assert_allclose(same.voxels, series.voxels, atol=1e-6)
        np.testing.assert_allclose(same.affine, series.affine, atol=1e-4)


def _set(name: str, value: Any, *places: int) -> Callable[[int, Dataset], None]:
    """Return a change of an element in the headers of some slices; None deletes it."""

    def change(place: int, header: Dataset) -> None:
        if place in places:
            header.pop(name, None)
            if value is not None:
                setattr(header, name, value)

    return change


FAR = [10 + 30 * float(OBLIQUE[0, 2]), 20 + 30 * float(OBLIQUE[1, 2]), 30 + 30 * OBLIQUE[2, 2]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("PixelSpacing", [0.5, 1.75], 5, 6), "several pixel spacings"),
        (_set("PhotometricInterpretation", "MONOCHROME1", 3), "several depths"),
        (_set("ImagePositionPatient", None, 2), "no position"),
        (_set("ImageType", ["ORIGINAL", "MOSAIC"], 0), "mosaic"),
        (_set("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], 3), "several orientations"),
        (_set("ImagePositionPatient", [10, 20, 30], 3), "9 slices lie at 8 positions"),
        (_set("ImagePositionPatient", FAR, 8), "slices 8 and 9 of 9 are 12.5 mm apart"),
    ],
)
def test_slices_that_are_no_single_volume_are_refused_with_the_reason(
    tmp_path: Path, change: Callable[[int, Dataset], None], reason: str
) -> None:
    write_slices(tmp_path, smooth(9, 12, 14), change=change)
    assert reason in _refused(tmp_path, "*")
    assert CANARY not in _refused(tmp_path, "*")


def test_a_missing_slice_and_other_sizes_are_refused(tmp_path: Path) -> None:
    paths = write_slices(tmp_path, smooth(9, 12, 14))
    paths[4].unlink()
    assert "has a gap" in _refused(tmp_path, "*")
    write_slices(tmp_path, smooth(9, 12, 14))
    write_slices(tmp_path / "more", smooth(1, 10, 14))
    assert "sizes" in _refused(tmp_path, "**/*.dcm")


def test_pictures_and_single_slices_are_no_volumes(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    flat = write_nifti(tmp_path / "flat.nii", smooth(1, 8, 9)[0], np.eye(4))
    for path in (tmp_path / "image.png", flat, next((inputs / "alone").iterdir())):
        with pytest.raises(NotAVolumeError):
            _volume(path)


def test_the_slope_of_each_slice_is_applied_and_a_window_only_where_all_have_it(
    tmp_path: Path,
) -> None:
    def scaled(place: int, header: Dataset) -> None:
        header.RescaleSlope, header.RescaleIntercept = 1 + place, 0
        header.WindowCenter, header.WindowWidth = 100 + place, 50

    flat = np.full((4, 6, 6), 100, np.uint16)
    flat[:, 0] = 0
    write_slices(tmp_path, flat, change=scaled)
    found = _series(tmp_path)
    assert [round(float(each[-1, -1]), 3) for each in found.voxels[0, 0]] == [0.25, 0.5, 0.75, 1]
    assert "windows of the slices differ" in found.notes[0]


def test_an_enhanced_multi_frame_file_is_the_volume_of_its_frames(tmp_path: Path) -> None:
    values = smooth(6, 10, 8)
    write_slices(tmp_path / "series", values)
    series = _series(tmp_path / "series")
    header = pydicom.dcmread(next((tmp_path / "series").iterdir()))
    frames = [Dataset() for _ in values]
    for place, group in enumerate(frames):
        plane = Dataset()
        plane.ImagePositionPatient = [*(np.array([10.0, 20, 30]) + 2.5 * place * OBLIQUE[:, 2])]
        group.PlanePositionSequence = [plane]
    shared, measures, turned = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, turned.ImageOrientationPatient = (
        [0.5, 0.75],
        [
            *OBLIQUE[:, 0],
            *OBLIQUE[:, 1],
        ],
    )
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = [Dataset(each) for each in frames[::-1]]
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    header.NumberOfFrames = len(values)
    header.PixelData = values[::-1].astype("<u2").tobytes()
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(header, name)
    header.save_as(tmp_path / "enhanced.dcm")
    enhanced = _volume(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(enhanced.voxels, series.voxels)
    np.testing.assert_allclose(enhanced.affine, series.affine, atol=1e-9)
    header.PerFrameFunctionalGroupsSequence = []
    header.SOPClassUID = SecondaryCaptureImageStorage
    header.save_as(tmp_path / "film.dcm")
    with pytest.raises(NotAVolumeError, match="film"):
        _volume(tmp_path / "film.dcm")


# -- releases ---------------------------------------------------------------------------------


def test_a_series_is_one_input_and_every_volume_has_its_code(inputs: Path, release: Path) -> None:
    names = [source.name for source in find_sources(inputs, volumes=True).found]
    assert sorted(names) == sorted(
        ["series/000.dcm", f"{CANARY}.nii.gz", "two.nii", "alone/000.dcm"]
    )
    rows = {(row["source_id"], row["frame"]): row for row in _rows(release)}
    assert len(rows) == 5  # a NIfTI file of two times has two
    assert rows["alone/000.dcm", "0"]["error"] == "NotAVolumeError"
    row = rows["series/000.dcm", "0"]
    assert (row["depth"], row["height"], row["width"]) == ("9", "12", "14")
    code = Release.open(release).file_of_codes(row["code_file"])[int(row["code_row"])]
    volume = _series(inputs / "series")
    assert code == Codec(SPEC).encode(volume.voxels[0])
    assert _sound(release)


@pytest.mark.parametrize("size", ["compact", "original"])
def test_a_reconstruction_lies_where_its_source_lies(tmp_path: Path, size: Any) -> None:
    """The centre of mass of a bright blob stays within half a voxel of the reconstruction."""
    blob = np.zeros((16, 24, 20), np.float32)
    blob[9:13, 4:10, 11:17] = 1
    affine = np.array([[0, -0.5, 0, 3], [0.8, 0, 0.3, -5], [0, 0, 2.0, 7], [0, 0, 0, 1]])
    path = write_nifti(tmp_path / "in" / "blob.nii.gz", blob, affine)
    spec = CodecSpec(1, (5, 4, 6), pooling="sum", ndim=3)
    options = ReleaseOptions(spec, output="images", size=size)
    privatize_dataset(path.parent, tmp_path / "out", options)
    assert _sound(tmp_path / "out")
    image = _nifti(tmp_path / "out" / "images" / "000001.nii.gz")
    wanted = (16, 24, 20) if size == "original" else tuple(sorted(image.shape))
    assert sorted(image.shape) == sorted(wanted)

    def centre(values: NDArray[Any], placed: NDArray[Any]) -> NDArray[Any]:
        places = np.indices(values.shape).reshape(3, -1)
        weights = values.reshape(-1) / values.sum()
        return np.asarray(placed[:3, :3] @ (places @ weights) + placed[:3, 3])

    found = centre(np.asarray(image.dataobj), image.affine)
    step = np.linalg.norm(image.affine[:3, :3], axis=0).max()
    assert np.linalg.norm(found - centre(blob, affine)) < 0.5 * step


def test_no_text_of_a_nifti_header_or_of_its_extensions_is_released(
    inputs: Path, tmp_path: Path
) -> None:
    """Attacker: a recipient who searches every byte, unpacked, for what the source says."""
    out = tmp_path / "out"
    privatize_dataset(inputs, out, ReleaseOptions(SPEC))
    for path in sorted(out.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        assert CANARY[:7].encode() not in data, path
        if path.suffix == ".gz":
            assert is_bare_volume(path.read_bytes(), 16)
    words = ["scan", str(out), "--against", str(inputs)]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "not in IN" not in done.output  # a series is known by all its files


def test_text_in_a_released_volume_is_noticed(inputs: Path, release: Path, tmp_path: Path) -> None:
    """Attacker: a sender who hides a name in each free field of a header in turn."""
    out = Path(shutil.copytree(release, tmp_path / "out"))
    path = next(out.rglob("two.frame0000.nii.gz"))
    for field in ("descrip", "aux_file", "db_name", "intent_name", "extension"):
        image = _nifti(path)
        if field == "extension":
            image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, CANARY.encode()))
        else:
            image.header[field] = CANARY[:16].encode()
        make: Any = nibabel.Nifti1Image
        spoilt = tmp_path / f"{field}.nii.gz"
        make(np.asarray(image.dataobj), image.affine, image.header).to_filename(spoilt)
        assert not is_bare_volume(spoilt.read_bytes(), 16)
    shutil.copy(tmp_path / "extension.nii.gz", path)
    done = CliRunner().invoke(app, ["scan", str(out), "--against", str(inputs)])
    assert done.exit_code


def test_a_volume_with_bytes_behind_it_or_a_name_in_gzip_is_not_bare() -> None:
    plain = nifti_bytes(smooth(4, 5, 6) / 4000, np.eye(4), (False,) * 4, bits=16)
    assert is_bare_volume(plain, 16)
    assert not is_bare_volume(plain, 8)
    inner = gzip.decompress(plain)
    assert not is_bare_volume(plain + b"x", 16)
    assert not is_bare_volume(gzip.compress(inner + b"x", mtime=0), 16)
    assert not is_bare_volume(b"\x1f\x8b\x08\x08" + plain[4:], 16)


@pytest.mark.parametrize("size", ["compact", "original"])
def test_a_series_becomes_a_series_in_its_place(inputs: Path, tmp_path: Path, size: Any) -> None:
    out = tmp_path / "out"
    options = ReleaseOptions(SPEC, output="dicom", size=size)
    summary = privatize_dataset(inputs / "series", out, options)
    assert _sound(out)
    assert summary.totals["source_values"] == 9 * 12 * 14
    paths = sorted(out.rglob("*.dcm"))
    headers = [pydicom.dcmread(path) for path in paths]
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert len({header.SOPInstanceUID for header in headers}) == len(headers)
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in paths)
    made = _series(out / "dicom")
    source = _series(inputs / "series")
    lattice = lattice_of(SPEC, size, *source.size)
    wanted = move_affine(source.affine, lattice.offset, lattice.step)
    np.testing.assert_allclose(made.affine, wanted, atol=1e-6)
    decoded = np.asarray(Codec(SPEC).privatize(source.voxels, size))[0, 0]
    pixels = np.stack([header.pixel_array for header in headers]) / 65535
    np.testing.assert_allclose(pixels, np.clip(decoded, 0, 1), atol=1e-4)


def test_a_nifti_volume_becomes_no_dicom_series(inputs: Path, tmp_path: Path) -> None:
    options = ReleaseOptions(SPEC, output="dicom")
    privatize_dataset(inputs / "two.nii", tmp_path / "out", options)
    (row,) = _rows(tmp_path / "out")
    assert (row["error"], "--output images" in row["reason"]) == ("SeriesError", True)


@pytest.mark.slow
def test_workers_resuming_and_order_of_files_change_no_byte(inputs: Path, tmp_path: Path) -> None:
    options = ReleaseOptions(SPEC)
    privatize_dataset(inputs, tmp_path / "one", options)
    privatize_dataset(inputs, tmp_path / "two", options, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    before = contents(tmp_path / "one")
    summary = privatize_dataset(inputs, tmp_path / "one", options, resume=True)
    assert summary.progress.files_done == 0
    assert contents(tmp_path / "one") == before


@pytest.mark.slow
def test_a_changed_slice_is_noticed_and_an_added_series_and_a_withdrawal_keep_the_rest(
    inputs: Path, tmp_path: Path
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    shutil.copytree(inputs, scans)
    run: Any = {"patient": "PatientID", "key": tmp_path / "key"}
    privatize_dataset(scans, out, ReleaseOptions(SPEC), **run)
    write_slices(scans / "series", smooth(9, 12, 14, 5))
    summary = privatize_dataset(scans, out, ReleaseOptions(SPEC), resume=True, **run)
    assert len(summary.changed) == 1
    assert _sound(out)
    write_slices(tmp_path / "later", smooth(8, 12, 14, 6), "P3")
    before = {row["source_id"]: row["code_sha256"] for row in _rows(out) if row["code_sha256"]}
    privatize_dataset(tmp_path / "later", out, ReleaseOptions(SPEC), add=True, **run)
    after = {row["source_id"]: row for row in _rows(out)}
    assert {name: after[name]["code_sha256"] for name in before} == before
    assert len({row["patient"] for row in after.values() if row["patient"]}) >= 2
    assert _sound(out)
    withdraw(out, patient="P3", key=tmp_path / "key")
    assert {row["source_id"] for row in _rows(out)} == after.keys() - {
        name for name, row in after.items() if name not in before and not row["error"]
    }
    assert _sound(out)


def test_what_is_made_for_images_alone_is_refused_by_name(inputs: Path, tmp_path: Path) -> None:
    from deepfixcx.images.masking import DeviceMask

    with pytest.raises(SpecError, match="a mask works on images"):
        ReleaseOptions(SPEC, mask=DeviceMask(()))
    with pytest.raises(SpecError, match="a mechanism works on images"):
        ReleaseOptions(SPEC, mechanisms=("bands",))
    words = [str(inputs), str(tmp_path / "out"), "-J", "1", "-P", "2x3x4", "--volumes"]
    for option in (["--mechanism", "quantization-8"], ["--mask", "ocr"]):
        done = CliRunner().invoke(app, ["privatize", *words, *option])
        assert done.exit_code
        assert "works on images" in " ".join(done.output.split())
    done = CliRunner().invoke(app, ["privatize", *words[:6], "--level-z", "1", "-P", "2"])
    assert "--level-z is for volumes" in done.output
    done = CliRunner().invoke(app, ["privatize", *words, "--level-z", "0", "--output", "codes"])
    assert done.exit_code == 3
    assert "3 of 4 files" in done.output
    assert Release.open(tmp_path / "out").spec == CodecSpec(1, (2, 3, 4), ndim=3, level_z=0)


def test_inspect_lists_volumes_and_show_draws_three_planes(inputs: Path, tmp_path: Path) -> None:
    words = [str(inputs), "--volumes", "--workers", "1", "--json", str(tmp_path / "found.json")]
    done = CliRunner().invoke(app, ["inspect", *words])
    found = json.loads((tmp_path / "found.json").read_text())
    assert done.exit_code == 3
    assert (found["files_readable"], found["images"]) == (3, 9 + 9 + 6)
    assert found["problems"] == {"NotAVolumeError": 1}
    figure = tmp_path / "planes.png"
    words = [str(inputs / "series"), "-o", str(figure), "--volumes", "-J", "1", "-P", "2x3x4"]
    assert CliRunner().invoke(app, ["show", *words]).exit_code == 0
    assert figure.read_bytes()[:4] == b"\x89PNG"
    words[0] = str(inputs)
    done = CliRunner().invoke(app, ["show", *words, "--overwrite"])
    assert done.exit_code
    assert "4 inputs" in done.output


def test_a_volume_object_states_its_size() -> None:
    assert Volume(np.zeros((1, 1, 2, 3, 4)), np.eye(4), 8, "NIfTI").size == (2, 3, 4)
