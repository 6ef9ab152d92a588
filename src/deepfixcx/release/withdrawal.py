"""Withdraw images of patients from a finished release, at the steward and at each recipient.

The steward's `withdraw` removes every trace of the images from the release and its private folder
and writes a notice: IDs, and the checksums before and after. A recipient's `apply_withdrawal`
removes the same from a copy and has the release of the steward afterwards, byte for byte.

What has to be done is written into a journal before anything changes, so a process that is killed
at any moment leaves a release that the same command completes.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deepfixcx.errors import InUseError, ReleaseError
from deepfixcx.io.files import remove_listed, remove_temporaries, sha256_of, tagged, write_file
from deepfixcx.io.folders import MARKER, FileLedger, OwnFolder, exclusive
from deepfixcx.io.release_files import ABOUT, SOURCES, is_leaf
from deepfixcx.io.tables import without_rows
from deepfixcx.release.folders import JOURNAL, METADATA, PROTECTED, private_of
from deepfixcx.release.ledger import LEDGER, Ledger, is_ledger
from deepfixcx.release.lifecycle import Lifecycle
from deepfixcx.release.patients import chosen_sources, forget_pseudonyms
from deepfixcx.release.places import LocalPlace, id_in
from deepfixcx.release.release import stated
from deepfixcx.release.rewriting import TAG, Removal, finish, stage
from deepfixcx.release.storage import locate

__all__ = ["Notice", "Withdrawal", "apply_withdrawal", "unfinished", "withdraw"]

JOURNAL_OF_COPY = ".deepfixcx-withdrawal.json"
"""In the copy of a recipient."""

NOTICE_FORMAT, NOTICE_VERSION = "deepfixcx.withdrawal", 1


@dataclass(frozen=True, slots=True)
class Notice:
    """What a recipient has to remove; it names no patient and no file of the steward.

    Attributes
    ----------
    release : str
        ID of the release; empty for one of version 0.1.
    date : str
        Day of the withdrawal, as YYYY-MM-DD.
    before, after : str
        Checksum of the release before and after, SHA-256 of dataset.json.
    source_ids : tuple of str
        IDs of the withdrawn sources, as in the column ``source_id`` of the manifest.
    source_file_bytes : int
        Bytes of their source files, by which the total in dataset.json decreases.

    Examples
    --------
    >>> notice = Notice("", "2026-01-31", 64 * "a", 64 * "b", ("000007",), 1024)
    >>> Notice.from_json(notice.to_json()) == notice
    True
    """

    release: str
    date: str
    before: str
    after: str
    source_ids: tuple[str, ...]
    source_file_bytes: int

    def to_json(self) -> str:
        """Return the file of the notice."""
        about = {"format": NOTICE_FORMAT, "version": NOTICE_VERSION, **asdict(self)}
        return json.dumps(about, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Notice:
        """Read a notice; refuse a file that is none."""
        try:
            about = json.loads(text)
            if about.pop("format") == NOTICE_FORMAT and about.pop("version") == NOTICE_VERSION:
                ids, size = about.pop("source_ids"), about.pop("source_file_bytes")
                words = {name: str(about[name]) for name in ("release", "date", "before", "after")}
                return cls(**words, source_ids=tuple(map(str, ids)), source_file_bytes=int(size))
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
        raise ReleaseError(
            "the file is no withdrawal notice that this version of deepfixcx reads; name the file "
            "that deepfixcx withdraw wrote"
        )


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a withdrawal came to.

    Attributes
    ----------
    folder : Path
        The release.
    notice : Notice
        What recipients get.
    notice_path : Path or None
        Where it was written; None at a recipient.
    images : int
        Images that were removed; 0 where nothing was left to do.
    shards : int
        Files of codes that were rewritten.

    Examples
    --------
    >>> notice = Notice("", "2026-01-31", 64 * "a", 64 * "b", ("000007",), 1024)
    >>> Withdrawal(Path("shared"), notice, None, images=1, shards=1).images
    1
    """

    folder: Path
    notice: Notice
    notice_path: Path | None
    images: int
    shards: int


