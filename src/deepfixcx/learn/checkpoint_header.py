"""What a checkpoint says of itself, read without its weights and without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from deepfixcx.errors import ModelError, ModelFileError
from deepfixcx.learn.settings import differences

__all__ = ["FORMAT_NAME", "FORMAT_VERSION", "Header", "check_settings", "read_header"]

FORMAT_NAME = "deepfixcx.training"
FORMAT_VERSION = 2


@dataclass(frozen=True, eq=False, slots=True)
class Header:
    """What decides the result of the training, and how it went so far: plain JSON values."""

    settings: dict[str, Any]
    progress: dict[str, Any]

    @property
    def epochs(self) -> int:
        """Number of epochs that are done."""
        return len(self.progress.get("history", ()))


def read_header(path: Path) -> Header:
    """Read what a checkpoint says of itself.

    Raises
    ------
    ModelFileError
        The file is damaged, or of another format.
    """
    damaged = ModelFileError(f"{path.name!r} is damaged; start again with --overwrite")
    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {})["deepfixcx"])
        name, version = about["format"], about["version"]
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        raise damaged from None
    if name != FORMAT_NAME:
        raise damaged
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{path.name!r} was written by another deepfixcx; start again with --overwrite"
        )
    settings, progress = about.get("settings"), about.get("progress")
    if not isinstance(settings, dict) or not isinstance(progress, dict):
        raise damaged
    return Header(settings, progress)


def check_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a training of other settings.

    Raises
    ------
    ModelError
        It names what differs.
    """
    if differing := differences(before, now):
        raise ModelError(
            f"this is not the training that was stopped: {differing}; --resume goes on with the "
            f"same images, labels and options, --overwrite starts again"
        )
