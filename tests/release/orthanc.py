"""A real archive of DICOM images for a test: Orthanc with its DICOMweb plugin, on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

__all__ = ["Orthanc", "running"]

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
PATIENCE_S = 60


class Orthanc:
    """What a client of DICOMweb can do."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"

    def ask(
        self, path: str, content: bytes | None = None, **headers: str
    ) -> tuple[bytes, dict[str, str]]:
        """Send a request; return what comes back, and its headers."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.root + path, data=content, headers=names)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE_S) as answer:
            return answer.read(), dict(answer.headers)

    def store(self, files: list[bytes]) -> Any:
        """STOW-RS: store files; return what was stored."""
        edge = "a-line-that-no-file-holds"
        parts = [f"--{edge}\r\nContent-Type: application/dicom\r\n\r\n".encode() + f for f in files]
        kind = f'multipart/related; type="application/dicom"; boundary={edge}'
        answer, _ = self.ask(
            "/dicom-web/studies",
            b"\r\n".join(parts) + f"\r\n--{edge}--".encode(),
            Content_Type=kind,
            Accept="application/dicom+json",
        )
        return json.loads(answer)

    def find(self, level: str, **wanted: str) -> list[dict[str, Any]]:
        """QIDO-RS: search for studies, series or instances."""
        query = urllib.parse.urlencode(wanted)
        answer, _ = self.ask(f"/dicom-web/{level}?{query}", Accept="application/dicom+json")
        found: list[dict[str, Any]] = json.loads(answer)
        return found

    def fetch(self, study: str, series: str, instance: str) -> bytes:
        """WADO-RS: fetch one instance."""
        content, headers = self.ask(
            f"/dicom-web/studies/{study}/series/{series}/instances/{instance}",
            Accept='multipart/related; type="application/dicom"; transfer-syntax=*',
        )
        kind = next(value for name, value in headers.items() if name.lower() == "content-type")
        message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
        parts = [part for part in message.walk() if not part.is_multipart()]
        assert len(parts) == 1
        fetched = parts[0].get_payload(decode=True)
        assert isinstance(fetched, bytes)
        return fetched


@contextmanager
def running(program: str, plugin: str, folder: Path, **more: object) -> Iterator[Orthanc]:
    """Start the archive in an empty folder, and stop it; `more` are settings of Orthanc."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "Plugins": [plugin],
        "DicomWeb": {"Enable": True},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings | more))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder
        )
        try:
            orthanc = Orthanc(port)
            _wait(orthanc, process)
            yield orthanc
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(PATIENCE_S)


def _wait(orthanc: Orthanc, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        try:
            orthanc.ask("/system")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("Orthanc does not answer")
