"""A release as Parquet: manifest.parquet, and in data/ its images, codes and labels row by row.

Tools that know nothing of deepfixcx read these: pandas, polars, Arrow, Hugging Face datasets. IDs
are text, a code is a flat list in C order, an image is its PNG file. The same release gives the
same bytes with the same version of pyarrow, which dataset.json states.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import fields
from functools import cache
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.errors import ReleaseError
from deepfixcx.io.release_files import DATA, ROWS
from deepfixcx.release.ledger import Record
from deepfixcx.release.places import Place

__all__ = [
    "ROWS_AT_ONCE",
    "Fetch",
    "Hashing",
    "Labels",
    "Sink",
    "column_of",
    "data_of",
    "data_schema",
    "grouped",
    "has_parquet",
    "manifest_schema",
    "table_faults",
    "table_of",
    "unused_columns",
    "write_table",
    "write_tables",
]

ROWS_AT_ONCE = 4096
IMAGES_AT_ONCE = 1024
CODE_BYTES = 1 << 23
"""Rows of a group of a table: so many rows of the manifest, images of a file, bytes of codes."""

Fetch = Callable[[str], AbstractContextManager[Path]]
"""Makes a file of the release readable on this machine."""


class Sink(Protocol):
    """Where files of a release are written."""

    def put(self, name: str, content: bytes) -> str:
        """Write a file, and return its SHA-256."""

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file that is written bit by bit."""


Labels = tuple[Sequence[str], NDArray[np.float32]]
"""Names (L), and values (M, L) in the order of the manifest: 1, 0, or NaN where unknown."""


def has_parquet() -> bool:
    """Return whether Parquet can be written here."""
    return importlib.util.find_spec("pyarrow") is not None


def write_tables(
    fetch: Fetch,
    sink: Sink,
    records: Callable[[], Iterable[Record]],
    labels: Labels | None = None,
    vectors: NDArray[np.float32] | None = None,
) -> dict[str, str]:
    """Write manifest.parquet and the tables of data/; return the SHA-256 of each."""
    names = () if labels is None else tuple(labels[0])
    unused = unused_columns(records())
    schema = manifest_schema(names, unused)
    digests = {ROWS: write_table(sink, ROWS, schema, _rows(records(), labels, schema))}
    done = enumerate(each for each in records() if each.status == "done")
    for name, group in grouped(_in_tables(done)):
        first = group[0][1]
        held = (first.image_file.endswith(".png"), first.code_file != "", "patient" not in unused)
        columns = data_schema(held, vectors, names)
        if columns is not None:
            content = data_of(fetch, group, columns, labels, vectors)
            digests[name] = write_table(sink, name, columns, content)
    return digests


def _of_row(row: Mapping[str, str]) -> Record:
    """Return a row of manifest.csv, with the types of its columns."""
    given: dict[str, Any] = {
        name: cell if _KINDS[name] is str else _KINDS[name](cell or 0)
        for name, cell in row.items()
        if name in _KINDS
    }
    return Record(**given)


def table_faults(
    place: Place, name: str, rows: Sequence[Mapping[str, str]], labels: Labels | None
) -> str:
    """Say how a sound table differs from the manifest and the files that it repeats."""
    arrow = require("pyarrow", extra="tables")
    parquet = require("pyarrow.parquet", extra="tables")
    with place.fetched(name) as path:
        if name == ROWS:
            names = () if labels is None else tuple(labels[0])
            schema = manifest_schema(names, unused_columns(map(_of_row, rows)))
            made = arrow.Table.from_batches([*_rows(map(_of_row, rows), labels, schema)], schema)
            same = parquet.read_table(path).equals(made)
            return "" if same else f"{name} differs from manifest.csv"
        table = parquet.read_table(path)
    by_key = {(row["source_id"], int(row["frame"])): row for row in rows}
    keys = zip(*(table.column(each).to_pylist() for each in ("source_id", "frame")), strict=True)
    chosen = [by_key.get(key) for key in keys]
    members = [row for row in chosen if row is not None]
    if len(members) < len(chosen):
        return f"{name} has rows that manifest.csv does not have"
    if "patient" in table.column_names:
        patients = table.column("patient").to_pylist()
        if patients != [row.get("patient", "") for row in members]:
            return f"{name} has other patients than manifest.csv"
    if "image" in table.column_names:
        images = (each["bytes"] for each in table.column("image").to_pylist())
        digests = [hashlib.sha256(content).hexdigest() for content in images]
        if digests != [row["image_sha256"] for row in members]:
            return f"{name} has other images than the release"
    if "code" in table.column_names:
        codes = _codes_of(place, [(row["code_file"], int(row["code_row"])) for row in members])
        stored = table.column("code").combine_chunks().values.to_numpy(zero_copy_only=False)
        if not np.array_equal(stored, codes):
            return f"{name} has other codes than the release"
    return ""


