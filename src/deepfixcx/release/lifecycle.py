"""What happens to a release after its first delivery: later deliveries, withdrawals, its history.

An image keeps its number for ever. A later delivery is a plan of its own whose shards and numbers
follow those in the ledger, so additions and withdrawals change no other number and no other shard.
Numbers rather than hashes of contents, because a hash would need every file to be read before the
first is processed, and because the same inputs would no longer give the same release.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from deepfixcx.errors import ImageFileError, ReleaseError, UnreadableFileError
from deepfixcx.io.files import sha256_of
from deepfixcx.io.release_files import ABOUT
from deepfixcx.release.inputs import Listing, Source, Sources
from deepfixcx.release.ledger import Ledger, writing_ledger
from deepfixcx.release.options import ReleaseOptions, RunOptions
from deepfixcx.release.places import Place
from deepfixcx.release.plan import (
    After,
    Plan,
    PlannedItems,
    folder_number,
    make_plan,
    shard_size,
)
from deepfixcx.release.storage import content_of, instance_of, open_hashed

__all__ = ["GONE", "NEW", "Delivery", "Lifecycle"]

WITHDRAWN = "it was withdrawn from the release"
KNOWN = "an image with the same bytes is in the release"
NEW = "it is new since the release was started; add it with --add"

GONE = UnreadableFileError("the source file is gone since the release was started; restore it")
"""Why an input cannot be processed again."""

CHOSEN = "source_id IN (SELECT value FROM json_each(?1))"
"""In a query with a JSON list of IDs: one pass over a table, however many IDs there are."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One addition to a release."""

    after: After
    inputs: str
    order: str


class GivenNames:
    """ID and image of each input by its place, as an earlier run gave them."""

    def __init__(self, names: Mapping[int, tuple[str, str]]) -> None:
        self._names = names

    def source_id(self, place: int, _: str) -> str:
        """Return the ID that the input was given."""
        return self._names[place][0]

    def image_stem(self, place: int, _: str) -> str:
        """Return the path that its image was given."""
        return self._names[place][1]


