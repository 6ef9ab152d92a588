"""The first pass: images of a dataset become plain codes in the private folder.

What it was begun with, and the secret of what is drawn later, stands in one JSON file there.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepfixcx._words import counted
from deepfixcx.code import Code
from deepfixcx.datasets import Dataset
from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.io.folders import MARKER, FileLedger
from deepfixcx.io.release_files import FAILURES, MANIFEST
from deepfixcx.mechanisms.records import Records
from deepfixcx.release.folders import PROTECTED
from deepfixcx.release.inputs import printable
from deepfixcx.release.leaves import Leaves
from deepfixcx.release.ledger import id_from
from deepfixcx.release.manifest import as_json, write_private_rows
from deepfixcx.release.options import ReleaseOptions, RunOptions
from deepfixcx.release.private import PrivateFolder
from deepfixcx.release.protected.protection import Member
from deepfixcx.release.release import Release
from deepfixcx.release.run import Summary, privatize_dataset

__all__ = ["Gathered", "PassOne", "State", "Withheld", "fingerprint", "open_state", "read_state"]

IMAGES, PUBLIC = "images", "public"
"""Names, in the private folder, of the plain codes of the images to release and of the others."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """One image, or row of a table, that is in no record."""

    source: str
    error: str
    reason: str


@dataclass(frozen=True, eq=False, slots=True)
class Gathered:
    """Plain codes of one dataset."""

    records: Records
    members: tuple[Member, ...]
    channels: int
    withheld: tuple[Withheld, ...]
    contents: frozenset[str]
    digest: str
    mechanisms: tuple[dict[str, Any], ...]  # that workers applied to each code


@dataclass(frozen=True, slots=True)
class PassOne:
    """How images are encoded; the same for those that are released and for the public ones."""

    private: Path
    options: ReleaseOptions
    run: RunOptions

    def gather(self, dataset: Dataset, name: str, channels: int | None = None) -> Gathered:
        """Encode the images of a dataset that have a label, and join codes with labels."""
        labelled = np.flatnonzero(dataset.known.any(axis=1)).tolist()
        withheld = [
            Withheld(printable(str(problem.path or "")), problem.error, problem.reason)
            for problem in dataset.problems
        ]
        named, nameless = _by_path(dataset, labelled)
        withheld += nameless
        unknown = set(range(len(dataset))) - set(labelled)
        withheld += [
            Withheld(printable(str(dataset.records[place].path)), "", "no label is known")
            for place in sorted(unknown)
        ]
        if not named:
            raise ReleaseError(
                f"none of {len(dataset)} images in {dataset.root.name!r} has a known label, so "
                "no record can be made; check the table of labels"
            )
        summary = self._encode(list(named), name)
        return _joined(dataset, summary, named, withheld, channels)

    def _encode(self, paths: list[str], name: str) -> Summary:
        table = f"{name}.csv"
        write_private_rows(self.private, table, ["path"], ((path,) for path in paths))
        run: RunOptions = {**self.run, "private": self.private / f"{name}.private"}
        run["overwrite"] = False  # what an earlier release left is gone by now
        run["leaves"] = Leaves(tables=False)  # plain codes are not shared
        return privatize_dataset(self.private / table, self.private / name, self.options, **run)


def _by_path(dataset: Dataset, places: list[int]) -> tuple[dict[str, int], list[Withheld]]:
    """Return the place of each path that a table can name, and the others."""
    named: dict[str, int] = {}
    others = []
    for place in places:
        path = str(dataset.records[place].path)
        if printable(path) == path and path == path.strip():
            named[path] = place
        else:
            reason = "the name cannot be written to a table; rename the file"
            others.append(Withheld(printable(path), "UnreadableFileError", reason))
    return named, others


def _joined(
    dataset: Dataset,
    summary: Summary,
    named: dict[str, int],
    withheld: list[Withheld],
    channels: int | None,
) -> Gathered:
    release, private = Release.open(summary.folder), PrivateFolder(summary.private)
    sources = {row["source_id"]: row for row in private.left_out(by_mechanism=False) or ()}
    withheld += [
        Withheld(row["source"], row["error"], row["reason"])
        for row in sources.values()
        if row["status"] != "done"
    ]
    code, ids, others = _of_one_kind(release, summary, channels)
    withheld += [
        Withheld(
            sources[name]["source"],
            "CodeError",
            (f"not {code.channels} channels, as the other images"),
        )
        for name in others
    ]
    seen: dict[str, int] = {}
    members, places = [], []
    for name in ids:
        place = named[sources[name]["source"]]
        frame = seen[name] = seen.get(name, -1) + 1
        members.append(Member(sources[name]["source"], frame, str(dataset.patients[place])))
        places.append(place)
    # in an order that does not depend on what the files hold, as that of the plain codes may
    order = sorted(range(len(members)), key=lambda row: (members[row].source, members[row].frame))
    members, places = [members[row] for row in order], [places[row] for row in order]
    records = Records.of(code.array[order], dataset.labels[places], dataset.patients[places])
    with release.place.fetched(MANIFEST) as path:
        manifest = path.read_bytes()
    rows = "\n".join(f"{each.source}\0{each.frame}\0{each.patient}" for each in members)
    return Gathered(
        records,
        tuple(members),
        code.channels,
        tuple(withheld),
        frozenset(private.contents().values()),
        hashlib.sha256(manifest + rows.encode()).hexdigest(),
        tuple(release.about["mechanisms"]),
    )


def _of_one_kind(
    release: Release, summary: Summary, channels: int | None
) -> tuple[Code, list[str], list[str]]:
    """Return codes of one number of channels, that of most images, and the ids of the others."""
    found: dict[int, tuple[Code, list[str]]] = {}
    for count in (1, 3):
        try:
            found[count] = release.codes(count)
        except ReleaseError:
            continue
    if not found or (channels or next(iter(found))) not in found:
        raise _none_of(summary, channels if found else None)
    chosen = channels or max(found, key=lambda count: len(found[count][1]))
    others = [name for count, (_, ids) in found.items() if count != chosen for name in ids]
    return *found[chosen], list(dict.fromkeys(others))


def _none_of(summary: Summary, channels: int | None) -> ReleaseError:
    """Return the error of a dataset without one code, or without one of so many channels."""
    folder = Path(summary.folder)
    which = f"no image of {'IN' if folder.name == IMAGES else 'the public dataset'}"
    if channels is not None:
        wanted = counted(channels, "channel")
        return ReleaseError(
            f"{which} has {wanted}, as the images to release have; choose other public images"
        )
    text = f"{which} could be encoded"
    if summary.reasons:
        reason, count = summary.reasons[0]
        text += f"; {count} of {counted(summary.totals['files'], 'file')}: {reason}"
    return ReleaseError(f"{text}; all reasons are in {str(folder / FAILURES)!r}")


# -- state ----------------------------------------------------------------------------------

FORMAT_NAME = "deepfixcx.protected"
FORMAT_VERSION = 1
SECRET_BYTES = 32
ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class State:
    """What must be the same when a release goes on."""

    identity: Mapping[str, str]
    secret: str = field(repr=False)
    codes: str = ""
    again: str = ""
    folder: str = ""
    id: str = ""

    @property
    def release_id(self) -> str:
        """What ``dataset.json`` calls the release; known to the private folder alone."""
        return id_from(self.secret)

    def generator(self) -> np.random.Generator:
        """Return what draws; the same for the same secret."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(int(self.secret, 16))))

    def save(self, private: Path) -> None:
        """Write it down."""
        about = {"format": FORMAT_NAME, "version": FORMAT_VERSION, **asdict(self)}
        try:
            ledger = FileLedger(private / MARKER, mode=0o600)
            ledger.write(private, PROTECTED, as_json(about), mode=0o600)
        except OSError as error:
            raise ReleaseStoppedError(
                f"the private folder cannot be written: {error.strerror}; free disk space or "
                "change its permissions, then run the same command with --resume"
            ) from None

    def applied_to(self, codes: str, private: Path) -> None:
        """See that the mechanism is applied to one set of codes only, and write down which."""
        if self.codes not in ("", codes):
            raise ReleaseError(
                "images changed since this release was made; --overwrite makes it again with "
                "new random draws"
            )
        replace(self, codes=codes).save(private)


