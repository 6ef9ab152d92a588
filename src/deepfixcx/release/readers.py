"""What a release is read as: a pandas table, a dataset of PyTorch, WebDataset, codes file by file.

A reader returns the rows that are done, in the order of the manifest. IDs are text.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from deepfixcx._optional import require
from deepfixcx.code import Code
from deepfixcx.errors import ReleaseError
from deepfixcx.io.files import make_folder, writing
from deepfixcx.release.ledger import Record

if TYPE_CHECKING:
    import pandas

    from deepfixcx.release.places import Place
    from deepfixcx.release.release import ReleasedRecords

__all__ = ["Readers", "TorchRelease"]

NUMBERS = {each.name: {"int": "int64", "float": "float64"}[str(each.type)]
           for each in fields(Record) if str(each.type) in ("int", "float")}  # fmt: skip


class _Opened(Protocol):
    """What the readers use of an opened release."""

    @property
    def place(self) -> Place: ...

    @property
    def rows(self) -> tuple[Mapping[str, str], ...]: ...

    @property
    def has_records(self) -> bool: ...

    def records(self) -> ReleasedRecords: ...

    def file_of_codes(self, name: str) -> Code: ...


class Readers:
    """Readers of `Release`."""

    __slots__ = ()

    def iter_codes(self: _Opened) -> Iterator[tuple[Code, list[str]]]:
        """Yield the codes of a release file by file, so that one file is in memory at a time.

        Yields
        ------
        code : Code
            Codes (B, C, 4**J, P, P) of at most 64 MiB; all of a file have the same channels.
        source_ids : list of str, length B
            ID of the source of each.

        Raises
        ------
        ReleaseError, CodeFileError
            The release has no codes, or is damaged.

        Examples
        --------
        >>> from deepfixcx.release import Release
        >>> for code, ids in Release.open("shared").iter_codes():  # doctest: +SKIP
        ...     print(code.array.shape, ids[0])
        (16, 1, 64, 4, 4) 000001
        """
        by_file: dict[str, list[Mapping[str, str]]] = {}
        for row in self.rows:
            if row["code_file"]:
                by_file.setdefault(row["code_file"], []).append(row)
        if not by_file:
            raise ReleaseError(f"{str(self.place)!r} has no codes; read its images or records")
        for name, rows in by_file.items():
            code = self.file_of_codes(name)
            places = np.array([int(row["code_row"]) for row in rows])
            if places.max() >= len(code) or places.min() < 0:
                raise ReleaseError(f"{name} has fewer codes than the manifest states; verify it")
            yield code[places], [row["source_id"] for row in rows]

    def to_pandas(self: _Opened, *, codes: bool = False) -> pandas.DataFrame:
        """Return the manifest with the labels of the release as a pandas table.

        Parameters
        ----------
        codes : bool
            Add a column ``code`` with an array (C, 4**J, P, P) of float32 for each row, or a column
            ``record`` with a vector (K,) for a release of vectors.

        Returns
        -------
        pandas.DataFrame
            One row for each image. IDs and names of files are text, counts are int64, a label
            ``name`` is a column ``label_name`` of 1, 0 and NaN.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        ReleaseError, CodeFileError
            The release has no codes, or is damaged.

        Examples
        --------
        >>> from deepfixcx.release import Release
        >>> frame = Release.open("shared").to_pandas()  # doctest: +SKIP
        >>> frame.loc[0, "source_id"]  # doctest: +SKIP
        '000001'
        """
        frames = require("pandas", extra="tables")
        rows = [row for row in self.rows if row["status"] == "done"]
        table = frames.DataFrame(rows, dtype=object)
        table = table.astype({name: kind for name, kind in NUMBERS.items() if name in table})
        if self.has_records:
            records = self.records()
            for place, name in enumerate(records.label_names):
                table[f"label_{name}"] = records.labels[:, place]
        if codes:
            name, arrays = _arrays(self, rows)
            table[name] = frames.Series(list(arrays), dtype=object)
        found: pandas.DataFrame = table
        return found

    def to_torch(self: _Opened) -> TorchRelease:
        """Return the release as a dataset for ``torch.utils.data.DataLoader``.

        Codes are read now and stay in memory; images are read when they are asked for.

        Returns
        -------
        TorchRelease
            Of each image a dict: ``source_id`` (str) and ``frame`` (int); where the release has
            them ``code`` (C, 4**J, P, P) or ``record`` (K,), ``image`` (C, H, W), of
            a volume (1, D, H, W), in [0, 1] and ``labels`` (L,) of 1, 0 and NaN, all float32
            tensors.

        Raises
        ------
        MissingExtraError
            PyTorch is not installed.
        ReleaseError, CodeFileError
            The release is damaged, or holds DICOM files only.

        Examples
        --------
        >>> from deepfixcx.release import Release
        >>> dataset = Release.open("shared").to_torch()  # doctest: +SKIP
        >>> dataset[0]["code"].shape  # doctest: +SKIP
        torch.Size([1, 64, 4, 4])
        """
        require("torch", extra="torch")
        rows = [row for row in self.rows if row["status"] == "done"]
        name, arrays = _arrays(self, rows, missing="")
        if not name and not any(row["image_file"] for row in rows):
            raise ReleaseError(
                f"{str(self.place)!r} holds neither codes nor images in PNG; read its DICOM files"
            )
        labels = self.records().labels if self.has_records else None
        return TorchRelease(self.place, rows, name, arrays, labels)

    def to_webdataset(self: _Opened, folder: str | Path, *, per_file: int = 1000) -> list[Path]:
        """Write the release as tar files for the package webdataset.

        A sample has ``json`` (ID, frame, sizes and labels), ``code.npy`` or ``record.npy``, and
        ``image.npy``: pixels (H, W), (H, W, 3) or (1, D, H, W) of uint8 or uint16. Images are
        arrays because webdataset reduces PNG files of 16 bits to 8. Keys are numbers, as webdataset
        takes all behind the first dot of a name for its kind.

        Parameters
        ----------
        folder : path-like
            New folder of the tar files.
        per_file : int
            Samples of one tar file.

        Returns
        -------
        list of Path
            The files, in order. The same release gives the same bytes.

        Raises
        ------
        ReleaseError
            The folder is not empty, or the release is damaged.

        Examples
        --------
        >>> from deepfixcx.release import Release
        >>> Release.open("shared").to_webdataset("tars")  # doctest: +SKIP
        [PosixPath('tars/samples-00000.tar')]
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ReleaseError(f"{str(folder)!r} is not empty; name a new folder")
        if per_file < 1:
            raise ReleaseError(f"per_file is a number from 1, got {per_file}")
        make_folder(folder)
        rows = [row for row in self.rows if row["status"] == "done"]
        name, arrays = _arrays(self, rows, missing="")
        records = self.records() if self.has_records else None
        files = []
        for start in range(0, len(rows), per_file):
            path = folder / f"samples-{start // per_file:05d}.tar"
            with writing(path) as file:
                for place in range(start, min(start + per_file, len(rows))):
                    about: dict[str, Any] = {
                        each: int(rows[place][each])
                        for each in ("frame", "channels", "height", "width", "bits")
                    }
                    about["source_id"] = rows[place]["source_id"]
                    if records is not None:
                        about["labels"] = _labels(records, place)
                    key = f"{place:08d}"
                    if name:
                        _add(file, f"{key}.{name}.npy", _npy(arrays[place]))
                    if rows[place]["image_file"]:
                        pixels = _stored(self.place, rows[place]["image_file"])
                        _add(file, f"{key}.image.npy", _npy(pixels))
                    _add(file, f"{key}.json", json.dumps(about, sort_keys=True).encode())
                file.write(bytes(2 * tarfile.BLOCKSIZE))
            files.append(path)
        return files


