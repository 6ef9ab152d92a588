"""The C-STORE SCP of a node, with C-ECHO and storage commitment.

pynetdicom speaks the protocol. Around it stand limits that a stranger meets first: addresses,
connections, the length that a PDU announces, the size of an object, and time without data.
"""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from deepfixcx._optional import require

require("pynetdicom", extra="node")

from pydicom.dataset import Dataset
from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from deepfixcx.node.config import Limits, NodeConfig, Tls
from deepfixcx.node.inbox import Inbox, meta_bytes

if TYPE_CHECKING:
    from deepfixcx.node.events import Log
    from deepfixcx.node.records import Commitment

__all__ = ["SYNTAXES", "Committing", "Receiver", "client_tls", "server_tls", "storage_classes"]

NOT_TAKEN: Final = ("MPEG", "HEVC", "SMPTE", "JPIP")
PLAIN: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
SYNTAXES: Final = tuple(
    sorted(
        (uid for uid in AllTransferSyntaxes if not any(word in uid.name for word in NOT_TAKEN)),
        key=lambda uid: PLAIN.index(uid) if uid in PLAIN else len(PLAIN),
    )
)
"""Transfer syntaxes that are accepted; video and references are not examined, so not accepted.
Of several that a source offers in one context, the first of these is taken."""

SUCCESS, NO_RESOURCES, NOT_UNDERSTOOD, FAILED = 0x0000, 0xA700, 0xC000, 0x0110
NO_SUCH_OBJECT: Final = 0x0112
VERIFICATION, COMMITMENT = "1.2.840.10008.1.1", "1.2.840.10008.1.20.1"
COMMIT_SCP: Final = "1.2.840.10008.1.20.1.1"
MOST_ITEMS, COMMIT_ATTEMPTS = 20_000, 20
READ_BYTES: Final = 1 << 18
READING: Final = "deepfixcx_reading"


class Reading:
    """Reads from the socket of an association: not more than is allowed, nor for longer."""

    def __init__(self, peer: socket.socket, limits: Limits) -> None:
        self._peer, self._idle_s = peer, float(limits.idle_s)
        self._longest_pdu = limits.pdu_kb * 1024 + 4096
        self._longest_object = limits.object_mb * 1_000_000
        self._taken = 0

    def next_object(self) -> None:
        """Begin to count the bytes of another object."""
        self._taken = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or raise what closes the connection."""
        self._taken += nr_bytes
        if nr_bytes > self._longest_pdu or self._taken > self._longest_object:
            raise OSError("longer than the limit")
        until = time.monotonic() + self._idle_s
        data, read = bytearray(nr_bytes), 0
        view = memoryview(data)
        while read < nr_bytes:
            count = self._peer.recv_into(view[read : read + READ_BYTES])
            if not count:
                return data[:read]
            read += count
            if time.monotonic() > until:
                raise OSError("slower than the limit")
        return data


class Handler(RequestHandler):
    """Makes associations that read within limits."""

    def _create_association(self) -> Any:
        association = super()._create_association()
        limits = self.server.limits  # type: ignore[attr-defined]
        reading = Reading(self.request, limits)
        setattr(association, READING, reading)
        association.dul.socket.recv = reading.recv  # type: ignore[union-attr, method-assign]
        return association


class Server(ThreadedAssociationServer):
    """Admits a limited number of connections, and shakes hands of TLS outside its own thread."""

    daemon_threads = True
    limits: Any = None
    request_queue_size = 64

    tls: ssl.SSLContext | None = None

    def get_request(self) -> Any:
        """Accept a connection, whose handshake comes later."""
        client, address = self.socket.accept()  # type: ignore[union-attr]
        client.settimeout(self.limits.idle_s)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client, address

    def verify_request(self, _request: Any, _address: Any) -> bool:
        """Refuse connections beyond twice the limit of associations, before any thread."""
        alive = sum("Acceptor" in each.name for each in threading.enumerate())
        return bool(alive < 2 * self.limits.associations)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands where TLS is asked, and make an association."""
        try:
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
            self.finish_request(request, client_address)
        except Exception:  # a stranger's; what it says is not repeated
            self.shutdown_request(request)

    def handle_error(self, _request: Any, _address: Any) -> None:
        """Stay silent: a traceback would quote what came over the network."""


