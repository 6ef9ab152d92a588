"""C-STORE to a destination: many objects on one association, each as its bytes lie on the disk.

pynetdicom negotiates and receives. The objects go to the socket in large pieces from here, because
one message for each fragment of 16 KB, through queues between threads, takes most of the time.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from deepfixcx._optional import require
from deepfixcx.node.config import Destination
from deepfixcx.node.inbox import file_of
from deepfixcx.node.records import Delivery
from deepfixcx.node.senders import MISSING, PlainSender, Result, Unreachable

__all__ = ["DicomSender"]

PIECE_BYTES: Final = 1 << 20
META_LENGTH: Final = b"\x02\x00\x00\x00UL\x04\x00"
"""Begin of the first element of a file, which states how long the file meta information is."""

P_DATA, COMMAND, LAST = 0x04, 0x01, 0x02
PLAIN: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Explicit and Implicit VR Little Endian."""

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
                status = self._store(path, delivery, number % 65535 + 1)
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
        """Send a file as it lies on the disk, or in an uncompressed syntax that is accepted."""
        from pydicom import dcmread
        from pydicom.uid import UID as Uid
        from pynetdicom.dsutils import encode

        accepted = {
            (str(each.abstract_syntax), str(each.transfer_syntax[0])): int(each.context_id)
            for each in self._association.accepted_contexts
        }
        context = accepted.get((delivery.sop_class, delivery.syntax))
        if context is not None:
            with path.open("rb") as file:
                return self._exchange(file, data_set_start(file), context, delivery, number)
        plain = [uid for uid in PLAIN if (delivery.sop_class, uid) in accepted]
        if Uid(delivery.syntax).is_compressed or not plain:
            raise ValueError
        data = encode(dcmread(path), Uid(plain[0]).is_implicit_VR, is_little_endian=True)
        if data is None:
            raise ValueError
        context = accepted[delivery.sop_class, plain[0]]
        return self._exchange(BytesIO(data), 0, context, delivery, number)

    def _exchange(
        self, file: BinaryIO, start: int, context: int, delivery: Delivery, number: int
    ) -> int | None:
        """Send a data set; return the status of the answer, or None without one."""
        from pynetdicom.dimse_messages import C_STORE_RQ
        from pynetdicom.dimse_primitives import C_STORE

        association = self._association
        if not association.is_established:
            return None
        request, message = C_STORE(), C_STORE_RQ()
        request.MessageID, request.Priority = number, 2
        request.AffectedSOPClassUID = delivery.sop_class
        request.AffectedSOPInstanceUID = delivery.instance
        request.DataSet = BytesIO(b"\0\0")  # in its place `pieces_of` sends the data set
        message.primitive_to_message(request)
        if self._destination.tls is None:
            self._write(message, file, start, context)
        else:  # one thread alone may use a connection with TLS: that of pynetdicom
            file.seek(start)
            request.DataSet = BytesIO(file.read())
            association.dimse.send_msg(request, context)
        _, answer = association.dimse.get_msg(block=True)
        if answer is None or not hasattr(answer, "Status"):
            association.abort()
            return None
        return int(answer.Status)

    def _write(self, message: Any, file: BinaryIO, start: int, context: int) -> None:
        """Write a message to the socket, with a data set in place of its own."""
        from pynetdicom.pdu import P_DATA_TF

        peer, longest = self._association.dul.socket, self._association.dimse.maximum_pdu_size
        for each in message.encode_msg(context, longest):
            if each.presentation_data_value_list[0][1][0] & COMMAND:
                pdu = P_DATA_TF()
                pdu.from_primitive(each)
                peer.send(pdu.encode())
        for piece in pieces_of(file, start, context, longest):
            peer.send(piece)

    def _open(self, wanted: dict[tuple[str, str], None]) -> None:
        """Open an association that offers what is to be sent, unless one is open that does."""
        from pynetdicom import AE, evt

        open_now = (
            self._association is not None
            and self._association.is_established
            and self._association.dimse.msg_queue.empty()  # which tells of a connection that ended
        )
        if open_now and wanted.keys() <= self._offered.keys():
            return
        self.close()
        offered = {**wanted, **self._offered}
        self._offered = dict(list(offered.items())[:MOST_CONTEXTS])
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
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _without_delay),
                (evt.EVT_ESTABLISHED, _leave_answers),
            ],
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


def data_set_start(file: BinaryIO) -> int:
    """Return where the data set of a DICOM file begins, behind its file meta information."""
    file.seek(132)
    first = file.read(12)
    if first[:8] != META_LENGTH:
        raise ValueError("no file meta information")
    return 144 + int.from_bytes(first[8:], "little")


def pieces_of(file: BinaryIO, start: int, context: int, longest: int) -> Iterator[bytes]:
    """Yield a data set as P-DATA-TF PDUs of at most `longest` bytes, many at once."""
    size = file.seek(0, 2)
    at = file.seek(start)
    step = (longest or PIECE_BYTES) - 6
    step -= step % 2
    while at < size:
        block = memoryview(file.read(max(1, PIECE_BYTES // step) * step))
        parts: list[bytes | memoryview] = []
        for first in range(0, len(block), step):
            part = block[first : first + step]
            at += len(part)
            last = LAST if at == size else 0
            head = (P_DATA, 0, len(part) + 6, len(part) + 2, context, last)
            parts += [struct.pack(">BBIIBB", *head), part]
        yield b"".join(parts)


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


def _leave_answers(event: Any) -> None:
    """Pause the thread of pynetdicom that would take the answers, until the release."""
    event.assoc._reactor_checkpoint.clear()
