"""A release that grows: originals are gathered on the disk, and added by the ordinary machinery.

A batch is a table that lists files beside it; it is written last and removed first. While it is
there, each attempt adds the same files again, and a release knows the files that it has by their
content. So a crash at any moment adds each object once. The work is done in a process of its own,
because it needs memory and the modules of releases.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from deepfixcx.errors import DeepfixcxError, OverwriteError
from deepfixcx.io.files import make_folder, remove_listed, sha256_of, write_file
from deepfixcx.io.processes import follow_parent
from deepfixcx.node.config import Destination
from deepfixcx.node.inbox import file_of
from deepfixcx.node.records import Delivery
from deepfixcx.node.routing import Profile
from deepfixcx.node.senders import MISSING, Result, Unreachable

__all__ = ["ReleaseSender"]

FIRST, LATER = "first.csv", "later.csv"
"""Names of the table of a batch: of the first one of a release, and of one that is added."""

LEFT_OUT: Final = "the release does not take this object: it was withdrawn from it"


class ReleaseSender:
    """Adds objects to one release."""

    most = 5000
    refusals = 1

    def __init__(
        self,
        destination: Destination,
        profile: Profile,
        workers: int,
        folder: Path,
        stopping: threading.Event,
    ) -> None:
        self._release, self._folder = destination.path or folder, folder
        self._gathered = folder / "growing" / destination.name
        self._options = profile.options
        self._run: dict[str, Any] = {"workers": workers}
        if destination.private is not None:
            self._run["private"] = destination.private
        if profile.options.writes("dicom"):
            self._run["key"] = profile.key
        self._stopping = stopping

    def send(self, batch: Sequence[Delivery]) -> Iterator[Result]:
        """Add the batch that was begun, or this one; yield what the release says of each."""
        try:
            table = self._begun() or self._begin(batch)
        except OSError as error:
            raise Unreachable(f"objects cannot be gathered: {error.strerror}") from None
        wanted = [each.content for each in batch]
        found = self._added(table, wanted)
        for delivery in batch:
            if delivery.content in found:
                yield delivery, found[delivery.content]
            elif not file_of(self._folder, "made", delivery.content).exists():
                yield delivery, MISSING
            elif delivery.content in self._listed(table):
                yield delivery, LEFT_OUT
        self._end(table)

    def close(self) -> None:
        """Nothing stays open."""

    # -- a batch on the disk ---------------------------------------------------------------

    def _begun(self) -> Path | None:
        for name in (FIRST, LATER):
            if (self._gathered / name).is_file():
                return self._gathered / name
        return None

    def _begin(self, batch: Sequence[Delivery]) -> Path:
        """Copy objects, then write the table that lists them."""
        from deepfixcx.io.release_files import ABOUT

        make_folder(self._gathered.parent, mode=0o700)
        make_folder(self._gathered, mode=0o700)
        self._clear()
        rows = ["path,content"]
        for delivery in batch:
            path = file_of(self._folder, "made", delivery.content)
            if not path.exists():
                continue
            name = f"{delivery.instance}.dcm"
            if (self._gathered / name).exists():  # two objects with one SOP Instance UID
                name = f"{delivery.instance}-{delivery.content[:16]}.dcm"
            with suppress(OverwriteError):
                write_file(self._gathered / name, path.read_bytes(), mode=0o600)
            rows.append(f"{name},{delivery.content}")
        table = self._gathered / (LATER if (self._release / ABOUT).is_file() else FIRST)
        write_file(table, "\n".join((*rows, "")), mode=0o600)
        return table

    def _listed(self, table: Path) -> dict[str, str]:
        """Return the names of the files of a batch by their content."""
        rows = table.read_text("utf-8").splitlines()[1:]
        return {content: name for name, _, content in (row.rpartition(",") for row in rows)}

    def _end(self, table: Path) -> None:
        remove_listed(self._gathered, {table.name: {sha256_of(table)}})
        self._clear()

    def _clear(self) -> None:
        """Remove files that no table lists."""
        names = [path.name for path in self._gathered.glob("*.dcm")]
        remove_listed(self._gathered, {name: {sha256_of(self._gathered / name)} for name in names})

    # -- the process that adds --------------------------------------------------------------

    def _added(self, table: Path, wanted: Sequence[str]) -> Mapping[str, str]:
        """Add a batch; return, for each object that the release has, why it is not in use."""
        run = self._run | ({"resume": True} if table.name == FIRST else {"add": True})
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(
            target=_add, args=(there, table, self._release, self._options, run, wanted)
        )
        try:
            process.start()
            there.close()
            while not here.poll(0.2):
                if self._stopping.is_set():  # the next start continues this batch
                    process.terminate()
            answer = here.recv()
        except (OSError, EOFError):
            raise Unreachable("the process that adds to the release has ended") from None
        finally:
            here.close()
            process.join()
        if isinstance(answer, str):
            raise Unreachable(answer)
        found: dict[str, str] = answer
        return found


def _add(
    pipe: Any, table: Path, release: Path, options: Any, run: dict[str, Any], wanted: list[str]
) -> None:
    """Add a batch to a release and report what became of it, or what is wrong."""
    follow_parent()
    from deepfixcx.release.private import PrivateFolder
    from deepfixcx.release.run import privatize_dataset

    try:
        privatize_dataset(table, release, options, **run)
        pipe.send(PrivateFolder.of(release, run.get("private")).outcomes(wanted))
    except DeepfixcxError as error:
        pipe.send(str(error))
    except Exception as error:  # what it says may quote an object
        pipe.send(f"the release cannot be changed ({type(error).__name__})")
