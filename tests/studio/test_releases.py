"""The gallery shows the metadata of a release, and its ledger while there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from deepfixcx.errors import ReleaseError
from deepfixcx.images import read_image
from deepfixcx.report import write_figure
from deepfixcx.studio.releases import (
    SORTS,
    Entry,
    Gallery,
    Library,
    chosen_entries,
    filters_of,
    open_gallery,
)


@pytest.fixture
def release(shelf: Path, tmp_path: Path) -> Path:
    """A release of its own, with its private folder."""
    for name in ("shared", "shared.private"):
        shutil.copytree(shelf / name, tmp_path / name)
    return tmp_path / "shared"


def reported(gallery: Gallery) -> dict[str, tuple[str, str]]:
    return {entry.name: (entry.error, entry.reason) for entry in gallery.entries}


def test_finished_and_stopped_releases_hold_the_same(release: Path) -> None:
    finished = open_gallery(release)
    assert finished.state == "finished"
    assert (finished.files, finished.files_ended) == (10, 10)
    (release / "dataset.json").unlink()
    stopped = open_gallery(release)
    assert stopped.state == "stopped"
    assert reported(stopped) == reported(finished)
    assert stopped.facts.spec == finished.facts.spec
    image = next(entry.image for entry in stopped.entries if entry.image is not None)
    expected = read_image(release / image.image_file).pixels[0]
    assert (255 * stopped.facts.pixels(image)).round() == pytest.approx(expected, abs=0.01)


def test_a_recipient_without_the_private_folder_sees_the_release(release: Path) -> None:
    shutil.rmtree(release.with_name("shared.private"))
    assert len(open_gallery(release).entries) == 10


def test_what_is_no_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="not a release"):
        open_gallery(tmp_path)


def test_originals_are_compared_only_where_they_are_given(shelf: Path, release: Path) -> None:
    without, compared = open_gallery(release), open_gallery(release, shelf / "scans")
    assert set(without.measure(without.entries, "alike").values()) == {None}
    for gallery, name in ((without, "detail"), (compared, "alike")):
        gallery.take(name, gallery.measure(gallery.entries, name))
        assert len(gallery.entries) == 10
        for entry in gallery.entries:
            assert (getattr(entry, name) is not None) == (entry.image is not None)
            other = "alike" if name == "detail" else "detail"
            assert entry.image is None or entry.words(other) == ""


ENTRIES = st.lists(
    st.builds(
        Entry,
        st.none(),
        st.text("01", min_size=1, max_size=3),
        st.sampled_from(["DecodeError", "EmptyFileError"]),
        st.just(""),
        st.none() | st.floats(0, 1),
        st.none() | st.floats(0, 1),
    ),
    max_size=8,
)


@given(ENTRIES, st.sampled_from(list(SORTS)), st.text("01", max_size=2))
def test_sorting_and_searching_lose_and_invent_nothing(
    entries: list[Entry], sort: str, words: str
) -> None:
    found = chosen_entries(entries, sort=sort, words=words)
    assert sorted(map(id, found)) == sorted(id(each) for each in entries if words in each.name)
    measure = "alike" if sort in ("alike", "changed") else "detail"
    values = [getattr(each, measure) for each in found]
    known = [value for value in values if value is not None]
    if sort != "manifest":
        assert values[: len(known)] == sorted(known, reverse=sort in ("detail", "alike"))


@given(ENTRIES)
def test_filters_count_what_passes_them(entries: list[Entry]) -> None:
    for name, count in filters_of(entries):
        assert len(chosen_entries(entries, kind=name)) == count > 0


def test_the_library_finds_each_kind_once(shelf: Path) -> None:
    library = Library(shelf)
    found = {
        (each.kind, each.name) for each in library.find("release", "audit", "frontier", "sweep")
    }
    assert found == {
        ("release", "shared"),
        ("audit", "shared.audit/audit.json"),
        ("frontier", "frontier"),
        ("sweep", "sweep"),
    }
    assert "scans/0.png" in library.pictures()
    assert not any(name.startswith("shared/") for name in library.pictures())
    assert Library(None).find("release") == []
    assert Library(None).pictures() == {}


def test_pictures_are_images_and_no_figures_of_results(tmp_path: Path) -> None:
    for number in range(205):
        (tmp_path / f"{number}.png").write_bytes(b"image")
    write_figure(tmp_path / "show.png", Figure(figsize=(1, 1)), dpi=10)
    (tmp_path / "sweep").mkdir()
    for name in ("sweep.csv", "auc.png"):
        (tmp_path / "sweep" / name).touch()
    assert set(Library(tmp_path).pictures()) == {f"{number}.png" for number in range(205)}


def test_a_folder_of_a_release_is_found_itself(release: Path) -> None:
    assert [each.kind for each in Library(release).find("release")] == ["release"]
    (release / "dataset.json").write_text("[1]", "utf-8")
    assert [each.name for each in Library(release).find("release")] == ["shared"]  # by its ledger
    shutil.rmtree(release.with_name("shared.private"))
    assert Library(release).find("release") == []


def test_what_a_private_folder_holds_is_no_release(shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf / "shared", tmp_path / "mixed.private" / "images")
    assert Library(tmp_path).find("release") == []
    assert Library(tmp_path).pictures() == {}


def test_links_are_not_followed(tmp_path: Path, shelf: Path) -> None:
    (tmp_path / "link").symlink_to(shelf)
    assert Library(tmp_path).find("release") == []