_KINDS: Mapping[str, type] = {
    each.name: {"str": str, "int": int, "float": float}[str(each.type)] for each in fields(Record)
}


def unused_columns(records: Iterable[Record]) -> set[str]:
    """Return the columns of the manifest that a release does not have."""
    unused = {"patient", "depth"}
    for record in records:
        unused -= {name for name in unused if getattr(record, name)}
        if not unused:
            break
    return unused


def manifest_schema(labels: Sequence[str], unused: Container[str]) -> Any:
    """Return the columns of the manifest: text, whole numbers and shares; labels as 1, 0, null."""
    arrow = require("pyarrow", extra="tables")
    types = {"str": arrow.string(), "int": arrow.int64(), "float": arrow.float64()}
    public = Record.public_columns()
    columns = [(each.name, types[str(each.type)]) for each in fields(Record)
               if each.name in public and each.name not in unused]  # fmt: skip
    return arrow.schema(columns + [(_label(name), arrow.int8()) for name in labels])


def _label(name: str) -> str:
    return f"label_{name}"


def data_schema(
    held: tuple[bool, bool, bool], vectors: NDArray[np.float32] | None, labels: Sequence[str]
) -> Any:
    """Return the columns of a table of data/, with their features for Hugging Face datasets.

    `held` says whether there are images, codes and patients.
    """
    images, codes, patients = held
    if not images and not codes and vectors is None:
        return None
    arrow = require("pyarrow", extra="tables")
    numbers = arrow.list_(arrow.float32())
    columns = [("source_id", arrow.string()), ("frame", arrow.int64())]
    columns += [("patient", arrow.string())] * patients
    columns += [(name, arrow.int64()) for name in ("channels", "height", "width", "bits")]
    features: dict[str, Any] = {
        name: {"dtype": str(kind), "_type": "Value"} for name, kind in columns
    }
    if images:
        picture = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
        columns.append(("image", picture))
        features["image"] = {"_type": "Image"}
    if codes or vectors is not None:
        name = "code" if codes else "record"
        columns.append((name, numbers))
        features[name] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"}
    for label in labels:
        columns.append((_label(label), arrow.int8()))
        features[_label(label)] = {"dtype": "int8", "_type": "Value"}
    about = json.dumps({"info": {"features": features}}, sort_keys=True)
    return arrow.schema(columns, metadata={"huggingface": about})


def _rows(records: Iterable[Record], labels: Labels | None, schema: Any) -> Iterator[Any]:
    """Yield the manifest in batches."""
    arrow = require("pyarrow", extra="tables")
    columns, start = [name for name in Record.public_columns() if name in schema.names], 0
    for some in _chunks(records, ROWS_AT_ONCE):
        values = [list(map(attrgetter(name), some)) for name in columns]
        values += _labels_of(labels, range(start, start + len(some)))
        start += len(some)
        arrays = list(map(column_of, values, schema.types))
        yield arrow.record_batch(arrays, schema=schema)


def _labels_of(labels: Labels | None, places: Iterable[int]) -> list[list[int | None]]:
    """Return one list for each label."""
    if labels is None:
        return []
    chosen = labels[1][list(places)]
    return [[None if value != value else int(value) for value in column]
            for column in chosen.T.tolist()]  # fmt: skip


Group = list[tuple[int, Record]]
"""Rows of one table, each with its place among the rows that are done."""


def _in_tables(numbered: Iterable[tuple[int, Record]]) -> Iterator[tuple[str, int, Record]]:
    """Yield each row with the name of its table: one for a file of codes, else one for many."""
    count = 0
    for place, record in numbered:
        if record.code_file:
            yield table_of(record.code_file), place, record
        else:
            yield f"{DATA}rows-{count // IMAGES_AT_ONCE:05d}.parquet", place, record
            count += 1


@cache
def table_of(file_of_codes: str) -> str:
    """Return the name of the table in data/ that repeats a file of codes."""
    return f"{DATA}{PurePosixPath(file_of_codes).stem}.parquet"


def grouped(rows: Iterable[tuple[str, int, Record]]) -> Iterator[tuple[str, Group]]:
    """Yield the name and the rows of each table; tables of one shard may have mixed rows."""
    for _, shard in groupby(
        rows, lambda row: row[0].rpartition("-")[0] if row[2].code_file else row[0]
    ):
        tables: dict[str, Group] = {}
        for name, place, record in shard:
            tables.setdefault(name, []).append((place, record))
        yield from sorted(tables.items())


