"""Child processes end with the process that started them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

PARENT = """
import multiprocessing, os, time
from deepfixcx.io.processes import follow_parent

def child():
    follow_parent()
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(60)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=child).start()
    time.sleep(60)
"""


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_ends_when_its_parent_is_killed(tmp_path: os.PathLike[str]) -> None:
    script = os.path.join(tmp_path, "parent.py")
    with open(script, "w") as file:
        file.write(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    until = time.monotonic() + 30
    while is_alive(child):
        assert time.monotonic() < until, "the child outlives its parent"
        time.sleep(0.05)
