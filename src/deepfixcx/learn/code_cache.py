"""Codes on disk, so that images are encoded once: found by what a file holds, not by its name.

A folder for each spec, and in it up to 256 safetensors files of ``{SHA-256 of the file: code}``.
The folder's name also depends on the version of this package, because a later one may read a
format in another way. A file that is damaged, or holds other things, counts as empty and stays.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from deepfixcx import __version__
from deepfixcx.errors import ModelError, TrainingStoppedError
from deepfixcx.io.files import make_folder, write_file
from deepfixcx.spec import CodecSpec

__all__ = ["CodeCache"]

FORMAT_VERSION = 1
PREFIX = 2
"""Letters of a digest that name its file."""

Codes = dict[str, NDArray[np.float32]]


class CodeCache:
    """The codes of one spec in a folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there. Several specs share it.
    spec : CodecSpec
        Of the codes.
    gray : bool
        Whether colour was made gray before it was encoded.

    Raises
    ------
    ModelError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> cache = CodeCache(Path(tempfile.mkdtemp()), CodecSpec(2, 3), gray=False)
    >>> cache.add({"ab12": np.ones((1, 16, 3, 3), np.float32)})
    >>> sorted(cache.find(["ab12", "ab99"]))
    ['ab12']
    """

    def __init__(self, folder: Path, spec: CodecSpec, *, gray: bool) -> None:
        self._spec = spec
        name = f"{FORMAT_VERSION} {__version__} {gray} {spec.to_json()}"
        self._folder = folder / hashlib.sha256(name.encode()).hexdigest()[:16]
        try:
            make_folder(self._folder)
        except OSError as error:
            raise ModelError(
                f"the cache {folder.name!r} cannot be made: {error.strerror}; choose another folder"
            ) from None

    @staticmethod
    def part_of(digest: str) -> str:
        """Return which file holds a digest."""
        return digest[:PREFIX]

    def find(self, digests: list[str]) -> Codes:
        """Return the codes that are there, by digest, each (C, 4**J, P, P)."""
        found: Codes = {}
        wanted = set(digests)
        for part in sorted({self.part_of(digest) for digest in wanted}):
            codes = self._load(part)
            found |= {digest: codes[digest] for digest in codes.keys() & wanted}
        return found

    def add(self, codes: Mapping[str, NDArray[np.float32]]) -> None:
        """Write codes, beside those that are there; a reader never sees half a file.

        Raises
        ------
        TrainingStoppedError
            The folder cannot be written, or the disk is full.
        """
        for part in sorted({self.part_of(digest) for digest in codes}):
            new = {digest: code for digest, code in codes.items() if self.part_of(digest) == part}
            whole = dict(sorted((self._load(part) | new).items()))
            path = self._folder / f"{part}.safetensors"
            if os.path.lexists(path) and not self._load(part):
                continue  # damaged, or not of this cache: it stays, and these codes are not kept
            try:
                data = safetensors.numpy.save(whole)
                write_file(path, data, mode=0o600, replace=True, durable=False)
            except OSError as error:
                raise TrainingStoppedError(
                    f"the cache of codes cannot be written: {error.strerror}; make room or choose "
                    f"another folder"
                ) from None

    def _load(self, part: str) -> Codes:
        """Return the codes of a file; none if one entry of it is no code of this cache."""
        path = self._folder / f"{part}.safetensors"
        try:
            codes = {} if path.is_symlink() else safetensors.numpy.load(path.read_bytes())
        except (OSError, SafetensorError, ValueError, KeyError):
            return {}
        own = all(digest.startswith(part) and self._fits(code) for digest, code in codes.items())
        return codes if own else {}

    def _fits(self, code: NDArray[np.float32]) -> bool:
        shaped = code.ndim > 1 and code.shape == self._spec.code_shape(len(code))
        return shaped and code.dtype == np.float32 and bool(np.isfinite(code).all())
