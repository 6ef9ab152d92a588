"""What is built is what should be installed: the package, its types, its licence; no tests."""

from __future__ import annotations

import re
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import deepfixcx
from tests.conftest import ROOT
from tests.project.building import built

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pins}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def wheel() -> Path:
    return built("wheel")


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "deepfixcx/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    source = ROOT / "src"
    modules = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert all(name.startswith(("deepfixcx/", "deepfixcx-")) for name in names)
    assert not any("test" in name for name in names)


@pytest.mark.slow
def test_metadata_of_the_wheel(metadata: Message) -> None:
    assert metadata["Name"] == "deepfixcx"
    assert metadata["Version"] == deepfixcx.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "sklearn", "dask", "remote", "nifti", "features", "torch", "learn", "audit", "dp",
        "studio", "pdf", "ocr", "docs", "dev",
        "tables", "node",
    }  # fmt: skip


def test_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (\S+)$", citation, re.MULTILINE) == [deepfixcx.__version__]


def test_every_dependency_is_pinned() -> None:
    project = SETTINGS["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {normal(re.split(r"[\[<>=~! ;]", line)[0]) for line in wanted} - {"deepfixcx"}
    assert names <= set(pinned())


def test_pins_name_versions_only() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert not re.search(r"://|^-|@ ", text, re.MULTILINE)
    assert all(re.fullmatch(r"[\w.]+", version) for version in pinned().values())


def test_every_extra_is_installed_for_development() -> None:
    extras = SETTINGS["project"]["optional-dependencies"]
    (line,) = [line for line in extras["dev"] if line.startswith("deepfixcx[")]
    assert {*line.removeprefix("deepfixcx[").rstrip("]").split(","), "dev"} == set(extras)
