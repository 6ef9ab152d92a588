"""Releases at URLs, tried on the memory of this process: bytes and rules are those of a disk."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepfixcx import CodecSpec
from deepfixcx.errors import MissingExtraError, ReleaseError, ReleaseStoppedError
from deepfixcx.release import (
    ReleaseOptions,
    Summary,
    find_sources,
    load_codes,
    make_plan,
    privatize_dataset,
    read_status,
    survey,
    verify_release,
)
from deepfixcx.release.places import place_of
from deepfixcx.release.plan import ShardJob
from deepfixcx.release.storage import locate, open_hashed
from tests.release.conftest import contents, rows, write_gray

fsspec = pytest.importorskip("fsspec", reason="the extra [remote] is not installed")

OPTIONS = ReleaseOptions(CodecSpec(level=2, patches=3))


@pytest.fixture
def store() -> Iterator[str]:
    """A folder in the memory of this process."""
    yield f"memory://{uuid.uuid4().hex}"
    memory().store.clear()
    memory().pseudo_dirs[:] = [""]


@pytest.fixture
def mixed(bad_images: Path, tmp_path: Path) -> Path:
    """Good and bad inputs of the kinds that a store can hold."""
    for path in (bad_images / "bad").iterdir():
        if path.is_symlink() or not path.is_file():
            path.unlink()
    return bad_images.rename(tmp_path / "mixed")


@pytest.fixture
def remote(mixed: Path, store: str) -> str:
    """The same in the store."""
    fill(f"{store}/mixed", mixed)
    return f"{store}/mixed"


def memory() -> Any:
    return fsspec.filesystem("memory")


def fill(url: str, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            fsspec.filesystem("memory").pipe_file(
                f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes()
            )


def copied(url: str, folder: Path) -> Path:
    """Copy what lies at a URL to a disk."""
    root = memory()._strip_protocol(url)
    for path in memory().find(root):
        target = folder / path.removeprefix(f"{root}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(memory().cat_file(path))
    return folder


def release(where: str | Path, out: str | Path, private: Path, **more: Any) -> Summary:
    return privatize_dataset(where, out, more.pop("options", OPTIONS), private=private, **more)


@pytest.mark.parametrize("names", ["neutral", "keep"])
def test_bytes_do_not_depend_on_where_inputs_and_release_lie(
    mixed: Path, remote: str, store: str, tmp_path: Path, names: Any
) -> None:
    options = ReleaseOptions(OPTIONS.spec, names=names)
    tables = []
    ways: list[tuple[str | Path, str | Path]] = [
        (mixed, tmp_path / "0"),
        (remote, tmp_path / "1"),
        (mixed, f"{store}/2"),
        (remote, f"{store}/3"),
        (f"file://{mixed}", f"file://{tmp_path}/4"),
    ]
    for number, (where, out) in enumerate(ways):
        summary = release(where, out, tmp_path / f"private{number}", options=options)
        assert summary.totals["files_failed"] == 6
        tables.append((summary.private / "sources.csv").read_bytes())
    made = [contents(tmp_path / number) for number in "014"]
    made += [contents(copied(f"{store}/{number}", tmp_path / f"copy{number}")) for number in "23"]
    assert all(each == made[0] for each in made)
    assert len(set(tables)) == 1


def test_release_in_a_store_is_read_verified_and_followed_there(
    remote: str, store: str, tmp_path: Path
) -> None:
    release(remote, f"{store}/out", tmp_path / "private")
    release(remote, tmp_path / "out", tmp_path / "other")
    code, ids = load_codes(f"{store}/out")
    assert (code, ids) == load_codes(tmp_path / "out")
    assert read_status(f"{store}/out", tmp_path / "private").state == "finished"
    found = verify_release(f"{store}/out", workers=3)
    assert found.sound
    image = memory().find(f"{store}/out/images")[0]
    memory().pipe_file(f"{store}/out/more.txt", b"x")
    memory().rm_file(image)
    found = verify_release(f"{store}/out")
    assert [image.endswith(name) for name in found.missing] == [True]
    assert found.unlisted == ["more.txt"]
    memory().rm_file(f"{store}/out/dataset.json")
    assert read_status(f"{store}/out", tmp_path / "private").state == "stopped"
    with pytest.raises(ReleaseError, match="not finished"):
        verify_release(f"{store}/out")
    with pytest.raises(ReleaseError, match="not a release"):
        load_codes(f"{store}/nothing")


def test_resume_in_a_store_makes_again_what_is_lost_or_changed(
    remote: str, store: str, tmp_path: Path
) -> None:
    out, private = f"{store}/out", tmp_path / "private"
    release(remote, out, private)
    whole = contents(copied(out, tmp_path / "whole"))
    assert release(remote, out, private, resume=True).progress.files_done == 0
    lost = memory().find(f"{out}/images")[0]
    memory().rm_file(lost)
    memory().pipe_file(f"{out}/images/stray.png", b"whole, but of no record")
    memory().pipe_file(f"{out}/codes/notes.txt", b"of somebody else")
    again = release(remote, out, private, resume=True)
    assert again.progress.files_done == (16 if again.progress.files_before == 14 else 14)
    assert again.kept_files == ("codes/notes.txt", "images/stray.png")
    for name in again.kept_files:
        memory().rm_file(f"{out}/{name}")
    assert contents(copied(out, tmp_path / "again")) == whole
    changed = f"{remote}/ward-1/image19.png"
    before = memory().cat_file(changed)
    write_gray(tmp_path / "new.png", 36, 37, 99)
    after = (tmp_path / "new.png").read_bytes()
    memory().pipe_file(changed, after.ljust(len(before), b"\0"))
    assert release(remote, out, private, resume=True).progress.files_done in (14, 16)
    release(remote, f"{store}/fresh", tmp_path / "fresh")
    assert contents(copied(out, tmp_path / "new")) == contents(
        copied(f"{store}/fresh", tmp_path / "newer")
    )


def test_overwrite_in_a_store_keeps_files_of_other_people(
    images: Path, store: str, tmp_path: Path
) -> None:
    out, private = f"{store}/out", tmp_path / "private"
    odd = "colour/c[0]*?.bmp"  # patterns, to whom removes without care
    (images / "colour" / "c0.bmp").rename(images / odd)
    kept = ReleaseOptions(OPTIONS.spec, names="keep")
    release(images, out, private, options=kept)
    assert memory().exists(f"{out}/images/{odd.removesuffix('.bmp')}.png")
    memory().pipe_file(f"{out}/mine.txt", b"precious")
    with pytest.raises(ReleaseError, match="is not empty"):
        release(images, out, private)
    codes = ReleaseOptions(OPTIONS.spec, output="codes")
    release(images, out, private, options=codes, overwrite=True)
    assert not memory().find(f"{out}/images")
    assert memory().cat_file(f"{out}/mine.txt") == b"precious"
    memory().rm_file(f"{out}/mine.txt")
    release(images, tmp_path / "fresh", tmp_path / "other", options=codes)
    assert contents(copied(out, tmp_path / "copy")) == contents(tmp_path / "fresh")


def test_file_of_a_user_whose_name_is_a_pattern_stays(
    images: Path, store: str, tmp_path: Path
) -> None:
    out, private = f"{store}/out", tmp_path / "private"
    kept = ReleaseOptions(OPTIONS.spec, names="keep")
    release(images, out, private, options=kept)
    memory().pipe_file(f"{out}/images/ward-0/*.png", b"of a user")
    release(images, out, private, options=kept, resume=True)
    found = verify_release(out)
    assert (found.unlisted, found.missing) == (["images/ward-0/*.png"], [])
    memory().pipe_file(f"{out}/images/ward-0/*.png", b"of a user")
    release(images, out, private, options=kept, overwrite=True)
    assert memory().cat_file(f"{out}/images/ward-0/*.png") == b"of a user"
    assert found.files > 24


def test_folder_of_other_people_in_a_store_is_left_alone(
    images: Path, store: str, tmp_path: Path
) -> None:
    memory().pipe_file(f"{store}/out/mine.txt", b"precious")
    for how in ("resume", "overwrite"):
        with pytest.raises(ReleaseError, match="not made by deepfixcx"):
            release(images, f"{store}/out", tmp_path / "private", **{how: True})
    with pytest.raises(ReleaseError, match="is a file"):
        release(images, f"{store}/out/mine.txt", tmp_path / "private")
    assert memory().cat_file(f"{store}/out/mine.txt") == b"precious"


class Trouble:
    """Makes the store fail for one file, a number of times, and perhaps for every question."""

    def __init__(self, error: Exception, times: int, answers: bool) -> None:
        self.error, self.times, self.answers, self.asked = error, times, answers, 0

    def install(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        system = type(memory())
        read, info = system.cat_file, system.info

        def cat_file(this: Any, path: str, **options: Any) -> Any:
            if path.endswith(name) and self.asked < self.times:
                self.asked += 1
                raise self.error
            return read(this, path, **options)

        def about(this: Any, path: str, **options: Any) -> Any:
            if self.asked and not self.answers:
                raise self.error
            return info(this, path, **options)

        monkeypatch.setattr(system, "cat_file", cat_file)
        monkeypatch.setattr(system, "info", about)


def worked(where: str, out: Path) -> dict[str, str]:
    """Work the first shard; return the reason of each failure, by source."""
    plan = make_plan(find_sources(where), OPTIONS)
    items = plan.items[:16]
    job = ShardJob(0, items, plan.options, place_of(out))
    result = job.work(lambda _: None, lambda *_: None, frozenset())
    names = {item.source_id: item.source.name for item in items}
    return {names[record.source_id]: record.reason for record in result.records if record.error}


def a_good_one(where: str) -> str:
    plan = make_plan(find_sources(where), OPTIONS)
    return next(i.source.name for i in plan.items[:16] if not i.source.name.startswith("bad/"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError("CANARY"), "you have no permission to read it"),
        (FileNotFoundError("CANARY"), "the file does not exist"),
        (ConnectionResetError("CANARY"), "input/output error"),
        (RuntimeError("CANARY"), "input/output error"),
    ],
)
def test_file_that_the_store_does_not_give_is_one_failure(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    name = a_good_one(remote)
    before = worked(remote, tmp_path / "before")
    Trouble(error, 9, answers=True).install(monkeypatch, name)
    failed = worked(remote, tmp_path / "out")
    assert reason in failed.pop(name)
    assert failed == before
    assert "CANARY" not in str(failed)


def test_hiccup_of_a_store_is_no_failure(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = worked(remote, tmp_path / "before")
    trouble = Trouble(TimeoutError("CANARY"), 1, answers=True)
    trouble.install(monkeypatch, a_good_one(remote))
    assert worked(remote, tmp_path / "out") == before
    assert trouble.asked == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [(PermissionError("CANARY"), "is denied"), (ConnectionError("CANARY"), "cannot be reached")],
)
def test_store_that_does_not_answer_stops_the_release(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    Trouble(error, 9, answers=False).install(monkeypatch, a_good_one(remote))
    with pytest.raises(ReleaseStoppedError, match=f"{message}.*--resume") as caught:
        worked(remote, tmp_path / "out")
    assert "CANARY" not in str(caught.value)


def test_result_that_arrives_in_part_stops_the_release(
    images: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = type(memory())
    put = system.put_file

    def short(this: Any, near: str, far: str, **options: Any) -> None:
        put(this, near, far, **options)
        this.pipe_file(far, this.cat_file(far)[:-1])

    monkeypatch.setattr(system, "put_file", short)
    with pytest.raises(ReleaseStoppedError, match=r"incomplete.*--resume"):
        release(images, f"{store}/out", tmp_path / "private")
    assert read_status(f"{store}/out", tmp_path / "private").shards_done == 0
    monkeypatch.undo()
    release(images, f"{store}/out", tmp_path / "private", resume=True)
    assert verify_release(f"{store}/out").sound


def test_results_leave_the_temporary_folder_as_soon_as_there_are_enough(
    images: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("deepfixcx.release.remote.SEND_BYTES", 2000)
    most = 0
    send = type(memory()).put_file

    def watch(this: Any, near: str, far: str, **options: Any) -> None:
        nonlocal most
        waiting = [path for path in (tmp_path / "tmp").rglob("*.png")]
        most = max(most, len(waiting))
        send(this, near, far, **options)

    monkeypatch.setattr(type(memory()), "put_file", watch)
    release(images, f"{store}/out", tmp_path / "private")
    assert 1 < most < 16
    assert not list((tmp_path / "tmp").iterdir())
    release(images, tmp_path / "disk", tmp_path / "other")
    assert contents(copied(f"{store}/out", tmp_path / "copy")) == contents(tmp_path / "disk")


def test_large_input_is_copied_to_the_disk_and_hashed_on_the_way(
    remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = next(s for s in find_sources(remote).found if s.size > 1000)
    small, held = open_hashed(source.path)
    monkeypatch.setattr("deepfixcx.release.storage.HELD_BYTES", 100)
    large, streamed = open_hashed(source.path)
    with small, large:
        assert small.read() == large.read()
    assert held == streamed


def test_listing_is_that_of_the_same_folder_on_a_disk(mixed: Path, remote: str) -> None:
    (mixed / "colour" / "c0.bmp").rename(mixed / "colour" / "scan.dat")
    memory().mv(f"{remote}/colour/c0.bmp", f"{remote}/colour/scan.dat")
    near, far = find_sources(mixed), find_sources(remote)
    assert [(s.name, s.size) for s in far.found] == [(s.name, s.size) for s in near.found]
    assert far.skipped == near.skipped == ("bad/.hidden.png", "bad/notes.txt")
    one = find_sources(f"{remote}/ward-0/image0.png").found
    assert [source.name for source in one] == ["image0.png"]


def test_store_that_lists_no_sizes_is_asked_for_them(
    mixed: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = type(memory()).find

    def without_sizes(this: Any, path: str, **options: Any) -> Any:
        return {
            name: {**about, "size": None} for name, about in find(this, path, **options).items()
        }

    monkeypatch.setattr(type(memory()), "find", without_sizes)
    sizes = [source.size for source in find_sources(remote).found]
    assert sizes == [source.size for source in find_sources(mixed).found]


def test_table_at_a_url_and_urls_in_a_table(mixed: Path, remote: str, tmp_path: Path) -> None:
    text = "path\nward-0/image0.png\n../mixed/ward-1/image1.png\nward-0/gone.png\n"
    memory().pipe_file(f"{remote}/list.csv", text.encode())
    (mixed / "list.csv").write_text(text)
    near, far = (find_sources(f"{where}/list.csv").found for where in (mixed, remote))
    assert [(s.name, s.size, str(s.problem)) for s in far] == [
        (s.name, s.size, str(s.problem)) for s in near
    ]
    table = tmp_path / "urls.csv"
    table.write_text(f"file\n{remote}/ward-0/image0.png\nfile://{mixed}/ward-1/image1.png\n")
    found = find_sources(table).found
    assert [source.problem for source in found] == [None, None]
    assert {source.size for source in found} == {near[2].size, near[0].size}
    table.write_text("file\ns3://me:hush@bucket/a.png\n")
    with pytest.raises(ReleaseError, match="password") as caught:
        find_sources(table)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://HUSH@host/scans",
        "HTTPS://HUSH@host",
        "simplecache::https://HUSH@host/scans",
        "zip://a.zip::https://HUSH@host/scans",
        "s3://HUSH@bucket/scans",
        "ssh://me:HUSH@host/scans",
        "https://host/scans?token=HUSH",
    ],
)
def test_a_url_with_a_secret_is_refused_and_neither_stored_nor_echoed(
    images: Path, tmp_path: Path, url: str
) -> None:
    for source, out in ((url, tmp_path / "out"), (images, url)):
        with pytest.raises(ReleaseError, match="a token") as caught:
            privatize_dataset(source, out, OPTIONS, private=tmp_path / "private")
        assert "HUSH" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "private").exists()


@pytest.mark.parametrize("url", ["abfs://scans@account.dfs.core.windows.net/a", "sftp://me@host/a"])
def test_a_container_or_an_account_before_the_host_is_no_secret(url: str) -> None:
    assert locate(url) == url


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("nothing", None, "no file or folder"),
        ("list.csv", b"a,b\n1,2\n", "no column of paths"),
        ("list.csv", b"\xff\xfe\x00path\x00\x81", "not a readable table"),
        ("folder/notes.txt", b"text", "holds no image"),
    ],
)
def test_unusable_inputs_at_a_url_say_so(
    store: str, name: str, data: bytes | None, message: str
) -> None:
    if data is not None:
        memory().pipe_file(f"{store}/{name}", data)
    with pytest.raises(ReleaseError, match=message):
        find_sources(f"{store}/{name.partition('/')[0]}")


def test_survey_of_a_store_is_that_of_a_disk(mixed: Path, remote: str) -> None:
    near, far = survey(mixed), survey(remote)
    assert [(s.name, facts) for s, facts in far.facts] == [
        (s.name, facts) for s, facts in near.facts
    ]
    assert far.skipped == near.skipped


def test_memory_is_not_for_a_cluster(images: Path, store: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="only in this process"):
        release(images, f"{store}/out", tmp_path / "private", engine="dask")


def test_private_folder_of_a_release_at_a_url_must_be_named(images: Path, store: str) -> None:
    with pytest.raises(ReleaseError, match="--private"):
        privatize_dataset(images, f"{store}/out", OPTIONS)
    with pytest.raises(ReleaseError, match="--private"):
        read_status(f"{store}/out")
    with pytest.raises(ReleaseError, match="is a URL"):
        privatize_dataset(images, f"{store}/out", OPTIONS, private="s3://bucket/private")


@pytest.mark.parametrize("inside", ["mixed", "mixed/out", ""])
def test_release_and_input_in_one_store_lie_apart(
    remote: str, store: str, tmp_path: Path, inside: str
) -> None:
    with pytest.raises(ReleaseError, match="overlap"):
        release(remote, f"{store}/{inside}", tmp_path / "private")
    release(remote, f"{store}/mixed2", tmp_path / "private")  # begins alike, and is another


def test_unknown_and_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReleaseError, match="fsspec knows no nonsense://"):
        find_sources("nonsense://x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    loaded = importlib.import_module("fsspec.registry")._registry  # of an earlier test
    monkeypatch.delitem(loaded, "s3", raising=False)
    with pytest.raises(MissingExtraError, match="s3fs"):
        find_sources("s3://bucket/x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"deepfixcx\[remote\]"):
        find_sources("memory://x")


@pytest.mark.slow
def test_release_on_a_disk_does_without_fsspec(images: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "fsspec.py").write_text("raise ImportError('not here')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def run(where: str) -> subprocess.CompletedProcess[str]:
        words = ["privatize", where, str(tmp_path / "out"), "-J", "2", "-P", "3"]
        return subprocess.run(
            [sys.executable, "-m", "deepfixcx", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    local, store = run(str(images)), run("s3://bucket/x")
    assert local.returncode == 0, local.stdout + local.stderr
    assert store.returncode == 2
    assert "pip install 'deepfixcx[remote]" in store.stderr
    assert len(rows(tmp_path / "out" / "manifest.csv")) == 24
