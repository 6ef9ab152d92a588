"""The two folders of a release: whether they may be used, by whom right now, and what goes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from deepfixcx.errors import ReleaseError
from deepfixcx.io import folders
from deepfixcx.io.files import check_apart, is_temporary, one_place, sha256_of, within
from deepfixcx.io.folders import MARKER, FileLedger, id_of, noted
from deepfixcx.io.release_files import ABOUT, KINDS, MANIFEST, SOURCES, WITHHELD
from deepfixcx.io.tables import own_rows
from deepfixcx.release.ledger import LEDGER, Ledger, id_from, is_ledger, read_id
from deepfixcx.release.options import ReleaseOptions, RunOptions
from deepfixcx.release.places import OTHER_PRIVATE, LocalPlace, Place, id_in
from deepfixcx.release.storage import Location, is_url, locate, open_store

__all__ = [
    "HOME",
    "JOURNAL",
    "KEY",
    "METADATA",
    "PLAIN_FOLDERS",
    "PROTECTED",
    "PUBLIC_PRIVATE",
    "TABLES",
    "home_line",
    "in_use",
    "is_private",
    "keep_apart",
    "listed_files",
    "private_files",
    "private_folder",
    "private_of",
    "refuse",
    "release_id",
    "stated_metadata",
]

PROTECTED = "protected.json"
"""In the private folder of a release by a mechanism; that of an ordinary one has a ledger."""

PUBLIC_PRIVATE = "public.private"
PLAIN_FOLDERS = ("images", "images.private", "public", PUBLIC_PRIVATE)
"""In the private folder of a release by a mechanism: what it was applied to."""

JOURNAL = "withdrawal.json"
"""In the private folder while images are withdrawn: what has to be done."""

METADATA = "release.jsonl"
"""In the private folder: ledger of the files of a release that are no results."""

HOME = "release"
"""Name of the fact in the marker of a private folder that says where its release lies."""

KEY = "deidentify.key"
"""Name of the key's file in the private folder."""

TABLES = (
    SOURCES,
    "members.csv",
    WITHHELD,
    "images.csv",
    "public.csv",
    PROTECTED,
    "lock",
)
"""In the private folder of version 0.1, which did not list them."""


def private_folder(folder: Path) -> Path:
    """Return the folder beside a release that must not be shared.

    Parameters
    ----------
    folder : Path
        The release.

    Returns
    -------
    Path

    Examples
    --------
    >>> private_folder(Path("shared/xrays")).name
    'xrays.private'
    """
    return folder.with_name(folder.name + ".private")


def private_of(release: Location, private: str | Path | None) -> Path:
    """Return the private folder of a release: the one asked for, or the one beside it."""
    if private is not None:
        chosen = locate(private)
        if isinstance(chosen, str):
            raise ReleaseError(
                f"--private {chosen!r} is a URL; the private folder must be on this machine, "
                "because its ledger is a locked database"
            )
        return chosen
    if isinstance(release, str):
        raise ReleaseError(
            f"{release!r} is a URL, and private files must not be stored beside it; name a "
            "folder of this machine with --private"
        )
    return private_folder(release)


def private_files(
    options: ReleaseOptions, source: Location, release: Location, run: RunOptions
) -> tuple[Path, Path | None, Path | None]:
    """Return the private folder, the key and the table of pseudonyms, if they lie apart."""
    patient = run.get("patient")
    named = {"the key": run.get("key"), "the table of pseudonyms": run.get("pseudonyms")}
    paths = {what: Path(path) for what, path in named.items() if path is not None}
    if options.output == "deidentified" and patient is not None:
        raise ReleaseError("DICOM headers name the patients; omit --patient")
    usable = {"the key"} if patient is not None else set[str]()
    if not options.writes("dicom") and paths.keys() - usable:
        raise ReleaseError("--key and --pseudonyms require --output dicom; --key, or --patient")
    places = {"IN": source, "OUT": release}
    check_apart(paths, {what: each for what, each in places.items() if isinstance(each, Path)})
    table = paths.get("the table of pseudonyms")
    if table is not None:
        from deepfixcx.release.dicom_output import check_table

        check_table(table, release)  # it may be there, before any work
    return private_of(release, run.get("private")), paths.get("the key"), table


