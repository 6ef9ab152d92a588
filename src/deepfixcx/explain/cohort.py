"""What a model looks at on the whole: places, bands, attention, and shortcuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.code import Code
from deepfixcx.errors import ExplanationError
from deepfixcx.explain.attribution import Attribution
from deepfixcx.explain.methods import explain_codes
from deepfixcx.explain.models import as_explainable
from deepfixcx.explain.shortcuts import Finding, find_shortcuts
from deepfixcx.measures import mean_interval
from deepfixcx.measures.intervals import patient_means

__all__ = ["Bias", "bias"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bias:
    """Where and in which bands a model finds its reasons, over many images; shortcuts of it.

    An interval is (value, low, high), in the unit of the attribution, over patients.
    """

    attribution: Attribution  # of every image
    patients: int | None
    places: Floats | None  # (P, P, 3), mean size of the attribution of each cell
    bands: Floats | None  # (G, 3), of each group of `band_groups`
    attention: NDArray[np.float32] | None  # (C, 4**J, P, P), of a `CodeMLP`
    findings: tuple[Finding, ...]
    detectable: float | None  # see `Search`

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values; intervals are those of `Interval.to_dict`."""
        why = self.attribution
        groups = why.groups
        error = why.completeness_error
        return {
            "label": why.label,
            "method": why.method,
            "unit": why.unit,
            "spec": why.code.spec.to_dict(),
            "images": len(why),
            "patients": self.patients,
            "completeness_error": {
                "median": round(float(np.median(error)), 6),
                "largest": round(float(error.max()), 6),
            },
            "places": None if self.places is None else _intervals(self.places),
            "bands": None
            if self.bands is None
            else {
                str(group): _intervals(each) for group, each in zip(groups, self.bands, strict=True)
            },
            "attention_places": None
            if self.attention is None
            else _rounded(self.attention_places()),
            "attention_bands": None
            if self.attention is None
            else {
                str(group): each
                for group, each in zip(groups, _rounded(self.attention_bands()), strict=True)
            },
            "findings": [finding.to_dict() for finding in self.findings],
            "detectable": None if self.detectable is None else round(self.detectable, 6),
        }

    def attention_places(self) -> Floats:
        """Return the attention of each cell as a share of all, (P, P)."""
        shares: Floats = self._attention().sum(axis=(0, 1))
        return shares

    def attention_bands(self) -> Floats:
        """Return the attention of bands by octave and orientation as a share of all, (G,)."""
        attention = self._attention()
        bands = attention.sum(axis=(0, *range(2, attention.ndim)))
        return np.array([bands[list(group.bands)].sum() for group in self.attribution.groups])

    def _attention(self) -> Floats:
        """Return attention (C, 4**J, P, P) that sums to 1."""
        if self.attention is None:
            raise ExplanationError("this model has no attention; a CodeMLP has")
        attention = self.attention.astype(np.float64)
        several = not isinstance(self.attribution.code.spec.pooling, str)
        attention = attention.sum(axis=-1) if several else attention
        shares: Floats = attention / max(attention.sum(), np.finfo(np.float64).tiny)
        return shares


def bias(
    model: object,
    code: Code,
    *,
    method: str = "integrated-gradients",
    baseline: str | ArrayLike = "mean",
    target: int | str = 0,
    patients: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Bias:
    """Say what a model looks at on the whole, and whether it takes a shortcut.

    Parameters
    ----------
    model : object
        See `as_explainable`.
    code : Code
        Images that the model was not trained on, B of them; two or more.
    method, baseline, target
        As in `explain_codes`.
    patients : array_like, shape (B,), optional
        Whose image it is, for the intervals; each its own if left away.
    labels, groups
        As in `find_shortcuts`.
    seed : int
        As in `find_shortcuts`.

    Returns
    -------
    Bias
        Its findings are those of `find_shortcuts`.

    Raises
    ------
    ExplanationError
        Fewer than two images, or another number of patients, labels or groups than images; or as
        `explain_codes`.

    Notes
    -----
    A shortcut need not lie in a corner, and not everything in a corner is one. Look at the images.

    References
    ----------
    Gaudio et al., DeepFixCX, 2023, doi:10.1002/widm.1495, spatial and edge bias. DeGrave, Janizek
    and Lee, AI for radiographic COVID-19 detection selects shortcuts over signal, Nature Machine
    Intelligence, 2021. Zech et al., PLOS Medicine, 2018, on views and hospitals.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> images = np.random.default_rng(0).random((40, 1, 32, 32), np.float32)
    >>> code = Codec(level=1, patches=4).encode(images)
    >>> def marker(codes):  # a model that reads the upper left corner, and nothing else
    ...     return codes[:, 0, 1, 0, 0]
    >>> found = bias(marker, code, method="occlusion")
    >>> print(found.findings[0].words.partition(" adds")[0])
    upper left, cell row 1, column 1: more vertical edges of 2–4 px
    """
    if len(code) < 2:
        raise ExplanationError(f"a bias needs several images, got {len(code)}")
    explained = as_explainable(model)
    why = explain_codes(explained, code, method=method, baseline=baseline, target=target)
    owners = np.arange(len(code)) if patients is None else np.asarray(patients)
    search = find_shortcuts(
        why, labels=labels, groups=groups, patients=owners, model=explained, seed=seed
    )
    places = bands = None
    if why.resolves != "band":
        cells = why.spatial(absolute=True).reshape(len(code), -1)
        places = _means(cells, owners).reshape(*code.spec.grid_shape, 3)
    if why.resolves != "place":
        bands = _means(why.edge_groups(absolute=True), owners)
    return Bias(
        why,
        None if patients is None else len(np.unique(owners)),
        places,
        bands,
        _attention_of(explained.module),
        search.findings,
        search.detectable,
    )


def _means(values: NDArray[np.float32], owners: NDArray[Any]) -> Floats:
    """Return the mean over patients and its interval of each column of values (N, K), (K, 3)."""
    numbers = np.unique(owners, return_inverse=True)[1]
    of_patients = [patient_means(each, numbers, int(numbers.max()) + 1) for each in values.T]
    found = [mean_interval(each) for each in of_patients]
    return np.array([(each.value, max(each.low, 0.0), each.high) for each in found])


def _attention_of(module: Any) -> NDArray[np.float32] | None:
    """Ask a module how strongly it uses each number; only `CodeMLP` and its like know."""
    if not callable(getattr(module, "attention", None)):
        return None
    attention: NDArray[np.float32] = module.attention().detach().cpu().numpy()
    return attention


def _intervals(values: Floats) -> dict[str, Any]:
    """Return value, low and high, (..., 3), as `Interval.to_dict` does; each is an array here."""
    return {name: _rounded(values[..., part]) for part, name in enumerate(("value", "low", "high"))}


def _rounded(values: NDArray[Any]) -> Any:
    return np.round(values, 6).tolist()
