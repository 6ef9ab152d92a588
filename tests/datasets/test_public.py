"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import deepfixcx.datasets

PUBLIC = [
    *("LAYOUTS", "MIMIC_NEGBIO", "PUBLISHED", "Columns", "Dataset", "FeatureMatrix"),
    *(
        "ImageRecord",
        "Labels",
        "Problem",
        "Published",
        "Split",
        "find_duplicates",
        "folds_by_patient",
        "load_dataset",
    ),
    *("official_split", "read_features", "read_folder", "read_published", "read_table"),
    "split_by_patient",
]


def test_public_names_are_these() -> None:
    assert deepfixcx.datasets.__all__ == PUBLIC
    assert all(hasattr(deepfixcx.datasets, name) for name in PUBLIC)


def test_importing_loads_nothing_heavy() -> None:
    script = (
        "import sys, deepfixcx.datasets; "
        "print(*{name.partition('.')[0] for name in sys.modules} & "
        "{'torch', 'pandas', 'sklearn', 'PIL', 'pydicom', 'matplotlib', 'numba'})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=240
    )
    assert ran.stdout.strip() == ""
