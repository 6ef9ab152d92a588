"""The ledger of a node: which objects were received, what was made of them, and where it went.

One SQLite file in the folder of the node, in WAL mode, because that folder is always on a local
disk. An object is recorded after its file is on the disk and before it is acknowledged; what was
made of it is recorded after that is on the disk and before the original is removed. So each row is
true after a crash, and what has no row was never acknowledged. Rows hold UIDs of the sources: the
file is as private as the objects.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from deepfixcx.errors import NodeError, OverwriteError
from deepfixcx.io.files import write_file
from deepfixcx.node.records import Commitment, Delivery, Made, Outcome, Waiting

__all__ = ["NodeLedger"]

LEDGER: Final = "node.sqlite"
VERSION: Final = 2
BUSY_S: Final = 60.0
SCHEMA: Final = f"""
CREATE TABLE objects (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, instance TEXT NOT NULL,
    calling TEXT NOT NULL, bytes INTEGER NOT NULL, received REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'received', twin INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0, repeats INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', meaning TEXT NOT NULL DEFAULT '');
CREATE INDEX instances ON objects (instance);
CREATE INDEX states ON objects (state, id);
CREATE TABLE made (id INTEGER PRIMARY KEY, object INTEGER NOT NULL, route TEXT NOT NULL,
    content TEXT NOT NULL, sop_class TEXT NOT NULL, instance TEXT NOT NULL, syntax TEXT NOT NULL,
    study TEXT NOT NULL, series TEXT NOT NULL, bytes INTEGER NOT NULL, received REAL NOT NULL,
    UNIQUE (object, route));
CREATE INDEX contents ON made (content);
CREATE INDEX studies ON made (study, received);
CREATE TABLE deliveries (id INTEGER PRIMARY KEY, made INTEGER NOT NULL, destination TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', refused INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', changed REAL NOT NULL, UNIQUE (made, destination));
CREATE INDEX queues ON deliveries (destination, state, id);
CREATE TABLE commitments (id INTEGER PRIMARY KEY, calling TEXT NOT NULL, uid TEXT NOT NULL,
    items TEXT NOT NULL, asked REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
PRAGMA user_version = {VERSION};
"""
FROM_1: Final = f"""
ALTER TABLE objects ADD COLUMN meaning TEXT NOT NULL DEFAULT '';
PRAGMA user_version = {VERSION};
"""
OPEN: Final = "state != 'sent'"
"""Deliveries that have an index of their own, so that they are found among many that were sent;
SQLite uses it for queries with exactly these words."""

GONE: Final = "forgotten"
"""Counters that begin with it add up rows that were removed: of objects, destinations, routes."""


class NodeLedger:
    """The ledger of one node; each thread has a connection of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self._threads = threading.local()
        try:
            with suppress(OverwriteError):  # it is there
                write_file(self.path, b"", mode=0o600)
            database = self._database()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if not version:
                database.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            if version == 1:
                database.executescript(f"BEGIN IMMEDIATE; {FROM_1} COMMIT;")
            if version <= VERSION:
                database.execute(
                    f"CREATE INDEX IF NOT EXISTS open ON deliveries (state, made) WHERE {OPEN}"
                )
        except (sqlite3.Error, OSError):
            raise NodeError(
                f"the ledger {self.path.name!r} cannot be opened or is damaged; check the disk and "
                "the permissions of the folder of the node"
            ) from None
        if version > VERSION:
            raise NodeError(
                f"{self.path.name!r} was written by another version of deepfixcx; use that one"
            )

    def _database(self, *, durable: bool = True) -> sqlite3.Connection:
        name = "durable" if durable else "quick"
        found: sqlite3.Connection | None = getattr(self._threads, name, None)
        if found is None:
            found = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            found.execute("PRAGMA journal_mode = WAL")
            found.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            setattr(self._threads, name, found)
        return found

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Begin a transaction; what is not durable may be lost with the power, never by a kill."""
        database = self._database(durable=durable)
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

    def close(self) -> None:
        """Close the connections of this thread."""
        for name in ("durable", "quick"):
            if (found := getattr(self._threads, name, None)) is not None:
                found.close()
                delattr(self._threads, name)

    # -- received objects ------------------------------------------------------------------

    def receive(self, content: str, instance: str, calling: str, size: int) -> str:
        """Record an object whose file is on the disk; return new or repeated."""
        with self.writing() as database:
            known = database.execute(
                "SELECT id FROM objects WHERE content = ?", (content,)
            ).fetchone()
            if known is not None:
                query = "UPDATE objects SET repeats = repeats + 1 WHERE id = ?"
                database.execute(query, known)
                return "repeated"
            other = database.execute(
                "SELECT 1 FROM objects WHERE instance = ? LIMIT 1", (instance,)
            ).fetchone()
            database.execute(
                "INSERT INTO objects (content, instance, calling, bytes, received, twin) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (content, instance, calling, size, time.time(), int(other is not None)),
            )
            return "new"

    def waiting(self, after: int, count: int) -> list[Waiting]:
        """Return the next objects that wait for their profile, in order of arrival."""
        query = (
            "SELECT id, content, calling, received FROM objects "
            "WHERE state = 'received' AND id > ? AND (twin = 0 OR NOT EXISTS (SELECT 1 "
            "FROM objects AS other WHERE other.instance = objects.instance "
            "AND other.id < objects.id AND other.state = 'received')) ORDER BY id LIMIT ?"
        )
        return [Waiting(*row) for row in self._database().execute(query, (after, count))]

    def finish(self, done: Sequence[tuple[Waiting, Outcome]]) -> list[str]:
        """Record what became of objects, whose results are on the disk; return the reasons.

        The same object in other bytes, as another program encodes it, has the same meaning: it is a
        repetition. With another meaning it is quarantined.
        """
        now, reasons = time.time(), []
        with self.writing() as database:
            for item, outcome in done:
                reason, repeated = outcome.reason, 0
                query = "SELECT twin FROM objects WHERE id = ?"
                if not reason and database.execute(query, (item.number,)).fetchone()[0]:
                    repeated = int(_is_known(database, item.number, outcome))
                    reason = "" if repeated else CONFLICT
                else:
                    for made in outcome.made:
                        _insert_made(database, item, made, now)
                state = "quarantined" if reason else "done"
                database.execute(
                    "UPDATE objects SET state = ?, reason = ?, repeats = repeats + ?, meaning = ? "
                    "WHERE id = ?",
                    (state, reason, repeated, outcome.meaning, item.number),
                )
                reasons.append(reason)
        return reasons

    def died(self, number: int) -> int:
        """Count a worker that died on an object; return how many have."""
        with self.writing() as database:
            database.execute("UPDATE objects SET deaths = deaths + 1 WHERE id = ?", (number,))
            query = "SELECT deaths FROM objects WHERE id = ?"
            return int(database.execute(query, (number,)).fetchone()[0])

    def held(self, content: str) -> bool:
        """Return whether the original of this content is needed; a finished one is not."""
        query = "SELECT 1 FROM objects WHERE content = ? AND state != 'done'"
        return self._database().execute(query, (content,)).fetchone() is not None

    # -- deliveries ------------------------------------------------------------------------

    def queue(
        self, destination: str, count: int, idle_s: float | None, retry_s: float
    ) -> list[Delivery]:
        """Return the next results for a destination; with `idle_s`, of idle studies alone.

        A study is idle when nothing of it arrived for so long, and all objects are processed that
        arrived until then; objects that arrived later belong to no idle study.
        """
        newer = "" if idle_s is None else IDLE
        order = "deliveries.id" if idle_s is None else "made.study, deliveries.id"
        query = (
            "SELECT deliveries.id, made.id, content, sop_class, instance, syntax, study, series, "
            "refused FROM deliveries JOIN made ON made.id = deliveries.made "
            "WHERE destination = ?1 AND state = 'waiting' "
            "AND (refused = 0 OR changed < ?4 - refused * refused * ?5) "
            f"{newer} ORDER BY {order} LIMIT ?2"
        )
        now = time.time()
        values: tuple[Any, ...] = (destination, count, now - (idle_s or 0.0), now, retry_s)
        if idle_s is not None:
            values += (idle_s,)
        return [Delivery(*row) for row in self._database().execute(query, values)]

    def sent(self, answered: Sequence[tuple[int, str]]) -> list[str]:
        """Record deliveries by number and content; return the contents that are needed no more."""
        with self.writing(durable=False) as database:
            database.executemany(
                "UPDATE deliveries SET state = 'sent', reason = '', changed = ? WHERE id = ? "
                "AND made IN (SELECT id FROM made WHERE content = ?)",
                [(time.time(), *each) for each in answered],
            )
        return [content for _, content in answered if not self.needed(content)]

    def refuse(self, delivery: Delivery, reason: str, *, dead: bool) -> None:
        """Record that a destination refused a result, for now or for good."""
        with self.writing(durable=False) as database:
            database.execute(
                "UPDATE deliveries SET refused = refused + 1, reason = ?, state = ?, changed = ? "
                "WHERE id = ?",
                (reason, "dead" if dead else "waiting", time.time(), delivery.number),
            )

    def give_up(self, destination: str, before: float, reason: str) -> int:
        """Make dead letters of results that have waited since before a time."""
        late = "WHERE destination = ? AND state = 'waiting' AND changed < ?"
        if not self.rows(f"SELECT 1 FROM deliveries {late} LIMIT 1", destination, before):
            return 0
        with self.writing() as database:
            done = database.execute(
                f"UPDATE deliveries SET state = 'dead', reason = ? {late}",
                (reason, destination, before),
            )
            return done.rowcount

    def needed(self, content: str) -> bool:
        """Return whether a delivery needs the result of this content."""
        query = (
            "SELECT 1 FROM made JOIN deliveries ON deliveries.made = made.id "
            "WHERE made.content = ? AND deliveries.state != 'sent' LIMIT 1"
        )
        return self._database().execute(query, (content,)).fetchone() is not None

    def retry(self) -> tuple[int, int]:
        """Put quarantined objects and dead letters back into their queues; return how many."""
        with self.writing() as database:
            objects = database.execute(
                "UPDATE objects SET state = 'received', deaths = 0, twin = 0, reason = '' "
                "WHERE state = 'quarantined'"
            ).rowcount
            letters = database.execute(
                "UPDATE deliveries SET state = 'waiting', refused = 0, changed = ? "
                "WHERE state = 'dead'",
                (time.time(),),
            ).rowcount
            return objects, letters

    # -- storage commitment ----------------------------------------------------------------

    def ask(self, calling: str, uid: str, items: Iterable[tuple[str, str]]) -> None:
        """Record a request for storage commitment."""
        with self.writing() as database:
            database.execute(
                "INSERT INTO commitments (calling, uid, items, asked) VALUES (?, ?, ?, ?)",
                (calling, uid, json.dumps(list(items)), time.time()),
            )

    def asked(self, most: int) -> list[Commitment]:
        """Return requests for storage commitment that were tried less than `most` times."""
        query = "SELECT id, calling, uid, items, attempts FROM commitments WHERE attempts < ?"
        return [
            Commitment(row[0], row[1], row[2], [(a, b) for a, b in json.loads(row[3])], row[4])
            for row in self._database().execute(query, (most,))
        ]

    def committed(self, instance: str) -> bool:
        """Return whether an object is on the disk or delivered, and not withheld."""
        query = (
            "SELECT 1 FROM objects WHERE instance = ? AND state != 'quarantined' AND NOT EXISTS ("
            "SELECT 1 FROM made JOIN deliveries ON deliveries.made = made.id "
            "WHERE made.object = objects.id AND deliveries.state = 'dead')"
        )
        return self._database().execute(query, (instance,)).fetchone() is not None

    def answered(self, commitment: Commitment, *, done: bool) -> None:
        """Record that a request was answered, or tried once more."""
        change = (
            "DELETE FROM commitments" if done else "UPDATE commitments SET attempts = attempts + 1"
        )
        with self.writing() as database:
            database.execute(f"{change} WHERE id = ?", (commitment.number,))

    # -- counts ----------------------------------------------------------------------------

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter that outlasts the process."""
        with self.writing(durable=False) as database:
            database.execute(COUNT, (name, by))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query that changes nothing."""
        return self._database().execute(query, values).fetchall()


COUNT: Final = (
    "INSERT INTO counters VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2"
)
IDLE: Final = (
    "AND NOT EXISTS (SELECT 1 FROM made AS other WHERE other.study = made.study "
    "AND other.received > ?3) AND NOT EXISTS (SELECT 1 FROM objects "
    "WHERE objects.state = 'received' AND objects.received <= ?6 + (SELECT "
    "max(other.received) FROM made AS other WHERE other.study = made.study))"
)
CONFLICT: Final = (
    "another object with this SOP Instance UID and other content was received before; compare "
    "both at the source"
)


def _is_known(database: sqlite3.Connection, number: int, outcome: Outcome) -> bool:
    """Return whether an earlier object with this SOP Instance UID has the same meaning."""
    query = (
        "SELECT 1 FROM objects AS other JOIN objects ON objects.instance = other.instance "
        "WHERE objects.id = ? AND other.id < objects.id AND other.state = 'done' "
        "AND other.meaning = ?"
    )
    values = (number, outcome.meaning)
    return bool(outcome.meaning) and database.execute(query, values).fetchone() is not None


def _insert_made(database: sqlite3.Connection, item: Waiting, made: Made, now: float) -> None:
    row = (item.number, made.route, made.content, made.sop_class, made.instance, made.syntax)
    cursor = database.execute(
        "INSERT OR IGNORE INTO made (object, route, content, sop_class, instance, syntax, study, "
        "series, bytes, received) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*row, made.study, made.series, made.bytes, item.received),
    )
    if cursor.rowcount:
        database.executemany(
            "INSERT INTO deliveries (made, destination, changed) VALUES (?, ?, ?)",
            [(cursor.lastrowid, name, now) for name in made.to],
        )
