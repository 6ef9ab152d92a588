"""The folder of a node: objects that were received and results that wait, each named by its hash.

`Inbox.take` is the one way in, for C-STORE and for STOW-RS. It returns only when the object is on
the disk and in the ledger, so that its sender may forget it. A file is removed only when the ledger
says that it is needed no more.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Final, Literal

from deepfixcx.errors import InUseError, NodeError, OverwriteError
from deepfixcx.io.files import (
    appending,
    empty,
    make_folder,
    remove_own,
    remove_temporaries,
    sync_folder,
    tagged,
    write_file,
)
from deepfixcx.io.folders import locked
from deepfixcx.node.config import Limits
from deepfixcx.node.ledger import COUNT, GONE, OPEN, NodeLedger
from deepfixcx.node.records import Delivery

__all__ = ["Answers", "Inbox", "Taken", "file_of", "meta_bytes", "put"]

Taken = Literal["new", "repeated", "full", "invalid"]
Room = Literal["inbox", "made"]

LOCK: Final = "node.lock"
TAG: Final = "node"
UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
FREE_CHECKED_S: Final = 1.0
UNWRITTEN: Final = "the ledger cannot be written; check the disk of the node"
ANSWERS: Final = 16
ANSWERS_S: Final = 0.5
"""The ledger gets answers of a destination when there are so many, or one is so old."""


def file_of(folder: Path, room: Room, content: str) -> Path:
    """Return where the object or result with this hash lies."""
    return folder / room / f"{content}.dcm"


def put(folder: Path, room: Room, data: bytes, *, durable: bool = True) -> str:
    """Write a file that outlasts a crash if it is durable; return its hash, which is its name."""
    content = hashlib.sha256(data).hexdigest()
    path = file_of(folder, room, content)
    with tagged(TAG), suppress(OverwriteError):  # the same bytes are there, whole
        write_file(path, data, mode=0o600, durable=durable)
        if durable:
            sync_folder(path.parent)
    return content


def meta_bytes(sop_class: str, instance: str, syntax: str) -> bytes:
    """Return the preamble and file meta information of an object, the same for the same one."""
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID

    if not all(len(each) <= 64 and UID.fullmatch(each) for each in (sop_class, instance, syntax)):
        raise ValueError("a UID that is none")
    elements = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01" + b"".join(
        struct.pack("<HH2sH", 2, number, b"UI", len(value) + len(value) % 2)
        + value
        + b"\0" * (len(value) % 2)
        for number, value in (
            (0x0002, sop_class.encode("ascii")),
            (0x0003, instance.encode("ascii")),
            (0x0010, syntax.encode("ascii")),
            (0x0012, PYDICOM_IMPLEMENTATION_UID.encode("ascii")),
        )
    )
    start = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements))
    return bytes(128) + b"DICM" + start + elements


class Inbox:
    """Takes objects in."""

    def __init__(self, folder: Path, ledger: NodeLedger, limits: Limits) -> None:
        self.folder, self.ledger, self._limits = folder, ledger, limits
        self._checked, self._room, self._crowded = 0.0, 0, False
        self._unneeded: SimpleQueue[tuple[Room, str] | None] = SimpleQueue()
        self.on_new: Any = None
        """Called without arguments after an object was taken in."""

        self.reserve = limits.free_mb * 500_000
        """Bytes of free space that results leave to the ledger: half of `free_mb`."""

    def low(self) -> bool:
        """Return whether only `reserve` is free: results wait for destinations for days."""
        self._look()
        return self._room < self.reserve - self._limits.free_mb * 1_000_000

    def full(self, size: int = 0) -> str:
        """Return why no object of this size can be taken in now; empty where one can.

        An object needs room for itself and its result: a full disk could never be worked off.
        """
        self._look()
        if self._room < 2 * size:
            return "less than limits.free_mb is free on the disk of the node"
        return "limits.waiting objects wait already" if self._crowded else ""

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._checked > FREE_CHECKED_S:
            self._checked = now
            free = shutil.disk_usage(self.folder).free
            self._room = free - self._limits.free_mb * 1_000_000
            query = "SELECT count(*) FROM objects WHERE state = 'received'"
            queued = f"SELECT count(*) FROM deliveries WHERE {OPEN} AND state = 'waiting'"
            waiting = sum(self.ledger.rows(each)[0][0] for each in (query, queued))
            self._crowded = waiting >= self._limits.waiting

    def take(self, parts: tuple[bytes | memoryview, ...], instance: str, calling: str) -> Taken:
        """Write an object and record it; `parts` together are a DICOM file."""
        size = sum(map(len, parts))
        if self.full(size):
            return "full"
        if len(instance) > 64 or not UID.fullmatch(instance):
            return "invalid"
        try:
            content = put(self.folder, "inbox", b"".join(parts))
            self._room -= size  # until free space is asked for again
        except OSError:
            self._checked = 0.0
            return "full"
        try:
            taken: Taken = self.ledger.receive(content, instance, calling, size)  # type: ignore[assignment]
        except sqlite3.OperationalError:
            self._checked = 0.0
            self.remove("inbox", content)
            return "full"
        if taken == "repeated" and not self.ledger.held(content):
            self.remove("inbox", content)
        if taken == "new" and self.on_new is not None:
            self.on_new()
        return taken

    def remove(self, room: Room, content: str) -> None:
        """Remove a file that is needed no more, soon: a disk takes longer for it than a network."""
        self._unneeded.put((room, content))

    def sweep(self) -> None:
        """Remove such files until `stop_sweeping`; what a crash leaves, `clean` removes."""
        needed = {"inbox": self.ledger.held, "made": self.ledger.needed}
        while (item := self._unneeded.get()) is not None:
            room, content = item
            if not needed[room](content):
                remove_own(file_of(self.folder, room, content))
        self.ledger.close()

    def stop_sweeping(self) -> None:
        """End `sweep` when all files are removed that are needed no more now."""
        self._unneeded.put(None)

    def clean(self, *rooms: Room) -> None:
        """Remove what an earlier process left: files without a row, and those needed no more."""
        if "inbox" in rooms:  # otherwise objects are coming in
            remove_temporaries(self.folder, TAG)
        needs = {"inbox": self.ledger.held, "made": self.ledger.needed}
        for room in rooms:
            needed = needs[room]
            for path in (self.folder / room).glob("*.dcm"):
                if not needed(path.stem):
                    remove_own(path)

    def forget(self, before: float, after: int = 0, most: int = 500) -> int:
        """Forget objects that came before a time and were delivered; the ledger keeps their counts.

        Returns the number of the last object that was looked at, or 0 where none is left.
        """
        query = "SELECT id, received FROM objects WHERE state = 'done' AND id > ? ORDER BY id"
        numbers = []
        for number, received in self.ledger.rows(f"{query} LIMIT {most}", after):
            if received >= before:
                break
            numbers.append(number)
        if not numbers:
            return 0
        chosen = f"({','.join(map(str, numbers))})"
        kept = f"SELECT object FROM made JOIN deliveries ON made = made.id WHERE object IN {chosen}"
        forgotten = f"id IN {chosen} AND id NOT IN ({kept} AND state != 'sent')"
        with self.ledger.writing() as database:
            database.execute(
                f"CREATE TEMP TABLE old AS SELECT id, bytes, repeats FROM objects WHERE {forgotten}"
            )
            sums = "SELECT count(*), coalesce(sum(bytes), 0), coalesce(sum(repeats), 0) FROM old"
            totals = database.execute(sums).fetchone()
            for kind, count in zip(("objects", "bytes", "repeats"), totals, strict=True):
                database.execute(COUNT, (f"{GONE} {kind}", count))
            ours = "made.object IN (SELECT id FROM old)"
            for kind, query in (
                ("results", f"SELECT route, count(*) FROM made WHERE {ours} GROUP BY route"),
                (
                    "sent",
                    "SELECT destination, count(*) FROM deliveries JOIN made ON made = made.id "
                    f"WHERE {ours} GROUP BY destination",
                ),
            ):
                for name, count in database.execute(query).fetchall():
                    database.execute(COUNT, (f"{GONE} {kind} {name}", count))
            database.execute(
                f"DELETE FROM deliveries WHERE made IN (SELECT id FROM made WHERE {ours})"
            )
            database.execute(f"DELETE FROM made WHERE {ours}")
            database.execute("DELETE FROM objects WHERE id IN (SELECT id FROM old)")
            database.execute("DROP TABLE old")
        return int(numbers[-1])


class Answers:
    """What one destination has accepted and the ledger does not have yet.

    Each answer is in a file at once, and the ledger gets some together: to write it is to wait for
    the disk, and a kill in that time would send the object again.
    """

    def __init__(self, inbox: Inbox, destination: str) -> None:
        self._inbox, self._path = inbox, inbox.folder / f"answers.{destination}"
        self._new: list[tuple[int, str]] = []
        self._since = 0.0
        self._file: BinaryIO

    @contextmanager
    def open(self) -> Iterator[None]:
        """Record what an earlier process left, and keep the file open; half a line is no answer."""
        with appending(self._path, b"") as self._file:
            self._file.seek(0)
            lines = self._file.read().decode("ascii", "replace").split("\n")[:-1]
            rows = [line.split() for line in lines]
            self._new = [
                (int(row[0]), row[1]) for row in rows if len(row) == 2 and row[0].isdecimal()
            ]
            self.record()
            yield

    def add(self, delivery: Delivery) -> None:
        """Note that a destination has accepted a result."""
        self._since = self._since if self._new else time.monotonic()
        self._new.append((delivery.number, delivery.content))
        with suppress(OSError):  # a full disk; the ledger gets it soon
            self._file.write(f"{delivery.number} {delivery.content}\n".encode())
        if len(self._new) >= ANSWERS or time.monotonic() - self._since > ANSWERS_S:
            self.record()

    def record(self) -> None:
        """Record all in the ledger, and remove results that no destination needs any more."""
        if self._new:
            for content in self._inbox.ledger.sent(self._new):
                self._inbox.remove("made", content)
            self._new = []
            empty(self._file)


@contextmanager
def opened(folder: Path) -> Iterator[NodeLedger]:
    """Make or open the folder of a node, alone; yield its ledger."""
    try:
        make_folder(folder, mode=0o700)
        for room in ("inbox", "made"):
            make_folder(folder / room, mode=0o700)
        with suppress(OverwriteError):
            write_file(folder / LOCK, b"", mode=0o600)
    except OSError as error:
        raise NodeError(
            f"the folder of the node {folder.name!r} cannot be used: {error.strerror}"
        ) from None
    with locked(folder / LOCK) as held:
        if held is None:
            raise InUseError(f"another node runs in {folder.name!r}; stop it first")
        ledger = NodeLedger(folder)
        try:
            yield ledger
        finally:
            ledger.close()
