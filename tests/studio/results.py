"""Small results of other commands, in the formats that those write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from deepfixcx.audit.result import QUESTIONS, AttackResult
from deepfixcx.experiments.rows import FrontierRow, Row, frontier_as_csv, sweep_as_csv
from deepfixcx.measures import Interval

__all__ = ["attack", "write_results"]


def attack(
    name: str, mode: str, attacker: str, figure: str, value: float, floor: float, **others: object
) -> dict[str, object]:
    interval = Interval(value, value - 0.04, value + 0.04)
    gain = Interval(value - floor, value - floor - 0.04, value - floor + 0.04)
    given = {"control": floor, "raw": 0.86, "n": 99, "seed": 0, "reference": "", **others}
    result = AttackResult(name, mode, attacker, figure, interval, 0.5, floor, gain, **given)  # type: ignore[arg-type]
    return result.to_dict()


def write_results(folder: Path) -> None:
    """Write an audit, a frontier, a sweep and an evaluation below a folder."""
    weak = {"valid": False, "reason": "on raw images the same attacker reaches 0.700"}
    results = [
        attack("linkage", "released-released", "distance", "AUC", 0.74, 0.62, **weak),
        attack("linkage", "released-raw", "whitening", "AUC", 0.81, 0.62),
        attack("linkage", "released-raw", "whitening + labels", "AUC", 0.84, 0.62),
        attack("linkage", "released-raw", "labels", "AUC", 0.66, 0.5),
        attack("reconstruction", "codes", "ridge", "SSIM", 0.54, 0.49),
        attack("reconstruction", "codes", "ridge", "PSNR", 18.2, 16.9),
        attack("inference", "sex", "logistic", "AUC", 0.83, 0.5),
    ]
    audit = {
        "format": "deepfixcx.audit",
        "version": 1,
        "results": results,
        "images": 208,
        "patients": 99,
        "full": False,
        "notes": ["2 pairs of identical images were left out"],
        "answers": {QUESTIONS[1]: "yes", QUESTIONS[2]: "not shown", QUESTIONS[4]: "not tested"},
        "verdict": ["Can records be linked? Yes. In 81 of 100 pairs."],
        "not_tested": ["Membership in a released model was not tested."],
    }
    (folder / "shared.audit").mkdir(parents=True)
    (folder / "shared.audit" / "audit.json").write_text(json.dumps(audit), "utf-8")
    generator = np.random.default_rng(0)
    rows = []
    for level, patches in ((2, 6), (3, 4)):
        for name, auc, linkage in (
            ("plain", 0.87, 0.8),
            ("blur", 0.8, 0.78),
            ("mixing-3", 0.85, 0.62),
        ):
            shift = float(generator.uniform(-0.01, 0.01))
            figures = {"auc": auc + shift, "auc_low": auc - 0.03, "auc_high": auc + 0.03}
            figures |= {"linkage": linkage + shift, "linkage_low": linkage - 0.03}
            figures |= {"linkage_high": linkage + 0.03, "floor_raw": 0.6}
            rows.append(FrontierRow(level, patches, name, 4**level * patches**2, figures))
    (folder / "frontier").mkdir()
    (folder / "frontier" / "frontier.csv").write_text(frontier_as_csv(rows), "utf-8")
    swept = [Row(figures={"auc": 0.83, "auc_low": 0.79, "auc_high": 0.87})]
    for level in (1, 2, 3):
        for patches in (2, 4, 8):
            auc = 0.7 + 0.04 * level + 0.01 * patches
            numbers = {"numbers": 4.0**level * patches**2, "share": 0.01 * patches}
            swept.append(
                Row(
                    level,
                    patches,
                    numbers | {"auc": auc, "auc_low": auc - 0.04, "auc_high": auc + 0.04},
                )
            )
    (folder / "sweep").mkdir()
    (folder / "sweep" / "sweep.csv").write_text(sweep_as_csv(swept), "utf-8")
    labels = [{"label": "pneumonia", "auc": Interval(0.87, 0.83, 0.90).to_dict()}]
    evaluation = {"command": "evaluate", "labels": labels, "part": "test", "images": 60}
    evaluation |= {"patients": 41, "images_failed": 1, "notes": ["copies of training images"]}
    (folder / "evaluation.json").write_text(json.dumps(evaluation), "utf-8")
