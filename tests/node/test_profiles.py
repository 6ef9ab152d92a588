"""Profiles of a node: what they make is what a folder run makes; a release grows by each once."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from deepfixcx import Code, CodecSpec
from deepfixcx.release import ReleaseOptions, privatize_dataset, verify_release
from deepfixcx.release.private import PrivateFolder
from deepfixcx.release.release import Release
from tests.node.conftest import Site, instances, scan, scans, wait_for

SPEC = CodecSpec(level=3, patches=4)
PRIVATIZE = 'kind = "privatize"\nlevel = 3\npatches = 4\n'
KEYED = PRIVATIZE + 'key = "hospital.key"\n'


def configure(site: Site, profile: str, destination: str = "", more: str = "") -> None:
    site.configure(destination, more)
    text = site.path.read_text()
    site.path.write_text(text.replace('kind = "deidentify"\nkey = "hospital.key"\n', profile))


def test_compressed_images_and_codes_are_those_of_a_folder_run(site: Site) -> None:
    codes = f"""
[profiles.codes]
{KEYED}output = "codes"
[[routes]]
name = "codes"
profile = "codes"
to = ["archive"]
"""
    configure(site, KEYED, more=codes)
    site.start()
    sent = scans(site.folder / "in", 3)
    for _ in range(2):
        site.send(*sent)
    wait_for(site.settled, 180)
    site.stop()
    out = site.folder / "release"
    key = site.folder / "hospital.key"
    privatize_dataset(site.folder / "in", out, ReleaseOptions(SPEC, output="dicom"), key=key)
    expected = {each.InstanceNumber: each for each in map(dcmread, out.rglob("*.dcm"))}
    arrived = [dcmread(path) for path in site.out.rglob("*.dcm")]
    assert len(arrived) == len(expected) == 3
    for each in arrived:
        twin = expected[each.InstanceNumber]
        for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "PixelData"):
            assert each.get(name) == twin.get(name)
    files = sorted(site.out.rglob("*.safetensors"))
    assert [path.stem for path in files] == instances(list(site.out.rglob("*.dcm")))
    pixels = dcmread(sent[0]).pixel_array
    code = Code.load(files[0])
    assert code.spec == SPEC
    assert code.sizes.tolist() == [list(pixels.shape)]
    privatize_dataset(site.folder / "in", site.folder / "c", ReleaseOptions(SPEC, output="codes"))
    whole, _ = Release.open(site.folder / "c").codes()
    assert np.array_equal(code.array[0], whole.array[0])  # all three have the same pixels


RELEASE = 'kind = "release"\npath = "grown"\nidle_s = 1'


def grown(site: Site) -> list[str]:
    """Return the names of the sources of the release."""
    return sorted(PrivateFolder.of(site.folder / "grown").sources().values())


@pytest.mark.parametrize(
    ("profile", "made"),
    [
        (PRIVATIZE + 'output = "both"\n', "images/*.png"),
        pytest.param(
            'kind = "deidentify"\nkey = "hospital.key"\n', "dicom/*.dcm", marks=pytest.mark.slow
        ),
    ],
)
def test_a_release_grows_study_by_study(site: Site, profile: str, made: str) -> None:
    configure(site, profile, RELEASE)
    site.start()
    first = scans(site.folder / "in", 2)
    text = scan(7, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4")
    del text.PixelData, text.Rows
    text.save_as(site.folder / "text.dcm")
    site.send(*first, site.folder / "text.dcm")
    wait_for(site.settled, 180)
    later = scans(site.folder / "later", 2)
    again = dcmread(first[1])  # the same object as another program encodes it
    again.compress(RLELossless, generate_instance_uid=False)
    again.save_as(site.folder / "again.dcm")
    site.send(*later, first[0], site.folder / "again.dcm")
    wait_for(site.settled, 180)
    site.stop()
    names = {f"{each}.dcm" for each in instances([*first, *later])}
    assert names < set(grown(site))
    assert len(grown(site)) == 5
    assert verify_release(site.folder / "grown").sound
    assert site.status().deliveries["archive"] == {"waiting": 0, "sent": 4, "dead": 1}
    assert (site.status().repeated, site.status().objects["quarantined"]) == (2, 0)
    assert len(list((site.folder / "grown").glob(made))) == 4
    assert not list((site.folder / "spool" / "growing").rglob("*.dcm"))


@pytest.mark.slow
def test_kills_while_a_release_grows_lose_and_repeat_nothing(site: Site) -> None:
    configure(site, PRIVATIZE + 'output = "codes"\n', RELEASE)
    drawn, sent = random.Random(1), []
    for number in range(5):
        site.start()
        paths = scans(site.folder / f"in{number}", 6)
        site.send(*paths)
        sent += paths
        table = site.folder / "spool" / "growing" / "archive"
        wait_for(lambda: table.is_dir() and any(table.glob("*.csv")))  # noqa: B023
        time.sleep(drawn.uniform(0.0, 2.5))
        site.stop(signal.SIGKILL)
    site.start()
    wait_for(site.settled, 180)
    site.stop()
    assert Counter(grown(site)) == Counter(f"{each}.dcm" for each in instances(sent))
    assert verify_release(site.folder / "grown").sound


def test_a_route_fits_its_profile_and_its_destination(tmp_path: Path) -> None:
    from deepfixcx.errors import NodeError
    from deepfixcx.node import read_config

    site = Site(tmp_path)
    for profile, destination, words in (
        (KEYED + 'output = "codes"\n', 'kind = "stow"\nurl = "http://x"', "cannot take"),
        (PRIVATIZE, "", "no 'key'"),
        (PRIVATIZE + 'output = "codes"\n', "", "no 'key'"),
        (KEYED + 'output = "images"\n', RELEASE, "omit key"),
        (PRIVATIZE.replace("3", "30"), "", "level"),
        (PRIVATIZE.replace("patches = 4\n", ""), "", "no 'patches'"),
        (PRIVATIZE + 'rules = "x"\n', "", "unknown name, 'rules'"),
    ):
        configure(site, profile, destination)
        with pytest.raises(NodeError, match=words):
            read_config(site.path)
