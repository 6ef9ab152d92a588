"""Mechanisms that transform each record by itself, as transformers.

Mixing, resampling and noise make other records and labels, so they are no transformers: see
`deepfixcx.mechanisms`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx.mechanisms.independent import BandSelection, Quantization
from deepfixcx.mechanisms.projection import IdentitySuppression, TaskProjection
from deepfixcx.mechanisms.protocol import FittedMechanism, Mechanism
from deepfixcx.mechanisms.records import Records
from deepfixcx.sklearn.codec import BaseEstimator, TransformerMixin, validation

__all__ = ["BandSelector", "IdentitySuppressor", "Quantizer", "TaskProjector"]

CodeShape = tuple[int, ...] | None


class _MechanismTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Fits a mechanism on rows of public patients, and brings other rows into its form."""

    mechanism_: FittedMechanism
    code_shape: CodeShape

    @abstractmethod
    def _mechanism(self) -> Mechanism:
        """Return the mechanism of these settings."""

    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> _MechanismTransformer:
        """Fit on rows (n, features) of patients outside the release.

        `y` are labels (n,) or (n, L), NaN where unknown; `groups` names the patient of each row,
        by default one for each row.
        """
        records = self._records(X, reset=True)
        labels = np.zeros((len(records), 0)) if y is None else np.asarray(y, np.float32)
        owners = np.arange(len(records)) if groups is None else groups
        self.mechanism_ = self._mechanism().fit(
            Records.of(records, labels, owners), np.random.default_rng(0)
        )
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return rows (n, features of the release)."""
        validation.check_is_fitted(self)
        made = self.mechanism_.represent(self._records(X, reset=False))
        return made.reshape(len(made), -1)

    @property
    def guarantee_(self) -> str:
        """What holds of every record, and against which attacker."""
        return self.mechanism_.guarantee

    def _records(self, X: ArrayLike, *, reset: bool) -> NDArray[np.float32]:
        rows: Any = validation.validate_data(self, X, dtype=np.float32, reset=reset)
        if self.code_shape is None:
            return np.asarray(rows, np.float32)
        if int(np.prod(self.code_shape)) != rows.shape[1]:
            raise ValueError(
                f"X has {rows.shape[1]} features, which are no codes of code_shape="
                f"{tuple(self.code_shape)}"
            )
        return np.asarray(rows, np.float32).reshape(len(rows), *self.code_shape)


class Quantizer(_MechanismTransformer):
    """Round every number to a power of a ratio, as `deepfixcx.mechanisms.Quantization`.

    Parameters
    ----------
    ratio, least, largest : float
        As in `Quantization`.

    Examples
    --------
    >>> Quantizer(ratio=4.0, least=1 / 64, largest=4.0).fit_transform([[0.0, -0.3], [0.9, 9.0]])
    array([[ 0.  , -0.25],
           [ 1.  ,  4.  ]], dtype=float32)
    """

    code_shape: CodeShape = None

    def __init__(self, ratio: float = 2.0, least: float = 1 / 256, largest: float = 16.0) -> None:
        self.ratio = ratio
        self.least = least
        self.largest = largest

    def _mechanism(self) -> Mechanism:
        return Quantization(self.ratio, self.least, self.largest)


class BandSelector(_MechanismTransformer):
    """Set bands of codes outside a range of frequencies to zero, as `BandSelection`.

    Parameters
    ----------
    code_shape : tuple of int
        (C, 4**J, P, P), of the embeddings of `CodecTransformer`: `CodecSpec.code_shape`.
    lowest, highest : float
        As in `deepfixcx.mechanisms.BandSelection`.

    Examples
    --------
    >>> BandSelector((1, 4, 1, 1), highest=0.0).fit_transform([[1.0, 2.0, 3.0, 4.0]]).tolist()
    [[1.0, 0.0, 0.0, 0.0]]
    """

    def __init__(
        self, code_shape: CodeShape = None, lowest: float = 0.0, highest: float = 1.0
    ) -> None:
        self.code_shape = code_shape
        self.lowest = lowest
        self.highest = highest

    def _mechanism(self) -> Mechanism:
        return BandSelection(self.lowest, self.highest)


class TaskProjector(_MechanismTransformer):
    """Keep the few directions that labels need, as `deepfixcx.mechanisms.TaskProjection`.

    Parameters
    ----------
    directions, components, decoded
        As in `TaskProjection`.
    code_shape : tuple of int, optional
        (C, 4**J, P, P) where rows are embeddings of codes, whose square roots are taken first.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(80, 6))
    >>> TaskProjector().fit(rows, rows[:, 2] > 0).transform(rows).shape
    (80, 1)
    """

    def __init__(
        self,
        directions: int | None = None,
        components: int | None = None,
        decoded: bool = False,
        code_shape: CodeShape = None,
    ) -> None:
        self.directions = directions
        self.components = components
        self.decoded = decoded
        self.code_shape = code_shape

    def _mechanism(self) -> Mechanism:
        return TaskProjection(self.directions, self.components, self.decoded)


class IdentitySuppressor(_MechanismTransformer):
    """Remove directions that distinguish patients, as `deepfixcx.mechanisms.IdentitySuppression`.

    `fit` needs `groups`, the patient of each row, with patients of two rows or more.

    Parameters
    ----------
    directions, components : int
        As in `IdentitySuppression`.
    code_shape : tuple of int, optional
        As in `TaskProjector`.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> patients = np.arange(120) // 2
    >>> rows = generator.normal(size=(60, 9))[patients] + generator.normal(size=(120, 9))
    >>> step = IdentitySuppressor(directions=3, components=9).fit(rows, groups=patients)
    >>> int(np.linalg.matrix_rank(step.transform(rows) - rows.mean(axis=0), tol=1e-2))
    6
    """

    def __init__(
        self, directions: int = 20, components: int = 60, code_shape: CodeShape = None
    ) -> None:
        self.directions = directions
        self.components = components
        self.code_shape = code_shape

    def _mechanism(self) -> Mechanism:
        return IdentitySuppression(self.directions, self.components)