def keep_apart(where: Location, release: Location, private: Path) -> None:
    """Refuse an input, a release and a private folder if one contains another."""
    if isinstance(where, str) and isinstance(release, str):
        mixed = _one_store(where, release)
    else:
        mixed = _mixed(where, release)
    if mixed:
        raise ReleaseError(
            f"the release {str(release)!r} and its input {str(where)!r} overlap; choose an "
            "output folder outside the input"
        )
    for other in (where, release):
        if isinstance(other, Path) and within(private, other):
            raise ReleaseError(
                f"the private folder {str(private)!r} lies in {str(other)!r}; choose one outside "
                "the input and outside the release"
            )
    if isinstance(release, Path) and within(release, private):
        raise ReleaseError(
            f"the release {str(release)!r} lies in the private folder {str(private)!r}; choose "
            "another folder for the release"
        )
    if isinstance(where, Path) and where.is_dir() and within(where, private):
        raise ReleaseError(
            f"the input {str(where)!r} lies in the private folder {str(private)!r}; choose "
            "another private folder with --private"
        )


def _mixed(where: Location, release: Location) -> bool:
    """Return whether a folder lies in the other; beside a single image or a table it may lie."""
    if not isinstance(where, Path) or not isinstance(release, Path):
        return False
    return within(where, release) or (where.is_dir() and within(release, where))


def _one_store(where: str, release: str) -> bool:
    (here, above), (there, below) = open_store(where), open_store(release)
    roots = [f"{path.rstrip('/')}/" for path in (above, below)]
    return bool(here == there) and (roots[0].startswith(roots[1]) or roots[1].startswith(roots[0]))


def refuse(
    place: Place, private: Path, *, resume: bool, overwrite: bool, protected: bool = False
) -> None:
    """Refuse a place that holds something else than what the caller expects, touching nothing."""
    if resume and overwrite:
        raise ReleaseError("--resume and --overwrite exclude each other; give one of them")
    state = place.state()
    if state == "file":
        raise ReleaseError(f"{str(place)!r} is a file; choose another folder for the release")
    _check_private(private)
    if (private / JOURNAL).is_file():
        raise ReleaseError(
            f"a withdrawal from {str(place)!r} is unfinished; run the same deepfixcx withdraw again"
        )
    kinds = {False: is_ledger(private / LEDGER), True: (private / PROTECTED).is_file()}
    has_ledger = any(kinds.values())
    if resume and has_ledger and not kinds[protected]:
        raise ReleaseError(
            f"the release {str(place)!r} was started with other mechanisms; --resume requires "
            "the same inputs and options; --overwrite starts again"
        )
    if state == "free":
        if has_ledger:
            _check_home(place, private, resume=resume, overwrite=overwrite)
        return
    if not resume and not overwrite:
        raise ReleaseError(
            f"{str(place)!r} is not empty; continue with --resume, start again with --overwrite, "
            "or choose another folder"
        )
    known = id_of(private)  # the ledger may be damaged, or gone by a kill during --overwrite
    damaged = known != "" and ((private / LEDGER).is_file() or place.owner() == known)
    if not has_ledger and not damaged:
        raise _not_ours(place, private)
    _check_owner(place, private)


