"""What lies in a folder, and what a release of it would take; nothing is written.

`survey` decodes every input, `estimate_release` processes a few. Both use processes that may die.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from deepfixcx.errors import DeepfixcxError, ImageFileError, ReleaseError, ReleaseStoppedError
from deepfixcx.images import DEFAULT_MAX_PIXELS, ImageFacts, inspect_image
from deepfixcx.release.folders import KEY, keep_apart, private_files, refuse
from deepfixcx.release.inputs import Source, Sources, find_sources, hidden_part
from deepfixcx.release.options import ReleaseOptions, RunOptions
from deepfixcx.release.places import place_of
from deepfixcx.release.plan import ShardJob, make_plan
from deepfixcx.release.run import choose_run
from deepfixcx.release.storage import Input, Location, locate, open_hashed
from deepfixcx.release.workers import FileEvent, JobEvent

if TYPE_CHECKING:
    from deepfixcx.release.dicom_output import DicomOutput

__all__ = ["Estimate", "Survey", "estimate_release", "survey"]

JOB_FILES = 64

LEAST_SAMPLE, SAMPLE_OF_WORKER = 24, 6
"""Inputs that an estimate is made of, at least and for each worker."""

TWO_SIDED = 1.96
"""Quantile of the normal distribution for an interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What `survey` found."""

    facts: tuple[tuple[Source, ImageFacts], ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _SurveyJob:
    number: int
    items: tuple[Source, ...]
    max_pixels: int
    volumes: bool = False

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, None], None],
        quarantine: frozenset[str],
    ) -> list[ImageFacts]:
        facts = []
        for item in self.items:
            started(item.name)
            facts.append(self._facts(item, item.name in quarantine))
            done(item.name, None)
        return facts

    def _facts(self, item: Source, killed_workers: bool) -> ImageFacts:
        if killed_workers:
            return ImageFacts(
                problem="WorkerDiedError", reason="the decoder stopped its process on this file"
            )
        if item.problem is not None:
            return ImageFacts(problem=type(item.problem).__name__, reason=str(item.problem))
        try:
            if self.volumes:
                return _facts_of_volume(item, self.max_pixels)
            with _on_this_machine(item.path) as path:
                return inspect_image(path, max_pixels=self.max_pixels)
        except ImageFileError as error:
            return ImageFacts(problem=type(error).__name__, reason=str(error))
        except (ReleaseStoppedError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # whose text may quote the file
            reason = "an unexpected error while reading; please report it"
            return ImageFacts(problem=type(error).__name__, reason=reason)


def _facts_of_volume(item: Source, max_pixels: int) -> ImageFacts:
    """Read one volume; its slices are the frames of the facts."""
    from deepfixcx.release.volumes import read_input

    volume, _ = read_input(item.path, max_pixels)
    if isinstance(volume, DeepfixcxError):
        return ImageFacts(problem=type(volume).__name__, reason=str(volume))
    depth, height, width = volume.size
    return ImageFacts(
        volume.format, width, height, 1, volume.bits, "grayscale", depth, notes=volume.notes
    )


@contextmanager
def _on_this_machine(where: Input) -> Iterator[Path]:
    """Give the path of a file, of one in a store that of a copy."""
    if isinstance(where, Path):
        yield where
        return
    stream, _ = open_hashed(where)
    with stream, tempfile.NamedTemporaryFile() as near:
        shutil.copyfileobj(stream, near)
        near.flush()
        yield Path(near.name)


def survey(
    where: str | Path,
    *,
    workers: int = 1,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    report: Callable[[int, int], None] | None = None,
    volumes: bool = False,
) -> Survey:
    """Open and decode every image of a folder, and write nothing.

    Parameters
    ----------
    where : str or Path
        A folder, a table with a column of paths, or one image; or, as a str, the URL of one.
    workers : int
        Processes.
    max_pixels : int
        Images that declare more pixels count as a problem, as they would in a release.
    report : callable
        Called with the files done and the files in all.
    volumes : bool
        Read volumes: the files of a DICOM series are one input, and `frames` counts slices.

    Returns
    -------
    Survey
        What is wrong with a file is among its facts; it raises nothing.

    Raises
    ------
    ReleaseError
        There is no input, or workers cannot be started.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from deepfixcx.images import write_png
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_png(folder / "1.png", np.zeros((1, 8, 9), np.float32), bits=8)
    >>> [(fact.height, fact.width) for _, fact in survey(folder).facts]
    [(8, 9)]
    """
    run = choose_run(locate(where), workers=workers)
    sources = find_sources(where, volumes=volumes)
    jobs = [
        _SurveyJob(number, tuple(sources.found[first : first + JOB_FILES]), max_pixels, volumes)
        for number, first in enumerate(range(0, len(sources.found), JOB_FILES))
    ]
    found: dict[int, list[ImageFacts]] = {}
    seen: set[str] = set()
    for event in run(jobs, {}):
        if isinstance(event, JobEvent):
            found[event.number] = event.results
        elif isinstance(event, FileEvent):
            seen.add(event.source_id)
            if report is not None:
                report(len(seen), len(sources.found))
    facts = [fact for number in range(len(jobs)) for fact in found[number]]
    return Survey(tuple(zip(sources.found, facts, strict=True)), sources.skipped)


# -- what a release would take ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimate:
    """What `estimate_release` found; each estimate with its 95 % interval over the sampled files.

    Attributes
    ----------
    files : int
        Inputs.
    source_file_bytes : int
        Their bytes; 0 where a store does not state them.
    skipped, hidden : int
        Files that are not inputs, and how many of those are hidden.
    sampled, failed : int
        Inputs that were processed, and of those the ones that cannot be released.
    reasons : tuple of (str, int)
        Why they failed, and how many, the most frequent first.
    failed_share : tuple of three floats
        Share of inputs that would fail: estimate, lower and upper limit.
    seconds : tuple of three floats
        Wall time of the release, without waiting for a slow disk: estimate and limits.
    release_bytes : tuple of three floats
        Size of its images, DICOM files and codes: estimate and limits. Tables are not counted.
    free_bytes : int or None
        Free space where the release would be made; None for a store.

    Examples
    --------
    >>> three = (1.0, 0.9, 1.1)
    >>> Estimate(100, 5000, 0, 0, 24, 0, (), (0.0, 0.0, 0.14), three, three, 10**9).files
    100
    """

    files: int
    source_file_bytes: int
    skipped: int
    hidden: int
    sampled: int
    failed: int
    reasons: tuple[tuple[str, int], ...]
    failed_share: tuple[float, float, float]
    seconds: tuple[float, float, float]
    release_bytes: tuple[float, float, float]
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class _Sampled:
    """What one input took."""

    seconds: float
    bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class _SampleJob:
    """Makes the results of a few inputs and discards them."""

    number: int
    job: ShardJob

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, None], None],
        quarantine: frozenset[str],
    ) -> list[_Sampled]:
        from deepfixcx.codec import Codec
        from deepfixcx.release.shard import make_results

        codec, found, items = Codec(self.job.options.spec), list[_Sampled](), self.job.items
        itemsize = np.dtype(self.job.options.dtype).itemsize
        for item in (items[0], *items):  # the first one loads decoders, so its time is not counted
            started(item.source_id)
            began = time.perf_counter()
            made, _ = make_results(self.job, item, codec, quarantine)
            took = time.perf_counter() - began
            size = sum(map(len, made.files.values()))
            size += 0 if made.codes is None else made.codes.array.size * itemsize
            found.append(_Sampled(took, size, made.rows[0].reason))
            done(item.source_id, None)
        return found[1:]


def estimate_release(
    where: str | Path,
    folder: str | Path,
    options: ReleaseOptions,
    **run: Unpack[RunOptions],
) -> Estimate:
    """Estimate time and size of a release from a sample of its inputs; write nothing.

    Parameters
    ----------
    where, folder, options
        As for `privatize_dataset`.
    **run
        `RunOptions`; private folder, key, table, workers and overwrite count.

    Returns
    -------
    Estimate
        From inputs at equal distances in the order of their sizes.

    Raises
    ------
    ReleaseError, DeidentifyError, MissingExtraError
        What `privatize_dataset` would refuse before any work: there is no input, a folder, a key
        or a table cannot be used, or something is not installed. Also for ``resume``, ``add`` and
        other engines, of which no estimate is made.

    Examples
    --------
    >>> from deepfixcx.spec import CodecSpec
    >>> options = ReleaseOptions(CodecSpec(level=3, patches=4))
    >>> estimate_release("xrays", "shared", options, workers=2).seconds  # doctest: +SKIP
    (61.5, 55.0, 68.1)
    """
    if run.get("resume") or run.get("add") or run.get("engine", "local") != "local":
        raise ReleaseError(
            "--dry-run estimates a new release on this machine; omit --resume, --add and --engine"
        )
    source, release = locate(where), locate(folder)
    private, key, _ = private_files(options, source, release, run)
    if options.noise is not None:
        options.noise.budget(1, 1)
    work_off = choose_run(source, release, **run)
    keep_apart(source, release, private)
    place = place_of(release)
    refuse(place, private, resume=False, overwrite=run.get("overwrite", False))
    sources = find_sources(where, volumes=options.spec.ndim == 3)
    workers = run.get("workers", 1)
    with tempfile.TemporaryDirectory() as near:
        key = key or private / KEY
        dicom = _dicom_output(options, key if key.is_file() else Path(near) / KEY, release)
        places = _spread(sources, max(LEAST_SAMPLE, SAMPLE_OF_WORKER * workers))
        items = next(make_plan(_chosen(sources, places), options).items.parts([range(len(places))]))
        jobs = [
            _SampleJob(number, ShardJob(number, items[number::workers], options, place, dicom))
            for number in range(min(workers, len(items)))
        ]
        began = time.perf_counter()
        results = [event.results for event in work_off(jobs, {}) if isinstance(event, JobEvent)]
        took = time.perf_counter() - began
    start = max(0.0, took - max(sum(each.seconds for each in some) for some in results))
    found = [each for some in results for each in some]
    return _estimate(sources, found, workers, start, _free(release))


def _dicom_output(options: ReleaseOptions, key: Path, release: Location) -> DicomOutput | None:
    if not options.writes("dicom"):
        return None
    from deepfixcx.release.dicom_output import dicom_output

    return dicom_output(options, key, release)


def _spread(sources: Sources, count: int) -> list[int]:
    """Return the places of inputs at equal distances in the order of their sizes."""
    sizes = np.array([source.size for source in sources.found])
    order = np.argsort(sizes, kind="stable")
    chosen = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return sorted(map(int, order[chosen]))


def _chosen(sources: Sources, places: Sequence[int]) -> Sources:
    return Sources([sources.found[place] for place in places])


def _estimate(
    sources: Sources, found: Sequence[_Sampled], workers: int, start: float, free: int | None
) -> Estimate:
    """Project what the sampled inputs took onto all inputs."""
    count, failed = len(sources.found), [each.reason for each in found if each.reason]

    def total(values: list[float], times: float, plus: float = 0.0) -> tuple[float, float, float]:
        mean = float(np.mean(values))
        error = TWO_SIDED * float(np.std(values, ddof=min(1, len(values) - 1))) / len(values) ** 0.5
        error *= len(values) < count  # all were processed
        return (
            plus + times * mean,
            plus + times * max(0.0, mean - error),
            plus + times * (mean + error),
        )

    return Estimate(
        files=count,
        source_file_bytes=sum(source.size for source in sources.found),
        skipped=len(sources.skipped),
        hidden=sum(map(bool, map(hidden_part, sources.skipped))),
        sampled=len(found),
        failed=len(failed),
        reasons=tuple(Counter(failed).most_common()),
        failed_share=_share(len(failed), len(found)),
        seconds=total([each.seconds for each in found], count / min(workers, count), start),
        release_bytes=total([float(each.bytes) for each in found], count),
        free_bytes=free,
    )


def _share(part: int, whole: int) -> tuple[float, float, float]:
    """Return a share with its interval by Wilson."""
    share, z = part / whole, TWO_SIDED**2 / whole
    middle, width = share + z / 2, (z * (share * (1 - share) + z / 4)) ** 0.5
    return share, max(0.0, (middle - width) / (1 + z)), min(1.0, (middle + width) / (1 + z))


def _free(release: Location) -> int | None:
    """Return the free space where a folder would be made."""
    if isinstance(release, str):
        return None
    there = next(each for each in (release, *release.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free
