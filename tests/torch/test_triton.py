"""The fused kernel: its numbers in Triton's interpreter, and that it compiles for real GPUs.

The interpreter is chosen when Triton is imported, so it has a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")
pytest.importorskip("triton", reason="Triton is not installed (it comes with CUDA builds of torch)")

import torch

from deepfixcx import Codec, CodecSpec
from deepfixcx.torch import Encode
from deepfixcx.torch.functional import DEEPEST_ON_GPU, encode

CASES = [  # level, patches, grid, height, width, dtype
    (1, 12, "balanced", 24, 24, "float32"),  # cells of one block
    (1, (9, 7), "padded", 15, 17, "uint8"),  # cells without a block
    (1, 1, "balanced", 50, 70, "uint16"),  # more blocks than lanes
    (2, (3, 4), "balanced", 41, 62, "float32"),
    (2, 5, "padded", 33, 30, "float16"),
    (3, 4, "balanced", 80, 96, "uint8"),
    (3, (2, 3), "padded", 65, 66, "float32"),
    (4, 2, "balanced", 90, 75, "uint8"),
    (5, (2, 1), "padded", 97, 40, "float32"),
    (6, 1, "balanced", 70, 60, "float32"),  # first level that folds
    (7, 1, "balanced", 129, 20, "uint8"),  # first level of four warps
    (8, 1, "balanced", 60, 130, "float32"),
]

INTERPRETED = """
import json, sys
import numpy as np
import torch
from deepfixcx import CodecSpec
from deepfixcx.torch import _triton
from deepfixcx.torch.functional import encode
errors = []
for programs in (1, 2048):  # cells whole, and shared among programs
    _triton.ENOUGH_PROGRAMS = programs
    _triton._plan.cache_clear()
    for level, patches, grid, height, width, dtype in json.loads(sys.argv[1]):
        patches = tuple(patches) if isinstance(patches, list) else patches
        spec = CodecSpec(level, patches, grid=grid)
        unit = torch.rand(1, 2, height, width, generator=torch.Generator().manual_seed(0))
        full = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
        pixels = (unit * full).to(getattr(torch, dtype))
        got = _triton.encode_haar_l1(pixels, spec)
        want = encode(pixels, spec).float()
        assert got.shape == want.shape and got.dtype == torch.float32
        scale = 2**level * (100 if dtype == "float16" else 1)  # the code is rounded to its dtype
        errors.append(float((got - want).abs().max()) / scale)
    if programs == 1:
        shares = {_triton._plan(CodecSpec(3, 4), 80, 96, 1).shares}
    else:
        shares.add(_triton._plan(CodecSpec(1, 1), 50, 70, 1).shares)
empty = _triton.encode_haar_l1(torch.rand(0, 1, 33, 40), CodecSpec(2, 3))
print(json.dumps({"errors": errors, "shares": sorted(shares), "empty": list(empty.shape)}))
"""

COMPILED = """
import json, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from deepfixcx import CodecSpec
from deepfixcx.torch import _triton
found = {}
for level, patches, dtype, architecture in json.loads(sys.argv[1]):
    plan = _triton._plan(CodecSpec(level, patches), 320, 320, 1024)
    names = _triton._encode.arg_names
    types = dict.fromkeys(names, "i32") | {"scale": "fp32", "images": "*" + dtype}
    types |= {"parts": "*fp32", "rows": "*i32", "columns": "*i32"}
    values = {"LEVEL": level, "FOLD": plan.fold, "CELLS": plan.cells, "MEMBERS": plan.members}
    types |= dict.fromkeys(values, "constexpr")
    aligned = ("images", "parts", "rows", "columns", "height", "width")
    source = ASTSource(
        fn=_triton._encode,
        signature=types,
        constexprs=values,
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    options = {"num_warps": plan.warps, "enable_fp_fusion": True}
    target = GPUTarget("cuda", architecture, 32)
    code = triton.compile(source, target=target, options=options).asm["ptx"]
    words = ("bar.sync", "shfl", "ld.global.v4", "ld.global.v2")
    found[f"{level} {dtype} {architecture}"] = {word: code.count(word) for word in words}
print(json.dumps(found))
"""


def run(code: str, cases: list[tuple[object, ...]], **environment: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(cases)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
def test_the_kernel_is_the_codec() -> None:
    answer = run(INTERPRETED, [*CASES], TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    errors = answer["errors"]
    assert isinstance(errors, list)
    assert len(errors) == 2 * len(CASES)
    wrong = [case for case, error in zip(2 * CASES, errors, strict=True) if not error < 1e-5]
    assert not wrong
    shares = answer["shares"]
    assert isinstance(shares, list)
    assert shares[0] == 1 < shares[-1]  # both ways were taken
    assert answer["empty"] == [0, 1, 16, 3, 3]


@pytest.mark.slow
def test_it_compiles_and_keeps_to_its_layout(tmp_path: os.PathLike[str]) -> None:
    """Without a GPU the compiler still shows: no barrier, wide loads, few shuffles."""
    cases: list[tuple[object, ...]] = [
        (3, 4, "u8", 90),
        (3, 4, "fp32", 80),
        (6, 2, "fp32", 90),
        (8, 1, "u8", 90),
    ]
    found = run(COMPILED, cases, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    whole_blocks = found["3 u8 90"]
    assert isinstance(whole_blocks, dict)
    # a thread holds whole blocks: it loads rows of eight pixels at once, and shuffles at most to
    # add up the 64 bands over the 32 lanes in five steps
    assert whole_blocks["bar.sync"] == 0
    assert whole_blocks["ld.global.v2"] >= 8
    assert whole_blocks["shfl"] <= 320
    for name in ("3 fp32 80", "6 fp32 90"):
        counts = found[name]
        assert isinstance(counts, dict)
        assert counts["bar.sync"] == 0
        assert counts["ld.global.v4"] > 0
    assert set(found) == {"3 u8 90", "3 fp32 80", "6 fp32 90", "8 u8 90"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
@pytest.mark.parametrize("level", range(1, DEEPEST_ON_GPU + 2))
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_on_a_gpu(level: int, dtype: torch.dtype) -> None:
    pixels = torch.rand(2, 1, 300, 330, generator=torch.Generator().manual_seed(0))
    pixels = (pixels * 255).to(torch.uint8) if dtype == torch.uint8 else pixels
    spec = CodecSpec(level, 1)
    want = torch.from_numpy(Codec(spec).encode(pixels.numpy()).array)
    got = Encode(spec)(pixels.cuda())
    assert got.is_cuda
    torch.testing.assert_close(got.cpu(), want, rtol=1e-5, atol=1e-5 * 2**level)
    assert torch.equal(got, encode(pixels.cuda(), spec))
