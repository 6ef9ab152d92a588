"""``privatize`` with mechanisms that look at labels, at other images, or at many images at once."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import SOME_FAILED, panel, program, reason_rows, write_json
from deepfixcx.cli._learning import find_dataset
from deepfixcx.errors import MechanismError, ReleaseError

if TYPE_CHECKING:
    from deepfixcx.datasets import Dataset
    from deepfixcx.release import ProtectedSummary, ReleaseOptions, RunOptions

__all__ = ["Asked", "end"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command line that decide a release by a mechanism."""

    where: str
    folder: str
    options: ReleaseOptions
    mechanism: str
    labels: str | None
    public: str | None
    min_patients: int
    seed: int | None
    patient: str | None = None

    def run(self, course: RunOptions) -> ProtectedSummary:
        """Read the datasets and make the release."""
        from deepfixcx.release import privatize_protected

        if (course.get("key"), course.get("pseudonyms")) != (None, None):
            raise ReleaseError("--key and --pseudonyms require --output dicom")
        if not self.labels:
            raise MechanismError(f"{self.mechanism} needs labels; name labels of IN with --labels")
        return privatize_protected(
            self._dataset(self.where),
            self.folder,
            self.options,
            self.mechanism,
            public=None if self.public is None else self._dataset(self.public),
            min_patients=self.min_patients,
            seed=self.seed,
            **course,
        )

    def _dataset(self, where: str) -> Dataset:
        from deepfixcx.datasets.files import local_path

        place = local_path(where, "a dataset with labels")
        return find_dataset(place, self.labels or "", None, None, None, self.patient)


def end(summary: ProtectedSummary, json: Path | None) -> None:
    """Write the closing figures, print the panel, and leave with the exit code."""
    write_json(json, _figures(summary))
    _close(summary)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


def _figures(summary: ProtectedSummary) -> dict[str, object]:
    """Return the closing figures for machines."""
    return {
        **summary.totals,
        "command": "privatize",
        "records": summary.totals["files"],
        "labels": list(summary.labels),
        "labels_dropped": list(summary.dropped),
        "labels_merged": summary.merged,
        "min_patients": summary.min_patients,
        "shape": list(summary.shape),
        "images_released": summary.images,
        "images_public": summary.public_images,
        "images_withheld": sum(count for _, count in summary.withheld),
        "images_unread": summary.failed,
        "guarantee": summary.guarantee,
        "seconds": round(summary.seconds, 3),
        "release": str(summary.folder),
        "private": str(summary.private),
    }


def _close(summary: ProtectedSummary) -> None:
    """Print the closing panel."""
    rows = [
        (
            "records",
            f"{summary.totals['files']:,}{_source(summary)}, {_kind(summary)}",
        ),
        ("labels", _labels(summary)),
        *_changed_labels(summary),
        ("guarantee", summary.guarantee),
    ]
    if summary.public_images:
        rows.append(("learned", f"from {summary.public_images} public images"))
    withheld = sum(count for _, count in summary.withheld)
    rows.append(("withheld", counted(withheld, "image") if withheld else "none"))
    rows += reason_rows(summary.withheld)
    if summary.failed:
        rows.append(
            (
                "failed",
                f"{counted(summary.failed, 'image')} of IN or of the public dataset cannot be read",
            )
        )
    rows += [("note", note) for note in summary.notes]
    rows += [
        ("time", f"{summary.seconds:.1f} s"),
        (
            "release",
            (
                f"{summary.folder}  records with labels, and the files that bring new images "
                "into this form"
            ),
        ),
        ("private", f"{summary.private}  plain codes, secret, source of each record; do not share"),
        ("next", _next_step(summary)),
    ]
    panel("privatize", rows, good=not summary.failed)


def _labels(summary: ProtectedSummary) -> str:
    how = f"every combination of labels is shared by {summary.min_patients} patients or more"
    if not summary.min_patients:
        how = "drawn from noisy counts"
    return f"{', '.join(summary.labels)}; {how}"


def _changed_labels(summary: ProtectedSummary) -> list[tuple[str, str]]:
    """Return what is not as in the table of IN; no number of patients of a small group."""
    rows = []
    if summary.dropped:
        why = "not released: too few patients are positive or negative"
        rows.append(("dropped", f"{', '.join(summary.dropped)}  {why}"))
    if summary.merged:
        why = "labels of rare combinations became unknown, the last label first"
        rows.append(("merged", why))
    return rows


def _next_step(summary: ProtectedSummary) -> str:
    labels = shlex.quote(",".join(summary.labels))
    return (
        f"measure the risk before you share it: {program()} audit OUT --against IN --patients "
        f"TABLE --labels {labels}"
    )


def _source(summary: ProtectedSummary) -> str:
    """State what records are of; synthetic ones are of no image."""
    return f" of {counted(summary.images, 'image')}" if summary.images else ", synthetic"


def _kind(summary: ProtectedSummary) -> str:
    if len(summary.shape) > 1:
        return "as codes of " + " × ".join(map(str, summary.shape))
    count = summary.shape[0]
    return f"{counted(count, 'number')} each"
