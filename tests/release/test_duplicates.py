"""Images that stand twice in a release are found by their codes, their bytes and their UID."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfixcx import Code, CodecSpec
from deepfixcx.release import duplicates
from deepfixcx.release.duplicates import NEAR, near_duplicates
from deepfixcx.release.ledger import Ledger, Record, ShardResult, SourceSeen

SPEC = CodecSpec(2, 3)


def written(folder: Path, codes: NDArray[np.float32], per_file: int = 50) -> list[Record]:
    """Write codes in files, and return a record of each."""
    records = []
    for start in range(0, len(codes), per_file):
        some, name = codes[start : start + per_file], f"{start // per_file:05d}.safetensors"
        sizes = np.full((len(some), 2), 40)
        Code(some.reshape(len(some), 1, 16, 3, 3), SPEC, sizes).save(folder / name)
        records += [Record(f"{start + row + 1:06d}", code_file=name, code_row=row, channels=1)
                    for row in range(len(some))]  # fmt: skip
    return records


def slowly(codes: NDArray[np.float32]) -> set[frozenset[str]]:
    """Return the groups of nearly equal codes by comparing all with all."""
    lengths = np.linalg.norm(codes, axis=1)
    unit = codes / np.maximum(lengths, 1e-20)[:, None]
    groups = [{place} for place in range(len(codes))]
    for one in range(len(codes)):
        for other in range(one):
            near = np.linalg.norm(unit[one] - unit[other]) <= NEAR
            if near and lengths[one] and lengths[other]:
                both = groups[one] | groups[other]
                for place in both:
                    groups[place] = both
    return {frozenset(f"{n + 1:06d}" for n in each) for each in groups if len(each) > 1}


def test_near_duplicates_are_those_of_comparing_all_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def fetch(name: str) -> Iterator[Path]:
        yield tmp_path / name

    draw = np.random.default_rng(0)
    codes = 1 + 0.3 * draw.random((400, 144), np.float32)
    codes[::7] = codes[3] * (1 + 0.5 * draw.random((58, 1)))  # brightness alone
    for place in range(0, 120, 3):  # close to, or beyond, the threshold
        step = draw.normal(size=144)
        length = np.linalg.norm(codes[place]) * NEAR * draw.uniform(0.5, 1.5)
        codes[place + 200] = codes[place] + step / np.linalg.norm(step) * length
    codes[390:] = 0
    monkeypatch.setattr(duplicates, "BLOCK", 32)
    monkeypatch.setattr(duplicates, "HELD_BYTES", 20 * 144 * 4)
    records = written(tmp_path, codes)
    wanted = slowly(codes)
    assert len(wanted) >= 15
    found = near_duplicates(fetch, records)
    assert {frozenset(group) for group in found} == wanted
    same = (found[0],)  # known by their bytes
    assert {frozenset(group) for group in near_duplicates(fetch, records, same)} == wanted - {
        frozenset(found[0])
    }
    frames = [Record("000001", frame, code_file=each.code_file, code_row=each.code_row, channels=1)
              for frame, each in enumerate(records)]  # fmt: skip
    assert near_duplicates(fetch, frames) == ()
    assert near_duplicates(fetch, records[-3:]) == near_duplicates(fetch, []) == ()


def test_an_old_ledger_gets_marks_of_instances_and_holds_no_uid(tmp_path: Path) -> None:
    path, uid = tmp_path / "ledger.sqlite", "1.2.826.0.1.77.4711"
    with Ledger(path) as ledger:
        ledger.begin({"spec": "{}"}, [1, 3])
        old = [SourceSeen("000001", "1:2", "a" * 64)]
        ledger.complete(0, ShardResult([Record("000001")], old))
        ledger.database.executescript(
            "ALTER TABLE sources DROP COLUMN instance; ALTER TABLE records DROP COLUMN patient; "
            "ALTER TABLE records DROP COLUMN depth; "
            "PRAGMA user_version = 4"
        )
    with Ledger(path) as ledger:
        assert ledger.duplicates("instance") == ()
        new = [
            SourceSeen(f"00000{n}", "1:2", letter * 64, uid) for n, letter in enumerate("bcc", 2)
        ]
        assert uid not in repr(new)
        ledger.complete(1, ShardResult([Record(each.source_id) for each in new], new))
        assert ledger.duplicates("instance") == (("000002", "000003", "000004"),)
        assert ledger.duplicates() == (("000003", "000004"),)
    assert uid.encode() not in path.read_bytes()
