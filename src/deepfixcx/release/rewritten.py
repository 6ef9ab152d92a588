"""Descriptions and tables of a release, written again after its manifest lost rows.

Steward and recipient get the same bytes: those that a new release would have, except that tables
which lost no row stay as they are.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from importlib.metadata import version
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from deepfixcx._optional import require
from deepfixcx.errors import ReleaseError
from deepfixcx.io.files import sha256_of
from deepfixcx.io.release_files import ABOUT, DATA, MANIFEST, ROWS, is_leaf
from deepfixcx.io.tables import cells_of, from_cell, raw_rows
from deepfixcx.release.about import STATED, About
from deepfixcx.release.leaves import describe
from deepfixcx.release.ledger import Record
from deepfixcx.release.places import LocalPlace
from deepfixcx.release.tables import (
    ROWS_AT_ONCE,
    Fetch,
    Sink,
    column_of,
    data_of,
    data_schema,
    grouped,
    manifest_schema,
    table_of,
    write_table,
)

__all__ = ["check_rewritable", "repeating_files", "rewrite_leaves", "rewrite_tables"]


def rewrite_leaves(
    fetch: Fetch,
    sink: Sink,
    metadata: dict[str, Any],
    manifest: Path,
    affected: Collection[str],
    lost: Iterable[int] = (),
) -> dict[str, str]:
    """Write again what describes a release whose manifest changed; nothing for a release without.

    `affected` are the tables of files of codes that changed or went, and `lost` counts the rows
    that went among those without codes: all other tables stay as they are.
    """
    digests: dict[str, str] = metadata["papers"]
    before = {name: digests.pop(name) for name in [*digests] if is_leaf(name)}
    if not before:
        return {}
    known = metadata.get("about", {})
    texts = {name: str(known.get(name, "")) for name in STATED}
    about = About(**texts, agree=(), signatures=())
    tables: dict[str, str] = {}
    patients = _has_patients(manifest)
    if ROWS in before:
        tables = rewrite_tables(fetch, sink, manifest, before, affected, lost, patients=patients)
        metadata["software"] = metadata["software"] | {"pyarrow": version("pyarrow")}
    return tables | describe(sink, metadata, about, tables, patients=patients)


def _has_patients(manifest: Path) -> bool:
    with manifest.open("rb") as file:
        rows = raw_rows(file)
        header = cells_of(next(rows))
        place = header.index("patient") if "patient" in header else None
        return place is not None and any(cells_of(row)[place] for row in rows)


def repeating_files(folder: Path) -> frozenset[str]:
    """Return the descriptions and tables of a release that hold only what its other files hold.

    They are made again from these files; one that differs in a byte, or that cannot be made again
    here, is not among them.
    """
    place, same = LocalPlace(folder), set()
    try:
        with place.fetched(ABOUT) as path:
            content = json.loads(path.read_bytes())
        stated: dict[str, str] = dict(content["papers"])
        tables = frozenset(name for name in stated if name.startswith(DATA))
        with place.fetched(MANIFEST) as path:
            made = rewrite_leaves(place.fetched, _Digests(), content, path, tables)
        for name, digest in made.items():
            with place.fetched(name) as path:
                if digest == stated.get(name) == sha256_of(path):
                    same.add(name)
        return frozenset(same)
    except Exception:  # of a damaged release; then nothing is known to be repeated
        return frozenset()


class _Digests:
    """A sink that keeps nothing."""

    def put(self, _name: str, content: bytes) -> str:
        return sha256(content).hexdigest()

    def writing(self, _name: str) -> AbstractContextManager[BinaryIO]:
        return nullcontext(BytesIO())


def check_rewritable(metadata: Mapping[str, Any]) -> None:
    """Refuse a release whose tables cannot be written here with the bytes of its sender."""
    if ROWS in metadata["papers"]:
        require("pyarrow", extra="tables")
        if (needed := str(metadata["software"].get("pyarrow"))) != version("pyarrow"):
            raise ReleaseError(
                f"the tables of this release were written with pyarrow {needed}, and this is "
                f"{version('pyarrow')}; run: pip install pyarrow=={needed}"
            )


def rewrite_tables(
    fetch: Fetch,
    sink: Sink,
    manifest: Path,
    before: Mapping[str, str],
    affected: Collection[str],
    lost: Iterable[int] = (),
    *,
    patients: bool,
) -> dict[str, str]:
    """Write the tables of a release again whose manifest lost rows; tables that lost none stay."""
    # `before` has the SHA-256 of each table, `affected` names those of files of codes that lost
    # rows, and `lost` counts the rows that went among those without a code.
    sizes, changed = _sizes_without(fetch, before, lost)
    stay = {name: before[name] for name in before if name not in {*affected, *changed}}
    unused = set() if patients else {"patient"}
    unused |= set() if _has_volumes(manifest) else {"depth"}
    schema = manifest_schema((), unused)
    with fetch(ROWS) as path:
        if require("pyarrow.parquet", extra="tables").read_schema(path).names != schema.names:
            stay = {}  # the last patient went, and with them a column of each table
    digests = {ROWS: write_table(sink, ROWS, schema, _manifest(manifest, schema.names))}
    for name, group in grouped(_of_tables(manifest, sizes, stay)):
        first = group[0][1]
        held = (first.image_file.endswith(".png"), first.code_file != "", patients)
        columns = data_schema(held, None, ())
        if columns is not None:
            content = data_of(fetch, group, columns, None, None)
            digests[name] = write_table(sink, name, columns, content)
    return digests | {name: digest for name, digest in stay.items() if name.startswith(DATA)}


def _sizes_without(
    fetch: Fetch, before: Iterable[str], lost: Iterable[int]
) -> tuple[dict[str, int], set[str]]:
    """Return how many rows stay in each table of rows without codes, and which tables lose some."""
    parquet = require("pyarrow.parquet", extra="tables")
    sizes: dict[str, int] = {}
    for name in sorted(name for name in before if name.startswith(f"{DATA}rows-")):
        with fetch(name) as path:
            sizes[name] = parquet.read_metadata(path).num_rows
    names, ends = list(sizes), list(accumulate(sizes.values()))
    went = [names[bisect_right(ends, place)] for place in lost] if names else []
    for name in went:
        sizes[name] -= 1
    return sizes, set(went)


def _of_tables(
    manifest: Path, sizes: Mapping[str, int], stay: Container[str]
) -> Iterator[tuple[str, int, Record]]:
    """Yield the rows of the tables that do not stay, each with the name of its table."""
    arrow = require("pyarrow", extra="tables")
    plain = iter([name for name, size in sizes.items() for _ in range(size)])
    for batch in _manifest(manifest, Record.public_columns()):
        states, files = (batch.column(name).to_pylist() for name in ("status", "code_file"))
        tables = [
            "" if state != "done" else table_of(file) if file else next(plain, "")
            for state, file in zip(states, files, strict=True)
        ]
        chosen = [place for place, name in enumerate(tables) if name and name not in stay]
        rows = batch.take(column_of(chosen, arrow.int64())).to_pylist()
        for place, row in zip(chosen, rows, strict=True):
            yield tables[place], 0, Record(**row)


def _has_volumes(manifest: Path) -> bool:
    """Return whether a row of the manifest is of a volume."""
    compute = require("pyarrow.compute", extra="tables")
    return any(compute.max(each.column(0)).as_py() for each in _manifest(manifest, ["depth"]))


def _manifest(path: Path, wanted: Sequence[str]) -> Iterator[Any]:
    """Yield columns of manifest.csv in batches, as `_rows` has them."""
    arrow, csv = (require(f"pyarrow{part}", extra="tables") for part in ("", ".csv"))
    with path.open("rb") as file:
        header = cells_of(next(raw_rows(file), b""))
    schema = manifest_schema((), ())
    schema = arrow.schema([schema.field(name) for name in wanted if name in header])
    if not schema.names:
        return
    reader = csv.open_csv(
        path,
        csv.ReadOptions(use_threads=False),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(column_types=schema, include_columns=schema.names),
    )
    waiting = arrow.Table.from_batches([], schema=schema)
    for block in reader:
        waiting = arrow.concat_tables(
            [waiting, arrow.table([_restored(each) for each in block.columns], schema=schema)]
        )
        while len(waiting) >= ROWS_AT_ONCE:
            yield waiting.slice(0, ROWS_AT_ONCE).combine_chunks().to_batches()[0]
            waiting = waiting.slice(ROWS_AT_ONCE)
    yield from waiting.combine_chunks().to_batches()


def _restored(column: Any) -> Any:
    """Return the cells of a column as they were before `TableWriter` wrote them."""
    arrow, compute = (require(f"pyarrow{part}", extra="tables") for part in ("", ".compute"))
    if not arrow.types.is_string(column.type):
        return column
    if not compute.any(compute.match_substring(column, "'")).as_py():
        return column
    return column_of(list(map(from_cell, column.to_pylist())), column.type)
