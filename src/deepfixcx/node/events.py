"""The log of a node: JSON lines of what happened, in which no identifier of a patient can stand.

Values are numbers, names from the configuration and reasons of errors of deepfixcx, which never
quote a header. Nothing that came over the network is logged.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import warnings
from typing import Any, TextIO

__all__ = ["Log", "quiet"]


class Log:
    """Writes events to standard error, or to another stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def info(self, event: str, **values: object) -> None:
        """Report what is as it should be."""
        self._write("info", event, values)

    def warning(self, event: str, **values: object) -> None:
        """Report what an operator may want to look at."""
        self._write("warning", event, values)

    def error(self, event: str, **values: object) -> None:
        """Report what an operator has to look at."""
        self._write("error", event, values)

    def _write(self, level: str, event: str, values: dict[str, object]) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": moment, "level": level, "event": event, **values})
        with self._lock:
            stream = self._stream or sys.stderr
            try:
                print(line, file=stream, flush=True)
            except (OSError, ValueError):  # a full disk must not stop the node
                return


def quiet() -> None:
    """Silence libraries, whose messages and warnings quote what came over the network."""
    warnings.simplefilter("ignore")
    for name in ("pynetdicom", "pydicom", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False

    def unexpected(arguments: Any) -> None:
        Log().error("unexpected", kind=arguments.exc_type.__name__)

    threading.excepthook = unexpected
