"""Volumes in the studio: planes as a radiologist knows them, one cross-hair, and a map."""

from __future__ import annotations

import asyncio
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from deepfixcx.codec import Codec
from deepfixcx.errors import DecodeError, NotAVolumeError
from deepfixcx.images.nifti import nifti_bytes
from deepfixcx.images.volumes import turned_of
from deepfixcx.spec import CodecSpec
from tests.studio.conftest import Served, serving
from tests.studio.test_browser import WAIT

pytest.importorskip("nicegui", reason="needs the extra studio")
pytest.importorskip("nibabel", reason="needs the extra nifti")

from deepfixcx.studio.page_volume import solids_in
from deepfixcx.studio.releases import Library
from deepfixcx.studio.uploads import Reader, Solid, solid_from
from deepfixcx.studio.volumes import (
    SolidLook,
    SolidSettings,
    example_solid,
    fitting,
    limits,
    planes_of,
)

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of a CT, a NIfTI file with axes of its own, and a file that is neither."""
    where = tmp_path_factory.mktemp("volumes")
    (where / "ct").mkdir()
    for number in range(6):
        header = pydicom.dcmread(SHIPPED / "CT_small.dcm")
        header.PixelData = (header.pixel_array + 50 * number).astype(np.int16).tobytes()
        x, y, z = header.ImagePositionPatient
        header.ImagePositionPatient = [x, y, f"{float(z) + 4 * number:.3f}"]
        header.WindowCenter, header.WindowWidth = 40, 400
        header.PatientName = "DOE^JANE"
        header.save_as(where / "ct" / f"slice-{5 - number}.dcm")
    voxels = np.random.default_rng(3).random((10, 24, 20), np.float32)
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    content = nifti_bytes(voxels, affine, turned_of(affine, voxels.shape), bits=8)
    (where / "head.nii.gz").write_bytes(content)
    (where / "notes.dcm").write_text("no DICOM", "utf-8")
    return where


@pytest.fixture(scope="module")
def solid(folder: Path) -> Iterator[Solid]:
    reader = Reader()
    yield reader.read_solid(solids_in(Library(folder))["ct (6 slices)"])
    reader.close()


def test_the_folder_holds_files_of_volumes_and_series(folder: Path) -> None:
    found = solids_in(Library(folder))
    assert list(found) == ["head.nii.gz", "ct (6 slices)"]
    assert len(found["ct (6 slices)"]) == 6


def test_values_of_a_series_are_hounsfield_units_sorted_by_position(solid: Solid) -> None:
    assert solid.words == "6 slices of 128 × 128 pixels, 16 bit, DICOM"
    about = solid.units.about(solid.frames, 0)
    assert (about["unit"], about["low"], about["high"]) == ("HU", -160, 239)  # 40, 400
    stored = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    first = stored.pixel_array * float(stored.RescaleSlope) + float(stored.RescaleIntercept)
    values = solid.units.of_frame(solid.frames, 0)
    assert np.array_equal(values[0], first)
    assert np.array_equal(values[5], first + 50 * 5 * float(stored.RescaleSlope))


def test_the_head_is_up_and_the_right_of_the_patient_is_left() -> None:
    for signs in ((-1, -1, 1), (1, 1, 1), (-1, 1, -1)):
        planes = planes_of(np.diag([*signs, 1.0]).astype(float))
        assert [each.name for each in planes] == ["Axial", "Coronal", "Sagittal"]
        assert [each.edges for each in planes] == [
            ("A", "L", "P", "R"), ("S", "L", "I", "R"), ("S", "P", "I", "A"),
        ]  # fmt: skip
    sagittal = np.zeros((4, 4))  # slices lead left, rows down to the feet, columns to the back
    sagittal[0, 2], sagittal[2, 1], sagittal[1, 0], sagittal[3, 3] = -1, -1, -1, 1
    named = {each.name: each for each in planes_of(sagittal)}
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert np.array_equal(named["Sagittal"].of(volume, 1), volume[1])
    assert np.array_equal(named["Axial"].of(volume, 2), volume[:, 2].T)  # the face is up
    assert named["Axial"].edges == ("A", "L", "P", "R")


def test_planes_are_those_of_the_volume_and_its_reconstruction(solid: Solid) -> None:
    look = SolidLook(solid, SolidSettings(2, 1, 4, 2))
    place = (1, 70, 33)
    values = solid.units.of_frame(solid.frames, 0)
    sent = np.frombuffer(look.plane_bytes("original", place), "<f4")
    axial, coronal, sagittal = (each.of(values, place[each.around]) for each in look.planes)
    assert np.array_equal(sent, np.concatenate([axial.ravel(), coronal.ravel(), sagittal.ravel()]))
    assert np.array_equal(axial, values[1])
    assert np.array_equal(coronal, values[::-1, 70])
    decoded = np.asarray(Codec(look.codec.spec).privatize(solid.frames[0]), np.float32)[0]
    sent = np.frombuffer(look.plane_bytes("privatized", (0, 2, 3)), "<f4")
    size = decoded.shape[1] * decoded.shape[2]
    assert np.allclose(sent[:size].reshape(decoded.shape[1:]), -160 + 399 * decoded[0], atol=1e-2)
    with pytest.raises(IndexError):
        look.plane_bytes("original", (6, 0, 0))


@pytest.mark.parametrize("axis", range(3))
def test_the_map_is_ordered_by_frequency_along_each_axis(axis: int) -> None:
    stripes = np.zeros((8, 8, 8), np.float32)
    stripes[tuple(slice(1, None, 2) if each == axis else slice(None) for each in range(3))] = 1
    affine = np.eye(4)
    look = SolidLook(
        Solid(stripes[None, None], affine, 0, "", 8, example_solid().units),
        SolidSettings(2, 2, 1, 1),
    )
    tiles = look._tiles[:, 0, 0, 0]
    brightest = {look._places[int(number)] for number in np.flatnonzero(tiles > 0.1)}
    finest = {0: (4, 4), 1: (3, 0), 2: (0, 3)}[axis]
    assert brightest == {(0, 0), finest}
    assert len(set(look._places)) == 64
    words, box = look.cell(0, *finest, 0, 0)
    name = ("slices", "rows", "columns")[axis]
    assert f"{name} 4 of 4" in words
    assert box == [[0, 1]] * 3


def test_settings_that_do_not_fit_become_the_nearest_that_do() -> None:
    size = (6, 128, 128)
    found = fitting(SolidSettings(3, 3, 8, 8), size)
    assert (found.level, found.patches, found.patches_z) == (3, 8, 6)
    assert found.level_z == 0
    Codec(found.spec).encode(np.zeros(size, np.float32))
    reach = limits(found, size)
    assert reach["patches_z"].most == 6
    assert "6 × 16 × 16 coefficients" in reach["patches_z"].reason
    assert fitting(SolidSettings(), (64, 64, 64)).spec == CodecSpec(2, 8, ndim=3, level_z=2)
    query = {name: str(value) for name, value in SolidSettings(3, 1, 9, 2).query().items()}
    assert SolidSettings.from_query(query) == SolidSettings(3, 1, 9, 2)
    assert SolidSettings.from_query(query | {"level": "x"}) == SolidSettings(2, 1, 9, 2)


@pytest.mark.slow
def test_files_of_a_series_are_sent_together_and_one_slice_is_refused(folder: Path) -> None:
    contents = [path.read_bytes() for path in sorted((folder / "ct").iterdir())]
    framed = [struct.pack("<Q", len(each)) + each for each in contents]
    found = asyncio.run(solid_from(b"".join(framed)))
    assert found.size == (6, 128, 128)
    with pytest.raises(NotAVolumeError.__base__, match="one DICOM image"):  # type: ignore[arg-type]
        asyncio.run(solid_from(framed[0]))
    with pytest.raises(DecodeError, match="incomplete"):
        asyncio.run(solid_from(framed[0][:-1]))


@pytest.fixture(scope="module")
def ward(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(str(folder), cwd=tmp_path_factory.mktemp("cwd")) as studio:
        yield studio


@pytest.fixture(scope="module")
def page(browser: Any, ward: Served) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(WAIT)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(ward.url)
    tab.goto(ward.origin + "/volumes")
    tab.locator(".volume[data-original][data-privatized]").wait_for()
    yield tab
    context.close()
    assert not wrong


def after_fetch(tab: Any, side: str, change: Any) -> None:
    before = tab.locator(".volume").get_attribute(f"data-{side}")
    change()
    tab.wait_for_function(
        "([side, before]) => document.querySelector('.volume').dataset[side] !== before",
        arg=[side, before],
    )


@pytest.mark.slow
def test_planes_follow_cross_hair_wheel_sliders_and_windows(page: Any) -> None:
    page.locator("#level").wait_for()
    assert page.locator("canvas").count() == 6
    choice = page.get_by_label("Volume of the folder")
    after_fetch(page, "original", lambda: choice.select_option(label="ct (6 slices)"))
    assert "6 slices of 128 × 128 pixels, 16 bit, DICOM" in page.locator(
        ".about"
    ).inner_text().replace("\xa0", " ")
    assert "HU" in page.locator(".volume-said").inner_text()
    # a click in the axial plane moves the others; the wheel leads through slices
    area = page.locator(".volume-image").first.bounding_box()
    place = page.locator("#place-Coronal")
    before = place.input_value()
    x, y = area["x"] + area["width"] * 0.25, area["y"] + area["height"] * 0.75
    after_fetch(page, "original", lambda: page.mouse.click(x, y))
    assert (before, place.input_value()) == ("64", "96")
    assert page.locator("#place-Sagittal").input_value() == "32"
    slices = page.locator("#place-Axial")
    assert slices.input_value() == "3"
    after_fetch(page, "original", lambda: page.mouse.wheel(0, 60))
    assert slices.input_value() == "4"
    after_fetch(page, "original", lambda: page.locator(".volume-plane").first.press("ArrowUp"))
    assert slices.input_value() == "3"
    stored = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    value = (int(stored.pixel_array[96, 32]) + 150) * stored.RescaleSlope + stored.RescaleIntercept
    page.mouse.move(0, 0)
    page.wait_for_function(
        "text => document.querySelector('.volume-said').textContent.startsWith(text)",
        arg=f"slice 4, row 97, column 33: original {value:.0f},",
    )
    # sliders make another reconstruction, and the command says which
    after_fetch(page, "privatized", lambda: page.locator("#patches").press("ArrowLeft"))
    assert "--volumes" in page.get_by_label("Command line", exact=True).inner_text()
    # a window in Hounsfield units changes the gray of the same value
    gray = (
        "() => document.querySelector('canvas').getContext('2d').getImageData(32, 96, 1, 1).data[0]"
    )
    encoded = page.evaluate(gray)
    page.get_by_label("Window", exact=True).select_option(label="Bone")
    page.wait_for_function(f"before => ({gray})() !== before", arg=encoded)
    assert page.evaluate(gray) == round(255 * min(max((value - (480 - 1250)) / 2499, 0), 1))
    # a value of the map is framed in all planes
    page.locator(".map").hover(position={"x": 20, "y": 20})
    page.locator(".volume-image .box").nth(5).wait_for()
    assert "Frequency along slices 1 of" in page.locator(".mosaic-words").inner_text()


@pytest.mark.slow
def test_a_plane_is_enlarged_and_an_upload_is_shown(page: Any, folder: Path) -> None:
    page.get_by_label("Enlarge the coronal plane").click()
    page.wait_for_function("document.querySelectorAll('canvas').length === 2")
    page.get_by_label("Reduce the coronal plane").click()
    sent = sorted((folder / "ct").iterdir())
    after_fetch(page, "original", lambda: page.locator("input[type=file]").set_input_files(sent))
    assert page.locator(".about").inner_text().startswith("6 slices")
    one = page.locator("input[type=file]")
    one.set_input_files(sent[0])
    page.get_by_text("This file cannot be shown").wait_for()
    assert "DOE" not in page.content()


def test_the_example_is_a_head_of_hounsfield_units() -> None:
    found = example_solid()
    values = found.units.of_frame(found.frames, 0)
    assert values.min() == -1000
    assert values.max() > 880
    look = SolidLook(found, SolidSettings(1, 0, 2, 2))
    shown = Image.open(io.BytesIO(look.map_png(0)))
    assert shown.size == (4, 4)