def data_of(
    fetch: Fetch,
    group: Group,
    schema: Any,
    labels: Labels | None,
    vectors: NDArray[np.float32] | None,
) -> Iterator[Any]:
    """Yield the rows of one table of data/ in batches of bounded size."""
    arrow = require("pyarrow", extra="tables")
    code = None
    if "code" in schema.names:
        with fetch(group[0][1].code_file) as path:
            code = Code.load(path)
    widest = 0 if code is None else code.array[0].nbytes
    for some in _chunks(group, max(1, min(IMAGES_AT_ONCE, CODE_BYTES // max(1, widest)))):
        places, records = zip(*some, strict=True)
        columns = {name: list(map(attrgetter(name), records))
                   for name in schema.names if name in Record.public_columns()}  # fmt: skip
        arrays = {name: column_of(values, schema.field(name).type)
                  for name, values in columns.items()}  # fmt: skip
        if "image" in schema.names:
            files = [_image(fetch, record.image_file) for record in records]
            kinds = {"bytes": arrow.binary(), "path": arrow.string()}
            parts = [column_of([file[part] for file in files], kinds[part]) for part in kinds]
            arrays["image"] = arrow.StructArray.from_arrays(parts, list(kinds))
        if code is not None:
            chosen = code.array[[record.code_row for record in records]]
            arrays["code"] = _listed(chosen.reshape(len(records), -1))
        elif vectors is not None:
            arrays["record"] = _listed(vectors[list(places)])
        names = () if labels is None else labels[0]
        for name, values in zip(names, _labels_of(labels, places), strict=True):
            arrays[_label(name)] = column_of(values, arrow.int8())
        yield arrow.record_batch([arrays[name] for name in schema.names], schema=schema)


def _image(fetch: Fetch, name: str) -> dict[str, bytes | str]:
    with fetch(name) as path:
        return {"bytes": path.read_bytes(), "path": name}


def _listed(array: NDArray[np.float32]) -> Any:
    """Return rows (N, K) as a column of lists."""
    arrow = require("pyarrow", extra="tables")
    offsets = np.arange(len(array) + 1, dtype=np.int32) * np.int32(array.shape[1])
    values = np.ascontiguousarray(array, np.float32).reshape(-1)
    starts, numbers = column_of(offsets, arrow.int32()), column_of(values, arrow.float32())
    return arrow.ListArray.from_arrays(starts, numbers)


def column_of(values: Sequence[Any] | NDArray[Any], kind: Any) -> Any:
    """Return values as a column, None as null; `pyarrow.array` would load pandas, 50 MB."""
    arrow = require("pyarrow", extra="tables")
    if arrow.types.is_string(kind) or arrow.types.is_binary(kind):
        parts = [each.encode() if isinstance(each, str) else each for each in values]
        ends = np.cumsum([0, *map(len, parts)])
        if ends[-1] > np.iinfo(np.int32).max:
            raise ReleaseError("images of one table have more than 2 GB; use --no-tables")
        held = [ends.astype(np.int32), b"".join(parts)]
        buffers = [None, *map(arrow.py_buffer, held)]
        return arrow.Array.from_buffers(kind, len(parts), buffers)
    dtype = f"{'f' if arrow.types.is_floating(kind) else 'i'}{kind.bit_width // 8}"
    known = None
    if not isinstance(values, np.ndarray) and None in values:
        known = arrow.py_buffer(np.packbits([v is not None for v in values], bitorder="little"))
        values = [value or 0 for value in values]
    numbers = arrow.py_buffer(np.ascontiguousarray(values, dtype))
    return arrow.Array.from_buffers(kind, len(values), [known, numbers])


def _codes_of(place: Place, places: Sequence[tuple[str, int]]) -> NDArray[np.float32]:
    """Return the codes of some rows one after the other, as one flat array."""
    loaded: dict[str, Code] = {}
    for name, _ in places:
        if name not in loaded:
            with place.fetched(name) as path:
                loaded[name] = Code.load(path)
    flat = [loaded[name].array[row].reshape(-1) for name, row in places]
    return np.concatenate(flat) if flat else np.zeros(0, np.float32)


def _chunks(some: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    several = iter(some)
    while chunk := tuple(islice(several, size)):
        yield chunk


def write_table(sink: Sink, name: str, schema: Any, batches: Iterable[Any]) -> str:
    """Write a table batch by batch; return its SHA-256."""
    arrow = require("pyarrow", extra="tables")
    parquet = require("pyarrow.parquet", extra="tables")
    numbers = [name for name in ("code", "record") if name in schema.names]
    texts = [each.name for each in schema if arrow.types.is_string(each.type)]
    with sink.writing(name) as file:
        hashing = Hashing(file)
        with closing(
            parquet.ParquetWriter(
                hashing,
                schema,
                compression="zstd",
                use_dictionary=texts,
                use_byte_stream_split=[f"{each}.list.element" for each in numbers],
            )
        ) as writer:
            for batch in batches:
                writer.write_batch(batch)
    return hashing.content.hexdigest()


class Hashing:
    """A file that hashes what is written to it."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.content, self._at = file, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        """Write bytes, or text as UTF-8."""
        block = data.encode() if isinstance(data, str) else bytes(data)
        self.content.update(block)
        self._at += len(block)
        return self._file.write(block)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._at

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    def close(self) -> None:
        """Leave the file open for its owner."""
