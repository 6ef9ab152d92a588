"""Real archives before and behind a node; STOW-RS, metrics and whole studies."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydicom import dcmread

from deepfixcx.deidentify import load_key
from deepfixcx.node import read_config
from deepfixcx.node.inbox import put
from deepfixcx.node.records import Delivery
from deepfixcx.node.senders import make_sender
from deepfixcx.node.web import BodyError, parts_of
from tests.conftest import ROOT
from tests.node.conftest import Site, free_port, instances, scan, scans, wait_for
from tests.programs import plugin, program
from tests.release.orthanc import PLUGIN, running

TOKEN = "a-token-of-the-operator"


def post(port: int, files: list[bytes], token: str = TOKEN) -> tuple[int, bytes]:
    edge = "an-edge"
    body = b"".join(
        f"--{edge}\r\nContent-Type: application/dicom\r\n\r\n".encode() + each + b"\r\n"
        for each in files
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/studies",
        body + f"--{edge}--\r\n".encode(),
        {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={edge}',
            "Authorization": f"Bearer {token}",
        },
    )
    return opened(request)


def opened(request: urllib.request.Request | str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def with_web(site: Site, destination: str = "") -> int:
    port = free_port()
    (site.folder / "token").write_text(TOKEN)
    site.configure(destination, more=f'[web]\nport = {port}\ntoken_file = "token"\n')
    site.start()
    wait_for(lambda: b"web started" in site.log.read_bytes())
    return port


def test_stow_stores_what_c_store_stores_and_reports_counts(site: Site) -> None:
    port = with_web(site)
    sent = scans(site.folder / "in", 2)
    site.send(sent[0])
    # pydicom warns of a UID that is none, and quotes it.
    named = (
        sent[0].read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"9.Quxfoobar-774411-is-ill.")
    )
    status, answer = post(port, [*(path.read_bytes() for path in sent), b"no DICOM", named])
    assert status == 202
    assert answer.count(b"00081197") == 2
    wait_for(site.settled)
    assert (site.status().objects["done"], site.status().repeated) == (3, 1)
    key = load_key(site.folder / "hospital.key")
    assert instances(site.results()) == sorted(key.uid(each) for each in instances(sent))
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    status, text = opened(request)
    assert status == 200
    assert b'deepfixcx_node_deliveries{destination="archive",state="sent"} 2' in text
    assert not re.search(
        rb"[0-9]+(\.[0-9]+){3,}|Quxfoobar|774411",
        text + answer[answer.index(b"00081198") :] + site.log.read_bytes(),
    )


def test_requests_without_the_token_or_with_a_damaged_body_are_refused(site: Site) -> None:
    port = with_web(site)
    (path,) = scans(site.folder / "in", 1)
    assert post(port, [path.read_bytes()], token="another")[0] == 401
    assert opened(f"http://127.0.0.1:{port}/metrics")[0] == 401
    assert opened(f"http://127.0.0.1:{port}/health") == (200, b"ok\n")
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/studies",
        b"--an-edge\r\n\r\nhalf",
        {
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=an-edge',
            "Authorization": f"Bearer {TOKEN}",
        },
    )
    assert opened(request)[0] == 400
    assert not sum(site.status().objects.values())


def test_whole_studies_wait_until_nothing_more_arrives(site: Site) -> None:
    site.configure('kind = "folder"\npath = "archive"\nwhole_studies = true\nidle_s = 3600')
    site.start()
    sent = scans(site.folder / "in", 2)
    other = site.folder / "other.dcm"
    scan(StudyInstanceUID="1.2.3").save_as(other)
    site.send(*sent, other)
    wait_for(lambda: site.status().objects["done"] == 3)
    assert not site.results()

    def let_an_hour_pass(where: str) -> None:
        with closing(sqlite3.connect(site.folder / "spool" / "node.sqlite")) as database:
            database.execute(f"UPDATE made SET received = received - 3601 WHERE {where}")
            database.commit()

    key = load_key(site.folder / "hospital.key")
    # The first study has one old object and one new: it waits when the other study is sent.
    let_an_hour_pass(f"study = '{key.uid('1.2.3')}' OR object = 1")
    wait_for(lambda: site.status().deliveries["archive"]["sent"])
    assert instances(site.results()) == [key.uid(each) for each in instances([other])]
    assert site.status().deliveries["archive"]["waiting"] == 2
    let_an_hour_pass("object != 1")
    wait_for(site.settled)
    assert len(site.results()) == 3


@pytest.mark.slow
def test_an_archive_keeps_one_of_an_object_that_is_sent_twice(site: Site) -> None:
    port = free_port()
    more = {"DicomServerEnabled": True, "DicomAet": "ARCHIVE", "DicomPort": port}
    more |= {"DicomAlwaysAllowStore": True, "DicomCheckCalledAet": True}
    (site.folder / "orthanc").mkdir()
    with running(
        program("orthanc", "Orthanc"),
        plugin("orthanc-dicomweb", PLUGIN),
        site.folder / "orthanc",
        **more,
    ) as orthanc:
        for number, place in enumerate(
            (
                f'kind = "dicom"\ntitle = "ARCHIVE"\nhost = "127.0.0.1"\nport = {port}',
                f'kind = "stow"\nurl = "{orthanc.root}/dicom-web"',
            )
        ):
            site.configure(place)
            config = read_config(site.path)
            (config.folder / "made").mkdir(parents=True, exist_ok=True)
            (path,) = scans(site.folder / f"in{number}", 1)
            header = dcmread(path)
            content = put(config.folder, "made", path.read_bytes())
            names = (header.SOPClassUID, header.SOPInstanceUID)
            syntax, study = header.file_meta.TransferSyntaxUID, header.StudyInstanceUID
            delivery = Delivery(1, 1, content, *names, syntax, study, header.SeriesInstanceUID, 0)
            for _ in range(2):  # the node was killed before it knew of the answer
                sender = make_sender(config, config.destinations["archive"], threading.Event())
                assert [reason for _, reason in sender.send([delivery])] == [""]
                sender.close()
            assert len(orthanc.find("instances", SOPInstanceUID=header.SOPInstanceUID)) == 1
        assert len(orthanc.find("instances")) == 2


@pytest.mark.parametrize("status", [200, 202, 409])
def test_an_instance_that_stow_rs_lists_as_failed_was_not_sent(site: Site, status: int) -> None:
    class Archive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            failed = {
                "00081155": {"vr": "UI", "Value": ["1.2.2"]},
                "00081197": {"vr": "US", "Value": [0xA700]},
            }
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"00081198": {"vr": "SQ", "Value": [failed]}}).encode())

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with HTTPServer(("127.0.0.1", 0), Archive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.configure(f'kind = "stow"\nurl = "http://127.0.0.1:{server.server_port}"')
        config = read_config(site.path)
        (config.folder / "made").mkdir(parents=True)
        content = put(config.folder, "made", b"two results")
        batch = [Delivery(n, n, content, "1.2", f"1.2.{n}", "1.2", "1.3", "1.4", 0) for n in (1, 2)]
        sender = make_sender(config, config.destinations["archive"], threading.Event())
        reasons = {delivery.instance: reason for delivery, reason in sender.send(batch)}
        server.shutdown()
    assert reasons == {"1.2.1": "", "1.2.2": "refused (failure reason 0xa700)"}


@pytest.mark.slow
def test_images_go_from_orthanc_through_the_node_to_orthanc(tmp_path: Path) -> None:
    program("orthanc", "Orthanc")
    plugin("orthanc-dicomweb", PLUGIN)
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "node" / "run.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    before, after = (
        [line for line in done.stdout.splitlines() if line.startswith(which)]
        for which in ("hospital", "research")
    )
    assert len(before) == len(after) == 2
    assert all("CompressedSamples" in line for line in before)
    assert not any("CompressedSamples" in line or "1CT1" in line for line in after)
    assert "CompressedSamples" not in (tmp_path / "node" / "log").read_text()


async def chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def parsed(data: bytes, size: int, longest: int = 1000) -> list[bytes]:
    import asyncio

    async def collect() -> list[bytes]:
        return [part async for part in parts_of(chunks(data, size), b"xy", longest)]

    return asyncio.run(collect())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_parts_are_the_same_however_they_arrive(size: int) -> None:
    parts = [b"", b"one", b"x--xy", b"\r\n--x", b"\r\n\r\n--xz\r\n", bytes(range(256))]
    data = b"preamble" + b"".join(b"\r\n--xy\r\nA: b\r\n\r\n" + each for each in parts)
    assert parsed(data + b"\r\n--xy--rest", size) == parts


def test_a_body_without_end_or_beyond_the_limit_is_refused() -> None:
    for data, longest in ((b"--xy\r\n\r\nhalf", 1000), (b"--xy\r\n\r\n" + bytes(100_000), 10)):
        with pytest.raises(BodyError):
            parsed(data, 1000, longest)
