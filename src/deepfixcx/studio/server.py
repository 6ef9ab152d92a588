"""The studio as a server on this machine: routes, pages, and the header of every page."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Protocol, get_args
from urllib.parse import parse_qsl, urlsplit

from deepfixcx._optional import require

require("nicegui", extra="studio")  # the modules of the studio are imported from here only

import uvicorn
from fastapi import FastAPI, Request
from nicegui import core, ui
from nicegui.client import Client
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response

from deepfixcx.choices import Size
from deepfixcx.errors import DeepfixcxError
from deepfixcx.studio.elements import STATIC, block, put, words
from deepfixcx.studio.exploring import Look, example, example_names
from deepfixcx.studio.page_audit import AuditPage
from deepfixcx.studio.page_explain import ExplainPage
from deepfixcx.studio.page_explore import ExplorePage
from deepfixcx.studio.page_node import NodePage
from deepfixcx.studio.page_release import ReleasePage
from deepfixcx.studio.page_volume import VolumePage
from deepfixcx.studio.releases import Library
from deepfixcx.studio.security import Access, Gate
from deepfixcx.studio.uploads import MOST_BYTES, Picture, Solid, gather, picture_from, solid_from
from deepfixcx.studio.workspace import LEVELS, Settings, Workspace, Workspaces

__all__ = ["Studio", "bound"]

PAGES = {
    "/": "Explore",
    "/volumes": "Volumes",
    "/explain": "Explain",
    "/release": "Release",
    "/audit": "Audit",
    "/node": "Node",
}

THEME = """() => {
    const dark = !document.body.classList.contains('body--dark');
    document.body.classList.toggle('body--dark', dark);
    document.body.classList.toggle('body--light', !dark);
    sessionStorage.setItem('studio-theme', dark ? 'dark' : 'light');
}"""

RECALL = """(() => {
    const theme = sessionStorage.getItem('studio-theme');
    if (theme) {
        document.body.classList.toggle('body--dark', theme === 'dark');
        document.body.classList.toggle('body--light', theme !== 'dark');
    }
    const earlier = sessionStorage.getItem('studio-tab');
    sessionStorage.setItem('studio-tab', %s);
    return earlier;
})()"""
"""What a tab remembers across a reload, as long as it is open: its theme and its key."""

GONE = """<script>setInterval(async () => {
    if (!window.socket || window.socket.connected || document.querySelector('.gone')) return;
    const answer = await fetch('/favicon.ico', {cache: 'no-store'}).catch(() => null);
    if (answer === null || answer.status !== 403) return;
    const said = document.createElement('p');
    said.className = 'gone';
    said.setAttribute('role', 'alert');
    said.textContent = 'The studio was restarted and this page is no longer valid. '
        + 'Open the new link that the command deepfixcx studio printed.';
    document.body.append(said);
}, 1500);</script>"""
"""A studio that was restarted has another token: the page says so, and does not try for ever."""

RECALL_SECONDS = 30.0
RECONNECT_SECONDS = 120.0
"""A tab that lost its connection keeps its state for this long."""


@dataclass(frozen=True, slots=True)
class Studio:
    """A studio that is about to be served, at a URL that holds the token."""

    url: str
    server: uvicorn.Server
    listening: socket.socket

    @classmethod
    def make(cls, listening: socket.socket, library: Library) -> Studio:
        """Set everything up; a process can do so once. `listening` comes from `bound`."""
        host, port = listening.getsockname()[:2]
        loopback = host in ("127.0.0.1", "::1")
        access = Access(secrets.token_urlsafe(24), f"deepfixcx-studio-{port}", beyond=not loopback)
        app = _application(library)
        config = uvicorn.Config(
            Gate(app, access),
            log_level="error",
            access_log=False,  # it would hold the token
            ws="wsproto",
            ws_max_size=1 << 20,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=2,
        )
        shown = f"[{host}]" if ":" in host else host
        if host in ("0.0.0.0", "::"):
            shown = socket.gethostname()
        return cls(
            f"http://{shown}:{port}/?token={access.token}", uvicorn.Server(config), listening
        )

    def serve(self) -> None:
        """Serve until the process is asked to end."""
        Thread(target=_warm, daemon=True).start()
        self.server.run(sockets=[self.listening])


def _warm() -> None:
    """Draw the first image and compile the codec while the browser starts."""
    picture = example(example_names()[0])
    for size in get_args(Size):
        for level in LEVELS[:6]:
            look = Look(picture, Settings(level, size=size))
            look.privatized_png()
    look.likeness()


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that already accepts connections; `OSError` where the address is not free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except (OSError, OverflowError):  # the latter of a port beyond 65535
        listening.close()
        raise
    return listening


def _application(library: Library) -> FastAPI:
    tabs = Workspaces()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_routes(app, tabs)
    _add_pages(tabs, library)
    ui.run_with(
        app,
        title="deepfixcx studio",
        dark=None,
        language="en-US",
        reconnect_timeout=RECONNECT_SECONDS,
        binding_refresh_interval=None,
        gzip_middleware_factory=None,  # the server is local
        tailwind=False,
        show_welcome_message=False,
    )
    core.app.config.socket_io_js_transports = ["websocket"]
    return app


async def _unless_cancelled(
    request: Request, task: asyncio.Task[Picture] | asyncio.Task[Solid]
) -> Picture | Solid | None:
    """Return what was decoded; stop decoding when the browser does not wait for it."""
    while not task.done():
        await asyncio.wait({task}, timeout=0.2)
        if not task.done() and await request.is_disconnected():
            task.cancel()
            return None
    return task.result()


def _add_routes(app: FastAPI, tabs: Workspaces) -> None:
    @app.get("/pixels/{key}/{name}")
    async def pixels(key: str, name: str) -> Response:
        tab = tabs.get(key)
        content = None if tab is None else tab.picture_named(name)
        if content is None:
            return PlainTextResponse("There is no such picture.\n", status_code=404)
        try:
            made = await asyncio.to_thread(content)
        except (DeepfixcxError, OSError):
            return PlainTextResponse("This picture cannot be made.\n", status_code=404)
        png = made.startswith(b"\x89PNG")
        return Response(made, media_type="image/png" if png else "application/octet-stream")

    @app.get("/planes/{key}/{side}/{z}/{y}/{x}")
    async def planes(key: str, side: str, z: int, y: int, x: int) -> Response:
        tab = tabs.get(key)
        make = None if tab is None else tab.planes
        if make is None:
            return PlainTextResponse("There is no such volume.\n", status_code=404)
        try:
            made = await asyncio.to_thread(make, side, (z, y, x))
        except (DeepfixcxError, IndexError):
            return PlainTextResponse("There is no such plane.\n", status_code=404)
        return Response(made, media_type="application/octet-stream")

    @app.post("/upload/{key}")
    async def upload(key: str, request: Request) -> Response:
        tab = tabs.get(key)
        if tab is None:
            return JSONResponse({"reason": "This page has expired; reload it."}, status_code=404)
        announced = request.headers.get("content-length", "")
        length = int(announced) if announced.isdigit() else None
        tab.uploads += 1
        number = tab.uploads
        try:
            content = await gather(request.stream(), length, MOST_BYTES)
            solid = "volume" in request.query_params
            task: asyncio.Task[Picture] | asyncio.Task[Solid] = (
                asyncio.create_task(solid_from(content))
                if solid
                else asyncio.create_task(picture_from(content))
            )
            found = await _unless_cancelled(request, task)
        except DeepfixcxError as error:
            reason = f"This file cannot be shown: {error}."
            return JSONResponse({"reason": reason}, status_code=422)
        except ClientDisconnect:
            found = None
        if found is None or number != tab.uploads:
            return JSONResponse({"reason": "The upload was cancelled."}, status_code=409)
        if isinstance(found, Solid):
            tab.take_solid(found)
        else:
            tab.take(found)
        return JSONResponse({"taken": True})

    icon = (STATIC / "icon.svg").read_bytes()

    @app.get("/favicon.ico")
    async def favicon() -> Response:
        return Response(icon, media_type="image/svg+xml")


def _add_pages(tabs: Workspaces, library: Library) -> None:
    style = (STATIC / "studio.css").read_text("utf-8")

    def page(client: Client) -> None:
        tab = tabs.open()
        client.on_delete(lambda: tabs.close(tab))
        _build_frame(style)
        router = client.sub_pages_router

        async def shown(make: Callable[[], Page]) -> None:
            """Build a page for an address, which Back and bookmarks bring as well."""
            asked = urlsplit(router.current_path)
            tab.query = dict(parse_qsl(asked.query))
            if tab.query and asked.path in ("", "/"):
                tab.settings = Settings.from_query(tab.query)
            await _recall(tabs, tab, client)
            await make().build()

        pages: dict[str, Callable[[], Page]] = {
            "/": lambda: ExplorePage(tab, library),
            "/volumes": lambda: VolumePage(tab, library),
            "/explain": lambda: ExplainPage(tab, library),
            "/release": lambda: ReleasePage(tab, library),
            "/audit": lambda: AuditPage(tab, library),
            "/node": lambda: NodePage(tab, library),
        }
        ui.sub_pages({path: partial(shown, make) for path, make in pages.items()})

    for path in PAGES:
        ui.page(path)(page)


class Page(Protocol):
    """What every page of a tab does."""

    async def build(self) -> None:
        """Make the elements, and show what the address asks for."""


async def _recall(tabs: Workspaces, tab: Workspace, client: Client) -> None:
    """Bring back theme and image of a tab that was reloaded, once."""
    if tab.recalled:
        return
    tab.recalled = True
    with suppress(TimeoutError):
        await client.connected(timeout=RECALL_SECONDS)
        script = RECALL % json.dumps(tab.key)
        key = await client.run_javascript(script, timeout=RECALL_SECONDS)
        earlier = tabs.get(key) if isinstance(key, str) else None
        if earlier is not None and earlier is not tab and earlier.picture is not None:
            tab.inherit(earlier)


def _build_frame(style: str) -> None:
    """Make the header of a page, outside of what the framework calls the page."""
    ui.add_head_html(f"<style>{style}</style>{GONE}")
    layout = ui.context.client.layout
    with layout:
        skip = words("Skip to the content", "a", "skip", href="#main")
        with block("header", "head") as head:
            with block("a", "brand", href="/", aria_label="deepfixcx studio, to Explore"):
                words("deepfixcx", "span", "brand-name")
                words("studio", "span", "brand-part")
            with block("nav", "pages", aria_label="Pages"):
                links = {path: words(name, "a", href=path) for path, name in PAGES.items()}
            theme = words("Light or dark", "button", "quiet theme", type_="button")
            theme.on("click", js_handler=THEME)
    skip.move(layout, 0)
    head.move(layout, 1)

    def mark(place: str) -> None:
        for path, link in links.items():
            put(link, aria_current="page" if path == urlsplit(place).path else None)

    router = ui.context.client.sub_pages_router
    router.on_path_changed(mark)
    mark(router.current_path)
