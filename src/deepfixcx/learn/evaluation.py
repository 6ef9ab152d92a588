"""How well a model does on images that it was not trained on, with intervals over patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepfixcx._words import counted
from deepfixcx.choices import Part
from deepfixcx.datasets import Dataset
from deepfixcx.datasets.dataset import find_duplicates
from deepfixcx.errors import LabelError, ModelError, SplitError
from deepfixcx.learn.classifier import Classifier, ReleasedInputs
from deepfixcx.learn.mapping import Failure, Report
from deepfixcx.learn.parts import (
    content_fingerprint,
    fingerprint,
    group_names,
    images_fingerprint,
    place_of,
    places_in_part,
    release_of,
)
from deepfixcx.learn.scores import Scored
from deepfixcx.measures import (
    Confusion,
    Interval,
    Reliability,
    auc_interval,
    average_precision_interval,
    calibration_interval,
    confusion_at,
    rate_interval,
    reliability_curve,
)

__all__ = ["Evaluation", "LabelEvaluation", "evaluate_model"]

Known = Literal["same", "relabelled", "unknown", "other"]
"""How a dataset compares with that of training."""


@dataclass(frozen=True, eq=False, slots=True)
class LabelEvaluation:
    """Performance on one label, with 95 % intervals over patients.

    Attributes
    ----------
    name : str
        The label.
    yes, no : int
        Images with a known label.
    auc : Interval
        Area under the ROC curve.
    auc_within : Interval or None
        The same, comparing only images of one group (such as one view), so that a model which
        distinguishes the groups gains nothing; None where all images are of one group.
    auc_of_group : dict of str to Interval
        The area in each group.
    average_precision : Interval
        Area under the precision-recall curve.
    calibration_error : Interval
        Expected calibration error of the scores taken as probabilities, without its bias; as
        `calibration_interval`.
    reliability : Reliability
        Scores and shares of yes, bin by bin.
    threshold : float
        The one chosen on the validation images.
    confusion : Confusion
        Answers at the threshold.
    sensitivity, specificity : Interval
        At the threshold; as `rate_interval`.
    """

    name: str
    yes: int
    no: int
    auc: Interval
    auc_within: Interval | None
    auc_of_group: dict[str, Interval]
    average_precision: Interval
    calibration_error: Interval
    reliability: Reliability
    threshold: float
    confusion: Confusion
    sensitivity: Interval
    specificity: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values; intervals are those of `Interval.to_dict`."""
        groups = {name: each.to_dict(6) for name, each in self.auc_of_group.items()}
        curve = self.reliability
        return {
            "label": self.name,
            "yes": self.yes,
            "no": self.no,
            "auc": self.auc.to_dict(6),
            "auc_within": None if self.auc_within is None else self.auc_within.to_dict(6),
            "auc_of_group": groups,
            "average_precision": self.average_precision.to_dict(6),
            "calibration_error": self.calibration_error.to_dict(6),
            "reliability": {
                "predicted": [round(each, 6) for each in curve.predicted.tolist()],
                "observed": [round(each, 6) for each in curve.observed.tolist()],
                "counts": curve.counts.tolist(),
            },
            "threshold": self.threshold,
            "true_positives": self.confusion.true_positives,
            "false_positives": self.confusion.false_positives,
            "true_negatives": self.confusion.true_negatives,
            "false_negatives": self.confusion.false_negatives,
            "sensitivity": self.sensitivity.to_dict(6),
            "specificity": self.specificity.to_dict(6),
        }


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """What came of `evaluate_model`.

    Attributes
    ----------
    part : str
        Which images: ``"test"``, ``"all"``, ...
    images : int
        How many were scored.
    patients : int or None
        Of how many patients; None where the dataset does not say.
    labels : tuple of LabelEvaluation
        One for each label.
    within : str or None
        What the groups are, such as ``"view"``; None where all images are of one group.
    failures : tuple of Failure
        Images that could not be read.
    notes : tuple of str
        What a user should know.
    release_checksum : str or None
        Of the release that the model was trained on or, for another model, that the images are of.
    outside : int or None
        How many images lie outside the range of the training images; None where it is unknown.
    scored : Scored or None
        Labels and scores of each image.
    """

    part: Part
    images: int
    patients: int | None
    labels: tuple[LabelEvaluation, ...]
    within: str | None
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    release_checksum: str | None = None
    outside: int | None = None
    scored: Scored | None = None


