"""The files that ``explain --model`` writes: figures and JSON, and one table that names files."""

from __future__ import annotations

import io
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfixcx.io.files import make_folder
from deepfixcx.io.folders import states_format
from deepfixcx.io.results import check_earlier, claimed_folder
from deepfixcx.io.tables import TableWriter, free_name
from deepfixcx.learn.prediction import OUTSIDE

if TYPE_CHECKING:
    from deepfixcx.cli._explained_codes import Explained
    from deepfixcx.explain.attribution import Attribution
    from deepfixcx.explain.cohort import Bias

__all__ = ["IMAGES", "SUMMARY_FIGURE", "TABLE", "check_out", "write_explanations"]

SUMMARY, SUMMARY_FIGURE, TABLE, IMAGES = "model.json", "model.png", "images.csv", "images"

REASONS = 10
FAR = "This image lies outside the range of the training images: its score may mean little."
DIFFUSE = "reasons are diffuse: none is larger than chance"


def check_out(out: Path, figures: int, *, overwrite: bool) -> None:
    """Refuse, before any work, a folder that cannot or should not be written."""
    from deepfixcx.errors import ExplanationError

    if not out.exists() and not out.parent.is_dir():
        raise ExplanationError(
            f"the folder {str(out.parent)!r}, in which {out.name!r} would be made, does not "
            "exist; create it or choose another place"
        )
    if states_format(out / SUMMARY):
        raise ExplanationError(f"{str(out)!r} holds a model; choose another folder with -o")
    names = [TABLE, SUMMARY, SUMMARY_FIGURE, *_names(figures)]
    check_earlier(out, names, "an explanation", overwrite=overwrite)


def _names(figures: int) -> list[str]:
    """Return the files of images of which each has figures of its own."""
    return [f"{IMAGES}/{row + 1:04d}.{kind}" for row in range(figures) for kind in ("png", "json")]


def write_explanations(
    out: Path,
    found: Explained,
    why: Attribution,
    bias: Bias | None,
    *,
    figures: int,
    threshold: float,
    overwrite: bool,
) -> int:
    """Write everything; return how many images have figures. The table of images comes last."""
    from deepfixcx.errors import ExplanationError
    from deepfixcx.report.drawing import figure_bytes
    from deepfixcx.report.explained_model import attribution_figure, bias_figure

    count = min(figures, len(why))
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
                drawn = attribution_figure(why, row, title=f"image {row + 1}", note=note)
                own.write(out, picture, figure_bytes(drawn))
                shown = _image_values(why, row, threshold, outside=far)
                own.write(out, values, _as_json(shown))
            if bias is not None:
                own.write(out, SUMMARY_FIGURE, figure_bytes(bias_figure(bias)))
                own.write(out, SUMMARY, _as_json(bias.to_dict()))
            own.write(out, TABLE, _table(found, why, count))
    except OSError as error:
        raise ExplanationError(f"{str(out)!r} cannot be written: {error.strerror}") from None
    return count


def _score(why: Attribution, row: int) -> float:
    """Return the probability of yes, or the output of a model of which no more is known."""
    from deepfixcx.explain.models import LOG_ODDS

    output = float(why.outputs[row])
    return float((1 + np.tanh(output / 2)) / 2) if why.unit == LOG_ODDS else output


def _image_values(
    why: Attribution, row: int, threshold: float, *, outside: bool | None
) -> dict[str, Any]:
    """Return what is known of one image, as JSON values that name no file."""
    from deepfixcx.explain.naming import band_groups

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
        "reasons": [
            {
                "words": each.words,
                "amount": round(each.amount, 6),
                "share": round(each.share, 6),
                "chance": None if each.chance is None else round(each.chance, 6),
                "beyond_chance": each.stands_out,
            }
            for each in one.top(REASONS)
        ],
    }
    if one.tells != "band":
        values["cells"] = np.round(one.spatial()[0].astype(np.float64), 6).tolist()
    if one.tells != "place":
        amounts = one.edge_groups()[0].astype(np.float64)
        values["edges"] = {
            str(group): round(float(amount), 6)
            for group, amount in zip(band_groups(one.level), amounts, strict=True)
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
