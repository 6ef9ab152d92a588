"""The web side of a node: STOW-RS in, metrics and health out.

A request needs the token of the configuration, as ``Authorization: Bearer TOKEN``; only health is
open. An answer repeats no more than the UIDs that the request itself stored.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deepfixcx._optional import require

require("starlette", extra="node")

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deepfixcx.errors import NodeError
from deepfixcx.node.config import NodeConfig, Web
from deepfixcx.node.inbox import Inbox, Taken, meta_bytes
from deepfixcx.node.status import metrics, node_status

if TYPE_CHECKING:
    from deepfixcx.node.events import Log

__all__ = ["CALLING", "WebSide", "application"]

CALLING: Final = "STOW"
"""What routes call objects that came by STOW-RS, in place of an AE title."""

LONGEST_HEADER: Final = 1 << 14
LEAST_TOKEN: Final = 16
_BOUNDARY: Final = re.compile(r'boundary="?([^";,]{1,200})"?', re.IGNORECASE)
"""RFC 2046 allows 70 characters; Orthanc 1.10 sends 73."""

FAILURES: Final[dict[Taken, int]] = {"full": 0xA700, "invalid": 0xC000}


class BodyError(Exception):
    """The body of a request is not what it states, or longer than the limit."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of one part of a request."""

    sop_class: str
    instance: str
    failure: int


def application(config: NodeConfig, web: Web, inbox: Inbox) -> Starlette:
    """Return the ASGI application of a node."""
    token = _token(web)

    def admitted(request: Request) -> bool:
        given = request.headers.get("authorization", "").encode()
        return not token or hmac.compare_digest(given, b"Bearer " + token)

    async def store(request: Request) -> Response:
        if not admitted(request):
            return PlainTextResponse("the token is missing or wrong\n", 401)
        found = _BOUNDARY.search(request.headers.get("content-type", ""))
        if found is None or "application/dicom" not in request.headers["content-type"]:
            return PlainTextResponse("multipart/related of application/dicom is needed\n", 415)
        if inbox.full():
            return PlainTextResponse("the node can take no object in now\n", 503)
        stored = []
        try:
            stream = _timed(request.stream(), config.limits.idle_s)
            longest = config.limits.object_mb * 1_000_000
            async for part in parts_of(stream, found[1].encode(), longest):
                stored.append(await run_in_threadpool(_take, inbox, part))
        except (BodyError, TimeoutError):
            # What was stored before stays, and is accepted again when the request is repeated.
            return PlainTextResponse("the body is damaged, too long or too slow\n", 400)
        return _answer(stored)

    async def measured(request: Request) -> Response:
        if not admitted(request):
            return PlainTextResponse("the token is missing or wrong\n", 401)
        text = await run_in_threadpool(lambda: metrics(node_status(config)))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def health(_: Request) -> Response:
        full = await run_in_threadpool(inbox.full)
        return PlainTextResponse("full\n" if full else "ok\n", 503 if full else 200)

    return Starlette(
        routes=[
            Route("/studies", store, methods=["POST"]),
            Route("/studies/{study}", store, methods=["POST"]),
            Route("/metrics", measured),
            Route("/health", health),
        ]
    )


def _token(web: Web) -> bytes:
    """Read the token; a node that other machines reach needs one."""
    if web.token_file is None:
        if web.host not in ("127.0.0.1", "::1", "localhost"):
            raise NodeError(
                "[web] listens for other machines and has no token_file; name a file with a token "
                f"of at least {LEAST_TOKEN} characters"
            )
        return b""
    try:
        token = web.token_file.read_bytes().strip()
    except OSError as error:
        raise NodeError(f"[web] token_file cannot be read: {error.strerror}") from None
    if len(token) < LEAST_TOKEN:
        raise NodeError(f"[web] token_file has fewer than {LEAST_TOKEN} characters")
    return token


async def _timed(stream: AsyncIterator[bytes], idle_s: float) -> AsyncIterator[bytes]:
    """Yield the chunks of a stream; wait for each no longer than is allowed."""
    chunks = stream.__aiter__()
    while True:
        try:
            yield await asyncio.wait_for(chunks.__anext__(), idle_s)
        except StopAsyncIteration:
            return


