"""Which mechanisms are asked for, whether they can be applied, and which images stand behind each.

Private tables hold which images are behind a record, and which patients were mixed before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepfixcx.datasets import Dataset
from deepfixcx.errors import MechanismError, ReleaseError
from deepfixcx.io.files import writing_text
from deepfixcx.io.tables import own_rows
from deepfixcx.mechanisms.catalogue import (
    makes_vectors,
    mechanism_named,
    mixes,
    names_in,
    needs_labels,
    needs_public,
    noise_named,
)
from deepfixcx.mechanisms.pixel_noise import PixelNoise
from deepfixcx.mechanisms.protocol import Mechanism
from deepfixcx.mechanisms.records import Records
from deepfixcx.release.manifest import write_private_rows
from deepfixcx.spec import CodecSpec

__all__ = [
    "CONTENT",
    "Member",
    "Protection",
    "check_not_mixed_before",
    "read_members",
    "remember_mixed",
    "write_members",
]


@dataclass(frozen=True, slots=True)
class Protection:
    """Noise that encodes, and a mechanism that follows.

    Attributes
    ----------
    names : tuple of str
        As they were asked for.
    noise : PixelNoise or None
        In place of the codec.
    mechanism : Mechanism or None
        What is done to codes; None where there is only noise.

    Examples
    --------
    >>> Protection.of("mixing-3", CodecSpec(2, 4)).names
    ('mixing-3',)
    """

    names: tuple[str, ...]
    noise: PixelNoise | None
    mechanism: Mechanism | None

    @classmethod
    def of(cls, text: str, spec: CodecSpec) -> Protection:
        """Read names with commas between; noise comes first.

        Raises
        ------
        MechanismError
            A name is unknown, is there twice, or noise is not the first.
        SpecError
            The spec is of volumes.

        Examples
        --------
        >>> Protection.of("noise-2-16,mixing-5", CodecSpec(level=2, patches=4)).mechanism.k
        5
        """
        spec.refuse_volumes("a mechanism")
        names = names_in(text)
        noises = [noise_named(name, spec) for name in names]
        if any(noise is not None for noise in noises[1:]):
            raise MechanismError("noise replaces encoding; name it once, as the first mechanism")
        noise = noises[0] if noises else None
        rest = names if noise is None else names[1:]
        return cls(names, noise, mechanism_named(",".join(rest)) if rest or not names else None)

    @property
    def in_workers(self) -> bool:
        """Whether each code can be made alone, without labels and other images."""
        return self.mechanism is None or not needs_labels(self.mechanism)

    @property
    def followed(self) -> Mechanism:
        """The mechanism that follows noise.

        Raises
        ------
        MechanismError
            There is none.
        """
        if self.mechanism is None:
            raise MechanismError("noise alone needs no labels; make an ordinary release with it")
        return self.mechanism

    @property
    def vectors(self) -> bool:
        """Whether records are vectors rather than codes."""
        return self.mechanism is not None and makes_vectors(self.mechanism)

    def check(self, dataset: Dataset, public: Dataset | None) -> None:
        """See that labels, patients and other images are there where they are needed.

        Raises
        ------
        MechanismError
            They are not; or there are some that would not be used.
        """
        mechanism, called = self.followed, ",".join(self.names)
        if self.in_workers:
            raise MechanismError(
                f"{called} uses no labels; make an ordinary release with it, and omit --labels "
                "and --public"
            )
        if not dataset.label_names:
            raise MechanismError(f"{called} needs labels; name them with --labels")
        if not dataset.has_patients:
            raise MechanismError(
                f"{called} counts patients, and some images to release have no patient ID; add "
                "the IDs to the table"
            )
        if public is None and needs_public(mechanism):
            raise MechanismError(
                f"{called} learns from images of other patients; name a dataset with the same "
                "labels with --public"
            )
        if public is not None and not needs_public(mechanism):
            raise MechanismError(f"{called} uses no other images; omit --public")
        if public is not None:
            self._check_public(dataset, public)

    def _check_public(self, dataset: Dataset, public: Dataset) -> None:
        if public.label_names != dataset.label_names:
            raise MechanismError(
                f"the public images have the labels {', '.join(public.label_names) or 'none'}, "
                f"and the images to release have {', '.join(dataset.label_names)}; name the same "
                "labels for both"
            )
        if dataset.has_patients and public.has_patients:
            both = set(dataset.patients.tolist()) & set(public.patients.tolist())
            if both:
                raise MechanismError(
                    f"{len(both)} patients are both in the images to release and in the public "
                    "images; remove them from one, or change the IDs if they are different "
                    "people"
                )

    def notes(self, dataset: Dataset, public: Dataset | None) -> tuple[str, ...]:
        """Return what could not be checked, in words."""
        notes = []
        if mixes(self.followed):
            notes.append(
                "an attacker who holds candidate images finds the members of mixed records; "
                "share no second release of these patients, and prefer resampling"
            )
        if public is not None and not (dataset.has_patients and public.has_patients):
            notes.append(
                "some public images have no patient ID, so it is not certain that they are of "
                "other patients; no file is in both"
            )
        return tuple(notes)


# -- members --------------------------------------------------------------------------------

MEMBERS = "members.csv"
CONTENT = "sha256:"
"""Begins a source that is named by what it holds: a copy under another name is the same image."""

MIXED = "mixed.json"
"""In the private folder: what earlier releases mixed. It outlasts ``--overwrite``, because a
release that was shared cannot be taken back."""

MIXED_FORMAT, MIXED_VERSION = "deepfixcx.mixed", 1
COLUMNS = ["source_id", "source", "frame", "patient"]


@dataclass(frozen=True, slots=True)
class Member:
    """One image behind a record. Its text form shows neither its file nor its patient.

    Attributes
    ----------
    source : str
        Absolute path of the file.
    frame : int
        Number of the frame in it, from 0.
    patient : str
        Whose it is; a name made of the file where it is unknown.

    Examples
    --------
    >>> Member("/scans/1.png", patient="p1").frame
    0
    """

    source: str = field(repr=False)
    frame: int = 0
    patient: str = field(default="", repr=False)


def write_members(
    private: Path, names: Sequence[str], records: Records, members: Sequence[Member]
) -> None:
    """Write which images each record is made of; only the owner may read the file."""
    rows = (
        (name, members[place].source, members[place].frame, members[place].patient)
        for name, places in zip(names, records.members, strict=True)
        for place in places.tolist()
    )
    write_private_rows(private, MEMBERS, COLUMNS, rows)


def read_members(private: str | Path) -> dict[str, tuple[Member, ...]]:
    """Return which images stand behind each record of a release by a mechanism.

    Of a record that was drawn anew, these are the images in whose place it stands.

    Parameters
    ----------
    private : path-like
        The private folder of the release.

    Returns
    -------
    dict of str to tuple of Member
        By the names of the records, in the order of the release.

    Raises
    ------
    ReleaseError
        The folder has no such table, or a damaged one.

    Examples
    --------
    >>> members = read_members("shared.private")  # doctest: +SKIP
    >>> len({member.patient for member in members["000001"]})  # doctest: +SKIP
    3
    """
    path = Path(private) / MEMBERS
    found: dict[str, list[Member]] = {}
    try:
        for row in own_rows(path):
            member = Member(row["source"], int(row["frame"]), row["patient"])
            found.setdefault(row["source_id"], []).append(member)
    except (OSError, ValueError, KeyError):
        raise ReleaseError(
            f"{path.parent.name!r} has no readable {MEMBERS}, which the private folder of a "
            "release made with a mechanism has; check --private"
        ) from None
    return {name: tuple(members) for name, members in found.items()}


def check_not_mixed_before(
    private: Path, release: str, patients: set[str], sources: set[str]
) -> None:
    """Refuse to mix what another release of this private folder mixed already."""
    again = 0
    for name, earlier in _mixed_before(private).items():
        if name != release:
            files = sources & set(earlier["sources"])
            equal = sum(each.startswith(CONTENT) for each in files)
            shared = len(patients & set(earlier["patients"]))
            again = max(again, shared, equal, len(files) - equal)
    if again:
        raise MechanismError(
            f"an earlier release by mixing with this private folder holds {again} of the same "
            "patients or files; the difference between two such releases reveals single "
            "patients. Share the earlier release, or use another mechanism"
        )


def remember_mixed(private: Path, release: str, patients: set[str], sources: set[str]) -> None:
    """Note in the private folder what a release mixes, before anything of it is written."""
    releases = _mixed_before(private)
    releases[release] = {"patients": sorted(patients), "sources": sorted(sources)}
    about = {"format": MIXED_FORMAT, "version": MIXED_VERSION, "releases": releases}
    with writing_text(private / MIXED, mode=0o600, replace=True) as file:
        json.dump(about, file, indent=1, sort_keys=True)
        file.write("\n")


def _mixed_before(private: Path) -> dict[str, dict[str, list[str]]]:
    try:
        about = json.loads((private / MIXED).read_text(encoding="utf-8"))
        if (about["format"], about["version"]) == (MIXED_FORMAT, MIXED_VERSION):
            return {
                str(name): {part: list(map(str, each[part])) for part in ("patients", "sources")}
                for name, each in about["releases"].items()
            }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ReleaseError(
        f"{MIXED} in {private.name!r} is damaged or of another version of deepfixcx, so the "
        "patients of earlier mixtures are unknown; restore it from a backup"
    )
