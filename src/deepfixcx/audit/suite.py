"""Every attack that a release allows, one after the other, with what could not be tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepfixcx.audit.linkage.trial import GalleryCurve
from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.steps import REFERENCE, UNIQUE, Found, steps
from deepfixcx.audit.target import Copies, PublicImages, Target, find_copies
from deepfixcx.code import Code
from deepfixcx.errors import AuditError

__all__ = ["REFERENCE", "UNIQUE", "Audit", "Progress", "PublicImages", "Target", "audit_release"]

NEVER_TESTED = (
    "attackers with more images: a network trained on ten thousand patients links better",
    "whether a model that was trained on images shows which ones (membership): see "
    "deepfixcx.audit.membership",
    "several releases of the same images, combined",
    "burned-in text, faces, and other content that can be recognized by eye",
)

NO_CODES = (
    "undoing the transform: the records of this release are rows of numbers, not codes, so that "
    "there is no transform to undo; attackers that learn from other patients' images were tried "
    "instead"
)
NO_PERSON = (
    "linkage, singling out, inference and reconstruction: records are drawn from a model and are "
    "of no image and no patient, so there is no right answer; what the model holds of a patient is "
    "membership"
)
NO_IMAGES = (
    "reconstruction: the release is a matrix of features, and there are no images to compare "
    "reconstructions with"
)
NO_PUBLIC = "attackers who train on public images alone, and membership against public images: "
NO_PUBLIC += "name a table of other patients with --public"

Progress = Callable[[str, int, int], None]
"""Called with the name of an attack, the number of attacks done, and the number of all."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of all attacks.

    Attributes
    ----------
    results : tuple of AttackResult
        In the order in which they were made.
    untested : tuple of str
        What was not tried here, and why.
    images, patients : int
        Numbers of them.
    full : bool
        Whether networks were trained, too.
    seed : int
        Of everything random.
    curves : tuple of GalleryCurve
        How often the first hit is right, against the size of the gallery.
    copies : Copies, optional
        Identical and near-identical images, which do not count as linkage.
    notes : tuple of str
        What was found that is no result of an attack, such as a lower bound of epsilon.
    """

    results: tuple[AttackResult, ...]
    untested: tuple[str, ...]
    images: int
    patients: int
    full: bool
    seed: int
    curves: tuple[GalleryCurve, ...] = ()
    copies: Copies | None = None
    notes: tuple[str, ...] = ()


def audit_release(
    target: Target,
    *,
    full: bool = False,
    seed: int = 0,
    samples: int = 1000,
    report: Progress | None = None,
) -> Audit:
    """Attack a release in every way that is known here.

    The same target and seed give the same results.

    Parameters
    ----------
    target : Target
        The release and its sources.
    full : bool
        Also train networks: siamese ones to link, and a U-Net to invert; and search images one by
        one. That takes many minutes rather than one or two.
    seed : int
        Of folds, attackers and intervals.
    samples : int
        Draws of patients for each interval.
    report : callable, optional
        Called before each attack with its name, the number done and the total.

    Returns
    -------
    Audit
        An attack that cannot be made is named in `Audit.untested`.

    Raises
    ------
    AuditError
        There are not as many images, encoded images and patients.

    Examples
    --------
    >>> from deepfixcx import Codec
    >>> from deepfixcx.images import phantom
    >>> drawn = [phantom(np.random.default_rng(n // 2), 32)[None] for n in range(60)]
    >>> images = np.stack([np.roll(image, 3 * (n % 2), 1) for n, image in enumerate(drawn)])
    >>> code = Codec(level=2, patches=2).encode(images)
    >>> patients = (np.arange(60) // 2).astype(str)
    >>> audit = audit_release(Target(code, images, code.array, patients), samples=100)
    >>> sorted({result.attack for result in audit.results})
    ['linkage', 'membership', 'reconstruction', 'reference']
    """
    target.check()
    found = Found(
        find_copies(target.raw if target.images is None else target.images, target.patients)
    )
    plan = list(steps(target, found, full, seed, samples))
    untested: list[str] = []
    for number, (name, step) in enumerate(plan):
        if report is not None:
            report(name, number, len(plan))
        try:
            found.results += step()
        except AuditError as error:
            untested.append(f"{name}: {error}")
    if target.synthetic:
        untested.append(NO_PERSON)
    elif target.images is None:
        untested.append(NO_IMAGES)
    elif not isinstance(target.released, Code):
        untested.append(NO_CODES)
    if target.public is None:
        untested.append(NO_PUBLIC)
    if not full:
        untested.append("siamese networks, a U-Net and searching image by image: use --full")
    if not target.attributes and not target.synthetic:
        untested.append("inference: the table has no column of sex, age, view or site")
    if report is not None:
        report("done", len(plan), len(plan))
    return Audit(
        tuple(found.results),
        (*untested, *NEVER_TESTED),
        len(target.patients),
        len(np.unique(target.patients)),
        full,
        seed,
        tuple(found.curves),
        found.copies,
        found.notes,
    )
