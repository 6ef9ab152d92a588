"""Objects in, results out: worker processes that apply profiles, and the thread over them.

A worker reads an object once, applies the profile of each route that takes it, writes the results
to the disk and returns what it made. Only the thread here writes to the ledger. An object on which
two workers died, or that cannot be examined, is quarantined with its reason and never sent.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from deepfixcx.errors import DeepfixcxError, ReleaseStoppedError
from deepfixcx.io.files import sync
from deepfixcx.node.inbox import UNWRITTEN, Inbox, file_of, put
from deepfixcx.node.records import Made, Outcome, Waiting, meaning_of
from deepfixcx.node.routing import Profile, Route
from deepfixcx.release.workers import FileEvent, Worker, assign, receive, start_worker, stop_worker

if TYPE_CHECKING:
    from deepfixcx.node.config import NodeConfig
    from deepfixcx.node.events import Log

__all__ = ["NodeJob", "Processing", "examine"]

BATCH: Final = 16
TOGETHER: Final = 8
PAUSE_S: Final = 3.0
DEATHS_ALLOWED: Final = 2
NO_ROUTE: Final = "no route takes this object; add one, or stop the source from sending it"
OTHER_NAME: Final = (
    "the object has another SOP Instance UID than the message or file meta information that it "
    "came with; correct it at the source"
)
CRASHED: Final = "worker processes crashed on this object, so it cannot be examined"


@dataclass(frozen=True)  # without slots, which make pickling slow
class NodeJob:
    """Some objects for one worker."""

    number: int
    items: tuple[Waiting, ...]
    folder: Path
    routes: tuple[Route, ...]
    profiles: Mapping[str, Profile] = field(repr=False)
    gathered: frozenset[str] = frozenset()
    """Routes to releases, which get objects as they are and apply the profile themselves."""

    reserve: int = 0
    """Bytes of free space that results leave to the ledger."""

    def work(
        self,
        started: Callable[[str], None],
        done: Callable[[str, Any], None],
        _quarantine: frozenset[str],
    ) -> None:
        """Work off every object; report some results together, when all are on the disk.

        A disk without room ends the job after the results that it has: each lets an original go.
        """
        for first in range(0, len(self.items), TOGETHER):
            outcomes, stopped = [], None
            for item in self.items[first : first + TOGETHER]:
                started(str(item.number))
                try:
                    outcomes.append((item, examine(self, item)))
                except ReleaseStoppedError as error:
                    stopped = error
                    break
            started("")  # none is to blame if this process ends now
            contents = [made.content for _, outcome in outcomes for made in outcome.made]
            try:
                sync(self.folder, [f"made/{content}.dcm" for content in contents])
            except OSError:
                raise ReleaseStoppedError("a result cannot be written") from None
            for item, outcome in outcomes:
                done(str(item.number), outcome)
            if stopped is not None:
                raise stopped


def examine(job: NodeJob, item: Waiting) -> Outcome:
    """Route an object, apply its profiles and write results, which are on the disk after `sync`.

    What goes wrong is the reason of its quarantine.
    """
    from pydicom import dcmread

    from deepfixcx.images.reading import QUIET

    path = file_of(job.folder, "inbox", item.content)
    try:
        with QUIET:
            source = dcmread(path)
            routes = [route for route in job.routes if route.takes(source, item.calling)]
            itself = _described(source)
    except FileNotFoundError:
        return Outcome(reason="the object is missing from the folder of the node")
    except Exception:  # pydicom raises whatever damaged bytes lead to
        return Outcome(reason="the object is damaged and cannot be read; send it again")
    if not routes:
        return Outcome(reason=NO_ROUTE)
    if str(source.get("SOPInstanceUID", itself[1])) != itself[1]:
        return Outcome(reason=OTHER_NAME)
    most = max(job.profiles[route.profile].options.max_pixels for route in routes)
    meaning = meaning_of(source, most)
    del source  # it may be large
    results: dict[str, tuple[Result | None, str]] = {}
    made, reasons = [], []
    for route in routes:
        gathered = route.name in job.gathered
        name = "" if gathered else route.profile
        if name not in results:
            profile = job.profiles[route.profile]
            results[name] = (
                (Result(path.read_bytes(), *itself), "")
                if gathered
                else _applied(profile, path, itself[1] or item.content)
            )
        result, reason = results[name]
        if result is None:
            reasons.append(f"route {route.name}: {reason}")
            continue
        try:
            if shutil.disk_usage(job.folder).free < job.reserve + len(result.data):
                raise OSError
            content = put(job.folder, "made", result.data, durable=False)
        except OSError:
            raise ReleaseStoppedError("a result cannot be written") from None
        described = result[1:]
        made.append(Made(route.name, content, *described, len(result.data), route.to))
    return Outcome(tuple(made), "; ".join(reasons), meaning)


class Result(NamedTuple):
    """What a profile made of an object, and how it is called; codes have no SOP class."""

    data: bytes
    sop_class: str
    instance: str
    syntax: str
    study: str
    series: str


def _described(header: Any) -> tuple[str, str, str, str, str]:
    meta = header.file_meta
    return (
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        str(meta.TransferSyntaxUID),
        str(header.get("StudyInstanceUID") or ""),
        str(header.get("SeriesInstanceUID") or ""),
    )


def _applied(profile: Profile, path: Path, instance: str) -> tuple[Result | None, str]:
    """Apply a profile; return the result, or why the object is withheld."""
    from deepfixcx.release.deidentified import DeidentifyOptions, deidentified_file

    options, dicom = profile.options, profile.dicom
    try:
        with path.open("rb") as stream:
            if isinstance(options, DeidentifyOptions) and dicom is not None:
                item = _planned(instance)
                kept = deidentified_file(options, dicom.deidentifier, item, stream)
                return _of_file(kept.content), ""
            return _privatized(profile, stream, instance), ""
    except DeepfixcxError as error:
        return None, str(error)
    except MemoryError:
        return None, "the object needs more memory than is available"
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # fail closed; a panic of a compiled library is no Exception
        return None, f"the object cannot be examined ({type(error).__name__})"


def _privatized(profile: Profile, stream: BinaryIO, instance: str) -> Result:
    """Make the compressed image or its code, as a release does.

    New identifiers come from the SOP Instance UID in place of the bytes of the file, of which a
    part differs with the way the object came.
    """
    from deepfixcx.code import code_bytes
    from deepfixcx.codec import Codec
    from deepfixcx.release.shard import Loaded, encoded_file, file_results

    options, dicom, item = profile.options, profile.dicom, _planned(instance)
    codec = Codec(options.spec)
    loaded = encoded_file(options, dicom, codec, item, stream, instance)
    made = file_results(options, dicom, codec, item, loaded)
    if made.codes is None or dicom is None or not isinstance(loaded, Loaded):
        (data,) = made.files.values()
        return _of_file(data)
    codes = made.codes
    study, series, new = dicom.identifiers(loaded.source)
    return Result(
        code_bytes(codes.array, codes.sizes, codes.spec, options.dtype), "", new, "", study, series
    )


def _planned(name: str) -> Any:
    from deepfixcx.release.inputs import Source
    from deepfixcx.release.plan import Planned

    return Planned(Source(Path(name), name), name, name)


def _of_file(data: bytes) -> Result:
    from io import BytesIO

    from pydicom import dcmread

    wanted = ["StudyInstanceUID", "SeriesInstanceUID"]
    header = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=list(wanted))
    return Result(data, *_described(header))


class Processing(threading.Thread):
    """Gives waiting objects to worker processes, and records what they return."""

    def __init__(self, config: NodeConfig, inbox: Inbox, log: Log) -> None:
        super().__init__(name="processing", daemon=True)
        self._config, self._inbox, self._log = config, inbox, log
        self._profiles = dict(config.profiles)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._last, self._number, self._waits = 0, 0, False
        self._pool: list[Worker] = []
        self.on_made: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """Look for waiting objects at once."""
        self._wake.set()

    def stop(self) -> None:
        """End after the jobs in hand."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Work until `stop`."""
        try:
            self._pool = [start_worker() for _ in range(self._config.workers)]
            while not self._stopping.is_set() or any(each.jobs for each in self._pool):
                try:
                    self._step()
                except sqlite3.OperationalError:  # what was not recorded is worked again
                    self._wait(UNWRITTEN)
                    if not any(each.jobs for each in self._pool):
                        self._inbox.clean("made")
        except ReleaseStoppedError as error:
            self._log.error("stopped", reason=str(error))
        finally:
            for worker in self._pool:
                stop_worker(worker)
            self._inbox.ledger.close()

    def _step(self) -> None:
        if not self._stopping.is_set() and not self._inbox.low():
            self._supply()
        busy = [worker for worker in self._pool if worker.jobs]
        if not busy:
            self._last = 0  # objects that were put back have lower numbers
            self._wake.wait(0.5)
            self._wake.clear()
            return
        ready = wait([worker.pipe for worker in busy], timeout=0.2)
        for worker in [each for each in busy if each.pipe in ready]:
            try:
                self._record(worker)
            except (EOFError, ConnectionError):
                self._replace(worker)
            except ReleaseStoppedError as error:  # a disk without room: the objects wait
                stop_worker(worker)
                self._pool[self._pool.index(worker)] = start_worker()
                self._wait(str(error))

    def _wait(self, reason: str) -> None:
        """Report once why nothing can be worked, and wait a moment."""
        if not self._waits:
            self._log.error("waits", reason=reason)
        self._waits, self._last = True, 0
        time.sleep(PAUSE_S)

    def _supply(self) -> None:
        """Give workers objects; small batches, so that all workers have some."""
        for worker in sorted(self._pool, key=lambda each: len(each.jobs)):
            if len(worker.jobs) >= 2:
                continue
            self._wake.clear()
            taken = {item.number for each in self._pool for job in each.jobs for item in _of(job)}
            items = [
                item
                for item in self._inbox.ledger.waiting(self._last, BATCH)
                if item.number not in taken
            ]
            if not items:
                return
            self._last = items[-1].number
            self._number += 1
            config = self._config
            job = NodeJob(
                self._number,
                tuple(items),
                config.folder,
                config.routes,
                self._profiles,
                config.gathered,
                self._inbox.reserve,
            )
            assign(worker, job, frozenset(), frozenset())

    def _record(self, worker: Worker) -> None:
        items = {str(item.number): item for job in worker.jobs for item in _of(job)}
        done = [
            (items[each.source_id], each.result)
            for each in receive(worker)
            if isinstance(each, FileEvent)
        ]
        self._finish(done)

    def _finish(self, done: list[tuple[Waiting, Outcome]]) -> None:
        if not done:
            return
        reasons = self._inbox.ledger.finish(done)
        self._waits = False
        for (item, outcome), reason in zip(done, reasons, strict=True):
            if reason:
                self._log.warning("quarantined", object=item.number, reason=reason)
            else:
                self._inbox.remove("inbox", item.content)
            for made in outcome.made:
                if not self._inbox.ledger.needed(made.content):
                    self._inbox.remove("made", made.content)
        self.on_made()

    def _replace(self, worker: Worker) -> None:
        """Replace a worker that died; its objects are worked again, alone if one is suspected."""
        at = worker.mark.read()
        items = {str(item.number): item for job in worker.jobs for item in _of(job)}
        stop_worker(worker)
        self._pool[self._pool.index(worker)] = start_worker()
        self._last = 0
        if at in items:
            self._log.error("worker died", object=items[at].number)
            if self._inbox.ledger.died(items[at].number) >= DEATHS_ALLOWED:
                self._finish([(items[at], Outcome(reason=CRASHED))])
        else:
            with suppress(InterruptedError):
                time.sleep(0.5)


def _of(job: Any) -> tuple[Waiting, ...]:
    items: tuple[Waiting, ...] = job.items
    return items
