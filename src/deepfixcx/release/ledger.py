"""The books of a release: which shards are complete, and what became of each file.

One SQLite file in the private folder, written by the parent process alone. A shard is recorded in
one transaction after its results are on disk, so whatever the ledger says is true after a crash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from types import TracebackType

from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.release.shard import Record

__all__ = ["Ledger"]

COLUMNS = Record.columns()
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shards (number INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS records (shard INTEGER NOT NULL, place INTEGER NOT NULL,
    {", ".join(COLUMNS)}, PRIMARY KEY (shard, place));
"""


class Ledger:
    """The ledger of one release.

    Parameters
    ----------
    path : Path
        SQLite file, made where it does not exist.

    Raises
    ------
    ReleaseError
        The file exists and is not a ledger.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.touch(mode=0o600)  # it may hold names of files
            self._database = sqlite3.connect(path)
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(SCHEMA)
        except sqlite3.DatabaseError:
            raise ReleaseError(f"{path.name} is damaged; start again with --overwrite") from None

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
        self._database.close()

    def identity(self) -> dict[str, str]:
        """Return what the release was begun with; empty for a new ledger."""
        return dict(self._database.execute("SELECT name, value FROM identity"))

    def begin(self, identity: dict[str, str]) -> None:
        """Write down what the release is begun with."""
        with self._database as transaction:
            transaction.executemany("INSERT INTO identity VALUES (?, ?)", identity.items())

    def complete_shards(self) -> set[int]:
        """Return the numbers of the shards that need not be worked again."""
        return {number for (number,) in self._database.execute("SELECT number FROM shards")}

    def complete(self, shard: int, records: Iterable[Record]) -> None:
        """Record a shard whose results are on disk.

        Raises
        ------
        ReleaseStoppedError
            The ledger cannot be written, because the disk is full, say.
        """
        marks = ", ".join("?" * (2 + len(COLUMNS)))
        rows = [(shard, place, *astuple(record)) for place, record in enumerate(records)]
        try:
            with self._database as transaction:
                transaction.execute("INSERT INTO shards VALUES (?)", (shard,))
                transaction.executemany(f"INSERT INTO records VALUES ({marks})", rows)
        except sqlite3.OperationalError:
            raise ReleaseStoppedError(
                "the ledger of the release cannot be written; make room or change its "
                "permissions, then run the same command with --resume"
            ) from None

    def reopen(self, shard: int) -> None:
        """Forget a shard, so that it is worked again."""
        with self._database as transaction:
            transaction.execute("DELETE FROM records WHERE shard = ?", (shard,))
            transaction.execute("DELETE FROM shards WHERE number = ?", (shard,))

    def records(self, shard: int | None = None) -> Iterator[Record]:
        """Yield the records of one shard or of all, in release order."""
        chosen = "" if shard is None else "WHERE shard = ?"
        query = f"SELECT {', '.join(COLUMNS)} FROM records {chosen} ORDER BY shard, place"
        with closing(self._database.execute(query, () if shard is None else (shard,))) as rows:
            for row in rows:
                yield Record(*row)
