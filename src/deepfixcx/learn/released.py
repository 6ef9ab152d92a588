"""Records of a release by a mechanism, as something to train on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfixcx.datasets import Dataset, ImageRecord
from deepfixcx.errors import LabelError, ModelError
from deepfixcx.learn.loading import Loaded
from deepfixcx.learn.mapping import Report
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import PartRules
from deepfixcx.mechanisms.files import PublishedMechanism

__all__ = ["ReleasedInputs"]


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
    mechanism : PublishedMechanism
        Of the release.
    checksum : str or None
        Of the release.
    """

    dataset: Dataset
    array: NDArray[np.float32]
    mechanism: PublishedMechanism
    checksum: str | None = None

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
            Labels to learn; all if left away.

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
                f"model {options.model!r} does not take; say --model logistic"
            )
        if options.spec != self.mechanism.spec:
            raise ModelError(
                f"the records of this release were made of codes of {self.mechanism.spec}; leave "
                f"--on and the settings of the codec away"
            )
        if rules.by_content or rules.split != "patient":
            raise ModelError(
                "a release has neither files of images nor a split of its own; leave --by-content "
                "and --split away"
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
            raise ModelError("a cache keeps codes of images, and these are records; leave it away")
        if report is not None:
            report(len(records), len(records))
        chosen = self.array[[int(record.path.name) for record in records]]
        return Loaded(chosen, np.arange(len(records)), ())
