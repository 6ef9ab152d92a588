"""Synthetic releases by command: their contents, their cost in epsilon, and attacks on them."""

from __future__ import annotations

import csv
import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepfixcx.cli._protecting import _labels
from deepfixcx.codec import Codec
from deepfixcx.datasets import Dataset
from deepfixcx.errors import MechanismError, ReleaseError
from deepfixcx.mechanisms import label_model, sensitivity
from deepfixcx.release import load_codes, load_records, verify_release
from deepfixcx.release.protected.budget import BUDGET
from deepfixcx.release.protected.writing import LIMITS, SYNTHETIC_LIMITS
from tests.release.conftest import contents
from tests.release.phantoms import CANARY, SPEC, Maker, read_dataset, write_dataset

pytestmark = pytest.mark.usefixtures("in_this_process")


def about(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "dataset.json").read_bytes())
    return found


def test_a_synthetic_release_is_marked_and_verifies(make: Maker, tmp_path: Path) -> None:
    summary = make("synthesis-2", tmp_path / "out")
    assert summary.images == 0
    assert summary.min_patients == 11
    assert summary.withheld == ()
    written = about(tmp_path / "out")
    assert written["records"]["synthetic"] is True  # type: ignore[index]
    assert written["mechanisms"][0]["synthetic"] is True  # type: ignore[index]
    assert load_records(tmp_path / "out").array.shape == (4 * 104, 2)
    assert written["limits"] == SYNTHETIC_LIMITS
    assert verify_release(tmp_path / "out").sound
    with (tmp_path / "out.private" / "members.csv").open() as file:
        assert list(csv.reader(file))[1:] == []
    held = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(CANARY.encode() in each for each in held)


def test_the_descriptions_of_a_synthetic_release_call_it_synthetic(
    make: Maker, tmp_path: Path
) -> None:
    make("synthesis-2", tmp_path / "synthetic")
    make("resampling", tmp_path / "other")
    for name in ("README.md", "croissant.json", "dcat.jsonld"):
        assert "ynthetic records" in (tmp_path / "synthetic" / name).read_text("utf-8")
        assert "ynthetic records" not in (tmp_path / "other" / name).read_text("utf-8")


def test_synthetic_codes_have_the_shape_of_codes(make: Maker, tmp_path: Path) -> None:
    make("synthesis-codes-2", tmp_path / "out")
    code, _ = load_codes(tmp_path / "out")
    assert code.array.shape == (4 * 104, *SPEC.code_shape(1))
    some = replace(code, array=code.array[:3], sizes=np.full((3, 2), 40))
    images = np.asarray(Codec(SPEC).decode(some))
    assert images.shape == (3, 1, 40, 40)
    assert 0.2 < images.mean() < 0.8
    assert about(tmp_path / "out")["records"]["synthetic"] is True  # type: ignore[index]


def test_a_release_that_calls_itself_real_does_not_verify(make: Maker, tmp_path: Path) -> None:
    make("synthesis-2", tmp_path / "out")
    path = tmp_path / "out" / "dataset.json"
    path.write_text(path.read_text().replace('"synthetic": true', '"synthetic": false'))
    found = verify_release(tmp_path / "out").contradictions
    assert any("synthetic" in each for each in found)


# -- with a budget --------------------------------------------------------------------------------


def test_a_budget_states_no_number_of_patients_behind_labels(make: Maker, tmp_path: Path) -> None:
    summary = make("synthesis-2-4", tmp_path / "out")
    records: Any = about(tmp_path / "out")["records"]
    assert (summary.min_patients, records["min_patients"]) == (0, 0)
    assert records["min_patients_positive"] == 0
    assert _labels(summary) == "pneumonia, effusion; drawn from noisy counts"


def test_records_of_images_do_not_verify_with_the_limits_of_synthetic_ones(
    make: Maker, tmp_path: Path
) -> None:
    make("mixing", tmp_path / "out")
    path = tmp_path / "out" / "dataset.json"
    path.write_text(path.read_text().replace(LIMITS, SYNTHETIC_LIMITS))
    found = verify_release(tmp_path / "out").contradictions
    assert any("the limits in dataset.json" in each for each in found)


def test_a_budget_is_spent_once_by_a_release_that_goes_on(make: Maker, tmp_path: Path) -> None:
    make("synthesis-2-4", tmp_path / "out", seed=3)
    before = contents(tmp_path / "out")
    for name in ("dataset.json", "records.safetensors"):
        (tmp_path / "out" / name).unlink()
    make("synthesis-2-4", tmp_path / "out", seed=3, resume=True)
    assert contents(tmp_path / "out") == before
    spent = json.loads((tmp_path / "out.private" / BUDGET).read_bytes())
    assert [each["share"] for each in spent["releases"]] == [0.8]


def test_late_labels_spend_the_rest_and_no_more(make: Maker, tmp_path: Path) -> None:
    """The first release has four fifths of rho, two later ones a tenth each; then it is spent."""
    late = [
        (read_dataset(make.root / "in", each), read_dataset(make.root / "public", each))
        for each in ("effusion", "effusion,pneumonia", "pneumonia,effusion")
    ]
    alone = read_dataset(make.root / "in", "pneumonia")
    first = read_dataset(make.root / "public", "pneumonia")
    out = tmp_path / "out"
    make("synthesis-2-4", out, dataset=alone, public=first)
    with pytest.raises(MechanismError, match="has the budget epsilon 4 and delta 1e-05"):
        make("synthesis-2-8", out, dataset=late[0][0], public=late[0][1], overwrite=True)
    for dataset, public in late[:2]:
        make("synthesis-2-4", out, dataset=dataset, public=public, overwrite=True)
    with pytest.raises(MechanismError, match="is spent by 3 releases"):
        make("synthesis-2-4", out, dataset=late[2][0], public=late[2][1], overwrite=True)
    # what was measured before may be drawn again
    make("synthesis-2-4", out, dataset=late[0][0], public=late[0][1], overwrite=True)
    spent = json.loads((tmp_path / "out.private" / BUDGET).read_bytes())
    rho = sensitivity.rho_of(4.0, 1e-5)
    total = sum(each["share"] for each in spent["releases"]) * rho
    assert sensitivity.epsilon_of(total, 1e-5) <= 4 * (1 + 1e-9)
    (tmp_path / "out.private" / BUDGET).write_text("{}")
    with pytest.raises(ReleaseError, match="restore it from a backup"):
        make("synthesis-2-4", out, dataset=alone, public=first, overwrite=True)


def test_a_patient_changes_nothing_but_what_noise_protects(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same secret, and sums that are drawn without a look at the patients: equal bytes.

    One of the releases lacks a patient whose labels no other has.
    """
    monkeypatch.setattr(secrets, "token_hex", lambda count=32: "5a" * count)

    def blind(values: np.ndarray, bound: float, rho: float) -> tuple[np.ndarray, float]:
        return np.full(values.shape[1], 50.0 * bound), bound / (2 * rho) ** 0.5

    monkeypatch.setattr(label_model, "noisy_sum", blind)
    root = write_dataset(tmp_path / "in", images=208)
    public = read_dataset(make.root / "public")
    whole = read_dataset(root)
    fewer: Dataset = whole.select(range(2, 208))
    one, other = tmp_path / "one", tmp_path / "other"
    make("synthesis-2-4", one, dataset=whole, public=public)
    make("synthesis-2-4", other, dataset=fewer, public=public)
    assert contents(one) == contents(other)
