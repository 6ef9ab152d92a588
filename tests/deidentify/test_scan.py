"""The search itself: complete, exact, independent of the rules, and silent about what it found."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from pydicom import dcmread, examples
from pydicom.uid import DeflatedExplicitVRLittleEndian
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from deepfixcx.cli.app import app
from deepfixcx.deidentify.scan import scan, write_evidence
from deepfixcx.deidentify.scan import search as search_module
from deepfixcx.deidentify.scan.contents import Contents
from deepfixcx.deidentify.scan.needles import Needle, Needles, keys_of, spellings
from deepfixcx.deidentify.scan.search import Searcher, forms
from deepfixcx.deidentify.scan.sources import read_source
from deepfixcx.errors import DeidentifyError
from tests.conftest import ROOT
from tests.deidentify.making import make_header, save

NAME = "Winterbottom"


def needle(text: str, kind: str = "text") -> Needle:
    return Needle(text, kind, frozenset())


def found_in(data: bytes, *texts: str, bulk: list[tuple[int, int]] | None = None) -> set[str]:
    searcher = Searcher(form for text in texts for form in forms(needle(text)))
    return {form.needle.text for _, form in searcher.find(data, bulk or [])}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    save(make_header(PatientAddress="Lindenweg 5, Neustadt"), folder / "IM0001.dcm")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "table.csv").write_text("file,size\n000000.png,64\n", "utf-8")
    return folder


def test_the_scan_shares_no_code_with_the_rules() -> None:
    folder = ROOT / "src" / "deepfixcx" / "deidentify" / "scan"
    imported = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    ours = {name for name in imported if name.startswith("deepfixcx.deidentify")}
    allowed = {name for name in ours if name.startswith("deepfixcx.deidentify.scan")}
    assert ours - allowed == {"deepfixcx.deidentify.silence"}


@given(
    st.binary(max_size=300),
    st.lists(st.text("abcdABCD12 ", min_size=4, max_size=10), min_size=1, max_size=6),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_search_finds_what_a_plain_search_finds(
    noise: bytes, texts: list[str], places: list[int]
) -> None:
    data = noise
    for place, text in zip(places, texts, strict=False):
        data = data[:place] + text.encode() + data[place:]
    expected = set()
    for text in texts:
        for form in forms(needle(text)):
            low = data.lower()
            at = low.find(form.data)
            while at >= 0:
                if search_module._stands_apart(low, at, form):
                    expected.add(text)
                at = low.find(form.data, at + 1)
    assert found_in(data, *texts) == expected


@pytest.mark.parametrize("shift", range(-14, 3))
def test_strings_across_the_border_of_two_blocks_are_found_once(
    shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "STEP", 64)
    data = b"." * (128 + shift) + NAME.encode() + b"." * 100
    searcher = Searcher(forms(needle(NAME)))
    assert [at for at, _ in searcher.find(data)] == [128 + shift]


@pytest.mark.parametrize(
    ("data", "there"),
    [
        (b"x Moor y", True),
        (b"Moor", True),
        (b"Moore", False),
        (b"aMoor", False),
        (b"_Moor_", True),
        ("Moor".encode("utf-16-le"), True),
        ("Moore".encode("utf-16-le"), False),
        ("aMoor".encode("utf-16-be"), False),
        (b"\xffMoor\xff", True),
    ],
)
def test_short_words_stand_apart(data: bytes, there: bool) -> None:
    assert (found_in(data, "Moor") == {"Moor"}) is there


@pytest.mark.parametrize(
    ("data", "there"), [(b"20040119", True), (b"a20040119b", True), (b"120040119", False)]
)
def test_numbers_stand_apart_from_digits(data: bytes, there: bool) -> None:
    assert bool(found_in(data, "20040119")) is there


def test_short_strings_are_not_searched_for_among_pixels() -> None:
    data = b" Moor Winterbottom "
    assert found_in(data, "Moor", NAME, bulk=[(0, len(data))]) == {NAME}
    assert found_in(data, "Moor", NAME, bulk=[(8, len(data))]) == {NAME, "Moor"}


def test_short_numbers_are_not_searched_for_in_hashes(sources: Path, out: Path) -> None:
    save(make_header(StudyID="0040"), sources / "IM0002.dcm")
    digest = "c83ba0040e6af4cd56476b37c5902e5e" * 2
    (out / "table.csv").write_text(f"000000.png,{digest}\n000001.png,{digest}\n", "utf-8")
    assert scan(out, sources).clean
    (out / "table.csv").write_text(f"{digest},0040,{digest}\n", "utf-8")
    assert scan(out, sources).counts("kind") == {"id": 1}
    (out / "table.csv").write_text(f"{digest}a0040e", "utf-8")  # longer than a hash
    assert scan(out, sources).counts("kind") == {"id": 1}


def test_chance_finds_nothing_in_noise() -> None:
    """Ten million random bytes, a thousand short strings: the bulk rule keeps them silent."""
    generator = np.random.default_rng(0)
    letters = generator.integers(97, 123, (1000, 5), np.uint8)
    texts = [row.tobytes().decode() for row in letters]
    data = generator.integers(0, 256, 10_000_000, np.uint8).tobytes()
    assert found_in(data, *texts, bulk=[(0, len(data))]) == set()


@pytest.mark.parametrize(
    ("text", "kind", "some"),
    [
        ("Muster^Eva^^Dr", "name", {"Muster", "Eva Muster", "Muster, Eva", "EvaMuster"}),
        ("20040119", "date", {"20040119", "2004-01-19", "19.01.2004", "01/19/2004"}),
        ("20040119101112+0100", "date", {"2004-01-19"}),
        ("call 0171-5556677 back", "text", {"0171-5556677", "call 0171-5556677 back"}),
        ("Muster_Eva_20040119", "file name", {"Muster", "20040119", "Muster_Eva_20040119"}),
        ("1.2.826.0.1.77.1", "uid", {"1.2.826.0.1.77.1"}),
        ("王小明", "name", {"王小明"}),
    ],
)
def test_spellings(text: str, kind: str, some: set[str]) -> None:
    assert some <= {each.text for each in spellings(text, kind)}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Li", "name"),
        ("Anonymous", "name"),
        ("19000101", "date"),
        ("chest", "text"),
        ("Uncompressed", "text"),
        ("0000", "id"),
        ("1.2.840.10008.1.2.1", "uid"),
        ("0001", "file name"),
        ("1.500000", "text"),
        ("", "text"),
    ],
)
def test_strings_that_name_no_person(text: str, kind: str) -> None:
    assert spellings(text, kind) == set()


def text_chunk(path: Path, note: str, *, packed: bool) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", note, zip=packed)
    Image.new("L", (16, 16)).save(path, pnginfo=info)


def pixels_of(path: Path, note: str) -> None:
    """Write the note as the values of pixels."""
    row = np.frombuffer(note.encode().ljust(64, b"\0"), np.uint8)
    Image.fromarray(np.tile(row, (4, 1))).save(path)


def plain(path: Path, note: str) -> None:
    path.write_text(note, "utf-8")


def zipped(path: Path, note: str) -> None:
    path.write_bytes(gzip.compress(note.encode() * 9))


def arrays(path: Path, note: str) -> None:
    np.savez_compressed(path, allow_pickle=False, notes=np.array([note.encode()]))


def archive(path: Path, note: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inner.txt", f"{note} " * 9)


def deflated(path: Path, note: str) -> None:
    header = make_header(PatientID="1", PatientName=note)
    save(header, path)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header.save_as(path, enforce_file_format=True)


HIDING: dict[str, Callable[[Path, str], None]] = {
    "a.txt": plain,
    "a.png": lambda path, note: text_chunk(path, note, packed=False),
    "b.png": lambda path, note: text_chunk(path, note, packed=True),
    "c.png": pixels_of,
    "a.gz": zipped,
    "a.zip": archive,
    "a.npz": arrays,
    "a.safetensors": lambda path, note: save_file({"a": np.zeros(4)}, path, {"note": note}),
    "deflated.dcm": deflated,
    "a.jpg": lambda path, note: Image.new("L", (16, 16)).save(path, comment=note.encode()),
}


@pytest.mark.parametrize("name", HIDING)
def test_a_name_is_found_in_every_kind_of_file(name: str, sources: Path, out: Path) -> None:
    assert scan(out, sources).clean
    HIDING[name](out / name, NAME)
    found = scan(out, sources)
    (file,) = (file for file in found.files if file.findings)
    assert file.name == name
    assert "name" in {finding.kind for finding in file.findings}


def test_a_name_is_found_in_names_of_files(sources: Path, out: Path) -> None:
    (out / "a").mkdir()
    (out / "a" / "winterbottom-1.png").write_bytes(b"x")
    found = scan(out, sources)
    (file,) = (file for file in found.files if file.findings)
    assert file.findings[0].where == "file name"
    assert "winterbottom" not in repr(found).lower()


def test_offsets_are_those_of_the_file(sources: Path, out: Path) -> None:
    (out / "notes.txt").write_bytes(b"." * 1234 + NAME.encode())
    (file,) = (file for file in scan(out, sources).files if file.findings)
    assert file.findings[0].offset == 1234


@pytest.mark.parametrize("transform", [lambda data: data, lambda data: data[: len(data) * 3 // 4]])
def test_short_strings_in_a_header_are_found_and_not_in_its_pixels(
    transform: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    source = Path(str(examples.get_path("ct")))
    path = tmp_path / "a.dcm"
    data = source.read_bytes()
    pixels = dcmread(source).PixelData
    at = data.index(pixels)
    path.write_bytes(transform(data))
    (part,) = Contents(path).parts()
    assert part.bulk == [(at, min(at + len(pixels), path.stat().st_size))]


def test_ignored_strings_and_elements_may_remain(sources: Path, out: Path) -> None:
    (out / "notes.txt").write_text(f"{NAME} of Lindenweg 5, Neustadt", "utf-8")
    assert set(scan(out, sources).counts("kind")) == {"name", "id"}
    assert scan(out, sources, ignore=["winterBOTTOM"]).counts("kind") == {"id": 1}
    assert scan(out, sources, ignore=["(0010,1040)"]).counts("kind") == {"name": 1}


def test_sources_without_a_header_are_said(sources: Path, out: Path) -> None:
    (sources / "broken.dcm").write_bytes(b"no header at all")
    (sources / "empty.dcm").write_bytes(b"")
    (sources / "notes.txt").write_bytes(b"not DICOM")
    found = scan(out, sources)
    assert (found.sources, found.sources_read, found.sources_as_bytes) == (4, 1, 2)
    assert found.clean


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_sources_that_cannot_be_read_are_said(sources: Path, out: Path) -> None:
    (sources / "IM0001.dcm").chmod(0)
    found = scan(out, sources)
    assert len(found.sources_failed) == 1
    assert not found.clean


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_files_that_cannot_be_read_are_said(sources: Path, out: Path) -> None:
    (out / "table.csv").chmod(0)
    found = scan(out, sources)
    assert "cannot be read" in found.files[0].problem
    assert not found.clean


def test_what_unpacks_to_too_much_is_said(
    sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfixcx.deidentify.scan.contents.MOST_INFLATED", 1000)
    (out / "bomb.gz").write_bytes(gzip.compress(bytes(5_000_000)))
    (out / "bomb.png").write_bytes(png_of(zlib.compress(bytes(5_000_000))))
    archive(out / "bomb.zip", "x" * 5000)
    found = scan(out, sources)
    problems = {file.name: file.problem for file in found.files}
    assert all("1 GiB" in problems[f"bomb.{kind}"] for kind in ("gz", "png", "zip"))
    assert not found.clean


def png_of(packed: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + len(packed).to_bytes(4, "big") + b"IDAT" + packed + bytes(4)


@pytest.mark.parametrize("name", ["a.png", "a.gz", "a.zip", "a.npz", "a.safetensors", "a.dcm"])
@given(data=st.data())
def test_damaged_files_never_crash(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / name
    if name == "a.dcm":
        shutil.copy(str(examples.get_path("rt_plan")), path)
    else:
        HIDING[name](path, NAME)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    assert sum(len(part.data) for part in Contents(path).parts()) >= 0


def test_an_archive_that_names_places_before_itself_is_searched_as_bytes(
    sources: Path, out: Path
) -> None:
    archive(out / "a.zip", "nothing")
    content = bytearray((out / "a.zip").read_bytes())
    content[content.index(b"PK\x05\x06") + 19] = 0x80  # where the directory begins
    (out / "a.zip").write_bytes(bytes(content) + NAME.encode())
    found = scan(out, sources)
    assert {file.name for file in found.files if file.findings} == {"a.zip"}


def test_sources_inside_what_is_shared_are_refused(sources: Path) -> None:
    with pytest.raises(DeidentifyError, match="is to be shared"):
        scan(sources.parent, sources)
    with pytest.raises(DeidentifyError, match="is to be shared"):
        scan(sources, sources)


def test_folder_inside_the_sources_is_no_source(sources: Path) -> None:
    inside = sources / "shared"
    inside.mkdir()
    (inside / "Hansen.txt").write_text("nothing", "utf-8")
    found = scan(inside, sources)
    assert found.sources == 1
    assert found.clean


@pytest.mark.parametrize("which", ["out", "against"])
def test_nothing_to_search_is_an_error(
    which: str, sources: Path, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for place, match in ((tmp_path / "none", "no file or folder"), (tmp_path / "empty", "no file")):
        paths = (place, sources) if which == "out" else (out, place)
        with pytest.raises(DeidentifyError, match=match):
            scan(*paths)


def test_a_scan_for_nothing_is_an_error(out: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "xrays"
    pictures.mkdir()
    for name in ("0.png", "abc.png"):
        Image.new("L", (8, 8)).save(pictures / name)
    with pytest.raises(DeidentifyError, match="nothing to search for: 2 files of sources"):
        scan(out, pictures)
    done = run("scan", out, "--against", pictures)
    assert done.exit_code == 2
    assert "there was nothing to search for" in done.output
    assert "nothing was found" not in done.output
    assert not (tmp_path / "out.evidence").exists()
    (pictures / "Winterbottom.png").touch()
    assert scan(out, pictures).clean


def test_leaving_out_all_strings_is_an_error(sources: Path, out: Path) -> None:
    every = [needle.text for needle in _needles_of(sources)]
    assert scan(out, sources, ignore=every[1:]).strings == 1
    with pytest.raises(DeidentifyError, match="names all strings that 1 file of sources"):
        scan(out, sources, ignore=every)


def _needles_of(sources: Path) -> list[Needle]:
    needles = Needles()
    for path in sources.iterdir():
        needles.add(path.stem, "file name", "file name")
        for text, kind, tag in read_source(path).strings:
            needles.add(text, kind, tag)
    return list(needles)


def test_words_are_read_even_where_no_string_is_searched_for(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "0.png")
    found = scan(out, tmp_path / "0.png", read_words=lambda _path: ["left"])
    assert (found.strings, found.words_before, found.clean) == (0, 1, False)
    monkeypatch.setattr("deepfixcx.cli.scan._burned_in", lambda _path: ["left"])
    done = run("scan", out, "--against", tmp_path / "0.png", "--ocr", "--workers", 1)
    assert done.exit_code == 3
    assert "unknown: there was nothing to search for" in done.output
    assert "nothing was found" not in done.output


def test_swapped_folders_are_refused(tmp_path: Path) -> None:
    release = tmp_path / "shared"
    words = ("-J", 2, "-P", 2, "--workers", 1)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("L", (32, 32)).save(pictures / "Winterbottom.png")
    assert run("privatize", pictures, release, *words).exit_code == 0
    done = run("scan", pictures, "--against", release)
    assert done.exit_code == 2
    assert "if they are swapped" in done.output
    assert not (tmp_path / "pictures.evidence").exists()
    assert run("scan", release, "--against", pictures).exit_code == 0
    assert run("privatize", release / "images", tmp_path / "again", *words).exit_code == 0
    assert "are swapped" not in run("scan", tmp_path / "again", "--against", release).output


def test_a_release_is_searched_as_its_manifest_lists_it(tmp_path: Path) -> None:
    """Files that were taken away for the scan, or replaced, were not searched."""
    pictures, release = tmp_path / "pictures", tmp_path / "shared"
    pictures.mkdir()
    for name in ("Winterbottom", "Sommerfeld"):
        Image.new("L", (32, 32)).save(pictures / f"{name}.png")
    words = ("-J", 2, "-P", 2, "--workers", 1)
    assert run("privatize", pictures, release, *words).exit_code == 0
    assert scan(release, pictures).clean
    one, other = sorted(each for each in (release / "images").rglob("*") if each.is_file())
    content = one.read_bytes()
    one.write_bytes(content + b"x")
    other.unlink()
    found = scan(release, pictures)
    problems = [each.problem for each in found.files if each.problem]
    assert [" ".join(each.split()[:3]) for each in problems] == ["it is not", "the manifest of"]
    assert not found.clean


def test_the_private_folder_of_another_release_lists_other_sources(tmp_path: Path) -> None:
    pictures, few = tmp_path / "pictures", tmp_path / "few"
    for folder, names in ((pictures, ("Winterbottom", "Sommerfeld")), (few, ("Winterbottom",))):
        folder.mkdir()
        for shade, name in enumerate(names):
            Image.new("L", (32, 32), shade).save(folder / f"{name}.png")
        words = ("-J", 2, "-P", 2, "--workers", 1)
        assert run("privatize", folder, tmp_path / f"{folder.name}-out", *words).exit_code == 0
    call = ("scan", tmp_path / "pictures-out", "--against", few)
    assert run(*call).exit_code == 3  # one of two sources
    done = run(*call, "--private", tmp_path / "few-out.private")
    assert done.exit_code == 2, done.output
    assert "is the private folder of another release" in done.output.replace("\n", " ")


def test_evidence_names_elements_and_no_string(sources: Path, out: Path, tmp_path: Path) -> None:
    (out / "notes.txt").write_text(f"{NAME}, born 7.6.1951 or 1951-06-07", "utf-8")
    (out / "winterbottom.txt").write_text("x", "utf-8")
    found = scan(out, sources)
    folder = tmp_path / "evidence"
    write_evidence(found, folder, scanned=out)
    text = "".join(path.read_text("utf-8") for path in sorted(folder.iterdir()))
    for secret in ("winterbottom", "1951", "lindenweg", "774411"):
        assert secret not in text.lower()
    rows = list(csv.DictReader(io.StringIO((folder / "evidence.csv").read_text("utf-8"))))
    assert [row["found"] for row in rows if row["file"] == "table.csv"] == ["no"]
    assert {row["tags"] for row in rows if row["file"] == "notes.txt"} == {
        "(0010,0010)",
        "(0010,0030)",
    }
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary["files"] == 3
    assert summary["files_found"] == 2
    assert summary["clean"] is False
    again = tmp_path / "again"
    write_evidence(scan(out, sources), again, scanned=out)
    assert (again / "evidence.csv").read_bytes() == (folder / "evidence.csv").read_bytes()


def test_digest_distinguishes_strings_and_cannot_be_guessed(sources: Path, out: Path) -> None:
    (out / "a.txt").write_text(NAME, "utf-8")
    (out / "b.txt").write_text(f"{NAME} 1951-06-07", "utf-8")
    found = {file.name: file.findings for file in scan(out, sources).files}
    (one,), two = found["a.txt"], {finding.kind: finding.digest for finding in found["b.txt"]}
    assert one.digest == two["name"] != two["date"]
    save(make_header(PatientName="Other^Name"), sources / "IM0002.dcm")
    (other,) = next(file.findings for file in scan(out, sources).files if file.name == "a.txt")
    assert other.digest != one.digest


def test_evidence_in_what_is_shared_is_refused(sources: Path, out: Path) -> None:
    with pytest.raises(DeidentifyError, match="would lie in 'out'"):
        write_evidence(scan(out, sources), out / "evidence", scanned=out)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_command_says_what_was_found(sources: Path, out: Path, tmp_path: Path) -> None:
    done = run("scan", out, "--against", sources, "--json", tmp_path / "figures.json")
    assert done.exit_code == 0, done.output
    assert "nothing was found" in done.output
    assert json.loads((tmp_path / "figures.json").read_text("utf-8"))["clean"] is True
    (out / "notes.txt").write_text(NAME, "utf-8")
    done = run("scan", out, "--against", sources)
    assert done.exit_code == 3
    assert "1 in 1 file" in done.output
    assert "do not share the folder" in done.output
    assert NAME not in done.output
    assert (tmp_path / "out.evidence" / "evidence.csv").is_file()
    allowed = tmp_path / "allowed.txt"
    allowed.write_text(f"\n{NAME}\n", "utf-8")
    evidence = tmp_path / "there"
    done = run("scan", out, "--against", sources, "--ignore", allowed, "-o", evidence)
    assert done.exit_code == 0
    assert json.loads((evidence / "summary.json").read_text("utf-8"))["ignored"] == 1
    assert "1 string named by --ignore" in done.output


def test_command_refuses_what_it_cannot_do(sources: Path, out: Path, tmp_path: Path) -> None:
    for words in (
        ["scan", tmp_path / "none", "--against", sources],
        ["scan", out, "--against", tmp_path / "none"],
        ["scan", out, "--against", sources, "--ignore", tmp_path / "none"],
        ["scan", out, "--against", sources, "-o", out / "evidence"],
        ["scan", "s3://bucket/out", "--against", sources],
        ["scan", out, "--against", sources, "--workers", "2"],
        ["scan", out, "--against", out / "table.csv"],
    ):
        done = run(*words)
        assert done.exit_code == 2, done.output
        assert "error" in done.output


def test_needles_do_not_depend_on_the_order_of_files() -> None:
    one, other = Needles(), Needles()
    one.add("Winterbottom", "name", "a")
    one.add("Lindenweg", "text", "b")
    other.add("Lindenweg", "text", "b")
    other.add("Winterbottom", "name", "a")
    assert list(one) == list(other)


def test_real_files_are_read_without_a_crash(data_folder: Path, out: Path) -> None:
    found = scan(out, data_folder / "dicom")
    assert found.sources_read > 40
    assert not any(file.findings for file in found.files)


def test_an_initial_is_searched_before_and_after_a_name() -> None:
    assert {"apetersen", "petersena", "panna", "annap"} <= keys_of("Petersen^Anna", "name")
