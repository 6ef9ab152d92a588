"""Make a release by a mechanism, or resume one."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack

from deepfixcx.datasets import Dataset
from deepfixcx.errors import MechanismError, ReleaseError
from deepfixcx.io.release_files import WITHHELD
from deepfixcx.mechanisms.catalogue import budget_of, mixes
from deepfixcx.mechanisms.records import MIN_PATIENTS, Records
from deepfixcx.release.claim import Claim, claimed
from deepfixcx.release.folders import PROTECTED, keep_apart, private_of
from deepfixcx.release.leaves import Leaves
from deepfixcx.release.manifest import finishing, write_private_rows
from deepfixcx.release.options import ReleaseOptions, RunOptions
from deepfixcx.release.places import place_of
from deepfixcx.release.protected.budget import measured_within
from deepfixcx.release.protected.gathering import (
    IMAGES,
    PUBLIC,
    Gathered,
    PassOne,
    Withheld,
    fingerprint,
    open_state,
    read_state,
)
from deepfixcx.release.protected.protection import (
    CONTENT,
    Protection,
    check_not_mixed_before,
    remember_mixed,
    write_members,
)
from deepfixcx.release.protected.writing import (
    Written,
    apply_mechanism,
    record_names,
    write_release,
)
from deepfixcx.release.run import choose_run
from deepfixcx.release.storage import Location, content_of, locate

__all__ = ["ProtectedSummary", "privatize_protected"]


@dataclass(frozen=True, slots=True)
class ProtectedSummary:
    """What a release by a mechanism came to.

    Attributes
    ----------
    folder : Path or str
        The release: an absolute path, or a URL.
    private : Path
        The folder that stays here.
    totals : dict of str to int
        As in ``dataset.json``.
    labels, dropped : tuple of str
        Labels beside the records, and those that are not released because too few patients are
        positive or negative.
    merged : bool
        Whether labels of rare combinations became unknown.
    shape : tuple of int
        Of one record.
    images, public_images : int
        Images behind the records, and those that the mechanism learned from.
    withheld : tuple of (str, int)
        Why images of the dataset are in no record, and how many, the most frequent first.
    failed : int
        Images of either dataset that could not be read.
    min_patients : int
        Fewest patients of each combination of labels; 0 with a privacy budget, as labels are then
        drawn from noisy counts.
    guarantee : str
        Of the mechanism.
    notes : tuple of str
        What could not be checked.
    seconds : float
        Wall time of this run.

    Examples
    --------
    >>> places = Path("shared"), Path("shared.private")
    >>> counts = {"images": 4}
    >>> labels = ("sick",), ("rare",), False
    >>> summary = ProtectedSummary(*places, counts, *labels, (2,), 4, 9, (), 0, 11, "…", (), 1.5)
    >>> summary.shape
    (2,)
    """

    folder: Location
    private: Path
    totals: dict[str, int]
    labels: tuple[str, ...]
    dropped: tuple[str, ...]
    merged: bool
    shape: tuple[int, ...]
    images: int
    public_images: int
    withheld: tuple[tuple[str, int], ...]
    failed: int
    min_patients: int
    guarantee: str
    notes: tuple[str, ...]
    seconds: float


def privatize_protected(
    dataset: Dataset,
    folder: str | Path,
    options: ReleaseOptions,
    mechanism: str,
    *,
    public: Dataset | None = None,
    min_patients: int = MIN_PATIENTS,
    seed: int | None = None,
    **run: Unpack[RunOptions],
) -> ProtectedSummary:
    """Release a dataset by a mechanism that needs labels, patients or other images.

    Images are encoded into the private folder first. The mechanism learns from the public images,
    and what it makes of the others is released, in an order that is drawn, with labels.

    Parameters
    ----------
    dataset : Dataset
        The images to release, with the labels that are released. Images of which no label
        is known are withheld.
    folder : str or Path
        The release to make; may be a URL.
    options : ReleaseOptions
        Spec, ``output="codes"``, dtype and how images are read; without mechanisms.
    mechanism : str
        Names of `deepfixcx.mechanisms.catalogue` with commas between.
    public : Dataset, optional
        Images of other patients with the same labels, for mechanisms that learn.
    min_patients : int
        Fewest patients of each combination of released labels, where unknown is a state of its own,
        and of the positives and negatives of each label; resampling needs 50 of these. Labels of
        rare combinations become unknown, the last label first; rare labels are not released.
    seed : int, optional
        Repeats an experiment. Left away, all is drawn from a fresh secret that stays in the private
        folder: with it, all draws can be repeated.
    **run
        `RunOptions`, without key and pseudonyms.

    Returns
    -------
    ProtectedSummary
        Images that could not be read are counted, and listed in ``withheld.csv`` of the private
        folder.

    Raises
    ------
    MechanismError
        Labels, patients or public images are missing, patients are in both datasets, there are
        too few for the guarantee or for any label, or patients were mixed before.
    ReleaseError
        The folder is in use or cannot be written, or options do not fit.
    ReleaseStoppedError
        A release that had begun cannot go on; it can be resumed.
    MissingExtraError
        The noise needs a package that is not installed.

    Examples
    --------
    >>> from deepfixcx.datasets import load_dataset
    >>> from deepfixcx.spec import CodecSpec
    >>> options = ReleaseOptions(CodecSpec(level=2, patches=4), output="codes")
    >>> dataset = load_dataset("xrays", labels="pneumonia")  # doctest: +SKIP
    >>> privatize_protected(dataset, "shared", options, "suppression")  # doctest: +SKIP
    """
    began = time.perf_counter()
    protection = Protection.of(mechanism, options.spec)
    if (run.get("key"), run.get("pseudonyms")) != (None, None):
        raise ReleaseError("--key and --pseudonyms require --output dicom")
    _check_options(options, protection, seed, min_patients)
    protection.check(dataset, public)
    release = locate(folder)
    kept_here, resume = private_of(release, run.get("private")), run.get("resume", False)
    for folder_of_images in _folders_of(dataset, public):
        keep_apart(folder_of_images, release, kept_here)
    plain = replace(options, dtype="float32", noise=protection.noise)
    one = PassOne(kept_here, plain, run)
    choose_run(release, **run)  # before any work
    mixed = _mixed(dataset) if mixes(protection.followed) else None
    if mixed is not None:  # before --overwrite removes the earlier release
        check_not_mixed_before(kept_here, _going_on(kept_here, resume=resume), *mixed)
    overwrite = run.get("overwrite", False)
    with claimed(
        place_of(release), kept_here, resume=resume, overwrite=overwrite, protected=True
    ) as claim:
        identity = _identity(dataset, public, options, protection, seed, min_patients)
        state = open_state(kept_here, identity, seed, resume=resume)
        state = replace(state, again=run.get("again", ""))
        state.save(kept_here)
        images, others = _gathered(one, dataset, public, protection)
        _check_contents(images, others)
        contents = {**identity, "codes": images.digest + ("" if others is None else others.digest)}
        written, safe = apply_mechanism(
            images, others, dataset, options, protection, state, min_patients=min_patients,
            measured=partial(measured_within, kept_here, identity=contents),
        )  # fmt: skip
        withheld = [*images.withheld, *_withheld_by_mechanism(images, written.released)]
        state.applied_to(images.digest + ("" if others is None else others.digest), kept_here)
        if mixed is not None:
            remember_mixed(kept_here, state.id, *mixed)
        totals = _write(claim, written, images, withheld, run.get("leaves"))
    unread = [each for each in withheld if each.error]
    unread += [] if others is None else [each for each in others.withheld if each.error]
    return ProtectedSummary(
        release,
        kept_here,
        totals,
        written.published.label_names,
        tuple(dataset.label_names[column] for column in safe.dropped),
        safe.merged,
        written.released.array.shape[1:],
        written.facts["images"],
        written.facts["public_images"],
        tuple(Counter(each.reason for each in withheld).most_common()),
        len(unread),
        written.facts["min_patients"],
        written.published.fitted.guarantee,
        protection.notes(dataset, public),
        time.perf_counter() - began,
    )


def _gathered(
    one: PassOne, dataset: Dataset, public: Dataset | None, protection: Protection
) -> tuple[Gathered, Gathered | None]:
    """Encode both datasets; with a budget, channels are those of the public images."""
    if public is not None and budget_of(protection.followed) is not None:
        others = one.gather(public, PUBLIC)
        return one.gather(dataset, IMAGES, others.channels), others
    images = one.gather(dataset, IMAGES)
    return images, None if public is None else one.gather(public, PUBLIC, images.channels)


def _folders_of(*datasets: Dataset | None) -> set[Path]:
    """Return the folders in which images lie; that of a table may hold the release, too."""
    return {
        record.path.parent
        for dataset in datasets
        if dataset is not None
        for record in dataset.records
    }


def _mixed(dataset: Dataset) -> tuple[set[str], set[str]]:
    """Return the patients and files of a dataset; a file by its path, and by what it holds."""
    paths = {record.path for record in dataset.records}
    contents = {content_of(path) for path in paths} - {""}
    return (
        set(dataset.patients.tolist()),
        {str(path) for path in paths} | {f"{CONTENT}{each}" for each in contents},
    )


def _going_on(private: Path, *, resume: bool) -> str:
    """Return the name of the release that goes on, if one does."""
    return read_state(private).id if resume and (private / PROTECTED).is_file() else ""


def _check_options(
    options: ReleaseOptions, protection: Protection, seed: int | None, min_patients: int
) -> None:
    if options.output != "codes" or options.mechanisms or options.names != "neutral":
        raise ReleaseError(
            f"records of {','.join(protection.names)} are codes or vectors with neutral names; "
            "omit --output and --names"
        )
    if protection.vectors and options.dtype != "float32":
        raise ReleaseError(
            f"records of {','.join(protection.names)} are vectors, stored as float32; omit --dtype"
        )
    if seed is not None and seed < 0:
        raise ReleaseError(f"a seed is not negative, got {seed}")
    if min_patients < 2:
        raise ReleaseError(f"--min-patients is 2 or more, got {min_patients}")


def _identity(
    dataset: Dataset,
    public: Dataset | None,
    options: ReleaseOptions,
    protection: Protection,
    seed: int | None,
    min_patients: int,
) -> dict[str, str]:
    plain = options.to_dict()
    return {
        "mechanism": ",".join(protection.names),
        "labels": json.dumps(dataset.label_names),
        "images": fingerprint(dataset),
        "public images": fingerprint(public),
        "seed": "" if seed is None else str(seed),
        **{name: json.dumps(plain[name], sort_keys=True) for name in ("spec", "dtype", "mask")},
        "max_pixels": str(options.max_pixels),
        "min_patients": str(min_patients),
    }


def _check_contents(images: Gathered, others: Gathered | None) -> None:
    """Refuse files that are in both datasets: their patients are, whatever the tables say."""
    if others is None:
        return
    if both := images.contents & others.contents:
        raise MechanismError(
            f"{len(both)} files are identical in the images to release and in the public images; "
            "remove them from one"
        )


def _withheld_by_mechanism(images: Gathered, released: Records) -> list[Withheld]:
    if not len(released.patients):  # synthetic records are of no image
        return []
    behind = {place for places in released.members for place in places.tolist()}
    reason = "withheld: too few patients have the same labels"
    return [
        Withheld(member.source, "", reason)
        for place, member in enumerate(images.members)
        if place not in behind
    ]


def _write(
    claim: Claim,
    written: Written,
    images: Gathered,
    withheld: list[Withheld],
    leaves: Leaves | None,
) -> dict[str, int]:
    """Write the private tables first, then the release; all of its manifest files or none."""
    claim.withdraw()
    names = record_names(len(written.released))
    private = claim.private.folder
    with finishing(claim):
        write_members(private, names, written.released, images.members)
        rows = ((each.source, each.error, each.reason) for each in withheld)
        write_private_rows(private, WITHHELD, ["source", "error", "reason"], rows)
        return write_release(claim, written, leaves)
