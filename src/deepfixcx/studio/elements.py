"""The elements that pages are made of: plain HTML with labels, and four components of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepfixcx._optional import require

require("nicegui", extra="studio")

from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

__all__ = [
    "STATIC",
    "Dial",
    "Drop",
    "Mosaic",
    "Viewer",
    "block",
    "button",
    "choice",
    "heading",
    "markup",
    "put",
    "segments",
    "words",
]

STATIC = Path(__file__).parent / "static"

Handler = Callable[[Any], Any]


class Dial(Element, component=STATIC / "dial.js"):
    """A slider over given steps whose upper part may be out of reach."""


class Drop(Element, component=STATIC / "drop.js"):
    """A field for a file."""


class Mosaic(Element, component=STATIC / "mosaic.js"):
    """A code as a picture in which every number can be asked for its place."""


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
    """Set attributes of an element in one go; None removes one."""
    for name, value in attributes.items():
        key = name.rstrip("_").replace("_", "-")
        if value is None:
            element.props.pop(key, None)
        elif element.props.get(key) != value:
            element.props[key] = value


def words(text: str, tag: str = "p", classes: str = "", **attributes: object) -> TextElement:
    """Make an element that holds text alone."""
    element = TextElement(tag=tag, text=text)
    element.classes(classes)
    put(element, **attributes)
    return element


def heading(text: str, rank: int = 2) -> TextElement:
    """Make a heading."""
    return words(text, f"h{rank}")


def markup(content: str, classes: str = "") -> Element:
    """Show markup of this package, such as a figure; what is in it was escaped already."""
    element = _Markup()
    element.classes(classes)
    put(element, content=content)
    return element


def button(text: str, on_click: Handler, classes: str = "", **attributes: object) -> TextElement:
    """Make a button."""
    element = words(text, "button", f"button {classes}", type_="button", **attributes)
    element.on("click", on_click, args=[])
    return element


def choice(
    label: str,
    options: Mapping[str, Sequence[tuple[str, str]]],
    value: str,
    on_choice: Handler,
    *,
    name: str,
) -> Element:
    """Make a labelled list of which one entry is chosen.

    Parameters
    ----------
    label : str
        What is chosen.
    options : mapping
        Pairs of a value and its words, by the name of their group; one group of no name stands
        alone.
    value : str
        What is chosen at first.
    on_choice : callable
        Called with the value.
    name : str
        Of the element; unique on the page.
    """
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
    """Make a row of which one is chosen: radio buttons that look like one control.

    Parameters
    ----------
    label : str
        What is chosen.
    options : sequence of (value, words, explanation)
        The choices.
    value : str
        What is chosen at first.
    on_choice : callable
        Called with the value.
    name : str
        Of the group; unique on the page.

    Returns
    -------
    dict of str to Element
        The radio button of each value.
    """
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
