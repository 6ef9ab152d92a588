"""The shape of the code: short modules, short functions, no exception without its reason."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

MOST_LINES = {"src": 400, "examples": 400, "tests": 600, "benchmarks": 600}
MOST_OF_A_FUNCTION, MOST_UNCOVERED = 60, 12
MODULES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for folder in MOST_LINES
    for path in sorted((ROOT / folder).rglob("*.py"))
}
SOURCE = {name: text for name, text in MODULES.items() if name.startswith("src/")}


def comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def commented(modules: dict[str, str], pattern: str) -> list[str]:
    """Return the modules with a comment like this; where no line matches, none is taken apart."""
    return [
        name
        for name, text in modules.items()
        if re.search(pattern, text) and any(re.search(pattern, each) for each in comments(text))
    ]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of what a function does: neither its signature nor its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_modules_are_short() -> None:
    long = {name: text.count("\n") for name, text in MODULES.items()}
    assert not {name: n for name, n in long.items() if n > MOST_LINES[name.partition("/")[0]]}


def test_functions_are_short_and_nothing_is_asserted_in_the_package() -> None:
    """Python -O removes an assert: what a user can get wrong is raised."""
    long, asserts = [], []
    for name, text in MODULES.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                long += [f"{name} {node.name}"] if length(node) > MOST_OF_A_FUNCTION else []
            elif isinstance(node, ast.Assert) and name in SOURCE:
                asserts.append(f"{name}:{node.lineno}")
    assert not long
    assert not asserts


@pytest.mark.parametrize(
    "pattern",
    [
        r"#\s*type:\s*ignore(?!\[)",
        r"#\s*noqa(?!:\s*[A-Z]+\d)",
        r"#\s*ruff:\s*noqa",
        r"#\s*mypy:\s*(ignore-errors|disable|allow)",
        r"#.*\b(TODO|FIXME|XXX)\b",
    ],
)
def test_what_is_ignored_is_named_and_nothing_is_left_to_later(pattern: str) -> None:
    assert not commented(MODULES, pattern)


def test_little_is_left_out_of_the_coverage() -> None:
    found = commented(SOURCE, "pragma: no cover")
    assert len(found) <= MOST_UNCOVERED, found


def test_settings_ignore_little() -> None:
    """Strict for all, with exceptions by module and by rule."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    assert tools["mypy"]["strict"] is True
    assert "ignore" not in tools["ruff"]["lint"]
    assert not any(override.get("ignore_errors") for override in tools["mypy"]["overrides"])
    assert tools["coverage"]["run"]["branch"] is True
    assert tools["coverage"]["report"]["fail_under"] >= 92
    assert tools["pytest"]["ini_options"]["filterwarnings"] == ["error"]


def test_hooks_are_those_of_make_check() -> None:
    """One list of tools: what a commit is stopped by is what `make check` runs."""
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    checked = set(re.findall(r"\$\(BIN\)/(ruff format|ruff check|mypy|lint-imports)", recipe))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    hooked = set(re.findall(r"entry: \.venv/bin/(ruff format|ruff check|mypy|lint-imports)", hooks))
    assert checked == hooked == {"ruff format", "ruff check", "mypy", "lint-imports"}


def test_versions_stand_in_one_place() -> None:
    """Tools have their versions from constraints.txt alone, the package its own from __init__."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert not re.search(r"\brev:|==", hooks)
    assert not re.search(r"[\w-]==\d", (ROOT / "Makefile").read_text("utf-8"))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lowest = settings["project"]["requires-python"].removeprefix(">=")
    assert settings["tool"]["mypy"]["python_version"] == lowest
    assert settings["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")
    said = [
        name.rpartition(" ")[2]
        for name in settings["project"]["classifiers"]
        if re.search(r":: 3\.\d+$", name)
    ]
    assert said == ["3.11", "3.12", "3.13"]


def test_tests_wait_for_no_process_without_a_time_limit() -> None:
    """A test that hangs has to fail with its name, or nothing can land."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    options = settings["tool"]["pytest"]["ini_options"]
    assert float(options["faulthandler_timeout"]) <= 400
    assert options["faulthandler_exit_on_timeout"] is True
    endless = []
    for name, text in MODULES.items():
        if name.startswith("tests/"):
            endless += [
                f"{name}:{call.lineno}"
                for call in ast.walk(ast.parse(text))
                if isinstance(call, ast.Call) and waits_endlessly(call)
            ]
    assert not endless


def waits_endlessly(call: ast.Call) -> bool:
    name, limits = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
    if name.startswith("subprocess.") and name.endswith((".run", ".check_output")):
        return not limits & {"timeout", None}
    return name.endswith((".wait", ".communicate", ".join")) and not call.args and not limits
