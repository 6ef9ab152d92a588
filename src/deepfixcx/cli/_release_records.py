"""What a release holds, and which originals stand behind each record, for an audit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepfixcx._words import counted
from deepfixcx.cli._originals import (
    check_binding,
    check_files,
    check_members,
    check_place,
    privatized_contents,
)
from deepfixcx.errors import AuditError, ReleaseError
from deepfixcx.io.tables import own_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from deepfixcx.audit.membership import Remake
    from deepfixcx.code import Code
    from deepfixcx.mechanisms import FittedMechanism
    from deepfixcx.spec import CodecSpec

__all__ = ["ReleaseRecords", "read_release"]

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


def read_release(release: Path, private: Path, originals: Path) -> ReleaseRecords:
    """Read a release of codes of single images, or one by a mechanism that knows more."""
    check_place(originals)
    binding = check_binding(release, private)
    check_files(release)
    if (release / "labels.csv").is_file():
        made = _protected(release, private)
        check_members(made.members, originals)
    else:
        made = _ordinary(release, private, originals)
    return replace(made, binding=binding)


def _protected(release: Path, private: Path) -> ReleaseRecords:
    """Read a release by a mechanism that knows labels, or several images."""
    from deepfixcx.mechanisms import load_mechanism
    from deepfixcx.release import load_records, read_members

    records, published = load_records(release), load_mechanism(release)
    members = read_members(private)
    paths = [
        [Path(member.source).resolve() for member in members.get(name, ()) if member.frame == 0]
        for name in records.source_ids
    ]
    synthetic = "synthesis" in _mechanisms(release)
    missing = 0 if synthetic else sum(not each for each in paths)
    if synthetic:
        members = dict.fromkeys(records.source_ids, ())
    if missing or len(members) != len(records.source_ids):
        raise AuditError(
            f"{private.name!r} is the private folder of another release: it lists "
            f"{counted(len(members), 'record')}, and {release.name!r} has "
            f"{counted(len(records.source_ids), 'record')}; name the right folder with --private"
        )
    encoded = private / "images.private"
    contents = privatized_contents(encoded)
    sources = _sources(encoded / "sources.csv", release) if contents else {}
    notes = (
        f"made with {', '.join(_mechanisms(release))}: the attacker's images were brought into "
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
        any("resampling" in name or "noise" in name for name in _mechanisms(release)),
        published.fitted,
        synthetic=synthetic,
        owners={
            Path(each.source).resolve(): each.patient for some in members.values() for each in some
        },
    )


def _as_large(code: Code, private: Path) -> Code:
    """Return codes of images of the usual size: a release by a mechanism does not tell sizes."""
    import numpy as np

    from deepfixcx.code import Code
    from deepfixcx.release import load_codes

    sizes, counts = np.unique(
        load_codes(private / "images", code.channels)[0].sizes, axis=0, return_counts=True
    )
    usual = sizes[int(np.argmax(counts))]
    return Code(code.array, code.spec, np.tile(usual, (len(code), 1)))


def _ordinary(release: Path, private: Path, originals: Path) -> ReleaseRecords:
    """Read a release of codes of single images."""
    import numpy as np

    used = _mechanisms(release)
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
    code, ids = _codes(release)
    sources = _sources(private / "sources.csv", release)
    first = {name: row for row, name in reversed(list(enumerate(ids)))}
    if len(first) < len(ids):
        more = counted(len(ids) - len(first), "further frame")
        notes += (f"{more} of multi-frame files left out",)
    rows = sorted(first.values())
    unknown = sum(ids[row] not in sources for row in rows)
    if unknown:
        raise AuditError(
            f"{private.name!r} is the private folder of another release: it does not list "
            f"{counted(unknown, 'record')} of {release.name!r}; name the right one with --private"
        )
    base = originals if originals.is_dir() else originals.parent
    paths = {ids[row]: (base / sources[ids[row]]).resolve() for row in rows}
    return ReleaseRecords(
        code[np.array(rows)],
        [[paths[ids[row]]] for row in rows],
        _by_path(paths, privatized_contents(private)),
        code.spec,
        code.channels,
        lambda array: array,
        None,
        notes,
        drawn=any("noise" in name for name in used),
    )


def _codes(release: Path) -> tuple[Code, list[str]]:
    """Return the codes of gray images, or where there are none those of colour images."""
    from deepfixcx.release import load_codes

    try:
        return load_codes(release, 1)
    except ReleaseError as error:
        try:
            return load_codes(release, 3)
        except ReleaseError:
            if not (release / "manifest.csv").is_file():
                raise error from None
            raise ReleaseError(
                f"{release.name!r} holds no codes, which an audit attacks; make a release with "
                "privatize --output codes"
            ) from None


def _by_path(paths: Mapping[str, Path], contents: Mapping[str, str]) -> dict[Path, str]:
    return {path: contents[name] for name, path in paths.items() if name in contents}


def _mechanisms(release: Path) -> list[str]:
    """Return the names of what was done to codes, step by step."""
    try:
        about = json.loads((release / "dataset.json").read_bytes())
        steps = [step for each in about["mechanisms"] for step in each.get("steps", [each])]
        return [str(step["mechanism"]) for step in steps]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError(
            f"{release.name!r} has no readable dataset.json, so it is not a finished release"
        ) from None


def _sources(table: Path, release: Path) -> Mapping[str, str]:
    try:
        return {row["source_id"]: row["source"] for row in own_rows(table)}
    except (OSError, KeyError, ValueError):
        raise ReleaseError(
            f"{str(table)!r} does not list the source of each record of {release.name!r}; name "
            "the private folder of the release with --private"
        ) from None
