"""Words of figures and reports: what a code keeps of an image, in a line, and a glossary."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deepfixcx._words import percent
from deepfixcx.explain.removal import Kind, Statement, none_removed, single, statements
from deepfixcx.spec import CodecSpec

__all__ = ["GLOSSARY", "Kept", "obscured", "preserved", "removed", "terms_in"]

GLOSSARY = {
    "Attacker": (
        "A method that tries to obtain information about patients from a release. An audit "
        "compares several attackers with baselines."
    ),
    "Attribution": (
        "A map with a sign for each value of a code: how much the value raised or lowered the "
        "score of a model for a label."
    ),
    "AUC": (
        "Area under the ROC curve: the probability that a positive image scores higher than a "
        "negative one; equal scores count half. In linkage: the probability that a record of the "
        "same patient is more similar than a record of another patient. Chance is 0.5, the "
        "maximum is 1."
    ),
    "AUC rank": (
        "The probability that an attacker who holds an image ranks its record before another "
        "record. Chance is 0.5."
    ),
    "Average precision": (
        "Area under the precision-recall curve, computed as a sum of steps. Chance is the share "
        "of positives."
    ),
    "Band": (
        "One of the 4^J outputs of a wavelet packet. It contains the details of an image of one "
        "range of sizes and one direction."
    ),
    "Baseline": (
        "A value for comparison, reached without the records. In explanations: the code with "
        "which a code is compared."
    ),
    "Calibration error": (
        "Expected calibration error: the difference between predicted probabilities and observed "
        "frequencies, on average over images."
    ),
    "Cell": "One of the P × P fields of a band. Its coefficients are pooled into one value.",
    "Chance": "The value that random guessing reaches.",
    "Checksum": (
        "The SHA-256 hash of dataset.json. It identifies a release, because dataset.json holds "
        "the hash of the manifest and the manifest holds the hash of each file."
    ),
    "CI": (
        "Confidence interval. Intervals have 95 % confidence and are computed over patients, "
        "because images of one patient are not independent."
    ),
    "Code": (
        "The pooled wavelet-packet coefficients of an image: an array of C × 4^J × P × P values, "
        "for C channels. Its size does not depend on the image."
    ),
    "Control": "The value of the same attack on targets that are not in the release.",
    "Detectable gain": (
        "The smallest gain that an attack would have detected with a probability of 80 %."
    ),
    "Differentially private": (
        "(ε, δ)-differentially private: the probability of each result changes by at most the "
        "factor exp(ε), except for a probability of δ, if what is protected changes. See epsilon."
    ),
    "Diffuse": (
        "Of the reasons of a score: no position and band has a larger share than in models that "
        "were trained on random labels."
    ),
    "EER": (
        "Equal error rate: the error rate of an attacker at the threshold where false accepts and "
        "false rejects are equally frequent. Chance is 0.5; a small value means that the attack "
        "succeeds."
    ),
    "Epsilon": (
        "The parameter of differential privacy: the smaller it is, the less a release depends on "
        "what is protected. The guarantee names what that is: a few pixels of an image (noise), "
        "or a patient with all images (synthesis)."
    ),
    "Floor": (
        "The largest value that is reached without the records, by the label-only baseline or by "
        "the mean image of other patients; at least chance."
    ),
    "Frontier": (
        "A comparison of mechanisms and settings on the same patients: utility against linkage."
    ),
    "Gain": "The value of an attack minus its floor, computed patient by patient.",
    "Gallery": "The records among which an attacker searches.",
    "Inference": "Prediction of an attribute of a patient, such as sex or age, from a record.",
    "Interpolation": (
        "An attacker who reconstructs images: the approximation band is interpolated between "
        "cells, and a ridge regression adds details."
    ),
    "J": (
        "The level: the depth of the wavelet packet. It gives 4^J bands, and a coefficient covers "
        "2^J × 2^J pixels."
    ),
    "KS": (
        "Kolmogorov-Smirnov statistic: the largest difference between the distributions of the "
        "distances within patients and between patients. 0 is no separation, 1 is complete "
        "separation."
    ),
    "Label-only baseline": (
        "The value that an attacker reaches who knows the labels of patients, but no code."
    ),
    "Ledger": (
        "The database in the private folder that records the progress of a release. The commands "
        "status and privatize --resume read it."
    ),
    "Likelihood ratio": (
        "The probability of an observation under one hypothesis divided by that under another, "
        "for example of two label rows if they are of one patient and if they are of two."
    ),
    "Linkage": "Recognition that two records, or an image and a record, are of the same patient.",
    "Manifest": (
        "The table manifest.csv of a release: one row for each image, with its files and their "
        "checksums."
    ),
    "mAP@R": (
        "Mean average precision at R: the precisions at the correct hits among the first R hits "
        "of a search, summed and divided by R, the number of records of the patient; then "
        "averaged over patients. Its maximum is 1."
    ),
    "Mask": (
        "Rules, or text recognition, by which regions of an image are painted black before "
        "encoding."
    ),
    "Mechanism": (
        "A step that changes codes before release to protect patients, such as resampling, "
        "projection or noise. It states its attacker and its guarantee."
    ),
    "Membership": (
        "Membership inference: the decision whether images of a patient were used for a release, "
        "or for the training of a model."
    ),
    "MS-SSIM": (
        "SSIM, averaged over up to five scales; each scale has half the resolution of the one "
        "before. 1 is equal."
    ),
    "Near-identical": (
        "Of two images of one patient: so similar, such as two exports of one exposure, that they "
        "do not count as linkage."
    ),
    "Neighbour": (
        "An attacker who reconstructs an image as that of the other patient whose record is most "
        "similar."
    ),
    "Own record": (
        "An attacker who holds an image and names the most similar record as that of this image."
    ),
    "P": "The patches: the number of cells per axis of a band.",
    "Pooling": (
        "Reduction of the coefficients of a cell to one value. The default l1 is their mean "
        "absolute value."
    ),
    "precision@1": (
        "The share of searches whose first hit is correct: the most similar record is of the "
        "patient who is searched for."
    ),
    "Private folder": (
        "The folder OUT.private. It holds the names of the sources, the ledger and the secrets of "
        "a release, and must not be shared."
    ),
    "Pseudonym": (
        "A replacement for an identifier in a DICOM header, computed with a secret key. The same "
        "identifier and key give the same pseudonym."
    ),
    "PSNR": (
        "Peak signal-to-noise ratio, in decibels: −10 · log10 of the mean squared difference of "
        "two images with pixels from 0 to 1. A higher value means more similar images."
    ),
    "Public images": (
        "Images of other patients that are not in the release. Mechanisms are fitted on them, "
        "attackers can train on them, and a classifier that is trained on them alone shows what "
        "the release adds."
    ),
    "Raw images": (
        "The images before encoding. An attacker who does not link raw images is too weak to be "
        "evidence about codes."
    ),
    "Re-identification": (
        "The assignment of a record to a known person, for example by linkage with another image "
        "of this person."
    ),
    "Reconstruction": (
        "An image computed from a code. As an attack: any method that estimates the original "
        "image from a record."
    ),
    "Record": (
        "One entry of a release: the code of an image, or a vector that mechanisms made from one "
        "or more images."
    ),
    "Residual risk": (
        "The success of an attack beyond its control: (attack − control) / (1 − control), limited "
        "to the range from 0 to 1."
    ),
    "Ridge": (
        "An attacker who reconstructs images by a linear regression with a quadratic penalty, "
        "learned on other patients."
    ),
    "Right signs": (
        "The share of cells in which an attacker predicts the sign of the edges correctly. The "
        "pooling l1 removes this sign."
    ),
    "Sensitivity": (
        "Of a classifier: the share of positives that are predicted as positive. Of a code: the "
        "largest change of its values when the protected pixels change, to which noise is scaled."
    ),
    "Shortcut": (
        "A property of an image that a model uses although it is not the disease, such as a "
        "marker or a device. Whether a finding is a shortcut must be decided by a person who "
        "knows the images."
    ),
    "Siamese": (
        "An attacker who links records with a network that was trained on pairs of records of "
        "other patients."
    ),
    "Singled out": (
        "A patient is singled out when a search finds a record of this patient first among all "
        "records, or when no other patient has the same labels."
    ),
    "Spec": "The settings of the codec: J, P, wavelet, pooling, boundary and grid.",
    "Specificity": "The share of negatives that are predicted as negative.",
    "SSIM": (
        "Structural similarity of two images, computed from local means, variances and "
        "covariances. 1 is equal."
    ),
    "Subset sum": (
        "An attacker who explains each record as a sum of candidate images with weights of 0 or "
        "more; images with large weights are named as members."
    ),
    "Sweep": "A comparison of settings (J and P) on the same patients: size, similarity and AUC.",
    "Synthetic": "Drawn from a model. A synthetic record belongs to no patient and to no image.",
    "Threshold": (
        "Of a classifier: the score from which an image is predicted as positive, chosen on "
        "validation images (Youden index). Of a frontier: the largest accepted risk."
    ),
    "TPR at 1 % FPR": (
        "The share of members that an attacker finds while 1 % of the non-members are wrongly "
        "called members."
    ),
    "U-Net": (
        "An attacker who reconstructs images with a convolutional network that was trained on "
        "other patients."
    ),
    "Utility": (
        "How well a task is solved with the release, measured by the AUC of a classifier on other "
        "patients."
    ),
    "Wavelet packet": (
        "A transform that splits an image into four bands, and each of these again, J times."
    ),
    "Whitening": (
        "An attacker who links records: a linear transform, learned on other patients, reduces "
        "the differences between records of one patient; a likelihood ratio or an angle then "
        "compares two records."
    ),
}
"""Terms and what they mean here. The page docs/glossary.md repeats them; a test compares both."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How many values a code keeps of an image.

    Attributes
    ----------
    numbers, of : int
        Numbers in the code; numbers in the image, which is C x H x W.

    Examples
    --------
    >>> kept = Kept.of_image(CodecSpec(level=3, patches=4), 1, 512, 512)
    >>> kept.numbers, kept.ratio, kept.percent
    (1024, '1 : 256', '0.39 %')
    """

    numbers: int
    of: int

    @classmethod
    def of_image(cls, spec: CodecSpec, channels: int, height: int, width: int) -> Kept:
        """Count for a spec and an image of C x H x W."""
        return cls(spec.numbers(channels), channels * height * width)

    @property
    def factor(self) -> float:
        """Compression factor: values of the image per value of the code."""
        return self.of / self.numbers

    @property
    def ratio(self) -> str:
        """The compression ratio, such as 1 : 256."""
        factor = self.factor
        return f"1 : {factor:,.0f}" if factor >= 10 else f"1 : {factor:.2g}"

    @property
    def percent(self) -> str:
        """The share of values kept, with two digits."""
        return percent(self.numbers, self.of)

    def __str__(self) -> str:
        """Return all of it in one line."""
        return f"{self.numbers:,} of {self.of:,} values ({self.percent}, {self.ratio})"


def removed(spec: CodecSpec, height: int, width: int) -> str:
    """Say what is gone from an image of this size, the most telling first."""
    if small := _smaller_than_a_block(spec, height, width):
        return small
    found = _of_kind("removed", spec, height, width)
    return found[0].words if found else none_removed(spec, height, width)


def obscured(spec: CodecSpec, height: int, width: int) -> str:
    """Say what is blurred in an image of this size."""
    if single(spec, height, width):
        return "little: each cell holds a single coefficient; take fewer patches"
    if small := _smaller_than_a_block(spec, height, width):
        return small
    return _of_kind("obscured", spec, height, width)[0].words


def preserved(spec: CodecSpec) -> str:
    """Say what is still there of an image whose cells hold several coefficients."""
    height, width = spec.compact_shape()
    found = _of_kind("preserved", spec, 2 * height, 2 * width)
    topics = ["amount"] if len(spec.poolings) > 1 else ["brightness", "amount", "energy"]
    return ", and ".join([each.words for each in found if each.topic in topics][:2])


def _of_kind(kind: Kind, spec: CodecSpec, height: int, width: int) -> list[Statement]:
    return [each for each in statements(spec, height, width) if each.kind == kind]


def _smaller_than_a_block(spec: CodecSpec, height: int, width: int) -> str:
    """Return why there are no statements on an image without a whole block of pixels."""
    if min(height, width) >= spec.block:
        return ""
    return f"unknown: the image is smaller than a block of {spec.block} × {spec.block} pixels"


def terms_in(text: str) -> list[tuple[str, str]]:
    """Return the entries of the glossary whose terms a text uses."""
    found = []
    for term, meaning in GLOSSARY.items():
        case = re.NOFLAG if term.isupper() else re.IGNORECASE
        if re.search(rf"(?<!\w){re.escape(term)}s?(?!\w)", text, case):
            found.append((term, meaning))
    return found
