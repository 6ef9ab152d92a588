"""Mechanisms by name: one catalogue for every command."""

from __future__ import annotations

import pytest

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms import Chain, KMixing, LabelResampling, Quantization, TaskProjection
from deepfixcx.mechanisms.catalogue import (
    MECHANISMS,
    check_name,
    label_patients,
    mechanism_named,
    mixes,
    needs_labels,
    needs_public,
    noise_named,
    steps_of,
)
from deepfixcx.spec import CodecSpec

SPEC = CodecSpec(level=2, patches=2)


def test_names_compose_in_order() -> None:
    chain = mechanism_named("quantization,projection,mixing-4")
    assert chain == Chain((Quantization(4.0), TaskProjection(), KMixing(4, "member")))
    assert mechanism_named("quantization+projection+mixing-4") == chain


@pytest.mark.parametrize("name", ["resampling", "resampling-20", "projection-mixing"])
def test_a_chain_named_after_its_own_first_step_is_that_chain(name: str) -> None:
    assert mechanism_named(f"projection,{name}") == MECHANISMS[name]()


def test_numbers_in_names_count() -> None:
    assert mechanism_named("mixing") == mechanism_named("mixing-3") == KMixing(3, "member")
    assert mechanism_named("mixing-9") == KMixing(9, "member")
    kept = steps_of(mechanism_named("resampling-35"))[-1]
    assert kept == LabelResampling(kept=0.35)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "name at least one mechanism"),
        ("mixing-1", "k of 2 or more"),
        ("mixin", "did you mean 'mixing'"),
        ("projektion", "did you mean 'projection'"),
        ("projection,projection", "named twice"),
        ("resampling,projection", "'projection' projects codes, and an earlier"),
        ("projection-mixing,resampling", "'resampling' projects codes, and"),
        ("pixelate", "unknown mechanism"),
        ("synthesis-0", "numbers and copies"),
        ("synthesis-8-0", "epsilon is positive"),
        ("synthesis-8-4-1", "delta between 0 and 1"),
        ("synthesis-8-4-1.2.3", "unknown mechanism"),
        ("bands,synthesis-8", "no other mechanism with it"),
        ("projection,synthesis", "no other mechanism with it"),
    ],
)
def test_bad_names_say_what_to_do(name: str, reason: str) -> None:
    with pytest.raises(MechanismError, match=reason):
        mechanism_named(name)


def test_baselines_are_known_only_where_they_are_allowed() -> None:
    check_name("pixelate", ("pixelate",))
    with pytest.raises(MechanismError, match="unknown"):
        check_name("pixelate")
    with pytest.raises(MechanismError, match="unknown"):
        check_name("mixing+pixelate", ("pixelate",))


def test_what_a_mechanism_needs_is_known_beforehand() -> None:
    needs = {
        name: (needs_labels(made), needs_public(made), mixes(made), label_patients(made))
        for name in ("bands,quantization", "mixing", "suppression", "projection", "resampling")
        for made in [mechanism_named(name)]
    }
    assert needs == {
        "bands,quantization": (False, False, False, 0),
        "mixing": (True, False, True, 0),
        "suppression": (True, True, False, 0),
        "projection": (True, True, False, 0),
        "resampling": (True, True, False, 50),
    }


def test_noise_is_named_by_epsilon_and_pixels() -> None:
    noise = noise_named("noise-2.5-64", SPEC)
    assert noise is not None
    assert (noise.epsilon, noise.pixels) == (2.5, 64)
    assert noise_named("mixing", SPEC) is None
    for bad in ("noise", "noise-", "noise-x", "noise-2", "noise-1-2-3", "noise-0-4", "noise-1-0"):
        with pytest.raises(MechanismError):
            noise_named(bad, SPEC)
    with pytest.raises(MechanismError, match="Haar"):
        noise_named("noise-1-16", CodecSpec(level=2, patches=2, wavelet="db2"))
