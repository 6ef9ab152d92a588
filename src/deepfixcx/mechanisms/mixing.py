"""k-mixing: records are means over groups of different patients with equal labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.protocol import DataIndependent, guarantee_text
from deepfixcx.mechanisms.records import Records, label_patterns
from deepfixcx.mechanisms.whitening import signed_square_root

__all__ = ["KMixing", "nearest_groups"]

Each = Literal["group", "member"]


@dataclass(frozen=True, slots=True)
class KMixing(DataIndependent):
    """Release means of the codes of k or more similar patients: k-same-select on codes.

    Images with equal labels are grouped, the most similar first, so that every group holds k
    different patients or more. A group becomes its mean. Images whose labels fewer than k patients
    share are withheld.

    Guarantee: no released record depends on the images of fewer than k patients, beyond which
    images are grouped. It protects against an attacker who has no image but the release. It does
    not protect against an attacker who holds candidate images: each record is the mean of few of
    them, and non-negative least squares finds which. So mixing is not recommended.

    Parameters
    ----------
    k : int
        Fewest patients of a record, 2 or more.
    each : {"group", "member"}
        One record a group, or one a member of it, so that there are as many as images.
    jitter : float
        Weights are drawn from 1 - jitter to 1 + jitter, for each record anew, and then sum to 1; 0
        gives the plain mean. At most 0.9, so that every patient counts.

    Raises
    ------
    MechanismError
        A parameter is out of range.

    References
    ----------
    Newton, Sweeney and Malin, Preserving privacy by de-identifying face images, IEEE TKDE, 2005,
    doi:10.1109/TKDE.2005.32; Gross et al., Integrating utility into face de-identification, PET,
    2005 (k-same-select); Domingo-Ferrer and Mateo-Sanz, IEEE TKDE, 2002 (groups from the outside
    in).

    Examples
    --------
    >>> codes = np.array([[0.0], [0.2], [5.0], [5.2]])
    >>> public = Records.of(codes, [0, 0, 0, 0], list("abcd"))
    >>> generator = np.random.default_rng(0)
    >>> mixed = KMixing(2).fit(public, generator).apply(public, generator)
    >>> sorted(mixed.array[:, 0].round(1).tolist()), mixed.patient_counts.tolist()
    ([0.10000000149011612, 5.099999904632568], [2, 2])
    """

    k: int
    each: Each = "group"
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.k < 2:
            raise MechanismError(f"k-mixing needs k of 2 or more patients, got {self.k}")
        if self.each not in ("group", "member"):
            raise MechanismError(f"each is 'group' or 'member', got {self.each!r}")
        if not 0 <= self.jitter <= 0.9:
            raise MechanismError(f"jitter is from 0 to 0.9, got {self.jitter}")

    @property
    def name(self) -> str:
        """Short name with k."""
        return f"mixing k={self.k}" + ("" if self.each == "group" else " a member")

    @property
    def guarantee(self) -> str:
        """What holds of every record."""
        return guarantee_text(
            "holds candidate images or the codes of other patients",
            f"each record is a mean over {self.k} patients or more, which does not hide its "
            "members: such an attacker finds the members of nearly every record as a subset sum",
            "the members of every record are found, and the difference of two releases that differ "
            "by one patient is the code of that patient; a second release of the same patients is "
            "refused only if both use one private folder",
        )

    def apply(self, records: Records, generator: np.random.Generator) -> Records:
        """Mix records; none may be mixed already."""
        owners = records.patient_of_each()
        places = _roots_of(records)
        groups: list[NDArray[np.int64]] = []
        patterns = label_patterns(records.labels)
        for pattern in range(int(patterns.max(initial=-1)) + 1):
            here = np.flatnonzero(patterns == pattern)
            groups += [here[group] for group in nearest_groups(places[here], owners[here], self.k)]
        if not groups:
            raise MechanismError(
                f"no {self.k} patients share their labels; use a smaller k or fewer labels"
            )
        # how many weights are drawn depends on the groups, and the order must not
        drawing, ordering = generator.spawn(2)
        arrays, labels, members = [], [], []
        for group in groups:
            mixed = np.concatenate([records.members[place] for place in group])
            for _ in range(1 if self.each == "group" else len(group)):
                arrays.append(self._mean(records.array[group], owners[group], drawing))
                labels.append(records.labels[group[0]])
                members.append(mixed)
        order = ordering.permutation(len(arrays))  # the order would reveal the members
        return Records(
            np.stack(arrays)[order],
            np.stack(labels)[order],
            records.patients,
            tuple(members[place] for place in order),
        )

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the codes: a mixed code has the form of a code."""
        return array

    def to_manifest(self) -> dict[str, Any]:
        """Return the parameters and the guarantee."""
        return {
            "mechanism": "mixing",
            "k": self.k,
            "each": self.each,
            "jitter": self.jitter,
            "guarantee": self.guarantee,
        }

    def _mean(
        self, values: NDArray[np.float32], owners: NDArray[np.str_], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """Average so that patients, not images, have about equal weights."""
        _, owner, images = np.unique(owners, return_inverse=True, return_counts=True)
        drawn = 1 + self.jitter * generator.uniform(-1, 1, len(images))
        weights = (drawn / images)[owner]
        weights /= weights.sum()
        return np.tensordot(weights, values.astype(np.float64), 1).astype(np.float32)


def _roots_of(records: Records) -> NDArray[np.float64]:
    """Return vectors that are compared by their distances: square roots of codes."""
    if records.array.ndim == 2:
        return records.array.astype(np.float64)
    return signed_square_root(records.flat)


def nearest_groups(
    places: NDArray[np.float64], owners: NDArray[np.str_], k: int
) -> list[NDArray[np.int64]]:
    """Divide records (M, n) into groups of k different patients, the outermost first."""
    squares = (places**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * places @ places.T
    from_centre = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    left = np.ones(len(places), bool)
    groups: list[NDArray[np.int64]] = []
    while len(set(owners[left].tolist())) >= k:
        first = int(np.argmax(np.where(left, from_centre, -np.inf)))
        nearest = np.argsort(np.where(left, distances[first], np.inf), kind="stable")
        group = [first]
        for place in nearest:
            if len(group) == k:
                break
            if left[place] and owners[place] not in owners[group]:
                group.append(int(place))
        left[group] = False
        groups.append(np.array(group, np.int64))
    if not groups:
        return []
    centres = np.stack([places[group].mean(axis=0) for group in groups])
    joined = [group.tolist() for group in groups]
    for place in np.flatnonzero(left):
        joined[int(((centres - places[place]) ** 2).sum(axis=1).argmin())].append(int(place))
    return [np.array(group, np.int64) for group in joined]
