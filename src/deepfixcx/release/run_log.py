"""The log of a run for monitoring: JSON lines without names of files and without patient data."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from deepfixcx import __version__
from deepfixcx.errors import OverwriteError, ReleaseError
from deepfixcx.io.files import appending
from deepfixcx.release.workers import Event, FileEvent, JobEvent

if TYPE_CHECKING:
    from deepfixcx.release.run import Progress

__all__ = ["HEARTBEAT_SECONDS", "RunLog"]

HEARTBEAT_SECONDS = 20.0
"""Seconds between two heartbeats; a monitor that reads none for 30 s can raise an alarm."""

START = b'{"event": "start", '


class RunLog:
    """Appends a line for the start, each finished shard, each failed file and the end of a command.

    A new file, or a log that is continued; a `ReleaseError` for any other file.
    """

    # A line has the time in UTC, the event and counts. A failed file is named by its neutral ID;
    # where a release keeps names, its ID is a name, and the line has none. A full disk stops the
    # log, not the run.

    def __init__(self, path: Path, command: str, every: float = HEARTBEAT_SECONDS) -> None:
        self._path, self._command, self._every = path, command, every
        self._lock, self._over = threading.Lock(), threading.Event()
        self._counts: dict[str, int] = {}
        self._failed: set[str] = set()
        self._has_names = False
        self._stack = ExitStack()

    def __enter__(self) -> RunLog:
        """Open the file and begin with heartbeats."""
        try:
            self._file = self._stack.enter_context(appending(self._path, START))
        except OverwriteError as error:
            raise ReleaseError(f"--log: {error}") from None
        except OSError as error:
            raise ReleaseError(
                f"the log {str(self._path)!r} cannot be written: {error.strerror}; choose another "
                "path for --log"
            ) from None
        self._write("start", command=self._command, version=__version__)
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write how the run ended: done, interrupted, or stopped by an error of which kind."""
        self._over.set()
        self._thread.join(self._every)
        if kind is None:
            self._write("end", status="done", **self._counts)
        elif issubclass(kind, KeyboardInterrupt):
            self._write("end", status="interrupted", **self._counts)
        else:
            self._write("end", status="stopped", error=kind.__name__, **self._counts)
        self._stack.close()

    def begin(self, progress: Progress, *, has_names: bool) -> None:
        """Write how many files there are; `has_names` where IDs of files are their names."""
        self._counts, self._has_names = asdict(progress), has_names
        self._write("work", **self._counts)

    def enter(self, event: Event, progress: Progress) -> None:
        """Write what concerns a monitor; a shard that is tried again reports its files again."""
        self._counts = asdict(progress)
        if isinstance(event, JobEvent):
            self._write("shard", shard=event.number, **self._counts)
        elif (
            isinstance(event, FileEvent)
            and event.result.failed
            and event.source_id not in self._failed
        ):
            self._failed.add(event.source_id)
            self._write("failed", id=None if self._has_names else event.source_id)

    def waits(self, reason: str) -> None:
        """Write what the run waits for."""
        self._write("waiting", reason=reason)

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            self._write("heartbeat", **self._counts)

    def _write(self, event: str, **facts: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"event": event, "time": now, **facts}).encode() + b"\n"
        with self._lock, suppress(OSError):
            self._file.write(line)
