"""Releases by a mechanism: what is promised holds in the files, and what is private stays so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepfixcx.codec import Codec
from deepfixcx.datasets import Dataset
from deepfixcx.errors import CodeFileError, MechanismError, ReleaseError
from deepfixcx.images import read_image
from deepfixcx.mechanisms import Records, load_mechanism, mechanism_named
from deepfixcx.release import (
    ReleaseOptions,
    load_codes,
    load_records,
    privatize_dataset,
    privatize_protected,
    read_members,
    read_status,
    verify_release,
)
from deepfixcx.spec import CodecSpec
from tests.release.conftest import contents, rows
from tests.release.phantoms import (
    CANARY,
    OPTIONS,
    PRIVATE_TABLES,
    SPEC,
    Maker,
    read_dataset,
    write_dataset,
)

pytestmark = pytest.mark.usefixtures("in_this_process")

CODES = ("mixing-3", "suppression", "projection-codes", "resampling-codes", "bands,mixing-4")
VECTORS = ("projection", "resampling-20", "projection,resampling", "suppression,projection-mixing")


def plain_codes(dataset: Dataset) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Encode every image of a dataset, in its order."""
    images = [read_image(record.path).pixels for record in dataset.records]
    return np.concatenate([Codec(SPEC).encode(pixels).array for pixels in images])


