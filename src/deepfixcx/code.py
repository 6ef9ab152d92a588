"""Code: the pooled array with its spec and source sizes, what is stored and shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._codefile import read_code_file, write_code_file
from deepfixcx.choices import Storage
from deepfixcx.errors import CodeError
from deepfixcx.packets import band_number
from deepfixcx.spec import CodecSpec

__all__ = ["Code"]


@dataclass(frozen=True, eq=False)
class Code:
    """What is left of a batch of images.

    Parameters
    ----------
    array : ndarray of float32, shape (B, C, 4**J, P, P), or (B, C, 4**J, P, P, F)
        One number per cell, band and channel; the last axis only where the spec has several
        poolings. Not negative for l1 and l2. For Haar and pixels in [0, 1], absolute values are
        at most 2**J (4**J for l2).
    spec : CodecSpec
        How it was made.
    sizes : ndarray of int64, shape (B, 2)
        Height and width of each source image, in pixels.

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
        if sizes.shape != (len(array), 2) or (sizes < 1).any():
            raise CodeError(
                f"a code of {len(array)} images needs as many positive (height, width) pairs, "
                f"got sizes of shape {sizes.shape}"
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
            level 3, ``"aav"`` holds the coarsest vertical edges.

        Raises
        ------
        SpecError
            The path does not name a band at this level.
        """
        return self.array[:, :, band_number(path, self.spec.level)]

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
                    f"codes of one spec and number of channels can be joined, got {first.spec} "
                    f"with {first.channels} channels and {code.spec} with {code.channels}"
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
            File to write or replace.
        dtype : {"float32", "float16", "uint8"}
            How numbers are stored. float16 keeps 11 bits. uint8 lays 256 even steps between the
            smallest and the largest value of each channel and band in this file, so the error is
            at most half a step.

        Raises
        ------
        CodeError
            The dtype is unknown, or a value is not finite or does not fit into it.
        """
        write_code_file(Path(path), self.array, self.sizes, self.spec, dtype)

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
        array, sizes, spec = read_code_file(Path(path))
        return cls(array, spec, sizes)
