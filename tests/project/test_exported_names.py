"""The public names are a short list that changes on purpose only."""

from __future__ import annotations

import pytest

import deepfixcx

PUBLIC = [
    "Code",
    "Codec",
    "CodecSpec",
    "DeepfixcxError",
    "ReleaseOptions",
    "__version__",
    "load_codes",
    "load_dataset",
    "privatize_dataset",
    "read_image",
    "verify_release",
]


def test_public_names_are_these() -> None:
    assert deepfixcx.__all__ == PUBLIC
    assert dir(deepfixcx) == PUBLIC
    assert len(PUBLIC) <= 12


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_there(name: str) -> None:
    assert getattr(deepfixcx, name) is getattr(deepfixcx, name)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_public_name_is_documented_by_its_own_module(name: str) -> None:
    found = getattr(deepfixcx, name)
    assert found.__name__ == name
    assert found.__doc__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = deepfixcx.no_such_name
