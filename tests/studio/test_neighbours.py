"""Which records are alike: those with nearly the same codes, whatever the others are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepfixcx.images import phantom, write_png
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.spec import CodecSpec

pytest.importorskip("nicegui", reason="needs the extra studio")

from deepfixcx.studio.sheet import Neighbours


@pytest.fixture(scope="module", params=["codes", "images"])
def facts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ReleaseFacts:
    """Four images and a slightly brighter copy of each, called alike."""
    folder = tmp_path_factory.mktemp("alike")
    (folder / "scans").mkdir()
    for number in range(4):
        pixels = phantom(np.random.default_rng(number), 64)[np.newaxis]
        write_png(folder / "scans" / f"{number}a.png", pixels, bits=8)
        write_png(folder / "scans" / f"{number}b.png", (1.02 * pixels).clip(0, 1), bits=8)
    options = ReleaseOptions(CodecSpec(2, 4), output=request.param, names="keep")
    privatize_dataset(folder / "scans", folder / "shared", options)
    return ReleaseFacts.read(folder / "shared")


def test_the_nearest_is_the_other_image_of_the_pair(facts: ReleaseFacts) -> None:
    neighbours = Neighbours(facts)
    for image in facts.images:
        found = neighbours.of(image, most=3)
        assert len(found) == 3
        nearest, distance = found[0]
        assert nearest is not image
        assert pair(nearest.source_id) == pair(image.source_id)
        assert [each for _, each in found] == sorted(each for _, each in found)
        assert distance < found[1][1] / 2


def pair(source_id: str) -> str:
    return source_id.rpartition("/")[2][0]


def test_there_are_never_more_than_there_are(facts: ReleaseFacts) -> None:
    assert len(Neighbours(facts).of(facts.images[0], most=99)) == len(facts.images) - 1
    one = replace(facts, images=facts.images[:1])
    assert Neighbours(one).of(facts.images[0]) == []
    none = replace(facts, images=())
    assert Neighbours(none).of(facts.images[0]) == []


def test_a_missing_file_leaves_its_records_out(facts: ReleaseFacts) -> None:
    lost = replace(facts.images[0], code_file="codes/none", image_file="")
    found = Neighbours(replace(facts, images=(lost, *facts.images[1:])))
    assert found.of(lost) == []
    assert len(found.of(facts.images[1], most=99)) == len(facts.images) - 2