class Receiver:
    """Listens for associations and puts objects into the inbox."""

    def __init__(self, config: NodeConfig, inbox: Inbox, log: Log) -> None:
        self._config, self._inbox, self._log = config, inbox, log
        self._sources = {each.title: each for each in config.sources}
        self._meta: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._ae = AE(config.title)
        self._ae.maximum_associations = config.limits.associations
        self._ae.maximum_pdu_size = config.limits.pdu_kb * 1024
        self._ae.require_called_aet = True
        self._ae.require_calling_aet = list(self._sources)
        self._ae.network_timeout = self._ae.dimse_timeout = config.limits.idle_s
        self._ae.acse_timeout = min(30, config.limits.idle_s)
        for sop_class in storage_classes():
            self._ae.add_supported_context(sop_class, list(SYNTAXES))
        self._ae.add_supported_context(VERIFICATION)
        self._ae.add_supported_context(COMMITMENT)
        self._server: Any = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen; raises OSError where the address cannot be used."""
        config = self._config
        settings = {
            "limits": config.limits,
            "tls": None if config.tls is None else server_tls(config.tls),
        }
        self._server = self._ae.make_server(
            (self._config.host, self._config.port),
            evt_handlers=[
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_C_ECHO, lambda _: SUCCESS),
                (evt.EVT_N_ACTION, self._commit),
                (evt.EVT_REJECTED, self._rejected),
                (evt.EVT_ABORTED, self._aborted),
            ],
            server_class=type("NodeServer", (Server,), settings),
            request_handler=Handler,
        )
        self._ae._servers.append(self._server)
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="listening", daemon=True
        ).start()

    def stop(self) -> None:
        """Listen no more, and abort what is open: what was not acknowledged is sent again."""
        if self._server is not None:
            self._server.shutdown()
            for each in self._server.active_associations:
                with contextlib.suppress(Exception):
                    each.abort()

    def _requested(self, event: Any) -> None:
        """Refuse an association from another address than is configured, or with a full disk."""
        asked = event.assoc.requestor
        source = self._sources.get(str(asked.primitive.calling_ae_title).strip())
        address = str(asked.address)
        if source is not None and source.host and not _same_host(source.host, address):
            event.assoc.acse.send_reject(0x01, 0x01, 0x03)
        elif self._inbox.full():
            event.assoc.acse.send_reject(0x02, 0x03, 0x01)
            self._log.error("refused", reason=self._inbox.full())
        else:
            return
        event.assoc.is_rejected = True
        self._rejected(event)
        event.assoc.kill()

    def _rejected(self, _event: Any) -> None:
        self._inbox.ledger.count("associations_refused")

    def _aborted(self, _event: Any) -> None:
        self._inbox.ledger.count("associations_aborted")

    def _store(self, event: Any) -> int:
        request, context = event.request, event.context
        getattr(event.assoc, READING).next_object()
        instance = str(request.AffectedSOPInstanceUID or "")
        try:
            meta = meta_bytes(
                str(request.AffectedSOPClassUID), instance, str(context.transfer_syntax)
            )
        except Exception:  # a UID that is none
            return NOT_UNDERSTOOD
        calling = str(event.assoc.requestor.ae_title).strip()
        taken = self._inbox.take((meta, request.DataSet.getbuffer()), instance, calling)
        return {"full": NO_RESOURCES, "invalid": NOT_UNDERSTOOD}.get(taken, SUCCESS)

    def _commit(self, event: Any) -> tuple[int, None]:
        """Take a request for storage commitment, which `Committing` answers."""
        calling = str(event.assoc.requestor.ae_title).strip()
        source = self._sources.get(calling)
        try:
            asked = event.action_information
            uid = str(asked.TransactionUID)
            items = [
                (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                for item in asked.ReferencedSOPSequence
            ]
        except Exception:  # pydicom raises whatever damaged bytes lead to
            return FAILED, None
        if source is None or not (source.host and source.port) or len(items) > MOST_ITEMS:
            return FAILED, None
        self._inbox.ledger.ask(calling, uid, items)
        return SUCCESS, None


class Committing(threading.Thread):
    """Answers requests for storage commitment, each on an association of its own."""

    def __init__(self, config: NodeConfig, inbox: Inbox, log: Log) -> None:
        super().__init__(name="committing", daemon=True)
        self._config, self._ledger, self._log = config, inbox.ledger, log
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End after the answer in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Answer until `stop`."""
        pause = 1.0
        while not self._stopping.wait(pause):
            try:
                asked = self._ledger.asked(COMMIT_ATTEMPTS)
                done = [self._answer(each) for each in asked if not self._stopping.is_set()]
            except sqlite3.OperationalError:  # a full disk: it is answered later
                done = [False]
            pause = 1.0 if all(done) else min(pause * 2, 300.0)
        self._ledger.close()

    def _answer(self, asked: Commitment) -> bool:
        source = next((each for each in self._config.sources if each.title == asked.calling), None)
        done = source is None
        if source is not None:
            try:
                done = self._send(asked, source.host, source.port)
            except Exception:  # of the network, or of the other side
                done = False
        self._ledger.answered(asked, done=done)
        if not done and asked.attempts + 1 >= COMMIT_ATTEMPTS:
            self._log.error("commitment not answered", source=asked.calling)
        return done

    def _send(self, asked: Commitment, host: str, port: int) -> bool:
        from pynetdicom import build_role

        good = [each for each in asked.items if self._ledger.committed(each[1])]
        bad = [each for each in asked.items if each not in set(good)]
        information = Dataset()
        information.TransactionUID = asked.uid
        information.ReferencedSOPSequence = [_reference(each) for each in good]
        if bad:
            information.FailedSOPSequence = [_reference(each, NO_SUCH_OBJECT) for each in bad]
        ae = AE(self._config.title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
        ae.add_requested_context(COMMITMENT)
        role = build_role(COMMITMENT, scp_role=True, scu_role=False)
        tls = None if self._config.tls is None else (client_tls(self._config.tls), host)
        association = ae.associate(host, port, ae_title=asked.calling, ext_neg=[role], tls_args=tls)
        if not association.is_established:
            return False
        try:
            status, _ = association.send_n_event_report(
                information, 2 if bad else 1, COMMITMENT, COMMIT_SCP
            )
            return bool(status.get("Status") == SUCCESS)
        finally:
            association.release()


def storage_classes() -> list[str]:
    """Return the UIDs of the SOP classes that are accepted."""
    return [str(each.abstract_syntax) for each in AllStoragePresentationContexts]


def server_tls(tls: Tls) -> ssl.SSLContext:
    """Return the context of a server; with authorities, clients need a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return _certified(context, tls)


def client_tls(tls: Tls) -> ssl.SSLContext:
    """Return the context of a client, which checks the certificate and name of the server."""
    context = ssl.create_default_context(cafile=tls.authorities)
    return _certified(context, Tls(tls.certificate, tls.key))


def _certified(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    from deepfixcx.errors import NodeError

    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
        if tls.authorities is not None:
            context.load_verify_locations(tls.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError):
        raise NodeError(
            "a certificate, key or list of authorities of TLS cannot be read; name PEM files"
        ) from None
    return context


def _reference(item: tuple[str, str], reason: int | None = None) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = item
    if reason is not None:
        made.FailureReason = reason
    return made


def _same_host(host: str, address: str) -> bool:
    """Return whether an address is one of a host."""
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return address.removeprefix("::ffff:") in found
