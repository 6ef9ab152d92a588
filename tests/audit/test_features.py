"""Attacks on features of any encoder: identity is found, constants are not, and copies are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from deepfixcx.audit.result import figure_of
from deepfixcx.audit.suite import Audit, audit_release
from deepfixcx.audit.target import target_of_features
from deepfixcx.audit.verdict import answers
from deepfixcx.cli.app import app
from deepfixcx.datasets import FeatureMatrix
from deepfixcx.errors import AuditError
from tests.audit.making import make_population

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def matrix_of(features: np.ndarray, owners: np.ndarray) -> FeatureMatrix:
    sex = ["F" if owner % 3 else "M" for owner in owners]
    return FeatureMatrix.of(
        features, [f"p{owner}" for owner in owners], {"sick": (owners % 2).tolist(), "sex": sex}
    )


@pytest.fixture(scope="module")
def identity() -> FeatureMatrix:
    return matrix_of(*make_population(patients=60, noise=0.05))


def area(audit: Audit, attacker: str, mode: str = "released-released") -> float:
    chosen = tuple(
        each
        for each in audit.results
        if (each.attack, each.mode, each.attacker) == ("linkage", mode, attacker)
    )
    return figure_of(chosen, "AUC").value.value


def test_features_of_identity_link_and_have_no_images(identity: FeatureMatrix) -> None:
    audit = audit_release(target_of_features(identity), samples=50)
    for attacker in ("distance", "whitening"):
        assert area(audit, attacker) > 0.98
        assert area(audit, attacker, "released-raw") > 0.98
    assert {each.attack for each in audit.results} >= {"inference", "membership", "rare labels"}
    assert not any(each.attack == "reconstruction" for each in audit.results)
    words = {answer.question: answer.word for answer in answers(audit)}
    assert words["Can records of one person be linked?"] == "yes"
    assert words["Can images be reconstructed?"] == "not tested"
    assert any("there are no images" in each for each in audit.untested)


def test_constant_features_are_linked_by_chance(identity: FeatureMatrix) -> None:
    constant = FeatureMatrix(identity.dataset, np.ones((len(identity.array), 8), np.float32))
    audit = audit_release(target_of_features(constant, raw=identity), samples=50)
    reference = tuple(each for each in audit.results if each.mode == "raw features")
    assert min(each.value.value for each in reference if each.figure == "AUC") > 0.98
    for attacker in ("distance", "whitening"):
        assert area(audit, attacker) == pytest.approx(0.5, abs=0.02)
    chosen = [each for each in audit.results if each.attack == "membership"]
    assert all(each.gain.low <= 0 for each in chosen)


def test_rows_that_do_not_belong_together_are_refused(identity: FeatureMatrix) -> None:
    other = FeatureMatrix(identity.dataset.select(np.arange(120)[::-1]), identity.array[::-1])
    with pytest.raises(AuditError, match="row by row"):
        target_of_features(identity, raw=other)
    with pytest.raises(AuditError, match="60 patients are in both"):
        target_of_features(identity, public=identity)
    features, owners = make_population(patients=6, numbers=3)
    strangers = matrix_of(features, owners + 100)
    with pytest.raises(AuditError, match="3 numbers and released ones 8"):
        target_of_features(identity, public=strangers)
    with pytest.raises(AuditError, match="no values in a column 'site'"):
        target_of_features(identity, known=("site",))


def test_the_command_attacks_a_file_of_features(
    run: Run, identity: FeatureMatrix, tmp_path: Path
) -> None:
    path = tmp_path / "features.npz"
    owners = identity.dataset.patients
    np.savez(path, x=identity.array, patient=owners, sick=identity.dataset.labels[:, 0])
    said = run("audit", path, "--labels", "sick", "-o", tmp_path / "audit")
    assert said.exit_code == 0, said.output
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert found["answers"]["Can a person be singled out?"] == "yes"
    assert found["records"] == 120
    assert "p59" not in (tmp_path / "audit" / "audit.json").read_text()
    refused = run("audit", path, "--patients", path)
    assert refused.exit_code == 2
    assert "omit --patients" in refused.output
    assert "needs --against" in run("audit", tmp_path).output
