"""The recipes of containers and conda name files, extras and versions that exist."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from tests.conftest import ROOT

EXTRAS = set(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
)
RECIPES = ("containers/Dockerfile", "containers/deepfixcx.def")


@pytest.mark.parametrize("name", [*RECIPES, "environment.yml", "docs/install-offline.md"])
def test_recipes_name_extras_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    named = {word for group in re.findall(r"(?:deepfixcx|\.)\[([\w,]+)\]", text)
             for word in group.split(",")}  # fmt: skip
    assert named
    assert named <= EXTRAS
    assert "constraints.txt" in text


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_copy_what_the_package_is_built_from(name: str) -> None:
    text = (ROOT / name).read_text()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {settings["project"]["readme"], *settings["project"]["license-files"], "src",
              "pyproject.toml", "constraints.txt"}  # fmt: skip
    for file in needed:
        assert (ROOT / file).exists()
        assert re.search(rf"(?<![\w/]){re.escape(file)}(?!\w)", text), file


def test_both_containers_install_the_same() -> None:
    lines = [re.findall(r"pip install .*", (ROOT / name).read_text()) for name in RECIPES]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 1


def test_the_conda_environment_is_valid_and_pins_what_pip_installs() -> None:
    made = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [each["pip"] for each in made["dependencies"] if isinstance(each, dict)]
    assert pip[0] == "-c constraints.txt"
    python = next(each for each in made["dependencies"] if str(each).startswith("python="))
    assert python == "python=3.12"
