"""``deepfixcx audit``: attack a release, and say what came of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfixcx.cli._console import default_workers, panel, write_json
from deepfixcx.cli._options import JSON, OVERWRITE, WORKERS
from deepfixcx.cli._steps import StepBar

if TYPE_CHECKING:
    from deepfixcx.audit.suite import Audit
    from deepfixcx.cli._released import Found

__all__ = ["command"]

SOME_FAILED = 3
SHORT = ("singled out?", "linked?", "inferred?", "images back?")
"""The questions of the verdict, in the margin of the terminal."""

FILES = ("audit.json", "verdict.md", "verdict.png")


def command(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="A release with codes.")],
    against: Annotated[
        Path, typer.Option(help="The originals: what was given to privatize as IN.")
    ],
    patients: Annotated[
        Path, typer.Option(help="Table (.csv) of the originals: file, patient, labels, sex, age.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to make; default: RELEASE.audit.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full/--quick", help="Train networks, too: 10 minutes or more.")
    ] = False,
    labels: Annotated[
        str | None,
        typer.Option(help="What is shared beside the codes: a,b; default: all of the table."),
    ] = None,
    private: Annotated[
        Path | None, typer.Option(help="The private folder, where it was made elsewhere.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds, attackers and intervals.")] = 0,
    workers: Annotated[int | None, WORKERS] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Attack a release with what its owner knows, and answer three questions.

    Can a person be singled out, can records be linked, can something be inferred? Attackers
    learn on some patients and are tested on others; each figure stands beside what is reached
    without the codes.

    Example: deepfixcx audit shared --against scans --patients scans/manifest.csv
    """
    from deepfixcx.audit.suite import audit_release
    from deepfixcx.cli._released import find_listed, find_target
    from deepfixcx.datasets.files import local_path

    begin = time.monotonic()
    release, against = local_path(release, "a release"), local_path(against, "an original")
    patients = local_path(patients, "a table of patients")
    out = release.with_name(f"{release.name}.audit") if out is None else out
    _check_out(out, release)
    with StepBar("audit") as bar:
        listed = find_listed(release, against, patients, private=private, labels=labels)
        _check_earlier(out, overwrite=overwrite)
        found = find_target(
            listed,
            workers=default_workers() if workers is None else workers,
            report=bar.read,
        )
        audit = audit_release(found.target, full=full, seed=seed, report=bar.step)
    _write(out, audit, found)
    figures = _figures(out, audit, found, time.monotonic() - begin)
    write_json(json, figures)
    _close(out, audit, found)
    if found.failures:
        raise typer.Exit(SOME_FAILED)


def _check_out(out: Path, release: Path) -> None:
    """Refuse, before any work, a folder in which nothing can or should be written."""
    from deepfixcx.errors import AuditError

    if out.resolve().is_relative_to(release.resolve()):
        raise AuditError(f"{str(out)!r} lies in the release, which is shared; choose another -o")
    if out.exists() and not out.is_dir():
        raise AuditError(f"{str(out)!r} is a file; choose another folder with -o")


def _check_earlier(out: Path, *, overwrite: bool) -> None:
    """Refuse to replace an audit unasked, once it is sure that there can be another."""
    from deepfixcx.errors import AuditError

    if not overwrite and any((out / name).exists() for name in FILES):
        raise AuditError(
            f"{str(out)!r} holds an audit; replace it with --overwrite, or choose another -o"
        )


def _write(out: Path, audit: Audit, found: Found) -> None:
    """Write all figures, the verdict in words and as a picture."""
    import json

    from deepfixcx.audit.verdict import answers
    from deepfixcx.errors import AuditError
    from deepfixcx.io.files import make_folder
    from deepfixcx.io.folders import own_ledger
    from deepfixcx.report.audit_page import audit_figure, audit_markdown
    from deepfixcx.report.drawing import figure_bytes

    said = answers(audit)
    told = {
        "format": "deepfixcx.audit",
        "version": 1,
        "images": audit.images,
        "patients": audit.patients,
        "full": audit.full,
        "seed": audit.seed,
        "notes": list(found.notes),
        "answers": {each.question: each.word for each in said},
        "verdict": [f"{each.question} {each.word.capitalize()}. {each.sentence}" for each in said],
        "results": [each.to_dict() for each in audit.results],
        "not_tested": list(audit.untested),
    }
    try:
        make_folder(out)
        ledger = own_ledger(out, "audit.json", FILES)
        text = json.dumps(told, indent=2, sort_keys=True, allow_nan=False)
        ledger.write(out, "audit.json", text + "\n")
        ledger.write(out, "verdict.md", audit_markdown(audit))
        ledger.write(out, "verdict.png", figure_bytes(audit_figure(audit)))
    except OSError as error:
        raise AuditError(f"{str(out)!r} cannot be written: {error.strerror}") from None


def _figures(out: Path, audit: Audit, found: Found, seconds: float) -> dict[str, object]:
    from deepfixcx.audit.verdict import answers

    return {
        "command": "audit",
        "images": audit.images,
        "images_failed": found.failures,
        "patients": audit.patients,
        "full": audit.full,
        "attacks": len(audit.results),
        "answers": {each.question: each.word for each in answers(audit)},
        "not_tested": list(audit.untested),
        "notes": list(found.notes),
        "seconds": round(seconds, 1),
        "folder": str(out),
    }


def _close(out: Path, audit: Audit, found: Found) -> None:
    from deepfixcx.audit.verdict import answers

    said = answers(audit)
    rows = [("attacked", f"{audit.images} images of {audit.patients} patients")]
    if found.failures:
        rows.append(("failed", f"{found.failures} originals could not be read"))
    rows += [("note", note) for note in found.notes]
    for short, answer in zip(SHORT, said, strict=True):
        rows.append((short, f"{answer.word.capitalize()}. {answer.sentence}"))
    rows += [("not tested", each) for each in audit.untested[:1]]
    if len(audit.untested) > 1:
        rows.append(("", f"and {len(audit.untested) - 1} more, in verdict.md"))
    rows.append(("files", ", ".join(f"{out}/{name}" for name in FILES)))
    panel("audit", rows, good=not found.failures)
