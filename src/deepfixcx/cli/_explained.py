"""What ``explain --model`` explains, wherever it is, and the files that it writes of it."""

from __future__ import annotations

import io
import json as json_module
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx.cli._learning import LearningBar, find_listed, left_out
from deepfixcx.io.files import make_folder
from deepfixcx.io.folders import states_format
from deepfixcx.io.results import check_earlier, claimed_folder
from deepfixcx.io.tables import TableWriter, free_name
from deepfixcx.learn.prediction import OUTSIDE

if TYPE_CHECKING:
    from deepfixcx.code import Code
    from deepfixcx.datasets import Dataset, ImageRecord
    from deepfixcx.explain.attribution import Attribution
    from deepfixcx.explain.cohort import Bias
    from deepfixcx.learn.classifier import Classifier

__all__ = [
    "DIFFUSE",
    "IMAGES",
    "SUMMARY_FIGURE",
    "TABLE",
    "Explained",
    "check_out",
    "read_codes",
    "write_explanations",
]

UNKNOWN_OVERLAP = "unknown whether these images were among them"
UNKNOWN_FOLDER = "a folder of images without known labels or patients"
UNKNOWN_TABLE = "a table of images without known labels"


@dataclass(frozen=True, eq=False, slots=True)
class Explained:
    """Codes and what is known of their images."""

    code: Code
    names: tuple[str, ...]
    places: NDArray[np.int64]
    failures: dict[int, tuple[str, str]]
    note: str
    overlap: str = UNKNOWN_OVERLAP
    other_colours: int = 0
    patients: NDArray[np.str_] | None = None
    groups: NDArray[np.str_] | None = None
    labels: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()
    outside: NDArray[np.bool_] | None = None
    records: tuple[ImageRecord, ...] = ()  # of the images, in the order of the codes


def read_codes(
    classifier: Classifier, where: Path, patient: str | None, workers: int, figures: int
) -> Explained:
    """Read the codes that a model is to be explained on."""
    from deepfixcx.code import Code
    from deepfixcx.errors import ModelError
    from deepfixcx.io.release_files import holds_codes
    from deepfixcx.release import Release

    if not os.path.exists(where):
        raise ModelError(f"there is no file or folder {str(where)!r} to explain; check the path")
    of_codes = where.suffix.lower() == ".safetensors" and where.is_file()
    if patient is not None and (of_codes or holds_codes(where)):
        raise ModelError(f"--patient requires a table, and {str(where)!r} is not one; omit it")
    if holds_codes(where):
        code, ids = Release.open(where).codes(classifier.channels)
        return _of_code(classifier, code, ids, "a release")
    if of_codes:
        code = Code.load(where)
        names = [f"{where.name}:{row}" for row in range(len(code))]
        return _of_code(classifier, code, names, "a file of codes")
    if classifier.options.spec is not None and classifier.options.spec.ndim == 3:
        raise ModelError("a model on volumes is explained on a release or a file of their codes")
    dataset, note, overlap = _dataset(classifier, where, patient)
    if dataset is not None:
        names = [_below(record.path, dataset.root) for record in dataset.records]
        found = _of_records(classifier, dataset.records, names, note, workers, figures)
        known = dataset.select(found.places)
        views = np.array([record.view or "" for record in known.records], np.str_)
        return replace(
            found,
            overlap=overlap,
            patients=known.patients if known.has_patients else None,
            groups=views if len(np.unique(views[views != ""])) > 1 else None,
            labels=known.labels,
            notes=left_out(dataset),
        )
    return _of_files(classifier, where, patient, note, workers, figures)


def _dataset(
    classifier: Classifier, where: Path, patient: str | None
) -> tuple[Dataset | None, str, str]:
    """Read a dataset that has the labels of the model, if it is one."""
    from deepfixcx.datasets import load_dataset
    from deepfixcx.errors import DatasetError
    from deepfixcx.io.tables import has_table_name
    from deepfixcx.learn.parts import fingerprint

    if where.is_file() and not has_table_name(where.name):
        return None, "an image", ""
    try:
        dataset = load_dataset(where, labels=list(classifier.label_names), patient=patient)
    except DatasetError:
        return None, UNKNOWN_FOLDER, ""
    if not len(dataset):
        return None, UNKNOWN_FOLDER, ""
    if fingerprint(dataset) == classifier.dataset:
        places = classifier.rules.places(dataset, "test")
        note = "the test part of the dataset that the model was trained on"
        return (
            dataset.select(places),
            note,
            ("the explained images are its test part and were not used for training"),
        )
    return (
        dataset,
        "a dataset with labels",
        f"{UNKNOWN_OVERLAP}: this is another dataset",
    )


