"""Code: the pooled array with its spec and source sizes, what is stored and shared.

A file of codes is safetensors with one metadata entry, ``deepfixcx``: JSON with sorted keys
``format`` ("deepfixcx.code"), ``version``, ``storage`` and ``spec``. Tensors: ``array`` (as
`Code.array`, in the storage dtype), ``sizes`` (int64), and for uint8 storage ``offset`` and
``step`` (float32, one value per channel, band and pooling): value = offset + step * stored. There
is one entry because safetensors orders several on its own, and equal codes must give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from deepfixcx.spec import AXES, KINDS, CodecSpec

__all__ = ["Code"]


@dataclass(frozen=True, eq=False)
class Code:
    """The codes of a batch of images.

    Parameters
    ----------
    array : ndarray of float32, shape (B, C, 4**J, P, P), or (B, C, 4**J, P, P, F)
        One number per cell, band and channel; the last axis only where the spec has several
        poolings. Volumes have three axes of cells and `spec.bands` bands. Not negative for l1 and
        l2. For Haar and pixels in [0, 1], absolute values are at most the square root of the
        number of bands (2**J of an image), of l2 at most its square.
    spec : CodecSpec
        How it was made.
    sizes : ndarray of int64, shape (B, 2), or (B, 3) of volumes
        Height and width of each source image, in pixels; slices, height and width of a volume.

    Raises
    ------
    CodeError
        The shapes do not fit the spec or each other.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> code = Codec(level=2, patches=3).encode(np.ones((5, 1, 32, 40), np.float32))
    >>> code.array.shape, code[1:3].sizes.tolist()
    ((5, 1, 16, 3, 3), [[32, 40], [32, 40]])
    """

    array: NDArray[np.float32]
    spec: CodecSpec
    sizes: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check that array, spec and sizes fit together."""
        array = np.asarray(self.array, np.float32)
        sizes = np.asarray(self.sizes, np.int64)
        if array.ndim < 2 or array.shape[1:] != self.spec.code_shape(array.shape[1]):
            raise CodeError(
                f"a code of {self.spec} has shape (B, "
                f"{', '.join(map(str, ('C', *self.spec.code_shape(1)[1:])))}), got {array.shape}"
            )
        if sizes.shape != (len(array), self.spec.ndim) or (sizes < 1).any():
            raise CodeError(
                f"a code of {len(array)} {KINDS[self.spec.ndim]}s needs sizes of as many positive "
                f"{AXES[self.spec.ndim]}, got sizes of shape {sizes.shape}"
            )
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "sizes", sizes)

    def __len__(self) -> int:
        """Return the number of images, B."""
        return len(self.array)

    def __repr__(self) -> str:
        """Shape and spec in one line."""
        return f"Code({self.spec}, shape={self.array.shape})"

    def __eq__(self, other: object) -> bool:
        """Return whether spec, sizes and every number agree."""
        if not isinstance(other, Code):
            return NotImplemented
        return (
            self.spec == other.spec
            and np.array_equal(self.sizes, other.sizes)
            and np.array_equal(self.array, other.array)
        )

    def __getitem__(self, images: int | slice | Sequence[int] | NDArray[Any]) -> Code:
        """Return some of the images, always as a batch: ``code[3]`` holds one image."""
        index: Any = images
        if isinstance(images, int | np.integer):
            if not -len(self) <= images < len(self):
                raise IndexError(f"image {images} of a code of {len(self)} images")
            index = [int(images)]
        return Code(self.array[index], self.spec, self.sizes[index])

    def __iter__(self) -> Iterator[Code]:
        """Yield each image as a code of its own."""
        return (self[image] for image in range(len(self)))

    @property
    def channels(self) -> int:
        """Number of channels, C."""
        return int(self.array.shape[1])

    def band(self, path: str) -> NDArray[np.float32]:
        """Return one band of every image, shape (B, C, P, P) or (B, C, P, P, F).

        Parameters
        ----------
        path : str
            J letters of a, v, h, d, the first split first: ``"aaa"`` is the approximation at
            level 3, ``"aav"`` holds the coarsest vertical edges. Of a volume, A, V, H and D are
            the details between slices, in each of the first J_z splits.

        Raises
        ------
        SpecError
            The path does not name a band at this level.
        """
        from deepfixcx.packets import band_number  # its kernels, which a code does not need

        return self.array[:, :, band_number(path, self.spec.level, self.spec.level_z or 0)]

    def embedding(self) -> NDArray[np.float32]:
        """Return the code flattened for a classifier, shape (B, n)."""
        return self.array.reshape(len(self), self.spec.numbers(self.channels))

    @classmethod
    def concatenate(cls, codes: Sequence[Code]) -> Code:
        """Join codes of one spec and one number of channels, in order.

        Raises
        ------
        CodeError
            There is nothing to join, or specs or channels differ.
        """
        if not codes:
            raise CodeError("there is no code to concatenate")
        first = codes[0]
        for code in codes[1:]:
            if code.spec != first.spec or code.channels != first.channels:
                raise CodeError(
                    "only codes with equal spec and channels can be concatenated, got "
                    f"{first.spec} with {first.channels} channels and {code.spec} with "
                    f"{code.channels}"
                )
        return cls(
            np.concatenate([code.array for code in codes]),
            first.spec,
            np.concatenate([code.sizes for code in codes]),
        )

    def save(self, path: str | Path, dtype: Storage = "float32") -> None:
        """Write the code to a safetensors file; a reader never sees half of it.

        Parameters
        ----------
        path : str or Path
            File to write; an earlier file of codes is replaced.
        dtype : {"float32", "float16", "uint8"}
            How numbers are stored. float16 keeps 11 bits. uint8 lays 256 even steps between the
            smallest and the largest value of each channel and band in this file, so the error is
            at most half a step.

        Raises
        ------
        CodeError
            The dtype is unknown, or a value is not finite or does not fit into it.
        OverwriteError
            Another file is there.
        """
        data = code_bytes(self.array, self.sizes, self.spec, dtype)
        write_file(Path(path), data, replace=_is_code_file(Path(path)))

    @classmethod
    def load(cls, path: str | Path) -> Code:
        """Read a code that `save` wrote; its array is float32 whatever the file's dtype.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ForeignFileError, BrokenFileError, FormatVersionError
            The file is not a code, is damaged, or is of a newer format.
        """
        path = Path(path)
        if path.is_dir():
            raise CodeFileError(
                f"{path.name} is a folder, and this function reads one file; for a release use "
                "deepfixcx.release.load_codes"
            )
        data = path.read_bytes()
        about = _about(path, data)
        version = about.get("version")
        if not isinstance(version, int) or version < 1:
            raise BrokenFileError(
                f"{path.name} has no format version and is damaged; copy it again"
            )
        if version > FORMAT_VERSION:
            raise FormatVersionError(
                f"{path.name} has format version {version} and this deepfixcx reads up to "
                f"{FORMAT_VERSION}; update deepfixcx to read it"
            )
        try:
            tensors = safetensors.numpy.load(data)
            spec = CodecSpec.from_dict(about["spec"])
            array = _unpack(tensors, about["storage"], spec.ndim)
            sizes = tensors["sizes"]
            fits = array.shape[1:] == spec.code_shape(array.shape[1])
            fits = fits and sizes.shape == (len(array), spec.ndim)
            fits = fits and sizes.dtype == np.int64 and not (sizes < 1).any()
            finite = bool(np.isfinite(array).all())
        except (KeyError, ValueError, IndexError, TypeError, safetensors.SafetensorError):
            # the cause is omitted: it may quote content of the file
            raise BrokenFileError(f"{path.name} is damaged or truncated; copy it again") from None
        if not finite:
            raise BrokenFileError(f"{path.name} contains NaN or infinity; copy it again")
        if not fits:
            raise BrokenFileError(
                f"{path.name} holds an array of shape {array.shape} and sizes of shape "
                f"{sizes.shape}, which do not fit its spec {spec}"
            )
        return cls(array, spec, sizes)


