r"""Attacks on `deepfixcx deidentify`: planted words, damaged files, a validator of headers.

    python -m benchmarks.deidentify_attacks canaries
    python -m benchmarks.deidentify_attacks damaged --files 2000
    python -m benchmarks.deidentify_attacks validator

`canaries` plants 500 words that stand nowhere else into every kind of place and searches the bytes
of the release, the names of its files, and what the command prints. `damaged` spoils small real
files at random and looks at what is released of them. `validator` compares the errors that dciodvfy
finds before and after.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import config, dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    SecondaryCaptureImageStorage,
)

from benchmarks.dicom_reading import damaged
from deepfixcx.deidentify.profile import read_table
from deepfixcx.deidentify.walking import TECHNICAL
from deepfixcx.images.dicom.decoding import decode_frames

COMMAND = [sys.executable, "-m", "deepfixcx", "deidentify"]
TEXT = ("PN", "LO", "SH", "LT", "ST", "UT", "AE", "UC", "UR")
UNLISTED = 90
SMALL = 300_000
"""Bytes of the largest real file that is damaged."""

UIDS = re.compile(r"\d+(?:\.\d+){2,}")

Planted = dict[str, str]


def word(planted: Planted, place: str) -> str:
    """Return a new word that stands nowhere else, and note its place."""
    digest = hashlib.sha256(str(len(planted)).encode()).hexdigest()
    made = "Kanzq" + "".join(chr(ord("a") + int(digit, 16)) for digit in digest[:9])
    planted[made] = place
    return made


def shown(number: int, syntax: UID = ExplicitVRLittleEndian) -> Dataset:
    """Return a small image."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.Modality = SecondaryCaptureImageStorage, "OT"
    for n, name in enumerate(("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")):
        setattr(made, name, f"1.2.826.0.1.78.{number}.{n}")
    made.PatientName, made.PatientID = "Winterbottom^Ottilie", "HOSP-774411"
    made.PatientBirthDate, made.StudyDate = "19510607", "20210304"
    made.Rows = made.Columns = 16
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = np.random.default_rng(number).integers(0, 256, 256).astype(np.uint8).tobytes()
    made["PixelData"].VR = "OB"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    return made


def save(header: Dataset, path: Path) -> None:
    """Write a header as a file."""
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.save_as(path, enforce_file_format=True)


def plant(folder: Path) -> Planted:
    """Write files with planted words."""
    planted: Planted = {}
    folder.mkdir(parents=True)
    _plant_elements(folder, planted)
    _plant_blocks(folder, planted)
    _plant_frames(folder, planted)
    _plant_report(folder, planted)
    inner = folder / word(planted, "name of a folder")
    inner.mkdir()
    for number in range(90, 90 + max(1, 500 - len(planted))):
        header = shown(number)
        header.PatientName = f"{word(planted, 'name of a patient')}^Ada"
        save(header, inner / f"{number}.dcm")
    return planted


def _plant_elements(folder: Path, planted: Planted) -> None:
    header = shown(1)
    table = read_table()
    listed = [
        tag
        for tag, row in table.rows.items()
        if tag >> 16 > 4 and _vr(tag) in TEXT and row.options.get("patient") != "K"
    ]
    others = [
        tag
        for tag, each in DicomDictionary.items()
        if 8 < tag >> 16 < 0x5000 and each[0] in TEXT and not each[3]
        and table.row(tag) is None and tag not in TECHNICAL
    ]  # fmt: skip
    others = others[::7][:UNLISTED]
    for tag in (*listed, *others):
        text = word(planted, f"element {tag:08X}")
        text = text[:16] if _vr(tag) in ("SH", "AE") else text
        header.add(DataElement(tag, _vr(tag), text, validation_mode=config.IGNORE))
    # Terms and technical texts stay unless they are of the patient, so these are his names.
    technical = [tag for tag in sorted(TECHNICAL) if _vr(tag) in ("LO", "SH", "CS")]
    names = [word(planted, "family name"), word(planted, "given name")]
    for keyword in ("BodyPartExamined", "ScanOptions", "TransducerType", "ImageType",
                    *(keyword_for_tag(tag) for tag in technical)):  # fmt: skip
        names.append(word(planted, keyword))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            setattr(header, keyword, names[-1])
    header.PatientName = "^".join([names[0], " ".join(names[1:])])
    for depth in range(1, 9):
        item = Dataset()
        item.PatientAddress = word(planted, f"address at depth {depth}")
        item.PatientComments = word(planted, f"comment at depth {depth}")
        for _ in range(depth):
            outer = Dataset()
            outer.DerivationCodeSequence = Sequence([item])
            item = outer
        header.add_new((0x0008, (0x1140, 0x2112, 0x9215)[depth % 3]), "SQ", Sequence([item]))
        save(header, folder / f"{word(planted, 'name of a file')}_{depth}.dcm")


