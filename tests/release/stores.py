"""Stores to try releases on: the memory of this process, and S3 on the loopback."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.release.conftest import without_id

fsspec = pytest.importorskip("fsspec", reason="the extra [remote] is not installed")
pytest.importorskip("s3fs", reason="s3fs is not installed")
moto_server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
serving = pytest.importorskip("werkzeug.serving", reason="moto[server] is not installed")

KEY_ID, SECRET = "KEYID-CANARY-1", "SECRET-CANARY-2"


def fill(url: str, folder: Path) -> None:
    """Copy the files of a folder to a URL; links, pipes and hidden files stay here."""
    system, root = fsspec.url_to_fs(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            system.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def contents_at(url: str) -> dict[str, str]:
    """Hash every file below a URL."""
    system, root = fsspec.url_to_fs(url)
    system.invalidate_cache()
    return {
        path.removeprefix(f"{root}/"): hashlib.sha256(without_id(system.cat_file(path))).hexdigest()
        for path in system.find(root)
    }


def bytes_at(url: str) -> bytes:
    """Return all names and bytes below a URL."""
    system, root = fsspec.url_to_fs(url)
    system.invalidate_cache()
    return b"".join(path.encode() + system.cat_file(path) for path in system.find(root))


class S3:
    """An S3 server of moto in this process, which can leave the network and come back."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it names every request
        self._app = moto_server.DomainDispatcherApplication(moto_server.create_backend_app)
        self.refused = ""  # requests for paths with this in them are answered with 403
        self._port = 0
        self.start()
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = serving.make_server("127.0.0.1", self._port, self._answer, threaded=True)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def denying(self, path: str = "/") -> Iterator[None]:
        """Refuse whatever has to do with a path, by default everything, for a while."""
        self.refused = path
        try:
            yield
        finally:
            self.refused = ""

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Leave the network for a while; nothing is forgotten."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def environment(self) -> dict[str, str]:
        """Return what s3fs reads to find the server and its key."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def _answer(self, asked: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if self.refused and self.refused in asked["PATH_INFO"]:
            start("403 Forbidden", [("Content-Type", "application/xml")])
            if asked["REQUEST_METHOD"] == "HEAD":
                return []
            said = f"{KEY_ID} may not read {asked['PATH_INFO']}"
            return [f"<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>".encode()]
        answer: Iterable[bytes] = self._app(asked, start)
        return answer
