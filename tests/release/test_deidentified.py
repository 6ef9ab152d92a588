"""De-identified DICOM files keep their pixels, and what cannot be examined is withheld."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from deepfixcx.deidentify import Profile
from deepfixcx.errors import DeidentifyError, UnsupportedImageError
from deepfixcx.images.dicom.decoding import decode_frames
from deepfixcx.images.dicom.kept import paint_frames, without_comments
from deepfixcx.images.masking import DeviceMask, Region, Rule
from deepfixcx.io.release_files import is_leaf
from deepfixcx.release import DeidentifyOptions, Summary, privatize_dataset, verify_release
from tests.deidentify.making import KEY, make_header, save

SIDE = 16
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless,
            JPEG2000Lossless, RLELossless)  # fmt: skip
BOX = Region(2, 3, 4, 5)


def values(seed: int = 0, frames: int = 2) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.random.default_rng(seed).integers(0, 4096, (frames, SIDE, SIDE)).astype(np.uint16)


def image(syntax: UID = ExplicitVRLittleEndian, frames: int = 2, **elements: object) -> Dataset:
    """Return a gray image of 12 bits in a transfer syntax, made without the code under test."""
    made = make_header(**elements)
    made.Rows = made.Columns = SIDE
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.NumberOfFrames = frames
    words = values(frames=frames)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax if syntax != RLELossless else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta = meta
    if syntax == JPEGLSLossless:
        made.PixelData = encapsulate([bytes(imagecodecs.jpegls_encode(each)) for each in words])
    elif syntax == JPEG2000Lossless:
        packed = [
            imagecodecs.jpeg2k_encode(
                each, level=0, reversible=True, codecformat="J2K", bitspersample=12
            )
            for each in words
        ]
        made.PixelData = encapsulate([bytes(each) for each in packed])
    else:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        made.PixelData = words.astype(f"{order}u2").tobytes()
        made["PixelData"].VR = "OW"
    if syntax == RLELossless:
        made.compress(RLELossless, generate_instance_uid=False)
    made["PixelData"].is_undefined_length = syntax in SYNTAXES[3:]
    return made


def jpeg(comment: bytes) -> bytes:
    """Return a gray JPEG with a comment behind its first marker."""
    plain = bytes(imagecodecs.jpeg8_encode(values()[0].astype(np.uint8)))
    return plain[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + plain[2:]


def lossy(comment: bytes) -> Dataset:
    made = image(frames=1)
    del made.NumberOfFrames
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([jpeg(comment)])
    made["PixelData"].is_undefined_length = True
    made["PixelData"].VR = "OB"
    return made


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "in"
    folder.mkdir()
    for number, syntax in enumerate(SYNTAXES):
        save(image(syntax, SOPInstanceUID=f"1.2.826.0.1.77.1.{number}"), folder / f"k{number}.dcm")
    save(lossy(b"made by a scanner"), folder / "comment-plain.dcm")
    save(lossy(b"of Ottilie Winterbottom"), folder / "comment-name.dcm")
    save(image(BurnedInAnnotation="YES"), folder / "burned.dcm")
    overlay = image()
    overlay.add_new(0x60000102, "US", 12)
    save(overlay, folder / "overlay.dcm")
    storage = "1.2.840.10008.5.1.4.1.1."
    for name, kind in (("sr", "88.11"), ("pdf", "104.1"), ("ko", "88.59"), ("odd", "999.9")):
        save(make_header(SOPClassUID=storage + kind), folder / f"{name}.dcm")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "picture.png")
    return folder


def released(sources: Path, out: Path, **options: Any) -> tuple[Summary, dict[str, dict[str, str]]]:
    """Return the summary, and the first row of each source by the name of the source."""
    key = out.parent / "site.key"
    if not key.exists():
        key.write_text(f"deepfixcx-key-1 {KEY.secret[:32].hex()}\n")
        key.chmod(0o600)
    summary = privatize_dataset(sources, out, DeidentifyOptions(**options), key=key)
    with (summary.private / "sources.csv").open(newline="") as file:
        names = {row["source_id"]: row["source"] for row in csv.DictReader(file)}
    with (out / "manifest.csv").open(newline="") as file:
        rows = {names[row["source_id"]]: row for row in reversed(list(csv.DictReader(file)))}
    return summary, rows


@pytest.fixture(scope="module")
def release(
    sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, dict[str, str]]]:
    out = tmp_path_factory.mktemp("release") / "out"
    return out, released(sources, out)[1]


@pytest.mark.parametrize("number", range(len(SYNTAXES)))
def test_pixels_and_syntax_are_those_of_the_source(
    number: int, sources: Path, release: tuple[Path, dict[str, dict[str, str]]]
) -> None:
    out, rows = release
    before = dcmread(sources / f"k{number}.dcm")
    after = dcmread(out / rows[f"k{number}.dcm"]["dicom_file"])
    assert after.PixelData == before.PixelData
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert after.PatientIdentityRemoved == "YES"
    assert str(after.PatientName) != str(before.PatientName)
    assert after.SOPInstanceUID != before.SOPInstanceUID
    (equipment,) = after.ContributingEquipmentSequence
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109104"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("burned.dcm", "Burned In Annotation: YES"),
        ("overlay.dcm", "unused bits"),
        ("sr.dcm", "add --also sr"),
        ("ko.dcm", "add --also ko"),
        ("pdf.dcm", "encapsulated document"),
        ("odd.dcm", "kind is unknown"),
        ("picture.png", "not a DICOM file"),
    ],
)
def test_what_is_not_examined_is_withheld(
    name: str, reason: str, release: tuple[Path, dict[str, dict[str, str]]]
) -> None:
    row = release[1][name]
    assert (row["status"], row["dicom_file"]) == ("failed", "")
    assert reason in row["reason"]
    assert "Winterbottom" not in row["reason"]


@pytest.mark.parametrize("name", ["plain", "name"])
def test_a_comment_is_cut_out_of_a_compressed_frame(
    name: str, sources: Path, release: tuple[Path, dict[str, dict[str, str]]]
) -> None:
    out, rows = release
    before = dcmread(sources / f"comment-{name}.dcm")
    path = out / rows[f"comment-{name}.dcm"]["dicom_file"]
    assert b"scanner" not in path.read_bytes()
    assert b"Winterbottom" not in path.read_bytes()
    after = dcmread(path)
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert np.array_equal(decode_frames(after).values, decode_frames(before).values)


COMMENT = b"of Ottilie Winterbottom"
SEGMENT = (len(COMMENT) + 2).to_bytes(2, "big") + COMMENT


def scans(frame: bytes) -> bytes:
    """Return a frame with a comment before its last scan."""
    at = frame.rfind(b"\xff\xda")
    return frame[:at] + b"\xff\xfe" + SEGMENT + frame[at:]


PLAIN_JPEG = jpeg(b"")[:2] + jpeg(b"")[6:]
PLAIN_LS = bytes(imagecodecs.jpegls_encode(values()[0]))
PLAIN_2000 = bytes(
    imagecodecs.jpeg2k_encode(values()[0], level=0, reversible=True, codecformat="J2K")
)


@pytest.mark.parametrize(
    ("plain", "spoiled"),
    [
        (PLAIN_JPEG, jpeg(COMMENT)),
        (PLAIN_JPEG, scans(PLAIN_JPEG)),
        (PLAIN_JPEG, PLAIN_JPEG + COMMENT),
        (PLAIN_JPEG, PLAIN_JPEG[:2] + b"\xff\xe1" + SEGMENT + PLAIN_JPEG[2:]),
        (PLAIN_LS, PLAIN_LS[:2] + b"\xff\xe8" + SEGMENT + PLAIN_LS[2:]),
        (PLAIN_LS, PLAIN_LS + COMMENT),
        (PLAIN_2000, PLAIN_2000.replace(b"\xff\x52", b"\xff\x64" + SEGMENT + b"\xff\x52", 1)),
        (PLAIN_2000, PLAIN_2000 + COMMENT),
    ],
)
def test_what_a_frame_holds_beside_the_image_is_cut(plain: bytes, spoiled: bytes) -> None:
    assert spoiled != plain
    assert without_comments(plain) == (plain, b"")
    assert without_comments(spoiled)[0] == plain


def test_what_cannot_be_cut_is_refused() -> None:
    at = PLAIN_2000.index(b"\xff\x93")
    inside = PLAIN_2000[:at] + b"\xff\x64" + SEGMENT + PLAIN_2000[at:]
    boxed = b"\0\0\0\x0cjP  \r\n\x87\n" + (8 + len(COMMENT)).to_bytes(4, "big") + b"xml " + COMMENT
    for frame in (inside, boxed):
        with pytest.raises(UnsupportedImageError, match="not examined"):
            without_comments(frame)


def test_release_is_consistent_and_a_change_of_it_is_noticed(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    released(sources, out)
    about = json.loads((out / "dataset.json").read_text())
    listed = {name for name in about["papers"] if not is_leaf(name)}
    assert listed == {"manifest.csv", "failures.csv", "deidentification.md"}
    assert verify_release(out).sound
    (out / "deidentification.md").write_text("other")
    assert verify_release(out).changed == ["deidentification.md"]


def test_objects_that_are_named_are_included(sources: Path, tmp_path: Path) -> None:
    profile = Profile(clean_structured=True)
    _, rows = released(sources, tmp_path / "out", profile=profile, also=("ko", "sr"))
    assert [rows[f"{name}.dcm"]["status"] for name in ("ko", "sr", "pdf")] == [
        "done", "done", "failed",
    ]  # fmt: skip
    with pytest.raises(DeidentifyError, match="structured"):
        DeidentifyOptions(also=("sr",))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_painting_changes_only_the_region_and_keeps_the_syntax(syntax: UID) -> None:
    data = image(syntax)
    paint_frames(data, [BOX])
    wanted = values()
    for frame in wanted:
        frame[2:6, 3:8] = frame.min()
    assert np.array_equal(decode_frames(data).values[..., 0], wanted)
    assert data.file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize("planar", [0, 1])
def test_painting_colours(planar: int) -> None:
    colours = np.random.default_rng(1).integers(1, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    data = image(frames=1)
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
    data.PlanarConfiguration = planar
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = (colours if planar == 0 else np.moveaxis(colours, -1, 1)).tobytes()
    paint_frames(data, [BOX])
    colours[:, 2:6, 3:8] = 0
    assert np.array_equal(decode_frames(data).values, colours)


def test_painted_lossy_file_keeps_what_it_decodes_to() -> None:
    data = lossy(b"")
    wanted = decode_frames(data).values.copy()
    paint_frames(data, [BOX])
    wanted[:, 2:6, 3:8] = wanted.min()
    assert np.array_equal(decode_frames(data).values, wanted)
    assert data.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_masked_files_claim_clean_pixels(sources: Path, tmp_path: Path) -> None:
    mask = DeviceMask((Rule((BOX,)),))
    _, rows = released(sources, tmp_path / "out", mask=mask)
    assert rows["burned.dcm"]["status"] == "done"
    assert rows["burned.dcm"]["masked"] == "1"
    after = dcmread(tmp_path / "out" / rows["burned.dcm"]["dicom_file"])
    codes = [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101"]
    assert after.BurnedInAnnotation == "NO"


def test_command_explains_rules_without_files(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[elements]\nStudyDescription = "keep"\n')
    words = ["deidentify", "--explain-rules", "--retain", "dates", "--rules", str(rules)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    _, *rows = csv.reader(done.output.splitlines())
    assert ["(0008,1030)", "StudyDescription", "keep", "rule"] in rows
    assert ["(0008,0020)", "StudyDate", "clean", "option"] in rows
    assert ["(0010,0010)", "PatientName", "dummy", "pseudonym"] in rows
    assert CliRunner().invoke(app, ["deidentify"]).exit_code == 2
    assert CliRunner().invoke(app, ["deidentify", "a", "b", "--retain", "all"]).exit_code == 2
    assert CliRunner().invoke(app, ["deidentify", "a", "b", "--also", "pdf"]).exit_code == 2


def test_a_later_delivery_is_added_described_and_withdrawn(tmp_path: Path) -> None:
    def call(*words: str) -> str:
        done = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.output

    folders = [tmp_path / "first", tmp_path / "later"]
    for month, folder in enumerate(folders):
        folder.mkdir()
        for number in range(2 + month):  # the later delivery repeats two files
            made = image(PatientID=f"P{number}", SOPInstanceUID=f"1.2.826.0.1.77.9.{number}")
            save(made, folder / f"{number}.dcm")
    about, out = tmp_path / "about.toml", tmp_path / "out"
    about.write_text('title = "Scans of 2026"\n')
    same = (str(out), "--about", str(about), "--workers", "1")
    call("deidentify", str(folders[0]), *same)
    before = {path.name: path.read_bytes() for path in (out / "dicom").rglob("*.dcm")}
    assert "2 files left out: their bytes are in the release" in call(
        "deidentify", str(folders[1]), *same, "--add"
    )
    after = {path.name: path.read_bytes() for path in (out / "dicom").rglob("*.dcm")}
    assert before.items() < after.items()
    assert len(after) == 3
    assert "# Scans of 2026" in (out / "README.md").read_text()
    assert [each["change"] for each in json.loads((out / "dataset.json").read_text())["history"]]
    call("withdraw", str(out), "--patient", "P1")
    left = {path.name: path.read_bytes() for path in (out / "dicom").rglob("*.dcm")}
    assert left.items() < after.items()
    assert len(left) == 2
    assert verify_release(out).sound
    call("deidentify", str(folders[1]), *same, "--add")
    assert len(list((out / "dicom").rglob("*.dcm"))) == 2  # it does not return