def withdraw(
    release: str | Path,
    *,
    images: Sequence[str] = (),
    patient: str = "",
    table: str | Path | None = None,
    column: str | None = None,
    private: str | Path | None = None,
    key: str | Path | None = None,
    pseudonyms: str | Path | None = None,
    notice: str | Path | None = None,
) -> Withdrawal:
    """Remove every trace of a patient, or of single images, from a release and its private folder.

    Parameters
    ----------
    release : str or Path
        A finished release in a folder of this machine.
    images : sequence of str
        IDs of the release, or names of sources as in sources.csv.
    patient : str
        ID of a patient at the institution, or pseudonym of the release.
    table : str or Path, optional
        Table of images and patients, where the release itself does not know its patients.
    column : str, optional
        Its column of patients; recognised by default.
    private, key, pseudonyms : str or Path, optional
        Private folder, key and table of pseudonyms, where they are not at their usual places.
    notice : str or Path, optional
        File to write for recipients; by default it lies beside the release.

    Returns
    -------
    Withdrawal

    Raises
    ------
    ReleaseError
        There is no such patient or image, the release was changed, or it is one from which no
        single patient can be removed: by a mechanism that mixes images, or learned from them.
    ReleaseStoppedError
        The disk is full or cannot be written; the same call goes on.

    Examples
    --------
    >>> withdraw("shared", images=["000007"]).notice.after  # doctest: +SKIP
    '9c1f20aa…'
    """
    folder, kept_here = _local(release), private_of(_local(release), private)
    if not (images or patient):
        raise ReleaseError("nothing to withdraw; name a patient with --patient or an image")
    _check_private(folder, kept_here)
    asked = json.dumps([sorted(images), patient])
    with tagged(TAG), _locked(folder, kept_here) as own, Ledger(kept_here / LEDGER) as opened:
        ledger = Lifecycle(opened)
        if (journal := _read(kept_here / JOURNAL)) is not None:
            done = _complete(folder, own, ledger, journal)
            if journal["asked"] == ledger.mark("request", asked):
                return done
        about, before = stated(LocalPlace(folder))
        secret = Path(key) if key is not None else kept_here / "deidentify.key"
        ids, names = chosen_sources(
            folder, kept_here, images, patient, secret, None if table is None else Path(table),
            column,
        )  # fmt: skip
        size = ledger.bytes_of(ids) if about["totals"].get("source_file_bytes") else 0
        removal = stage(folder, ids, size)
        made = Notice(
            str(about.get("id", "")), datetime.date.today().isoformat(), before, removal.after,
            tuple(sorted(ids)), size,
        )  # fmt: skip
        where = folder.with_name(f"{folder.name}.withdrawal-{removal.after[:8]}.json")
        journal = {
            "asked": ledger.mark("request", asked),
            "removal": asdict(removal),
            "notice": asdict(made),
            "path": str(Path(notice or where).absolute()),
            "names": sorted(names),
            "pseudonyms": None if pseudonyms is None else str(Path(pseudonyms).absolute()),
        }
        write_file(kept_here / JOURNAL, json.dumps(journal), mode=0o600)
        return _complete(folder, own, ledger, journal)


def apply_withdrawal(notice: str | Path, release: str | Path) -> Withdrawal:
    """Remove from a recipient's copy what a notice names, and check the result.

    Parameters
    ----------
    notice : str or Path
        The file from the steward.
    release : str or Path
        The copy, in a folder of this machine.

    Returns
    -------
    Withdrawal
        With no images where the copy was up to date already.

    Raises
    ------
    ReleaseError
        The notice is for another release or another state of it, or the result would differ from
        the release of the steward; then nothing was changed.
    ReleaseStoppedError
        The disk is full or cannot be written; the same call goes on.

    Examples
    --------
    >>> apply_withdrawal("withdrawal-9c1f20aa.json", "copy").images  # doctest: +SKIP
    2
    """
    folder = _local(release)
    try:
        asked = Notice.from_json(Path(notice).read_bytes())
    except OSError as error:
        raise ReleaseError(f"the notice cannot be read: {error.strerror}; check the path") from None
    about, _ = stated(LocalPlace(folder))
    if str(about.get("id", "")) != asked.release:
        raise ReleaseError(
            f"the notice is for another release than {folder.name!r}; its ID differs"
        )
    journal = folder / JOURNAL_OF_COPY
    try:
        with tagged(TAG), exclusive(folder / ABOUT, wait_s=1):
            if (unfinished := _read(journal)) is not None:
                removal = Removal(**unfinished)
            else:
                removal = _staged_for(asked, folder)
                if not removal.replaced:
                    return Withdrawal(folder, asked, None, 0, 0)
                write_file(journal, json.dumps(asdict(removal)))
            finish(folder, removal)
            _discard(journal)
    except InUseError as error:
        raise ReleaseError(str(error)) from None
    if removal.after != asked.after:  # of an earlier notice, which was unfinished
        return apply_withdrawal(notice, release)
    return Withdrawal(folder, asked, None, removal.images, _shards(removal))


