"""A node takes objects in, de-identifies them, and loses and reveals nothing."""

from __future__ import annotations

import random
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import dcmread

from deepfixcx.deidentify import Deidentifier, Profile, load_key
from deepfixcx.node import read_config
from deepfixcx.node.inbox import put
from deepfixcx.node.records import Delivery
from deepfixcx.node.senders import make_sender
from deepfixcx.release.storage import open_store
from tests.node.conftest import (
    CANARY,
    PATIENCE_S,
    Site,
    free_port,
    instances,
    process,
    scan,
    scans,
    wait_for,
)
from tests.programs import program

HOST = "127.0.0.1"
STORESCP = 'kind = "dicom"\ntitle = "ARCHIVE"\nhost = "127.0.0.1"\nport = {}\nretry_s = 0.5'


def holds_canary(*paths: Path) -> list[Path]:
    words = [CANARY.encode(), b"Quxfoobar", b"774411"]
    return [path for path in paths if any(word in path.read_bytes() for word in words)]


def test_objects_arrive_once_as_a_folder_run_makes_them(site: Site) -> None:
    site.configure()
    site.start()
    sent = scans(site.folder / "in", 3)
    assert subprocess.run(
        [program("dcmtk", "echoscu"), "-aec", "NODE", "-aet", "MODALITY", HOST, str(site.port)],
        timeout=PATIENCE_S,
        check=True,
    )
    for _ in range(2):  # a source that repeats a study
        site.send(*sent)
    wait_for(site.settled)
    results = site.results()
    key = load_key(site.folder / "hospital.key")
    assert instances(results) == sorted(key.uid(each) for each in instances(sent))
    made, _ = Deidentifier(Profile(), key).apply(dcmread(sent[0]), keep_pixels=True)
    arrived = next(each for each in map(dcmread, results) if each.InstanceNumber == 0)
    assert arrived == made
    status = site.status()
    assert (status.objects["done"], status.repeated) == (3, 3)
    site.stop()
    assert not holds_canary(site.log, *results)
    spool = [path for path in (site.folder / "spool").rglob("*.dcm")]
    assert not spool


def test_what_cannot_be_examined_is_quarantined_and_sent_nowhere(site: Site) -> None:
    site.configure()
    site.start()
    stated = scan(1, BurnedInAnnotation="YES")
    damaged = scan(2)
    del damaged.PixelData
    twin = scan(3)
    for number, each in enumerate((stated, damaged, twin)):
        each.save_as(site.folder / f"{number}.dcm")
    site.send(*(site.folder / f"{number}.dcm" for number in range(3)))
    wait_for(site.settled)
    twin.PixelData = bytes(len(twin.PixelData))
    twin.save_as(site.folder / "3.dcm")
    site.send(site.folder / "3.dcm")
    wait_for(site.settled)
    status = site.status()
    assert status.objects == {"received": 0, "done": 1, "quarantined": 3}, status.quarantine
    assert len(status.quarantine) == 3
    assert len(site.results()) == 1
    assert len(list((site.folder / "spool" / "inbox").rglob("*.dcm"))) == 3
    assert not holds_canary(site.log)
    events = [each["event"] for each in site.events()]
    assert events.count("quarantined") == 3


def test_strangers_are_rejected_and_harm_nothing(site: Site) -> None:
    site.configure(more='[[sources]]\ntitle = "ELSEWHERE"\nhost = "192.0.2.1"\n')
    site.start()
    (path,) = scans(site.folder / "in", 1)
    assert site.send(path, title="STRANGER", check=False) != 0
    assert site.send(path, title="ELSEWHERE", check=False) != 0  # a known title, another address
    drawn = random.Random(7)
    for size in (1, 6, 40, 4000):
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as peer:
            peer.sendall(drawn.randbytes(size))
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as peer:
        peer.sendall(b"\x01\x00\xff\xff\xff\xff" + bytes(100))  # announces 4 GiB
        peer.settimeout(15)
        assert peer.recv(100)[:1] in (b"", b"\x07")
    site.send(path)
    wait_for(site.settled)
    assert len(site.results()) == 1
    assert site.status().counters["associations_refused"] == 2
    assert b"STRANGER" not in site.log.read_bytes()


def test_a_full_disk_refuses_associations(site: Site) -> None:
    site.configure()
    site.path.write_text(site.path.read_text().replace("free_mb = 1\n", "free_mb = 900000000\n"))
    site.start()
    (path,) = scans(site.folder / "in", 1)
    assert site.send(path, check=False) != 0
    assert any(each["event"] == "refused" for each in site.events())
    assert site.status().objects["received"] == 0


def test_a_destination_that_was_away_gets_everything(site: Site) -> None:
    site.configure(STORESCP.format(site.archive_port))
    site.start()
    sent = scans(site.folder / "in", 4)
    site.send(*sent)
    wait_for(lambda: any(each["event"] == "unreachable" for each in site.events()))
    wait_for(lambda: site.status().deliveries["archive"]["waiting"] == 4)
    words = [program("dcmtk", "storescp"), "-od", str(site.out), str(site.archive_port)]
    with process(*words, folder=site.folder):
        wait_for(site.settled)
    later = scans(site.folder / "later", 2)  # it ends while the association is open
    site.send(*later)
    wait_for(lambda: [each["event"] for each in site.events()].count("unreachable") == 2)
    with process(*words, folder=site.folder):
        wait_for(site.settled)
    key = load_key(site.folder / "hospital.key")
    expected = sorted(key.uid(each) for each in instances([*sent, *later]))
    assert instances(site.results()) == expected


