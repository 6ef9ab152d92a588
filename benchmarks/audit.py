"""Attack codes of public X-rays in every way, and write the figures into docs/privacy.md."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.table import Table, put_section
from deepfixcx import Code, CodecSpec
from deepfixcx.audit.inference import above_median
from deepfixcx.audit.result import AttackResult
from deepfixcx.audit.suite import Audit, Target, audit_release
from deepfixcx.datasets import Dataset, load_dataset
from deepfixcx.learn.loading import encode_records, load_pixels
from deepfixcx.report import write_figure
from deepfixcx.report.audit_page import audit_figure

__all__ = ["audit_table", "main"]

ROOT = Path(__file__).resolve().parents[1]
LABELS = "pneumonia,effusion,infiltration,atelectasis"
SPECS = (CodecSpec(3, 4), CodecSpec(2, 19))
FIGURES = {
    "linkage": ("AUC", "precision@1"),
    "reconstruction": ("SSIM", "PSNR"),
    "inference": ("AUC",),
}


def target_of(dataset: Dataset, spec: CodecSpec, side: int) -> Target:
    """Encode a dataset, all of which is released."""
    codes = encode_records(dataset.records, spec).array
    images = load_pixels(dataset.records, side).array
    sizes = np.full((len(codes), 2), 320)  # of every image in the folder
    attributes = {
        "sex": [record.attributes.get("sex", "") for record in dataset.records],
        "age above the median": above_median(
            [record.attributes.get("age", "") for record in dataset.records]
        ),
        "view": [record.view or "" for record in dataset.records],
    }
    return Target(
        Code(codes, spec, sizes),
        images,
        codes,
        dataset.patients,
        labels=np.array(dataset.labels),
        attributes=attributes,
    )


def audit_table(audits: dict[str, Audit]) -> Table:
    """Lay out each attack in a row, and the settings side by side."""
    table = Table(["attack", "figure", "floor", "raw", *audits], words=2)
    rows: dict[tuple[str, str], dict[str, AttackResult]] = {}
    for setting, audit in audits.items():
        for each in audit.results:
            if each.figure in FIGURES.get(each.attack, ()):
                name = f"{each.attack}, {each.mode}, {each.attacker}"
                rows.setdefault((name, each.figure), {})[setting] = each
    for (name, figure), found in rows.items():
        first = next(iter(found.values()))
        cells = [f"{found[each].value}" if each in found else "" for each in audits]
        if not first.valid:
            cells = [f"{cell} (weak)" for cell in cells]
        raw = f"{first.raw:.3f}" if np.isfinite(first.raw) else ""
        table.add(name, figure, f"{first.floor:.3f}", raw, *cells)
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Attack every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--full", action="store_true", help="networks, too: an hour or so")
    parser.add_argument("--side", type=int, default=64, help="pixels a side of what is compared")
    parser.add_argument("--seed", type=int, default=0, help="of folds, attackers and intervals")
    parser.add_argument("--tiny", action="store_true", help="one setting, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    parser.add_argument("--picture", type=Path, help="file for the verdict on the first setting")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(words)
    data = options.data or Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data")
    dataset = load_dataset(data / "cxr_nih", labels=LABELS)
    audits = {}
    for spec in SPECS[:1] if options.tiny else SPECS:
        name = f"J={spec.level}, P={spec.grid_shape[0]}"
        target = target_of(dataset, spec, options.side)
        audits[name] = audit_release(
            target,
            full=options.full,
            seed=options.seed,
            report=lambda step, done, steps: print(f"{done}/{steps} {step}", flush=True),
        )
    first = next(iter(audits.values()))
    effort = " --full" if options.full else ""
    parts = [
        audit_table(audits).markdown(),
        f"Made by `python -m benchmarks.audit{effort} --side {options.side} --seed "
        f"{options.seed}`. Floor: the labels {LABELS.replace(',', ', ')} alone, or the mean image "
        f"of others. Raw: the same attacker on images of {options.side} × {options.side} pixels. "
        f"(weak): does not count, because raw is below 0.75. Floors and raw of the first setting.",
    ]
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, "audit", parts)
    if options.picture is not None:
        write_figure(options.picture, audit_figure(first, "Audit of codes of public X-rays"))
    if options.json is not None:
        told = {name: [each.to_dict() for each in audit.results] for name, audit in audits.items()}
        options.json.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
