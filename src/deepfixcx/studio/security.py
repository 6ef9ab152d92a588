"""Which requests the studio answers: only those of the browser that has the token.

Every program on this machine and every web page that is open in the browser can reach the server.
So each request must name this machine as its host (otherwise a foreign page could reach it by a DNS
name that points here), must not come from another origin, and must carry the token: first in the
URL that the command prints, then in a cookie.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SAFETY_HEADERS", "UPLOADS", "Access", "Gate"]

UPLOADS = "/upload/"
"""Only requests below this path may have a body."""

SOCKET = "/_nicegui_ws/"
ASSETS = "/_nicegui/"

SAFETY_HEADERS: Mapping[str, str] = {
    # the page's framework compiles templates, hence unsafe-eval; nothing may come from elsewhere
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must show: the token, in a cookie, and a host that is this machine."""

    token: str
    cookie: str
    beyond: bool = False

    def refusal(
        self, method: str, path: str, headers: Mapping[str, str], query: str = ""
    ) -> tuple[int, str] | None:
        """Return status and reason of a refusal, or None; names of headers are lower case."""
        if not self._host_is_ours(headers.get("host", "")):
            return 421, "This is not an address of the studio. Open the link that it printed."
        if not _same_origin(method, headers):
            return 403, "The studio answers only its own page, not pages of another origin."
        if not (self._has_cookie(headers.get("cookie", "")) or self.has_token(query)):
            return 403, "Open the link that 'deepfixcx studio' printed; it holds the token."
        return _unfit(method, path)

    def has_token(self, query: str) -> bool:
        """Return whether a query string holds the token."""
        return any(self._matches(word) for word in parse_qs(query).get("token", []))

    def _has_cookie(self, text: str) -> bool:
        try:
            morsel = SimpleCookie(text).get(self.cookie)
        except CookieError:
            return False
        return morsel is not None and self._matches(morsel.value)

    def _matches(self, word: str) -> bool:
        return hmac.compare_digest(word.encode(), self.token.encode())

    def _host_is_ours(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname if _is_host(host) else None
        if name is None:
            return False
        if name == "localhost":
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return self.beyond and name == socket.gethostname().lower()
        return self.beyond or address.is_loopback


def _is_host(host: str) -> bool:
    try:
        return bool(host) and urlsplit(f"//{host}").port is not False and "@" not in host
    except ValueError:
        return False


def _same_origin(method: str, headers: Mapping[str, str]) -> bool:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return False
    site = headers.get("sec-fetch-site", "none")
    if site in ("same-origin", "none"):
        return True
    # following a link to the page itself is harmless: its author sees nothing of the page
    return (
        method == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _unfit(method: str, path: str) -> tuple[int, str] | None:
    plain = unquote(unquote(path))
    if ".." in plain or "\\" in plain or "//" in plain or "\0" in plain:
        return 400, "This path leads out of the studio."
    if method == "WEBSOCKET":
        return None if plain.startswith(SOCKET) else (404, "There is no such page.")
    if plain.startswith(SOCKET):
        return 405, "This path is a web socket."
    if method in ("GET", "HEAD") or (method == "POST" and plain.startswith(UPLOADS)):
        return None
    return 405, "This path accepts no body."


class Gate:
    """Middleware that refuses what `Access` refuses, and adds headers of safety."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name: value for name, value in Headers(scope=scope).items()}
        method = scope.get("method", "WEBSOCKET")
        raw = scope.get("raw_path", scope["path"].encode()).partition(b"?")[0].decode("latin-1")
        query = scope.get("query_string", b"").decode("latin-1")
        refusal = self.access.refusal(method, raw, headers, query)
        if scope["type"] == "websocket":
            if refusal is not None:
                await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
                return
            await self.app(scope, receive, send)
            return
        answer = self._answer(refusal, method, scope["path"], query)
        guarded = _with_headers(send, cached=refusal is None and raw.startswith(ASSETS))
        if answer is None:
            await self.app(scope, receive, guarded)
        else:
            await answer(scope, receive, guarded)

    def _answer(
        self, refusal: tuple[int, str] | None, method: str, path: str, query: str
    ) -> Response | None:
        if refusal is not None:
            return PlainTextResponse(f"{refusal[1]}\n", status_code=refusal[0])
        if not self.access.has_token(query) or method != "GET":
            return None
        # the token moves from the URL, which ends up in histories, into a cookie
        answer = RedirectResponse(path, status_code=303)
        answer.set_cookie(
            self.access.cookie, self.access.token, httponly=True, samesite="lax", path="/"
        )
        return answer


def _with_headers(send: Send, *, cached: bool) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            for name, value in SAFETY_HEADERS.items():
                headers[name] = value
            if not cached:  # the browser must not store what the page shows
                headers["Cache-Control"] = "no-store"
        await send(message)

    return guarded