@dataclass(frozen=True, eq=False, slots=True)
class TorchRelease:
    """A release as a map-style dataset of PyTorch; see `Release.to_torch`.

    Attributes
    ----------
    place : Place
        The release.
    rows : list of mapping
        Rows of the manifest that are done.
    name : str
        ``"code"``, ``"record"``, or empty where there are images only.
    arrays : sequence of ndarray
        Codes or records, in the order of the rows.
    labels : ndarray of float32, shape (M, L), or None
        Labels of the release.

    Examples
    --------
    >>> from deepfixcx.release import Release
    >>> len(Release.open("shared").to_torch())  # doctest: +SKIP
    560
    """

    place: Place
    rows: list[Mapping[str, str]]
    name: str
    arrays: list[NDArray[np.float32]]
    labels: NDArray[np.float32] | None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        """Return one image with its ID, as described in `Release.to_torch`."""
        torch = require("torch", extra="torch")
        row = self.rows[place]
        item: dict[str, Any] = {"source_id": row["source_id"], "frame": int(row["frame"])}
        if self.name:
            item[self.name] = torch.from_numpy(np.array(self.arrays[place]))
        if row["image_file"]:
            pixels = _stored(self.place, row["image_file"])
            whole = np.float32(np.iinfo(pixels.dtype).max)
            if pixels.ndim < 4:
                pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
            item["image"] = torch.from_numpy(pixels.astype(np.float32) / whole)
        if self.labels is not None:
            item["labels"] = torch.from_numpy(self.labels[place])
        return item


def _arrays(
    release: _Opened, rows: list[Mapping[str, str]], missing: str = "error"
) -> tuple[str, list[NDArray[np.float32]]]:
    """Return what the numbers of a release are called, and those of each row."""
    if release.has_records:
        records = release.records()
        return ("record" if records.code is None else "code"), list(records.array)
    if not any(row["code_file"] for row in rows):
        if missing:
            raise ReleaseError(
                f"{str(release.place)!r} has no codes: it was made without --output codes or both"
            )
        return "", []
    loaded = {name: release.file_of_codes(name) for name in {row["code_file"] for row in rows}}
    return "code", [loaded[row["code_file"]].array[int(row["code_row"])] for row in rows]


def _stored(place: Place, name: str) -> NDArray[Any]:
    """Return the pixels of an image file: (H, W), (H, W, 3) or (1, D, H, W), uint8 or uint16."""
    from deepfixcx.images import read_image

    if ".." in Path(name).parts or not name.startswith("images/"):
        raise ReleaseError("the manifest names an image outside the release; verify the release")
    with place.fetched(name) as path:
        if name.endswith(".nii.gz"):
            return _voxels(path)
        pixels = read_image(path).pixels[0]
    return np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def _voxels(path: Path) -> NDArray[Any]:
    """Return the voxels (1, D, H, W) of a released volume, as `Volume` orders them."""
    from deepfixcx.images.volumes import read_volume

    with path.open("rb") as file:
        volume = read_volume(file)
    whole = np.rint(volume.voxels[0] * np.float32(65535))
    return np.ascontiguousarray(whole, np.uint16)


def _labels(records: ReleasedRecords, place: int) -> dict[str, int | None]:
    row = zip(records.label_names, records.labels[place].tolist(), strict=True)
    return {name: None if value != value else int(value) for name, value in row}


def _npy(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()


def _add(file: BinaryIO, name: str, content: bytes) -> None:
    """Append a file to a tar file, without owner and time."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    file.write(entry.tobuf(tarfile.USTAR_FORMAT) + content)
    file.write(bytes(-len(content) % tarfile.BLOCKSIZE))
