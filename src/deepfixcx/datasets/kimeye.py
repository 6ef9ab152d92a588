"""KimEye: 1,544 fundus images of Kim's Eye Hospital, cropped to the optic disc, 240 × 240.

The layout::

    normal_control/1.png ... 788.png
    early_glaucoma/1.png ... 289.png
    advanced_glaucoma/1.png ... 467.png

Files of all three folders have the same names, and nothing says whose they are.
"""

from __future__ import annotations

import os
from pathlib import Path

from deepfixcx.datasets.collecting import Collector, absolute
from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.labels import Labels, State
from deepfixcx.errors import LayoutError

__all__ = ["find_kimeye", "read_kimeye"]

STAGES = ("normal_control", "early_glaucoma", "advanced_glaucoma")


def find_kimeye(where: Path) -> Path | None:
    """Return the folder that holds the three folders."""
    return where if all((where / stage).is_dir() for stage in STAGES) else None


def read_kimeye(where: str | os.PathLike[str], labels: Labels | None = None) -> Dataset:
    """Read KimEye.

    Parameters
    ----------
    where : path-like
        The folder of ``normal_control``, ``early_glaucoma`` and ``advanced_glaucoma``.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`; the three stages if left away. Any glaucoma is
        ``{"glaucoma": "class=early_glaucoma|advanced_glaucoma"}``.

    Returns
    -------
    Dataset
        Without patients. ``class`` is an attribute.

    Raises
    ------
    LayoutError
        The folders are not there, or hold no image that can be used.
    LabelError
        A label that is not there.

    References
    ----------
    Ahn et al., A deep learning model for the detection of both advanced and early glaucoma using
    fundus photography, PLOS ONE 2018, doi:10.1371/journal.pone.0207982; data
    doi:10.7910/DVN/1YRRAC.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for stage in ("normal_control", "early_glaucoma", "advanced_glaucoma"):
    ...     (root / stage).mkdir()
    ...     _ = (root / stage / "1.png").write_bytes(b"an image, which is not opened")
    >>> read_kimeye(root, labels="class=early_glaucoma").counts()
    {'class=early_glaucoma': (1, 2, 0)}
    """
    root = absolute(where)
    if find_kimeye(root) is None:
        raise LayoutError(f"{root.name!r} lacks a folder of KimEye; it needs {', '.join(STAGES)}")
    collector = Collector("kimeye", root, STAGES)
    for stage in STAGES:
        states: list[State] = ["yes" if name == stage else "no" for name in STAGES]
        for number, path in enumerate(collector.images_in(root / stage, stage), start=1):
            collector.add(stage, number, path, states, attributes={"class": stage})
    return collector.dataset(labels=labels)
