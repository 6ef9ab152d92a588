"""Make a release, or resume one that was stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from deepfixcx._optional import require
from deepfixcx.errors import ReleaseError
from deepfixcx.io.release_files import ABOUT
from deepfixcx.release.claim import (
    Claim,
    Standing,
    check_identity,
    claimed,
    deaths_before,
    standing_shards,
)
from deepfixcx.release.duplicates import Duplicates
from deepfixcx.release.folders import KEY, keep_apart, private_files
from deepfixcx.release.inputs import find_sources, hidden_part
from deepfixcx.release.ledger import FileDone, Ledger
from deepfixcx.release.lifecycle import NEW, Lifecycle
from deepfixcx.release.manifest import (
    check_versions,
    count_legible,
    count_records,
    finishing,
    write_manifest,
)
from deepfixcx.release.options import ReleaseOptions, RunOptions
from deepfixcx.release.patients import listed_patients, name_patients, with_patients
from deepfixcx.release.places import place_of
from deepfixcx.release.plan import Plan, ShardJob
from deepfixcx.release.storage import Input, Location, in_memory, locate, stamp_of
from deepfixcx.release.workers import (
    DEATHS_ALLOWED,
    DeathEvent,
    Event,
    FileEvent,
    Job,
    JobEvent,
    StartEvent,
    run_jobs,
)

if TYPE_CHECKING:
    from deepfixcx.release.dicom_output import DicomOutput

__all__ = ["Progress", "Run", "Summary", "choose_run", "privatize_dataset"]

Run = Callable[[Iterable[Job], Mapping[str, int]], Iterator[Event]]
"""Works off jobs, knowing how many workers each file has killed before."""


@dataclass(slots=True)
class Progress:
    """How far this run is.

    Attributes
    ----------
    files, files_done, files_failed, files_before : int
        Inputs in all; ended in this run; of those failed; ended in earlier runs.
    images : int
        Images privatized in this run.
    bytes_in, bytes_kept : int
        Bytes of the source files read, and of what is kept of their pixels in memory.

    Examples
    --------
    >>> Progress(files=2).files_done
    0
    """

    files: int = 0
    files_done: int = 0
    files_failed: int = 0
    files_before: int = 0
    images: int = 0
    bytes_in: int = 0
    bytes_kept: int = 0

    def add(self, result: FileDone) -> None:
        """Count one ended file."""
        self.files_done += 1
        self.files_failed += result.failed
        self.images += result.images
        self.bytes_in += result.bytes_in
        self.bytes_kept += result.bytes_kept


@dataclass(frozen=True, slots=True)
class Summary:
    """What a release came to.

    Attributes
    ----------
    folder : Path or str
        The release: an absolute path, or a URL.
    private : Path
        The folder that stays here.
    totals : dict of str to int
        The whole release, earlier runs included, as in ``dataset.json``, with the bytes of tables
        and duplicates; it does not state the bytes of the source files of a release with noise.
    progress : Progress
        This run alone.
    seconds : float
        Wall time of this run.
    skipped : int
        Files of the input folder that are not inputs: no images, or hidden.
    hidden : int
        Hidden files and folders among them.
    reasons : tuple of (str, int)
        Why files failed, and how many, the most frequent first.
    legible_images : int
        Images in which writing of a usual size would stay legible; see `images.legibility`.
    legible_from : int
        Smallest legible height of letters in pixels, over all images; 0 for
        no such image.
    unmasked_images : int
        Images in which a mask painted nothing; 0 without a mask.
    masked_share : float
        Share of the pixels that a mask painted, on average over all images.
    masked : tuple of (str, float)
        IDs of the images that a mask painted and the share of their pixels, the largest first.
    notes : tuple of (str, int)
        What files say and what was not followed, and in how many images, the most frequent first.
    kept_files : tuple of str
        Files in the release folder that deepfixcx did not make, or that were changed since. They
        were left alone and are part of no manifest.
    lock_note : str
        What a user has to know where the store of the release cannot lock it; else empty.
    duplicates : Duplicates
        IDs of inputs with the same bytes, the same DICOM object, or nearly equal codes.
    changed : tuple of str
        IDs of inputs that hold other bytes than in an earlier run, and were processed again.
    gone : tuple of str
        IDs of inputs that cannot be read any more; what earlier runs made of them stays.
    new : int
        Inputs that were added to IN since the release was started, and are no part of it.

    Examples
    --------
    >>> summary = Summary(Path("a"), Path("a.private"), {"images": 2}, Progress(), 1.5, 0, ())
    >>> summary.totals["images"]
    2
    """

    folder: Location
    private: Path
    totals: dict[str, int]
    progress: Progress
    seconds: float
    skipped: int
    reasons: tuple[tuple[str, int], ...]
    legible_images: int = 0
    legible_from: int = 0
    unmasked_images: int = 0
    masked_share: float = 0.0
    masked: tuple[tuple[str, float], ...] = ()
    notes: tuple[tuple[str, int], ...] = ()
    kept_files: tuple[str, ...] = ()
    lock_note: str = ""
    hidden: int = 0
    changed: tuple[str, ...] = ()
    duplicates: Duplicates = field(default_factory=Duplicates)
    gone: tuple[str, ...] = ()
    new: int = 0


@dataclass(slots=True)
class _LedgerWriter:
    """Writes down what happens; each file counts once, though a shard tried again reports again."""

    claim: Claim
    ledger: Ledger
    paths: Callable[[str], Input]
    progress: Progress
    seen: set[str] = field(default_factory=set)

    def enter(self, event: Event) -> None:
        if isinstance(event, FileEvent):
            if event.source_id not in self.seen:
                self.seen.add(event.source_id)
                self.progress.add(event.result)
        elif isinstance(event, StartEvent):
            self.ledger.attempt(event.number)
        elif not isinstance(event, DeathEvent):
            self.ledger.complete(event.number, event.results)
            self.claim.settle(event.number)
            self.seen.difference_update(each.source_id for each in event.results.sources)
        elif event.count:
            stamp = stamp_of(self.paths(event.source_id))
            self.ledger.died(event.source_id, stamp, event.count)
        else:
            self.ledger.forgive(event.source_id)


def privatize_dataset(
    where: str | Path,
    folder: str | Path,
    options: ReleaseOptions,
    **run: Unpack[RunOptions],
) -> Summary:
    """Privatize every image below a folder.

    Parameters
    ----------
    where : str or Path
        A folder, a table with a column of paths, or one image; or, as a str, the URL of one in a
        store that fsspec reads, such as ``s3://bucket/scans``.
    folder : str or Path
        The release to make; may be a URL, too.
    options : ReleaseOptions
        Everything that changes its bytes.
    **run
        `RunOptions`: the private folder, key, workers, resume, overwrite and others.

    Returns
    -------
    Summary
        Failed files are counted in it and listed in ``failures.csv``; they raise nothing.

    Raises
    ------
    ReleaseError, ReleaseStoppedError
        There is no input, the folder cannot be used, or a release stopped that can be resumed.
    DeidentifyError, MissingExtraError
        The key, the table, or what the mask, a URL or an engine needs, cannot be used.

    Examples
    --------
    >>> from deepfixcx import CodecSpec
    >>> options = ReleaseOptions(CodecSpec(level=3, patches=4), output="codes")
    >>> run: RunOptions = {"workers": 2, "resume": True}
    >>> summary = privatize_dataset(Path("xrays"), Path("out"), options, **run)  # doctest: +SKIP
    """
    began = time.perf_counter()
    source, release = locate(where), locate(folder)
    kept_here, key, pseudonyms = private_files(options, source, release, run)
    if options.noise is not None:
        options.noise.budget(1, 1)  # the package is there, and grants the epsilon
    work_off = choose_run(source, release, **run)
    keep_apart(source, release, kept_here)
    resume, overwrite = run.get("resume", False), run.get("overwrite", False)
    add, column = run.get("add", False), run.get("patient")
    sources = find_sources(where, volumes=options.spec.ndim == 3)
    with (
        claimed(place_of(release), kept_here, resume=resume or add, overwrite=overwrite) as claim,
        Ledger(claim.ledger_path) as ledger,
    ):
        life = Lifecycle(ledger)
        plan = life.plan(sources, options, run, finished=claim.place.has(ABOUT))
        claim.check_free(plan.needs)
        patients = {} if column is None else listed_patients(where, options, column)
        named = str(column) if patients else ""
        dicom = _checked(plan, ledger, key or kept_here / KEY, release, named)
        check_versions(ledger)
        life.begin(plan, claim.place)
        ledger.note(again=run.get("again", ""), folder=os.getcwd())
        progress, standing = _work(plan, claim, ledger, work_off, run, dicom, patients)
        if column is not None:
            name_patients(plan, ledger, key or kept_here / KEY, where, column)
        with finishing(claim):
            totals, duplicates = write_manifest(claim, plan, ledger, run.get("leaves"))
        if dicom is not None and pseudonyms is not None:
            from deepfixcx.release.dicom_output import write_patients

            write_patients(pseudonyms, plan, ledger, dicom, release, patients)
        legible_images, legible_from = count_legible(ledger, options)
        counts = count_records(ledger)
    return Summary(
        folder=release,
        private=kept_here,
        totals=totals,
        progress=progress,
        seconds=time.perf_counter() - began,
        skipped=len(sources.skipped),
        hidden=sum(map(bool, map(hidden_part, sources.skipped))),
        reasons=tuple(counts.reasons.most_common()),
        legible_images=legible_images,
        legible_from=legible_from,
        unmasked_images=counts.images - len(counts.masked) if options.mask is not None else 0,
        masked_share=counts.masked_share / max(1, counts.images),
        masked=tuple(sorted(counts.masked, key=lambda each: (-each[1], each[0]))),
        notes=tuple(counts.notes.most_common()),
        kept_files=tuple(claim.kept),
        lock_note=claim.place.lock_note,
        changed=tuple(standing.changed),
        duplicates=duplicates,
        gone=tuple(standing.gone),
        new=sum(reason == NEW for _, reason in plan.left_out),
    )


def _checked(
    plan: Plan, ledger: Ledger, key: Path, release: Location, patient: str
) -> DicomOutput | None:
    """See that a ledger was begun with this plan, key and column; prepare DICOM files."""
    dicom, fingerprint = None, ""
    if plan.options.writes("dicom"):
        from deepfixcx.release.dicom_output import dicom_output

        dicom = dicom_output(plan.options, key, release)
        fingerprint = dicom.deidentifier.key.fingerprint
    check_identity(ledger, plan, fingerprint, patient)
    return dicom


def _work(
    plan: Plan,
    claim: Claim,
    ledger: Ledger,
    work_off: Run,
    run: RunOptions,
    dicom: DicomOutput | None,
    patients: Mapping[str, str],
) -> tuple[Progress, Standing]:
    place, options = claim.place, plan.options
    standing = standing_shards(plan, claim, ledger)
    todo = [number for number in plan.numbers if number not in standing.shards]
    if todo:
        claim.withdraw()  # they speak of results that are about to be replaced
    parts = plan.items.parts(map(plan.places, todo))
    parts = with_patients(parts, patients) if patients else parts
    jobs = map(ShardJob, todo, parts, repeat(options), repeat(place), repeat(dicom))
    before = sum(map(plan.files_of, standing.shards))
    progress = Progress(files=len(plan.items), files_before=before)
    writer = _LedgerWriter(claim, ledger, plan.path_of, progress)
    if (log := run.get("log")) is not None:
        log.begin(progress, has_names=options.names == "keep")
    try:
        for event in work_off(jobs, deaths_before(plan, ledger)):
            writer.enter(event)
            if (report := run.get("report")) is not None:
                report(progress)
            if log is not None:
                log.enter(event, progress)
    finally:
        place.remove_unfinished()
    return progress, standing


# -- who works the shards -----------------------------------------------------------------------


def choose_run(*places: Location, **run: Unpack[RunOptions]) -> Run:
    """Return what works off jobs on these places, and see now that it is there."""
    workers, scheduler, tell = run.get("workers", 1), run.get("scheduler"), run.get("waiting")
    insecure = run.get("insecure_scheduler", False)
    if workers < 1:
        raise ReleaseError(f"workers must be at least 1, got {workers}")
    if run.get("engine", "local") == "dask":
        if any(map(in_memory, places)):
            raise ReleaseError(
                "memory:// exists only in this process; omit --engine dask, or choose another store"
            )
        from deepfixcx.release.cluster import check_scheduler, run_on_cluster

        require("distributed", extra="dask")
        if scheduler is not None:
            check_scheduler(scheduler, insecure=insecure)
        elif insecure:
            raise ReleaseError(
                "--insecure-scheduler requires --scheduler; add --scheduler, or omit "
                "--insecure-scheduler"
            )
        return lambda jobs, deaths: run_on_cluster(jobs, workers, deaths, scheduler, tell)
    if scheduler is not None or insecure:
        raise ReleaseError(
            "--scheduler requires --engine dask; add --engine dask, or omit --scheduler"
        )
    if any(map(in_memory, places)):
        return _run_here
    return lambda jobs, deaths: run_jobs(jobs, workers, deaths)


def _run_here(jobs: Iterable[Job], deaths: Mapping[str, int]) -> Iterator[Event]:
    """Work off jobs in this process; a decoder that crashes ends it."""
    quarantine = frozenset(name for name, count in deaths.items() if count >= DEATHS_ALLOWED)
    for job in jobs:
        yield StartEvent(job.number)
        ended: list[FileEvent] = []
        results = job.work(lambda _: None, partial(_append, ended), quarantine)
        yield from ended
        yield JobEvent(job.number, results)


def _append(ended: list[FileEvent], name: str, result: Any) -> None:
    ended.append(FileEvent(name, result))
