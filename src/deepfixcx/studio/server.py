"""The studio as a server on this machine: routes, pages, and what is put before them."""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from threading import Thread
from typing import get_args

from deepfixcx._optional import require

require("nicegui", extra="studio")

import uvicorn
from fastapi import FastAPI, Request
from nicegui import core, ui
from nicegui.client import Client
from starlette.responses import JSONResponse, PlainTextResponse, Response

from deepfixcx.choices import Size
from deepfixcx.errors import DeepfixcxError
from deepfixcx.studio.elements import STATIC
from deepfixcx.studio.examples import example, example_names
from deepfixcx.studio.exploring import Look
from deepfixcx.studio.frame import PAGES, build_frame
from deepfixcx.studio.library import Library
from deepfixcx.studio.page_audit import AuditPage
from deepfixcx.studio.page_explain import ExplainPage
from deepfixcx.studio.page_explore import ExplorePage
from deepfixcx.studio.page_release import ReleasePage
from deepfixcx.studio.security import Access, Gate
from deepfixcx.studio.settings import LEVELS, Settings
from deepfixcx.studio.uploads import MOST_BYTES, gather, picture_from
from deepfixcx.studio.workspace import Workspaces

__all__ = ["Studio", "bound"]

RECONNECT_SECONDS = 120.0
"""So long a tab that lost its connection keeps what it holds."""


@dataclass(frozen=True, slots=True)
class Studio:
    """A studio that is about to be served.

    Attributes
    ----------
    url : str
        To open; it holds the token.
    server : uvicorn.Server
        Not yet running.
    listening : socket.socket
        Of `bound`.
    """

    url: str
    server: uvicorn.Server
    listening: socket.socket

    @classmethod
    def make(cls, listening: socket.socket, library: Library) -> Studio:
        """Set everything up; a process can do so once.

        Parameters
        ----------
        listening : socket.socket
            From `bound`.
        library : Library
            What is there to look at.
        """
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
            look.decode()
    look.figures()


def bound(host: str, port: int) -> socket.socket:
    """Return a socket at which callers may already wait.

    Raises
    ------
    OSError
        The address is in use, or not one of this machine.
    """
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
        gzip_middleware_factory=None,  # nothing is far away
        tailwind=False,
        show_welcome_message=False,
    )
    core.app.config.socket_io_js_transports = ["websocket"]
    return app


def _add_routes(app: FastAPI, tabs: Workspaces) -> None:
    @app.get("/pixels/{key}/{name}")
    async def pixels(key: str, name: str) -> Response:
        tab = tabs.get(key)
        content = None if tab is None else tab.picture_named(name)
        if content is None:
            return PlainTextResponse("There is no such picture.\n", status_code=404)
        try:
            return Response(await asyncio.to_thread(content), media_type="image/png")
        except (DeepfixcxError, OSError):
            return PlainTextResponse("This picture cannot be made.\n", status_code=404)

    @app.post("/upload/{key}")
    async def upload(key: str, request: Request) -> Response:
        tab = tabs.get(key)
        if tab is None:
            return JSONResponse({"reason": "This page is old; load it again."}, status_code=404)
        announced = request.headers.get("content-length", "")
        length = int(announced) if announced.isdigit() else None
        try:
            content = await gather(request.stream(), length, MOST_BYTES)
            tab.take(await picture_from(content))
        except DeepfixcxError as error:
            reason = f"This file cannot be shown: {error}."
            return JSONResponse({"reason": reason}, status_code=422)
        return JSONResponse({"taken": True})

    icon = (STATIC / "icon.svg").read_bytes()

    @app.get("/favicon.ico")
    async def favicon() -> Response:
        return Response(icon, media_type="image/svg+xml")


def _add_pages(tabs: Workspaces, library: Library) -> None:
    def page(request: Request, client: Client) -> None:
        tab = tabs.open()
        tab.query = dict(request.query_params)
        tab.settings = Settings.from_query(tab.query)
        client.on_delete(lambda: tabs.close(tab))
        build_frame()
        ui.sub_pages(
            {
                "/": lambda: _built(ExplorePage(tab, library.pictures())),
                "/explain": lambda: _built(ExplainPage(tab, library)),
                "/release": lambda: _built(ReleasePage(tab, library)),
                "/audit": lambda: _built(AuditPage(tab, library)),
            }
        )

    for path in PAGES:
        ui.page(path)(page)


async def _built(page: ExplorePage | ExplainPage | ReleasePage | AuditPage) -> None:
    await page.build()
