"""The private folder of a release, read: its sources, their hashes, and how far the release is.

Nothing here changes a file, and everything works while another process writes the release.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepfixcx.errors import AuditError, ReleaseError
from deepfixcx.io.files import sha256_of
from deepfixcx.io.folders import FileLedger
from deepfixcx.io.release_files import ABOUT, MANIFEST, SOURCES, WITHHELD
from deepfixcx.io.tables import own_rows
from deepfixcx.release.folders import (
    JOURNAL,
    METADATA,
    PLAIN_FOLDERS,
    PROTECTED,
    PUBLIC_PRIVATE,
    in_use,
    private_of,
    release_id,
)
from deepfixcx.release.ledger import LEDGER, Record
from deepfixcx.release.places import OTHER_PRIVATE, LocalPlace, id_in, place_of
from deepfixcx.release.release import Release
from deepfixcx.release.storage import Location, locate
from deepfixcx.release.workers import DEATHS_ALLOWED

__all__ = ["PrivateFolder", "ReleaseStatus", "read_status"]


@dataclass(frozen=True, slots=True)
class PrivateFolder:
    """What the private folder of a release knows.

    Attributes
    ----------
    path : Path
        The folder; it need not exist.

    Examples
    --------
    >>> private = PrivateFolder.of("shared")
    >>> private.path.name, private.has_ledger, private.contents()
    ('shared.private', False, {})
    """

    path: Path

    @classmethod
    def of(cls, release: str | Path, private: str | Path | None = None) -> PrivateFolder:
        """Return the private folder of a release: the one named, or the one beside it."""
        return cls(private_of(locate(release), private))

    @property
    def has_ledger(self) -> bool:
        """Whether a release with its ledger here was begun."""
        return (self.path / LEDGER).is_file()

    @property
    def release_id(self) -> str:
        """The ID of its release; empty where it has none, as before version 0.2."""
        return release_id(self.path)

    @property
    def encoded(self) -> PrivateFolder:
        """The private folder of the plain codes that a mechanism was applied to."""
        return PrivateFolder(self.path / PLAIN_FOLDERS[1])

    def plain(self) -> Release:
        """Open the plain codes that a mechanism was applied to."""
        return Release.open(self.path / PLAIN_FOLDERS[0])

    def sources(self) -> dict[str, str]:
        """Return the source of each image by its ID, as a path below IN or as the table has it."""
        try:
            rows = own_rows(self.path / SOURCES, ["source_id", "source"])
            return {row["source_id"]: row["source"] for row in rows if row["source_id"]}
        except (OSError, ValueError):
            raise ReleaseError(
                f"{self.path.name!r} has no {SOURCES} that can be read, so the source of each "
                "image is unknown; name the private folder of the release with --private"
            ) from None

    def left_out(self, *, by_mechanism: bool) -> list[dict[str, str]] | None:
        """Return the table of inputs with reasons: of all, or of those in no record; or None."""
        name = WITHHELD if by_mechanism else SOURCES
        try:
            return list(own_rows(self.path / name))
        except OSError:
            return None
        except ValueError:
            raise ReleaseError(f"{name} cannot be read; it is damaged") from None

    def contents(self) -> dict[str, str]:
        """Return the SHA-256 of each input by its ID; empty where the ledger has none."""
        return dict(self._ask("SELECT source_id, content FROM sources WHERE content != ''"))

    def all_contents(self) -> set[str]:
        """Return the SHA-256 of every input, those of a mechanism's plain codes included."""
        return {*self.contents().values(), *self.encoded.contents().values()}

    def outcomes(self, contents: Collection[str]) -> dict[str, str]:
        """Return which inputs of these SHA-256 the release has, and why those failed that did."""
        query = (
            "SELECT DISTINCT content, reason FROM sources JOIN records USING (shard, source_id) "
            "JOIN shards ON shards.number = shard WHERE content != '' AND shards.state = 'complete'"
        )
        wanted = set(contents)
        return {content: why for content, why in self._ask(query, refuse=True) if content in wanted}

    def records(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the codec settings and the records of an unfinished release."""
        there = {row[1] for row in self._ask("PRAGMA table_info(records)")}
        columns = [name for name in Record.public_columns() if name in there]
        query = f"SELECT {', '.join(columns)} FROM records ORDER BY shard, place"
        try:
            identity = dict(self._ask("SELECT name, value FROM identity", refuse=True))
            rows = self._ask(query, refuse=True)
            spec: dict[str, Any] = json.loads(identity["spec"])
            return spec, [dict(zip(columns, row, strict=True)) for row in rows]
        except (sqlite3.Error, KeyError, ValueError):
            raise ReleaseError("the ledger is being written or is damaged; try again") from None

    def check_binding(self, release: Path) -> str:
        """Refuse the folder of another release; return what proves that it is of this one."""
        stated, known = id_in(LocalPlace(release)), self.release_id
        recorded = FileLedger(self.path / METADATA).listed.get(MANIFEST, set())
        files = {MANIFEST: recorded} if recorded else self._recorded_codes()
        there = {name: release / name for name in files if (release / name).is_file()}
        held = any(sha256_of(path) in files[name] for name, path in there.items())
        if (stated and known and stated != known) or (there and not held):
            what = "ID" if stated and known and stated != known else "checksum"
            raise AuditError(
                f"{self.path.name!r} is the private folder of another release: its {what} differs "
                f"from that of {release.name!r}; name the right folder with --private, or check "
                "the release with deepfixcx verify"
            )
        return "checksums" if held else "id" if stated and stated == known else ""

    def _recorded_codes(self) -> dict[str, set[str]]:
        """Return the checksums of the files with codes, as a ledger of any version has them."""
        files: dict[str, set[str]] = {}
        for name, digest in self._ask("SELECT code_file, code_sha256 FROM records"):
            if name:
                files.setdefault(name, set()).add(digest)
        return files

    def _ask(self, query: str, *, refuse: bool = False) -> list[Any]:
        """Ask the ledger; one that is damaged or of another version has no rows, or is refused."""
        address = f"{(self.path / LEDGER).absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True)) as database:
                return database.execute(query).fetchall()
        except sqlite3.Error:
            if refuse:
                raise
            return []


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    """How far a release is.

    Attributes
    ----------
    state : str
        ``"running"``: a process is writing it right now; ``"finished"``: everything is written,
        metadata too; ``"withdrawing"``: a withdrawal was interrupted; ``"stopped"``: none of these.
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
    if (kept_here / JOURNAL).is_file() and not running:
        return replace(status, state="withdrawing")
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
