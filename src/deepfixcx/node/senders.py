"""What sends results: C-STORE, STOW-RS, a folder, a store of fsspec; one class each.

A sender yields, for each delivery, an empty text or why the destination refused that object. What
concerns the destination as a whole is raised as `Unreachable`, and the queue waits. Sending twice
does no harm: a result has the same identifiers and bytes each time.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from deepfixcx._optional import require
from deepfixcx.errors import DeepfixcxError, NodeError, OverwriteError
from deepfixcx.io.files import holds, make_folder, write_file
from deepfixcx.node.config import Destination, NodeConfig
from deepfixcx.node.inbox import file_of
from deepfixcx.node.ledger import Delivery

__all__ = ["MISSING", "Result", "Sender", "Unreachable", "make_sender"]

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


# -- C-STORE ----------------------------------------------------------------------------------

OUT_OF_RESOURCES: Final = range(0xA700, 0xA800)
WARNINGS: Final = frozenset({0x0000, 0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007})
MOST_CONTEXTS: Final = 120


class DicomSender(PlainSender):
    """Sends many objects on one association, which stays open while there are more."""

    def __init__(self, destination: Destination, title: str, folder: Path) -> None:
        require("pynetdicom", extra="node")
        self._destination, self._folder = destination, folder
        self._title = destination.calling or title
        self._association: Any = None
        self._offered: dict[tuple[str, str], None] = {}

    def send(self, batch: Sequence[Delivery]) -> Iterator[Result]:
        """Send results with C-STORE."""
        self._open({(each.sop_class, each.syntax): None for each in batch})
        for number, delivery in enumerate(batch, start=1):
            path = file_of(self._folder, "made", delivery.content)
            if not path.exists():
                yield delivery, MISSING
                continue
            try:
                status = self._store(path, delivery, number)
            except ValueError:
                yield (
                    delivery,
                    (
                        "the destination accepts no presentation context for this SOP class and "
                        "transfer syntax"
                    ),
                )
                continue
            if status is None:
                self.close()
                raise Unreachable("the destination closed the association or did not answer")
            if status in OUT_OF_RESOURCES:
                raise Unreachable(f"the destination is out of resources (status {status:#06x})")
            yield delivery, "" if status in WARNINGS else f"refused with status {status:#06x}"

    def _store(self, path: Path, delivery: Delivery, number: int) -> int | None:
        from pydicom import dcmread
        from pydicom.uid import UID as Uid

        accepted = {
            (str(each.abstract_syntax), str(each.transfer_syntax[0]))
            for each in self._association.accepted_contexts
        }
        what: Any = path  # sent as it lies on the disk
        if (delivery.sop_class, delivery.syntax) not in accepted:
            if Uid(delivery.syntax).is_compressed:
                raise ValueError
            what = dcmread(path)  # written again in an uncompressed syntax that is accepted
        try:
            answer = self._association.send_c_store(what, msg_id=number % 65535 + 1)
        except RuntimeError:  # the association has ended
            return None
        status = answer.get("Status")
        return None if status is None else int(status)

    def _open(self, wanted: dict[tuple[str, str], None]) -> None:
        """Open an association that offers what is to be sent, unless one is open that does."""
        from pynetdicom import AE, _config, evt

        open_now = self._association is not None and self._association.is_established
        if open_now and wanted.keys() <= self._offered.keys():
            return
        self.close()
        offered = {**wanted, **self._offered}
        self._offered = dict(list(offered.items())[:MOST_CONTEXTS])
        _config.STORE_SEND_CHUNKED_DATASET = True
        place = self._destination
        ae = AE(self._title)
        ae.connection_timeout = ae.acse_timeout = place.timeout_s
        ae.dimse_timeout, ae.network_timeout = max(place.timeout_s, 60.0), None
        for contexts in _contexts(self._offered):
            ae.add_requested_context(*contexts)
        tls = None
        if place.tls is not None:
            from deepfixcx.node.receiving import client_tls

            tls = (client_tls(place.tls), place.host)
        self._association = ae.associate(
            place.host,
            place.port,
            ae_title=place.title,
            max_pdu=0,
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, _without_delay)],
        )
        if not self._association.is_established:
            rejected = self._association.is_rejected
            self._association = None
            raise Unreachable(
                "the destination rejects the association; check its list of AE titles"
                if rejected
                else "the destination cannot be reached, or its TLS certificate is not trusted"
            )

    def close(self) -> None:
        """Release the association."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association = None


def _contexts(offered: dict[tuple[str, str], None]) -> list[tuple[str, list[str]]]:
    """Return presentation contexts: each syntax alone, and for each class what all can read."""
    from pydicom.uid import UID as Uid
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    made = [(sop_class, [syntax]) for sop_class, syntax in offered]
    native = dict.fromkeys(one for one, syntax in offered if not Uid(syntax).is_compressed)
    plain = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    made += [(one, [uid]) for one in native for uid in plain if (one, uid) not in offered]
    return made[:128]


def _without_delay(event: Any) -> None:
    """Send each message at once: its answer is waited for."""
    with suppress(OSError, AttributeError):
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


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