def test_a_kill_between_an_answer_and_the_ledger_repeats_nothing(site: Site) -> None:
    site.configure(STORESCP.format(site.archive_port))
    site.start()
    site.send(*scans(site.folder / "in", 1))
    wait_for(lambda: site.status().deliveries["archive"]["waiting"] == 1)
    words = [program("dcmtk", "storescp"), "+uf", "-od", str(site.out), str(site.archive_port)]
    with closing(sqlite3.connect(site.folder / "spool" / "node.sqlite")) as database:
        database.execute("BEGIN IMMEDIATE")  # the node can write no more, as with a slow disk
        with process(*words, folder=site.folder):
            answers = site.folder / "spool" / "answers.archive"
            wait_for(lambda: answers.read_bytes().endswith(b"\n"))
            site.stop(signal.SIGKILL)
    assert site.status().deliveries["archive"]["waiting"] == 1
    with process(*words, folder=site.folder):
        site.start()
        wait_for(site.settled)
        site.send(*scans(site.folder / "later", 1))  # the queue is worked off again
        wait_for(lambda: site.status().deliveries["archive"]["sent"] == 2)
    assert len(site.results()) == 2
    assert not answers.read_bytes()


@pytest.mark.parametrize("kind", ['"folder"\npath = "archive"', '"url"\nurl = "memory://twice"'])
def test_a_result_that_is_sent_twice_is_there_once(site: Site, kind: str) -> None:
    site.configure(f"kind = {kind}")
    config = read_config(site.path)
    (config.folder / "made").mkdir(parents=True)
    content = put(config.folder, "made", b"a result")
    delivery = Delivery(1, 1, content, "1.2", "1.2.3", "1.2", "1.2.4", "1.2.5", 0)
    place = config.destinations["archive"]
    for _ in range(2):  # the node was killed before it knew of the answer
        sender = make_sender(config, place, threading.Event())
        assert [reason for _, reason in sender.send([delivery])] == [""]
    if place.kind == "folder":
        assert [path.read_bytes() for path in site.results()] == [b"a result"]
    else:
        store, root = open_store(place.url)
        assert [store.cat_file(path) for path in store.find(root)] == [b"a result"]


@pytest.mark.slow
def test_kills_at_any_moment_lose_and_repeat_nothing(site: Site) -> None:
    site.configure()
    sent = scans(site.folder / "in", 60)
    storescu = [program("dcmtk", "storescu"), "-aet", "MODALITY", "-aec", "NODE", HOST]
    drawn = random.Random(3)
    for _ in range(4):
        site.start()
        sender = subprocess.Popen(
            [*storescu, str(site.port), *map(str, sent)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(drawn.uniform(0.1, 2.5))
        site.stop(signal.SIGKILL)
        sender.wait(timeout=PATIENCE_S)
    site.start()
    site.send(*sent)
    wait_for(site.settled)
    key = load_key(site.folder / "hospital.key")
    assert instances(site.results()) == sorted(key.uid(each) for each in instances(sent))
    with sqlite3.connect(site.folder / "spool" / "node.sqlite") as database:
        ((count,),) = database.execute("SELECT count(*) FROM deliveries WHERE state = 'sent'")
    assert count == 60


@pytest.mark.slow
def test_many_sources_at_once(site: Site) -> None:
    site.configure()
    site.start()
    sent = scans(site.folder / "in", 40)
    words = [program("dcmtk", "storescu"), "-aet", "MODALITY", "-aec", "NODE", HOST]
    senders = [
        subprocess.Popen([*words, str(site.port), *map(str, sent[2 * n : 2 * n + 2])])
        for n in range(20)
    ]
    assert [each.wait(timeout=PATIENCE_S) for each in senders] == [0] * 20
    wait_for(site.settled)
    assert len(site.results()) == 40


def test_commitment_is_reported_on_an_association_of_its_own(site: Site) -> None:
    from pydicom import Dataset
    from pynetdicom import AE, evt

    port, reports = free_port(), []
    commitment, instance = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
    source = f'[[sources]]\ntitle = "SCANNER"\nhost = "127.0.0.1"\nport = {port}\n'
    site.configure(more=source)
    site.start()
    (path,) = scans(site.folder / "in", 1)
    site.send(path)

    def reported(event: evt.Event) -> tuple[int, None]:
        reports.append(event.event_information)
        return 0x0000, None

    ae = AE("SCANNER")
    ae.add_requested_context(commitment)
    ae.add_supported_context(commitment, scu_role=True, scp_role=True)
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reported)]
    )
    assert server is not None
    try:
        asked = Dataset()
        asked.TransactionUID = "1.2.3"
        known, unknown = Dataset(), Dataset()
        for item, uid in ((known, instances([path])[0]), (unknown, "1.2.3.4")):
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.1.1", uid
        asked.ReferencedSOPSequence = [known, unknown]
        association = ae.associate("127.0.0.1", site.port, ae_title="NODE")
        status, _ = association.send_n_action(asked, 1, commitment, instance)
        association.release()
        assert status.Status == 0
        wait_for(lambda: reports)
    finally:
        server.shutdown()
    (report,) = reports
    assert report.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == instances([path])[0]
    assert report.FailedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
