"""How far a release is, asked of its ledger while it runs or after it stopped."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepfixcx.errors import ReleaseError
from deepfixcx.io.folders import FileLedger
from deepfixcx.io.release_files import ABOUT
from deepfixcx.release.folders import (
    METADATA,
    PLAIN_FOLDERS,
    PROTECTED,
    PUBLIC_PRIVATE,
    in_use,
    private_of,
    release_id,
)
from deepfixcx.release.ledger import LEDGER, Record
from deepfixcx.release.places import OTHER_PRIVATE, id_in, place_of
from deepfixcx.release.storage import Location, locate
from deepfixcx.release.workers import DEATHS_ALLOWED

__all__ = ["ReleaseStatus", "read_records", "read_status"]


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    """How far a release is.

    Attributes
    ----------
    state : str
        ``"running"``: a process is writing it right now; ``"finished"``: everything is written,
        papers too; ``"stopped"``: neither.
    files, files_done, files_failed : int
        Inputs in all; done and failed ones in complete shards.
    files_public : int
        Of `files`, those that a mechanism learns from and that are not released.
    shards, shards_done, attempts : int
        Shards in all; complete ones; how often one was begun.
    quarantined : int
        Files that killed their worker twice.
    quarantined_ids : tuple of str
        What the release calls them; empty where it calls files as their sources.
    again : str
        The command that goes on, empty where it is not known.
    again_in : str
        The folder to run it in.

    Examples
    --------
    >>> ReleaseStatus("stopped", 100, 40, 1, 7, 3, 4, 0, ()).files_done
    40
    """

    state: str
    files: int
    files_done: int
    files_failed: int
    shards: int
    shards_done: int
    attempts: int
    quarantined: int
    quarantined_ids: tuple[str, ...]
    again: str = ""
    again_in: str = ""
    files_public: int = 0


def read_status(folder: str | Path, private: str | Path | None = None) -> ReleaseStatus:
    """Say how far a release is; changes nothing, and works while another process writes.

    Parameters
    ----------
    folder : str or Path
        The release; may be a URL.
    private : str or Path, optional
        The folder of its ledger, by default the one beside it. A release at a URL needs one.

    Returns
    -------
    ReleaseStatus
        What the ledger says; files of shards that are being worked do not count yet.

    Raises
    ------
    ReleaseError
        There is no ledger, it cannot be read, or the store of the release cannot be reached.

    Examples
    --------
    >>> read_status(Path("shared")).state  # doctest: +SKIP
    'finished'
    """
    release = locate(folder)
    kept_here = private_of(release, private)
    if (kept_here / PROTECTED).is_file():
        return _of_protected(release, kept_here)
    ledger = kept_here / LEDGER
    if not ledger.is_file():
        raise ReleaseError(
            f"{str(folder)!r} is not a release of deepfixcx, or its ledger is not in "
            f"{ledger.parent.name!r}; name the private folder with --private, or use verify, "
            "which needs no ledger"
        )
    running = in_use(kept_here)
    status = _read(ledger, running=running)
    complete = status.shards_done == status.shards
    finished = complete and not running and _is_written(release, kept_here)
    return replace(status, state="running" if running else "finished" if finished else "stopped")


def _is_written(release: Location, private: Path) -> bool:
    """Return whether a release is finished; refuse one of another private folder, or changed."""
    place = place_of(release)
    stated, known = id_in(place), release_id(private)
    if stated and known and stated != known:
        raise ReleaseError(OTHER_PRIVATE.format(str(release)))
    written = FileLedger(private / METADATA).listed.get(ABOUT)
    if stated is not None and written and not place.holds(ABOUT, written):
        raise ReleaseError(
            f"{ABOUT} of {str(release)!r} was changed after the release was made; deepfixcx verify "
            f"names what differs"
        )
    return stated is not None


def read_records(private: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the codec settings and the records of an unfinished release; nothing is written."""
    columns = Record.public_columns()
    query = f"SELECT {', '.join(columns)} FROM records ORDER BY shard, place"
    address = f"{(private / LEDGER).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            rows = [dict(zip(columns, row, strict=True)) for row in database.execute(query)]
            identity = dict(database.execute("SELECT name, value FROM identity"))
        return json.loads(identity["spec"]), rows
    except (sqlite3.Error, KeyError, ValueError):
        raise ReleaseError("the ledger is being written or is damaged; try again") from None


