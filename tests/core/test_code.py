"""Code: its shapes, slices, joins, bands and embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.errors import CodeError, SpecError

SPEC = CodecSpec(2, (3, 2))
SEVERAL = CodecSpec(2, (3, 2), pooling=("l1", "max"))


def _code(images: int = 5, channels: int = 2, spec: CodecSpec = SPEC) -> Code:
    shape = (images, *spec.code_shape(channels))
    array = np.random.default_rng(images).random(shape, np.float32)
    return Code(array, spec, np.arange(1, 2 * images + 1).reshape(images, 2))


@pytest.mark.parametrize("index", [slice(1, 4), slice(None, None, -2), slice(2, 2), [3, 0, 3], []])
def test_slices_hold_images_with_their_sizes(index: Any) -> None:
    code = _code()
    part = code[index]
    assert np.array_equal(part.array, code.array[index])
    assert np.array_equal(part.sizes, code.sizes[index])
    assert part.spec == code.spec
    assert len(part) == len(part.array)


def test_masks_select_images() -> None:
    code = _code()
    assert code[np.array([True, False, True, False, False])] == code[[0, 2]]


@pytest.mark.parametrize("number", [0, 4, -1, -5, np.int64(2)])
def test_one_image_is_still_a_batch(number: int) -> None:
    code = _code()
    assert len(code[number]) == 1
    assert np.array_equal(code[number].array[0], code.array[number])
    assert np.array_equal(code[number].sizes[0], code.sizes[number])


@pytest.mark.parametrize("number", [5, -6, 100])
def test_images_that_are_not_there(number: int) -> None:
    with pytest.raises(IndexError, match=f"{number} of a code of 5"):
        _code()[number]


@pytest.mark.parametrize("index", [(0, 1), None])
def test_slices_that_give_no_code(index: Any) -> None:
    with pytest.raises(CodeError):
        _code()[index]


def test_joining_undoes_slicing() -> None:
    code = _code()
    assert Code.concatenate([code[:2], code[2:2], code[2:]]) == code
    assert Code.concatenate([code[n] for n in range(len(code))]) == code


def test_codes_that_cannot_be_joined() -> None:
    with pytest.raises(CodeError, match="no code"):
        Code.concatenate([])
    with pytest.raises(CodeError, match=r"J=2 P=3x2 haar l1 .* J=2 P=3x2 haar l1\+max"):
        Code.concatenate([_code(), _code(spec=SEVERAL)])
    with pytest.raises(CodeError, match=r"with 2 channels .* with 1"):
        Code.concatenate([_code(), _code(channels=1)])


@pytest.mark.parametrize("spec", [SPEC, SEVERAL])
def test_bands_by_path(spec: CodecSpec) -> None:
    code = _code(spec=spec)
    assert np.array_equal(code.band("aa"), code.array[:, :, 0])
    assert np.array_equal(code.band("av"), code.array[:, :, 1])
    assert np.array_equal(code.band("ha"), code.array[:, :, 8])
    assert np.array_equal(code.band("dd"), code.array[:, :, 15])
    for path in ("a", "aaa", "ax", ""):
        with pytest.raises(SpecError, match="2 letters"):
            code.band(path)


def test_the_approximation_of_a_constant_image() -> None:
    code = Codec(2, 3).encode(np.full((24, 24), 0.5))
    assert np.array_equal(code.band("aa"), np.full((1, 1, 3, 3), 2, np.float32))
    assert code.array.sum() == 18


@pytest.mark.parametrize("spec", [SPEC, SEVERAL])
@pytest.mark.parametrize("images", [0, 1, 5])
def test_embedding_is_the_array_in_one_row_an_image(spec: CodecSpec, images: int) -> None:
    code = _code(images, spec=spec)
    assert code.embedding().shape == (images, spec.numbers(2))
    assert np.array_equal(code.embedding().reshape(code.array.shape), code.array)


def test_equality_and_text() -> None:
    code = _code()
    assert code == Code(code.array.copy(), SPEC, code.sizes.copy())
    assert code != code[:4]
    assert code != Code(code.array + 1, SPEC, code.sizes)
    assert code != Code(code.array, SPEC, code.sizes + 1)
    assert code != Code(code.array, CodecSpec(2, (3, 2), "db2"), code.sizes)
    assert code != "code"
    assert code.channels == 2
    assert repr(code) == "Code(J=2 P=3x2 haar l1, shape=(5, 2, 16, 3, 2))"
    with pytest.raises(TypeError):
        hash(code)


def test_arrays_are_brought_to_their_dtypes() -> None:
    array = np.ones((1, 1, 16, 3, 2), ">f8")
    code = Code(array, SPEC, [[4, 5]])  # type: ignore[arg-type]
    assert code.array.dtype.name == "float32"
    assert code.sizes.dtype.name == "int64"


@pytest.mark.parametrize(
    ("array", "sizes", "words"),
    [
        ((2, 1, 16, 3, 3), (2, 2), r"\(B, C, 16, 3, 2\), got \(2, 1, 16, 3, 3\)"),
        ((2, 1, 4, 3, 2), (2, 2), "shape"),
        ((1, 16, 3, 2), (1, 2), "shape"),
        ((2, 1, 16, 3, 2, 1), (2, 2), "shape"),
        ((2,), (2, 2), "shape"),
        ((), (2, 2), "shape"),
        ((2, 1, 16, 3, 2), (3, 2), "2 images"),
        ((2, 1, 16, 3, 2), (2, 3), "2 images"),
        ((2, 1, 16, 3, 2), (2,), "2 images"),
    ],
)
def test_shapes_that_do_not_fit(array: tuple[int, ...], sizes: tuple[int, ...], words: str) -> None:
    with pytest.raises(CodeError, match=words):
        Code(np.ones(array, np.float32), SPEC, np.ones(sizes, np.int64))


def test_sizes_are_positive() -> None:
    with pytest.raises(CodeError, match="positive"):
        Code(np.ones((1, 1, 16, 3, 2), np.float32), SPEC, np.array([[3, 0]]))


def test_iterating_yields_each_image_as_a_code() -> None:
    code = _code()
    assert Code.concatenate([*code]) == code
    assert [len(one) for one in code] == [1] * 5
