"""Every kind of file that is read, against an independent reader: the tables of docs/formats.md.

Each module listed in MODULES has a function `kinds`, whose rows are a product of traits, so that
combinations without a known user are covered as well. A row is a file made by construction. It is
read twice: by deepfixcx, and by a program that shares no decoding code with it. All pixels are
compared.
"""

from __future__ import annotations

import argparse
import importlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import put_section
from deepfixcx.errors import DamagedImageError, DeepfixcxError
from deepfixcx.images import read_image

__all__ = ["DIFFERENT", "REFUSED", "SAME", "Kind", "Row", "all_kinds", "compare", "main"]

MODULES: Final = (
    *("formats_dicom", "formats_dicom_tables"),
    *("formats_tiff", "formats_pictures", "formats_nifti"),
)
PAGE: Final = Path(__file__).parents[1] / "docs" / "formats.md"
SAME, REFUSED, DIFFERENT = "same", "refused by name", "DIFFERENT"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: its name in four columns, a file of it, and an independent reader.

    `peer` returns frames (F, C, H, W), C = 1 or 3, as floats in [0, 1]; it raises where the program
    does not read the file. `tolerance` is the largest difference of a pixel that counts as same.
    `refusal` is the error that is expected; a kind without one must be read.
    """

    format: str
    samples: str
    photometric: str
    traits: str
    content: Callable[[], bytes]
    reader: str
    peer: Callable[[Path], NDArray[Any]]
    tolerance: float = 1 / 65535
    refusal: type[DeepfixcxError] | None = None

    @property
    def name(self) -> str:
        """The four columns as one text."""
        return ", ".join(filter(None, (self.format, self.samples, self.photometric, self.traits)))


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a kind: a summary of both readings, and the verdict."""

    kind: Kind
    ours: str
    theirs: str
    verdict: str


def all_kinds(modules: Iterable[str] = MODULES) -> Iterator[Kind]:
    """Yield the kinds of all modules."""
    for name in modules:
        yield from importlib.import_module(f"benchmarks.{name}").kinds()


def compare(kind: Kind, folder: Path) -> Row:
    """Write a file of a kind, read it with both readers, and compare every pixel."""
    path = folder / "file"
    path.write_bytes(kind.content())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs: NDArray[Any] | None = np.asarray(kind.peer(path), np.float64)
        except Exception:  # another program may fail in any way
            theirs = None
    seen = "not read" if theirs is None else _summary(theirs)
    try:
        frames = read_image(path)
    except DeepfixcxError as error:
        sound = kind.refusal is not None and type(error) is kind.refusal
        named = sound and not isinstance(error, DamagedImageError)
        return Row(kind, type(error).__name__, seen, REFUSED if named else DIFFERENT)
    scale = 1.0 if frames.pixels.dtype.kind == "f" else float(np.iinfo(frames.pixels.dtype).max)
    ours = frames.pixels.astype(np.float64) / scale
    same = (
        kind.refusal is None
        and theirs is not None
        and ours.shape == theirs.shape
        and float(np.abs(ours - theirs).max()) <= kind.tolerance + 1e-7
    )
    return Row(kind, _summary(ours), seen, SAME if same else DIFFERENT)


def _summary(frames: NDArray[Any]) -> str:
    shape = "×".join(map(str, frames.shape))
    return f"{shape}: {frames.min():.3f} to {frames.max():.3f}, mean {frames.mean():.4f}"


def table_of(rows: Iterable[Row]) -> str:
    """Lay rows of one format out, unaligned: the page is long."""
    lines = [
        "| samples | photometric | traits | deepfixcx | independent reader | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        kind = row.kind
        cells = (kind.samples, kind.photometric, kind.traits, row.ours,
                 f"{kind.reader}: {row.theirs}", row.verdict)  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Read every kind twice, print what differs, and write the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", nargs="*", default=list(MODULES), choices=MODULES)
    parser.add_argument("--write", action="store_true", help="write the tables into the page")
    options = parser.parse_args(words)
    rows: list[Row] = []
    with TemporaryDirectory(prefix="deepfixcx-formats-") as folder:
        for kind in all_kinds(options.modules):
            rows.append(compare(kind, Path(folder)))
            if rows[-1].verdict == DIFFERENT:
                print(f"{kind.name}\n  {rows[-1].ours}\n  {kind.reader}: {rows[-1].theirs}")
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in (SAME, REFUSED)}
    different = len(rows) - sum(counts.values())
    print(f"{len(rows)} kinds: {counts[SAME]} same, {counts[REFUSED]} refused by name, "
          f"{different} different")  # fmt: skip
    if options.write:
        parts = [
            f"{len(rows)} kinds: {counts[SAME]} are read the same, {counts[REFUSED]} are refused "
            f"by name, {different} differ."
        ]
        for name in dict.fromkeys(row.kind.format for row in rows):
            parts += [f"### {name}", table_of(row for row in rows if row.kind.format == name)]
        put_section(PAGE, "formats", parts)
    raise SystemExit(different > 0)


if __name__ == "__main__":
    main()
