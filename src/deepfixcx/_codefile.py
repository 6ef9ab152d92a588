"""The file format of codes: safetensors with one metadata entry, ``deepfixcx``.

The entry is JSON with sorted keys: ``format`` ("deepfixcx.code"), ``version``, ``storage`` and
``spec``.
Tensors: ``array`` (as `Code.array`, in the storage dtype), ``sizes`` (int64), and for uint8 storage
``offset`` and ``step`` (float32, one number per channel, band and pooling):
value = offset + step * stored. There is one entry because safetensors keeps several in an order
of its own, and the same code must give the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from deepfixcx.choices import Storage
from deepfixcx.errors import (
    BrokenFileError,
    CodeError,
    CodeFileError,
    ForeignFileError,
    FormatVersionError,
)
from deepfixcx.io.files import write_file
from deepfixcx.spec import CodecSpec

__all__ = ["FORMAT_VERSION", "STORAGES", "code_bytes", "read_code_file", "write_code_file"]

STORAGES: tuple[str, ...] = get_args(Storage)
FORMAT_NAME = "deepfixcx.code"
FORMAT_VERSION = 1


def write_code_file(
    path: Path,
    array: NDArray[np.float32],
    sizes: NDArray[np.int64],
    spec: CodecSpec,
    storage: Storage,
) -> None:
    """Write an array, its sizes and its spec; an earlier file is replaced."""
    write_file(path, code_bytes(array, sizes, spec, storage), replace=True)


def code_bytes(
    array: NDArray[np.float32], sizes: NDArray[np.int64], spec: CodecSpec, storage: Storage
) -> bytes:
    """Return the file of an array, its sizes and its spec."""
    if storage not in STORAGES:
        raise CodeError(f"codes are stored as {', '.join(STORAGES)}, not {storage!r}")
    tensors = _pack(array, storage) | {"sizes": sizes}
    about = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "storage": storage,
        "spec": spec.to_dict(),
    }
    return safetensors.numpy.save(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        metadata={"deepfixcx": json.dumps(about, sort_keys=True)},
    )


def read_code_file(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], CodecSpec]:
    """Read what `write_code_file` wrote, or say what is wrong with the file."""
    if path.is_dir():
        raise CodeFileError(
            f"{path.name} is a folder, and this reads one file; for a whole release use "
            f"deepfixcx.release.load_codes"
        )
    data = path.read_bytes()
    about = _about(path, data)
    version = about.get("version")
    if not isinstance(version, int) or version < 1:
        raise BrokenFileError(f"{path.name} names no format version; it is damaged")
    if version > FORMAT_VERSION:
        raise FormatVersionError(
            f"{path.name} has format version {version} and this deepfixcx reads up to "
            f"{FORMAT_VERSION}; update deepfixcx to read it"
        )
    try:
        tensors = safetensors.numpy.load(data)
        spec = CodecSpec.from_dict(about["spec"])
        array = _unpack(tensors, about["storage"])
        sizes = tensors["sizes"]
        fits = array.shape[1:] == spec.code_shape(array.shape[1]) and sizes.shape == (len(array), 2)
        fits = fits and sizes.dtype == np.int64 and not (sizes < 1).any()
        finite = bool(np.isfinite(array).all())
    except (KeyError, ValueError, IndexError, TypeError, safetensors.SafetensorError):
        # The cause is left out: it may quote what stands in the file.
        raise BrokenFileError(f"{path.name} is damaged or truncated; copy it again") from None
    if not finite:
        raise BrokenFileError(f"{path.name} holds NaN or infinite numbers; copy it again")
    if not fits:
        raise BrokenFileError(
            f"{path.name} holds an array of shape {array.shape} and sizes of shape {sizes.shape}, "
            f"which do not fit its spec {spec}"
        )
    return array, sizes, spec


def _pack(array: NDArray[np.float32], storage: Storage) -> dict[str, NDArray[Any]]:
    if not np.isfinite(array).all():
        raise CodeError("a code with NaN or infinite numbers cannot be stored")
    with np.errstate(over="ignore"):  # what does not fit is refused below
        tensors = _quantize(array) if storage == "uint8" else {"array": array.astype(storage)}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise CodeError(f"a value of the code does not fit into {storage}; store float32")
    return tensors


def _quantize(array: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    images_and_cells = (0, 3, 4)
    if array.size == 0:
        raise CodeError("a code without images has no range to quantize; store float32")
    low = array.min(axis=images_and_cells, keepdims=True)
    step = (array.max(axis=images_and_cells, keepdims=True) - low) / np.float32(255)
    even = np.where((step > 0) & np.isfinite(step), step, 1)
    levels = np.clip(np.rint((array - low) / even), 0, 255)
    return {"array": levels.astype(np.uint8), "offset": low, "step": step}


def _unpack(tensors: dict[str, NDArray[Any]], storage: str) -> NDArray[np.float32]:
    stored = tensors["array"]
    if storage not in STORAGES or stored.dtype != np.dtype(storage):
        raise ValueError("the array is of another dtype than announced")
    array: NDArray[np.float32] = stored.astype(np.float32)
    if storage != "uint8":
        return array
    offset, step = tensors["offset"], tensors["step"]
    one_each = (1, *stored.shape[1:3], 1, 1, *stored.shape[5:])
    if not offset.dtype == step.dtype == np.float32 or not offset.shape == step.shape == one_each:
        raise ValueError("a quantized array needs one offset and step a channel and band")
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for infinity
        array = offset + step * array
    return array


def _about(path: Path, data: bytes) -> dict[str, Any]:
    """Return the metadata entry, read from the header alone so that truncation is told apart."""
    foreign = ForeignFileError(
        f"{path.name} is not a file of codes; Code.load reads what Code.save or "
        f"'deepfixcx privatize --output codes' wrote"
    )
    length = int.from_bytes(data[:8], "little")
    if data[8:9] != b"{":
        raise foreign
    if len(data) < 8 + length:
        if b'"deepfixcx"' in data[: 8 + 1024]:
            raise BrokenFileError(f"{path.name} is truncated within its header; copy it again")
        raise foreign
    try:
        header = json.loads(data[8 : 8 + length])
        about = json.loads(header["__metadata__"]["deepfixcx"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise foreign from None
    if not isinstance(about, dict) or about.get("format") != FORMAT_NAME:
        raise foreign
    return about
