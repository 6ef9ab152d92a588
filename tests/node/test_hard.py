"""Hard days of a node: TLS, several routes, strange bytes, files of all kinds with kills."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import time
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from deepfixcx.errors import ReleaseStoppedError
from deepfixcx.node.config import read_config
from deepfixcx.node.inbox import put
from deepfixcx.node.processing import NodeJob, examine
from deepfixcx.node.records import Waiting, meaning_of
from deepfixcx.release import DeidentifyOptions, privatize_dataset
from tests.node.conftest import PATIENCE_S, Site, process, scan, scans, wait_for
from tests.programs import program

HOST = "127.0.0.1"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key, made = folder / f"{name}.key.pem", folder / f"{name}.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    openssl = program("openssl", "openssl")
    subprocess.run([openssl, *words], check=True, capture_output=True, timeout=PATIENCE_S)
    return key, made


def test_tls_admits_known_certificates_alone(site: Site) -> None:
    (key, cert), (other_key, other) = (certificate(site.folder, name) for name in ("a", "b"))
    tls = f'tls = {{ certificate = "{cert}", key = "{key}", authorities = "{cert}" }}'
    archive = f'kind = "dicom"\ntitle = "ARCHIVE"\nhost = "{HOST}"\nport = {site.archive_port}\n'
    site.configure(archive + tls)
    site.path.write_text(site.path.read_text().replace("[limits]", f"{tls}\n[limits]"))
    site.start()
    (path,) = scans(site.folder / "in", 1)
    storescu = [program("dcmtk", "storescu"), "-aet", "MODALITY", "-aec", "NODE"]
    where = [HOST, str(site.port), str(path)]
    codes = []
    for own in ([], ["+tls", other_key, other], ["+tls", key, cert]):
        trusted = ["+cf", str(cert)] if own else []
        words = [*storescu, *map(str, own), *trusted, *where]
        done = subprocess.run(words, capture_output=True, timeout=PATIENCE_S, check=False)
        codes.append(done.returncode == 0)
    assert codes == [False, False, True]
    storescp = [program("dcmtk", "storescp"), "-od", str(site.out), "+tls", str(key), str(cert)]
    with process(*storescp, "+cf", str(cert), str(site.archive_port), folder=site.folder):
        wait_for(site.settled)
    assert len(site.results()) == 1


def test_each_route_that_takes_an_object_makes_its_result(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("""
[node]
title = "NODE"
folder = "spool"
[[sources]]
title = "CT1"
[profiles.plain]
kind = "deidentify"
key = "a.key"
[profiles.dated]
kind = "deidentify"
key = "b.key"
retain = ["full-dates"]
[destinations.one]
kind = "folder"
path = "one"
[destinations.two]
kind = "url"
url = "memory://two"
[[routes]]
name = "all"
profile = "plain"
to = ["one", "two"]
[[routes]]
name = "ct"
modality = ["CT"]
profile = "dated"
to = ["one"]
[[routes]]
name = "mr"
modality = ["MR"]
profile = "dated"
to = ["one"]
""")
    config = read_config(path)
    (config.folder / "inbox").mkdir(parents=True)
    (config.folder / "made").mkdir()
    scan().save_as(tmp_path / "ct.dcm")
    content = put(config.folder, "inbox", (tmp_path / "ct.dcm").read_bytes())
    job = NodeJob(1, (), config.folder, config.routes, config.profiles)
    outcome = examine(job, Waiting(1, content, "CT1", 0.0))
    assert not outcome.reason
    assert [(each.route, each.to) for each in outcome.made] == [
        ("all", ("one", "two")),
        ("ct", ("one",)),
    ]
    dates = [
        dcmread(config.folder / "made" / f"{each.content}.dcm").StudyDate for each in outcome.made
    ]
    assert dates[0] == ""
    assert dates[1] == scan().StudyDate


def test_a_full_disk_ends_a_job_after_the_results_that_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    site.configure()
    config = read_config(site.path)
    for room in ("inbox", "made"):
        (config.folder / room).mkdir(parents=True)
    (path,) = scans(tmp_path / "in", 1)
    content = put(config.folder, "inbox", path.read_bytes())
    items = tuple(Waiting(number, content, "MODALITY", 0.0) for number in (1, 2, 3))
    job = NodeJob(1, items, config.folder, config.routes, config.profiles, reserve=10**6)
    image = dcmread(path)
    image.SOPInstanceUID = "1.2.3"  # it is another object than its file meta information states
    file = BytesIO()
    image.save_as(file)
    other = Waiting(4, put(config.folder, "inbox", file.getvalue()), "MODALITY", 0.0)
    assert "SOP Instance UID" in examine(job, other).reason
    free, done = iter((10**12, 0)), []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=next(free)))
    with pytest.raises(ReleaseStoppedError):
        job.work(lambda _: None, lambda name, _: done.append(name), frozenset())
    assert done == ["1"]


def encoded(image: Dataset, syntax: UID) -> Dataset:
    """Return an image in a transfer syntax, as it is read from a file."""
    made = deepcopy(image)
    if syntax.is_compressed:
        made.compress(syntax, generate_instance_uid=False)
    made.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    made.save_as(
        file, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=True
    )
    return dcmread(BytesIO(file.getvalue()))


def test_one_object_has_one_meaning_in_each_encoding() -> None:
    image = scan()
    first = meaning_of(encoded(image, ExplicitVRLittleEndian), 10**6)
    assert first
    for syntax in (ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless):
        assert meaning_of(encoded(image, syntax), 10**6) == first
    other = deepcopy(image)
    other.OtherPatientIDsSequence[0].PatientID += "1"
    fewer = deepcopy(image)
    del fewer.StudyDate
    brighter = deepcopy(image)
    brighter["PixelData"].value = bytes([image.PixelData[0] ^ 1]) + image.PixelData[1:]
    private = deepcopy(image)
    private.private_block(0x0009, "GEMS_IDEN_01")[0x01].value += "1"
    for each in (other, fewer, brighter, private):
        found = {
            meaning_of(encoded(each, syntax), 10**6)
            for syntax in (ExplicitVRLittleEndian, RLELossless)
        }
        assert len(found) == 1
        assert found != {first}
    assert not meaning_of(encoded(image, RLELossless), 100)  # more pixels than are allowed
    image["PixelData"].value = b"12"
    assert not meaning_of(encoded(image, ExplicitVRLittleEndian), 10**6)


def association() -> bytes:
    """Return a request for an association, as a stranger may begin with."""
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = "MODALITY", "NODE"
    longest, own = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received, own.implementation_class_uid = 16384, "1.2.3"
    asked.user_information = [longest, own]
    context = build_context("1.2.840.10008.1.1", ImplicitVRLittleEndian)
    context.context_id = 1
    asked.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    encoded = pdu.encode()
    assert isinstance(encoded, bytes)
    return encoded


def test_altered_requests_and_data_harm_nothing(site: Site) -> None:
    site.configure()
    site.start()
    drawn, whole = random.Random(11), association()
    assert site.running is not None
    files = Path(f"/proc/{site.running.pid}/fd")

    def sockets() -> int:
        names = [os.path.realpath(each) for each in files.iterdir()]
        return sum("/socket:" in each for each in names)

    before = sockets()
    for _ in range(40):
        altered = bytearray(whole)
        for _ in range(drawn.randint(1, 6)):
            altered[drawn.randrange(len(altered))] = drawn.randrange(256)
        message = bytes(altered[: drawn.choice([len(altered), drawn.randrange(len(altered))])])
        with socket.create_connection((HOST, site.port), timeout=10) as peer:
            peer.sendall(message + drawn.randbytes(drawn.choice([0, 0, 20])))
    for length in (0, 1, 5, 6, 7, 40, 40, 4000, 70_000):  # data of an accepted association
        with socket.create_connection((HOST, site.port), timeout=10) as peer:
            peer.sendall(whole)
            assert peer.recv(1) == b"\x02"
            item = struct.pack(">IBB", max(0, length - 4), 1, drawn.choice([0, 1, 2, 3]))
            data = (item + drawn.randbytes(length))[:length]
            peer.sendall(struct.pack(">BBI", 4, 0, length) + data)
    wait_for(lambda: sockets() <= before)  # no connection stays open
    (path,) = scans(site.folder / "in", 1)
    site.send(path)
    wait_for(site.settled)
    assert len(site.results()) == 1
    assert {each["event"] for each in site.events()} <= {"started", "unexpected"}


@pytest.mark.slow
def test_files_of_all_kinds_become_what_a_folder_run_makes_of_them(
    site: Site, data_folder: Path
) -> None:
    site.configure()
    source = data_folder / "dicom" / "files"
    dcmsend = [program("dcmtk", "dcmsend"), "-aet", "MODALITY", "-aec", "NODE", HOST]
    drawn = random.Random(5)
    for kill in (True, True, False):
        site.start()
        with subprocess.Popen(
            [*dcmsend, str(site.port), "--no-halt", "+sd", str(source)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as sender:
            if kill:
                time.sleep(drawn.uniform(0.2, 1.5))
                site.stop(signal.SIGKILL)
            sender.wait(timeout=PATIENCE_S)
    wait_for(site.settled)
    out = site.folder / "release"
    privatize_dataset(source, out, DeidentifyOptions(), key=site.folder / "hospital.key", workers=1)
    expected = {each.SOPInstanceUID: each for each in map(dcmread, out.rglob("*.dcm"))}
    arrived = [dcmread(path) for path in site.results()]
    assert len(arrived) > 25
    assert len({each.SOPInstanceUID for each in arrived}) == len(arrived)
    for each in arrived:
        twin = expected[each.SOPInstanceUID]
        for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
            assert each.get(name) == twin.get(name)
        if each.file_meta.TransferSyntaxUID == twin.file_meta.TransferSyntaxUID:
            assert pixels(each) == pixels(twin)


def pixels(image: Dataset) -> bytes:
    return bytes(image.get("PixelData", b"")).rstrip(b"\0")
