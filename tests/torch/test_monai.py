"""The transforms of MONAI: arrays, dictionaries, metadata."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")
pytest.importorskip("monai", reason="MONAI is not installed (extra: learn)")

import torch
from monai.data.meta_obj import set_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import ScaleIntensity
from monai.transforms.intensity.dictionary import ScaleIntensityRanged
from monai.transforms.io.array import LoadImage
from monai.transforms.io.dictionary import LoadImaged
from monai.transforms.transform import MapTransform, Transform
from monai.transforms.utility.array import EnsureChannelFirst
from monai.transforms.utility.dictionary import EnsureChannelFirstd
from PIL import Image

from deepfixcx import Codec
from deepfixcx.errors import PixelsShapeError
from deepfixcx.torch import Encode
from deepfixcx.torch.monai import Privatize, Privatized

PIXELS = np.random.default_rng(0).random((3, 40, 44), np.float32)


@pytest.mark.parametrize("size", ["compact", "original"])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, MetaTensor])
def test_it_is_the_codec(kind: Any, size: Any) -> None:
    transform = Privatize(2, (3, 4), "db2", size=size)
    assert isinstance(transform, Transform)
    got = transform(kind(PIXELS))
    assert isinstance(got, MetaTensor)
    want = Codec(2, (3, 4), "db2").privatize(PIXELS, size)
    np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=1e-5)


def test_integers_are_scaled() -> None:
    pixels = (PIXELS * 255).astype(np.uint8)
    got = Privatize(2, 3)(pixels)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), Codec(2, 3).privatize(pixels), rtol=0, atol=1e-5)


def test_metadata_is_kept_and_the_affine_scaled() -> None:
    affine = torch.diag(torch.tensor([0.5, 2.0, 1.0, 1.0], dtype=torch.float64))
    affine[:2, 3] = torch.tensor([7.0, 8.0])
    image = MetaTensor(torch.rand(1, 48, 32), affine=affine, meta={"site": 3})
    small, large = Privatize(2, 4)(image), Privatize(2, 4, size="original")(image)
    assert isinstance(small, MetaTensor)
    assert isinstance(large, MetaTensor)
    assert small.meta["site"] == 3
    assert torch.equal(large.affine, affine)
    # pixels became 3 x 2 times as large, and the corner of the picture stayed where it was
    assert torch.equal(small.affine[:2, :2], torch.diag(torch.tensor([1.5, 4.0])).double())
    corners = [
        a @ torch.tensor([-0.5, -0.5, 0, 1], dtype=torch.float64) for a in (affine, small.affine)
    ]
    torch.testing.assert_close(*corners)
    assert torch.equal(image.affine, affine)


def test_without_metadata() -> None:
    set_track_meta(False)
    try:
        got = Privatize(2, 3)(torch.from_numpy(PIXELS))
    finally:
        set_track_meta(True)
    assert type(got) is torch.Tensor


@pytest.mark.parametrize("shape", [(40, 40), (1, 40, 40, 40)])
def test_only_images_with_channels(shape: tuple[int, ...]) -> None:
    with pytest.raises(PixelsShapeError, match="slices"):
        Privatize(2, 3)(torch.rand(shape))


def test_dictionaries() -> None:
    transform = Privatized(["image", "prior"], 2, 3, allow_missing_keys=True)
    assert isinstance(transform, MapTransform)
    data: dict[Hashable, Any] = {"image": PIXELS, "label": 1}
    got = transform(data)
    np.testing.assert_array_equal(got["image"], Privatize(2, 3)(PIXELS))
    assert got["label"] == 1
    assert data["image"] is PIXELS
    both = Privatized(["image", "prior"], 2, 3)
    assert both({"image": PIXELS, "prior": PIXELS})["prior"].shape == (3, 12, 12)
    with pytest.raises(KeyError, match="prior"):
        both(data)


# MONAI warns of readers that it lacks when LoadImage is made
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_chain_on_real_images(data_folder: Path) -> None:
    file = sorted((data_folder / "cxr_nih").rglob("*.png"))[0]
    chain = Compose(
        [LoadImage(image_only=True), EnsureChannelFirst(), ScaleIntensity(), Privatize(3, 4)]
    )
    image = chain(file)
    assert isinstance(image, MetaTensor)
    assert image.shape == (1, 32, 32)
    assert float(image.std()) > 0.01


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # a decoder that MONAI misses
def test_png_loaded_with_the_documented_arguments_is_not_transposed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    page = (Path(__file__).parents[2] / "docs" / "how-to-pytorch.md").read_text()
    call = next(line.strip().rstrip(",") for line in page.splitlines() if "LoadImaged(" in line)
    assert call == 'LoadImaged("image", reader="PILReader", reverse_indexing=False)'
    ours = Codec(3, 4).privatize(pixels)
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"reader": "PILReader", "reverse_indexing": False}, True),
        ({}, False),
    ]
    for settings, alike in cases:
        load = Compose(
            [
                LoadImaged("image", **settings),
                EnsureChannelFirstd("image"),
                ScaleIntensityRanged("image", 0, 255, 0, 1),
                Privatized("image", level=3, patches=4),
            ]
        )
        theirs = load({"image": str(tmp_path / "a.png")})["image"][0].numpy()
        same = theirs.shape == ours.shape and bool(np.allclose(theirs, ours, atol=1e-4))
        assert same is alike


@pytest.mark.filterwarnings("ignore:The PyTorch API of")
def test_masked_images_are_refused() -> None:
    array: Any = np.ma.masked_less(PIXELS, 0.5)
    tensor = torch.masked.masked_tensor(torch.from_numpy(PIXELS), torch.from_numpy(PIXELS) > 0.5)
    for image in (array, tensor):
        with pytest.raises(PixelsShapeError, match="masked"):
            Privatize(2, 3)(image)
        with pytest.raises(PixelsShapeError, match="masked"):
            Privatized("i", 2, 3)({"i": image})


def test_modules_keep_the_metadata_of_an_image_as_it_is() -> None:
    image = MetaTensor(torch.from_numpy(PIXELS), affine=torch.diag(torch.tensor([2.0, 3, 1, 1])))
    code = Encode(2, 3)(image)
    assert isinstance(code, MetaTensor)
    assert torch.equal(code.affine, image.affine)
