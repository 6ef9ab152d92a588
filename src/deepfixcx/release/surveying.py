"""What lies in a folder: the facts about every input, found in processes that may die."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deepfixcx.errors import ImageFileError, ReleaseStoppedError
from deepfixcx.images import DEFAULT_MAX_PIXELS, ImageFacts, inspect_image
from deepfixcx.release.inputs import Source, find_sources
from deepfixcx.release.run import choose_run
from deepfixcx.release.storage import RemoteFile, locate, open_hashed
from deepfixcx.release.workers import FileEvent, JobEvent

__all__ = ["Survey", "survey"]

JOB_FILES = 64


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
            with _on_this_machine(item.path) as path:
                return inspect_image(path, max_pixels=self.max_pixels)
        except ImageFileError as error:
            return ImageFacts(problem=type(error).__name__, reason=str(error))
        except (ReleaseStoppedError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # whose text may quote the file
            reason = "an unexpected error while reading; please report it"
            return ImageFacts(problem=type(error).__name__, reason=reason)


@contextmanager
def _on_this_machine(where: Path | RemoteFile) -> Iterator[Path]:
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
    sources = find_sources(where)
    jobs = [
        _SurveyJob(number, tuple(sources.found[first : first + JOB_FILES]), max_pixels)
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