def open_state(
    private: Path, identity: Mapping[str, str], seed: int | None, *, resume: bool
) -> State:
    """Begin, with a fresh secret, or go on with what an earlier run has left."""
    again = os.getcwd()
    if resume and (private / PROTECTED).is_file():
        before = _read(private / PROTECTED)
        differing = [name for name in identity if before.identity.get(name) != identity[name]]
        if "labels" in differing:  # the hashes of images hold labels, too
            differing = [name for name in differing if "images" not in name]
        if differing:
            raise ReleaseError(
                f"this release was started with other {' and '.join(differing)}; --resume "
                "requires the same inputs and options; --overwrite starts again"
            )
        return replace(before, folder=again)
    secret = secrets.token_hex(SECRET_BYTES) if seed is None else f"{seed:x}"
    return State(dict(identity), secret, folder=again, id=secrets.token_hex(ID_BYTES))


def fingerprint(dataset: Dataset | None) -> str:
    """Return a hash of files, patients and labels, whatever their order."""
    if dataset is None:
        return ""
    rows = sorted(
        f"{record.path}\0{record.patient}\0{record.labels}\0{record.known}"
        for record in dataset.records
    )
    text = "\n".join([*dataset.label_names, *rows])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def read_state(private: Path) -> State:
    """Read the state of a release by a mechanism."""
    return _read(private / PROTECTED)


def _read(path: Path) -> State:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if (about.pop("format"), about.pop("version")) == (FORMAT_NAME, FORMAT_VERSION):
            state = State(**about)
            int(state.secret, 16)
            return state
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ReleaseError(
        f"{path.name} in {path.parent.name!r} is damaged or of another version of deepfixcx; "
        f"start again with --overwrite"
    )