def _of_protected(release: Location, private: Path) -> ReleaseStatus:
    """Say how far the plain codes are that a mechanism is applied to."""
    running = in_use(private)
    finished = not running and _is_written(release, private)
    found = ReleaseStatus(
        "running" if running else "finished" if finished else "stopped", 0, 0, 0, 0, 0, 0, 0, ()
    )
    for name in PLAIN_FOLDERS:
        ledger = private / name / LEDGER
        if ledger.is_file():
            status = _read(ledger, running=running)
            public = status.files if name == PUBLIC_PRIVATE else 0
            found = replace(_sum(found, status), files_public=public)
    if not found.again:  # it was stopped before the first ledger
        notes = json.loads((private / PROTECTED).read_bytes())
        found = replace(found, again=notes["again"], again_in=notes["folder"])
    return found


def _sum(one: ReleaseStatus, other: ReleaseStatus) -> ReleaseStatus:
    return ReleaseStatus(
        one.state,
        one.files + other.files,
        one.files_done + other.files_done,
        one.files_failed + other.files_failed,
        one.shards + other.shards,
        one.shards_done + other.shards_done,
        one.attempts + other.attempts,
        one.quarantined + other.quarantined,
        (*one.quarantined_ids, *other.quarantined_ids),
        other.again,
        other.again_in,
    )


def _read(ledger: Path, *, running: bool) -> ReleaseStatus:
    try:
        status = _ask(ledger, "mode=ro")
    except sqlite3.OperationalError:
        if running:
            raise ReleaseError("the ledger is being written; try again") from None
        status = _ask_after_crash(ledger)
    except sqlite3.DatabaseError:
        raise _damaged() from None
    return ReleaseStatus(state="", **status)  # type: ignore[arg-type]


def _ask_after_crash(ledger: Path) -> dict[str, object]:
    """Let SQLite take back the transaction in which a process was killed, then ask."""
    try:
        return _ask(ledger, "mode=rw")
    except sqlite3.DatabaseError:
        raise _damaged() from None


def _damaged() -> ReleaseError:
    return ReleaseError(f"{LEDGER} is damaged or of another version of deepfixcx")


def _ask(ledger: Path, mode: str) -> dict[str, object]:
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?{mode}", uri=True)) as database:
        database.execute("BEGIN")  # every answer is of one moment
        shards, files, attempts = database.execute(
            "SELECT count(*), coalesce(sum(files), 0), coalesce(sum(attempts), 0) FROM shards"
        ).fetchone()
        complete, ended = database.execute(
            "SELECT count(*), coalesce(sum(files), 0) FROM shards WHERE state = 'complete'"
        ).fetchone()
        (failed,) = database.execute(
            "SELECT count(*) FROM records WHERE status = 'failed'"
        ).fetchone()
        quarantined = database.execute(
            "SELECT source_id FROM deaths WHERE count >= ? ORDER BY source_id", (DEATHS_ALLOWED,)
        ).fetchall()
        notes = dict(database.execute("SELECT name, value FROM notes"))
        identity = dict(database.execute("SELECT name, value FROM identity"))
    neutral = json.loads(identity.get("names", "null")) == "neutral"
    return {
        "files": files,
        "files_done": ended - failed,
        "files_failed": failed,
        "shards": shards,
        "shards_done": complete,
        "attempts": attempts,
        "quarantined": len(quarantined),
        "quarantined_ids": tuple(name for (name,) in quarantined if neutral),
        "again": notes.get("again", ""),
        "again_in": notes.get("folder", ""),
    }
