"""The one door for optional imports.

Every package that is not a plain dependency is imported through `require`, so that a user who
lacks it reads which line to type rather than a traceback.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from deepfixcx.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or say which extra installs it.

    Parameters
    ----------
    module : str
        Absolute module name, for example ``"sklearn.base"``.
    extra : str
        Extra of deepfixcx that provides it, for example ``"sklearn"``.

    Returns
    -------
    types.ModuleType
        The imported module.

    Raises
    ------
    MissingExtraError
        The module is not installed.

    Examples
    --------
    >>> require("json", extra="none").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {module.partition('.')[0]!r}, which is not installed; "
            f"run: pip install 'deepfixcx[{extra}]'"
        ) from error
