"""Audit and protect a table of features that another program wrote, with a column of patients."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from deepfixcx.audit.suite import audit_release
from deepfixcx.audit.target import target_of_features
from deepfixcx.audit.verdict import answers
from deepfixcx.datasets import read_features
from deepfixcx.experiments.frontier import FrontierOptions, run_frontier


def write_table(path: Path, patients: int = 200) -> None:
    """Write features of two visits of each patient: nature, a disease, and what changes."""
    generator = np.random.default_rng(0)
    owner = np.repeat(np.arange(patients), 2)
    sick = (np.arange(patients) % 2)[owner]
    features = generator.normal(size=(patients, 32))[owner]
    features += generator.normal(0, 0.4, features.shape)
    features[:, 0] += 3 * sick
    names = [f"patient {number}" for number in owner]
    np.savez(path, embedding=features.astype(np.float32), patient_id=names, sick=sick)


def main() -> None:
    """Print what an audit finds, and which mechanism keeps the label."""
    folder = Path(tempfile.mkdtemp())
    path, label = folder / "features.npz", "sick"
    if len(sys.argv) > 2:
        path, label = Path(sys.argv[1]), sys.argv[2]
    else:
        write_table(path)
    matrix = read_features(path, label)
    audit = audit_release(target_of_features(matrix), samples=100)
    for answer in answers(audit):
        print(f"{answer.question} {answer.word}. {answer.sentence}")
    options = FrontierOptions(mechanisms=("plain", "projection"), seeds=1)
    frontier = run_frontier(matrix, folder / "frontier", options)
    for row in frontier.rows:
        print(f"{row.mechanism}: {row.numbers} values, linkage {row.interval('linkage')}")
    best = max(row.interval("auc").value for row in frontier.rows)
    print(f"AUC of other patients, {label}: {best:.3f}")


if __name__ == "__main__":
    main()
