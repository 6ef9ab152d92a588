"""``deepfixcx explain --model``: why a model decided, image by image and on the whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from deepfixcx._words import counted
from deepfixcx.cli._console import SOME_FAILED, default_workers, panel, reason_rows, write_json
from deepfixcx.cli._explained import (
    IMAGES,
    SUMMARY_FIGURE,
    TABLE,
    check_out,
    write_explanations,
)
from deepfixcx.cli._learning import range_rows, see_own_modules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepfixcx.cli._explained import Explained
    from deepfixcx.explain.attribution import Attribution
    from deepfixcx.explain.cohort import Bias
    from deepfixcx.learn.classifier import Classifier

__all__ = ["can_explain", "explain_with_model"]

FIGURES = 12
"""Images that have a figure of their own, if the user does not say."""

FEWEST = 10
"""A model is summed up on so many images or more."""

SHOWN_FINDINGS = 3


def explain_with_model(
    model: Path,
    where: Path,
    out: Path,
    *,
    label: str | None,
    patient: str | None,
    method: str,
    baseline: str,
    images: int | None,
    show_original: bool,
    network: str | None,
    device: str,
    workers: int | None,
    overwrite: bool,
    json: Path | None,
) -> None:
    """Explain the answers of a trained model, and write figures and tables."""
    from deepfixcx.cli._explained import read_codes
    from deepfixcx.errors import ExplanationError, ModelError
    from deepfixcx.explain.methods import METHODS, with_other_baselines
    from deepfixcx.explain.models import BASELINES
    from deepfixcx.learn.model_folder import load_model

    figures = FIGURES if images is None else images
    if method not in METHODS:
        raise ExplanationError(f"--method is one of {', '.join(METHODS)}; got {method!r}")
    if baseline not in BASELINES:
        raise ExplanationError(f"--baseline is one of {', '.join(BASELINES)}; got {baseline!r}")
    if figures < 0:
        raise ExplanationError(f"--images is a number from 0, got {figures}")
    check_out(out, figures, overwrite=overwrite)
    see_own_modules(network)
    classifier = load_model(model, network=network, device=device)
    if classifier.options.spec is None:
        raise ExplanationError(
            "this model was trained on original images, so codes cannot explain it; train one "
            "on codes (mlp, logistic) or with --on images"
        )
    if not can_explain(classifier):
        raise ExplanationError(
            "this model was trained on records without position or scale, so it cannot be "
            "explained; train one on codes"
        )
    target = classifier.label_names[0] if label is None else label
    if target not in classifier.label_names:
        there = ", ".join(classifier.label_names)
        raise ExplanationError(f"the model has no label {target!r}; there are {there}")
    found = read_codes(
        classifier, where, patient, default_workers() if workers is None else workers, figures
    )
    if show_original and not found.records:
        raise ExplanationError(
            f"--show-original requires images, and {str(where)!r} holds codes; omit it"
        )
    if not len(found.code):
        error, reason = next(iter(found.failures.values()))
        what = "IN, the image to explain" if where.is_file() else "no image can be read; the first"
        raise ModelError(f"{what}: {error}: {reason}")
    if classifier.mechanism is None:
        found = replace(found, outside=classifier.outside(found.code.array))
    why, bias = _explain(classifier, found, target, method, baseline)
    shown = with_other_baselines(classifier, why[:figures], method=method) if figures else why[:0]
    threshold = classifier.thresholds[classifier.label_names.index(target)]
    written = write_explanations(
        out, found, why, bias, shown=shown, threshold=threshold, originals=show_original,
        overwrite=overwrite,
    )  # fmt: skip
    trained = _trained_on(classifier, target)
    stable = None if shown.stable is None else round(float(shown.stable.mean()), 3)
    facts = {"images_train": trained.images, "reasons_of_five_with_other_baselines": stable}
    write_json(json, _figures(found, why, bias, baseline, written, out) | facts)
    _close(found, why, bias, baseline, written, out, trained, stable)
    if found.failures:
        raise typer.Exit(SOME_FAILED)


def can_explain(classifier: Classifier) -> bool:
    """Return whether a model sees codes, whose numbers have a place and a scale."""
    of_codes = classifier.mechanism is None or classifier.mechanism.makes_codes
    return classifier.options.spec is not None and of_codes


def _explain(
    classifier: Classifier, found: Explained, target: str, method: str, baseline: str
) -> tuple[Attribution, Bias | None]:
    """Explain every image, and sum the model up where there are enough of them."""
    from deepfixcx.explain.cohort import bias as sum_up
    from deepfixcx.explain.methods import explain_codes

    if len(found.code) < FEWEST:
        why = explain_codes(classifier, found.code, method=method, baseline=baseline, target=target)
        return why, None
    number = classifier.label_names.index(target)
    summed = sum_up(
        classifier,
        found.code,
        method=method,
        baseline=baseline,
        target=target,
        patients=found.patients,
        labels=None if found.labels is None else found.labels[:, number],
        groups=found.groups,
    )
    return summed.attribution, summed


# -- the end ----------------------------------------------------------------------------------


def _figures(
    found: Explained, why: Attribution, bias: Bias | None, baseline: str, written: int, out: Path
) -> dict[str, Any]:
    return {
        "command": "explain",
        "images": len(found.names),
        "images_explained": len(why),
        "images_in_other_colours": found.other_colours,
        "images_failed": len(found.failures),
        "images_outside_range": None if found.outside is None else int(found.outside.sum()),
        "images_with_reasons": sum(bool(why.reasons(1, row)) for row in range(len(why))),
        "figures": written,
        "label": why.label,
        "method": why.method,
        "baseline": baseline,
        "completeness_error": round(float(np.median(why.completeness_error)), 6),
        "findings": None if bias is None else [each.to_dict() for each in bias.findings],
        "detectable": None if bias is None else bias.detectable,
        "folder": str(out),
    }


@dataclass(frozen=True, slots=True)
class _Trained:
    """How many images a model learned from, and the share of them with the label, if known."""

    images: int | None
    share: float | None

    @property
    def words(self) -> str:
        """Both in a line; empty where the model does not say."""
        if self.images is None:
            return ""
        said = counted(self.images, "image")
        if self.share is None:
            return said
        count = self.share * self.images
        if abs(count - round(count)) > 1e-3:  # the label of some is not known
            return f"{said}, {100 * self.share:.0f} % of those with a known label positive"
        return f"{said}, {round(count):,} of them positive ({100 * self.share:.0f} %)"


def _trained_on(classifier: Classifier, target: str) -> _Trained:
    facts = classifier.facts
    images, shares = facts.get("images_train"), facts.get("prevalence")
    share = shares.get(target) if isinstance(shares, dict) else None
    return _Trained(
        images if isinstance(images, int) else None, share if isinstance(share, float) else None
    )


def _close(
    found: Explained,
    why: Attribution,
    bias: Bias | None,
    baseline: str,
    written: int,
    out: Path,
    trained: _Trained,
    stable: float | None,
) -> None:
    failed = len(found.failures)
    images = counted(len(found.names), "image")
    positives = "" if found.labels is None else _positives(found.labels[:, why.target], why.label)
    rows = [("explained", f"{len(why)} of {images}: {found.note}{positives}")]
    rows += range_rows(found.outside, len(why))
    if trained.words:
        rows.append(("trained on", f"{trained.words}; {found.overlap}"))
    if found.other_colours:
        rows.append(("note", _colour_words(found)))
    rows += [("note", note) for note in found.notes]
    if failed:
        rows.append(("failed", f"{failed}, listed in {TABLE}"))
        reasons = Counter(f"{error}: {reason}" for error, reason in found.failures.values())
        rows += reason_rows(reasons.most_common())
    against = {"mean": "the mean code", "details": "the code without details", "zeros": "black"}
    compared = (
        ("images drawn from the explained ones")
        if why.method == "gradient SHAP"
        else against[baseline]
    )
    rows.append(("label", f"{why.label}, by {why.method}, against {compared}"))
    error = np.median(why.completeness_error)
    if not why.method.startswith("occlusion"):
        rows.append(("unexplained", f"{100 * error:.2g} % of a score's change (median)"))
    if why.chance is not None:
        known = sum(bool(why.reasons(1, row)) for row in range(len(why)))
        rows.append(
            ("reasons", f"larger than chance in {known:,} of {len(why):,}; diffuse in others")
        )
    if stable is not None:
        rows.append(("baseline", f"{stable:.1f} of 5 reasons stay with another baseline (mean)"))
    if bias is None:
        rows.append(("model", f"no summary over images; {FEWEST} images or more are needed"))
    else:
        found_shortcuts = [each.words for each in bias.findings[:SHOWN_FINDINGS]]
        found_shortcuts = found_shortcuts or ["none found; this is no proof of absence"]
        if bias.detectable is None:
            found_shortcuts.append("places and bands are searched in 20 images or more")
        else:
            weakest = f"{bias.detectable:.2g} {why.unit}"
            found_shortcuts.append(f"weakest effect that the search would find: {weakest}")
        rows += [("shortcuts" if not n else "", words) for n, words in enumerate(found_shortcuts)]
        rows.append(("summary", str(out / SUMMARY_FIGURE)))
    rows.append(("figures", f"{written} in {out / IMAGES}"))
    rows.append(("table", f"{out / TABLE}  contains file names; protect it like the files"))
    panel("explain", rows, good=not failed)


def _positives(labels: NDArray[np.float32], label: str) -> str:
    """Say how many of the images have the label, as far as that is known."""
    known = labels[~np.isnan(labels)]
    return f"; {int(known.sum()):,} of {len(known):,} with a known label have {label}"


def _colour_words(found: Explained) -> str:
    """Say what a model saw of images that are in colour where it is of gray ones, or are not."""
    several = counted(found.other_colours, "image is", "images are")
    if found.code.channels == 1:
        return f"{several} in colour and the model takes gray images: it received the brightness"
    return f"{several} gray and the model takes colour images: it received three equal channels"
