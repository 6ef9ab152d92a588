"""What sends results: STOW-RS, a folder, a store of fsspec; C-STORE and releases lie beside.

A sender yields, for each delivery, an empty text or why the destination refused that object. What
concerns the destination as a whole is raised as `Unreachable`, and the queue waits. Sending twice
does no harm: a result has the same identifiers and bytes each time.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from deepfixcx.errors import DeepfixcxError, NodeError, OverwriteError
from deepfixcx.io.files import holds, make_folder, write_file
from deepfixcx.node.config import Destination, NodeConfig
from deepfixcx.node.inbox import file_of
from deepfixcx.node.records import Delivery

__all__ = ["MISSING", "PlainSender", "Result", "Sender", "Unreachable", "make_sender"]

Result = tuple[Delivery, str]
UID: Final = re.compile(r"[0-9.]{1,64}")
MISSING: Final = "the result is missing from the folder of the node"


class Unreachable(Exception):
    """The destination does not answer, or takes nothing now; the reason names no object."""


class Sender(Protocol):
    """Sends results to one destination."""

    most: int
    """Results that are sent in one batch."""

    refusals: int
    """An object that the destination refused so often is a dead letter."""

    def send(self, batch: Sequence[Delivery]) -> Iterator[Result]:
        """Send results; yield each with why it was refused, or an empty text."""

    def close(self) -> None:
        """Close what is open; the next `send` opens it again."""


class PlainSender:
    """What senders that send object by object have in common."""

    most = 200
    refusals = 3

    def close(self) -> None:
        """Nothing stays open."""


def make_sender(config: NodeConfig, place: Destination, stopping: threading.Event) -> Sender:
    """Return what sends to a destination."""
    folder = config.folder
    if place.kind == "dicom":
        from deepfixcx.node.dimse import DicomSender

        return DicomSender(place, config.title, folder)
    if place.kind == "stow":
        return StowSender(place, folder)
    if place.kind == "release":
        from deepfixcx.node.growing import ReleaseSender

        profile = next(route.profile for route in config.routes if place.name in route.to)
        return ReleaseSender(
            place, config.profiles[profile], config.workers, config.folder, stopping
        )
    if place.kind == "folder" and place.path is not None:
        return FolderSender(place.path, folder)
    return UrlSender(place.url, folder)


# -- STOW-RS ----------------------------------------------------------------------------------

POST_BYTES: Final = 1 << 26
FAILED_SOP, INSTANCE = "00081198", "00081155"


class StowSender(PlainSender):
    """Sends results with STOW-RS, many in one request."""

    def __init__(self, destination: Destination, folder: Path) -> None:
        self._destination, self._folder = destination, folder
        self._at = urlsplit(destination.url)
        if self._at.scheme not in ("http", "https") or not self._at.hostname:
            raise NodeError(f"destination {destination.name!r} has no URL of http or https")

    def send(self, batch: Sequence[Delivery]) -> Iterator[Result]:
        """Send results in requests of a limited size."""
        part: list[tuple[Delivery, bytes]] = []
        for delivery in batch:
            try:
                data = file_of(self._folder, "made", delivery.content).read_bytes()
            except OSError:
                yield delivery, MISSING
                continue
            if part and sum(len(each) for _, each in part) + len(data) > POST_BYTES:
                yield from self._post(part)
                part = []
            part.append((delivery, data))
        if part:
            yield from self._post(part)

    def _post(self, part: list[tuple[Delivery, bytes]]) -> Iterator[Result]:
        edge = secrets.token_hex(24)
        body = b"".join(
            f"--{edge}\r\nContent-Type: application/dicom\r\n\r\n".encode() + data + b"\r\n"
            for _, data in part
        )
        status, answer = self._ask(body + f"--{edge}--\r\n".encode(), edge)
        if status in (408, 429) or status >= 500 or status in (401, 403, 404, 405):
            raise Unreachable(f"the destination answers with HTTP status {status}")
        refused = _refused(answer)
        for delivery, _ in part:
            if delivery.instance in refused:
                yield delivery, f"refused (failure reason {refused[delivery.instance]})"
            elif status in (200, 202) or (status == 409 and refused):
                yield delivery, ""
            else:
                yield delivery, f"refused with HTTP status {status}"

    def _ask(self, body: bytes, edge: str) -> tuple[int, bytes]:
        place, at = self._destination, self._at
        kind: Any = http.client.HTTPConnection
        options: dict[str, Any] = {}
        if at.scheme == "https":
            from deepfixcx.node.config import Tls
            from deepfixcx.node.receiving import client_tls

            kind, options = http.client.HTTPSConnection, {"context": client_tls(place.tls or Tls())}
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={edge}',
            "Accept": "application/dicom+json",
        }
        try:
            if place.token_file is not None:
                token = place.token_file.read_text("utf-8").strip()
                headers["Authorization"] = f"Bearer {token}"
            connection = kind(at.hostname, at.port, timeout=max(60.0, place.timeout_s), **options)
            try:
                connection.request("POST", at.path.rstrip("/") + "/studies", body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read(1 << 24)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            raise Unreachable("the destination cannot be reached, or does not answer") from None


def _refused(answer: bytes) -> dict[str, str]:
    """Return the instances that a response of STOW-RS lists as failed, with their reasons."""
    found = {}
    with suppress(ValueError, AttributeError, LookupError, TypeError):
        for item in json.loads(answer).get(FAILED_SOP, {}).get("Value", []):
            reason = item.get("00081197", {}).get("Value", [0])[0]
            found[str(item[INSTANCE]["Value"][0])] = f"{int(reason):#06x}"
    return found


# -- files ------------------------------------------------------------------------------------


def _name(delivery: Delivery) -> str:
    """Return study/series/instance.dcm, of new identifiers; codes have another suffix."""
    parts = (delivery.study, delivery.series, delivery.instance)
    safe = [each if UID.fullmatch(each) and each.strip(".") else "unknown" for each in parts]
    return "/".join(safe) + (".dcm" if delivery.sop_class else ".safetensors")


class FolderSender(PlainSender):
    """Writes results into a folder of this machine."""

    def __init__(self, target: Path, folder: Path) -> None:
        self._target, self._folder = target, folder

    def send(self, batch: Sequence[Delivery]) -> Iterator[Result]:
        """Write results; one that is there with the same bytes stays."""
        for delivery in batch:
            path = self._target / _name(delivery)
            try:
                data = file_of(self._folder, "made", delivery.content).read_bytes()
            except OSError:
                yield delivery, MISSING
                continue
            reason = ""
            try:
                make_folder(path.parent)
                write_file(path, data)
            except OverwriteError:
                if not holds(path, {delivery.content}):
                    reason = "the destination has another file of this name"
            except OSError as error:
                raise Unreachable(f"the folder cannot be written: {error.strerror}") from None
            yield delivery, reason


class UrlSender(PlainSender):
    """Writes results into a store that fsspec knows, such as S3."""

    def __init__(self, url: str, folder: Path) -> None:
        from deepfixcx.release.storage import open_store

        self._url, self._folder = url, folder
        open_store(url)  # an unknown scheme or a missing package is reported at the start

    def send(self, batch: Sequence[Delivery]) -> Iterator[Result]:
        """Write results; one that is there is written again with the same bytes."""
        from deepfixcx.release.storage import asking, open_store

        for delivery in batch:
            try:
                data = file_of(self._folder, "made", delivery.content).read_bytes()
            except OSError:
                yield delivery, MISSING
                continue
            try:
                with asking(self._url):
                    system, root = open_store(self._url)
                    path = f"{root.rstrip('/')}/{_name(delivery)}"
                    system.mkdirs(path.rpartition("/")[0], exist_ok=True)
                    system.pipe_file(path, data)
            except (DeepfixcxError, OSError):
                raise Unreachable("the store cannot be reached or refuses to write") from None
            yield delivery, ""
