"""Which files count as inputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepfixcx.errors import ReleaseError
from deepfixcx.release import find_sources


def names(where: Path) -> list[str]:
    return [source.name for source in find_sources(where).found]


def test_folder_is_walked_sorted_and_other_files_are_skipped(bad_images: Path) -> None:
    sources = find_sources(bad_images)
    found = [source.name for source in sources.found]
    assert found == sorted(found)
    assert len(found) == 24 + 8
    assert sources.skipped == ("bad/.hidden.png", "bad/notes.txt", "bad/pipe.dat")


def test_hidden_files_are_listed_and_hidden_folders_once(images: Path) -> None:
    for name in (".hidden.png", "ward-0/.DS_Store", ".git/config", ".git/objects/a.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(b"?")
    assert find_sources(images).skipped == (".git/", ".hidden.png", "ward-0/.DS_Store")


def test_loop_of_links_is_one_problem_and_nothing_is_found_twice(bad_images: Path) -> None:
    problems = [source for source in find_sources(bad_images).found if source.problem]
    assert {source.name: type(source.problem).__name__ for source in problems} == {
        "bad/loop": "FolderLoopError",
        "bad/gone.png": "UnreadableFileError",
    }


def test_link_to_a_folder_elsewhere_is_followed(images: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    (images / "colour" / "c0.bmp").rename(other / "c0.bmp")
    (images / "linked").symlink_to(other, target_is_directory=True)
    assert "linked/c0.bmp" in names(images)


def test_image_under_a_foreign_suffix_is_found_by_content(images: Path) -> None:
    (images / "ward-0" / "image0.png").rename(images / "scan.dat")
    assert "scan.dat" in names(images)


@pytest.mark.parametrize("name", ["IM000001", "1.2.840.10008.1", "x.DCM"])
def test_dicom_names_count_whatever_they_hold(images: Path, name: str) -> None:
    (images / name).write_bytes(b"?")
    assert name in names(images)


def test_table_lists_paths_once_and_relative_to_itself(images: Path) -> None:
    table = images / "list.csv"
    table.write_text("Patient,Path\na,ward-0/image0.png\nb,ward-0/image0.png\nc,gone.png\nd,\n")
    sources = find_sources(table).found
    assert [source.name for source in sources] == ["gone.png", "ward-0/image0.png"]
    assert type(sources[0].problem).__name__ == "UnreadableFileError"


def test_table_names_its_files_as_it_lists_them(images: Path) -> None:
    table = images / "colour" / "list.csv"
    table.write_text(f"file\n../ward-0/image0.png\n{images}/ward-1/image1.png\n")
    sources = find_sources(table).found
    assert {source.name for source in sources} == {
        "../ward-0/image0.png",
        f"{images}/ward-1/image1.png",
    }
    assert not any(source.problem for source in sources)


@pytest.mark.parametrize(
    ("text", "message"), [("a,b\n1,2\n", "no column of paths"), ("file\n", "holds no image")]
)
def test_unusable_table_says_so(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "list.csv"
    table.write_text(text)
    with pytest.raises(ReleaseError, match=message):
        find_sources(table)


def test_table_that_is_no_text_says_so(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_bytes(b"\xff\xfe\x00path\x00\x81")
    with pytest.raises(ReleaseError, match="not a readable table"):
        find_sources(table)


def test_nothing_there_or_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no file or folder"):
        find_sources(tmp_path / "nowhere")
    with pytest.raises(ReleaseError, match="holds no image"):
        find_sources(tmp_path)


def test_name_that_is_not_utf8_can_stand_in_a_table(images: Path) -> None:
    os.rename(os.fsencode(images / "colour" / "c0.bmp"), os.fsencode(images) + b"/M\xfcller.bmp")
    assert "M\\udcfcller.bmp" in names(images)


def test_folder_that_may_not_be_listed_is_a_problem_of_its_own(images: Path) -> None:
    """Runs as an ordinary user, because root may list every folder."""
    if os.geteuid() != 0:
        (images / "colour").chmod(0)
        listing = repr([(s.name, type(s.problem).__name__) for s in find_sources(images).found])
        (images / "colour").chmod(0o700)
    else:
        (images / "colour").chmod(0o700)
        for folder in (images, *images.parents):
            if str(folder).startswith("/tmp/"):
                folder.chmod(folder.stat().st_mode | 0o755)
        script = (
            "import os, sys; from pathlib import Path; from deepfixcx.release import find_sources; "
            "os.setuid(65534); print([(s.name, type(s.problem).__name__) "
            "for s in find_sources(Path(sys.argv[1])).found])"
        )
        ran = subprocess.run(
            [sys.executable, "-c", script, str(images)],
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        )
        listing = ran.stdout
    assert "('colour', 'UnreadableFileError')" in listing
    assert "'ward-0/image0.png', 'NoneType'" in listing
