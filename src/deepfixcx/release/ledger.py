"""The ledger of a release: complete shards, the result of each file, and checksums of inputs.

One SQLite file in the private folder, written by the parent process alone. A shard is recorded in
one transaction after its results are on disk, so whatever the ledger says is true after a crash.
The work on a file is known by two things: the hash of its bytes (table ``sources``) and the
options of the release, spec among them (table ``identity``). Journal and not WAL, because WAL
does not work on the network file systems of clusters.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from types import TracebackType

from deepfixcx.errors import OverwriteError, ReleaseError, ReleaseStoppedError
from deepfixcx.io.files import write_file

__all__ = [
    "LEDGER",
    "FileDone",
    "Ledger",
    "Record",
    "ShardResult",
    "SourceSeen",
    "id_from",
    "is_ledger",
    "read_id",
    "writing_ledger",
]

LEDGER = "ledger.sqlite"
"""Name of the file in the private folder."""


@dataclass(frozen=True)  # without slots, which make pickling slow
class Record:
    """One row of the manifest: one frame of one input, or one input that failed."""

    source_id: str
    frame: int = 0
    status: str = "done"
    image_file: str = ""
    dicom_file: str = ""
    code_file: str = ""
    code_row: int = -1
    channels: int = 0
    height: int = 0
    width: int = 0
    bits: int = 0
    image_dtype: str = ""
    code_dtype: str = ""
    spec: str = ""
    image_sha256: str = ""
    dicom_sha256: str = ""
    code_sha256: str = ""
    masked: int = 0
    masked_share: float = 0.0
    notes: str = ""
    error: str = ""
    reason: str = ""
    patient: str = ""  # a pseudonym
    depth: int = 0  # slices of a volume; 0 for an image

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the columns, in order."""
        return [each.name for each in fields(cls)]

    @classmethod
    def public_columns(cls) -> list[str]:
        """Names of the columns of the manifest, in order."""
        return [name for name in cls.columns() if name != "notes"]

    def files(self) -> list[str]:
        """Names of the files that hold its results."""
        return [name for name in (self.image_file, self.dicom_file, self.code_file) if name]


@dataclass(frozen=True)  # without slots, which make pickling slow
class FileDone:
    """What became of one input, for the progress."""

    failed: bool
    images: int = 0
    bytes_in: int = 0
    bytes_kept: int = 0


@dataclass(frozen=True)  # without slots, which make pickling slow
class SourceSeen:
    """Which bytes an input held when it was worked; for the private ledger alone."""

    source_id: str
    stamp: str
    content: str
    instance: str = field(default="", repr=False)  # SOP Instance UID; the ledger has its mark


@dataclass(frozen=True)  # without slots, which make pickling slow
class ShardResult:
    """What a worker returns of one shard: rows of the manifest, and what it read."""

    records: list[Record]
    sources: list[SourceSeen]


SCHEMA_VERSION = 7
ADDED = {
    4: "ALTER TABLE records ADD COLUMN patient NOT NULL DEFAULT '';",
    5: "ALTER TABLE records ADD COLUMN depth NOT NULL DEFAULT 0;",
    6: "ALTER TABLE sources ADD COLUMN instance TEXT NOT NULL DEFAULT '';",
}
"""What each version of the schema adds to the one before."""

TABLES = ("identity", "notes", "shards", "records", "sources", "deaths")
COLUMNS = Record.columns()
SCHEMA = f"""
CREATE TABLE identity (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE shards (number INTEGER PRIMARY KEY, files INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE records (shard INTEGER NOT NULL, place INTEGER NOT NULL,
    {", ".join(COLUMNS)}, PRIMARY KEY (shard, place)) WITHOUT ROWID;
CREATE INDEX images ON records (image_file) WHERE image_file != '';
CREATE INDEX dicoms ON records (dicom_file) WHERE dicom_file != '';
CREATE INDEX codes ON records (code_file) WHERE code_file != '';
CREATE TABLE sources (shard INTEGER NOT NULL, place INTEGER NOT NULL, source_id TEXT NOT NULL,
    stamp TEXT NOT NULL, content TEXT NOT NULL, instance TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (shard, place)) WITHOUT ROWID;
CREATE TABLE deaths (source_id TEXT PRIMARY KEY, stamp TEXT NOT NULL, count INTEGER NOT NULL);
PRAGMA user_version = {SCHEMA_VERSION};
"""

_VALUES = attrgetter(*COLUMNS)


