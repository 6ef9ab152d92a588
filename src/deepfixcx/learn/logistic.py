"""The smallest useful classifier on codes: whitened principal components, then logistic regression.

How the numbers are prepared was chosen by patient-disjoint cross-validation on X-rays (pneumonia
and effusion, adults; pneumonia, children) and fundus photographs. Square roots and logarithms of
codes do about equally well and better than the codes as they are; the square root needs no
constant. Scaling each number before the components were computed helped too, because bands differ
in size by orders of magnitude. The strength of the penalty hardly mattered; the number of
components did, and about one for twelve images was best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfixcx._optional import require
from deepfixcx.errors import LabelError, ModelError, ModelFileError
from deepfixcx.measures.code_range import signed_root
from deepfixcx.measures.solvers import logistic_regression

__all__ = ["LogisticCodes"]

Array = NDArray[Any]

IMAGES_A_COMPONENT = 12
MOST_COMPONENTS = 256
PENALTY = 10.0


@dataclass(frozen=True, eq=False)
class LogisticCodes:
    """Logistic regression on the whitened principal components of embeddings, for each label.

    It is made by `fit`, and is nothing but arrays, so that it can be stored without pickle.

    Attributes
    ----------
    rooted : bool
        Whether square roots (with the sign kept) were taken first.
    mean, projection : ndarray of float32, shapes (n,) and (n, K)
        ``(embedding - mean) @ projection`` are the K whitened components.
    weights, bias : ndarray of float32, shapes (K, L) and (L,)
        Of the logistic regression, a column for each label.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> embeddings = generator.random((200, 10), np.float32)
    >>> labels = embeddings[:, 4] > 0.5
    >>> model = LogisticCodes.fit(embeddings, labels, components=10)
    >>> called = model.predict_proba(embeddings)[:, 0] > 0.5
    >>> bool((called == labels).mean() > 0.9)
    True
    """

    rooted: bool
    mean: NDArray[np.float32]
    projection: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        rooted: bool = True,
        components: int | None = None,
        penalty: float = PENALTY,
        seed: int = 0,
    ) -> LogisticCodes:
        """Learn from embeddings.

        Parameters
        ----------
        embeddings : array_like, shape (N, ...)
            Codes, `Code.embedding`, or small images; flattened here.
        labels : array_like, shape (N,) or (N, L)
            1, 0, or NaN where unknown. Components are learned from all images, and each label's
            regression from those where it is known.
        rooted : bool
            Take square roots first. Good for codes, whose numbers span orders of magnitude; not
            for pixels.
        components : int, optional
            K; by default one for 12 images, and at most 256.
        penalty : float
            Of the squared weights; larger gives smaller weights. Positive.
        seed : int
            Of the randomized decomposition that is used for many numbers.

        Returns
        -------
        LogisticCodes
            A label with known positives only, or negatives only, gets constant scores.

        Raises
        ------
        LabelError
            No images, or labels of another length or with other values.
        MissingExtraError
            scikit-learn is not installed.
        """
        values = _flat(embeddings, rooted)
        truth = np.asarray(labels, np.float64)
        truth = truth[:, None] if truth.ndim == 1 else truth
        if truth.ndim != 2 or len(truth) != len(values) or len(values) < 2:
            raise LabelError(
                f"a classifier needs two or more images and as many labels, got {len(values)} "
                f"images and labels of shape {np.shape(labels)}"
            )
        if not np.isin(truth[~np.isnan(truth)], (0, 1)).all():
            raise LabelError("labels must be 1, 0, or NaN if unknown; other numbers were found")
        most = min(len(values) - 1, values.shape[1])
        chosen = components or min(MOST_COMPONENTS, max(1, len(values) // IMAGES_A_COMPONENT))
        whitening = _whitening(min(chosen, most), seed).fit(values)
        scaler, decomposition = (step for _, step in whitening.steps)
        whitened = whitening.transform(values)
        scale = np.sqrt(np.maximum(decomposition.explained_variance_, np.finfo(np.float32).tiny))
        projection = (decomposition.components_ / scale[:, None]).T / scaler.scale_[:, None]
        mean = scaler.mean_ + decomposition.mean_ * scaler.scale_
        fitted = [_regression(whitened, column, penalty) for column in truth.T]
        return cls(
            rooted,
            mean.astype(np.float32),
            projection.astype(np.float32),
            np.stack([weights for weights, _ in fitted], axis=1).astype(np.float32),
            np.array([bias for _, bias in fitted], np.float32),
        )

    def decision(self, embeddings: ArrayLike) -> NDArray[np.float32]:
        """Return log odds, shape (N, L).

        Raises
        ------
        ModelError
            Embeddings of another length than those learned from.
        """
        values = _flat(embeddings, self.rooted)
        if values.shape[1] != len(self.mean):
            raise ModelError(
                f"this model was made for embeddings of {len(self.mean)} numbers, got "
                f"{values.shape[1]}; encode with the spec and channels of the training"
            )
        odds: NDArray[np.float32] = (values - self.mean) @ (self.projection @ self.weights)
        odds += self.bias
        return odds

    def predict_proba(self, embeddings: ArrayLike) -> NDArray[np.float32]:
        """Return the probability of yes, shape (N, L).

        Raises
        ------
        ModelError
            As `decision`.
        """
        odds = self.decision(embeddings)
        return np.asarray((1 + np.tanh(odds / 2)) / 2, np.float32)

    def to_arrays(self) -> dict[str, Array]:
        """Return everything as arrays, for safetensors."""
        return {
            "rooted": np.array([self.rooted]),
            "mean": self.mean,
            "projection": self.projection,
            "weights": self.weights,
            "bias": self.bias,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> LogisticCodes:
        """Make the model again that `to_arrays` took apart.

        Raises
        ------
        ModelFileError
            An array is missing, or their shapes do not fit together.
        """
        try:
            parts = [np.asarray(arrays[name], np.float32) for name in _ARRAYS]
            rooted = bool(np.asarray(arrays["rooted"]).item())
        except (KeyError, ValueError, TypeError):
            raise ModelFileError(
                "this is not a logistic model; save it again with to_arrays"
            ) from None
        mean, projection, weights, bias = parts
        fits = projection.ndim == weights.ndim == 2 and mean.shape == projection.shape[:1]
        fits = (
            fits and projection.shape[1:] == weights.shape[:1] and bias.shape == weights.shape[1:]
        )
        if not fits:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise ModelFileError(f"the arrays of this logistic model do not fit together: {shapes}")
        return cls(rooted, mean, projection, weights, bias)


_ARRAYS = ("mean", "projection", "weights", "bias")


def _flat(embeddings: ArrayLike, rooted: bool) -> NDArray[np.float32]:
    values = np.asarray(embeddings, np.float32)
    values = values.reshape(len(values), -1 if values.size else 0)
    return signed_root(values) if rooted else values


def _whitening(components: int, seed: int) -> Any:
    decomposition = require("sklearn.decomposition", extra="learn")
    pipeline = require("sklearn.pipeline", extra="learn")
    preprocessing = require("sklearn.preprocessing", extra="learn")
    return pipeline.make_pipeline(
        preprocessing.StandardScaler(),
        decomposition.PCA(components, whiten=True, random_state=seed),
    )


def _regression(
    whitened: NDArray[np.float32], truth: NDArray[np.float64], penalty: float
) -> tuple[NDArray[np.float32], float]:
    """Return weights and bias of one label."""
    known = ~np.isnan(truth)
    kinds = np.unique(truth[known])
    if len(kinds) < 2:
        return np.zeros(whitened.shape[1], np.float32), 0.0
    weights, bias = logistic_regression(whitened[known], truth[known], penalty)
    return weights.astype(np.float32), bias
