"""What researchers load a release with: all tools read the same values, and none changes an ID."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pyarrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from deepfixcx.errors import MissingExtraError, ReleaseError
from deepfixcx.images import read_image
from deepfixcx.io.release_files import ROWS
from deepfixcx.release import (
    Release,
    ReleaseOptions,
    apply_withdrawal,
    privatize_dataset,
    verify_release,
    withdraw,
)
from deepfixcx.release.about import About
from deepfixcx.release.leaves import Leaves
from deepfixcx.release.ledger import Record
from deepfixcx.release.manifest import manifest_of, write_rows
from deepfixcx.release.places import LocalPlace
from deepfixcx.release.rewritten import repeating_files, rewrite_tables
from deepfixcx.release.tables import write_tables
from deepfixcx.spec import CodecSpec
from tests.release.conftest import contents, write_gray
from tests.release.phantoms import Maker

SPEC = CodecSpec(level=2, patches=3)
STATED = About(
    title='A "title" | with: [marks] <b>',
    institution="University Hospital",
    purpose="Training of a classifier",
    contact="steward@example.org",
    licence="CC-BY-4.0",
    date="2026-11-30",
    collection="Radiographs of one year",
)
NAME = "doe-jane-1970"


def write_images(root: Path) -> Path:
    """Gray of 8 and 16 bits, colour, several frames, and a file that is no image."""
    generator = np.random.default_rng(5)
    root.mkdir()
    for number in range(3):
        gray = generator.integers(0, 256, (20, 24), dtype=np.uint8)
        Image.fromarray(gray).save(root / f"{NAME}-{number}.png")
        deep = generator.integers(0, 65536, (20, 24)).astype(np.uint16)
        Image.fromarray(deep).save(root / f"{NAME}-deep-{number}.png")
    frames = [Image.fromarray(generator.integers(0, 256, (20, 24), dtype=np.uint8)) for _ in "abc"]
    frames[0].save(root / f"{NAME}.tif", save_all=True, append_images=frames[1:])
    colour = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(colour).save(root / f"{NAME}-colour.png")
    (root / f"{NAME}-bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("leaves") / "in")


@pytest.fixture(scope="module")
def made(root: Path) -> Path:
    folder = root.parent / "all"
    options = ReleaseOptions(SPEC, output="images,codes,dicom")
    privatize_dataset(root, folder, options, leaves=Leaves(STATED))
    return folder


@pytest.fixture(scope="module")
def expected(made: Path) -> dict[tuple[str, int], tuple[Any, Any]]:
    """Image and code of each row, read from the PNG and safetensors files themselves."""
    release = Release.open(made)
    codes = {}
    for row in release.rows:
        if row["status"] == "done":
            pixels = np.asarray(Image.open(made / row["image_file"]))
            code = release.file_of_codes(row["code_file"]).array[int(row["code_row"])]
            codes[row["source_id"], int(row["frame"])] = pixels, code
    assert len(codes) == 10
    return codes


Rows = dict[tuple[str, int], tuple[Any, Any]]


def same(found: Rows, expected: Rows) -> None:
    assert found.keys() == expected.keys()
    for key, (pixels, code) in expected.items():
        np.testing.assert_array_equal(found[key][0], pixels)
        np.testing.assert_array_equal(np.ravel(found[key][1]), np.ravel(code))


def opened(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)))


def opened_file(path: Path) -> Any:
    return np.asarray(Image.open(path))


def read_pandas(folder: Path) -> Rows:
    frame = Release.open(folder).to_pandas(codes=True)
    assert frame["channels"].dtype == np.int64
    rows = [dict(zip(frame.columns, each, strict=True)) for each in frame.to_numpy()]
    return {
        (row["source_id"], row["frame"]): (opened_file(folder / row["image_file"]), row["code"])
        for row in rows
    }


def read_torch(folder: Path) -> Rows:
    from torch.utils.data import DataLoader

    found = {}
    for batch in DataLoader(Release.open(folder).to_torch(), batch_size=1):  # type: ignore[arg-type]
        pixels = batch["image"][0].numpy()
        deep = len(np.unique(pixels * 255 % 1)) > 40
        stored = np.rint(pixels * (65535 if deep else 255)).astype(np.uint16)
        stored = stored[0] if len(stored) == 1 else stored.transpose(1, 2, 0)
        key = batch["source_id"][0], int(batch["frame"][0])
        found[key] = stored, batch["code"][0].numpy()
    return found


def read_webdataset(folder: Path) -> Rows:
    import webdataset

    tars = Release.open(folder).to_webdataset(folder.parent / "tars", per_file=4)
    assert len(tars) == 3
    samples = webdataset.WebDataset([str(tar) for tar in tars], shardshuffle=False).decode()
    return {
        (each["json"]["source_id"], each["json"]["frame"]): (each["image.npy"], each["code.npy"])
        for each in samples
    }


def read_hugging_face(folder: Path) -> Rows:
    import datasets

    rows = datasets.load_dataset(str(folder), split="train", cache_dir=str(folder.parent / "cache"))
    return {
        (row["source_id"], row["frame"]): (np.asarray(row["image"]), row["code"]) for row in rows
    }


def read_polars(folder: Path) -> Rows:
    rows = polars.read_parquet(folder / "data" / "*.parquet").to_dicts()
    return {
        (row["source_id"], row["frame"]): (opened(row["image"]["bytes"]), row["code"])
        for row in rows
    }


def read_arrow(folder: Path) -> Rows:
    rows = [
        row
        for path in sorted((folder / "data").iterdir())
        for row in parquet.read_table(path).to_pylist()
    ]
    return {
        (row["source_id"], row["frame"]): (opened(row["image"]["bytes"]), row["code"])
        for row in rows
    }


def read_croissant(folder: Path) -> Rows:
    import mlcroissant

    logging.getLogger("absl").setLevel(logging.ERROR)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in mlcroissant.Dataset(str(folder / "croissant.json")).records("data"):
            key = row["data/source_id"].decode(), int(row["data/frame"])
            found[key] = np.asarray(row["data/image"]), row["data/code"]
    return found


def read_iterated(folder: Path) -> Rows:
    release = Release.open(folder)
    frames: dict[str, int] = {}
    images = {(row["source_id"], int(row["frame"])): row["image_file"] for row in release.rows}
    found = {}
    for code, names in release.iter_codes():
        assert len(code) == len(names)
        for name, array in zip(names, code.array, strict=True):
            frame = frames[name] = frames.get(name, -1) + 1
            pixels = read_image(folder / images[name, frame]).pixels[0]
            stored = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
            found[name, frame] = stored, array
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "read",
    [
        *(read_pandas, read_torch, read_webdataset, read_hugging_face, read_polars, read_arrow),
        *(read_croissant, read_iterated),
    ],
)
def test_all_tools_read_the_same_ids_images_and_codes(
    made: Path, expected: Rows, read: Callable[[Path], Rows]
) -> None:
    same(read(made), expected)


def test_mlcroissant_finds_nothing_to_criticize(made: Path) -> None:
    import mlcroissant

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = mlcroissant.Dataset(str(made / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    about = json.loads((made / "croissant.json").read_text())
    assert about["rai:dataLimitations"] == [
        json.loads((made / "dataset.json").read_text())["limits"]
    ]


def test_manifest_in_parquet_equals_that_in_csv_and_keeps_ids_as_text(made: Path) -> None:
    table = parquet.read_table(made / "manifest.parquet")
    rows = [{name: str(value) for name, value in row.items()} for row in table.to_pylist()]
    assert rows == [dict(row) for row in Release.open(made).rows]
    assert table.column("source_id").to_pylist()[0] == "000001"


def test_the_leaves_name_no_source_and_hold_only_what_is_stated(made: Path, root: Path) -> None:
    for name in ("README.md", "croissant.json", "dcat.jsonld", "LICENCE", "manifest.parquet"):
        content = (made / name).read_bytes()
        assert NAME.encode() not in content, name
        assert str(root).encode() not in content, name
    for table in (made / "data").iterdir():
        assert NAME.encode() not in table.read_bytes()
    readme = (made / "README.md").read_text()
    assert "steward@example.org" in readme
    assert "<b>" not in readme.partition("# ")[2]


def test_the_lines_of_the_readme_load_every_row_with_its_patient(
    made: Path, expected: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.chdir(made)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    readme = (made / "README.md").read_text()
    own, *others = re.findall(r"```python\n(.*?)```", readme, re.S)
    found: dict[str, Any] = {}
    exec(own, found)
    gray = {name for name, _ in expected} & set(found["source_ids"])
    assert len(gray) == 7
    patients = {(row["source_id"], int(row["frame"])): row["patient"]
                for row in Release.open(made).rows if row["status"] == "done"}  # fmt: skip
    for block in others:
        exec(block, found)
        rows = found["rows"]
        named = rows if isinstance(rows, datasets.Dataset) else rows.iter_rows(named=True)
        assert {(row["source_id"], row["frame"]): row["patient"] for row in named} == patients
    assert len(others) == 2
    assert "| `patient` |" in readme


def test_a_release_without_pyarrow_has_descriptions_and_no_tables(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "plain"
    options = ReleaseOptions(SPEC, output="images")
    privatize_dataset(root, folder, options, leaves=Leaves(tables=False))
    assert verify_release(folder).sound
    names = {path.name for path in folder.iterdir()}
    assert {"README.md", "croissant.json", "dcat.jsonld"} < names
    assert not {"manifest.parquet", "data", "LICENCE"} & names


def test_same_inputs_give_the_same_leaves_and_old_tables_are_removed(
    root: Path, made: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    leaves = Leaves(STATED)
    options = ReleaseOptions(SPEC, output="images,codes,dicom")
    key = made.parent / "all.private/deidentify.key"
    privatize_dataset(root, folder, options, leaves=leaves, workers=2, key=key)
    assert contents(folder) == contents(made)
    without = Leaves(STATED, tables=False)
    privatize_dataset(root, folder, options, leaves=without, resume=True, key=key)
    assert not (folder / "data").exists()
    assert verify_release(folder).sound


def test_verify_names_a_table_that_repeats_other_values(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "forged"
    shutil.copytree(made, folder)
    name = sorted(path.name for path in (folder / "data").iterdir())[0]
    table = parquet.read_table(folder / "data" / name)
    codes = [[value + 1 for value in row] for row in table.column("code").to_pylist()]
    place = table.column_names.index("code")
    column = pyarrow.array(codes, table.schema.field("code").type)
    parquet.write_table(
        table.set_column(place, table.schema.field("code"), column), folder / "data" / name
    )
    digest = hashlib.sha256((folder / "data" / name).read_bytes()).hexdigest()
    about = json.loads((folder / "dataset.json").read_text())
    about["papers"][f"data/{name}"] = digest
    (folder / "dataset.json").write_text(json.dumps(about))
    assert verify_release(folder).contradictions == [
        f"data/{name} has other codes than the release"
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mechanism", ["projection", "suppression"])
def test_labels_of_a_release_by_a_mechanism_are_in_every_reader(
    make: Maker, mechanism: str, tmp_path: Path
) -> None:
    import datasets

    folder = tmp_path / "records"
    make(mechanism, folder, leaves=Leaves(STATED))
    assert (folder / "LICENCE").read_text() == "CC-BY-4.0\n"
    assert verify_release(folder).sound
    release = Release.open(folder)
    records = release.records()
    name = "code" if records.code is not None else "record"
    rows = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    frame, items = release.to_pandas(codes=True), release.to_torch()
    for place, row in enumerate(rows):
        assert row["source_id"] == records.source_ids[place] == frame.loc[place, "source_id"]
        np.testing.assert_array_equal(row[name], records.array[place].ravel())
        np.testing.assert_array_equal(frame.loc[place, name], records.array[place])
        np.testing.assert_array_equal(items[place][name], records.array[place])
        for label, value in zip(records.label_names, records.labels[place], strict=True):
            known = None if np.isnan(value) else int(value)
            assert row[f"label_{label}"] == known


def test_readers_name_what_a_release_lacks(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    privatize_dataset(root, folder, ReleaseOptions(SPEC, output="images"))
    release = Release.open(folder)
    with pytest.raises(ReleaseError, match="has no codes"):
        next(release.iter_codes())
    with pytest.raises(ReleaseError, match="without --output codes"):
        release.to_pandas(codes=True)
    assert "code" not in release.to_torch()[0]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("x")
    with pytest.raises(ReleaseError, match="not empty"):
        release.to_webdataset(tmp_path / "full")


def test_tables_that_are_asked_for_without_pyarrow_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"deepfixcx\[tables\]"):
        Leaves(tables=True)


@pytest.mark.filterwarnings("ignore")
def test_a_withdrawal_rewrites_descriptions_and_tables_at_both_sides(
    root: Path, tmp_path: Path
) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    privatize_dataset(root, home, ReleaseOptions(SPEC), leaves=Leaves(STATED))
    shutil.copytree(home, copy)
    before = contents(home)
    done = withdraw(home, images=["000002"])
    assert done.notice_path is not None
    apply_withdrawal(done.notice_path, copy)
    assert verify_release(copy).sound
    assert {p.name: p.read_bytes() for p in copy.iterdir() if p.is_file()} == {
        p.name: p.read_bytes() for p in home.iterdir() if p.is_file()
    }
    rows = read_polars(copy)
    assert "000002" not in {name for name, _ in rows}
    assert rows.keys() == read_croissant(copy).keys()
    assert "University Hospital" in (copy / "README.md").read_text()
    assert contents(home)["README.md"] != before["README.md"]


@pytest.mark.filterwarnings("ignore")
def test_tables_of_images_that_lose_no_row_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfixcx.release.tables.IMAGES_AT_ONCE", 3)
    for number in range(10):
        write_gray(tmp_path / "in" / f"{number}.png", 12, 10, number)
    home, copy = tmp_path / "home", tmp_path / "copy"
    privatize_dataset(tmp_path / "in", home, ReleaseOptions(SPEC, output="images"))
    shutil.copytree(home, copy)
    before, tables = contents(home / "data"), [f"rows-{number:05d}.parquet" for number in range(4)]
    assert list(before) == tables
    for images, changed in ((["000005", "000004"], {tables[1]}), (["000006", "000010"], set())):
        done = withdraw(home, images=images)
        assert done.notice_path is not None
        apply_withdrawal(done.notice_path, copy)
        assert contents(copy) == contents(home)
        after = contents(home / "data")
        assert {name for name, digest in after.items() if before[name] != digest} == changed
        assert verify_release(home).sound
        assert {f"data/{name}" for name in after} <= repeating_files(home)
        before = after
    assert list(after) == [tables[0], tables[2]]
    assert polars.read_parquet(home / "data/*.parquet").height == 6


class Kept(dict[str, bytes]):
    """A sink that keeps what is written."""

    def put(self, name: str, content: bytes) -> str:
        self[name] = content
        return hashlib.sha256(content).hexdigest()

    @contextmanager
    def writing(self, name: str) -> Iterator[io.BytesIO]:
        yield (file := io.BytesIO())
        self.put(name, file.getvalue())


def test_tables_are_written_and_rewritten_without_pandas_which_needs_50_mb(made: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from deepfixcx.release.rewritten import "
        "repeating_files; found = repeating_files(Path(sys.argv[1])); "
        "print(any('data/' in name for name in found), 'pandas' in sys.modules)"
    )
    words = (sys.executable, "-c", code, str(made))
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("patient", ["", "PABCDEFGHIJKLMNOP"])
def test_a_table_of_a_rewritten_manifest_has_the_bytes_of_a_new_one(
    patient: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tables", "rewritten"):
        monkeypatch.setattr(f"deepfixcx.release.{module}.ROWS_AT_ONCE", 4)
    odd = ["=1+1", "'quoted'", 'a "b", c', "line\nline", "x;=y", "007", "-1", "é", "a'b", ""]
    records = [
        Record(name or "000010", place, dicom_file=name, masked_share=place / 7, bits=8 + place,
               patient=patient if place == 8 else "", reason=name)
        for place, name in enumerate(odd)
    ]  # fmt: skip
    columns = [name for name in Record.public_columns() if patient or name != "patient"]
    with (tmp_path / "manifest.csv").open("wb") as file:
        write_rows(file, *manifest_of(records, columns))
    one, other = Kept(), Kept()
    fetch = LocalPlace(tmp_path).fetched
    made = write_tables(fetch, one, lambda: records)
    (tmp_path / ROWS).write_bytes(one[ROWS])
    manifest = tmp_path / "manifest.csv"
    again = rewrite_tables(fetch, other, manifest, made, (), patients=bool(patient))
    assert (made, one) == (again, other)
    assert parquet.read_table(io.BytesIO(one[ROWS])).column("dicom_file").to_pylist() == odd


def test_a_withdrawal_with_another_pyarrow_is_refused_before_any_change(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    privatize_dataset(root, tmp_path / "out", ReleaseOptions(SPEC), leaves=Leaves(STATED))
    before = contents(tmp_path / "out")
    monkeypatch.setattr("deepfixcx.release.rewritten.version", lambda _: "1.0")
    with pytest.raises(ReleaseError, match="pip install pyarrow=="):
        withdraw(tmp_path / "out", images=["000002"])
    assert contents(tmp_path / "out") == before
