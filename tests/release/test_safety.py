"""Not one byte of a file that deepfixcx did not make changes or disappears, whatever is asked.

``DEEPFIXCX_SAFETY_RUNS=2000 python -m pytest tests/release/test_safety.py`` tries the full count.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepfixcx import CodecSpec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.release import ReleaseOptions, privatize_dataset, verify_release

RUNS = int(os.environ.get("DEEPFIXCX_SAFETY_RUNS", "40"))
KILLS = max(4, RUNS // 10)
PAIRS = max(3, RUNS // 40)

FOLDERS = ("in", "out", "out/images", "out/codes", "out.private", "p", "p/images", "in/sub", "x")
NAMES = (
    *("images.csv", "public.csv", "members.csv", "sources.csv", "dataset.json", "manifest.csv"),
    *("failures.csv", "lock", "ledger.sqlite", "protected.json", ".x.tmp", ".y.part", "000001.png"),
    *("shard-00000-00.safetensors", "notes.txt", ".deepfixcx.jsonl", "release.jsonl", "mine.png"),
    ".deepfixcx-0123456789abcdef-0123456789abcdef.part",
)


def images(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng([seed, number]).integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


class World:
    """A folder with files of a user, and of deepfixcx, distinguished by their hashes."""

    def __init__(self, root: Path, draw: random.Random, names: tuple[str, ...] = NAMES) -> None:
        self.root, self.draw, self.names = root, draw, names
        self.theirs: dict[Path, bytes | str] = {}
        images(root / "in", draw.randint(1, 3), draw.randrange(1000))
        self.adopt()

    def adopt(self) -> None:
        for path in self.root.rglob("*"):
            if path.is_symlink():
                self.theirs[path] = os.readlink(path)
            elif path.is_file():
                self.theirs[path] = path.read_bytes()

    def plant(self) -> None:
        """Let the user write, change or link something."""
        folder = self.root / self.draw.choice(FOLDERS)
        path = folder / self.draw.choice(self.names)
        if os.path.lexists(path) and path not in self.theirs and self.draw.random() < 0.5:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.draw.random() < 0.1 and not os.path.lexists(path):
                path.symlink_to(self.draw.choice(["../in", "../x", "notes.txt", "nowhere"]))
                self.theirs[path] = os.readlink(path)
            elif not path.is_symlink() and not path.is_dir():
                content = b"years of work %d" % self.draw.randrange(10**9)
                path.unlink(missing_ok=True)
                path.write_bytes(content)
                self.theirs[path] = content
        except OSError:
            return

    def ask(self) -> str:
        """Run a command with folders and options drawn at random; return how it ended."""
        draw = self.draw
        where = draw.choice(["in", "in", "in", "in/sub", "x", "p", "."])
        out = draw.choice(["out", "out", "out", "x", "p/out", "in/out", "p", "in"])
        private = draw.choice([None, None, None, "p", "p", "out.private", "x", "in", "out", "."])
        way = draw.choice(["", "", "resume", "overwrite"])
        options = ReleaseOptions(
            CodecSpec(1, draw.choice([2, 3])), output=draw.choice(["images", "codes", "both"])
        )
        ways: dict[str, Any] = {way: True} if way else {}
        kept = None if private is None else self.root / private
        try:
            privatize_dataset(self.root / where, self.root / out, options, private=kept, **ways)
        except DeepfixcxError:
            return "refused"
        return "done"

    def check(self) -> None:
        for path, content in self.theirs.items():
            assert os.path.lexists(path), f"{path.relative_to(self.root)} is gone"
            found = os.readlink(path) if path.is_symlink() else path.read_bytes()
            assert found == content, f"{path.relative_to(self.root)} was changed"


@pytest.mark.usefixtures("in_this_process")
def test_no_file_of_a_user_changes_or_disappears(tmp_path: Path) -> None:
    ended = []
    for seed in range(RUNS // 4):
        draw = random.Random(seed)
        world = World(tmp_path / str(seed), draw)
        for _ in range(4):
            for _ in range(draw.choice([0, 0, 1, 3])):
                world.plant()
            ended.append(world.ask())
            world.check()
    assert {"done", "refused"} <= set(ended)


SCRIPT = """
import sys
from pathlib import Path
from deepfixcx import CodecSpec
from deepfixcx.errors import DeepfixcxError
from deepfixcx.release import ReleaseOptions, privatize_dataset, run
here = run.choose_run("memory://")
run.choose_run = lambda *_, **__: here
options = ReleaseOptions(CodecSpec(1, 2))
where, out, private, *ways = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
try:
    more = dict.fromkeys(ways, True)
    privatize_dataset(Path(where), Path(out), options, private=private or None, **more)
except DeepfixcxError as error:
    print(error)
    sys.exit(2)
"""


def start(where: Path, out: Path, private: Path | str = "", *ways: str) -> subprocess.Popen[str]:
    """Start a process that is ready to make a release."""
    words = [sys.executable, "-c", SCRIPT, str(where), str(out), str(private), *ways]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.slow
def test_killed_at_any_moment_a_release_ends_whole(tmp_path: Path) -> None:
    """SIGKILL at random moments of a first run, a resume or an overwrite; a user's file stays."""
    images(tmp_path / "in", 40, 1)
    draw, unfinished = random.Random(7), 0
    out, mine = tmp_path / "out", tmp_path / "out" / "images" / "mine.png"
    for number in range(KILLS):
        way = ("overwrite",) if number else ()
        process = start(tmp_path / "in", out, "", *way)
        go(process)
        time.sleep(draw.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        unfinished += not (out / "dataset.json").exists()
        privatize_dataset(
            tmp_path / "in", out, ReleaseOptions(CodecSpec(1, 2)), resume=out.exists()
        )
        assert verify_release(out).unlisted == (["images/mine.png"] if number else [])
        assert not list(out.glob(".deepfixcx*"))
        mine.write_bytes(b"a user's")
    assert unfinished


@pytest.mark.slow
@pytest.mark.parametrize("pair", range(PAIRS))
def test_of_two_runs_into_one_folder_one_is_refused(tmp_path: Path, pair: int) -> None:
    """By other private folders, by a link, by a relative name."""
    images(tmp_path / "a", 12, 1)
    images(tmp_path / "b", 12, 2)
    (tmp_path / "link").symlink_to("out")
    ways = [
        (tmp_path / "out", tmp_path / "pa", tmp_path / "out", tmp_path / "pb"),
        (tmp_path / "out", tmp_path / "pa", tmp_path / "a" / ".." / "out", tmp_path / "pb"),
        (tmp_path / "out", tmp_path / "pa", tmp_path / "out", tmp_path / "pa"),
    ]
    one, mine, two, yours = ways[pair % len(ways)]
    first, second = start(tmp_path / "a", one, mine), start(tmp_path / "b", two, yours)
    go(first)
    go(second)
    texts = [each.communicate(timeout=120)[0] for each in (first, second)]
    assert sorted([first.returncode, second.returncode]) == [0, 2], texts
    assert verify_release(tmp_path / "out").sound