def unfinished(release: Path, private: Path | None = None) -> bool:
    """Return whether a withdrawal from a release, or from a copy, was interrupted."""
    kept_here = private_of(release, private)
    return (release / JOURNAL_OF_COPY).is_file() or (kept_here / JOURNAL).is_file()


# -- helpers ----------------------------------------------------------------------------------


def _local(release: str | Path) -> Path:
    where = locate(release)
    if isinstance(where, str):
        raise ReleaseError(
            f"{where!r} is a URL; withdraw from a copy of the release on this machine, then "
            "replace the release by it"
        )
    return where


def _check_private(folder: Path, private: Path) -> None:
    if (private / PROTECTED).is_file():
        stage(folder, (), 0)  # says why not
    if not is_ledger(private / LEDGER):
        raise ReleaseError(
            f"{private.name!r} holds no ledger of {folder.name!r}; name the private folder with "
            "--private. A recipient uses deepfixcx apply-withdrawal"
        )
    with Ledger(private / LEDGER) as ledger:
        known = ledger.id()
    if (said := id_in(LocalPlace(folder))) and said != known:
        raise ReleaseError(
            f"{private.name!r} is the private folder of another release than {folder.name!r}; "
            "name the right one with --private"
        )


@contextmanager
def _locked(folder: Path, private: Path) -> Iterator[OwnFolder]:
    stated(LocalPlace(folder))
    try:
        with OwnFolder(private, private=True) as own:
            yield own
    except InUseError as error:
        raise ReleaseError(str(error)) from None


def _read(path: Path) -> dict[str, Any] | None:
    with suppress(FileNotFoundError, ValueError):
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found
    return None


def _discard(path: Path) -> None:
    remove_listed(path.parent, {path.name: {sha256_of(path)}})


def _shards(removal: Removal) -> int:
    return sum(name.startswith("codes/") for name in removal.replaced)


def _complete(
    folder: Path, own: OwnFolder, ledger: Lifecycle, journal: dict[str, Any]
) -> Withdrawal:
    """Do what a journal says; each step can be repeated, and the journal is removed last."""
    private, removal = own.folder, Removal(**journal["removal"])
    about = dict(journal["notice"])
    made = Notice(**about | {"source_ids": tuple(about["source_ids"])})
    path = Path(journal["path"])
    with LocalPlace(folder).held(own.id, lambda: None):
        finish(folder, removal)
        ledger.withdraw(made.source_ids, removal.replaced, stated(LocalPlace(folder))[0]["history"])
        metadata = FileLedger(private / METADATA, mode=0o600)
        for name in (n for n in removal.replaced if "/" not in n or is_leaf(n)):
            metadata.add(name, (folder / name).stat().st_size, removal.replaced[name])
        _forget_rows(private, made.source_ids)
        if journal["pseudonyms"] is not None:
            forget_pseudonyms(Path(journal["pseudonyms"]), journal["names"])
        write_file(path, made.to_json(), replace=_is_notice(path))
    remove_temporaries(private, TAG)
    _discard(private / JOURNAL)
    return Withdrawal(folder, made, path, removal.images, _shards(removal))


def _is_notice(path: Path) -> bool:
    with suppress(OSError, ReleaseError):
        Notice.from_json(path.read_bytes())
        return True
    return False


def _forget_rows(private: Path, ids: Iterable[str]) -> None:
    """Remove the rows of sources from the private table of sources."""
    if not (private / SOURCES).is_file():
        return
    text = without_rows(private / SOURCES, frozenset(ids))
    FileLedger(private / MARKER, mode=0o600).write(private, SOURCES, text, mode=0o600)


def _staged_for(notice: Notice, folder: Path) -> Removal:
    """Stage what a notice asks for; refuse it, with nothing changed, where the result differs."""
    _, checksum = stated(LocalPlace(folder))
    if checksum == notice.after:
        return Removal(checksum, checksum)
    if checksum != notice.before:
        raise ReleaseError(
            f"the notice is for the release with checksum {notice.before[:16]}…, and "
            f"{folder.name!r} has {checksum[:16]}…; apply earlier notices first, or copy the "
            "release again"
        )
    removal = stage(folder, frozenset(notice.source_ids), notice.source_file_bytes)
    if removal.after != notice.after:
        remove_temporaries(folder, TAG)
        raise ReleaseError(
            "the result would differ from the release of the sender, so nothing was changed; "
            "use the version of deepfixcx that the sender uses, or copy the release again"
        )
    return removal
