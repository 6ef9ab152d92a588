"""What a code keeps, before any model; and why a model decided, from the code alone.

`explain_bands` says for a spec and an image size what every band answers to, and what is removed,
obscured and preserved; `code_energy` says how much of one image each band holds. `explain_codes`
gives the `Attribution` of a model's answers, `bias` sums it up over many images.

The names load on first use, so that importing this package loads neither torch nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfixcx.explain.attribution import Attribution
    from deepfixcx.explain.bands import BandSummary, Energy, band_energy, code_energy, explain_bands
    from deepfixcx.explain.cohort import bias
    from deepfixcx.explain.deeplift import deep_lift
    from deepfixcx.explain.faithfulness import (
        deletion_insertion,
        label_randomization,
        model_randomization,
    )
    from deepfixcx.explain.gradients import gradient_shap, integrated_gradients
    from deepfixcx.explain.groups import BandGroup, band_groups
    from deepfixcx.explain.methods import explain_codes, occlusion
    from deepfixcx.explain.models import as_explainable
    from deepfixcx.explain.naming import BandName, band_names
    from deepfixcx.explain.removal import Statement, statements
    from deepfixcx.explain.shortcuts import find_shortcuts

_NAMES = {
    "attribution": ("Attribution",),
    "bands": ("BandSummary", "Energy", "band_energy", "code_energy", "explain_bands"),
    "cohort": ("bias",),
    "deeplift": ("deep_lift",),
    "faithfulness": (
        "deletion_insertion",
        "label_randomization",
        "model_randomization",
    ),
    "gradients": ("gradient_shap", "integrated_gradients"),
    "groups": ("BandGroup", "band_groups"),
    "methods": ("explain_codes", "occlusion"),
    "models": ("as_explainable",),
    "naming": ("BandName", "band_names"),
    "removal": ("Statement", "statements"),
    "shortcuts": ("find_shortcuts",),
}

__all__ = [
    "Attribution",
    "BandGroup",
    "BandName",
    "BandSummary",
    "Energy",
    "Statement",
    "as_explainable",
    "band_energy",
    "band_groups",
    "band_names",
    "bias",
    "code_energy",
    "deep_lift",
    "deletion_insertion",
    "explain_bands",
    "explain_codes",
    "find_shortcuts",
    "gradient_shap",
    "integrated_gradients",
    "label_randomization",
    "model_randomization",
    "occlusion",
    "statements",
]


def __getattr__(name: str) -> Any:
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(f"deepfixcx.explain.{module}"), name)
    raise AttributeError(f"module 'deepfixcx.explain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
