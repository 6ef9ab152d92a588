"""Optional imports: a user who lacks a package reads the line that installs it, not a traceback."""

from __future__ import annotations

import importlib
import json
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
            f"run: pip install 'deepfixcx[{extra}]{_origin()}'"
        ) from error


def _origin() -> str:
    """Return where pip finds the project, which is on no index: the clone or wheel it is from."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        text = distribution("deepfixcx").read_text("direct_url.json")
        url = str(json.loads(text or "{}").get("url", ""))
    except (PackageNotFoundError, ValueError, AttributeError):
        return ""
    return f" @ {url}" if url else ""
