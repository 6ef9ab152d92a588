"""Kinds of NIfTI files, written by nibabel and SimpleITK, against SimpleITK (the reader of ITK)."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from benchmarks.formats import Kind
from deepfixcx.errors import (
    ContradictoryHeaderError,
    DeepfixcxError,
    NonFiniteError,
    UnsupportedImageError,
)

__all__ = ["kinds"]

SHAPE = (9, 7, 5)
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32",
          "float64")  # fmt: skip
AXES = ("LPS", "RAS", "LAS", "RPI", "PLS", "ARS", "LSA", "RIP", "IRA", "PSR", "ASL", "IAL")


def volume(dtype: str, shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    """Return values that differ along every axis and fit the type."""
    values = np.arange(np.prod(shape)).reshape(shape) * 7919 % 251
    signed = np.dtype(dtype).kind != "u"
    wide = values * 100 - 9000 * signed if np.dtype(dtype).itemsize > 1 else values // 2
    return wide.astype(dtype)


def written(
    values: NDArray[Any],
    *,
    axes: str = "LPS",
    version: int = 1,
    packed: bool = False,
    order: Any = "<",
    scaling: tuple[float, float] | None = None,
    **fields: Any,
) -> bytes:
    """Return a file that nibabel writes; fields go into the header as they are."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, side in enumerate(axes):
        affine["RLAPSI".index(side) // 2, axis] = 1 if side in "RAS" else -1
    kind: Any = {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}[version]
    image: Any = kind(values, affine, dtype=values.dtype)
    header: Any = image.header.copy()
    if scaling is not None:
        header["scl_slope"], header["scl_inter"] = scaling
    header["vox_offset"] = 352 if version == 1 else 544
    header["magic"] = b"n+1" if version == 1 else b"n+2"
    for name, value in fields.items():
        header[name] = value
    header = header.as_byteswapped(order) if order == ">" else header
    data = values
    if values.dtype.names is None:
        data = values.astype(values.dtype.newbyteorder(order))
    content: bytes = header.binaryblock + bytes(4) + data.tobytes(order="F")
    return gzip.compress(content, 1) if packed else content


def itk(
    path: Path,
    *,
    axes: str = "LPS",
    window: tuple[float, float] | None = None,
    plain: bool = False,
) -> NDArray[Any]:
    """Read with SimpleITK, turn as a radiologist looks at it, and scale."""
    named = path.with_suffix(".nii.gz" if path.read_bytes()[:2] == b"\x1f\x8b" else ".nii")
    named.write_bytes(path.read_bytes())
    image: Any = SimpleITK.ReadImage(str(named))
    named.unlink()  # ITK takes x.nii, if there is one, where it is asked for x.nii.gz
    if axes != "LPS":
        rows = next(
            side for side in axes[:2] if side in ("SI" if set(axes[:2]) & set("SI") else "AP")
        )
        columns = next(side for side in axes[:2] if side != rows)
        towards = {"S": "I", "A": "P", "R": "L"}
        orient: Any = SimpleITK.DICOMOrient
        image = orient(image, towards.get(columns, columns) + towards.get(rows, rows) + axes[2])
    values = SimpleITK.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        most = float(np.iinfo(values.dtype).max)
        frames = values.reshape(-1, *values.shape[-3:])[..., :3]
        return np.asarray(np.moveaxis(frames, -1, 1) / most)
    frames = values.reshape(-1, 1, *values.shape[-2:]).astype(np.float64)
    if plain:
        return np.asarray(frames / 255)
    low, high = window or (frames.min(), frames.max())
    return np.asarray(((frames - low) / (high - low)).clip(0, 1))


def row(
    samples: str,
    photometric: str,
    traits: str,
    content: Callable[[], bytes],
    peer: Callable[[Path], NDArray[Any]] = itk,
    refusal: type[DeepfixcxError] | None = None,
    reader: str = "SimpleITK",
) -> Kind:
    """Return a row of the table of NIfTI files."""
    return Kind("NIfTI", samples, photometric, traits, content, reader, peer, 1e-5, refusal)


def by_nibabel(path: Path, *, plain: bool = False) -> NDArray[Any]:
    """Read NIfTI-2, which SimpleITK does not read, with nibabel's own reader of arrays."""
    image: Any = nibabel.Nifti2Image.from_bytes(unpacked(path))
    values = np.moveaxis(np.asarray(image.dataobj, np.float64), 2, 0).swapaxes(1, 2)
    low, high = (0.0, 255.0) if plain else (values.min(), values.max())
    return np.asarray(((values - low) / (high - low))[:, np.newaxis])


def unpacked(path: Path) -> bytes:
    """Return the bytes of a file, out of gzip."""
    content = path.read_bytes()
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def kinds() -> Iterator[Kind]:
    """Yield every kind."""
    for dtype, version, order, packed in product(DTYPES, (1, 2), "<>", (False, True)):
        traits = f"NIfTI-{version}, {'little' if order == '<' else 'big'}-endian"
        content = partial(written, volume(dtype), version=version, order=order, packed=packed)
        yield row(
            dtype,
            "gray",
            traits + (", gzip" if packed else ""),
            content,
            partial((itk, by_nibabel)[version - 1], plain=dtype == "uint8"),
            reader=("SimpleITK", "nibabel")[version - 1],
        )
    for dtype, axes in product(("uint8", "int16", "float32"), AXES):
        yield row(
            dtype,
            "gray",
            f"axes {axes}",
            partial(written, volume(dtype), axes=axes),
            partial(itk, axes=axes, plain=dtype == "uint8"),
        )
    for dtype, (slope, intercept) in product(
        ("uint8", "int16", "float32"), ((2.0, -100.0), (-0.5, 3.0), (0.0, 7.0), (np.nan, np.nan))
    ):
        if dtype == "uint8" and slope == 0:
            continue  # ITK adds the intercept, which NIfTI ignores where the slope is 0
        plain = dtype == "uint8" and np.isnan(slope)
        yield row(
            dtype,
            "gray",
            f"slope {slope:g}, intercept {intercept:g}",
            partial(written, volume(dtype), scaling=(slope, intercept)),
            partial(itk, plain=plain),
        )
    for dtype, window in product(("uint8", "int16", "float32"), ((20.0, 90.0), (-50.0, 4000.0))):
        yield row(
            dtype,
            "gray",
            f"display range {window[0]:g} to {window[1]:g}",
            partial(written, volume(dtype), cal_min=window[0], cal_max=window[1]),
            partial(itk, window=window),
        )
    for dtype, most in product(("float32", "float64"), (255, 4095, 65535)):
        values = volume(dtype) / np.dtype(dtype).type(1e4)
        yield row(
            dtype,
            "gray",
            f"values to 1, inherited display range 0 to {most}",
            partial(written, values, cal_max=most),
        )
    for shape, dtype in product(
        ((9, 7), (9, 7, 5, 3), (9, 7, 1, 4)), ("uint8", "int16", "float32")
    ):
        yield row(
            dtype,
            "gray",
            "shape " + "×".join(map(str, shape)),
            partial(written, volume(dtype, shape)),
            partial(itk, plain=dtype == "uint8"),
        )
    yield from colours()
    yield from refused()


def itk_colour(values: NDArray[Any], suffix: str) -> bytes:
    """Return colours as SimpleITK writes them: a fifth axis of vectors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"colour{suffix}"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values, isVector=True), str(path))
        return path.read_bytes()


def structured(count: int) -> NDArray[Any]:
    """Return colours as RGB24 or RGBA32."""
    values = volume("uint8", (*SHAPE, count)) * 2
    fields = [(name, "u1") for name in "RGBA"[:count]]
    return np.ascontiguousarray(values).view(fields)[..., 0]


def colours() -> Iterator[Kind]:
    """Colour as a data type, and as a fifth axis."""
    for count in (3, 4):
        for order, packed in product("<>", (False, True)):
            yield row(
                "uint8",
                "RGB" + "A" * (count == 4),
                ("RGB24", "RGBA32")[count == 4]
                + (", gzip" if packed else "")
                + (", big-endian" if order == ">" else ""),
                partial(written, structured(count), order=order, packed=packed),
            )
        for dtype, suffix, depth in product(("uint8", "uint16"), (".nii", ".nii.gz"), (1, 4)):
            values = volume(dtype, (depth, 7, 9, count))
            yield row(
                dtype,
                "RGB" + "A" * (count == 4),
                f"vectors of SimpleITK, {depth} slices{', gzip' if 'gz' in suffix else ''}",
                partial(itk_colour, values, suffix),
            )


def refused() -> Iterator[Kind]:
    """Sound files without a display, and headers that contradict themselves."""
    real = volume("float32")
    holes = np.where(real > 9000, np.nan, real).astype(np.float32)
    vectors = volume("float32", (9, 7, 5, 1, 3))
    unread: dict[tuple[str, str, str], tuple[Callable[[], bytes], type[DeepfixcxError]]] = {
        ("complex64", "gray", ""): (
            partial(written, real.astype(np.complex64)),
            UnsupportedImageError,
        ),
        ("complex128", "gray", ""): (
            partial(written, real.astype(np.complex128)),
            UnsupportedImageError,
        ),
        ("float32", "vectors", "displacement field"): (
            partial(written, vectors, intent_code=1006),
            UnsupportedImageError,
        ),
        ("float32", "vectors", "no intent"): (partial(written, vectors), UnsupportedImageError),
        ("uint8", "vectors", "two values at each voxel"): (
            partial(written, volume("uint8", (9, 7, 5, 1, 2)), intent_code=1007),
            UnsupportedImageError,
        ),
        ("1 bit", "gray", ""): (
            partial(written, volume("uint8"), datatype=1, bitpix=1),
            UnsupportedImageError,
        ),
        ("int16", "gray", "slope 2, intercept NaN"): (
            partial(written, volume("int16"), scaling=(2.0, np.nan)),
            ContradictoryHeaderError,
        ),
        ("int16", "gray", "slope 2, intercept infinite"): (
            partial(written, volume("int16"), scaling=(2.0, np.inf)),
            ContradictoryHeaderError,
        ),
        ("float32", "gray", "NaN among the values"): (partial(written, holes), NonFiniteError),
        ("int16", "gray", "header of a .hdr/.img pair"): (
            partial(written, volume("int16"), magic=b"ni1"),
            UnsupportedImageError,
        ),
    }
    for (samples, photometric, traits), (content, error) in unread.items():
        yield row(samples, photometric, traits, content, refusal=error)
