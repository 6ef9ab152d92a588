"""The one place that writes and removes: whole files, nothing of others, no links followed."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from deepfixcx.errors import InUseError, OverwriteError
from deepfixcx.io.files import (
    remove_listed,
    remove_temporaries,
    tagged,
    write_file,
    writing,
)
from deepfixcx.io.folders import MARKER, FileLedger, OwnFolder, id_of, in_use


def digest(content: bytes) -> set[str]:
    return {sha256(content).hexdigest()}


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_name_that_is_taken_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    """Also where the file system has no hard links."""
    if not hard_links:

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("deepfixcx.io.files.os.link", refuse)
    path = tmp_path / "a"
    write_file(path, b"ours")
    with pytest.raises(OverwriteError, match="'a' exists and was not made by deepfixcx"):
        write_file(path, b"other")

    def beaten() -> None:
        with writing(tmp_path / "b") as file:
            (tmp_path / "b").write_bytes(b"meanwhile")
            file.write(b"other")

    with pytest.raises(OverwriteError):
        beaten()
    assert (path.read_bytes(), (tmp_path / "b").read_bytes()) == (b"ours", b"meanwhile")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    write_file(path, b"newer", replace=True)
    assert path.read_bytes() == b"newer"


def test_links_and_folders_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "folder").mkdir()
    for name in ("link", "dangling", "folder"):
        with pytest.raises(OverwriteError):
            write_file(tmp_path / name, b"x", replace=True)
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "nothing").exists()


def test_a_failure_leaves_nothing_and_the_earlier_file(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"earlier")

    def stopped() -> None:
        with writing(tmp_path / "a", replace=True) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped()
    assert (tmp_path / "a").read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["a"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "a", b"")
        write_file(tmp_path / "b", b"", mode=0o600)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o640, 0o600]


def test_only_what_is_listed_and_unchanged_is_removed(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a", "changed", "in/deep/b", "in/mine"):
        (tmp_path / name).write_bytes(b"ours")
    (tmp_path / "changed").write_bytes(b"edited")
    (tmp_path / "link").symlink_to("in/mine")
    (tmp_path / "way").symlink_to("in")
    outside = tmp_path.with_name("outside")
    outside.write_bytes(b"ours")
    names = ["a", "changed", "gone", "in/deep/b", "link", "way/mine", "../outside", str(outside)]
    left = remove_listed(tmp_path, dict.fromkeys(names, digest(b"ours")))
    assert left == ["changed", "link", "way/mine", "../outside", str(outside)]
    assert sorted(os.listdir(tmp_path)) == ["changed", "in", "link", "way"]
    assert os.listdir(tmp_path / "in") == ["mine"]
    assert outside.read_bytes() == b"ours"


def test_only_temporary_files_of_the_tag_are_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from deepfixcx.io.files import tagged, writing\n"
        "with tagged(sys.argv[2]), writing(Path(sys.argv[1]) / 'a') as file: os._exit(0)"
    )
    for tag in ("mine", "other"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path), tag], check=True, timeout=240)
    for name in (".x.tmp", ".x.part", ".deepfixcx-mine-0.part"):
        (tmp_path / name).write_bytes(b"a user's")
    before = set(os.listdir(tmp_path))
    assert len(before) == 5
    remove_temporaries(tmp_path, "mine")
    (gone,) = before - set(os.listdir(tmp_path))
    assert gone.startswith(".deepfixcx-mine-")
    with tagged("mine"):
        write_file(tmp_path / "a", b"")
    assert (tmp_path / "a").exists()


def test_a_ledger_replaces_and_removes_what_it_lists(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "made.jsonl")
    ledger.write(tmp_path, "a", "first")
    ledger.write(tmp_path, "a", "second")
    (tmp_path / "b").write_bytes(b"a user's")
    with pytest.raises(OverwriteError):
        ledger.write(tmp_path, "b", "ours")
    with (tmp_path / "made.jsonl").open("a") as file:
        file.write('{"name": "cut o')  # a crash
    again = FileLedger(tmp_path / "made.jsonl")
    again.write(tmp_path, "d", "after a crash")
    assert FileLedger(tmp_path / "made.jsonl").listed == again.listed
    assert again.remove(tmp_path) == []
    assert sorted(os.listdir(tmp_path)) == ["b", "made.jsonl"]


def test_a_file_of_which_a_crash_left_the_earlier_content_is_own(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "made.jsonl")
    ledger.write(tmp_path, "a", "first")
    ledger.add("a", 6, sha256(b"second").hexdigest())  # and killed before it was renamed
    assert FileLedger(tmp_path / "made.jsonl").remove(tmp_path) == []
    assert not (tmp_path / "a").exists()


def test_a_folder_has_one_writer_and_a_name_that_stays(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    with OwnFolder(folder, private=True) as own:
        assert own.is_new
        own.write(folder, "a", "x", mode=0o600)
        assert in_use(folder / MARKER)
        (tmp_path / "link").symlink_to("own")
        with pytest.raises(InUseError):
            OwnFolder(tmp_path / "link")
    assert not in_use(folder / MARKER)
    with OwnFolder(folder) as again:
        assert (again.id, again.is_new) == (own.id, False)
        assert again.listed == own.listed
    assert id_of(folder) == own.id
    assert [(folder / name).stat().st_mode & 0o777 for name in ("", "a", MARKER)] == [
        0o700,
        0o600,
        0o600,
    ]


def test_a_killed_holder_does_not_block(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from deepfixcx.io.folders import OwnFolder\n"
        "own = OwnFolder(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=240)
    assert done.returncode == -9
    with OwnFolder(tmp_path) as own:
        assert own.id


def test_a_marker_of_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_bytes(b"a user's\n")
    with pytest.raises(OverwriteError, match="not that of deepfixcx"):
        OwnFolder(tmp_path)
    assert (tmp_path / MARKER).read_bytes() == b"a user's\n"