def evaluate_model(
    classifier: Classifier,
    dataset: Dataset,
    part: Part = "test",
    *,
    within: str | None = None,
    samples: int = 1000,
    seed: int = 0,
    workers: int = 1,
    cache: str | None = None,
    reading: Report | None = None,
    released: ReleasedInputs | None = None,
) -> Evaluation:
    """Score images whose labels are known, and compare.

    Parameters
    ----------
    classifier : Classifier
        The model.
    dataset : Dataset
        With as many labels as the model, in its order; they may be called otherwise.
    part : {"test", "validation", "train", "all"}
        Which images. The first three are parts of the dataset that the model was trained on, and
        only of that one. ``"all"`` is for other datasets.
    within : str, optional
        Attribute, or ``"view"``: also compare within each of its values. By default the
        view, where that is known.
    samples, seed : int
        Of the interval of the calibration error, as in `calibration_interval`; the others need no
        draws.
    workers : int
        Processes that read images.
    cache : str, optional
        Folder of codes, as in `encode_records`.
    reading : callable, optional
        Receives how many images are read, and of how many.
    released : ReleasedInputs, optional
        Codes of a release in place of images; its dataset is `dataset`.

    Returns
    -------
    Evaluation
        For each label.

    Raises
    ------
    LabelError
        Another number of labels than the model has.
    SplitError
        A part of a dataset that is not, or no longer, the one that the model was trained on; or a
        part without images.
    ModelError
        No image has the attribute that was asked for, or not one can be read.
    """
    if len(dataset.label_names) != len(classifier.label_names):
        raise LabelError(
            f"the model has the labels {', '.join(classifier.label_names)}, and the dataset has "
            f"{len(dataset.label_names)} labels; name the same number of labels in the same order"
        )
    known = _known(classifier, dataset)
    if within is not None:
        group_names(dataset, within)  # before hours of reading
    places = _places(classifier, dataset, part, known)
    places = places[dataset.known[places].any(axis=1)]
    if not len(places):
        raise SplitError(f"the {part} part has no image with a known label; choose another --part")
    seen = () if released else _seen_in_training(classifier, dataset, places, part, known)
    chosen = dataset.select(places)
    load = classifier.load if released is None else released.load
    loaded = load(chosen.records, workers=workers, cache=cache, report=reading)
    if not len(loaded.places):
        first = loaded.failures[0]
        raise ModelError(f"no image can be read; the first: {first.error}: {first.reason}")
    chosen = chosen.select(loaded.places)
    names = tuple(place_of(chosen, record)[0] for record in chosen.records)
    if released is not None:
        names = released.names(chosen.records)
    scores, outside = classifier.scores(loaded.array), classifier.outside(loaded.array)
    attribute = within or "view"
    groups, alike = _groups(chosen, attribute, asked=within is not None)
    columns = zip(
        dataset.label_names, chosen.labels.T, scores.T, classifier.thresholds, strict=True
    )
    whose = np.unique(chosen.patients, return_inverse=True)[1]
    judge = _Judge(whose, groups, samples, seed)
    labels = tuple(judge.label(*column) for column in columns)
    return Evaluation(
        part,
        len(chosen),
        chosen.patient_count if chosen.has_patients else None,
        labels,
        None if groups is None else attribute,
        loaded.failures,
        (*_notes(classifier, chosen, part, known, dataset), *seen, *alike),
        classifier.facts.get("release_checksum") or release_of(dataset),
        None if outside is None else int(outside.sum()),
        Scored(names, tuple(chosen.patients.tolist()), dataset.label_names,
               np.asarray(chosen.labels), scores),
    )  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class _Judge:
    """Whose the images are, what they are compared within, and how intervals are drawn."""

    patients: NDArray[np.int64]
    groups: NDArray[np.str_] | None
    samples: int
    seed: int

    def label(
        self,
        name: str,
        labels: NDArray[np.float32],
        scores: NDArray[np.float32],
        threshold: float,
    ) -> LabelEvaluation:
        within, areas = None, {}
        if self.groups is not None:
            within = auc_interval(labels, scores, self.patients, self.groups)
            for group in np.unique(self.groups):
                here = self.groups == group
                areas[str(group)] = auc_interval(labels[here], scores[here], self.patients[here])
        decided = scores >= threshold
        return LabelEvaluation(
            name,
            int((labels == 1).sum()),
            int((labels == 0).sum()),
            auc_interval(labels, scores, self.patients),
            within,
            areas,
            average_precision_interval(labels, scores, self.patients),
            calibration_interval(
                labels, scores, self.patients, samples=self.samples, seed=self.seed
            ),
            reliability_curve(labels, scores),
            threshold,
            confusion_at(labels, scores, threshold),
            rate_interval(np.where(labels == 1, decided, np.nan), self.patients),
            rate_interval(np.where(labels == 0, ~decided, np.nan), self.patients),
        )