STORAGES: tuple[str, ...] = get_args(Storage)
FORMAT_NAME = "deepfixcx.code"
FORMAT_VERSION = 1


def code_bytes(
    array: NDArray[np.float32], sizes: NDArray[np.int64], spec: CodecSpec, storage: Storage
) -> bytes:
    """Return the file of an array, its sizes and its spec."""
    if storage not in STORAGES:
        raise CodeError(f"codes are stored as {', '.join(STORAGES)}, not {storage!r}")
    tensors = _pack(array, storage, spec.ndim) | {"sizes": sizes}
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


def without_codes(path: Path, rows: Collection[int]) -> bytes:
    """Return the file of codes without some rows; the stored values of all others stay."""
    Code.load(path)  # refuses what is damaged
    data = path.read_bytes()
    tensors = safetensors.numpy.load(data)
    kept = np.setdiff1d(np.arange(len(tensors["sizes"])), list(rows))
    for name in ("array", "sizes"):
        tensors[name] = np.ascontiguousarray(tensors[name][kept])
    about = json.dumps(_about(path, data), sort_keys=True)
    return safetensors.numpy.save(tensors, metadata={"deepfixcx": about})


def check_storable(array: NDArray[np.float32], storage: Storage) -> None:
    """Refuse a code with values that a file cannot hold."""
    if not np.isfinite(array).all():
        raise CodeError("a code with NaN or infinity cannot be stored")
    with np.errstate(over="ignore"):
        fits = storage != "float16" or np.isfinite(array.astype(np.float16)).all()
    if not fits:
        raise CodeError(f"a value of the code does not fit into {storage}; store float32")


