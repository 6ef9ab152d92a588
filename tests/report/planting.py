"""Plant harmless markup in every text of files, and look for it in what is made of them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from deepfixcx.errors import DeepfixcxError

__all__ = ["Planted", "marker", "plant_csv", "plant_json"]

TAG, ATTRIBUTE = "b", "data-planted"
KEPT = frozenset({"release_checksum", "checksum", "papers", "format", "id"})
"""Texts that are compared with what they must be: other ones are refused elsewhere."""


def marker(number: int) -> str:
    """Return a text that is an element and attributes wherever it is not escaped."""
    tag = f'<{TAG} {ATTRIBUTE}="{number}">x</{TAG}>'
    attributes = f"""' {ATTRIBUTE}='1" {ATTRIBUTE}="1\""""
    return f"</p></title></style></script>{tag}{attributes} &amp; $a$ #{number}"


class Planted(HTMLParser):
    """A page: which markers it shows as text, and that none is an element or an attribute."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(page)
        self.shown = set(re.findall(r"&amp; \$a\$ #(\d+)", "".join(self.texts)))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != TAG
        assert all(ATTRIBUTE not in name for name, _ in attrs)
        self.texts += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def plant_json(path: Path, accepts: Callable[[], object], first: int) -> int:
    """Plant a marker in every text and every name of a JSON file that can be read with it.

    What cannot is refused by an error of this package. Returns the number of the next marker.
    """
    about = json.loads(path.read_text("utf-8"))
    for place in list(_places(about)):
        before = json.dumps(about)
        about = _with(about, place, marker(first))
        path.write_text(json.dumps(about), "utf-8")
        if _accepted(accepts):
            first += 1
        else:
            about = json.loads(before)
    path.write_text(json.dumps(about), "utf-8")
    return first


def plant_csv(path: Path, accepts: Callable[[], object], first: int, about: Path | None) -> int:
    """Plant a marker in every column of the last row of a table, in the same way.

    `about` is a dataset.json that holds the checksum of the table.
    """
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    for row in (rows[-1], rows[0]):
        for name in row:
            before = row[name]
            row[name] = marker(first)
            _write_csv(path, rows, about)
            if _accepted(accepts):
                first += 1
            else:
                row[name] = before
    _write_csv(path, rows, about)
    return first


def _accepted(accepts: Callable[[], object]) -> bool:
    try:
        accepts()
    except DeepfixcxError:
        return False
    return True


def _write_csv(path: Path, rows: list[dict[str, str]], about: Path | None) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), "utf-8")
    if about is not None:
        values = json.loads(about.read_text("utf-8"))
        values["papers"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        about.write_text(json.dumps(values), "utf-8")


Place = tuple[str | int, ...]


def _places(value: Any, place: Place = ()) -> Iterator[tuple[Place, bool]]:
    """Yield where texts stand, and where names stand (True), from the inside out."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in list(entries):
        if name in KEPT:
            continue
        if isinstance(inner, dict | list):
            yield from _places(inner, (*place, name))
        elif isinstance(inner, str):
            yield (*place, name), False
        if isinstance(value, dict):
            yield (*place, name), True


def _with(value: Any, where: tuple[Place, bool], text: str) -> Any:
    """Return a copy with a text put in a place, or a second entry named by it."""
    place, is_name = where
    value = json.loads(json.dumps(value))
    inner = value
    for name in place[:-1]:
        inner = inner[name]
    if is_name:
        inner[text] = inner[place[-1]]
    else:
        inner[place[-1]] = text
    return value
