"""Files of codes: round trips within their error, the same bytes, and every way to be damaged."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from deepfixcx import Code, Codec, CodecSpec
from deepfixcx.code import FORMAT_VERSION, STORAGES
from deepfixcx.errors import (
    BrokenFileError,
    CodeError,
    CodeFileError,
    ForeignFileError,
    FormatVersionError,
)

SPEC = CodecSpec(1, (2, 1))
SEVERAL = CodecSpec(1, (2, 1), pooling=("sum", "l1"))
SECRET = "DOE^JANE"
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def _code(images: int = 3, spec: CodecSpec = SPEC) -> Code:
    array = np.random.default_rng(0).normal(size=(images, *spec.code_shape(2)))
    return Code(array.astype(np.float32), spec, np.full((images, 2), (40, 30)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "code.safetensors"


# -- round trips ----------------------------------------------------------------------------------


def _arrays(largest: float) -> st.SearchStrategy[NDArray[np.float32]]:
    shapes = st.integers(1, 4).map(lambda images: (images, *SPEC.code_shape(2)))
    bound = float(np.float32(largest))
    return npst.arrays(np.float32, shapes, elements=st.floats(-bound, bound, width=32))


def _saved(path: Path, array: NDArray[np.float32], storage: Any) -> NDArray[np.float32]:
    code = Code(array, SPEC, np.ones((len(array), 2), np.int64))
    code.save(path, storage)
    loaded = Code.load(path)
    assert loaded.spec == code.spec
    assert np.array_equal(loaded.sizes, code.sizes)
    assert loaded.array.dtype == np.float32
    return loaded.array


@in_one_folder
@given(_arrays(3e38))
def test_float32_is_exact(path: Path, array: NDArray[np.float32]) -> None:
    assert np.array_equal(_saved(path, array, "float32"), array)


@in_one_folder
@given(_arrays(65504))
def test_float16_keeps_eleven_bits(path: Path, array: NDArray[np.float32]) -> None:
    error = np.abs(_saved(path, array, "float16").astype(float) - array)
    smallest_step = 2.0**-25  # half a step among float16's subnormal numbers
    assert (error <= np.maximum(np.abs(array.astype(float)) * 2**-11, smallest_step)).all()


@in_one_folder
@given(_arrays(1e4))
def test_uint8_is_within_half_a_step(path: Path, array: NDArray[np.float32]) -> None:
    error = np.abs(_saved(path, array, "uint8").astype(float) - array)
    reach = np.ptp(array.astype(float), axis=(0, 3, 4), keepdims=True)
    rounding = 4 * np.finfo(np.float32).eps * np.abs(array).max() + 2.0**-149
    assert (error <= reach / 255 / 2 + rounding).all()


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("spec", [SPEC, SEVERAL, CodecSpec(1, (2, 1), "db2", grid="padded")])
def test_every_storage_of_every_kind_of_code(path: Path, spec: CodecSpec, storage: Any) -> None:
    code = _code(spec=spec)
    code.save(str(path), storage)
    loaded = Code.load(str(path))
    assert loaded.spec == spec
    assert np.array_equal(loaded.sizes, code.sizes)
    # One step for every channel, band and pooling: a range of about 6 in 255 steps.
    np.testing.assert_allclose(loaded.array, code.array, atol=0.02)
    sharper = np.abs(loaded.array - code.array).max()
    assert (sharper == 0) == (storage == "float32")


def test_uint8_ranges_are_apart(path: Path) -> None:
    """A band of small numbers is not spoilt by one of large numbers, nor a pooling by another."""
    code = _code(spec=SEVERAL)
    scales = np.logspace(-3, 3, 16).reshape(1, 2, 4, 1, 1, 2)
    scaled = Code((code.array * scales).astype(np.float32), SEVERAL, code.sizes)
    scaled.save(path, "uint8")
    error = np.abs(Code.load(path).array / scales - code.array)
    assert error.max() < 0.02


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_a_code_without_images(path: Path, storage: Any) -> None:
    _code(0).save(path, storage)
    assert Code.load(path) == _code(0)


def test_constant_bands_are_exact_in_uint8(path: Path) -> None:
    array = np.full((3, *SPEC.code_shape(2)), 0.3, np.float32)
    assert np.array_equal(_saved(path, array, "uint8"), array)


def test_slices_and_views_are_saved_as_they_look(path: Path) -> None:
    _code()[::-2].save(path)
    assert Code.load(path) == _code()[::-2]


# -- the same bytes -------------------------------------------------------------------------------

SAVE = """
import sys
import numpy as np
from deepfixcx import Codec
pixels = np.random.default_rng(0).random((3, 2, 33, 29), np.float32)
code = Codec(2, (3, 2), pooling=("l1", "median")).encode(pixels)
for storage in ("float32", "float16", "uint8"):
    code.save(f"{sys.argv[1]}/{storage}", storage)