def _groups(
    chosen: Dataset, attribute: str, *, asked: bool
) -> tuple[NDArray[np.str_] | None, tuple[str, ...]]:
    """Return the group of each image, or None and a note where all images are of one."""
    try:
        names = group_names(chosen, attribute)
    except ModelError:  # other parts of the dataset may have it
        return None, (f"no image of this part has {attribute!r}",) if asked else ()
    groups = np.where(names == "", "unknown", names)
    if len(set(groups)) > 1:
        return groups, ()
    return None, (
        (f"all images have {attribute} {groups[0]}; choose another attribute, or omit --within"),
    )


def _known(classifier: Classifier, dataset: Dataset) -> Known:
    """Compare a dataset with that of training: all the same, the same images only, or another."""
    images, content = (classifier.facts.get(name) for name in ("images", "content"))
    known: Known = "other"
    if fingerprint(dataset) == classifier.dataset:
        known = "same"
    elif images is None:
        return "unknown"  # of a model of version 0.1
    elif images_fingerprint(dataset) == images:
        known = "relabelled"
    if known == "other" or content is None:
        return known
    parts: tuple[Part, ...] = ("train", "validation")
    learned = [_places(classifier, dataset, part, known) for part in parts]
    same = content_fingerprint(dataset.select(np.sort(np.concatenate(learned)))) == content
    return known if same else "other"


def _places(
    classifier: Classifier, dataset: Dataset, part: Part, known: Known
) -> NDArray[np.int64]:
    """Return the images of a part; with other labels, those that were in it in training."""
    if known == "same" or part == "all":
        return classifier.rules.places(dataset, part)
    if known == "relabelled":
        divided = str(classifier.facts.get("parts_of_images"))
        places = places_in_part(dataset, divided, part)
        if places is not None:
            return places
    raise SplitError(
        f"the images or patients differ from those of the training, so the {part} part is "
        "unknown. Use --part all only for images of other patients; on training images, values "
        "are too optimistic"
    )


def _seen_in_training(
    classifier: Classifier, dataset: Dataset, places: NDArray[np.int64], part: Part, known: Known
) -> tuple[str, ...]:
    """Return a note where files of a part are also, under other names, among those of training."""
    if part not in ("test", "validation") or known not in ("same", "relabelled"):
        return ()
    both = np.concatenate([places, _places(classifier, dataset, "train", known)])
    groups = find_duplicates(dataset.select(both))
    copies = [sum(each < len(places) for each in group) for group in groups]
    shared = sum(n for n, group in zip(copies, groups, strict=True) if 0 < n < len(group))
    if not shared:
        return ()
    return (
        f"{counted(shared, 'image')} of this part {'is' if shared == 1 else 'are'} also among the "
        f"training images, as other files with the same bytes: these values are too good; train "
        f"with --by-content",
    )


def _notes(
    classifier: Classifier, chosen: Dataset, part: Part, known: Known, dataset: Dataset
) -> tuple[str, ...]:
    same = known in ("same", "relabelled")
    notes = []
    if not chosen.has_patients:
        notes.append("no patient ids: intervals treat each image as a separate patient")
    if same and part in ("train", "all"):
        notes.append("the model was trained on these images, so values are too optimistic")
    if same and part == "validation":
        notes.append("thresholds and the best epoch were chosen on these images")
    if known == "relabelled":
        notes.append("the same images and patients as in training, with other labels")
    if known == "unknown":
        notes.append(
            "this may be the training dataset with other labels; if so, values are too optimistic"
        )
    if not same:
        notes.append(
            "another dataset than in training; if images or patients are in both, values are "
            "too optimistic"
        )
    if dataset.label_names != classifier.label_names:
        notes.append(f"names of these labels in the model: {', '.join(classifier.label_names)}")
    return tuple(notes)
