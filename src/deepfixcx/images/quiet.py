"""Silence around the readers: what they warn about quotes the header of a patient's file."""

from __future__ import annotations

import logging
import threading
import warnings
from types import TracebackType

from PIL import Image, ImageFile

__all__ = ["QUIET"]

_LOGGERS = ("PIL", "pydicom")


class _Quiet:
    """Mute warnings and loggers of the readers, as often nested or in parallel as needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._levels: dict[str, int] = {}
        self._warnings = warnings.catch_warnings()
        self._pixel_limit: int | None = None
        self._fills_truncated = False

    def lets_through(self, _record: logging.LogRecord) -> bool:
        """Return whether nothing is muted: a filter for loggers without children, at no cost."""
        return self._depth == 0

    def __enter__(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth > 1:
                return
            self._warnings = warnings.catch_warnings()
            self._warnings.__enter__()
            warnings.simplefilter("ignore")
            for name in _LOGGERS:
                self._levels[name] = logging.getLogger(name).level
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            self._pixel_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._fills_truncated = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth:
                return
            self._warnings.__exit__(None, None, None)
            for name, level in self._levels.items():
                logging.getLogger(name).setLevel(level)
            Image.MAX_IMAGE_PIXELS = self._pixel_limit
            ImageFile.LOAD_TRUNCATED_IMAGES = self._fills_truncated


QUIET = _Quiet()
