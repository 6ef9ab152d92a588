"""Put groups of images into parts of given shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import SplitError

__all__ = ["assign"]


def assign(
    groups: NDArray[np.str_],
    weights: NDArray[np.float64],
    shares: NDArray[np.float64],
    seed: int,
) -> NDArray[np.int64]:
    """Assign every group to one part, so that each part gets its share of every weight.

    Groups are taken in a seeded order, those that hold much of anything first, and each goes where
    it brings the sums closest to their shares (the least growth of chi squared).

    Parameters
    ----------
    groups : ndarray of str, shape (N,)
        Name of each image's group.
    weights : ndarray of float64, shape (N, K)
        What each image brings.
    shares : ndarray of float64, shape (parts,)
        They sum to 1; a part of 0 stays empty.
    seed : int
        Decides the order, and nothing else does: not that of the images.

    Returns
    -------
    ndarray of int64, shape (N,)
        Part of each image.

    Raises
    ------
    SplitError
        Fewer groups than parts that are not to be empty.
    """
    names, member = np.unique(groups, return_inverse=True)
    wanted = np.flatnonzero(shares > 0)
    if len(names) < len(wanted):
        raise SplitError(
            f"{len(names)} patients cannot fill {len(wanted)} parts; ask for fewer, or gather more"
        )
    total = weights.sum(axis=0)
    weights, total = weights[:, total > 0], total[total > 0]
    held = np.zeros((len(names), len(total)))
    np.add.at(held, member, weights / total)  # of each group, its share of everything
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-held[order].max(axis=1), kind="stable")]
    part_of = np.empty(len(names), np.int64)
    filled = np.zeros((len(wanted), len(total)))
    share = shares[wanted][:, None]
    for group in order:
        growth = (held[group] * (2 * (filled - share) + held[group]) / share).sum(axis=1)
        part = int(growth.argmin())
        filled[part] += held[group]
        part_of[group] = part
    _fill_empty(part_of, order, len(wanted))
    return wanted[part_of][member]


def _fill_empty(part_of: NDArray[np.int64], order: NDArray[np.int64], parts: int) -> None:
    """Give every part that got no group the last one of the part that has most."""
    for part in range(parts):
        if not (part_of == part).any():
            fullest = np.bincount(part_of, minlength=parts).argmax()
            last = order[part_of[order] == fullest][-1]
            part_of[last] = part