def _of_files(
    classifier: Classifier, where: Path, patient: str | None, note: str, workers: int, figures: int
) -> Explained:
    """Read images whose labels are not known: of a table, of a folder, or the one that is given."""
    from deepfixcx.datasets import ImageRecord
    from deepfixcx.errors import ModelError

    listed = find_listed(where, patient)
    if listed is None:
        records, names = _files(where)
        return _of_records(classifier, records, names, note, workers, figures)
    if not listed.paths:
        why = f": {listed.bad[0][1]}" if listed.bad else ""
        raise ModelError(f"{where.name!r} lists no image to explain{why}")
    records = [ImageRecord(path) for path in listed.paths]
    found = _of_records(classifier, records, listed.names, UNKNOWN_TABLE, workers, figures)
    patients = np.array(listed.patients, np.str_)[found.places]
    bad = {len(listed.names) + row: ("RowError", why) for row, (_, why) in enumerate(listed.bad)}
    return replace(
        found,
        names=(*found.names, *(name for name, _ in listed.bad)),
        failures=found.failures | bad,
        patients=patients if (patients != "").all() else None,
    )


def _files(where: Path) -> tuple[list[ImageRecord], list[str]]:
    """List the images in a folder, or the one that is given."""
    from deepfixcx.datasets import ImageRecord
    from deepfixcx.datasets.files import list_images
    from deepfixcx.errors import ModelError

    if not where.is_dir():
        return [ImageRecord(where)], [where.name]
    found, closed = list_images(where)
    paths = sorted([*found, *(path for path, _ in closed)])
    if not paths:
        raise ModelError(f"{str(where)!r} holds no image to explain")
    return [ImageRecord(path) for path in paths], [_below(path, where) for path in paths]


def _of_code(classifier: Classifier, code: Code, names: Sequence[str], note: str) -> Explained:
    from deepfixcx.errors import ModelError

    if code.spec != classifier.options.spec or code.channels != classifier.channels:
        raise ModelError(
            f"this model takes codes of {classifier.options.spec} with {classifier.channels} "
            f"channels, and the given codes are of {code.spec} with {code.channels}"
        )
    return Explained(code, tuple(names), np.arange(len(code)), {}, note)


def _of_records(
    classifier: Classifier,
    records: Sequence[ImageRecord],
    names: Sequence[str],
    note: str,
    workers: int,
    figures: int,
) -> Explained:
    from deepfixcx.code import Code
    from deepfixcx.errors import ImageFileError, ModelError
    from deepfixcx.images import inspect_image, read_image

    spec = classifier.options.spec
    if spec is None:
        raise ModelError("this model takes original images, so there are no codes to explain")
    with LearningBar() as bar:
        loaded = classifier.load(records, workers=workers, report=bar.read)
    sizes = np.tile(np.array(spec.compact_shape(), np.int64), (len(loaded.array), 1))
    for row, place in enumerate(loaded.places[:figures]):
        try:
            sizes[row] = read_image(records[place].path).pixels.shape[-2:]
        except ImageFileError:  # it was read a moment ago; a square will do
            continue
    facts = (inspect_image(records[place].path, decode=False) for place in loaded.places)
    others = sum(each.channels not in (0, classifier.channels) for each in facts)
    failures = {each.place: (each.error, each.reason) for each in loaded.failures}
    code = Code(loaded.array, spec, sizes)
    return Explained(
        code, tuple(names), loaded.places, failures, note, other_colours=others,
        records=tuple(records[place] for place in loaded.places),
    )  # fmt: skip


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


SUMMARY, SUMMARY_FIGURE, TABLE, IMAGES = "model.json", "model.png", "images.csv", "images"

REASONS = 10
FAR = "This image lies outside the range of the training images: its score is not reliable."
DIFFUSE = "reasons are diffuse: none is larger than chance"


def check_out(out: Path, figures: int, *, overwrite: bool) -> None:
    """Refuse, before any work, a folder that cannot or should not be written."""
    from deepfixcx.errors import ExplanationError

    if not out.exists() and not out.parent.is_dir():
        raise ExplanationError(
            f"the folder {str(out.parent)!r}, in which {out.name!r} would be made, does not "
            "exist; create it or choose another folder"
        )
    if states_format(out / SUMMARY):
        raise ExplanationError(f"{str(out)!r} holds a model; choose another folder with -o")
    names = [TABLE, SUMMARY, SUMMARY_FIGURE, *_names(figures)]
    check_earlier(out, names, "an explanation", overwrite=overwrite)


def _names(figures: int) -> list[str]:
    """Return the files of images that have their own figures."""
    return [f"{IMAGES}/{row + 1:04d}.{kind}" for row in range(figures) for kind in ("png", "json")]


