"""Results become figures that explain themselves, and pages that need no other file.

`show_figure` draws one image before and after, and what its code holds; `contact_sheet` draws the
reconstructions of many settings side by side. Only this package imports matplotlib, and never its
global state.

The names below load on first use: a report is written, and a studio served, without matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfixcx.report.drawing import write_figure
    from deepfixcx.report.figures import contact_sheet, gallery, show_figure
    from deepfixcx.report.html import mosaic
    from deepfixcx.report.words import Kept

__all__ = [
    "Kept",
    "contact_sheet",
    "gallery",
    "mosaic",
    "show_figure",
    "write_figure",
]

# no module is called as a name in it: importing it would put the module in the name's place
_HOMES = {
    "Kept": "words",
    "contact_sheet": "figures",
    "gallery": "figures",
    "mosaic": "html",
    "show_figure": "figures",
    "write_figure": "drawing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepfixcx.report' has no attribute {name!r}")
    return getattr(import_module(f"deepfixcx.report.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
