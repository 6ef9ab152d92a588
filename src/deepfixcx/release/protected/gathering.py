"""The first pass: images of a dataset become plain codes in the private folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepfixcx._words import counted
from deepfixcx.choices import Engine
from deepfixcx.code import Code
from deepfixcx.datasets import Dataset
from deepfixcx.errors import ReleaseError
from deepfixcx.io.tables import own_rows
from deepfixcx.mechanisms.records import Records
from deepfixcx.release.engines import choose_run
from deepfixcx.release.inputs import printable
from deepfixcx.release.manifest import write_private_rows
from deepfixcx.release.plan import ReleaseOptions
from deepfixcx.release.protected.members import Member
from deepfixcx.release.release import load_codes
from deepfixcx.release.run import Progress, Summary, privatize_dataset
from deepfixcx.release.storage import Location

__all__ = ["Gathered", "PassOne", "Withheld"]

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
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PassOne:
    """How images are encoded; the same for those that are released and for the public ones."""

    private: Path
    options: ReleaseOptions
    workers: int
    engine: Engine
    scheduler: str | None
    insecure_scheduler: bool
    resume: bool
    report: Callable[[Progress], None] | None
    again: str

    def check(self, *places: Location) -> None:
        """Refuse, before any work, an engine or a scheduler that cannot be used."""
        choose_run(
            *places,
            workers=self.workers,
            engine=self.engine,
            scheduler=self.scheduler,
            insecure_scheduler=self.insecure_scheduler,
        )

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
        return privatize_dataset(
            self.private / table,
            self.private / name,
            self.options,
            private=self.private / f"{name}.private",
            workers=self.workers,
            engine=self.engine,
            scheduler=self.scheduler,
            insecure_scheduler=self.insecure_scheduler,
            resume=self.resume,
            report=self.report,
            again=self.again,
        )


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
    folder = Path(summary.folder)
    sources = {row["source_id"]: row for row in own_rows(summary.private / "sources.csv")}
    withheld += [
        Withheld(row["source"], row["error"], row["reason"])
        for row in sources.values()
        if row["status"] != "done"
    ]
    code, ids, others = _of_one_kind(summary, channels)
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
    manifest = (folder / "manifest.csv").read_bytes()
    rows = "\n".join(f"{each.source}\0{each.frame}\0{each.patient}" for each in members)
    return Gathered(
        records,
        tuple(members),
        code.channels,
        tuple(withheld),
        _contents(summary.private),
        hashlib.sha256(manifest + rows.encode()).hexdigest(),
        json.loads((folder / "dataset.json").read_bytes()),
    )


def _of_one_kind(summary: Summary, channels: int | None) -> tuple[Code, list[str], list[str]]:
    """Return codes of one number of channels, that of most images, and the ids of the others."""
    folder = Path(summary.folder)
    found: dict[int, tuple[Code, list[str]]] = {}
    for count in (1, 3):
        try:
            found[count] = load_codes(folder, count)
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
    return ReleaseError(f"{text}; all reasons are in {str(folder / 'failures.csv')!r}")


def _contents(private: Path) -> frozenset[str]:
    """Return the hash of every file that was encoded."""
    from deepfixcx.release.ledger import LEDGER, Ledger

    with Ledger(private / LEDGER) as ledger:
        shards = sorted(ledger.complete_shards())
        return frozenset(
            seen.content for shard in shards for seen in ledger.sources(shard) if seen.content
        )
