"""``deepfixcx audit``: attack a release, and say what came of it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepfixcx.cli._console import SOME_FAILED, StepBar, default_workers, panel, write_json
from deepfixcx.cli._options import JSON, OVERWRITE, PATIENT, PRIVATE_OF, WORKERS, words_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from deepfixcx.audit.linkage.trial import GalleryCurve
    from deepfixcx.audit.suite import Audit
    from deepfixcx.cli._released import Found
    from deepfixcx.io.folders import OwnFolder

__all__ = ["command"]

SHORT = ("singled out?", "linked?", "inferred?", "reconstructed?", "membership?")
"""The questions of the verdict, in the margin of the terminal."""

FILES = ("audit.json", "verdict.md", "verdict.png", "top1_by_gallery.png")
FILES_OF_0_1 = FILES[:3]

COLOURS = ("#0b4f8a", "#c05a00", "#2e7d4f", "#8a2f7a", "#6e6e6e", "#b08a00", "#1a1a1a", "#d0559a")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Of the curves, by attacker, so that they can be distinguished without colours."""

MODES = {
    "released-released": "two records of the release",
    "released-raw": "an image from elsewhere\nand a record",
    "inverted-raw": "an image from elsewhere\nand a reconstruction",
}


def command(
    release: Annotated[
        Path,
        typer.Argument(
            metavar="RELEASE",
            help="A release with codes; or features: .npz, .parquet, .safetensors.",
        ),
    ],
    against: Annotated[
        Path | None,
        typer.Option(help="The originals: the input (IN) of privatize; or the original features."),
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(
            help="Table (.csv) of the originals: file, patient, labels, sex, age.",
            show_default="the patients in RELEASE",
        ),
    ] = None,
    patient: Annotated[str | None, PATIENT] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to make; default: RELEASE.audit.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full/--quick", help="Also train networks: 10 minutes or more.")
    ] = False,
    labels: Annotated[
        str | None,
        typer.Option(help="Labels shared beside the codes: a,b; default: all of the table."),
    ] = None,
    known_columns: Annotated[
        str | None,
        typer.Option(help="Columns that the attacker knows of both images: view,sex,age."),
    ] = None,
    public: Annotated[
        Path | None,
        typer.Option(help="Table of images of other patients, on which attackers train."),
    ] = None,
    private: Annotated[Path | None, PRIVATE_OF] = None,
    seed: Annotated[int, typer.Option(help="Seed of folds, attackers and intervals.")] = 0,
    workers: Annotated[int | None, WORKERS] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Attack a release with its originals and their patients, and answer five questions.

    Attackers learn on some patients and are tested on others. Five questions: can a person be
    singled out, can records be linked, can attributes be inferred, can images be reconstructed,
    does the release show whose images it was made of? Each value stands beside its baseline.

    A matrix of features of any encoder, with a column of patient IDs, is attacked in the same way,
    without reconstruction.

    Example: deepfixcx audit shared --against scans --patients scans/manifest.csv
    """
    from deepfixcx.audit.suite import audit_release
    from deepfixcx.datasets.features import is_feature_file
    from deepfixcx.datasets.files import local_path
    from deepfixcx.errors import AuditError
    from deepfixcx.io.files import check_apart, sha256_of
    from deepfixcx.io.results import check_earlier, claimed_folder
    from deepfixcx.release import PrivateFolder, release_checksum

    begin = time.monotonic()
    release = local_path(release, "a release")
    others = {
        "--against": against, "--patients": patients, "--public": public, "--private": private,
    }  # fmt: skip
    named = {option: local_path(each, option) for option, each in others.items() if each}
    out = release.with_name(f"{release.name}.audit") if out is None else out
    check_apart(
        {"-o": out},
        {
            "the release": release,
            "the private folder": PrivateFolder.of(release, private).path,
            **named,
        },
    )
    with StepBar("audit") as bar, claimed_folder(out, AuditError) as own:
        find: Callable[[], Found]
        if features := is_feature_file(release):
            find = partial(_features, release, named, labels, known_columns, patient)
        else:
            find = _images(
                release, named, labels, known_columns, patient,
                default_workers() if workers is None else workers, bar,
            )  # fmt: skip
        check_earlier(out, FILES, "an audit", overwrite=overwrite, known=FILES[0])
        own.recognize(FILES[0], FILES_OF_0_1)
        found = find()
        audit = audit_release(found.target, full=full, seed=seed, report=bar.step)
        checksum = sha256_of(release) if features else release_checksum(release)
        _write(own, audit, found, checksum)
    figures = _figures(out, audit, found, time.monotonic() - begin)
    write_json(json, {**figures, "release_checksum": checksum})
    _close(out, audit, found)
    if found.failures:
        raise typer.Exit(SOME_FAILED)


def _images(
    release: Path,
    named: Mapping[str, Path],
    labels: str | None,
    known: str | None,
    patient: str | None,
    workers: int,
    bar: StepBar,
) -> Callable[[], Found]:
    """List a release and its originals, and return what reads them."""
    from deepfixcx.cli._released import find_listed, find_target
    from deepfixcx.errors import AuditError

    if "--against" not in named:
        raise AuditError(
            f"{release.name!r} is no file of features, so its audit needs --against; see "
            "deepfixcx audit --help"
        )
    listed = find_listed(
        release, named["--against"], named.get("--patients"), private=named.get("--private"),
        labels=labels, known=known, public=named.get("--public"), patient=patient,
    )  # fmt: skip
    return partial(find_target, listed, workers=workers, report=bar.read)


def _features(
    release: Path,
    named: Mapping[str, Path],
    labels: str | None,
    known: str | None,
    patient: str | None,
) -> Found:
    """Read matrices of features: what is released, the originals, and public ones."""
    from deepfixcx.audit.target import target_of_features
    from deepfixcx.cli._released import Found
    from deepfixcx.datasets import read_features
    from deepfixcx.errors import AuditError

    for option in ("--patients", "--private"):
        if option in named:
            raise AuditError(f"{release.name!r} holds features with their patients; omit {option}")
    matrices = {
        option: read_features(path, labels, patient=patient) for option, path in named.items()
    }
    released = read_features(release, labels, patient=patient)
    columns = tuple(words_in(known or ""))
    target = target_of_features(
        released, raw=matrices.get("--against"), public=matrices.get("--public"), known=columns
    )
    names = (*released.dataset.label_names, *columns)
    notes = (f"the label-only baseline knows: {', '.join(names)}",) if names else ()
    count = len(released.array)
    return Found(target, (*released.dataset.notes, *notes), 0, "features", (count, count))


def _write(own: OwnFolder, audit: Audit, found: Found, checksum: str) -> None:
    """Write all results, the verdict in words and as a picture, and the curves."""
    import json

    from deepfixcx.audit.verdict import answers
    from deepfixcx.errors import AuditError
    from deepfixcx.report.audit_page import audit_figure, audit_markdown
    from deepfixcx.report.drawing import figure_bytes

    said = answers(audit)
    content = {
        "format": "deepfixcx.audit",
        "version": 1,
        "release_checksum": checksum,
        "private_folder_known_by": found.binding,
        "images": audit.images,
        "records": found.records[1],
        "records_attacked": found.records[0],
        "patients": audit.patients,
        "full": audit.full,
        "seed": audit.seed,
        "notes": list(_notes(audit, found)),
        "answers": {each.question: each.word for each in said},
        "copies": _copies(audit),
        "top1_by_gallery": [each.to_dict() for each in audit.curves],
        "verdict": [f"{each.question} {each.word.capitalize()}. {each.sentence}" for each in said],
        "results": [each.to_dict() for each in audit.results],
        "not_tested": list(audit.untested),
    }
    try:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
        own.write(own.folder, "audit.json", text + "\n")
        page = audit_markdown(audit, checksum=checksum, notes=_notes(audit, found))
        own.write(own.folder, "verdict.md", page)
        own.write(own.folder, "verdict.png", figure_bytes(audit_figure(audit)))
        own.write(own.folder, "top1_by_gallery.png", figure_bytes(_curve_figure(audit.curves)))
    except OSError as error:
        raise AuditError(f"{str(own.folder)!r} cannot be written: {error.strerror}") from None


def _curve_figure(curves: Sequence[GalleryCurve]) -> Figure:
    """Draw how often the first hit is right against the number of records it is found among."""
    from matplotlib.figure import Figure

    modes = list(dict.fromkeys(curve.mode for curve in curves))
    names = list(dict.fromkeys(curve.attacker for curve in curves))
    figure = Figure(figsize=(3.6 * max(len(modes), 2) + 2.4, 4.2), layout="constrained")
    figure.suptitle("First hit of a search, by the size of the gallery", fontweight="bold")
    if not curves:
        figure.text(0.5, 0.5, "No patient has two images, so no search was possible.", ha="center")
        return figure
    panels = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for axes, mode in zip(panels, modes, strict=True):
        of_mode = [curve for curve in curves if curve.mode == mode]
        for curve in of_mode:
            number = names.index(curve.attacker) % len(COLOURS)
            style: dict[str, Any] = {"color": COLOURS[number], "label": curve.attacker}
            axes.plot(
                curve.strangers, [each.value for each in curve.top1], marker=MARKS[number],
                markersize=5, **style,
            )  # fmt: skip
            low, high = zip(*((each.low, each.high) for each in curve.top1), strict=True)
            axes.fill_between(curve.strangers, low, high, color=style["color"], alpha=0.12)
        longest = max(of_mode, key=lambda curve: curve.strangers[-1])
        axes.plot(longest.strangers, longest.chance, ":", color="#1a1a1a", label="chance")
        axes.set_title(MODES.get(mode, mode), fontsize=10)
        axes.set(xscale="log", ylim=(-0.02, 1.02), xlabel="records of other patients")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(color="#e4e4e4", linewidth=0.6)
    panels[0].set_ylabel("share of searches whose first hit\nis right (95 % CI, patients)")
    lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside right upper", frameon=False)
    return figure


def _notes(audit: Audit, found: Found) -> tuple[str, ...]:
    """Return what a reader should know, with the copies that were left out."""
    copies = audit.copies.notes() if audit.copies is not None else ()
    return (*found.notes, *audit.notes, *copies)


def _copies(audit: Audit) -> dict[str, int]:
    copies = audit.copies
    if copies is None:
        return {}
    return {
        "identical_pairs": copies.identical,
        "near_identical_pairs": copies.near,
        "pairs_across_patients": copies.across,
    }


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
        "private_folder_known_by": found.binding,
        "not_tested": list(audit.untested),
        "notes": list(_notes(audit, found)),
        "copies": _copies(audit),
        "seconds": round(seconds, 1),
        "folder": str(out),
    }


def _close(out: Path, audit: Audit, found: Found) -> None:
    from deepfixcx.audit.verdict import answers

    said = answers(audit)
    rows = [("attacked", f"{audit.images} images of {audit.patients} patients")]
    if found.failures:
        rows.append(("failed", f"{found.failures} originals could not be read"))
    rows += [("note", note) for note in _notes(audit, found)]
    for short, answer in zip(SHORT, said, strict=True):
        rows.append((short, f"{answer.word.capitalize()}. {answer.sentence}"))
    rows += [("not tested", each) for each in audit.untested[:1]]
    if len(audit.untested) > 1:
        rows.append(("", f"and {len(audit.untested) - 1} more, in verdict.md"))
    rows.append(("files", ", ".join(f"{out}/{name}" for name in FILES)))
    panel("audit", rows, good=not found.failures)
