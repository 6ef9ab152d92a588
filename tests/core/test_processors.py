"""A code is the same number for number whatever the processor: no sum is reordered."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepfixcx import Codec

OLDER = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+sse4.2,+fma,+bmi2,+popcnt"}
OLDEST = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+sse2"}
SETTINGS = [(1, 20), (1, 7), (2, 5), (3, 4), (4, 3), (5, 2), (6, 1), (7, 1)]

PROGRAM = f"""
import sys
import numpy as np
from deepfixcx import Codec
from deepfixcx._kernels.vectors import LANES
pixels = np.random.default_rng(0).random((2, 130, 145), np.float32)
results = {{"lanes": np.array(LANES)}}
for level, patches in {SETTINGS}:
    codec = Codec(level, patches)
    code = codec.encode(pixels)
    results[f"code {{level}} {{patches}}"] = code.array
    results[f"image {{level}} {{patches}}"] = codec.decode(code)
np.savez(sys.argv[1], **results)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names processors of the x86-64 family")
@pytest.mark.parametrize("processor", [OLDER, OLDEST], ids=["AVX2", "SSE2"])
def test_codes_and_reconstructions_do_not_depend_on_the_processor(
    processor: dict[str, str], tmp_path: Path
) -> None:
    environment = {**os.environ, **processor, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    out = tmp_path / "results.npz"
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(out)], env=environment, check=True, timeout=240
    )
    pixels = np.random.default_rng(0).random((2, 130, 145), np.float32)
    with np.load(out) as results:
        assert results["lanes"] == 8
        for level, patches in SETTINGS:
            codec = Codec(level, patches)
            code = codec.encode(pixels)
            np.testing.assert_array_equal(results[f"code {level} {patches}"], code.array)
            np.testing.assert_array_equal(results[f"image {level} {patches}"], codec.decode(code))


@pytest.mark.slow
def test_codes_are_made_where_neither_the_package_nor_the_home_can_be_written() -> None:
    """As in a container with a read-only image and an unknown user; numba has no other cache."""
    program = """
import numpy as np
from numba.core import caching

for name in ("InTreeCacheLocator", "InTreeCacheLocatorFsAgnostic", "UserWideCacheLocator"):
    locator = getattr(caching, name, None) or getattr(caching, f"_{name}")
    locator.ensure_cache_path = lambda self: (_ for _ in ()).throw(OSError("read-only"))
from deepfixcx import Codec
print(Codec(2, 4).encode(np.ones((64, 64), np.float32)).array.shape)
"""
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 1, 16, 4, 4)"


def test_no_two_kernels_have_one_name() -> None:
    """Code from the cache and code compiled later are told apart by it; a number is not enough."""
    found = {
        id(each): f"{each.py_func.__module__}.{each.py_func.__qualname__}"
        for name in ("haar", "haar_decode", "volume", "layout", "cells", "filters", "packet")
        for each in vars(importlib.import_module(f"deepfixcx._kernels.{name}")).values()
        if hasattr(each, "py_func")
    }
    assert {"deepfixcx._kernels.haar.pool_slices", "deepfixcx._kernels.haar.split_rows"} <= {
        *found.values()
    }
    assert len({*found.values()}) == len(found)
