"""Results become figures that explain themselves.

`show_figure` draws one image before and after, and what its code holds; `contact_sheet` draws the
reconstructions of many settings side by side. Only this package imports matplotlib, and never its
global state.
"""

from __future__ import annotations

from deepfixcx.report.contact import contact_sheet
from deepfixcx.report.drawing import write_figure
from deepfixcx.report.figures import show_figure
from deepfixcx.report.gallery import gallery
from deepfixcx.report.mosaic import mosaic
from deepfixcx.report.words import Kept

__all__ = [
    "Kept",
    "contact_sheet",
    "gallery",
    "mosaic",
    "show_figure",
    "write_figure",
]
