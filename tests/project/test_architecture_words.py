"""One name for one thing: settings have the same words, order and defaults wherever they stand."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from typer.main import get_command

from deepfixcx import Codec, CodecSpec
from deepfixcx.cli.app import app
from deepfixcx.sklearn import CodecTransformer
from deepfixcx.studio.workspace import Settings
from deepfixcx.torch import Decode, Encode, Privatize
from deepfixcx.torch import monai as for_monai
from deepfixcx.torch import torchvision as for_torchvision
from tests.conftest import ROOT

SETTINGS = ("level", "patches", "wavelet", "pooling", "boundary", "grid")
DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(CodecSpec)
    if field.default is not dataclasses.MISSING and field.name in SETTINGS
}
SHORT = {"level": ["-J"], "patches": ["-P"]}
TAKERS: list[Callable[..., Any]] = [
    Codec,
    CodecSpec,
    CodecTransformer,
    Encode,
    Decode,
    Privatize,
    Settings,
    for_monai.Privatize,
    for_monai.Privatized,
    for_torchvision.Privatize,
]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
WITH_SETTINGS = [
    name
    for name, command in COMMANDS.items()
    if "wavelet" in {parameter.name for parameter in command.params}
]
# Words that stand for something else in the field, or for what has another name here.
OTHER_WORDS = re.compile(
    r"\b(lvl|patch[_ ]size|patch_features|padding[_ ]mode|saliency|anonymity score|codebook)\b",
    re.IGNORECASE,
)


def in_order(names: Iterable[str]) -> list[str]:
    return [name for name in names if name in SETTINGS]


def one_level(name: str) -> str:
    """Return the name of an option; `sweep` takes several levels, and says so."""
    return "level" if name == "levels" else name


@pytest.mark.parametrize("taker", TAKERS, ids=lambda taker: f"{taker.__module__}.{taker.__name__}")
def test_settings_have_one_order_and_one_default_in_python(taker: Callable[..., Any]) -> None:
    parameters = inspect.signature(taker).parameters
    assert tuple(in_order(parameters)) == SETTINGS
    for name, default in DEFAULTS.items():
        assert parameters[name].default == default


def test_commands_with_settings_are_found() -> None:
    assert {"privatize", "show", "train", "sweep", "explain"} <= set(WITH_SETTINGS)


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_settings_have_one_order_and_one_default_on_the_command_line(name: str) -> None:
    options = {one_level(parameter.name): parameter for parameter in COMMANDS[name].params}
    assert tuple(in_order(options)) == SETTINGS
    for setting in SETTINGS:
        option = options[setting]
        assert option.opts[1:] == SHORT.get(setting, [])
        # None stands for the default of the library
        assert setting not in DEFAULTS or option.default in (None, DEFAULTS[setting])


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_the_page_of_the_command_line_keeps_the_order(name: str) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    rows = [one_level(name) for name in re.findall(r"^\| `--(\w+)`", section, re.MULTILINE)]
    assert tuple(in_order(rows)) == SETTINGS


def test_no_argument_has_a_word_of_another_field() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {argument.arg}"
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.arguments)
        for argument in (*node.args, *node.kwonlyargs)
        if OTHER_WORDS.fullmatch(argument.arg) or argument.arg == "inverse"
    ]
    assert not found


def test_no_page_has_a_word_of_another_field() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = page.read_text("utf-8").partition("\n## Words\n")[0]  # the list of what not to say
        assert not OTHER_WORDS.findall(text), page.name
