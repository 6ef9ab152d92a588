"""Remove the images of some sources from the folder of a finished release, and nothing else.

Steward and recipient run the same code on the same bytes, so that both have the same release
afterwards. First everything new is written beside the files that it replaces, under temporary
names (`stage`). Only then files are removed and replaced, which can be repeated after a crash
(`finish`). ``dataset.json`` is replaced last.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from deepfixcx.code import without_codes
from deepfixcx.errors import DeepfixcxError, ReleaseError, ReleaseStoppedError
from deepfixcx.io.files import (
    holds,
    inside,
    name_file,
    remove_listed,
    remove_temporaries,
    sha256_of,
    sync_folder,
    write_file,
    writing,
)
from deepfixcx.io.release_files import ABOUT, FAILURES, KINDS, MANIFEST, is_leaf
from deepfixcx.io.tables import TableWriter, cells_of, raw_rows, table_rows, without_rows
from deepfixcx.release.manifest import as_json
from deepfixcx.release.options import kept_of, values_of
from deepfixcx.release.places import LocalPlace
from deepfixcx.release.release import stated
from deepfixcx.release.rewritten import check_rewritable, rewrite_leaves
from deepfixcx.release.tables import table_of

__all__ = [
    "TAG",
    "Removal",
    "finish",
    "stage",
    "stage_codes",
]

TAG = "withdrawal"
"""In the names of temporary files."""


@dataclass(slots=True)
class Removal:
    """What is removed from a release folder, and what replaces it, by names and SHA-256."""

    before: str
    after: str = ""
    images: int = 0
    removed: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Found:
    """What one pass over the manifest says of some sources."""

    rows: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    sizes: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Rows of each file of codes, and its SHA-256."""
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where the rows of each file of codes begin and end in the manifest."""
    single: list[tuple[int, int]] = field(default_factory=list)
    """Where rows that go and have no code begin and end."""
    lost: list[int] = field(default_factory=list)
    """Places of the rows that go, among the finished ones without a code."""
    kept: int = 0
    failures: int = 0
    dicoms: set[str] = field(default_factory=set)
    channels: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))
    """Of all images, and of those that stay."""


def stage(folder: Path, ids: Collection[str], source_bytes: int) -> Removal:
    """Write everything new under temporary names; nothing of the release changes yet."""
    about, before = stated(LocalPlace(folder))
    _check(folder, about)
    remove_temporaries(folder, TAG)
    found = _search(folder, ids)
    removal = Removal(before, images=sum(row["status"] == "done" for row in found.rows))
    try:
        for row in found.rows:
            for kind in ("image", "dicom"):
                if name := row.get(f"{kind}_file"):
                    removal.removed[name] = row[f"{kind}_sha256"]
        codes = stage_codes(folder, found, removal)
        digests = dict(about["papers"])
        with _staging(folder, MANIFEST, removal) as file:
            _write_manifest(folder / MANIFEST, file, ids, codes, found)
        digests[MANIFEST] = removal.replaced[MANIFEST]
        _stage_failures(folder, ids, found, removal, digests)
        totals = _totals(folder, about, found, removal, source_bytes)
        about = about | {"papers": digests, "totals": totals, "mechanisms": _kept(about, found)}
        _stage_leaves(folder, about, found, removal)
        history = [*about.get("history", []), {"change": "withdrawal", "checksum": before}]
        content = as_json(about | {"history": history})
        _put(folder, ABOUT, content, removal)
    except OSError as error:
        remove_temporaries(folder, TAG)
        raise ReleaseError(
            f"{str(folder)!r} cannot be written: {error.strerror}; nothing was changed; free disk "
            "space or change its permissions"
        ) from None
    removal.after = removal.replaced[ABOUT]
    return removal


def finish(folder: Path, removal: Removal) -> None:
    """Remove and replace what was staged; after a crash the same call goes on."""
    try:
        if left := remove_listed(folder, {name: {sha} for name, sha in removal.removed.items()}):
            raise ReleaseStoppedError(
                f"{left[0]!r} must be removed, but was changed since the release was made; remove "
                "it, then run the same command again"
            )
        last = [name for name in removal.replaced if name != ABOUT]
        for name in (*last, ABOUT):
            path, sha = folder / name, removal.replaced[name]
            staged = _staged(folder, name)
            if not holds(staged, {sha}):
                if not holds(path, {sha}):
                    raise ReleaseStoppedError(
                        f"{name!r} was changed during the withdrawal; copy the release again"
                    )
                continue
            name_file(staged, path, replace=True)
            sync_folder(path.parent)
    except OSError as error:
        raise ReleaseStoppedError(
            f"{str(folder)!r} cannot be written: {error.strerror}; change its permissions, then "
            "run the same command again"
        ) from None
    remove_temporaries(folder, TAG)


# -- helpers ----------------------------------------------------------------------------------


def _check(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuse releases from which no single source can be removed, and changed ones."""
    check_rewritable(about)
    records = about.get("records")
    if isinstance(records, dict):
        why = "the mechanism learned from all images, and its fitted values are released"
        if records.get("synthetic"):
            why = "its records are synthetic: each is drawn from a model of all patients"
        elif any("mixing" in str(each.get("mechanism")) for each in _steps(about)):
            why = "each record mixes images of several patients"
        raise ReleaseError(
            f"no patient can be withdrawn from {folder.name!r}: {why}; make the release again "
            "without the images of the patient"
        )
    if not holds(folder / MANIFEST, {str(about["papers"].get(MANIFEST))}):
        raise ReleaseError(
            f"{MANIFEST} of {str(folder)!r} was changed after the release was made; deepfixcx "
            "verify lists all differences"
        )


