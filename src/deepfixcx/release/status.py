"""How far a release is, asked of its ledger while it runs or after it stopped."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from deepfixcx.errors import ReleaseError
from deepfixcx.release.folders import in_use, private_of
from deepfixcx.release.ledger import LEDGER
from deepfixcx.release.places import place_of
from deepfixcx.release.urls import locate
from deepfixcx.release.workers import DEATHS_ALLOWED

__all__ = ["ReleaseStatus", "read_status"]


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
    again: str
    again_in: str


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
    ledger = private_of(release, private) / LEDGER
    if not ledger.is_file():
        raise ReleaseError(
            f"{str(folder)!r} is no release of deepfixcx, or its ledger is not in "
            f"{ledger.parent.name!r}; status is for whoever made the release (with --private, if "
            f"it was made so), verify is for everybody"
        )
    running = in_use(ledger.parent)
    try:
        status = _ask(ledger, "mode=ro")
    except sqlite3.OperationalError:
        if running:
            raise ReleaseError("the ledger is being written; ask again in a moment") from None
        status = _ask_after_crash(ledger)
    except sqlite3.DatabaseError:
        raise _damaged() from None
    complete = status["shards_done"] == status["shards"]
    finished = complete and not running and place_of(release).has("dataset.json")
    state = "running" if running else "finished" if finished else "stopped"
    return ReleaseStatus(state=state, **status)  # type: ignore[arg-type]


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
