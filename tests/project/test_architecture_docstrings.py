"""Every public name says what it takes, gives and raises, and shows it in an example that runs.

Public are the names in the ``__all__`` of every package (not of its private modules), and those of
the modules of the core. That examples run is shown by pytest's doctests.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass

import pytest

import deepfixcx
from deepfixcx import DeepfixcxError

CORE = ["code", "codec", "errors", "packets", "pooling", "sklearn", "spec", "wavelets"]


def public_modules() -> list[str]:
    packages = [
        module.name
        for module in pkgutil.walk_packages(deepfixcx.__path__, "deepfixcx.")
        if module.ispkg and "._" not in module.name and module.name != "deepfixcx.cli"
    ]
    return ["deepfixcx", *packages, *(f"deepfixcx.{name}" for name in CORE)]


def public_names() -> Iterator[tuple[str, object]]:
    """Yield every public function and class once, with the shortest of its names."""
    seen: set[int] = set()
    for module_name in public_modules():
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            found = getattr(module, name)
            if id(found) in seen or not (inspect.isfunction(found) or inspect.isclass(found)):
                continue  # constants and type aliases say in a string below them what they are
            seen.add(id(found))
            yield f"{module_name}.{name}", found


def sections(doc: str) -> dict[str, str]:
    """Return the text of each section of a numpydoc docstring."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(doc), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def raises_own_errors(function: object) -> bool:
    """Say whether the body itself raises an error of the tree."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # type: ignore[arg-type]
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    names = [ast.unparse(call.func) for call in calls if isinstance(call, ast.Call)]
    own = [getattr(deepfixcx.errors, name.rpartition(".")[2], None) for name in names]
    return any(isinstance(error, type) and issubclass(error, DeepfixcxError) for error in own)


def lacking_of_function(function: object, said: dict[str, str]) -> set[str]:
    """Return the sections that a function should have and has not, and arguments without words."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    arguments = {name for name in signature.parameters if name not in ("self", "cls")}
    described = set(re.findall(r"\*{0,2}(\w+)", " ".join(headings(said.get("Parameters", "")))))
    lacking = {f"Parameters: {name}" for name in arguments - described}
    returned = signature.return_annotation
    if returned not in (None, "None", inspect.Signature.empty) and not {"Returns", "Yields"} & set(
        said
    ):
        lacking.add("Returns")
    if raises_own_errors(function) and "Raises" not in said:
        lacking.add("Raises")
    return lacking


def headings(section: str) -> list[str]:
    """Return the names before the colon of every line that is not indented."""
    return [line.partition(" : ")[0] for line in section.splitlines() if line[:1].strip()]


def lacking_of_class(cls: type, said: dict[str, str]) -> set[str]:
    if issubclass(cls, Exception):
        return {"Examples"} - set(said) if cls is DeepfixcxError else set()
    lacking = {"Examples"} - set(said)
    own = vars(cls).get("__init__")
    arguments: set[str]
    if getattr(cls, "_is_protocol", False):
        arguments = set()  # nobody calls a protocol
    elif is_dataclass(cls):
        bases = {
            name for base in cls.__bases__ for name in getattr(base, "__dataclass_fields__", ())
        }
        fields = set(cls.__dataclass_fields__) - bases  # those of a base are described there
        arguments = {name for name in fields if not name.startswith("_")}
    elif inspect.isfunction(own):
        arguments = set(inspect.signature(own).parameters) - {"self"}
    else:
        arguments = set()
    text = said.get("Parameters", "") + said.get("Attributes", "")
    described = set(re.findall(r"\w+", " ".join(headings(text))))
    return lacking | {f"Parameters: {name}" for name in arguments - described}


def lacking(found: object) -> set[str]:
    """Return what the docstring of a public name lacks."""
    said = sections(found.__doc__ or "")
    if isinstance(found, type):
        return lacking_of_class(found, said)
    return lacking_of_function(found, said) | ({"Examples"} - set(said))


NAMES = dict(public_names())


@pytest.mark.parametrize("name", NAMES)
def test_docstring_has_the_sections_it_needs(name: str) -> None:
    assert not lacking(NAMES[name])


def undocumented(batch: int) -> int:
    """Return what came in."""
    if batch < 0:
        raise deepfixcx.errors.SpecError("less than nothing")
    return batch


def test_a_docstring_of_one_line_is_not_enough() -> None:
    assert lacking(undocumented) == {"Parameters: batch", "Returns", "Raises", "Examples"}
