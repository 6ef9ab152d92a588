"""The elements of pages: plain HTML with labels, eight components of our own, and a base class."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

from deepfixcx.report.html import NO_BREAK, UNIT
from deepfixcx.studio.exploring import example, example_names
from deepfixcx.studio.releases import Found, Library
from deepfixcx.studio.uploads import MOST_BYTES, Picture
from deepfixcx.studio.workspace import Workspace

__all__ = [
    "STATIC",
    "LibraryPage",
    "Mosaic",
    "Planes",
    "Reasons",
    "Row",
    "alert",
    "block",
    "button",
    "card",
    "choice",
    "copyable",
    "dial",
    "drop",
    "finder",
    "heading",
    "markup",
    "note",
    "put",
    "remember",
    "say",
    "segments",
    "some_picture",
    "terms",
    "viewer",
    "words",
]


STATIC = Path(__file__).parent / "static"

Handler = Callable[[Any], Any]


class Dial(Element, component=STATIC / "dial.js"):
    """A slider over given steps whose upper part may be out of reach."""


class Drop(Element, component=STATIC / "drop.js"):
    """A field for a file."""


class Mosaic(Element, component=STATIC / "mosaic.js"):
    """A code as a picture in which every value can be pointed at."""


class Planes(Element, component=STATIC / "volume.js"):
    """Three planes of a volume, before and after, with one cross-hair."""


class Reasons(Element, component=STATIC / "reasons.js"):
    """Reasons of a model by cell, by band and in words, each marked where another is pointed at."""


class Row(Element, component=STATIC / "strip.js"):
    """A row of small pictures of which one is chosen."""


class Viewer(Element, component=STATIC / "viewer.js"):
    """Two images on one stage with a divider between them."""


class _Markup(Element, component=STATIC / "markup.js"):
    """Markup that was made, and escaped, by this package."""


def block(tag: str = "div", classes: str = "", **attributes: object) -> Element:
    """Make an element to put others into; underscores in names of attributes become hyphens."""
    element = Element(tag).classes(classes)
    put(element, **attributes)
    return element


def put(element: Element, **attributes: object) -> None:
    """Set attributes of an element; None removes one."""
    for name, value in attributes.items():
        key = name.rstrip("_").replace("_", "-")
        if value is None:
            element.props.pop(key, None)
        elif element.props.get(key) != value:
            element.props[key] = value


def words(text: str, tag: str = "p", classes: str = "", **attributes: object) -> TextElement:
    """Make an element that holds only text."""
    element = TextElement(tag=tag, text=text if tag == "pre" else spaced(text))
    element.classes(classes)
    put(element, **attributes)
    return element


def spaced(text: str) -> str:
    """Return text in which a number and its unit stay in one line."""
    return UNIT.sub(NO_BREAK, text)


def say(element: TextElement, text: str) -> None:
    """Put another text into an element."""
    element.set_text(spaced(text))


def heading(text: str, rank: int = 2) -> TextElement:
    """Make a heading."""
    return words(text, f"h{rank}")


def markup(content: str, classes: str = "") -> Element:
    """Show markup of this package, such as a figure, in which text is escaped already."""
    element = _Markup()
    element.classes(classes)
    put(element, content=content)
    return element


def button(text: str, on_click: Handler, classes: str = "", **attributes: object) -> TextElement:
    """Make a button."""
    element = words(text, "button", f"button {classes}", type_="button", **attributes)
    element.on("click", on_click, args=[])
    return element


def note(text: str) -> TextElement:
    """Make a remark in small letters."""
    return words(text, "p", "note")


def alert() -> TextElement:
    """Make an empty place for an error message."""
    return words("", "p", "message bad", role="alert")


def card(title: str, classes: str = "", label: str = "") -> Element:
    """Make a framed part of a page with a heading; with a label it is a section."""
    tag = "section" if label else "div"
    element = block(tag, f"card {classes}".strip(), aria_label=label or None)
    with element:
        heading(title)
    return element


def copyable(label: str) -> TextElement:
    """Make an empty text below its label and a button that copies it."""
    with block("div", "copy"):
        with block("div", "copy-head"):
            words(label, "h3")
            copy = words("Copy", "button", "quiet", type_="button", aria_label=f"Copy {label}")
        text = words("", "pre", tabindex="0", aria_label=label)
    copy.on(
        "click",
        js_handler=f"""async (event) => {{
            const button = event.currentTarget;
            await navigator.clipboard.writeText(getHtmlElement({text.id}).textContent);
            button.textContent = 'Copied';
            setTimeout(() => (button.textContent = 'Copy'), 1500);
        }}""",
    )
    return text


def terms(rows: Sequence[tuple[str, str]]) -> list[TextElement]:
    """Make a list of terms with their texts; return the elements of the texts."""
    made = []
    with block("dl", "figures"):
        for term, text in rows:
            with block("div"):
                words(term, "dt")
                made.append(words(text, "dd"))
    return made


def dial(
    label: str, name: str, steps: Sequence[int], value: int, on_set: Handler, **attributes: object
) -> Element:
    """Make a slider over steps; `on_set` is called with the one that is chosen."""
    element = Dial()
    put(element, label=label, name=name, steps=list(steps), value=value, limit=steps[-1])
    put(element, hint="", reason="", **attributes)
    element.on("set", lambda event: on_set(int(event.args)))
    return element


def viewer(left: str = "original", right: str = "privatized", **attributes: object) -> Element:
    """Make a viewer of two images, with their names."""
    element = Viewer()
    put(element, left=left, right=right, **attributes)
    return element


def drop(tab: Workspace, on_took: Callable[[], Any], *, solid: bool = False) -> Element:
    """Make a field for an image or a volume; `on_took` is called when the tab has it."""
    element = Drop()
    put(
        element,
        url=f"/upload/{tab.key}" + "?volume=1" * solid,
        most=MOST_BYTES,
        subject=tab.subject,
        solid=solid,
    )
    element.on("took", lambda: on_took())
    return element


def choice(
    label: str,
    options: Mapping[str, Sequence[tuple[str, str]]],
    value: str,
    on_choice: Handler,
    *,
    name: str,
) -> Element:
    """Make a labelled list with one chosen entry; `on_choice` is called with its value."""
    with block("div", "field"):
        words(label, "label", for_=name)
        field = block("select", "select", id_=None, value=value, aria_label=label)
        field.props["name"] = name
        with field:
            for group, pairs in options.items():
                if group:
                    with block("optgroup", label=group):
                        _options(pairs)
                else:
                    _options(pairs)

    def chosen(event: GenericEventArguments) -> Any:
        put(field, value=event.args)
        return on_choice(event.args)

    field.on("change", chosen, js_handler="(event) => emit(event.target.value)")
    return field


def _options(pairs: Sequence[tuple[str, str]]) -> None:
    for value, text in pairs:
        words(text, "option", value=value)


def segments(
    label: str,
    options: Sequence[tuple[str, str, str]],
    value: str,
    on_choice: Handler,
    *,
    name: str,
) -> dict[str, Element]:
    """Make radio buttons that look like one control; return the button of each value."""
    radios: dict[str, Element] = {}
    with block("fieldset", "segments"):
        words(label, "legend")
        with block("div", "segments-row"):
            for each, text, explanation in options:
                with block("label", "segment", title=explanation):
                    radio = block("input", type_="radio", value=each)
                    put(radio, name=name, checked=each == value or None)
                    words(text, "span")
                radios[each] = radio
                radio.on(
                    "change",
                    lambda event: on_choice(event.args),
                    js_handler="(event) => emit(event.target.value)",
                )
    return radios


class LibraryPage:
    """A page of a tab about things in the folder of the studio."""

    def __init__(self, tab: Workspace, library: Library) -> None:
        self.tab = tab
        self.library = library
        self.found: list[Found] = []

    def asked_for(self, name: str) -> int:
        """Return the number of the thing that the address names; the first that is finished."""
        text = self.tab.query.get(name, "")
        if text.isascii() and text.isdigit() and int(text[:5]) < len(self.found):
            return int(text[:5])
        ready = (place for place, each in enumerate(self.found) if each.finished)
        return next(ready, 0)

    def named(self) -> list[tuple[str, str]]:
        """Return the entries of a list of what was found."""
        return [
            (str(place), each.name + ("" if each.finished else " (unfinished)"))
            for place, each in enumerate(self.found)
        ]


def finder(label: str, names: Sequence[str], on_choice: Handler, *, name: str) -> Element:
    """Make a labelled field in which a name of many is typed and completed."""
    with block("div", "field"):
        words(label, "label", for_=name)
        field = block("input", "select", type_="search", list=f"{name}-names", id_=name)
        put(field, placeholder=f"Search {len(names):,} images", name=name)
        with block("datalist", id_=f"{name}-names"):
            _options([(each, "") for each in names])
    field.on(
        "change", lambda event: on_choice(event.args), js_handler="(e) => emit(e.target.value)"
    )
    return field


async def some_picture(tab: Workspace) -> Picture:
    """Return the image of a tab; the first example, where the user gave none."""
    if tab.picture is None:
        name = example_names()[0]
        picture = await asyncio.to_thread(example, name)
        tab.take(picture, name)
        return picture
    return tab.picture


REMEMBER = """((path, address, tries) => {
    const replace = () => {
        if (location.pathname === path) history.replaceState({page: address}, '', address);
        else if (tries-- > 0) setTimeout(replace, 100);
    };
    replace();
})(%s, %s, 20)"""
"""Puts an address in place of that of its own page, which the browser may not show yet; the
framework goes back to the page of the state, not to the address."""


def remember(path: str, **state: object) -> None:
    """Write a state into the address of the page, so that a bookmark restores it."""
    query = urlencode({name: value for name, value in state.items() if value not in ("", None)})
    address = f"{path}?{query}" if query else path
    ui.run_javascript(REMEMBER % (json.dumps(path), json.dumps(address)))
