"""The page of the architecture is true: its map, its list of rooms, and every name it gives."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import concepts
from benchmarks.architecture import PICTURE, draw, floors, imports
from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "deepfixcx"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
FLOOR_OF = {room: number for number, floor in enumerate(floors()) for room in floor}
PAGES = sorted((ROOT / "docs").glob("*.md"))
NAME = re.compile(r"`(deepfixcx(?:\.\w+)+)`")


def rooms_on_the_page() -> list[str]:
    """Return the rooms of the list, from the top."""
    (listed,) = re.findall(r"^src/deepfixcx/\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^  (\w+)(?:/|\.py) ", listed, re.MULTILINE)


def rooms_that_are_there() -> set[str]:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    return modules | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_every_room_is_on_the_list_and_no_other() -> None:
    listed = rooms_on_the_page()
    assert len(listed) == len(set(listed))
    assert set(listed) == rooms_that_are_there()


def test_the_list_goes_down_floor_by_floor() -> None:
    numbers = [FLOOR_OF[room] for room in rooms_on_the_page()]
    assert numbers == sorted(numbers)


def test_the_map_is_that_of_the_imports() -> None:
    """If this fails: python -m benchmarks.architecture, and read what changed."""
    assert PICTURE.read_text("utf-8") == draw()


def test_no_import_goes_up_or_sideways() -> None:
    assert len(imports()) > 100
    assert not [pair for pair in imports() if FLOOR_OF[pair[0]] >= FLOOR_OF[pair[1]]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_on_the_page_exists(page: Path) -> None:
    for name in NAME.findall(page.read_text("utf-8")):
        assert exists(name), f"{page.name} speaks of {name}"


def test_every_picture_of_the_concepts_can_be_drawn_again() -> None:
    """If this fails: python -m benchmarks.concepts."""
    page = (ROOT / "docs" / "concepts.md").read_text("utf-8")
    drawn = concepts.draw()
    assert {path.name for path in concepts.FOLDER.iterdir()} == set(drawn)
    for name, figure in drawn.items():
        assert f"(images/concepts/{name})" in page
        with Image.open(concepts.FOLDER / name) as picture:
            assert picture.size == (round(100 * figure.width), round(100 * figure.height))


def test_every_picture_is_shown_somewhere() -> None:
    texts = [path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")]
    texts.append((ROOT / "README.md").read_text("utf-8"))
    shown = {name for text in texts for name in re.findall(r"images/([\w/.-]+)\)", text)}
    folder = ROOT / "docs" / "images"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == shown


def exists(name: str) -> bool:
    """Say whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_names_that_do_not_exist_are_found() -> None:
    assert exists("deepfixcx.codec.Codec.encode")
    assert not exists("deepfixcx.codec.Codec.compress")
    assert not exists("deepfixcx.codecs")
