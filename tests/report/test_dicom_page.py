"""The report on a release of DICOM files: frames and files, their pictures, no vain advice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deepfixcx.errors import ReleaseError
from deepfixcx.release import ReleaseOptions, privatize_dataset
from deepfixcx.report.html_release import ReleaseFacts
from deepfixcx.report.page import ReportInputs, release_page
from deepfixcx.spec import CodecSpec

NAMES = ("emri_small.dcm", "CT_small.dcm", "SC_rgb_rle_2frame.dcm", "rsna_chest_cr.dcm")
SPEC = CodecSpec(2, 4)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> ReleaseFacts:
    folder = tmp_path_factory.mktemp("dicom-report")
    sources = [data_folder / "dicom" / "files" / name for name in NAMES]
    (folder / "scans").mkdir()
    for source in sources:
        (folder / "scans" / source.name).write_bytes(source.read_bytes())
    privatize_dataset(folder / "scans", folder / "shared", ReleaseOptions(SPEC, output="dicom"))
    return ReleaseFacts.read(folder / "shared")


def test_frames_and_files_are_counted_apart(facts: ReleaseFacts) -> None:
    page = release_page(ReportInputs(facts))
    frames = facts.totals["images"]
    assert frames == len(facts.images) == 10 + 1 + 2 + 1
    assert f"{frames} frames of 4 files were privatized" in page
    assert f"{frames} frames in 4 derived DICOM files, and no codes" in page
    assert "images of 4 files" not in page


def test_the_usual_size_is_not_that_of_the_longest_series(facts: ReleaseFacts) -> None:
    sizes = {each.source_id: (each.channels, each.height, each.width) for each in facts.images}
    assert facts.usual_size() in sizes.values()
    long = max(sizes, key=lambda name: sum(each.source_id == name for each in facts.images))
    single = [each for each in facts.images if each.source_id != long or each.frame == 0]
    assert (
        ReleaseFacts.usual_size(facts)
        == ReleaseFacts(facts.folder, facts.about, tuple(single), (), facts.checksum).usual_size()
    )


def test_every_frame_has_its_own_picture(facts: ReleaseFacts) -> None:
    page = release_page(ReportInputs(facts))
    assert page.count("<img") == 12 + 10
    seen = set()
    for image in facts.images:
        pixels = facts.pixels(image)
        assert pixels.shape == (image.channels, *SPEC.compact_shape())
        assert 0 <= pixels.min() <= pixels.max() <= 1
        seen.add(pixels.tobytes())
    assert len(seen) == len(facts.images)
    with pytest.raises(ReleaseError, match="fewer frames"):
        facts.pixels(replace(facts.images[0], frame=99))


def test_no_audit_is_advised_that_cannot_be_made(facts: ReleaseFacts) -> None:
    page = release_page(ReportInputs(facts))
    assert "deepfixcx audit RELEASE" not in page
    assert "--output codes" in page
    assert "de-identified by the Basic Profile" in page