def write_explanations(
    out: Path,
    found: Explained,
    why: Attribution,
    bias: Bias | None,
    *,
    shown: Attribution,
    threshold: float,
    originals: bool,
    overwrite: bool,
) -> int:
    """Write everything; return how many images have figures, those of the attribution `shown`.

    The table of images comes last.
    """
    from deepfixcx.errors import ExplanationError
    from deepfixcx.report.drawing import figure_bytes
    from deepfixcx.report.explained_model import attribution_figure, bias_figure
    from deepfixcx.report.explained_volume import volume_attribution_figure, volume_bias_figure

    count, volumes = len(shown), why.code.spec.ndim == 3
    try:
        with claimed_folder(out, ExplanationError) as own:
            check_out(out, count, overwrite=overwrite)
            earlier = [name for name in own.listed if name.startswith(f"{IMAGES}/")]
            own.remove(out, [TABLE, SUMMARY, SUMMARY_FIGURE, *earlier])
            make_folder(out / IMAGES)
            for row in range(count):
                picture, values = _names(row + 1)[-2:]
                far = None if found.outside is None else bool(found.outside[row])
                note = FAR if far else ""
                if volumes:
                    title = f"volume {row + 1}"
                    drawn = volume_attribution_figure(shown, row, title=title, note=note)
                else:
                    original = _original(found, row) if originals else None
                    drawn = attribution_figure(
                        shown, row, title=f"image {row + 1}", original=original, note=note
                    )
                own.write(out, picture, figure_bytes(drawn))
                own.write(out, values, _as_json(_image_values(shown, row, threshold, outside=far)))
            if bias is not None:
                summary = volume_bias_figure(bias) if volumes else bias_figure(bias)
                own.write(out, SUMMARY_FIGURE, figure_bytes(summary))
                own.write(out, SUMMARY, _as_json(bias.to_dict()))
            own.write(out, TABLE, _table(found, why, count))
    except OSError as error:
        raise ExplanationError(f"{str(out)!r} cannot be written: {error.strerror}") from None
    return count


def _original(found: Explained, row: int) -> NDArray[np.float32] | None:
    """Read an image again to draw it; None where the file changed and cannot be read any more."""
    from deepfixcx.errors import ImageFileError
    from deepfixcx.images import read_image
    from deepfixcx.packets import pixel_scale

    try:
        pixels = read_image(found.records[row].path).pixels[0]
    except ImageFileError:
        return None
    scaled: NDArray[np.float32] = pixels.astype(np.float32) * pixel_scale(pixels)
    return scaled


def _score(why: Attribution, row: int) -> float:
    """Return the probability of a positive, or the output of an unknown kind of model."""
    from deepfixcx.explain.models import LOG_ODDS

    output = float(why.outputs[row])
    return float((1 + np.tanh(output / 2)) / 2) if why.unit == LOG_ODDS else output


def _image_values(
    why: Attribution, row: int, threshold: float, *, outside: bool | None
) -> dict[str, Any]:
    """Return what is known of one image, as JSON values that name no file."""
    one = why[row]
    score = _score(why, row)
    values: dict[str, Any] = {
        "image": row + 1,
        "label": one.label,
        "score": round(score, 6),
        "yes": bool(score >= threshold),
        "method": one.method,
        "unit": one.unit,
        "output": round(float(one.outputs[0]), 6),
        "baseline_output": round(float(one.baseline_outputs[0]), 6),
        "completeness_error": round(float(one.completeness_error[0]), 6),
        "spec": one.code.spec.to_dict(),
        "outside_range": outside,
        "reasons_of_five_with_other_baselines": None
        if one.stable is None
        else round(float(one.stable[0]), 3),
        "reasons": [
            {
                "words": each.words,
                "cell": None if each.cell is None else list(each.cell),
                "amount": round(each.amount, 6),
                "share": round(each.share, 6),
                "chance": None if each.chance is None else round(each.chance, 6),
                "beyond_chance": each.stands_out,
                "with_other_baselines": None
                if each.range is None
                else [round(amount, 6) for amount in each.range],
            }
            for each in one.top(REASONS)
        ],
    }
    if one.resolves != "band":
        values["cells"] = np.round(one.spatial()[0].astype(np.float64), 6).tolist()
    if one.resolves != "place":
        amounts = one.edge_groups()[0].astype(np.float64)
        values["edges"] = {
            str(group): round(float(amount), 6)
            for group, amount in zip(one.groups, amounts, strict=True)
        }
    return values


def _as_json(values: dict[str, Any]) -> bytes:
    text = json_module.dumps(values, indent=2, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"


def _table(found: Explained, why: Attribution, figures: int) -> str:
    """Return a table of all images: file, its figure, score, strongest reason, or error."""
    text = io.StringIO()
    table = TableWriter(text)
    before, after = ["file", "figure"], ["strongest_reason", "error", "reason"]
    taken = {*before, *after}
    score = free_name(f"{why.label}_score", "_score", taken) if why.label in taken else why.label
    table.writerow([*before, score, *after])
    row_of = {int(place): row for row, place in enumerate(found.places)}
    for place, name in enumerate(found.names):
        row = row_of.get(place)
        if row is None:
            table.writerow([name, "", "", "", *found.failures[place]])
            continue
        figure = f"{IMAGES}/{row + 1:04d}.png" if row < figures else ""
        reasons = why.reasons(1, row)
        words = str(reasons[0]) if reasons else DIFFUSE
        far = found.outside is not None and found.outside[row]
        score_words = f"{_score(why, row):.6f}"
        table.writerow([name, figure, score_words, words, "", OUTSIDE if far else ""])
    return text.getvalue()