class Lifecycle:
    """Later deliveries and withdrawals in the ledger of a release."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._database = ledger, ledger.database
        with writing_ledger(), self._database as transaction:
            transaction.execute(
                "CREATE TABLE IF NOT EXISTS withdrawn (mark TEXT PRIMARY KEY) WITHOUT ROWID"
            )
            transaction.execute(
                "CREATE TABLE IF NOT EXISTS deliveries (shards INTEGER PRIMARY KEY, "
                "places INTEGER NOT NULL, folders INTEGER NOT NULL, "
                "inputs TEXT NOT NULL, sequence TEXT NOT NULL)"
            )
            transaction.execute(
                "CREATE TABLE IF NOT EXISTS planned (delivery INTEGER NOT NULL, place INTEGER NOT "
                "NULL, name TEXT NOT NULL, source_id TEXT NOT NULL, stem TEXT NOT NULL, "
                "PRIMARY KEY (delivery, place)) WITHOUT ROWID"
            )

    # -- deliveries ---------------------------------------------------------------------------

    def plan(
        self, sources: Sources, options: ReleaseOptions, run: RunOptions, *, finished: bool
    ) -> Plan:
        """Return the plan of the first delivery or, with ``add``, of the one that is added."""
        secret = self._ledger.secret()
        workers, resume = run.get("workers", 1), run.get("resume", False)
        if not run.get("add", False):
            begun = self._ledger.identity()
            plan = self._remaining(make_plan(sources, options, secret, begun.get("order", "")))
            return self._as_begun(plan, sources, begun["inputs"]) if begun and resume else plan
        last = self._last()
        pending = self._pending()
        if not self._ledger.identity() or (
            pending and (last is None or pending[0] < last.after.shards)
        ):
            raise ReleaseError(
                "--add requires a finished release; finish it with --resume, without --add"
            )
        if last is not None and (pending or resume or not finished):
            return self._continued(last, sources, options, workers, resume=resume)
        shards, numbered = self._database.execute(
            "SELECT count(*), coalesce(sum(files), 0) FROM shards"
        ).fetchone()
        numbered = int(self._ledger.noted("numbered") or numbered)
        after = After(shards, numbered, self._folders())
        sources, left_out = self._new(sources, shards, workers, withdrawn=True)
        plan = make_plan(sources, options, secret, after=after)
        return replace(plan, left_out=left_out)

    def begin(self, plan: Plan, place: Place) -> None:
        """Write down a delivery and its inputs, unless it has begun already."""
        self._begin_addition(plan, place)
        self._note_inputs(plan)

    def _begin_addition(self, plan: Plan, place: Place) -> None:
        if not plan.after.shards or not plan.shards:
            return
        after = plan.after
        begun = self._last()
        if begun is not None and begun.after.shards == after.shards:
            return
        with place.fetched(ABOUT) as path:
            checksum = sha256_of(path)
        history = [*self.history(), {"change": "addition", "checksum": checksum}]
        files = [(number, plan.files_of(number)) for number in plan.numbers]
        notes = {
            "numbered": str(after.places + len(plan.items)),
            "history": json.dumps(history),
        }
        with writing_ledger(), self._database as transaction:
            transaction.execute(
                "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?)",
                (after.shards, after.places, after.folders, plan.inputs, plan.order),
            )
            transaction.executemany("INSERT INTO shards (number, files) VALUES (?, ?)", files)
            transaction.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", notes.items())

    def history(self) -> list[dict[str, str]]:
        """Return the earlier states of the release, as dataset.json lists them."""
        found: list[dict[str, str]] = json.loads(self._ledger.noted("history") or "[]")
        return found

    def _note_inputs(self, plan: Plan) -> None:
        """Write down what each input of a delivery is called, so that inputs may go later."""
        delivery = plan.after.shards
        query = "SELECT 1 FROM planned WHERE delivery = ? LIMIT 1"
        if not plan.shards or self._database.execute(query, (delivery,)).fetchone():
            return
        places = (place for number in plan.numbers for place in plan.places(number))
        rows = (
            (delivery, place, item.source.name, item.source_id, item.image_stem)
            for place, item in zip(places, plan.items, strict=True)
        )
        with writing_ledger(), self._database as transaction:
            transaction.executemany("INSERT INTO planned VALUES (?, ?, ?, ?, ?)", rows)
            count = len(plan.items) + len(plan.items.dropped)
            transaction.execute(
                "INSERT OR REPLACE INTO notes VALUES (?, ?)", (f"planned {delivery}", str(count))
            )

    def _as_begun(self, plan: Plan, sources: Sources, inputs: str) -> Plan:
        """Return the plan that a delivery began with, if some of its inputs are gone or new.

        A plan stays as it is where most of its inputs are gone: they are those of another release.
        """
        if plan.inputs == inputs:
            return plan
        delivery, found = plan.after.shards, {each.name: each for each in sources.found}
        query = "SELECT place, name, source_id, stem FROM planned WHERE delivery = ?"
        rows = self._database.execute(query, (delivery,)).fetchall()
        if 2 * sum(row[1] in found for row in rows) < max(1, len(rows)):
            return plan
        names = {place: (source_id, stem) for place, _, source_id, stem in rows}
        listed: list[Source] = [Source(Path(), "", problem=GONE)] * self._count(delivery)
        for place, name, _, _ in rows:
            there = name in found
            listed[place] = found.pop(name) if there else Source(Path(name), name, problem=GONE)
        dropped = frozenset(range(len(listed))) - names.keys()
        items = PlannedItems(Listing(listed), GivenNames(names), dropped)
        left_out = tuple((name, self._why_not(found[name], delivery)) for name in sorted(found))
        size = shard_size(len(listed))
        return replace(plan, items=items, inputs=inputs, left_out=left_out, shard_size=size)

    def _count(self, delivery: int) -> int:
        return int(self._ledger.noted(f"planned {delivery}"))

    def _why_not(self, source: Source, delivery: int) -> str:
        """Say why an input is no part of a delivery that has begun."""
        content = content_of(source.path)
        if content and self.mark("content", content) in self._marks():
            return WITHDRAWN
        query = "SELECT 1 FROM sources WHERE content = ? AND content != '' AND shard < ?"
        known = self._database.execute(query, (content, delivery)).fetchone()
        return KNOWN if known else NEW

    def _continued(
        self,
        last: Delivery,
        sources: Sources,
        options: ReleaseOptions,
        workers: int,
        *,
        resume: bool,
    ) -> Plan:
        """Return the plan of a delivery that has begun; its inputs must be the same."""
        for withdrawn in (True, False):  # withdrawn before it began, or since
            chosen, left_out = self._new(sources, last.after.shards, workers, withdrawn=withdrawn)
            plan = make_plan(chosen, options, self._ledger.secret(), last.order, last.after)
            if plan.inputs == last.inputs:
                return self._remaining(replace(plan, left_out=left_out))
        plan = self._as_begun(plan, sources, last.inputs) if resume else plan
        if plan.inputs == last.inputs:
            return plan
        raise ReleaseError(
            "an earlier addition to this release had other inputs; run its command again with "
            "--resume, or omit --resume if it was finished"
        )

    def _new(
        self, sources: Sources, shards: int, workers: int, *, withdrawn: bool
    ) -> tuple[Sources, tuple[tuple[str, str], ...]]:
        """Return the inputs that no shard before has, and the others with the reason."""
        query = "SELECT content FROM sources WHERE shard < ? AND content != ''"
        known = {content for (content,) in self._database.execute(query, (shards,))}
        marks = self._marks() if withdrawn else frozenset[str]()
        found, left_out, kept = sources.found, [], []
        with ThreadPoolExecutor(workers) as pool:
            contents = pool.map(content_of, (source.path for source in found))
            for place, (source, content) in enumerate(zip(found, contents, strict=True)):
                if content and self._is_withdrawn(source, content, marks):
                    left_out.append((source.name, WITHDRAWN))
                elif content in known:
                    left_out.append((source.name, KNOWN))
                else:
                    kept.append(place)
                    known |= {content} - {""}
        listing = found if isinstance(found, Listing) else Listing(found)
        return Sources(listing.select(kept), sources.skipped), tuple(left_out)

    def _is_withdrawn(self, source: Source, content: str, marks: frozenset[str]) -> bool:
        """Return whether these bytes, or another file of the same DICOM object, were withdrawn."""
        if not marks:
            return False
        if self.mark("content", content) in marks:
            return True
        instance = ""
        with suppress(ImageFileError):  # it cannot be read any more, and fails later
            stream, _ = open_hashed(source.path)
            with stream:
                instance = instance_of(stream)
        return bool(instance) and self.mark("instance", instance) in marks

    def _last(self) -> Delivery | None:
        query = "SELECT * FROM deliveries ORDER BY shards DESC"
        row = self._database.execute(query).fetchone()
        return None if row is None else Delivery(After(*row[:3]), *row[3:])

    def _pending(self) -> list[int]:
        query = "SELECT number FROM shards WHERE state != 'complete' ORDER BY number"
        return [number for (number,) in self._database.execute(query)]

    def _folders(self) -> int:
        """Return the largest number of a folder of the release."""
        names = self._database.execute("SELECT image_file || dicom_file FROM records")
        return max((folder_number(name) for (name,) in names), default=0)

    # -- withdrawals --------------------------------------------------------------------------

    def mark(self, kind: str, value: str) -> str:
        """Return what stands for something withdrawn: only who has it can recognise it here."""
        return self._ledger.mark(kind, value)

    def bytes_of(self, ids: Collection[str]) -> int:
        """Return the bytes of the files of some sources that were privatized."""
        rows = self._database.execute(
            f"SELECT stamp FROM sources WHERE {CHOSEN} AND "
            f"source_id NOT IN (SELECT source_id FROM records WHERE {CHOSEN} AND error != '')",
            (json.dumps(sorted(ids)),),
        )
        return sum(size_in(stamp) for (stamp,) in rows)

    def withdraw(
        self, ids: Collection[str], codes: Mapping[str, str], history: Iterable[object]
    ) -> None:
        """Forget sources, and number the rows of rewritten files of codes anew; can be repeated."""
        database = self._database
        with writing_ledger():
            database.execute("PRAGMA secure_delete = ON")
            with database as transaction:
                numbered = "SELECT 'numbered', coalesce(sum(files), 0) FROM shards"
                transaction.execute(f"INSERT OR IGNORE INTO notes {numbered}")
                transaction.execute(
                    "INSERT OR REPLACE INTO notes VALUES ('history', ?)",
                    (json.dumps(list(history)),),
                )
                self._forget(transaction, ids)
                for file, digest in codes.items():
                    self._renumber(file, digest)
            database.execute("VACUUM")

    def _forget(self, transaction: sqlite3.Connection, ids: Collection[str]) -> None:
        """Delete the rows of sources, and leave marks by which they are recognised."""
        marks, chosen = [self.mark("id", name) for name in ids], (json.dumps(sorted(ids)),)
        columns = "shard, content, instance"
        found = transaction.execute(f"SELECT {columns} FROM sources WHERE {CHOSEN}", chosen)
        for shard, content, instance in found.fetchall():
            marks += [self.mark("content", content), *([instance] if instance else [])]
            transaction.execute("UPDATE shards SET files = files - 1 WHERE number = ?", (shard,))
        for table in ("records", "sources", "deaths", "planned"):
            transaction.execute(f"DELETE FROM {table} WHERE {CHOSEN}", chosen)
        transaction.executemany(
            "INSERT OR IGNORE INTO withdrawn VALUES (?)", [(mark,) for mark in marks]
        )

    def _renumber(self, file: str, digest: str) -> None:
        query = "SELECT shard, place FROM records WHERE code_file = ? ORDER BY code_row"
        rows = self._database.execute(query, (file,)).fetchall()
        self._database.executemany(
            "UPDATE records SET code_row = ?, code_sha256 = ? WHERE shard = ? AND place = ?",
            [(number, digest, *key) for number, key in enumerate(rows)],
        )

    def _remaining(self, plan: Plan) -> Plan:
        """Return a plan without the sources that were withdrawn."""
        marks = self._marks()
        return plan.without(lambda name: self.mark("id", name) in marks) if marks else plan

    def _marks(self) -> frozenset[str]:
        return frozenset(mark for (mark,) in self._database.execute("SELECT mark FROM withdrawn"))


def size_in(stamp: str) -> int:
    """Return the bytes of a file by its stamp; 0 where it does not state them."""
    size = stamp.partition(":")[0]
    return int(size) if size.isdecimal() else 0
