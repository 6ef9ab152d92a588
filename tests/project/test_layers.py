"""Imports only go down: import-linter holds the layers that pyproject.toml names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.conftest import ROOT

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Lint the package below folder/src with the contracts of folder/pyproject.toml."""
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_layers_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_every_module_has_a_layer() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    contract = settings["contracts"][0]
    named = {name.strip(" ()") for layer in contract["layers"] for name in layer.split("|")}
    package = ROOT / "src" / "deepfixcx"
    present = {path.stem for path in package.glob("*.py") if path.stem != "__init__"}
    present |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert contract["exhaustive"]
    assert present <= named | set(contract["exhaustive_ignores"])


def test_an_import_that_goes_up_is_found(tmp_path: Path) -> None:
    """The contracts are not vacuous: a spec.py that imports the codec breaks them."""
    package = tmp_path / "src" / "deepfixcx"
    shutil.copytree(ROOT / "src" / "deepfixcx", package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (package / "spec.py").open("a", encoding="utf-8") as file:
        file.write("\nimport deepfixcx.codec  # noqa: E402\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "deepfixcx.spec is not allowed to import deepfixcx.codec" in done.stdout