def _vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""


def _plant_blocks(folder: Path, planted: Planted) -> None:
    header = shown(2)
    for group in (0x0009, 0x0011, 0x0019, 0x0021, 0x0029, 0x7FE1):
        block = header.private_block(group, word(planted, "private creator"), create=True)
        for number, vr in enumerate(("LO", "UN", "OB", "LT", "PN", "SH")):
            text = word(planted, f"private {vr}")
            block.add_new(number, vr, text.encode() if vr in ("UN", "OB") else text)
        item = Dataset()
        item.PatientName = word(planted, "private sequence")
        block.add_new(0x40, "SQ", Sequence([item]))
        block.add_new(0x41, "OB", word(planted, "private wide letters").encode("utf-16-le"))
    for group in (0x5000, 0x6000):
        header.add_new((group, 0x3000), "OW", word(planted, "curve or overlay").encode())
    header.add_new(0x60000022, "LO", word(planted, "description of an overlay"))
    header.ICCProfile = b"\0" * 128 + word(planted, "colour profile").encode()
    header.add_new(0x7FE00010, "OB", header.PixelData + word(planted, "behind pixels").encode())
    header.add_new(0xFFFCFFFC, "OB", word(planted, "trailing padding").encode())
    save(header, folder / "blocks.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = dcmread(folder / "blocks.dcm")
        meta = again.file_meta
        meta.SourceApplicationEntityTitle = word(planted, "source title")
        meta.SendingApplicationEntityTitle = word(planted, "sending title")
        meta.PrivateInformationCreatorUID = UID("1.2.826.0.1.77.70")
        meta.PrivateInformation = word(planted, "private information").encode()
        again.preamble = word(planted, "preamble").encode().ljust(128, b"\0")
        again.save_as(folder / "blocks.dcm")
    with (folder / "blocks.dcm").open("ab") as file:
        file.write(word(planted, "behind the last element").encode())


def _plant_frames(folder: Path, planted: Planted) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (16, 16)).astype(np.uint8)
    plain = {
        JPEGBaseline8Bit: bytes(imagecodecs.jpeg8_encode(pixels)),
        JPEGLSLossless: bytes(imagecodecs.jpegls_encode(pixels)),
        JPEG2000Lossless: bytes(
            imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="J2K")
        ),
    }
    number = 10
    for syntax, frame in plain.items():
        wide = syntax == JPEG2000Lossless
        markers = (b"\x64",) if wide else (b"\xfe", b"\xe0", b"\xe1", b"\xe8", b"\xed", b"\xee")
        for marker in (*markers, b""):
            text = word(planted, f"segment {marker.hex() or 'behind the end'}").encode()
            at = frame.index(b"\xff\x52") if wide else 2
            segment = b"\xff" + marker + (len(text) + 2).to_bytes(2, "big") + text
            spoiled = frame[:at] + segment + frame[at:] if marker else frame + text
            header = shown(number, syntax)
            header.PixelData = encapsulate([spoiled])
            header["PixelData"].is_undefined_length = True
            save(header, folder / f"frame{number}.dcm")
            number += 1


def _plant_report(folder: Path, planted: Planted) -> None:
    header = shown(80)
    for name in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "HighBit",
                 "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelData"):  # fmt: skip
        del header[name]
    header.SOPClassUID, header.Modality = ComprehensiveSRStorage, "SR"
    items = []
    for name in ("TextValue", "PersonName", "UID", "DateTime"):
        item = Dataset()
        item.ValueType = "TEXT"
        setattr(item, name if name in ("TextValue", "PersonName") else "TextValue",
                word(planted, f"{name} of a report"))  # fmt: skip
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = "X", "99ACME"
        code.CodeMeaning = word(planted, "meaning of a code")
        item.ConceptNameCodeSequence = Sequence([code])
        items.append(item)
    header.ContentSequence = Sequence(items)
    save(header, folder / "report.dcm")


def left(planted: Planted, out: Path, printed: bytes) -> set[str]:
    """Return the places of words that a release, or what was printed, still holds."""
    paths = [path for path in out.rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in paths) + printed
    content += " ".join(str(path.relative_to(out)) for path in paths).encode()
    content = content.lower()
    forms = ("ascii", "utf-16-le")
    return {place for each, place in planted.items()
            if any(each.lower().encode(form) in content for form in forms)}  # fmt: skip


