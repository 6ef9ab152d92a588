"""The tree drawn in the docstring of `deepfixcx.errors` is the tree of its classes."""

from __future__ import annotations

import re

import pytest

from deepfixcx import DeepfixcxError, errors
from deepfixcx._optional import require


def _drawn() -> dict[str, str]:
    """Return the parent of every class in the drawing."""
    assert errors.__doc__ is not None
    parents: dict[str, str] = {}
    branch: list[str] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"^([│ ]*(?:[├└]── )?)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            branch[depth:] = [found[2]]
            if depth:
                parents[found[2]] = branch[depth - 1]
    return parents


def _classes() -> dict[str, type[Exception]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }


def test_every_class_is_exported() -> None:
    assert sorted(_classes()) == sorted(errors.__all__)


def test_every_class_is_drawn_under_its_parent() -> None:
    parents = {name: cls.__bases__[0].__name__ for name, cls in _classes().items()}
    assert parents.pop("DeepfixcxError") == "Exception"
    assert _drawn() == parents


@pytest.mark.parametrize("name", errors.__all__)
def test_every_class_is_ours_and_explained(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, DeepfixcxError)
    assert error.__doc__
    assert str(error("words")) == "words"


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("SpecError", ValueError),
        ("PixelsError", ValueError),
        ("CodeError", ValueError),
        ("MissingExtraError", ImportError),
    ],
)
def test_some_are_builtin_errors_too(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_the_door_for_optional_imports_says_what_to_type() -> None:
    with pytest.raises(
        errors.MissingExtraError, match=r"pip install 'deepfixcx\[torch\]( @ file:\S+)?'"
    ):
        require("a_module_that_nobody_wrote.inner", extra="torch")
