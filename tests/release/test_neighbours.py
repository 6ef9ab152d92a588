"""Two folders that differ in pixels: nothing of their releases differs but what is protected.

What an attacker reads beside the records (their order, names, sizes, sums, counts, labels and
metadata) is compared byte for byte. Secrets are the same in both runs, as if the attacker knew
every draw.
"""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image, PngImagePlugin

from deepfixcx.mechanisms import PixelNoise
from deepfixcx.release import ReleaseOptions, privatize_dataset, privatize_protected
from tests.release.conftest import rows
from tests.release.phantoms import CANARY, OPTIONS, SPEC, Maker, read_dataset, write_dataset

pytestmark = pytest.mark.usefixtures("in_this_process")

IMAGE = f"{CANARY}-7.png"
FOLLOWING = ("manifest.csv", "records.safetensors", ".parquet", "croissant.json", "dcat.jsonld")
"""Files that hold records or hashes of them, so that their own hashes follow from records."""

HASHES = re.compile(r'"[0-9a-f]{64}"')


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.array(Image.open(path))


def sixteen_pixels(root: Path) -> None:
    image = pixels(root / IMAGE)
    image[:4, :4] = 255 - image[:4, :4]
    Image.fromarray(image).save(root / IMAGE)


def other_file(root: Path) -> None:
    """The same pixels, in a file of another size and compression, with another date."""
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", "x" * 5000)
    image = Image.fromarray(pixels(root / IMAGE))
    image.save(root / IMAGE, compress_level=0, pnginfo=note)


def one_image(root: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    Image.fromarray(noise).save(root / IMAGE)


def one_patient(root: Path) -> None:
    """Both images of a patient become those of another person, of another size."""
    for number in (6, 7):
        noise = np.random.default_rng(number).integers(0, 256, (57, 43), np.uint8)
        Image.fromarray(noise).save(root / f"{CANARY}-{number}.png")


CHANGES = (sixteen_pixels, other_file, one_image, one_patient)


def outside(folder: Path) -> dict[str, object]:
    """Everything of a release but the protected values and the hashes that follow from them."""
    seen: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, content = str(path.relative_to(folder)), path.read_bytes()
        if name == "dataset.json":
            papers = json.loads(content)["papers"]
            for changing, digest in papers.items():
                if changing.endswith(FOLLOWING):
                    content = content.replace(digest.encode(), b"hash")
            seen[name] = content
        elif name.endswith(".parquet"):  # what it repeats of records, it repeats in their place
            table = parquet.read_table(path)
            kept = [
                each
                for each in table.column_names
                if each not in ("code", "record", "image") and not each.endswith("_sha256")
            ]
            seen[name] = table.schema.to_string(), table.select(kept).to_pylist()
        elif name in ("croissant.json", "dcat.jsonld"):
            seen[name] = re.sub(rb"\b[0-9a-f]{64}\b", b"hash", content)
        elif name == "manifest.csv":
            lines = list(csv.reader(io.StringIO(content.decode())))
            hashes = [place for place, title in enumerate(lines[0]) if title.endswith("_sha256")]
            seen[name] = [
                [cell for place, cell in enumerate(row) if place not in hashes] for row in lines
            ]
        elif name.endswith(".safetensors") and name != "mechanism.safetensors":
            length = 8 + int.from_bytes(content[:8], "little")
            seen[name] = (content[:length], len(content))  # all but the numbers
        else:
            seen[name] = content
    return seen


@pytest.fixture
def known_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda count=32: "5a" * count)


@pytest.mark.parametrize(
    "mechanism",
    [
        *("mixing-3", "suppression", "projection", "projection-codes", "projection-mixing"),
        *("resampling", "resampling-20", "resampling-codes", "bands,quantization,suppression"),
    ],
)
@pytest.mark.usefixtures("known_secrets")
def test_a_release_by_a_mechanism_depends_on_pixels_through_its_records_only(
    make: Maker, neighbours: dict[str, Path], mechanism: str, tmp_path: Path
) -> None:
    make(mechanism, tmp_path / "out")
    first = outside(tmp_path / "out")
    assert len(first) > 4
    chosen = neighbours if mechanism == "resampling" else {"one_patient": neighbours["one_patient"]}
    for name, root in chosen.items():
        make(mechanism, tmp_path / name, dataset=read_dataset(root))
        assert outside(tmp_path / name) == first, name