@pytest.mark.parametrize("mechanism", [*CODES, *VECTORS])
def test_every_mechanism_makes_a_whole_release(make: Maker, mechanism: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = make(mechanism, out)
    assert verify_release(out).sound
    status = read_status(out)
    assert (status.state, status.files_failed) == ("finished", 0)
    records, members = load_records(out), read_members(summary.private)
    assert records.array.shape[1:] == summary.shape
    assert len(records) == summary.totals["files"] > 0
    assert list(records.source_ids) == list(members)
    assert records.label_names == ("pneumonia", "effusion")
    truth = {
        str(each.path): labels
        for each, labels in zip(make.images.records, make.images.labels.tolist(), strict=True)
    }
    for name, labels in zip(records.source_ids, records.labels.tolist(), strict=True):
        assert {tuple(truth[member.source]) for member in members[name]} == {tuple(labels)}
    if mechanism in VECTORS:
        assert records.code is None
        with pytest.raises(ReleaseError, match="load_records"):
            load_codes(out)
    else:
        code, names = load_codes(out)
        assert np.array_equal(code.array, records.array)
        assert names == list(records.source_ids)
        assert set(map(tuple, code.sizes.tolist())) == {SPEC.compact_shape()}
    about = json.loads((out / "dataset.json").read_text())
    assert [each["guarantee"] for each in about["mechanisms"]]
    assert " Then ".join(each["guarantee"] for each in about["mechanisms"]) == summary.guarantee
    assert about["records"]["drawn_from"] == "a secret"
    published = load_mechanism(out)
    assert (published.spec, published.label_names) == (SPEC, records.label_names)
    assert published.represent(plain_codes(make.public)).shape[1:] == summary.shape


def test_records_are_what_the_mechanism_makes_of_plain_codes(make: Maker, tmp_path: Path) -> None:
    summary = make("projection", tmp_path / "out")
    kept = [np.flatnonzero(each.known.any(axis=1)) for each in (make.images, make.public)]
    assert [len(each) for each in kept] == [208, 80]
    public, private = (
        Records.of(plain_codes(each), each.labels, each.patients)
        for each in (make.public, make.images)
    )
    expected = mechanism_named("projection").fit(public, np.random.default_rng(0))
    made = {
        str(record.path): row
        for record, row in zip(make.images.records, expected.represent(private.array), strict=True)
    }
    members = read_members(summary.private)
    records = load_records(tmp_path / "out")
    for name, row in zip(records.source_ids, records.array, strict=True):
        (member,) = members[name]
        assert np.allclose(row, made[member.source], atol=1e-3)


@pytest.mark.parametrize("k", [3, 5])
def test_a_mixed_record_is_of_k_patients_at_least(make: Maker, k: int, tmp_path: Path) -> None:
    summary = make(f"mixing-{k}", tmp_path / "out")
    patients = [
        {member.patient for member in members} for members in read_members(summary.private).values()
    ]
    assert min(map(len, patients)) >= k
    behind = {m.source for each in read_members(summary.private).values() for m in each}
    withheld = {row["source"] for row in rows(summary.private / "withheld.csv")}
    assert behind | withheld == {str(record.path) for record in make.images.records}
    assert not behind & withheld


def test_nothing_private_is_in_the_release(make: Maker, tmp_path: Path) -> None:
    for number, mechanism in enumerate(("mixing-3", "projection,resampling")):
        out = tmp_path / f"out{number}"
        summary = make(mechanism, out)
        for path in out.rglob("*"):
            assert CANARY not in path.name
            if path.is_file():
                content = path.read_bytes()
                assert CANARY.encode() not in content
                secret = json.loads((summary.private / "protected.json").read_text())["secret"]
                assert secret.encode() not in content
        assert CANARY in (summary.private / "members.csv").read_text()
        assert summary.private.stat().st_mode & 0o077 == 0
        for name in PRIVATE_TABLES & {path.name for path in summary.private.iterdir()}:
            assert (summary.private / name).stat().st_mode & 0o077 == 0


def test_the_order_of_records_is_not_that_of_images(make: Maker, tmp_path: Path) -> None:
    summary = make("suppression", tmp_path / "out")
    order = [each[0].source for each in read_members(summary.private).values()]
    plain = [row["source"] for row in rows(summary.private / "images.private" / "sources.csv")]
    assert not list(summary.private.rglob("*.parquet"))  # plain codes are stored once
    assert sorted(order) == sorted(plain)
    assert order not in (plain, sorted(order))


def test_secrets_are_fresh_and_a_seed_repeats(make: Maker, tmp_path: Path) -> None:
    made = {}
    for name, seed in (("a", None), ("b", None), ("c", 7), ("d", 7), ("e", 8)):
        make("projection,resampling", tmp_path / name, seed=seed)
        made[name] = contents(tmp_path / name)
    assert made["c"] == made["d"]
    assert len({json.dumps(each) for each in made.values()}) == 4
    about = json.loads((tmp_path / "c" / "dataset.json").read_text())
    assert "for experiments" in about["records"]["drawn_from"]
    assert "7" not in json.dumps(about["options"])


@pytest.mark.slow
def test_labels_public_images_spec_and_mechanism_change_the_release(
    make: Maker, tmp_path: Path
) -> None:
    other = read_dataset(write_dataset(tmp_path / "other", first=2000, images=80))
    ways: dict[str, dict[str, Any]] = {
        "as it is": {},
        "public": {"public": other},
        "labels": {
            "dataset": make.images.with_labels("pneumonia"),
            "public": make.public.with_labels("pneumonia"),
        },
        "spec": {"options": ReleaseOptions(CodecSpec(level=1, patches=2), output="codes")},
    }
    made = {}
    for name, more in ways.items():
        make("projection", tmp_path / name, seed=1, **more)
        made[name] = contents(tmp_path / name)["records.safetensors"]
    make("resampling-20", tmp_path / "mechanism", seed=1)
    made["mechanism"] = contents(tmp_path / "mechanism")["records.safetensors"]
    assert len(set(made.values())) == len(made)


def test_codes_are_stored_in_the_dtype_asked_for(make: Maker, tmp_path: Path) -> None:
    half = ReleaseOptions(SPEC, output="codes", dtype="float16")
    make("mixing", tmp_path / "half", options=half)
    assert rows(tmp_path / "half" / "manifest.csv")[0]["code_dtype"] == "float16"
    assert verify_release(tmp_path / "half").sound


# -- what is refused, and what is left out ----------------------------------------------------


def without_patients(dataset: Dataset) -> Dataset:
    records = tuple(replace(record, patient=None) for record in dataset.records)
    return replace(dataset, records=records)


def without_labels(dataset: Dataset) -> Dataset:
    records = tuple(replace(record, labels=(), known=()) for record in dataset.records)
    return replace(dataset, label_names=(), records=records)


REFUSED: list[tuple[str, Callable[[Maker], dict[str, Any]], str]] = [
    ("projection", lambda _: {"public": None}, "--public"),
    ("mixing", lambda make: {"public": make.public}, "omit --public"),
    ("mixing", lambda make: {"dataset": without_labels(make.images)}, "--labels"),
    ("mixing", lambda make: {"dataset": without_patients(make.images)}, "patients"),
    ("resampling", lambda make: {"dataset": without_patients(make.images)}, "patients"),
    ("projection", lambda make: {"public": make.images}, "104 patients are both in"),
    ("projection", lambda make: {"public": make.public.with_labels("effusion")}, "name the same"),
    ("bands", lambda _: {}, "ordinary release"),
    ("mixing,noise-2-16", lambda _: {}, "first"),
    ("mixing-40", lambda _: {}, "no 40 patients"),
    ("mixing", lambda _: {"options": ReleaseOptions(SPEC)}, "--output"),
    ("mixing", lambda _: {"seed": -1}, "not negative"),
    ("projection",
     lambda _: {"options": ReleaseOptions(SPEC, output="codes", dtype="uint8")}, "--dtype"),
]  # fmt: skip


@pytest.mark.parametrize(("mechanism", "change", "reason"), REFUSED)
def test_what_cannot_be_promised_is_refused(
    make: Maker,
    mechanism: str,
    change: Callable[[Maker], dict[str, Any]],
    reason: str,
    tmp_path: Path,
) -> None:
    more = change(make)
    dataset = more.pop("dataset", make.images)
    options = more.pop("options", OPTIONS)
    learns = "public" not in more and mechanism in ("projection", "resampling")
    more = {"public": make.public if learns else None} | more
    with pytest.raises((MechanismError, ReleaseError), match=reason) as caught:
        privatize_protected(dataset, tmp_path / "out", options, mechanism, **more)
    assert CANARY not in str(caught.value)
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_a_release_lies_apart_from_images_and_may_lie_beside_their_table(
    make: Maker, tmp_path: Path
) -> None:
    for folder in (make.root / "in" / "out", make.root / "public" / "out", make.root / "in"):
        with pytest.raises(ReleaseError, match=r"within each other|lies in|overlap"):
            make("projection", folder)
    with pytest.raises(ReleaseError, match="lies in"):
        make("mixing", tmp_path / "out", private=tmp_path / "out" / "private")
    table = (make.root / "in" / "manifest.csv").read_text()
    header, *lines = table.splitlines()
    whole = "\n".join([header, *(f"{make.root / 'in'}/{line}" for line in lines)])
    (tmp_path / "table.csv").write_text(whole)
    make("mixing", tmp_path / "out", dataset=read_dataset(tmp_path / "table.csv"))
    assert verify_release(tmp_path / "out").sound


def test_copies_are_found_where_patients_cannot_be_compared(make: Maker, tmp_path: Path) -> None:
    shutil.copytree(make.root / "in", tmp_path / "copy")
    copied = without_patients(read_dataset(tmp_path / "copy"))
    with pytest.raises(MechanismError, match="208 files are identical"):
        make("projection", tmp_path / "out", public=copied)
    summary = make("projection", tmp_path / "fine", public=without_patients(make.public))
    assert "some public images have no patient ID" in summary.notes[0]


def test_bad_and_unlabelled_images_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "in")
    table = (root / "manifest.csv").read_text().splitlines()
    name, patient, *_ = table[1].split(",")
    table[1] = f"{name},{patient},,"
    (root / "manifest.csv").write_text("\n".join(table))
    (root / f"{CANARY}-9.png").write_bytes(b"no picture")
    rgb = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(root / f"{CANARY}-11.png")
    out = tmp_path / "out"
    summary = privatize_protected(read_dataset(root), out, OPTIONS, "mixing-3")
    reasons = {row["source"].rpartition("/")[2]: row for row in rows(
        summary.private / "withheld.csv")}  # fmt: skip
    assert set(reasons) == {f"{CANARY}-{number}.png" for number in (0, 9, 11)}
    assert reasons[f"{CANARY}-0.png"]["reason"] == "no label is known"
    assert reasons[f"{CANARY}-9.png"]["error"]
    assert "channels" in reasons[f"{CANARY}-11.png"]["reason"]
    assert summary.failed == 2
    assert summary.images == 57
    assert verify_release(out).sound
    assert json.loads((out / "dataset.json").read_text())["totals"]["files_failed"] == 0


