"""NIfTI: slices as frames, upright, in the right gray values, and every damage has its error."""

from __future__ import annotations

import gzip
import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfixcx.errors import (
    DecodeError,
    DeepfixcxError,
    MissingExtraError,
    NonFiniteError,
    NoPixelsError,
    OversizedImageError,
)
from deepfixcx.images import inspect_image, nifti, read_image
from deepfixcx.images.frames import SNIFFED_BYTES, sniff
from deepfixcx.release.inputs import counts_by_name

nibabel: Any = importlib.import_module("nibabel")
RNG = np.random.default_rng(0)
VOLUME = RNG.integers(-1000, 3000, (6, 5, 4)).astype(np.int16)


def written(
    folder: Path, array: NDArray[Any], name: str = "volume.nii", axes: str = "LPS", **fields: Any
) -> Path:
    """Write an array whose axes lead to these sides of the patient."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, side in enumerate(axes):
        affine["RLAPSI".index(side) // 2, axis] = 1 if side in "RAS" else -1
    kind = fields.pop("kind", nibabel.Nifti1Image)
    image = kind(array, affine)
    for name_of, value in fields.items():
        image.header[name_of] = value
    nibabel.save(image, folder / name)
    return folder / name


def gray(values: NDArray[Any], low: float | None = None, high: float | None = None) -> NDArray[Any]:
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    scaled: NDArray[Any] = ((values - low) / (high - low)).clip(0, 1)
    return scaled


@pytest.mark.parametrize("name", ["volume.nii", "volume.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_slices_along_the_third_axis_are_frames(tmp_path: Path, name: str, kind: Any) -> None:
    path = written(tmp_path, VOLUME, name, kind=kind)
    frames = read_image(path)
    assert (frames.pixels.shape, frames.bits, frames.format) == ((4, 1, 5, 6), 16, "NIfTI")
    for number in range(4):
        wanted = gray(VOLUME.astype(float))[:, :, number].T
        np.testing.assert_allclose(frames.pixels[number, 0], wanted, atol=1e-6)
    facts = inspect_image(path)
    assert (facts.format, facts.height, facts.width, facts.frames) == ("NIfTI", 5, 6, 4)
    assert (facts.bits, facts.photometric, facts.problem) == (16, "grayscale", "")
    assert sniff(path.read_bytes()[:SNIFFED_BYTES]) == "NIfTI"
    assert counts_by_name(name)


def test_a_series_of_volumes_comes_one_after_the_other(tmp_path: Path) -> None:
    series = RNG.integers(0, 255, (6, 5, 4, 3)).astype(np.uint8)
    pixels = read_image(written(tmp_path, series)).pixels
    assert pixels.dtype == np.uint8  # plain bytes stay
    for number in range(12):
        np.testing.assert_array_equal(pixels[number, 0], series[:, :, number % 4, number // 4].T)


@pytest.mark.parametrize(
    ("axes", "rows", "columns"),
    [
        ("LPS", "P", "L"), ("RAS", "P", "L"), ("LAS", "P", "L"), ("RPI", "P", "L"),
        ("PLS", "P", "L"), ("ARS", "P", "L"),  # axial, first axis from front to back
        ("LSA", "I", "L"), ("RIP", "I", "L"), ("IRA", "I", "L"),  # coronal
        ("PSR", "I", "P"), ("ASL", "I", "P"), ("IAL", "I", "P"),  # sagittal
    ],
)  # fmt: skip
def test_frames_are_upright(tmp_path: Path, axes: str, rows: str, columns: str) -> None:
    """Values grow towards a side of the patient; so must the pixels, seen by a radiologist."""
    for side, along_rows in ((rows, True), (columns, False)):
        opposite = dict(zip("LPSRAI", "RAILPS", strict=True))
        axis = axes.index(side) if side in axes else axes.index(opposite[side])
        ramp = np.arange(4.0)[:: 1 if side in axes else -1]
        shape = [1, 1, 1]
        shape[axis] = 4
        volume = np.broadcast_to(ramp.reshape(shape), (4, 4, 4)).astype(np.float32)
        image = read_image(written(tmp_path, np.ascontiguousarray(volume), axes=axes)).pixels[0, 0]
        steps = np.diff(image, axis=0 if along_rows else 1)
        assert (steps > 0).all(), (axes, side)
        assert not np.diff(image, axis=1 if along_rows else 0).any()


def test_height_and_width_of_a_volume_on_its_side(tmp_path: Path) -> None:
    volume = RNG.random((6, 5, 4)).astype(np.float32)
    path = written(tmp_path, volume, axes="SPR")  # the first axis is what is up
    assert read_image(path).pixels.shape == (4, 1, 6, 5)
    assert (inspect_image(path).height, inspect_image(path).width) == (6, 5)


def test_display_range_slope_and_intercept(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOLUME, np.diag([-1, -1, 1, 1]))
    image.header.set_slope_inter(2.0, -100.0)
    image.header["cal_min"], image.header["cal_max"] = 0, 1000
    nibabel.save(image, tmp_path / "volume.nii")
    stored = read_image(tmp_path / "volume.nii").pixels[:, 0]
    values = nibabel.load(tmp_path / "volume.nii").get_fdata()  # nibabel applies the slope itself
    wanted = np.moveaxis(gray(values, 0, 1000), 2, 0).swapaxes(1, 2)
    np.testing.assert_allclose(stored, wanted, atol=1e-6)


def test_a_display_range_beside_all_values_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, VOLUME, cal_min=9000, cal_max=9999)
    assert read_image(path).pixels.max() == 1


def test_big_endian_one_slice_and_colour(tmp_path: Path) -> None:
    swapped = nibabel.Nifti1Image(VOLUME[..., :1], np.diag([-1, -1, 1, 1])).to_bytes()
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(swapped)).as_byteswapped(">")
    data = VOLUME[..., :1].astype(">i2").tobytes(order="F")
    (tmp_path / "big.nii").write_bytes(header.binaryblock + bytes(4) + data)
    got = read_image(tmp_path / "big.nii").pixels
    np.testing.assert_allclose(got[0, 0], gray(VOLUME[..., 0].astype(float)).T, atol=1e-6)
    colour = RNG.integers(0, 255, (6, 5, 2, 3)).astype(np.uint8)
    packed = np.ascontiguousarray(colour).view([(c, "u1") for c in "RGB"])[..., 0]
    path = written(tmp_path, packed, "colour.nii")
    assert inspect_image(path).photometric == "rgb"
    pixels = read_image(path).pixels
    assert pixels.shape == (2, 3, 5, 6)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[1, 2], colour[:, :, 1, 2].T)


def test_real_volumes_agree_with_nibabel(data_folder: Path) -> None:
    paths = sorted((data_folder / "nifti").glob("*.nii*"))
    assert len(paths) >= 3
    for path in paths:
        volume = nibabel.load(path)
        values = nibabel.as_closest_canonical(volume).get_fdata()
        values = values.reshape(*values.shape[:2], -1, order="F")
        got = read_image(path).pixels[:, 0]
        if nibabel.aff2axcodes(volume.affine)[2] == "I":
            got = got[::-1]  # frames come in stored order
        wanted = np.moveaxis(values[::-1, ::-1], 2, 0).swapaxes(1, 2)  # RAS to LPS
        scale = 255 if got.dtype == np.uint8 else 1
        ends: tuple[float | None, float | None] = (None, None) if scale == 1 else (0.0, 255.0)
        window = float(volume.header["cal_min"]), float(volume.header["cal_max"])
        low, high = window if window[0] < window[1] else ends
        np.testing.assert_allclose(got / scale, gray(wanted, low, high), atol=1e-5)


def test_every_damage_has_its_error(tmp_path: Path) -> None:
    whole = written(tmp_path, VOLUME).read_bytes()

    def error(content: bytes, **options: Any) -> type[DeepfixcxError]:
        (tmp_path / "damaged").write_bytes(content)
        with pytest.raises(DeepfixcxError) as caught:
            read_image(tmp_path / "damaged", **options)
        if not options:
            assert inspect_image(tmp_path / "damaged").problem == type(caught.value).__name__
        return type(caught.value)

    def changed(at: int, content: bytes, volume: bytes = whole) -> bytes:
        return volume[:at] + content + volume[at + len(content) :]

    assert issubclass(error(whole[:200]), DecodeError)
    assert issubclass(error(whole[:-1]), DecodeError)
    packed = gzip.compress(whole)
    assert issubclass(error(packed[: len(packed) // 2]), DecodeError)
    assert issubclass(error(packed[:-8] + bytes(8)), DecodeError)  # the checksum
    assert error(changed(42, (32767).to_bytes(2, "little") * 3)) is OversizedImageError
    assert error(whole, max_pixels=100) is OversizedImageError
    assert issubclass(
        error(changed(70, (32).to_bytes(2, "little"))), DecodeError
    )  # complex numbers
    assert issubclass(error(changed(70, (9999).to_bytes(2, "little"))), DecodeError)
    assert error(changed(40, (1).to_bytes(2, "little"))) is NoPixelsError
    assert issubclass(error(changed(108, np.float32(1e30).tobytes())), DecodeError)
    assert issubclass(error(changed(108, np.float32(np.nan).tobytes())), DecodeError)
    holes = np.where(VOLUME > 2000, np.nan, 1).astype(np.float32)
    assert error(written(tmp_path, holes).read_bytes()) is NonFiniteError


def test_an_affine_that_says_nothing(tmp_path: Path) -> None:
    content = bytearray(written(tmp_path, VOLUME).read_bytes())
    content[280:328] = np.full(12, np.nan, np.float32).tobytes()
    (tmp_path / "lost.nii").write_bytes(content)
    np.testing.assert_allclose(
        read_image(tmp_path / "lost.nii").pixels[0, 0],
        gray(VOLUME.astype(float))[:, :, 0].T,
        atol=1e-6,
    )


def test_without_nibabel_the_pip_line_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, VOLUME)

    def refuse(module: str, *, extra: str) -> None:
        raise MissingExtraError(f"{module} {extra}")

    monkeypatch.setattr(nifti, "require", refuse)
    with pytest.raises(MissingExtraError, match="nibabel nifti"):
        read_image(path)
    assert inspect_image(path).problem == "MissingExtraError"
