"""What a release holds, and which originals stand behind each record, for an audit.

Originals and private folders of another release are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepfixcx._words import counted
from deepfixcx.errors import AuditError, ReleaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from deepfixcx.audit.suite import Target
    from deepfixcx.audit.tracing import Remake
    from deepfixcx.code import Code
    from deepfixcx.mechanisms import FittedMechanism
    from deepfixcx.release import PrivateFolder, Release
    from deepfixcx.spec import CodecSpec

__all__ = [
    "HINT",
    "ReleaseRecords",
    "check_contents",
    "check_members",
    "check_pairs",
    "check_place",
    "count_missing",
    "read_release",
]

MIXING = "mixing"


@dataclass(frozen=True, eq=False, slots=True)
class ReleaseRecords:
    """Records of a release, and what each was made of."""

    records: Code | NDArray[np.float32]
    members: list[list[Path]]
    contents: Mapping[Path, str]
    spec: CodecSpec
    channels: int
    represent: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    labels: str | None
    notes: tuple[str, ...]
    record_labels: NDArray[np.float32] | None = None
    label_names: tuple[str, ...] = ()
    drawn: bool = False
    fitted: FittedMechanism | None = None
    binding: str = ""
    synthetic: bool = False
    owners: Mapping[Path, str] = field(default_factory=dict, repr=False)  # patients, if known
    pseudonyms: Mapping[Path, str] = field(default_factory=dict, repr=False)  # of the manifest

    @property
    def budget(self) -> tuple[float, float] | None:
        """Epsilon and delta for a patient, where the mechanism states them."""
        from deepfixcx.mechanisms.catalogue import budget_of

        mechanism = getattr(self.fitted, "mechanism", None)
        return None if mechanism is None else budget_of(mechanism)

    def again(
        self, codes: NDArray[np.float32], labels: NDArray[np.float32], patients: NDArray[np.str_]
    ) -> Remake | None:
        """Return what applies the same mechanism to some of the images, where it is published."""
        fitted = self.fitted
        if fitted is None:
            return None

        def remake(
            places: NDArray[np.int64], generator: np.random.Generator
        ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
            from deepfixcx.errors import MechanismError
            from deepfixcx.mechanisms import Records

            some = Records.of(codes[places], labels[places], patients[places])
            try:
                made = fitted.apply(some, generator)
            except MechanismError:
                raise AuditError(
                    "half of the patients is too few for the mechanism of this release"
                ) from None
            return made.array, made.labels.astype("float64")

        return remake


def read_release(folder: Path, kept_here: Path, originals: Path) -> ReleaseRecords:
    """Read a release of codes of single images, or one by a mechanism that knows more."""
    from deepfixcx.release import PrivateFolder, Release

    check_place(originals)
    private = PrivateFolder(kept_here)
    binding = private.check_binding(folder)
    release = Release.open(folder)
    if changed := release.changed_files():
        raise AuditError(
            f"{counted(len(changed), 'file')} of {release.name!r} changed after the release was "
            "made: deepfixcx verify names them; copy the release again"
        )
    if release.has_records:
        made = _protected(release, private)
        check_members(made.members, originals)
    else:
        made = _ordinary(release, private, originals)
    return replace(made, binding=binding)


def _protected(release: Release, private: PrivateFolder) -> ReleaseRecords:
    """Read a release by a mechanism that knows labels, or several images."""
    from deepfixcx.release import read_members

    records, published, used = release.records(), release.mechanism(), release.mechanisms
    members = read_members(private.path)
    paths = [
        [Path(member.source).resolve() for member in members.get(name, ()) if member.frame == 0]
        for name in records.source_ids
    ]
    synthetic = "synthesis" in used
    missing = 0 if synthetic else sum(not each for each in paths)
    if synthetic:
        members = dict.fromkeys(records.source_ids, ())
    if missing or len(members) != len(records.source_ids):
        raise AuditError(
            f"{private.path.name!r} is the private folder of another release: it lists "
            f"{counted(len(members), 'record')}, and {release.name!r} has "
            f"{counted(len(records.source_ids), 'record')}; name the right folder with --private"
        )
    contents = private.encoded.contents()
    sources = private.encoded.sources() if contents else {}
    notes = (
        f"made with {', '.join(used)}: the attacker's images were brought into "
        "the form of the release with its published files",
        "records are synthetic: drawn from a model, and of no image and no patient"
        if synthetic
        else f"a record is made from up to {counted(max(map(len, paths)), 'image')}; a record that "
        "contains the attacker's image is not counted",
    )
    return ReleaseRecords(
        _as_large(records.code, private) if records.code is not None else records.array,
        paths,
        _by_path({name: Path(source).resolve() for name, source in sources.items()}, contents),
        published.spec,
        published.channels,
        published.represent,
        ",".join(records.label_names),
        notes,
        records.labels,
        records.label_names,
        any("resampling" in name or "noise" in name for name in used),
        published.fitted,
        synthetic=synthetic,
        owners={
            Path(each.source).resolve(): each.patient for some in members.values() for each in some
        },
    )


def _as_large(code: Code, private: PrivateFolder) -> Code:
    """Return codes of images of the usual size: a release by a mechanism does not contain sizes."""
    import numpy as np

    from deepfixcx.code import Code

    plain, _ = private.plain().codes(code.channels)
    sizes, counts = np.unique(plain.sizes, axis=0, return_counts=True)
    usual = sizes[int(np.argmax(counts))]
    return Code(code.array, code.spec, np.tile(usual, (len(code), 1)))


def _ordinary(release: Release, private: PrivateFolder, originals: Path) -> ReleaseRecords:
    """Read a release of codes of single images."""
    import numpy as np

    used = release.mechanisms
    if MIXING in used:
        raise AuditError(
            f"{release.name!r} mixes images and has no labels.csv, so the images of a record are "
            "unknown; make the release again with privatize --mechanism"
        )
    notes: tuple[str, ...] = ()
    if used:
        notes += (
            f"made with {', '.join(used)}; the attacker's images were encoded without it, as a "
            "recipient of the release would encode them",
        )
    if not any(row["code_file"] for row in release.rows):
        raise ReleaseError(
            f"{release.name!r} holds no codes, which an audit attacks; make a release with "
            "privatize --output codes"
        )
    code, ids = release.codes()
    sources = private.sources()
    first = {name: row for row, name in reversed(list(enumerate(ids)))}
    if len(first) < len(ids):
        more = counted(len(ids) - len(first), "further frame")
        notes += (f"{more} of multi-frame files left out",)
    rows = sorted(first.values())
    unknown = sum(ids[row] not in sources for row in rows)
    if unknown:
        raise AuditError(
            f"{private.path.name!r} is the private folder of another release: it does not list "
            f"{counted(unknown, 'record')} of {release.name!r}; name the right one with --private"
        )
    base = originals if originals.is_dir() else originals.parent
    paths = {ids[row]: (base / sources[ids[row]]).resolve() for row in rows}
    return ReleaseRecords(
        code[np.array(rows)],
        [[paths[ids[row]]] for row in rows],
        _by_path(paths, private.contents()),
        code.spec,
        code.channels,
        lambda array: array,
        None,
        notes,
        drawn=any("noise" in name for name in used),
        pseudonyms=_pseudonyms(release, paths),
    )


def _pseudonyms(release: Release, paths: Mapping[str, Path]) -> dict[Path, str]:
    """Return the patient of each original by the manifest, which is checked by its checksum."""
    named = {row["source_id"]: row.get("patient", "") for row in release.rows}
    return {path: named[name] for name, path in paths.items() if named.get(name)}


def _by_path(paths: Mapping[str, Path], contents: Mapping[str, str]) -> dict[Path, str]:
    return {path: contents[name] for name, path in paths.items() if name in contents}


FEWEST = 8
"""Records below which a pairing cannot be distinguished from a random one."""

HINT = "give --against the input folder (IN) of privatize"


def check_place(originals: Path) -> None:
    """Refuse a place of originals that does not exist."""
    if not originals.exists():
        raise AuditError(f"there is no file or folder {str(originals)!r}; {HINT}")


def check_members(members: Sequence[Sequence[Path]], originals: Path) -> None:
    """Refuse originals that are not those which the private folder of a mechanism names."""
    from deepfixcx.release.inputs import find_sources

    known = {path for paths in members for path in paths}
    if originals.is_dir():
        folders = {originals.absolute(), originals.resolve()}
        strange = [path for path in known if not any(map(path.is_relative_to, folders))]
    else:
        try:
            listed = find_sources(originals).found
        except ReleaseError:  # a table of another layout: it names its images in its own way
            return
        there = {each.path.resolve() for each in listed if isinstance(each.path, Path)}
        strange = [path for path in known if path not in there]
    if strange:
        raise AuditError(
            f"{len(strange):,} of {counted(len(known), 'original')} of this release do not lie in "
            f"{originals.name!r}; {HINT}"
        )


def check_contents(contents: Mapping[Path, str]) -> None:
    """Refuse originals whose bytes are not those that were privatized."""
    from deepfixcx.release.storage import content_of

    now = {path: content_of(path) for path in contents}
    present = {path: content for path, content in now.items() if content}
    others = sum(content != contents[path] for path, content in present.items())
    if others:
        raise AuditError(
            f"{others:,} of {counted(len(present), 'original')} differ from the files that were "
            f"privatized; {HINT}"
        )


def check_pairs(release: str, target: Target, *, drawn: bool) -> bool:
    """Refuse a private folder that pairs records with images or labels of another release."""
    import numpy as np

    from deepfixcx.audit.reconstruction.attackers import numbers_of

    behind = target.members_of_each()
    order = np.roll(np.arange(len(behind)), len(behind) // 2)
    refused = AuditError(
        f"the private folder pairs the records of {release!r} with other images than their "
        "sources, so it belongs to another release; name the right folder with --private"
    )
    if target.record_labels is not None and target.labels is not None:
        shared = np.asarray(target.record_labels, np.float64)
        labels = np.asarray(target.labels, np.float64)[:, : shared.shape[1]]
        truth = np.stack([labels[list(images)].mean(axis=0) for images in behind])
        known = np.isfinite(shared) & np.isfinite(truth)
        apart = np.where(known, np.abs(shared - truth), 0).mean()
        random = np.where(known, np.abs(shared[order] - truth), 0).mean()
        if apart > random / 2:
            raise refused
    if drawn or len(behind) < FEWEST:
        return False
    records = numbers_of(target.released).reshape(len(behind), -1)
    own = np.stack([target.encoded[list(images)].mean(axis=0).ravel() for images in behind])
    scale = np.maximum(own.std(axis=0), 1e-6 * max(float(np.abs(own).max()), 1e-30))
    apart, random = (
        float(np.median(np.abs((records[rows] - own) / scale).mean(axis=1)))
        for rows in (np.arange(len(behind)), order)
    )
    if apart > 0.9 * random > 0:
        raise refused
    return random > 0


def count_missing(members: Iterable[Sequence[Path]]) -> int:
    """Return how many records have no original on the disk."""
    return sum(not any(path.is_file() for path in paths) for paths in members)
