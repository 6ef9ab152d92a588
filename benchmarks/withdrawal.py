"""How long `deepfixcx withdraw` takes for one patient of a release of 100,000 images.

``python -m benchmarks.withdrawal [--images 100000] [--folder FOLDER]`` makes the release from
one drawn image that is stored under many names, withdraws a patient of five images at the steward
and at a recipient, and prints seconds, and how many of them the rewriting of codes took.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from deepfixcx import CodecSpec
from deepfixcx.images.plain import png_bytes
from deepfixcx.release import (
    ReleaseOptions,
    apply_withdrawal,
    privatize_dataset,
    rewriting,
    verify_release,
    withdraw,
)

OF_PATIENT = 5
SPEC = CodecSpec(level=3, patches=4)


def write_inputs(folder: Path, images: int) -> Path:
    """Write small images, each with its own number in the pixels, and their table of patients."""
    (folder / "in").mkdir(parents=True)
    lines = ["file,patient"]
    for number in range(images):
        pixels = np.full((1, 32, 32), 0.5, np.float32)
        bits = np.array([number >> place & 1 for place in range(24)], np.float32)
        pixels[0, 0, :24] = bits
        (folder / "in" / f"{number:06d}.png").write_bytes(png_bytes(pixels, bits=8))
        lines.append(f"{number:06d}.png,{number // OF_PATIENT}")
    (folder / "patients.csv").write_text("\n".join(lines) + "\n")
    return folder / "in"


def measure(folder: Path, images: int, workers: int) -> dict[str, float]:
    """Return seconds by what they were spent on."""
    rewriting_s = [0.0]
    stage_codes = rewriting.stage_codes

    def timed(*arguments: object) -> object:
        began = time.perf_counter()
        made = stage_codes(*arguments)  # type: ignore[arg-type]
        rewriting_s[0] += time.perf_counter() - began
        return made

    rewriting.stage_codes = timed  # type: ignore[assignment]
    source = write_inputs(folder, images)
    options = ReleaseOptions(SPEC, output="codes")
    began = time.perf_counter()
    privatize_dataset(source, folder / "out", options, workers=workers)
    found = {"privatize_s": time.perf_counter() - began}
    shutil.copytree(folder / "out", folder / "copy")
    began = time.perf_counter()
    done = withdraw(
        folder / "out", patient="7", table=folder / "patients.csv", notice=folder / "notice.json"
    )
    found |= {"withdraw_s": time.perf_counter() - began, "rewriting_s": rewriting_s[0]}
    found["shards"] = done.shards
    began = time.perf_counter()
    apply_withdrawal(folder / "notice.json", folder / "copy")
    found["apply_s"] = time.perf_counter() - began
    seals = {
        verify_release(each, contents=False).checksum for each in (folder / "out", folder / "copy")
    }
    if len(seals) != 1 or done.images != OF_PATIENT:
        raise SystemExit("the copies differ")
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), asked.images, asked.workers)
    print(f"{asked.images:,} images, one patient of {OF_PATIENT}")
    for name, value in found.items():
        print(f"{name:12} {value:10.2f}")


if __name__ == "__main__":
    main()