def _steps(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [step for each in about["mechanisms"] for step in each.get("steps", [each])]


def _search(folder: Path, ids: Collection[str]) -> _Found:
    found, known = _Found(), set[str]()
    rows = table_rows(folder / MANIFEST)
    header = cells_of(first := next(rows))
    status, code, digest, channels = (
        header.index(name) for name in ("status", "code_file", "code_sha256", "channels")
    )
    end, plain = len(first), 0
    for row in rows:
        start, end = end, end + len(row)
        cells = cells_of(row)
        gone = cells[0] in ids
        name, done = cells[code], cells[status] == "done"
        if name:
            found.sizes[name] = found.sizes.get(name, (0, ""))[0] + 1, cells[digest]
            found.spans[name] = found.spans.get(name, (start, 0))[0], end
        if done:
            for of_all in found.channels[: 1 if gone else 2]:
                of_all.add(int(cells[channels]))
        if not gone:
            found.kept += 1
            found.failures += not done
        else:
            known.add(cells[0])
            _lose(found, dict(zip(header, cells, strict=True)), plain, (start, end))
        plain += done and not name
    if missing := sorted(set(ids) - known):
        raise ReleaseError(f"{MANIFEST} has no source {missing[0]!r}; check the ID")
    if not found.kept:
        raise ReleaseError(
            f"no image would stay in {folder.name!r}; delete the release and its private folder"
        )
    return found


def _lose(found: _Found, row: dict[str, str], plain: int, span: tuple[int, int]) -> None:
    """Count a row that goes."""
    found.rows.append(row)
    if row.get("dicom_file"):
        found.dicoms.add(row["dicom_file"])
    if row["code_file"]:
        found.codes[row["code_file"]].add(int(row["code_row"]))
        return
    found.single.append(span)
    if row["status"] == "done":
        found.lost.append(plain)


def _staged(folder: Path, name: str) -> Path:
    path = inside(folder, name)
    if path is None:
        raise ReleaseError(f"{name!r} leads out of the release; copy the release again")
    return path.with_name(f".deepfixcx-{TAG}-{hashlib.sha256(name.encode()).hexdigest()[:16]}.part")


@contextmanager
def _staging(folder: Path, name: str, removal: Removal) -> Iterator[BinaryIO]:
    staged = _staged(folder, name)
    with writing(staged, replace=True) as file:
        yield file
    removal.replaced[name] = sha256_of(staged)


def _put(folder: Path, name: str, content: bytes, removal: Removal) -> None:
    write_file(_staged(folder, name), content, replace=True)
    removal.replaced[name] = hashlib.sha256(content).hexdigest()


def stage_codes(folder: Path, found: _Found, removal: Removal) -> dict[str, str]:
    """Stage each file of codes that loses rows; return the new hash of those that stay."""
    digests: dict[str, str] = {}
    for name, rows in found.codes.items():
        path = inside(folder, name)
        count, listed = found.sizes[name]
        if path is None or not holds(path, {listed}):
            raise ReleaseError(
                f"{name!r} was changed after the release was made; deepfixcx verify lists all "
                "differences"
            )
        if len(rows) == count:
            removal.removed[name] = listed
            continue
        try:
            _put(folder, name, without_codes(path, rows), removal)
        except DeepfixcxError as error:
            raise ReleaseError(str(error)) from None
        digests[name] = removal.replaced[name]
    return digests


def _write_manifest(
    path: Path, file: BinaryIO, ids: Collection[str], digests: Mapping[str, str], found: _Found
) -> None:
    """Write the rows that stay; those in a file of codes that lost rows have new places."""
    lost = {name: np.array(sorted(rows)) for name, rows in found.codes.items()}
    writer = TableWriter(codecs.getwriter("utf-8")(file))
    with path.open("rb") as old:
        header = cells_of(old.readline())
        place, code, digest = (header.index(n) for n in ("code_row", "code_file", "code_sha256"))
        old.seek(0)
        for start, end in _merged(found):
            _copy(old, file, start - old.tell())
            for row in raw_rows(io.BytesIO(old.read(end - start))):
                cells = cells_of(row)
                if cells[0] in ids:
                    continue
                if (name := cells[code]) not in digests:
                    file.write(row)
                    continue
                number = int(cells[place])
                number -= int(np.searchsorted(lost[name], number))
                cells[place], cells[digest] = str(number), digests[name]
                if b'"' in row or b"'" in row:
                    writer.writerow(cells)
                else:
                    file.write((",".join(cells) + "\n").encode())
        shutil.copyfileobj(old, file)


def _merged(found: _Found) -> list[tuple[int, int]]:
    """Return the parts of the manifest that change, in order and apart from each other."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted([*found.single, *(found.spans[name] for name in found.codes)]):
        if spans and start < spans[-1][1]:
            start, end = spans[-1][0], max(end, spans.pop()[1])
        spans.append((start, end))
    return spans


def _copy(old: BinaryIO, new: BinaryIO, size: int) -> None:
    while size > 0:
        part = old.read(min(size, 1 << 20))
        new.write(part)
        size -= len(part)


def _stage_failures(
    folder: Path,
    ids: Collection[str],
    found: _Found,
    removal: Removal,
    digests: dict[str, str],
) -> None:
    if FAILURES not in digests or not any(row["status"] == "failed" for row in found.rows):
        return
    if not found.failures:
        removal.removed[FAILURES] = digests.pop(FAILURES)
        return
    _put(folder, FAILURES, without_rows(folder / FAILURES, ids), removal)
    digests[FAILURES] = removal.replaced[FAILURES]


def _stage_leaves(folder: Path, about: dict[str, Any], found: _Found, removal: Removal) -> None:
    """Stage what describes the release; tables of removed files of codes go with them."""
    old, at = about["papers"].copy(), _Stage(folder, removal)
    tables = {table_of(name) for name in found.codes}
    manifest = _staged(folder, MANIFEST)
    about["papers"] |= rewrite_leaves(at.fetched, at, about, manifest, tables, found.lost)
    removal.removed |= {n: old[n] for n in old if is_leaf(n) and n not in about["papers"]}


@dataclass(frozen=True, slots=True)
class _Stage:
    """A release as it will be: what is staged in place of what is there."""

    folder: Path
    removal: Removal

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        staged = name in self.removal.replaced
        path = _staged(self.folder, name) if staged else inside(self.folder, name)
        if path is None:
            raise ReleaseError(f"{name!r} leads out of the release; copy it again")
        yield path

    def put(self, name: str, content: bytes) -> str:
        _put(self.folder, name, content, self.removal)
        return self.removal.replaced[name]

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        return _staging(self.folder, name, self.removal)


def _kept(about: Mapping[str, Any], found: _Found) -> list[Any]:
    """Return the entries of mechanisms; noise has one for each number of channels."""
    entries = list(about["mechanisms"])
    everything, stay = map(sorted, found.channels)
    noisy = [each for each in entries if each.get("mechanism") == "noise"]
    gone = [each for kind, each in zip(everything, noisy, strict=False) if kind not in stay]
    return [each for each in entries if not any(each is one for one in gone)]


def _totals(
    folder: Path, about: Mapping[str, Any], found: _Found, removal: Removal, source_bytes: int
) -> dict[str, int]:
    """Subtract what goes from the totals; older releases state fewer of them."""
    options, less = about["options"], dict[str, int]()
    done = [row for row in found.rows if row["status"] == "done"]
    less["files"] = len({row["source_id"] for row in found.rows})
    less["files_failed"] = len(found.rows) - len(done)
    less["files_done"] = less["files"] - less["files_failed"]
    less["images"] = len(done)
    less["source_file_bytes"] = source_bytes
    less["source_values"] = sum(values_of(row, options) for row in done)
    less["source_bytes"] = sum(values_of(row, options) * int(row["bits"]) // 8 for row in done)
    kept = [kept_of(row, options) for row in done]
    less["kept_values"] = sum(values for values, _ in kept)
    less["kept_bytes"] = sum(values * bits // 8 for values, bits in kept)
    less["dicom_files"] = len(found.dicoms)
    less["code_files"] = sum(name in removal.removed for name in found.codes)
    for kind, room in KINDS.items():
        names = [n for n in (*removal.removed, *found.codes) if n.startswith(f"{room}/")]
        less[f"{kind}_file_bytes"] = sum(
            (folder / name).stat().st_size
            - (_staged(folder, name).stat().st_size if name in removal.replaced else 0)
            for name in dict.fromkeys(names)
        )
    return {name: count - less.get(name, 0) for name, count in about["totals"].items()}
