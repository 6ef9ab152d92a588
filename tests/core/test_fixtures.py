"""Files that users have kept stay readable: the frozen files load to the numbers they were made of.

A missing file is a failure, not a skip.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deepfixcx import Code

from .fixtures.make import FOLDER, plain, several, volumes


@pytest.mark.parametrize(
    ("name", "made_of"),
    [
        ("code-v1-float32.safetensors", plain),
        ("code-v1-float16.safetensors", plain),
        ("code-v1-uint8.safetensors", plain),
        ("code-v1-several.safetensors", several),
        ("code-v1-volumes.safetensors", volumes),
    ],
)
def test_frozen_files_load(name: str, made_of: Callable[[], Code]) -> None:
    assert Code.load(FOLDER / name) == made_of()


def test_the_numbers_are_those_of_the_day_they_were_frozen() -> None:
    """So that `make` cannot drift together with the reader."""
    code = Code.load(FOLDER / "code-v1-float32.safetensors")
    assert str(code) == "Code(J=1 P=8x16 haar l1, shape=(2, 2, 4, 8, 16))"
    assert code.sizes.tolist() == [[64, 48], [320, 1000]]
    assert code.array[0, 0, 0, 0, :4].tolist() == [0.25, 9.875, 19.5, 29.125]
    assert code.array[1, 1, 3, 7, 15] == 2 + 255 * 77 % 256 / 8
    code = Code.load(FOLDER / "code-v1-several.safetensors")
    assert str(code.spec) == "J=1 P=1x2 db2 l1+min periodic padded"
    assert code.array.ravel()[[0, 15]].tolist() == [-0.625, 1.25]
    code = Code.load(FOLDER / "code-v1-volumes.safetensors")
    assert str(code.spec) == "3-D J=2 J_z=1 P=2x3x4 haar l1"
    assert code.sizes.tolist() == [[9, 64, 48], [20, 32, 33]]
    assert code.array[1, 0, 31, 1, 2, 3] == (1 + 2 * 767) / 8
