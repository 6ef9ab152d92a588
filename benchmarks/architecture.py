"""Draw who imports whom: the map on the page of the architecture, from the imports themselves.

``python -m benchmarks.architecture`` writes docs/images/architecture.svg. A test draws it again and
fails where the two differ, so the page cannot say what the code does not.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
PACKAGE = "deepfixcx"

CELL = 22
LEFT, TOP = 118, 104
MARGIN = 14
FLOORS = ("#e3f1ef", "#f6faf9")
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#17302d}"
    ".foot{font-size:12px;fill:#4a625f}"
    "circle{fill:#00796b}line{stroke:#9db8b4}"
)


def floors() -> list[list[str]]:
    """Return the rooms of the house, floor by floor from the top, as import-linter holds them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[room.strip() for room in layer.split("|")] for layer in layers]


def room_of(module: str) -> str:
    """Return the room a module lies in: the first name below the package."""
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


@lru_cache(maxsize=1)
def imports() -> frozenset[tuple[str, str]]:
    """Return every pair of rooms of which the first imports the second somewhere.

    The front door and ``__main__`` are left out: they only point further in.
    """
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    doors = {PACKAGE, f"{PACKAGE}.__main__"}
    return frozenset(
        (room_of(importer), room_of(imported))
        for importer in graph.modules - doors
        for imported in graph.find_modules_directly_imported_by(importer) - doors
        if room_of(importer) != room_of(imported)
    )


def _shapes(rooms: list[str], pairs: frozenset[tuple[str, str]]) -> Iterator[str]:
    """Yield the floors as bands, the names on both axes, and a dot for every pair."""
    side = CELL * len(rooms)
    first = 0
    for number, floor in enumerate(floors()):
        height = CELL * len(floor)
        yield (
            f'<rect x="{MARGIN}" y="{TOP + CELL * first}" width="{LEFT - MARGIN + side}" '
            f'height="{height}" fill="{FLOORS[number % 2]}"/>'
        )
        first += len(floor)
    yield f'<line x1="{LEFT}" y1="{TOP}" x2="{LEFT + side}" y2="{TOP + side}"/>'
    for place, room in enumerate(rooms):
        middle = CELL * place + CELL // 2
        yield f'<text x="{LEFT - 8}" y="{TOP + middle + 4}" text-anchor="end">{room}</text>'
        yield (
            f'<text transform="translate({LEFT + middle + 4} {TOP - 8}) rotate(-60)">{room}</text>'
        )
    for importer, imported in sorted(pairs):
        across, down = rooms.index(imported), rooms.index(importer)
        yield (
            f'<circle cx="{LEFT + CELL * across + CELL // 2}" cy="{TOP + CELL * down + CELL // 2}" '
            f'r="5"><title>{importer} imports {imported}</title></circle>'
        )


def draw() -> str:
    """Return the map as SVG: a dot where the room of the row imports the room of the column."""
    rooms = [room for floor in floors() for room in floor]
    side = CELL * len(rooms)
    width, height = LEFT + side + 60, TOP + side + 34
    foot = "A dot: the room on the left imports the room above. All dots lie right of the line."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-label="Who imports whom">',
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
            *_shapes(rooms, imports()),
            f'<text class="foot" x="{MARGIN}" y="{TOP + side + 22}">{foot}</text>',
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)}: {len(imports())} pairs of rooms")