@pytest.fixture(scope="module")
def neighbours(make: Maker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that differ from that of `make` in one image or patient; names are the same."""
    # the folder has the same path relative to its parent, and files sort alike
    made = {}
    for change in CHANGES:
        root = tmp_path_factory.mktemp(change.__name__) / "in"
        shutil.copytree(make.root / "in", root)
        change(root)
        made[change.__name__] = root
    return made


@pytest.mark.usefixtures("known_secrets")
@pytest.mark.parametrize("output", ["codes", "both"])
@pytest.mark.parametrize("change", [sixteen_pixels, other_file, one_image])
def test_a_release_with_noise_depends_on_pixels_through_its_codes_only(
    change: Callable[[Path], None], output: str, tmp_path: Path
) -> None:
    noise = PixelNoise(SPEC, epsilon=2.0, pixels=16)
    options = ReleaseOptions(SPEC, output=output, noise=noise)  # type: ignore[arg-type]
    root = write_dataset(tmp_path / "in", images=20)
    privatize_dataset(root, tmp_path / "one", options)
    change(root)
    privatize_dataset(root, tmp_path / "two", options)
    seen = [outside(tmp_path / name) for name in ("one", "two")]
    for each in seen:  # pictures of noisy codes, and the sum of their sizes, are protected values
        pictures = [name for name in each if name.startswith("images/")]
        each.update(dict.fromkeys(pictures, b""))
        about = json.loads(each["dataset.json"])  # type: ignore[arg-type]
        about["totals"].pop("image_file_bytes")
        assert about["totals"]["source_file_bytes"] == 0
        each["dataset.json"] = about
    assert seen[0] == seen[1]
    order = [
        [row["source"] for row in rows(tmp_path / f"{name}.private" / "sources.csv")]
        for name in ("one", "two")
    ]
    assert order[0] == order[1] != sorted(order[0])


def test_the_order_of_a_release_with_noise_is_drawn_anew(tmp_path: Path) -> None:
    options = ReleaseOptions(
        SPEC, output="codes", noise=PixelNoise(SPEC, epsilon=2.0, pixels=16), seed=3
    )
    root = write_dataset(tmp_path / "in", images=20)
    orders = set()
    for name in ("one", "two"):
        summary = privatize_dataset(root, tmp_path / name, options)
        assert summary.totals["source_file_bytes"] > 0  # for its maker, not in the release
        orders.add(tuple(row["source"] for row in rows(summary.private / "sources.csv")))
    assert len(orders) == 2


@pytest.mark.usefixtures("known_secrets")
def test_noise_then_a_mechanism_depends_on_pixels_through_its_records_only(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "in")
    made = []
    for name, change in (("one", None), ("two", one_patient)):
        if change is not None:
            change(root)
        privatize_protected(read_dataset(root), tmp_path / name, OPTIONS, "noise-2-16,mixing-3")
        made.append(outside(tmp_path / name))
    assert made[0] == made[1]


def test_pictures_with_a_palette_are_left_out_of_noise(tmp_path: Path) -> None:
    """One pixel of another colour would make three channels of one."""
    root = write_dataset(tmp_path / "in", images=4)
    Image.fromarray(pixels(root / IMAGE.replace("7", "3"))).convert("P").save(root / "palette.png")
    options = ReleaseOptions(SPEC, output="codes", noise=PixelNoise(SPEC, 2.0, pixels=16))
    summary = privatize_dataset(root, tmp_path / "out", options)
    assert summary.totals["files_failed"] == 1
    assert "palette" in rows(tmp_path / "out" / "failures.csv")[0]["reason"]
