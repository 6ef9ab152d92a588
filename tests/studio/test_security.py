"""Only the browser that was given the link gets an answer."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("nicegui", reason="needs the extra studio")

from deepfixcx.studio.security import Access
from tests.studio.conftest import Served

COOKIE = "studio-8000"
ACCESS = Access("secret", COOKIE)
GOOD = {"host": "127.0.0.1:8000", "cookie": f"{COOKIE}=secret"}


def status(method: str = "GET", path: str = "/", query: str = "", **headers: str | None) -> int:
    shown = {name.replace("_", "-"): text for name, text in headers.items()}
    given = {name: text for name, text in {**GOOD, **shown}.items() if text is not None}
    refusal = ACCESS.refusal(method, path, given, query)
    return 200 if refusal is None else refusal[0]


def test_token_opens_and_cookie_stays() -> None:
    assert status() == 200
    assert status(cookie=None) == 403
    assert status(cookie=f"{COOKIE}=secres") == 403
    assert status(cookie="studio-8001=secret") == 403
    assert status(cookie=None, query="token=secret") == 200
    assert status(cookie=None, query="token=secretx&token=") == 403
    assert status(cookie=None, query="token=%FF") == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.2:8000", "[::1]:8000"])
def test_names_of_this_machine_are_hosts(host: str) -> None:
    assert status(host=host) == 200


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000",
     "10.0.0.1", "evil@127.0.0.1", "[::1", "127.0.0.1:x"],
)  # fmt: skip
def test_other_hosts_are_refused(host: str | None) -> None:
    assert status(host=host) == 421


def test_beyond_this_machine_addresses_count_and_foreign_names_do_not() -> None:
    beyond = Access("secret", COOKIE, beyond=True)
    for host, refused in (("10.0.0.1:8000", False), (socket.gethostname(), False), ("a.b", True)):
        assert (beyond.refusal("GET", "/", {**GOOD, "host": host}) is not None) is refused


def test_other_origins_are_refused() -> None:
    assert status(origin="http://127.0.0.1:8000") == 200
    assert status(origin="http://127.0.0.1:9000") == 403
    assert status(origin="null") == 403
    assert status("WEBSOCKET", "/_nicegui_ws/socket.io", origin="http://evil.example") == 403
    assert status(sec_fetch_site="cross-site") == 403
    assert status(sec_fetch_site="same-site", sec_fetch_mode="no-cors") == 403
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert status(**link, sec_fetch_dest="document") == 200
    assert status(**link, sec_fetch_dest="iframe") == 403
    assert status("POST", "/upload/x", **link, sec_fetch_dest="document") == 403


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/%2e%2e/x", "/%252e%252e/x", "/a/..%2fb", "/a\\b", "//x", "/x%00"]
)
def test_paths_that_lead_out_are_refused(path: str) -> None:
    assert status(path=path) == 400


def test_bodies_are_taken_for_uploads_alone() -> None:
    assert status("POST", "/upload/key") == 200
    assert status("POST", "/") == 405
    assert status("PUT", "/upload/key") == 405
    assert status("POST", "/_nicegui/client/x/upload/y") == 405
    assert status("GET", "/_nicegui_ws/socket.io") == 405


@given(st.text(), st.text(), st.text())
def test_nothing_without_the_token_passes(host: str, path: str, cookie: str) -> None:
    headers = {"host": host, "cookie": cookie}
    assert ACCESS.refusal("GET", path, headers) is not None or "secret" in cookie


def ask(served: Served, method: str, path: str, **headers: str) -> int:
    place = urlsplit(served.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, text in headers.items():
            connection.putheader(name.replace("_", "-"), text)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.slow
def test_the_server_holds_it(served: Served) -> None:
    port = urlsplit(served.url).port
    cookie = f"deepfixcx-studio-{port}={served.token}"
    assert ask(served, "GET", "/") == 403
    assert ask(served, "GET", f"/?token={served.token}") == 303
    assert ask(served, "GET", "/", Cookie=cookie) == 200
    assert ask(served, "GET", "/", Cookie=cookie, Host="evil.example") == 421
    assert ask(served, "GET", "/release", Cookie=cookie, Origin="http://evil.example") == 403
    assert ask(served, "GET", "/pixels/../../etc/passwd", Cookie=cookie) == 400
    assert ask(served, "GET", "/pixels/none/original", Cookie=cookie) == 404
    assert ask(served, "POST", "/", Cookie=cookie, Content_Length="0") == 405
    assert ask(served, "GET", "/_nicegui_ws/socket.io/?EIO=4", Cookie=cookie) == 405
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    upgrade["Sec_WebSocket_Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert ask(served, "GET", path, **upgrade) == 403
    assert ask(served, "GET", path, Cookie=cookie, **upgrade) == 101


@pytest.mark.slow
def test_answers_carry_the_headers_of_safety(served: Served) -> None:
    place = urlsplit(served.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
    connection.request("GET", f"/?token={served.token}")
    answer = connection.getresponse()
    assert answer.headers["Location"] == "/"
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    connection.close()
