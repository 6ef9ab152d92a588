"""A trained model with everything that scoring needs, and records of a release to train one on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from deepfixcx.code import Code
from deepfixcx.datasets import Dataset, ImageRecord
from deepfixcx.errors import LabelError, ModelError
from deepfixcx.learn.loading import Loaded, encode_records, load_pixels
from deepfixcx.learn.mapping import Report
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import PartRules
from deepfixcx.measures.code_range import CodeRange
from deepfixcx.mechanisms.files import PublishedMechanism
from deepfixcx.spec import CodecSpec

__all__ = ["Classifier", "Loader", "ReleasedInputs", "Scorer", "loader_of"]


class Scorer(Protocol):
    """What turns inputs into probabilities: a fitted model of any kind."""

    def probabilities(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (N, L) of inputs (N, ...)."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that was learned, by name."""
        ...


class Loader(Protocol):
    """What reads images in the form that a model takes."""

    def __call__(
        self,
        records: Sequence[ImageRecord],
        *,
        workers: int,
        cache: str | None,
        report: Report | None,
    ) -> Loaded:
        """Read the images of records."""
        ...


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained model; made by `train_model` and `load_model`.

    Attributes
    ----------
    options : TrainingOptions
        How it was trained, and with which spec images are encoded.
    label_names : tuple of str, length L
        What it says yes or no to.
    channels : int
        1 for gray, 3 for colour.
    thresholds : tuple of float, length L
        Scores from which on the answer is yes: those with the largest sensitivity + specificity on
        the validation images (0.5 where there was nothing to choose one on).
    rules : PartRules
        How the dataset was divided.
    dataset : str
        `fingerprint` of the dataset.
    facts : mapping
        What came of training, as plain JSON values: counts, the best epoch, versions.
    scorer : Scorer
        The fitted model.
    mechanism : PublishedMechanism or None
        What brings codes into the form of the records that it was trained on, where these are of a
        release by a mechanism.
    range : CodeRange or None
        Within which range its training images lie; None of a model that does not say.
    """

    options: TrainingOptions
    label_names: tuple[str, ...]
    channels: int
    thresholds: tuple[float, ...]
    rules: PartRules
    dataset: str
    facts: Mapping[str, Any]
    scorer: Scorer
    mechanism: PublishedMechanism | None = None
    range: CodeRange | None = None

    def __repr__(self) -> str:
        """Return model, spec and labels in one line."""
        spec = "" if self.options.spec is None else f" {self.options.spec}"
        labels = ", ".join(self.label_names)
        return f"Classifier({self.options.model} on {self.options.on}{spec}: {labels})"

    def load(
        self,
        records: Sequence[ImageRecord],
        *,
        workers: int = 1,
        cache: str | None = None,
        report: Report | None = None,
    ) -> Loaded:
        """Read images in the form that this model takes.

        Parameters
        ----------
        records : sequence of ImageRecord
            The images.
        workers : int
            Processes.
        cache : str, optional
            Folder of codes, as in `encode_records`.
        report : callable, optional
            Receives how many images are done, and of how many.

        Returns
        -------
        Loaded
            Codes, or pixels for a model on original images; and what could not be read.

        Raises
        ------
        ModelError
            A cache for a model on original images, or one that cannot be made.
        """
        channels = cast("Literal[1, 3]", self.channels)
        loader = loader_of(self.options, channels)
        loaded = loader(records, workers=workers, cache=cache, report=report)
        if self.mechanism is None:
            return loaded
        return replace(loaded, array=self.mechanism.represent(loaded.array))

    def scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of yes.

        Parameters
        ----------
        inputs : ndarray of float32
            What `load` returns: codes (N, C, 4**J, P, P), or pixels (N, C, side, side).

        Returns
        -------
        ndarray of float32, shape (N, L)
            From 0 to 1.

        Raises
        ------
        ModelError
            Inputs of another shape.
        """
        if not len(inputs):
            return np.zeros((0, len(self.label_names)), np.float32)
        return self.scorer.probabilities(inputs)

    def outside(self, inputs: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Return which inputs lie outside the range of the training images; None if unknown."""
        return None if self.range is None else self.range.outside(inputs)

    def scores_of_code(self, code: Code) -> NDArray[np.float32]:
        """Return the probability of yes for each image of a code, (B, L).

        Raises
        ------
        ModelError
            The model sees original images, or the code has another spec or other channels.
        """
        spec = self.options.spec
        if spec is None:
            raise ModelError("this model was trained on original images and cannot score codes")
        if code.spec != spec:
            raise ModelError(f"this model takes codes of {spec}, these were made with {code.spec}")
        if code.channels != self.channels:
            raise ModelError(
                f"this model takes codes of {self.channels} channels, these have {code.channels}"
            )
        if self.mechanism is None or not len(code):
            return self.scores(code.array)
        return self.scores(self.mechanism.represent(code.array))

    def attention(self) -> NDArray[np.float32]:
        """Return how strongly a `CodeMLP` uses each number of a code; see `CodeMLP.attention`.

        Returns
        -------
        ndarray of float32, shape (C, 4**J, P, P), or (C, 4**J, P, P, F) for several poolings
            Not negative; only ratios mean something.

        Raises
        ------
        ModelError
            The model is of another kind.
        """
        if self.options.kind != "mlp":
            raise ModelError(f"the model {self.options.model!r} has no attention; train an mlp")
        attention: NDArray[np.float32] = np.abs(self.scorer.arrays()["strength"])
        return attention


def loader_of(options: TrainingOptions, channels: Literal[1, 3] | None) -> Loader:
    """Return what reads images in the form that a model of these options takes."""
    if options.spec is not None:
        return partial(encode_records, spec=options.spec, channels=channels)
    return partial(_load_originals, int(options.number("side")), channels)


def _load_originals(
    side: int,
    channels: Literal[1, 3] | None,
    records: Sequence[ImageRecord],
    *,
    workers: int,
    cache: str | None,
    report: Report | None,
) -> Loaded:
    if cache is not None:
        raise ModelError("a cache keeps codes, and this model takes original images; omit --cache")
    return load_pixels(records, side, channels=channels, workers=workers, report=report)


@dataclass(frozen=True, eq=False, slots=True)
class ReleasedInputs:
    """Records in memory, with the mechanism that brings new images into their form.

    Attributes
    ----------
    dataset : Dataset
        One entry for each record. Records that are equal, as those of one group of mixing are,
        count as of one patient, so that they are never in two parts.
    array : ndarray of float32, shape (M, K) or (M, C, 4**J, P, P)
        The records.
    mechanism : PublishedMechanism or None
        Of the release; None where records are plain codes.
    checksum : str or None
        Of the release.
    codec : CodecSpec or None
        Of plain codes.
    source_ids : tuple of str
        IDs of plain codes.
    """

    dataset: Dataset
    array: NDArray[np.float32]
    mechanism: PublishedMechanism | None
    checksum: str | None = None
    codec: CodecSpec | None = None
    source_ids: tuple[str, ...] = ()

    @property
    def spec(self) -> CodecSpec | None:
        """The codec that the records were made with."""
        return self.codec if self.mechanism is None else self.mechanism.spec

    @classmethod
    def of(
        cls,
        array: NDArray[np.float32],
        labels: NDArray[np.float32],
        mechanism: PublishedMechanism,
        wanted: Sequence[str] | None = None,
    ) -> ReleasedInputs:
        """Join records with their labels.

        Parameters
        ----------
        array : ndarray of float32, shape (M, K) or (M, C, 4**J, P, P)
            The records, as `deepfixcx.release.load_records` returns them.
        labels : ndarray of float32, shape (M, L)
            1, 0, or NaN where unknown, in the order of `PublishedMechanism.label_names`.
        mechanism : PublishedMechanism
            Of the release.
        wanted : sequence of str, optional
            Labels to learn; all by default.

        Raises
        ------
        LabelError
            The release has no such label.

        Examples
        --------
        >>> from deepfixcx.mechanisms import KMixing
        >>> from deepfixcx.spec import CodecSpec
        >>> mechanism = PublishedMechanism(KMixing(2), CodecSpec(1, 1), 1, ("sick",))
        >>> codes = np.zeros((2, 1, 4, 1, 1), np.float32)
        >>> ReleasedInputs.of(codes, np.eye(2, 1, dtype=np.float32), mechanism).dataset
        Dataset('release': 2 images, 1 patient, 1 label)
        """
        names = mechanism.label_names
        chosen = list(names if wanted is None else wanted)
        if unknown := [name for name in chosen if name not in names]:
            raise LabelError(
                f"the release has no label {unknown[0]!r}; it has {', '.join(names) or 'none'}"
            )
        columns = labels[:, [names.index(name) for name in chosen]]
        root = Path("/release")
        records = tuple(
            ImageRecord(
                root / str(place),
                hashlib.sha256(array[place].tobytes()).hexdigest(),
                labels=tuple(row),
                known=tuple(value == value for value in row),
            )
            for place, row in enumerate(columns.tolist())
        )
        return cls(Dataset("release", tuple(chosen), records, root), array, mechanism)

    def check(self, options: TrainingOptions, rules: PartRules) -> None:
        """See that a model can be trained on these records.

        Raises
        ------
        ModelError
            It cannot.
        """
        if self.array.ndim == 2 and options.kind != "logistic":
            raise ModelError(
                f"the records of this release are {self.array.shape[1]} numbers each, which the "
                f"model {options.model!r} does not take; use --model logistic"
            )
        if options.spec != self.spec:
            raise ModelError(
                f"the records of this release were made of codes of {self.spec}; omit --on and "
                f"the codec settings"
            )
        if rules.by_content or rules.split != "patient":
            raise ModelError(
                "a release has no image files and no split of its own; omit --by-content and "
                "--split"
            )

    def load(
        self,
        records: Sequence[ImageRecord],
        *,
        workers: int,
        cache: str | None,
        report: Report | None,
    ) -> Loaded:
        """Return the records that these entries stand for.

        Raises
        ------
        ModelError
            There is a cache, which keeps codes of images.
        """
        del workers
        if cache is not None:
            raise ModelError("a cache keeps codes of images, and these are records; omit --cache")
        if report is not None:
            report(len(records), len(records))
        chosen = self.array[_places(records)]
        return Loaded(chosen, np.arange(len(records)), ())

    def names(self, records: Sequence[ImageRecord]) -> tuple[str, ...]:
        """Return the IDs of plain codes; those of several frames have their place behind."""
        count = Counter(self.source_ids)
        named = [(self.source_ids[place], place) for place in _places(records)]
        return tuple(f"{name}#{place}" if count[name] > 1 else name for name, place in named)


def _places(records: Sequence[ImageRecord]) -> list[int]:
    return [int(record.path.name.partition("-")[0]) for record in records]
