"""Optional imports: a user who lacks a package reads the line that installs it, not a traceback."""

from __future__ import annotations

import importlib
from types import ModuleType

from deepfixcx.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import a module, or raise `MissingExtraError` with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {module.partition('.')[0]!r}, which is not installed; "
            f"run: pip install 'deepfixcx[{extra}]'"
        ) from error
