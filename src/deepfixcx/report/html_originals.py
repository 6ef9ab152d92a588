"""The originals of a release, for those who have them: which file is which, and how alike."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError, ReleaseError
from deepfixcx.images import read_image
from deepfixcx.measures.quality import ssim
from deepfixcx.pixels import pixel_scale
from deepfixcx.report.html_release import ReleaseFacts, Shared

__all__ = ["Originals"]


@dataclass(frozen=True, eq=False)
class Originals:
    """The images from which a release was made.

    Attributes
    ----------
    folder : Path
        The input of the release.
    names : dict of str to str
        Place in it of each source, by what the release calls it.
    """

    folder: Path
    names: dict[str, str]

    @classmethod
    def find(cls, folder: Path, private: Path) -> Originals:
        """Read which source is which from the private folder of a release.

        Raises
        ------
        ReleaseError
            There is no such folder, or the table is missing or damaged.
        """
        if not folder.is_dir():
            raise ReleaseError(f"there is no folder {str(folder)!r} of originals; check the path")
        try:
            with (private / "sources.csv").open(newline="", encoding="utf-8") as file:
                rows = [(row["source_id"], row["source"]) for row in csv.DictReader(file)]
        except OSError:
            raise ReleaseError(
                f"{private.name!r} has no sources.csv, so nothing tells which original is which; "
                f"name the private folder of the release with --private"
            ) from None
        except (ValueError, KeyError, csv.Error):
            raise ReleaseError("sources.csv cannot be read; it is damaged") from None
        return cls(folder, {source_id: name for source_id, name in rows if source_id})

    def pixels(self, image: Shared) -> NDArray[Any] | None:
        """Return an original, (C, H, W); None where it cannot be read, or is another image."""
        name = self.names.get(image.source_id)
        if name is None or ".." in PurePosixPath(name).parts:
            return None
        try:
            frames = read_image(self.folder / name).pixels
        except DeepfixcxError:
            return None
        expected = (image.channels, image.height, image.width)
        if image.frame >= len(frames) or frames.shape[1:] != expected:
            return None
        found: NDArray[Any] = frames[image.frame]
        return found

    def likeness(self, facts: ReleaseFacts, image: Shared) -> float | None:
        """Return the SSIM of the plain reconstruction to its original; None where there is none."""
        original = self.pixels(image)
        if original is None:
            return None
        try:
            code = facts.code(image) if image.code_file else Codec(facts.spec).encode(original)
            whole = np.asarray(Codec(code.spec).decode(code, "original"), np.float32)[0]
            return ssim(original * np.float32(pixel_scale(original)), whole)
        except DeepfixcxError:
            return None