def _pack(array: NDArray[np.float32], storage: Storage, ndim: int) -> dict[str, NDArray[Any]]:
    check_storable(array, storage)
    if storage != "uint8":
        return {"array": array.astype(storage)}
    with np.errstate(over="ignore"):  # what does not fit is refused below
        tensors = _quantize(array, ndim)
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise CodeError(f"a value of the code does not fit into {storage}; store float32")
    return tensors


def _quantize(array: NDArray[np.float32], ndim: int) -> dict[str, NDArray[Any]]:
    images_and_cells = (0, *range(3, 3 + ndim))
    if array.size == 0:
        raise CodeError("a code without images has no range to quantize; store float32")
    low = array.min(axis=images_and_cells, keepdims=True)
    step = (array.max(axis=images_and_cells, keepdims=True) - low) / np.float32(255)
    even = np.where((step > 0) & np.isfinite(step), step, 1)
    levels = np.clip(np.rint((array - low) / even), 0, 255)
    return {"array": levels.astype(np.uint8), "offset": low, "step": step}


def _unpack(tensors: dict[str, NDArray[Any]], storage: str, ndim: int) -> NDArray[np.float32]:
    stored = tensors["array"]
    if storage not in STORAGES or stored.dtype != np.dtype(storage):
        raise ValueError("the dtype of the array differs from the metadata")
    array: NDArray[np.float32] = stored.astype(np.float32)
    if storage != "uint8":
        return array
    offset, step = tensors["offset"], tensors["step"]
    one_each = (1, *stored.shape[1:3], *(1,) * ndim, *stored.shape[3 + ndim :])
    if not offset.dtype == step.dtype == np.float32 or not offset.shape == step.shape == one_each:
        raise ValueError("a quantized array needs one offset and step for each channel and band")
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for infinity
        array = offset + step * array
    return array


def _is_code_file(path: Path) -> bool:
    with suppress(OSError, CodeFileError):
        _about(path, path.read_bytes() if path.is_file() else b"")
        return True
    return False


def _about(path: Path, data: bytes) -> dict[str, Any]:
    """Return the metadata entry, read from the header alone so that truncation is recognized."""
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
