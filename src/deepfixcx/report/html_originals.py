"""What the private folder of a release knows: its originals, and what was not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.codec import Codec
from deepfixcx.errors import DeepfixcxError, ReleaseError
from deepfixcx.images import read_image
from deepfixcx.measures.quality import ssim
from deepfixcx.packets import pixel_scale
from deepfixcx.release import PrivateFolder
from deepfixcx.report.html_release import ReleaseFacts, Shared, spread_out

__all__ = ["NotRead", "Originals"]

TRIED = 20
"""So many images are looked for in a folder before it is called the wrong one."""


@dataclass(frozen=True, slots=True)
class NotRead:
    """Counts of what a release does not hold, and of what its files state but was not followed."""

    files: tuple[tuple[str, int], ...] = ()
    notes: tuple[tuple[str, int], ...] = ()

    @classmethod
    def find(cls, facts: ReleaseFacts, folder: Path) -> NotRead | None:
        """Count from the tables of the private folder, no names; None where there is no folder."""
        if not folder.is_dir():
            return None
        private = PrivateFolder(folder)
        stated, own = str(facts.about.get("id") or ""), private.release_id
        if stated and own and stated != own:
            raise ReleaseError(
                f"{folder.name!r} is the private folder of another release; name the right one "
                f"with --private"
            )
        rows = private.left_out(by_mechanism=facts.records is not None)
        if rows is None:
            return None
        left = [row for row in rows if row.get("status", "skipped") == "skipped"]
        files = Counter(row.get("reason") or "unknown" for row in left)
        notes = Counter(row["notes"] for row in rows if row.get("notes"))
        return cls(tuple(files.most_common()), tuple(notes.most_common()))


@dataclass(frozen=True, eq=False)
class Originals:
    """The images from which a release was made."""

    folder: Path
    names: dict[str, str]

    @classmethod
    def find(cls, folder: Path, private: Path) -> Originals:
        """Read which source is which from the private folder of a release."""
        if not folder.is_dir():
            raise ReleaseError(f"there is no folder {str(folder)!r} of originals; check the path")
        return cls(folder, PrivateFolder(private).sources())

    def check(self, images: Sequence[Shared]) -> None:
        """See that this is the folder that a release was made of."""
        tried = spread_out(images, TRIED)
        if tried and all(self.pixels(image) is None for image in tried):
            raise ReleaseError(
                f"{str(self.folder)!r} holds no original of the release: no file has the name and "
                f"the size of one; --originals is what was given to privatize as IN"
            )

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
            # without codes, what the codec alone leaves: pictures are made from nothing else
            code = facts.code(image) if image.code_file else Codec(facts.spec).encode(original)
            whole = np.asarray(Codec(code.spec).decode(code, "original"), np.float32)[0]
            return ssim(original * np.float32(pixel_scale(original)), whole)
        except DeepfixcxError:
            return None
