"""Orthanc → node → Orthanc on one machine: a hospital's archive, a node, a research archive.

Needs ``pip install 'deepfixcx[node]'`` and Debian's orthanc and orthanc-dicomweb. Run it with
``python examples/node/run.py [FOLDER]``. It starts two archives and a node between them, stores a
CT and an MR image of pydicom in the first, sends the CT with C-STORE and the MR with STOW-RS, and
prints what the second archive knows of them.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydicom import examples

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
PATIENCE_S = 60.0


def free_port() -> int:
    """Return a port that no program uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def ask(url: str, content: bytes | None = None) -> Any:
    """Send a request to an archive; return the JSON that it answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, content), timeout=PATIENCE_S) as answer:
        return json.loads(answer.read() or b"null")


@contextmanager
def running(*words: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def archive(title: str, port: int, web: int, folder: Path, **settings: object) -> Iterator[str]:
    """Run Orthanc; yield its URL."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None or not Path(PLUGIN).exists():
        sys.exit("Install Orthanc first: apt-get install orthanc orthanc-dicomweb")
    folder.mkdir()
    known = {
        **{"Name": title, "DicomAet": title, "DicomPort": port, "HttpPort": web},
        **{"StorageDirectory": str(folder), "IndexDirectory": str(folder)},
        **{"AuthenticationEnabled": False, "RemoteAccessAllowed": False},
        **{"DicomAlwaysAllowStore": True, "UnknownSopClassAccepted": True, "Plugins": [PLUGIN]},
    }
    (folder / "orthanc.json").write_text(json.dumps(known | settings))
    with running(program, str(folder / "orthanc.json"), folder=folder):
        url = f"http://127.0.0.1:{web}"
        wait_for(lambda: answers(url + "/system"))
        yield url


def answers(url: str) -> bool:
    """Return whether an archive is up."""
    try:
        return bool(ask(url))
    except (urllib.error.URLError, ConnectionError):
        return False


def wait_for(condition: Any) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            sys.exit("Waited too long; see the logs in the folder.")
        time.sleep(0.2)


def main(folder: Path) -> None:
    """Run all three, send two images, and print what arrived."""
    names = ("node", "web", "research", "research_web", "hospital", "hospital_web")
    ports = {name: free_port() for name in names}
    token = secrets.token_hex(16)
    node = folder / "node"
    if node.exists():
        sys.exit(f"{folder} has the files of an earlier run; choose another folder.")
    node.mkdir(parents=True)
    (node / "token").write_text(token)
    settings = Path(__file__).with_name("node.toml").read_text("utf-8")
    for name, port in ports.items():
        settings = settings.replace(f"{{{name}}}", str(port))
    (node / "node.toml").write_text(settings)
    peers = {
        "DicomModalities": {"node": ["DEEPFIXCX", "127.0.0.1", ports["node"]]},
        "DicomWeb": {
            "Servers": {
                "node": {
                    "Url": f"http://127.0.0.1:{ports['web']}/",
                    "HttpHeaders": {"Authorization": f"Bearer {token}"},
                }
            }
        },
    }
    with ExitStack() as stack:
        research = stack.enter_context(
            archive("RESEARCH", ports["research"], ports["research_web"], folder / "research")
        )
        words = (sys.executable, "-m", "deepfixcx", "node", "node.toml")
        stack.enter_context(running(*words, folder=node))
        hospital = stack.enter_context(
            archive(
                "HOSPITAL", ports["hospital"], ports["hospital_web"], folder / "hospital", **peers
            )
        )
        wait_for(lambda: b"web started" in (node / "log").read_bytes())
        send(hospital)
        wait_for(lambda: len(ask(f"{research}/instances")) == 2)
        for patient in ask(f"{research}/patients?expand"):
            print("research archive:", patient["MainDicomTags"])


def send(hospital: str) -> None:
    """Store two images in the first archive; send one by C-STORE and one by STOW-RS."""
    stored = {}
    for name in ("ct", "mr"):
        content = Path(str(examples.get_path(name))).read_bytes()
        stored[name] = ask(f"{hospital}/instances", content)["ID"]
    for patient in ask(f"{hospital}/patients?expand"):
        print("hospital archive:", patient["MainDicomTags"])
    ask(f"{hospital}/modalities/node/store", stored["ct"].encode())
    wanted = json.dumps({"Resources": [stored["mr"]], "Synchronous": True}).encode()
    ask(f"{hospital}/dicom-web/servers/node/stow", wanted)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as chosen:
            main(Path(chosen))