def _check_home(place: Place, private: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse the private folder of a release that lies, or lay, at another place than this one."""
    home = home_of(private)
    elsewhere = home is not None and not _is_at(place, home)
    if elsewhere:
        raise ReleaseError(
            f"{str(private)!r} is the private folder of the release {str(home)!r}; choose another "
            f"--private for {str(place)!r}"
        )
    beside = isinstance(place, LocalPlace) and private == private_folder(place.folder)
    finished = bool(FileLedger(private / METADATA).listed)
    if not (resume or (overwrite and (home or beside)) or (beside and not finished)):
        raise ReleaseError(
            f"{str(private)!r} holds the ledger of a release; continue with --resume, start "
            "again with --overwrite, or choose another --private for this release"
        )


def home_of(private: Path) -> Location | None:
    """Return where the release of a private folder lies, or lay; None before version 0.2."""
    home = noted(private, HOME)
    if not home or is_url(home):
        return home or None
    return Path(os.path.normpath(Path(os.path.realpath(private), home)))


def home_line(place: Place, private: Path) -> str:
    """Return what `home_of` reads: a path from the private folder, as both may move together."""
    if not isinstance(place, LocalPlace):
        return str(place)
    return os.path.relpath(os.path.realpath(place.folder), os.path.realpath(private))


def _is_at(place: Place, home: Location) -> bool:
    if isinstance(place, LocalPlace) and isinstance(home, Path):
        return one_place(place.folder, home)
    return str(place) == str(home)


def _check_private(private: Path) -> None:
    """Refuse a folder that holds something and is not the private folder of a release."""
    if not private.is_dir():
        if private.exists():
            raise ReleaseError(f"{str(private)!r} is a file; --private names a folder")
        return
    names = {path.name for path in private.iterdir()} - {MARKER, METADATA}
    if not all(map(is_temporary, names)) and not is_private(private):
        raise ReleaseError(
            f"{str(private)!r} was not made by deepfixcx as a private folder and is not empty; "
            "choose another folder with --private"
        )


def is_private(folder: Path) -> bool:
    """Return whether a folder is the private one of a release, and not that of other results."""
    if is_ledger(folder / LEDGER) or _is_state(folder / PROTECTED):
        return True
    return bool(id_of(folder)) and ((folder / LEDGER).is_file() or bool(noted(folder, HOME)))


def _is_state(path: Path) -> bool:
    with suppress(OSError, ValueError):
        about = json.loads(path.read_bytes())
        return isinstance(about, dict) and about.get("format") == "deepfixcx.protected"
    return False


def _not_ours(place: Place, private: Path) -> ReleaseError:
    return ReleaseError(
        f"{str(place)!r} was not made by deepfixcx, or its ledger is not in {private.name!r}; "
        "choose another folder, or name the right private folder with --private"
    )


def _check_owner(place: Place, private: Path) -> None:
    """Refuse a place that is not the release of this private folder."""
    marker, stated = place.owner(), id_in(place)
    if marker is not None:
        if marker != id_of(private):
            raise ReleaseError(OTHER_PRIVATE.format(str(place)))
        return
    if stated:
        if stated != release_id(private):
            raise ReleaseError(OTHER_PRIVATE.format(str(place)))
        return
    for listed in listed_files(place, private):
        if any(place.holds(name, digests) for name, digests in listed.items()):
            return
    raise _not_ours(place, private)


def release_id(private: Path) -> str:
    """Return the id of the release that a private folder belongs to; empty before version 0.2."""
    if is_ledger(private / LEDGER):
        return read_id(private / LEDGER)
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads((private / PROTECTED).read_bytes())
        return id_from(about["secret"])
    return ""


def listed_files(place: Place, private: Path) -> Iterator[dict[str, set[str]]]:
    """Yield the files of a release that a ledger lists, and their hashes, a few at a time."""
    metadata = FileLedger(private / METADATA).listed or stated_metadata(place)
    yield metadata
    if is_ledger(private / LEDGER):
        with suppress(ReleaseError), Ledger(private / LEDGER) as ledger:
            yield from ledger.listed()
            return
    with suppress(OSError, ValueError, KeyError), ExitStack() as stack:
        path = stack.enter_context(place.fetched(MANIFEST))
        if sha256_of(path) in metadata.get(MANIFEST, ()):
            for row in own_rows(path):
                for kind in KINDS:
                    if row.get(f"{kind}_file"):
                        yield {row[f"{kind}_file"]: {row[f"{kind}_sha256"]}}


def stated_metadata(place: Place) -> dict[str, set[str]]:
    """Return the metadata files of a release of version 0.1, as dataset.json states them."""
    with suppress(OSError, ValueError, KeyError, TypeError, ReleaseError):
        if id_in(place) == "":
            with place.fetched(ABOUT) as path:
                papers = json.loads(path.read_bytes())["papers"]
                return {ABOUT: {sha256_of(path)}} | {str(k): {str(v)} for k, v in papers.items()}
    return {}


def in_use(private: Path) -> bool:
    """Return whether a process is writing the release right now."""
    return folders.in_use(private / MARKER)
