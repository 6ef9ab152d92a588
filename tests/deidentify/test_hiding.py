"""What is packed, linked, encoded or split is found, or named as not searched."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import socket
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from deepfixcx.deidentify.scan import scan
from tests.deidentify.making import make_header, save

SPOKEN = b"Patient Mustermann^Hansjakob, HJM4711815, born 1947-08-11\n" * 4
TEXT = SPOKEN.decode()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    header = make_header(
        PatientName="Mustermann^Hansjakob", PatientID="HJM4711815", PatientBirthDate="19470811"
    )
    save(header, folder / "p.dcm")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def archive(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", method) as file:
        warnings.simplefilter("ignore")  # of two entries of one name, which is the point
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            file.writestr(info, content)
    return packed.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    begun = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    inner = b"".join(chunk(*each) for each in chunks)
    return begun + inner + chunk(b"IDAT", zlib.compress(b"\0" * 72)) + chunk(b"IEND", b"")


def sixteen(content: bytes) -> bytes:
    picture = io.BytesIO()
    row = np.frombuffer(content[:64].ljust(64, b"\0"), np.uint8)
    Image.fromarray(np.tile(row, (4, 1))).save(picture, "TIFF", compression="tiff_lzw")
    return picture.getvalue()


def array_of(text: str) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array(["a", text]))
    return content.getvalue()


damaged = bytearray(gzip.compress(b"harmless" * 50))
damaged[-6] ^= 255
HIDDEN: dict[str, bytes] = {
    "second entry of one name.zip": archive(("n.txt", SPOKEN), ("n.txt", b"nothing")),
    "zip in zip.zip": archive(("in.zip", archive(("n.txt", SPOKEN)))),
    "gzip in zip.zip": archive(("n.nii.gz", gzip.compress(SPOKEN))),
    "png in zip.zip": archive(("n.png", png((b"zTXt", b"Comment\0\0" + zlib.compress(SPOKEN))))),
    "name of an entry.zip": archive(("Mustermann/n.txt", b"nothing")),
    "bzip2.zip": archive(("n", SPOKEN), method=zipfile.ZIP_BZIP2),
    "lzma.zip": archive(("n", SPOKEN), method=zipfile.ZIP_LZMA),
    "stored.zip": archive(("n", gzip.compress(SPOKEN)), method=zipfile.ZIP_STORED),
    "twice.gz": gzip.compress(gzip.compress(SPOKEN)),
    "after a damaged member.gz": bytes(damaged) + gzip.compress(SPOKEN),
    "after a short member.gz": gzip.compress(b"harmless" * 50)[:-4] + gzip.compress(SPOKEN),
    "behind a prefix.zip": b"#!/bin/sh\n" + archive(("n.txt", SPOKEN)),
    "ztxt.png": png((b"zTXt", b"Comment\0\0" + zlib.compress(SPOKEN))),
    "iccp.png": png((b"iCCP", b"prof\0\0" + zlib.compress(SPOKEN))),
    "exif.png": png((b"eXIf", b"MM\0*" + SPOKEN)),
    "gzip in a chunk.png": png((b"prVt", b"xx" + gzip.compress(SPOKEN))),
    "frames.png": png((b"fcTL", bytes(26)), (b"fdAT", b"\0\0\0\1" + zlib.compress(SPOKEN))),
    "gzip behind the end.png": png() + gzip.compress(SPOKEN),
    "zip behind the end.png": png() + archive(("n.txt", SPOKEN)),
    "text behind the end.png": png() + SPOKEN,
    "a.bz2": bz2.compress(SPOKEN),
    "a.xz": lzma.compress(SPOKEN),
    "a.tar.xz": lzma.compress(bytes(512) + SPOKEN),
    "a.pdf": b"%PDF-1.4\n1 0 obj<</Filter/FlateDecode>>stream\n"
    + zlib.compress(b"BT [(Muster) -20 (mann)] TJ ET")
    + b"\nendstream",
    "a.tif": sixteen(SPOKEN[8:]),
    "base64.txt": base64.b64encode(SPOKEN),
    "base64 in lines.txt": base64.encodebytes(SPOKEN),
    "base64 of gzip.json": json.dumps({"a": base64.b64encode(gzip.compress(SPOKEN)).decode()})
    .encode(),
    "base64 for addresses.txt": base64.urlsafe_b64encode(SPOKEN),
    "hexadecimal.txt": SPOKEN.hex().encode(),
    "hexadecimal apart.txt": SPOKEN.hex(" ").upper().encode(),
    "percent.txt": b"".join(b"%%%02X" % letter for letter in SPOKEN),
    "address.txt": quote("Mustermann Hansjakob 1947-08-11", safe="").encode(),
    "entities.html": b"".join(b"&#%d;" % letter for letter in SPOKEN),
    "entities in hexadecimal.html": b"".join(b"&#x%x;" % letter for letter in SPOKEN),
    "escapes.json": b"".join(b"\\u%04x" % letter for letter in SPOKEN),
    "quoted.txt": b"".join(b"=%02X" % letter for letter in SPOKEN),
    "utf-16-le.txt": TEXT.encode("utf-16-le"),
    "utf-16-be.txt": TEXT.encode("utf-16-be"),
    "utf-32-le.txt": TEXT.encode("utf-32-le"),
    "utf-32-be.txt": TEXT.encode("utf-32-be"),
    "utf-7.txt": b"Patient +AE0AdQBzAHQAZQByAG0AYQBuAG4- here",
    "broken lines.txt": b"Muster-\nmann Hans-\njakob HJM4711\n815",
    "broken line.json": json.dumps({"a": "Muster-\nmann"}).encode(),
    "escape before a digit.json": b'{"a": "Musterman\\u006e7"}',
    "array of texts.npy": array_of("Mustermann"),
    "base64 of percent.txt": base64.b64encode(b"".join(b"%%%02X" % letter for letter in SPOKEN)),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_hidden_is_found(name: str, sources: Path, out: Path) -> None:
    (out / name.replace(" ", "_")).write_bytes(HIDDEN[name])
    found = scan(out, sources)
    assert "name" in found.counts("kind"), found.files


DATES = {
    "moment.txt": b"at 19470811101530",
    "wide.txt": "born 11.8.1947".encode("utf-16-le"),
    "wide the other way.txt": "born 11.8.1947 here".encode("utf-16-be"),
    "four bytes.txt": "born 11.8.47".encode("utf-32-le"),
}


@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize("born", ["19470811", "19470101"])
def test_a_date_is_found(name: str, born: str, tmp_path: Path, out: Path) -> None:
    """Also the first of January, where many have their birthday."""
    (tmp_path / "in").mkdir()
    save(make_header(PatientBirthDate=born), tmp_path / "in" / "p.dcm")
    short = born[6:].lstrip("0"), born[4:6].lstrip("0")
    content = DATES[name].replace(b"19470811", born.encode())
    for form in ("utf-16-le", "utf-16-be", "utf-32-le"):
        content = content.replace("11.8.".encode(form), f"{short[0]}.{short[1]}.".encode(form))
    (out / name.replace(" ", "_")).write_bytes(content)
    assert "date" in scan(out, tmp_path / "in").counts("kind")


def parquet_of(column: object) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    written = io.BytesIO()
    table = pyarrow.table({"id": ["000001"] * 3, "column": column})
    pyarrow.parquet.write_table(table, written, compression="zstd")
    return written.getvalue()


COLUMNS: dict[str, object] = {
    "texts": ["", None, "Mustermann"],
    "lists": [[], ["x", "Mustermann"], None],
    "fields": [{"a": {"b": "Mustermann"}}, None, None],
    "files": [b"", None, gzip.compress(SPOKEN)],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_what_stands_in_a_table_of_parquet_is_found(name: str, sources: Path, out: Path) -> None:
    (out / "table.parquet").write_bytes(parquet_of(COLUMNS[name]))
    found = scan(out, sources)
    assert "name" in found.counts("kind"), found.files


def test_a_name_of_a_column_is_found_and_not_repeated(sources: Path, out: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"Mustermann": ["a"]}), out / "table.parquet")
    found = scan(out, sources)
    assert "name" in found.counts("kind")
    assert "Mustermann" not in repr(found)


def test_vectors_and_numbers_of_a_clean_table_are_no_finding(sources: Path, out: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 20_000)).astype(np.float32)
    (out / "table.parquet").write_bytes(parquet_of(list(vectors)))
    found = scan(out, sources)
    assert found.clean, found.files


def test_a_damaged_table_and_one_that_cannot_be_opened_here_are_named(
    sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = parquet_of(["a", "b", "c"])
    (out / "table.parquet").write_bytes(whole)
    assert scan(out, sources).clean
    (out / "table.parquet").write_bytes(whole[:20] + bytes(20) + whole[40:])
    assert "damaged" in scan(out, sources).files[0].problem
    (out / "table.parquet").write_bytes(whole)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pyarrow" in scan(out, sources).files[0].problem


OTHER_LETTERS = {
    "Park^Ji Woo=박^지우": [
        "Ji Woo",
        "ji-woo",
        "지우",
        base64.b64encode("for 지우".encode()).decode(),
    ],
    "Петренко^Наталія": ["Наталія", base64.b64encode("Петренко".encode()).decode()],
    "Park^An": [base64.b64encode(b"for park").decode()],
}


@pytest.mark.parametrize("name", OTHER_LETTERS)
def test_a_name_of_short_parts_or_other_letters_is_found(name: str, tmp_path: Path) -> None:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    save(make_header(PatientName=name), tmp_path / "in" / "p.dcm")
    for number, text in enumerate(OTHER_LETTERS[name]):
        for form in ("utf-8", "utf-16-le", "utf-32-le", "utf-32-be"):
            if len(text) < 8 or form == "utf-8":
                (tmp_path / "out" / f"{number} {form}.txt").write_bytes(f"of {text}!".encode(form))
    found = scan(tmp_path / "out", tmp_path / "in")
    assert [file.name for file in found.files if not file.remaining] == []


def test_a_moment_in_a_number_is_found(sources: Path, out: Path) -> None:
    header = make_header(PatientName="P1", PatientID="P1", PatientBirthDate="", StudyDate="")
    header.add_new(0x00189073, "FD", 19470811101530.0)
    save(header, out / "a.dcm")
    assert "date" in scan(out, sources).counts("kind")


SEALED = {
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(64), "rar": b"Rar!\x1a\x07" + bytes(64),
    "zst": b"\x28\xb5\x2f\xfd" + bytes(64), "pgp": b"-----BEGIN PGP MESSAGE-----\n",
    "crypted.pdf": b"%PDF-1.4\ntrailer <</Encrypt 5 0 R>>",
    "glyphs.pdf": b"%PDF-1.4\n<</Encoding /Identity-H>>",
    "in.zip": archive(("n.7z", b"7z\xbc\xaf\x27\x1c" + bytes(64))),
    "locked.zip": (lambda data: data[:6] + b"\x01" + data[7:])(archive(("n", b"x"))),
    "cut.xz": lzma.compress(bytes(range(256)) * 40)[:-30],
    "cut.gz": gzip.compress(os.urandom(400))[:-30],
}  # fmt: skip


@pytest.mark.parametrize("name", SEALED)
def test_what_is_not_opened_is_named(name: str, sources: Path, out: Path) -> None:
    (out / f"a.{name}").write_bytes(SEALED[name])
    found = scan(out, sources)
    assert found.files[0].problem
    assert not found.clean


def test_containers_that_are_nested_without_end_are_named(sources: Path, out: Path) -> None:
    packed = SPOKEN
    for _ in range(12):
        packed = gzip.compress(packed)
    (out / "deep.gz").write_bytes(packed)
    found = scan(out, sources)
    assert "nested more than 8 deep" in found.files[0].problem
    assert not found.clean


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, gzip.compress])
def test_a_bomb_is_named_and_takes_no_memory(
    pack: Callable[[bytes], bytes], sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfixcx.deidentify.scan.contents.MOST_INFLATED", 1 << 20)
    (out / "bomb").write_bytes(pack(bytes(50_000_000)))
    found = scan(out, sources)
    assert "1 GiB" in found.files[0].problem


def test_links_and_empty_folders_are_searched_by_name_and_named(sources: Path, out: Path) -> None:
    (out / "a.txt").write_text("nothing")
    (out / "linked").symlink_to(sources)
    (out / "Mustermann_1947-08-11").mkdir()
    (out / "gone").symlink_to("../Hansjakob")
    (out / "file").symlink_to(sources / "p.dcm")
    (out / "plain").symlink_to("a.txt")
    found = scan(out, sources)
    named = {file.name: file for file in found.files}
    assert all("it is a link" in named[name].problem for name in ("linked", "plain", "file"))
    wheres = {each.where for file in found.files for each in file.findings}
    assert {"file name", "target of a link", "file"} <= wheres
    assert not any("Mustermann" in file.name for file in found.files)


def test_sources_behind_a_linked_folder_are_read_and_loops_end(tmp_path: Path, out: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "in").mkdir()
    save(make_header(PatientName="Mustermann^H"), tmp_path / "store" / "p.dcm")
    (tmp_path / "in" / "ward").symlink_to(tmp_path / "store")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (out / "a.txt").write_text("of Mustermann")
    found = scan(out, tmp_path / "in")
    assert (found.sources_read, found.counts("kind")) == (1, {"name": 1})


@pytest.mark.parametrize("where", ["out", "sources"])
def test_pipes_and_sockets_are_named_and_do_not_hang(
    where: str, sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out / "a.txt").write_text("nothing")
    folder = {"out": out, "sources": sources}[where]
    os.mkfifo(folder / "pipe.dcm")
    monkeypatch.chdir(folder)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        found = scan(out, sources)
    said = [file.problem for file in found.files if file.problem] + found.sources_failed
    assert len(said) == 2
    assert all("not a regular file" in each for each in said)
    assert not found.clean


def test_a_single_pipe_is_named(sources: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not scan(tmp_path / "pipe", sources).clean


@pytest.mark.parametrize("name", ["dataset.json", "manifest.csv"])
def test_a_pipe_instead_of_a_file_of_the_release_stops_no_command(
    name: str, sources: Path, out: Path
) -> None:
    (out / "a.txt").write_text("nothing")
    for other in {"dataset.json", "manifest.csv"} - {name}:
        (out / other).write_text('{"format": "deepfixcx.release"}')
    os.mkfifo(out / name)
    assert run("scan", out, "--against", sources)[0] == 3
    assert run("verify", out)[0] in (2, 3)


SPLIT = [
    ("Müller-Lüdenscheid^Jörg", "MUELLER_1"), ("Müller-Lüdenscheid^Jörg", "luedenscheid"),
    ("MUELLER^JOERG", "Müller"), ("Muller^X", "mueller"), ("O'Neill^Al", "ONeill"),
    ("O'Neill^Al", "O Neill"), ("van der Berg^Jan", "VanDerBerg"), ("McDonald^Fay", "Mc-Donald"),
    ("Nguyễn^Thị Hoa", "NGUYEN"), ("García Lorca^José", "GarciaLorca"), ("Kim^Ute", "for Ute 5"),
    ("Иванов^Алексей", "Iwanow"), ("Иванов^Алексей", "ivanov"), ("王^小东", "xiaodong"),
    ("Wang^XiaoDong=王^小东", "小东"), ("Mustermann^Hansjakob", "t1_Mustermann7"),
    ("Mustermann^Hansjakob", "HMustermann"), ("Mustermann^Hansjakob", "PraxisMustermann"),
    ("Meyer-Igelsbach^Ute", "IGELSBACH"), ("Sørensen^Bo", "Soerensen"), ("Groß^Åse", "GROSS"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SPLIT)
def test_a_name_is_found_however_it_is_written(
    name: str, text: str, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "in").mkdir()
    save(make_header(PatientName=name), tmp_path / "in" / "1.dcm")
    (out / "a.txt").write_text(f"seen {text}, again", "utf-8")
    assert scan(out, tmp_path / "in").counts("kind").keys() == {"name"}


@pytest.mark.parametrize(
    "text",
    ["19470811", "11.08.1947", "11.8.1947", "11.8.47", "8/11/47", "47-08-11", "11 Aug 1947",
     "August 11, 1947", "11-AUG-1947", "11. August 1947", "11AUG47", "Aug 11th, 1947",
     "11 de agosto de 1947", "1947 Aug 11", "1947/8/11"],
)  # fmt: skip
def test_a_date_is_found_however_it_is_written(text: str, sources: Path, out: Path) -> None:
    (out / "a.txt").write_text(f"born {text}.", "utf-8")
    assert "date" in scan(out, sources).counts("kind")


def test_a_number_is_found_among_numbers_and_without_its_zeros(tmp_path: Path, out: Path) -> None:
    (tmp_path / "in").mkdir()
    save(make_header(PatientID="0070481516"), tmp_path / "in" / "1.dcm")
    for keyword, value in (
        ("SeriesNumber", "70481516"), ("TableHeight", "7.0481516e7"), ("TriggerWindow", "70481516"),
        ("DiffusionBValue", 70481516.0), ("SequenceName", "00070481516x"),
    ):  # fmt: skip
        made = make_header(PatientName="P1", PatientID="P1", PatientBirthDate="", StudyDate="")
        for uid in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(made, uid, f"2.25.{len(uid)}")
        setattr(made, keyword, value)
        inner = Dataset()
        inner.ReferencedImageSequence = Sequence([made.copy()])
        for header in (made, inner):
            header.SOPClassUID, header.SOPInstanceUID = made.SOPClassUID, "2.25.1"
            if hasattr(header, "file_meta"):
                del header.file_meta
            save(header, out / "a.dcm")
            assert scan(out, tmp_path / "in").counts("kind") == {"id": 1}, keyword


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_sources_that_are_not_those_of_the_release_prove_nothing(tmp_path: Path) -> None:
    for name in ("in", "other"):
        (tmp_path / name).mkdir()
        header = make_header(
            PatientName=f"Anyone^{name}", Rows=32, Columns=32, SamplesPerPixel=1, BitsStored=8,
            BitsAllocated=8, HighBit=7, PixelRepresentation=0,
            PhotometricInterpretation="MONOCHROME2",
        )  # fmt: skip
        header.add_new(0x7FE00010, "OB", bytes(range(256)) * 4)
        save(header, tmp_path / name / "a.dcm")
    out, said = tmp_path / "out", tmp_path / "said.json"
    words = ("--private", tmp_path / "kept", "-J", 2, "-P", 2, "--workers", 1)
    assert run("privatize", tmp_path / "in", out, *words)[0] == 0
    code, output = run("scan", out, "--against", tmp_path / "in", "--private", tmp_path / "kept")
    assert code == 0, output
    code, output = run("scan", out, "--against", tmp_path / "in")
    assert code == 0
    assert "there is no private folder" in output
    code, output = run(
        "scan", out, "--against", tmp_path / "other", "--private", tmp_path / "kept", "--json", said
    )
    assert code == 3
    assert "nothing was found" not in output
    assert "1 of 1 source of this release" in output
    figures = json.loads(said.read_text("utf-8"))
    assert (figures["sources_missing"], figures["clean"]) == (1, False)


def test_the_evidence_has_the_checksum_of_the_release(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "in").mkdir()
    Image.new("L", (32, 32)).save(tmp_path / "in" / "Winterbottom.png")
    out = tmp_path / "out"
    assert run("privatize", tmp_path / "in", out, "-J", 2, "-P", 2, "--workers", 1)[0] == 0
    assert run("scan", out, "--against", tmp_path / "in")[0] == 0
    said = json.loads((tmp_path / "out.evidence" / "summary.json").read_text("utf-8"))
    expected = hashlib.sha256((out / "dataset.json").read_bytes()).hexdigest()
    assert said["release_checksum"] == expected
    assert run("scan", out / "images", "--against", tmp_path / "in", "-o", tmp_path / "e")[0] == 0
    said = json.loads((tmp_path / "e" / "summary.json").read_text("utf-8"))
    assert said["release_checksum"] is None