def command(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    words = [*COMMAND, str(source), str(out), "--workers", "1", *options]
    return subprocess.run(words, capture_output=True, check=False)


def statuses(out: Path) -> dict[str, dict[str, str]]:
    """Return the first row of the manifest of each source, by its name."""
    with (out.with_name(f"{out.name}.private") / "sources.csv").open(newline="") as file:
        names = {row["source_id"]: row["source"] for row in csv.DictReader(file)}
    with (out / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {names[row["source_id"]]: row for row in reversed(rows)}


def spoil(data: Path, folder: Path, files: int, seed: int) -> None:
    """Write damaged files."""
    folder.mkdir(parents=True)
    small = [path for path in sorted((data / "dicom" / "files").glob("*.dcm"))
             if path.stat().st_size < SMALL]  # fmt: skip
    for number in range(files):
        rng = np.random.default_rng([seed, number])
        content = small[number % len(small)].read_bytes()
        (folder / f"{number:05}.dcm").write_bytes(damaged(content, rng))


def unreadable(path: Path) -> str:
    """Return what of a released file cannot be read; empty for a sound one."""
    try:
        header = dcmread(path)
        for element in header.iterall():
            str(element.value)[:1]
        if header.get("PatientIdentityRemoved") != "YES":
            return "identity is not stated as removed"
        if "PixelData" in header:
            decode_frames(header)
    except Exception as error:  # whatever a reader raises
        return type(error).__name__
    return ""


def errors_of(path: Path) -> Counter[str]:
    """Return the errors that dciodvfy finds in a file, without UIDs."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return Counter(UIDS.sub("UID", line) for line in lines if line.startswith("Error"))


def canaries(folder: Path) -> dict[str, object]:
    """Plant, run with two profiles, search."""
    planted = plant(folder / "in")
    result: dict[str, object] = {"planted": len(planted)}
    for name, options in (
        ("basic", ("--also", "ko,pr,rt")),
        ("options", ("--retain", "dates,patient,descriptors,structured", "--also", "sr,ko,pr,rt")),
    ):
        out = folder / name
        done = command(folder / "in", out, *options)
        rows = statuses(out)
        result[name] = {
            "exit": done.returncode,
            "released": sum(row["status"] == "done" for row in rows.values()),
            "withheld": sum(row["status"] != "done" for row in rows.values()),
            "left": sorted(left(planted, out, done.stdout + done.stderr)),
        }
    return result


def fuzz(folder: Path, data: Path, files: int, seed: int) -> dict[str, object]:
    """Run on damaged files, and read what is released."""
    spoil(data, folder / "in", files, seed)
    done = command(folder / "in", folder / "out", "--retain", "dates,patient,descriptors")
    rows = statuses(folder / "out")
    bad = Counter(
        problem
        for row in rows.values()
        if row["status"] == "done" and (problem := unreadable(folder / "out" / row["dicom_file"]))
    )
    reasons = Counter(row["reason"].split(";")[0] for row in rows.values() if row["reason"])
    return {"files": files, "exit": done.returncode, "listed": len(rows),
            "released": sum(row["status"] == "done" for row in rows.values()),
            "unreadable": dict(bad), "reasons": dict(reasons.most_common(12)),
            "traceback": b"Traceback" in done.stderr + done.stdout}  # fmt: skip


def validator(folder: Path, data: Path) -> dict[str, object]:
    """Compare the errors of dciodvfy before and after."""
    done = command(data / "dicom" / "files", folder / "out", "--retain",
                   "dates,patient,descriptors,structured", "--also", "sr,rt,ko,pr")  # fmt: skip
    new = {}
    rows = statuses(folder / "out")
    released = {name: row for name, row in rows.items() if row["status"] == "done"}
    for name, row in released.items():
        before = errors_of(data / "dicom" / "files" / name)
        if added := errors_of(folder / "out" / row["dicom_file"]) - before:
            new[name] = dict(added)
    return {"exit": done.returncode, "compared": len(released), "new_errors": new}


def main() -> None:
    """Run one attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["canaries", "damaged", "validator"])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if asked.what == "canaries":
            result = canaries(folder)
        elif asked.what == "damaged":
            result = fuzz(folder, asked.data, asked.files, asked.seed)
        else:
            result = validator(folder, asked.data)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