def test_a_release_without_such_a_mechanism_has_no_such_files(make: Maker, tmp_path: Path) -> None:
    summary = privatize_dataset(make.root / "in", tmp_path / "out", OPTIONS)
    with pytest.raises(ReleaseError, match="load_codes"):
        load_records(tmp_path / "out")
    with pytest.raises(CodeFileError, match="mechanism"):
        load_mechanism(tmp_path / "out")
    with pytest.raises(ReleaseError, match=r"members\.csv"):
        read_members(summary.private)


def test_damaged_records_are_named(make: Maker, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make("projection", out)
    whole = (out / "records.safetensors").read_bytes()
    labels = (out / "labels.csv").read_text()
    for name, content in (
        ("records.safetensors", whole[:-4]),
        ("records.safetensors", b"nothing"),
        ("records.safetensors", whole.replace(b'\\"version\\": 1', b'\\"version\\": 9')),
        ("labels.csv", labels.replace("000002,", "000009,").encode()[: len(labels) // 2]),
        ("labels.csv", b"source_id,pneumonia\n000001,perhaps\n"),
    ):
        (out / "records.safetensors").write_bytes(whole)
        (out / "labels.csv").write_text(labels)
        (out / name).write_bytes(content)
        assert not verify_release(out).sound
        with pytest.raises(ReleaseError):
            load_records(out)