async def parts_of(
    stream: AsyncIterator[bytes], boundary: bytes, longest: int
) -> AsyncIterator[bytes]:
    """Yield the bodies of the parts of a multipart message, each as soon as it is whole."""
    edge, buffer, searched, inside = b"\r\n--" + boundary, bytearray(b"\r\n"), 0, False
    async for chunk in stream:
        buffer += chunk
        while (at := buffer.find(edge, max(0, searched - len(edge)))) >= 0:
            after = buffer[at + len(edge) : at + len(edge) + 2]
            if len(after) < 2:
                break
            if inside:
                yield _body(bytes(buffer[:at]))
            del buffer[: at + len(edge)]
            searched, inside = 0, True
            if after == b"--":
                return
        else:
            searched = len(buffer)
        if len(buffer) > longest + LONGEST_HEADER:
            raise BodyError
    raise BodyError


def _body(part: bytes) -> bytes:
    """Return a part without its headers."""
    head, found, body = part.partition(b"\r\n\r\n")
    if not found or len(head) > LONGEST_HEADER:
        raise BodyError
    return body


def _take(inbox: Inbox, part: bytes) -> Stored:
    """Put one DICOM file into the inbox, with the file meta information that C-STORE gives it."""
    from io import BytesIO

    try:
        sop_class, instance, syntax, start = _meta_of(BytesIO(part))
        meta = meta_bytes(sop_class, instance, syntax)
    except Exception:  # pydicom raises whatever damaged bytes lead to
        return Stored("", "", FAILURES["invalid"])
    taken = inbox.take((meta, memoryview(part)[start:]), instance, CALLING)
    return Stored(sop_class, instance, FAILURES.get(taken, 0))


def _meta_of(stream: Any) -> tuple[str, str, str, int]:
    """Return SOP class, instance and syntax of a file, and where its data set begins."""
    from pydicom import dcmread

    from deepfixcx.images.reading import QUIET

    with QUIET:
        meta = dcmread(stream, stop_before_pixels=True, specific_tags=[]).file_meta
    # Preamble, prefix and the element of the group length, which has 12 bytes.
    start = 128 + 4 + 12 + int(meta.FileMetaInformationGroupLength)
    return (
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        str(meta.TransferSyntaxUID),
        start,
    )


def _answer(stored: list[Stored]) -> Response:
    """Return the answer of STOW-RS in the JSON model of DICOM."""
    good = [_item(each) for each in stored if not each.failure]
    bad = [_item(each) for each in stored if each.failure]
    content: dict[str, Any] = {}
    if good:
        content["00081199"] = {"vr": "SQ", "Value": good}
    if bad:
        content["00081198"] = {"vr": "SQ", "Value": bad}
    code = 200 if good and not bad else 202 if good else 409
    return JSONResponse(content, code, media_type="application/dicom+json")


def _item(stored: Stored) -> dict[str, Any]:
    item: dict[str, Any] = {
        "00081150": {"vr": "UI", "Value": [stored.sop_class]},
        "00081155": {"vr": "UI", "Value": [stored.instance]},
    }
    if stored.failure:
        item["00081197"] = {"vr": "US", "Value": [stored.failure]}
    return item


class WebSide(threading.Thread):
    """Serves the application in a thread."""

    def __init__(self, config: NodeConfig, web: Web, inbox: Inbox, log: Log) -> None:
        super().__init__(name="web", daemon=True)
        self._log = log
        self._socket = socket.socket(
            socket.AF_INET6 if ":" in web.host else socket.AF_INET, socket.SOCK_STREAM
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((web.host, web.port))
            self._socket.listen()  # connections wait until the server takes them
        except OSError as error:
            raise NodeError(
                f"[web] cannot listen on {web.host}, port {web.port}: {error.strerror}"
            ) from None
        options: dict[str, Any] = {}
        if web.tls is not None:
            options = {"ssl_certfile": web.tls.certificate, "ssl_keyfile": web.tls.key}
            if web.tls.authorities is not None:
                options["ssl_ca_certs"] = str(web.tls.authorities)
                options["ssl_cert_reqs"] = ssl.CERT_REQUIRED
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(config, web, inbox),
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                limit_concurrency=4 * config.limits.associations,
                timeout_keep_alive=10,
                timeout_graceful_shutdown=10,
                **options,
            )
        )

    def run(self) -> None:
        """Serve until `stop`."""
        self._log.info("web started", port=self._socket.getsockname()[1])
        self._server.run([self._socket])

    def stop(self) -> None:
        """Take no more requests, and end after those in hand."""
        self._server.should_exit = True
