"""Every method by name, with a baseline by name."""

from __future__ import annotations

from typing import Literal, get_args

from numpy.typing import ArrayLike

from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.baselines import baseline_codes
from deepfixcx.explain.models import as_explainable
from deepfixcx.explain.occlusion import Parts, occlusion

__all__ = ["METHODS", "MethodName", "explain_codes"]

MethodName = Literal[
    "integrated-gradients",
    "deeplift",
    "gradient-shap",
    "occlusion",
    "occlusion-by-cell",
    "occlusion-by-band",
]

METHODS: tuple[MethodName, ...] = get_args(MethodName)

_PARTS: dict[str, Parts] = {
    "occlusion": "number",
    "occlusion-by-cell": "cell",
    "occlusion-by-band": "band",
}


def explain_codes(
    model: object,
    code: Code,
    *,
    method: str = "integrated-gradients",
    baseline: str | ArrayLike = "mean",
    target: int | str = 0,
    reference: Code | None = None,
) -> Attribution:
    """Explain a model's answers on codes.

    Parameters
    ----------
    model : object
        See `as_explainable`.
    code : Code
        What is explained, B images.
    method : str
        ``"integrated-gradients"``, ``"deeplift"`` or ``"gradient-shap"`` for models with
        gradients; ``"occlusion"``, ``"occlusion-by-cell"`` or ``"occlusion-by-band"`` for any.
    baseline : str or array_like
        ``"mean"``, ``"details"`` or ``"zeros"``, see `baseline_codes`; or codes of your own.
    target : int or str
        Which output of the model, by number or by name.
    reference : Code, optional
        Images that the mean is taken of, and that gradient SHAP draws from; `code` if left away.

    Returns
    -------
    Attribution
        Of every image.

    Raises
    ------
    ExplanationError
        Unknown method or baseline; the model has no gradients where they are needed, or no such
        output; or gradient SHAP was given another baseline than ``"mean"``.

    Examples
    --------
    >>> import numpy as np
    >>> from deepfixcx import Codec
    >>> code = Codec(level=1, patches=2).encode(np.random.default_rng(0).random((5, 1, 8, 8)))
    >>> def brightness(codes):
    ...     return codes[:, 0, 0].mean(axis=(1, 2))
    >>> why = explain_codes(brightness, code, method="occlusion")
    >>> why.edges(absolute=True).argmax(axis=1).tolist()
    [0, 0, 0, 0, 0]
    """
    if method not in METHODS:
        raise ExplanationError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    explained = as_explainable(model)
    explained.check(code)
    if method == "gradient-shap":
        if not isinstance(baseline, str) or baseline != "mean":
            raise ExplanationError(
                "gradient SHAP draws its baselines from images; leave the baseline away"
            )
        from deepfixcx.explain.gradients import gradient_shap

        return gradient_shap(explained, code, code if reference is None else reference, target)
    start = (
        baseline_codes(baseline, code, explained, reference)
        if isinstance(baseline, str)
        else baseline
    )
    if method in _PARTS:
        return occlusion(explained, code, start, target, by=_PARTS[method])
    if method == "deeplift":
        from deepfixcx.explain.deeplift import deep_lift

        return deep_lift(explained, code, start, target)
    from deepfixcx.explain.gradients import integrated_gradients

    return integrated_gradients(explained, code, start, target)