class Ledger:
    """The ledger of one release."""

    def __init__(self, path: Path) -> None:
        self._key = b""
        with writing_ledger():
            try:
                with suppress(OverwriteError):  # it is there
                    write_file(path, b"", mode=0o600)  # it may hold names of files
                self.database = sqlite3.connect(path)
                self.database.execute("PRAGMA synchronous = FULL")
                (version,) = self.database.execute("PRAGMA user_version").fetchone()
                (tables,) = self.database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                if not tables:
                    self.database.executescript(f"BEGIN; {SCHEMA} COMMIT;")
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                raise ReleaseError(
                    f"{path.name} is damaged; start again with --overwrite"
                ) from None
        if tables and version in ADDED:
            steps = " ".join(text for since, text in ADDED.items() if since >= version)
            steps += f" PRAGMA user_version = {SCHEMA_VERSION};"
            with writing_ledger():
                self.database.executescript(f"BEGIN; {steps} COMMIT;")
        elif tables and version != SCHEMA_VERSION:
            raise ReleaseError(
                f"{path.name} was written by another version of deepfixcx; finish the release "
                f"with that one, or start again with --overwrite"
            )

    def __enter__(self) -> Ledger:
        """Return the ledger itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.database.close()

    def id(self) -> str:
        """Return the random id of this release, which stands in ``dataset.json``, too."""
        return id_from(self.secret())

    def listed(self, shard: int | None = None) -> Iterator[dict[str, set[str]]]:
        """Yield the results of each frame, and the hash of each file."""
        for row in self.records(shard):
            found = {row.image_file: {row.image_sha256}, row.dicom_file: {row.dicom_sha256}}
            found[row.code_file] = {row.code_sha256}
            found.pop("", None)
            yield found

    def identity(self) -> dict[str, str]:
        """Return what the release is begun with; empty for a new ledger."""
        return dict(self.database.execute("SELECT name, value FROM identity"))

    def begin(self, identity: dict[str, str], files: Sequence[int]) -> None:
        """Write down what the release is begun with, and the files of each shard."""
        with writing_ledger(), self.database as transaction:
            transaction.executemany("INSERT INTO identity VALUES (?, ?)", identity.items())
            transaction.executemany(
                "INSERT INTO shards (number, files) VALUES (?, ?)", enumerate(files)
            )

    def secret(self) -> str:
        """Return the secret of this release, 256 bits in hexadecimal digits, drawn once."""
        with writing_ledger(), self.database as transaction:
            transaction.execute(
                "INSERT OR IGNORE INTO notes VALUES ('secret', ?)", (secrets.token_hex(32),)
            )
        query = "SELECT value FROM notes WHERE name = 'secret'"
        return str(self.database.execute(query).fetchone()[0])

    def mark(self, kind: str, value: str) -> str:
        """Return a keyed mark of a value: only who has the value can recognise it here."""
        message = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        if not self._key:
            self._key = bytes.fromhex(self.secret())
        return hmac.digest(self._key, message, "sha256").hex()

    def _instance(self, seen: SourceSeen) -> str:
        return self.mark("instance", seen.instance) if seen.instance else ""

    def note(self, **notes: str) -> None:
        """Write down, or replace, something about the run that decides no byte."""
        with writing_ledger(), self.database as transaction:
            transaction.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", notes.items())

    def noted(self, name: str) -> str:
        """Return a note; empty where there is none."""
        query = "SELECT value FROM notes WHERE name = ?"
        row = self.database.execute(query, (name,)).fetchone()
        return str(row[0]) if row else ""

    def complete_shards(self) -> set[int]:
        """Return the numbers of the shards that need not be worked again."""
        query = "SELECT number FROM shards WHERE state = 'complete'"
        return {number for (number,) in self.database.execute(query)}

    def attempt(self, shard: int) -> None:
        """Write down that a worker begins a shard."""
        with writing_ledger(), self.database as transaction:
            transaction.execute(
                "UPDATE shards SET attempts = attempts + 1 WHERE number = ?", (shard,)
            )

    def complete(self, shard: int, result: ShardResult) -> None:
        """Record a shard whose results are on disk."""
        marks = ", ".join("?" * (2 + len(COLUMNS)))
        records = [(shard, place, *_VALUES(row)) for place, row in enumerate(result.records)]
        sources = [
            (shard, place, seen.source_id, seen.stamp, seen.content, self._instance(seen))
            for place, seen in enumerate(result.sources)
        ]
        with writing_ledger(), self.database as transaction:
            transaction.execute("UPDATE shards SET state = 'complete' WHERE number = ?", (shard,))
            transaction.executemany(f"INSERT INTO records VALUES ({marks})", records)
            transaction.executemany("INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?)", sources)

    def reopen(self, shard: int) -> None:
        """Forget what became of a shard, so that it is worked again."""
        with writing_ledger(), self.database as transaction:
            transaction.execute("UPDATE shards SET state = 'pending' WHERE number = ?", (shard,))
            for table in ("records", "sources"):
                transaction.execute(f"DELETE FROM {table} WHERE shard = ?", (shard,))

    def records(self, shard: int | None = None, having: str = "") -> Iterator[Record]:
        """Yield all records in release order, those of a shard, or those with text in a column."""
        chosen = f"WHERE {having} != ''" if having else "" if shard is None else "WHERE shard = ?"
        query = f"SELECT {', '.join(COLUMNS)} FROM records {chosen} ORDER BY shard, place"
        with closing(self.database.execute(query, () if shard is None else (shard,))) as rows:
            for row in rows:
                yield Record(*row)

    def name_patients(self, shard: int, patient_of: Callable[[str], str]) -> None:
        """Write the pseudonym of its patient into each record of a shard that has none."""
        query = "SELECT place, source_id FROM records WHERE shard = ? AND patient = '' ORDER BY 1"
        rows = self.database.execute(f"{query}", (shard,)).fetchall()
        named = [(patient_of(source_id), shard, place) for place, source_id in rows]
        with writing_ledger(), self.database as transaction:
            transaction.executemany(
                "UPDATE records SET patient = ? WHERE shard = ? AND place = ?", named
            )

    def patients(self) -> int:
        """Return how many patients the records name."""
        query = "SELECT count(DISTINCT patient) FROM records WHERE patient != ''"
        return int(self.database.execute(query).fetchone()[0])

    def duplicates(self, column: str = "content") -> tuple[tuple[str, ...], ...]:
        """Return the IDs of privatized inputs with the same bytes, over all deliveries.

        With ``column="instance"``: with the same SOP Instance UID, and not all the same bytes.
        """
        groups: dict[str, dict[str, str]] = {}
        for value, source_id, content in self.database.execute(
            f"SELECT {column}, source_id, content FROM sources WHERE {column} IN (SELECT {column} "
            f"FROM sources WHERE {column} != '' GROUP BY {column} HAVING count(*) > 1) AND "
            "source_id NOT IN (SELECT source_id FROM records WHERE error != '') ORDER BY shard, "
            "place"
        ):
            groups.setdefault(value, {})[source_id] = content
        found = [ids for ids in groups.values() if len(ids) > 1]
        if column == "instance":
            found = [ids for ids in found if len({*ids.values()}) > 1]
        return tuple(map(tuple, found))

    def names(self, file: str) -> bool:
        """Return whether a record names this file of the release."""
        query = " UNION ALL ".join(
            f"SELECT 1 FROM records WHERE {column} = ?1 AND {column} != ''"
            for column in ("image_file", "dicom_file", "code_file")
        )
        return self.database.execute(f"{query} LIMIT 1", (file,)).fetchone() is not None

    def sources(self, shard: int) -> list[SourceSeen]:
        """Return which bytes the inputs of a complete shard held."""
        query = "SELECT source_id, stamp, content FROM sources WHERE shard = ? ORDER BY place"
        return [SourceSeen(*row) for row in self.database.execute(query, (shard,))]

    def restamp(self, shard: int, seen: Iterable[SourceSeen]) -> None:
        """Write down new stamps of inputs that hold the same bytes as before."""
        rows = [(source.stamp, shard, source.source_id) for source in seen]
        with writing_ledger(), self.database as transaction:
            transaction.executemany(
                "UPDATE sources SET stamp = ? WHERE shard = ? AND source_id = ?", rows
            )

    def deaths(self) -> dict[str, tuple[str, int]]:
        """Return the stamp of each file that killed workers, and how many."""
        query = "SELECT source_id, stamp, count FROM deaths"
        return {name: (stamp, count) for name, stamp, count in self.database.execute(query)}

    def died(self, source_id: str, stamp: str, count: int) -> None:
        """Write down how many workers a file has killed."""
        with writing_ledger(), self.database as transaction:
            row = (source_id, stamp, count)
            transaction.execute("INSERT OR REPLACE INTO deaths VALUES (?, ?, ?)", row)

    def forgive(self, source_id: str) -> None:
        """Forget the workers that a file has killed, because it is another file now."""
        with writing_ledger(), self.database as transaction:
            transaction.execute("DELETE FROM deaths WHERE source_id = ?", (source_id,))


def id_from(secret: str) -> str:
    """Return the id of a release: it depends on its secret alone, on no image."""
    return hashlib.sha256(f"deepfixcx release {secret}".encode()).hexdigest()[:32]


def read_id(path: Path) -> str:
    """Return the id of the release of a ledger of any version; empty where it has none."""
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as database,
    ):
        for (secret,) in database.execute("SELECT value FROM notes WHERE name = 'secret'"):
            return id_from(str(secret))
    return ""


def is_ledger(path: Path) -> bool:
    """Return whether a file is a ledger; change nothing."""
    if not path.is_file() or path.is_symlink():
        return False
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as database,
    ):
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
        return tables >= set(TABLES)
    return False


@contextmanager
def writing_ledger() -> Iterator[None]:
    """Say how a run goes on where the ledger cannot be written."""
    try:
        yield
    except (sqlite3.OperationalError, OSError):
        raise ReleaseStoppedError(
            "the ledger of the release cannot be written; free disk space or change its "
            "permissions, then run the same command with --resume"
        ) from None
