"""Where the private folder may lie, and which texts are URLs; no store is needed for that."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from deepfixcx import CodecSpec
from deepfixcx.errors import ReleaseError
from deepfixcx.release import ReleaseOptions, Summary, privatize_dataset, verify_release
from deepfixcx.release.storage import locate
from tests.release.conftest import contents

OPTIONS = ReleaseOptions(CodecSpec(level=2, patches=3))


def release(where: Path, out: Path, private: Path, **more: Any) -> Summary:
    return privatize_dataset(where, out, OPTIONS, private=private, **more)


@pytest.mark.parametrize(
    ("out", "private", "message"),
    [
        ("out", "in/private", "lies in"),
        ("out", "out", "lies in"),
        ("out", "out/private", "lies in"),
        ("private/out", "private", "lies in the private folder"),
    ],
)
def test_private_folder_lies_apart(
    images: Path, tmp_path: Path, out: str, private: str, message: str
) -> None:
    with pytest.raises(ReleaseError, match=message):
        release(images, tmp_path / out, tmp_path / private)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "private").exists()


def test_private_folder_elsewhere_changes_no_byte_of_a_release(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "out", tmp_path / "deep" / "er" / "private")
    privatize_dataset(images, tmp_path / "plain", OPTIONS)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert not (tmp_path / "out.private").exists()
    private = tmp_path / "deep" / "er" / "private"
    assert private.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in private.iterdir()} == {
        ".deepfixcx.jsonl",
        "ledger.sqlite",
        "release.jsonl",
        "sources.csv",
    }
    with pytest.raises(ReleaseError, match="its ledger is not in"):
        privatize_dataset(images, tmp_path / "out", OPTIONS, resume=True)
    again = release(images, tmp_path / "out", private, resume=True)
    assert again.progress.files_done == 0


def test_one_private_folder_is_not_used_for_two_releases(images: Path, tmp_path: Path) -> None:
    release(images, tmp_path / "out", tmp_path / "private")
    before = contents(tmp_path / "private")
    with pytest.raises(ReleaseError, match="is the private folder of the release"):
        release(images, tmp_path / "other", tmp_path / "private")
    assert contents(tmp_path / "private") == before
    shutil.rmtree(tmp_path / "out")  # lost: the same command makes it again
    release(images, tmp_path / "out", tmp_path / "private", resume=True)
    assert verify_release(tmp_path / "out").sound


@pytest.mark.parametrize(
    "url", ["s3://me:hush@bucket/x", "https://a.b/c.csv?X-Sig=hush", "a::ftp://u:hush@h/x"]
)
def test_url_with_a_secret_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ReleaseError, match="environment") as caught:
        locate(url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("path", ["a:b//c", "/s3://x", "::x", "a::b"])
def test_paths_that_look_odd_are_paths(path: str) -> None:
    assert locate(path) == Path(path).absolute()


@pytest.mark.parametrize("way", ["overwrite", "resume"])
def test_the_private_folder_of_another_release_is_not_reset(
    images: Path, tmp_path: Path, way: str
) -> None:
    release(images, tmp_path / "out", tmp_path / "private")
    before = contents(tmp_path / "private")
    (tmp_path / "link").symlink_to("private")
    for private in (tmp_path / "private", tmp_path / "link"):
        with pytest.raises(ReleaseError, match=r"is the private folder of the release.*out'"):
            release(images, tmp_path / "other", private, **{way: True})
    assert contents(tmp_path / "private") == before
    assert not (tmp_path / "other").exists()


def test_a_release_that_moved_with_its_private_folder_is_made_again(
    images: Path, tmp_path: Path
) -> None:
    release(images, tmp_path / "a" / "out", tmp_path / "a" / "private")
    (tmp_path / "a").rename(tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "out")
    release(images, tmp_path / "b" / "out", tmp_path / "b" / "private", overwrite=True)
    assert verify_release(tmp_path / "b" / "out").sound


def test_the_private_folder_of_a_release_that_moved_away_is_kept(
    images: Path, tmp_path: Path
) -> None:
    privatize_dataset(images, tmp_path / "out", OPTIONS)
    (tmp_path / "out").rename(tmp_path / "published")
    before = contents(tmp_path / "out.private")
    with pytest.raises(ReleaseError, match="holds the ledger of a release"):
        privatize_dataset(images, tmp_path / "out", OPTIONS)
    assert contents(tmp_path / "out.private") == before
    privatize_dataset(images, tmp_path / "out", OPTIONS, overwrite=True)