"""


def test_saving_again_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for run in ("1", "2"):
        folder = tmp_path / run
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", SAVE, str(folder)],
            env=os.environ | {"PYTHONHASHSEED": run},
            check=True,
            timeout=240,
        )
        digests.append(
            {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
        )
    assert sorted(digests[0]) == sorted(STORAGES)
    assert digests[0] == digests[1]
    code = Code.load(tmp_path / "1" / "float32")
    code.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "1" / "float32").read_bytes()


# -- what cannot be stored ------------------------------------------------------------------------


def test_numbers_that_cannot_be_stored(path: Path) -> None:
    code = _code()
    with pytest.raises(CodeError, match="float32, float16, uint8, not 'int8'"):
        code.save(path, "int8")  # type: ignore[arg-type]
    with pytest.raises(CodeError, match="float16"):
        Code(code.array * 1e6, SPEC, code.sizes).save(path, "float16")
    with pytest.raises(CodeError, match="uint8"):
        Code(np.sign(code.array) * np.float32(3e38), SPEC, code.sizes).save(path, "uint8")
    with pytest.raises(CodeError, match="without images"):
        _code(0).save(path, "uint8")
    for bad in (np.nan, np.inf):
        array = code.array.copy()
        array[1, 1, 1, 1, 0] = bad
        for storage in STORAGES:
            with pytest.raises(CodeError, match="NaN or infinity"):
                Code(array, SPEC, code.sizes).save(path, storage)  # type: ignore[arg-type]
    assert list(path.parent.iterdir()) == []


# -- a reader never sees half a file --------------------------------------------------------------


@pytest.mark.parametrize("call", ["os.replace", "os.fsync"])
def test_a_failing_write_leaves_the_old_file(
    path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _code().save(path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(call, fail)
    with pytest.raises(OSError, match="no space"):
        _code(7).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_saving_replaces_and_keeps_ordinary_permissions(path: Path) -> None:
    _code().save(path)
    _code(7).save(path)
    assert len(Code.load(path)) == 7
    ordinary = path.with_name("ordinary")
    ordinary.touch()
    assert path.stat().st_mode == ordinary.stat().st_mode


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _code().save(tmp_path / "no" / "code")
    with pytest.raises(FileNotFoundError):
        Code.load(tmp_path / "no")


# -- files that are no files of codes -------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        f"a text about {SECRET}, long enough to have a header".encode(),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x10\0\0\0\0\0\0\0{not JSON at all}",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x02\0\0\0\0\0\0\0{}",
        b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
        (6 + 2000 * 5).to_bytes(8, "little") + b'{"a": ' + b'{"a":' * 2000,
        (5 * 10**5).to_bytes(8, "little") + b'{"a":' * 10**5,
        bytes(1000),
        safetensors.numpy.save({"weights": np.ones(5)}),
        safetensors.numpy.save({"weights": np.ones(5)}, {"deepfixcx": "[]"}),
        safetensors.numpy.save({"weights": np.ones(5)}, {"deepfixcx": SECRET}),
        safetensors.numpy.save({"weights": np.ones(5)}, {"deepfixcx": '{"format": "other"}'}),
    ],
    ids=range(15),
)
def test_foreign_files(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ForeignFileError, match=f"{path.name} is not a file of codes") as caught:
        Code.load(path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("storage", STORAGES)
def test_truncated_files_of_every_length(path: Path, storage: Any) -> None:
    _code(spec=SEVERAL).save(path, storage)
    whole = path.read_bytes()
    named = whole.index(b'"deepfixcx"') + len(b'"deepfixcx"')
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        # Before its name is in the file, nothing tells it from a foreign one.
        with pytest.raises(BrokenFileError if length >= named else ForeignFileError):
            Code.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(BrokenFileError):
        Code.load(path)


@settings(max_examples=400)
@given(st.sampled_from(STORAGES), st.data())
def test_damaged_files_raise_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, storage: Any, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.unlink(missing_ok=True)  # a damaged file is not one that may be replaced
    _code(1, SEVERAL).save(path, storage)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        loaded = Code.load(path)
    except CodeFileError:
        return
    assert np.isfinite(loaded.array).all()


def _write(path: Path, about: dict[str, Any], **tensors: Any) -> None:
    """Write a sound file of codes, but for what is given."""
    entry = {"format": "deepfixcx.code", "version": 1, "storage": "float32"}
    arrays: dict[str, Any] = {"array": _code().array, "sizes": _code().sizes} | tensors
    safetensors.numpy.save_file(
        {name: array for name, array in arrays.items() if array is not None},
        path,
        {"deepfixcx": json.dumps(entry | {"spec": SPEC.to_dict()} | about)},
    )


def test_the_file_that_the_next_tests_damage_is_sound(path: Path) -> None:
    _write(path, {})
    assert Code.load(path) == _code()


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 99])
def test_newer_files(path: Path, version: int) -> None:
    _write(path, {"version": version, "spec": {"more": "settings"}}, array=None)
    with pytest.raises(FormatVersionError, match=rf"{path.name} .* {version} .* update deepfixcx"):
        Code.load(path)


U8 = np.zeros((3, 2, 4, 2, 1), np.uint8)
ONE_EACH = np.ones((1, 2, 4, 1, 1), np.float32)


@pytest.mark.parametrize(
    ("about", "tensors"),
    [
        ({"version": None}, {}),
        ({"version": "1"}, {}),
        ({"version": 0}, {}),
        ({"spec": None}, {}),
        ({"spec": {}}, {}),
        ({"spec": {"level": 1, "patches": SECRET}}, {}),
        ({"spec": {"level": 1, "patches": 2, SECRET: 1}}, {}),
        ({"spec": {"level": 1, "patches": 2, "wavelet": SECRET}}, {}),
        ({"spec": CodecSpec(1, 3).to_dict()}, {}),
        ({"spec": CodecSpec(12, 10**9).to_dict()}, {}),
        ({"spec": SEVERAL.to_dict()}, {}),
        ({"storage": None}, {}),
        ({"storage": SECRET}, {}),
        ({"storage": "uint8"}, {}),
        ({"storage": "float16"}, {}),
        ({"storage": "float64"}, {"array": _code().array.astype(np.float64)}),
        ({}, {"array": None}),
        ({}, {"sizes": None}),
        ({}, {"array": np.ones(1, np.float32)}),
        ({}, {"array": np.ones((3, 2, 4, 2), np.float32)}),
        ({}, {"array": np.full((3, 2, 4, 2, 1), np.nan, np.float32)}),
        ({}, {"sizes": np.ones((2, 2), np.int64)}),
        ({}, {"sizes": np.ones(6, np.int64)}),
        ({}, {"sizes": np.zeros((3, 2), np.int64)}),
        ({}, {"sizes": np.full((3, 2), np.nan)}),
        ({"storage": "uint8"}, {"array": U8}),
        ({"storage": "uint8"}, {"array": U8, "offset": ONE_EACH}),
        ({"storage": "uint8"}, {"array": U8[:1], "offset": ONE_EACH[[0] * 3], "step": ONE_EACH}),
        ({"storage": "uint8"}, {"array": U8, "offset": ONE_EACH, "step": ONE_EACH[0, 0]}),
        ({"storage": "uint8"}, {"array": U8, "offset": ONE_EACH, "step": ONE_EACH.astype(float)}),
        ({"storage": "uint8"}, {"array": U8, "offset": ONE_EACH * np.inf, "step": ONE_EACH}),
        ({"storage": "uint8"}, {"array": U8 + 9, "offset": ONE_EACH, "step": ONE_EACH * 3e38}),
    ],
    ids=range(32),
)
def test_parts_that_contradict_each_other(
    path: Path, about: dict[str, Any], tensors: dict[str, Any]
) -> None:
    _write(path, about, **tensors)
    with pytest.raises(BrokenFileError, match=path.name) as caught:
        Code.load(path)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_entry_of_another_kind_is_ignored(path: Path) -> None:
    """Later versions may say more in the same format version."""
    _write(path, {"more": 1}, more=np.ones(3))
    assert Code.load(path) == _code()


def test_the_file_is_plain_safetensors(path: Path) -> None:
    """As the module says, so that others can read it."""
    code = Codec(1, (2, 1)).encode(np.random.default_rng(0).random((3, 1, 8, 8)))
    code.save(path, "uint8")
    tensors = safetensors.numpy.load_file(path)
    assert sorted(tensors) == ["array", "offset", "sizes", "step"]
    assert tensors["array"].dtype == np.uint8
    values = tensors["offset"] + tensors["step"] * tensors["array"].astype(np.float32)
    assert np.array_equal(values, Code.load(path).array)
    header = path.read_bytes()
    size = int.from_bytes(header[:8], "little")
    entry = json.loads(header[8 : 8 + size])["__metadata__"]["deepfixcx"]
    about = json.loads(entry)
    assert entry == json.dumps(about, sort_keys=True)
    assert about == {
        "format": "deepfixcx.code",
        "version": 1,
        "storage": "uint8",
        "spec": code.spec.to_dict(),
    }
