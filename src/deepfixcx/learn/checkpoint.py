"""Where training stands, in one file, so that it can go on after a crash with the same result.

The file is safetensors: ``module.*`` and ``best.*`` are the weights of now and of the best epoch,
``optimizer.PLACE.NAME`` the state of the optimizer for each parameter. Its metadata entry
``deepfixcx`` is JSON: ``format`` ("deepfixcx.training"), ``version``, ``settings``, ``progress``.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from deepfixcx.datasets import Dataset, Split
from deepfixcx.errors import ModelError, ModelFileError, TrainingStoppedError
from deepfixcx.io.folders import write_own
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.parts import PartRules, content_fingerprint, fingerprint

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

__all__ = [
    "FORMAT_NAME",
    "FORMAT_VERSION",
    "Checkpoint",
    "Clock",
    "Header",
    "Keeping",
    "check_settings",
    "differences",
    "load_checkpoint",
    "read_header",
    "save_checkpoint",
    "settings_of",
    "write_whole",
]


def write_whole(path: Path, data: bytes, root: Path | None = None) -> None:
    """Write a file of a folder of results, by default the one it lies in, or replace its own."""
    try:
        folder = path.parent if root is None else root
        write_own(folder, path.relative_to(folder).as_posix(), data)
    except OSError as error:
        raise TrainingStoppedError(
            f"{path.name!r} cannot be written: {error.strerror}; free disk space or choose "
            "another folder"
        ) from None


def settings_of(
    options: TrainingOptions, rules: PartRules, dataset: Dataset, split: Split
) -> dict[str, Any]:
    """Return all that decides the result of a training, as plain JSON values."""
    settings = {
        "options": options.to_dict(),
        "parts": rules.to_dict(),
        "labels": list(dataset.label_names),
        "dataset": fingerprint(dataset),
        "content": content_fingerprint(dataset.select(split.development)),
    }
    as_read: dict[str, Any] = json.loads(json.dumps(settings))  # lists, no tuples, as from a file
    return as_read


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say in words in what settings differ from those of before; "" where they are the same."""
    old, new = _flat(before), _flat(now)
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if None in (old.get("content"), new.get("content")):  # of a model of version 0.1
        changed = [name for name in changed if name != "content"]
    if "model" in changed:  # what only one of two models has follows from that
        changed = [name for name in changed if None not in (old.get(name), new.get(name))]
    words = [
        f"{name} was {_word(old.get(name))} and is {_word(new.get(name))}"
        for name in changed
        if name not in ("dataset", "content")
    ]
    # the hash of the dataset is also that of the names of its labels
    if "dataset" in changed and "labels" not in changed:
        words.append("the images, their patients or their labels differ")
    elif "content" in changed:
        words.append("files of the same names hold other images")
    return "; ".join(words)


def _flat(settings: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    """Return settings by the names that a user knows; those of the split are called so."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, "split " if name == "parts" else "")
        else:
            found[group + name] = value
    return found


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value))
    return "none" if value is None else str(value)


SECONDS_BETWEEN = 10.0

MOST_SHARE = 0.05
"""Writing checkpoints takes at most this share of the time, however slow the disk is."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where checkpoints are kept."""

    path: Path  # The file
    settings: Mapping[str, Any]  # What decides the result: data and options, as plain JSON values
    resume: bool = False  # Whether to go on with the file, if it is there
    seconds: float = SECONDS_BETWEEN  # Least time between two checkpoints


class Clock:
    """Says when a checkpoint is due; never, where none are kept."""

    def __init__(self, keeping: Keeping | None) -> None:
        self._wait = keeping.seconds if keeping is not None else math.inf
        self._last = time.monotonic()

    def is_time(self) -> bool:
        """Return whether a checkpoint is due."""
        return time.monotonic() - self._last >= self._wait

    def measure(self, write: Callable[[], None]) -> None:
        """Write a checkpoint, and wait the longer for the next one the longer it takes."""
        start = time.monotonic()
        write()
        self._last = time.monotonic()
        self._wait = max(self._wait, (self._last - start) / MOST_SHARE)


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
    """Read what a checkpoint says of itself."""
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
            f"{path.name!r} was written by another version of deepfixcx; start again with "
            "--overwrite"
        )
    settings, progress = about.get("settings"), about.get("progress")
    if not isinstance(settings, dict) or not isinstance(progress, dict):
        raise damaged
    return Header(settings, progress)


def check_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a training of other settings."""
    if differing := differences(before, now):
        raise ModelError(
            f"this differs from the stopped training: {differing}; --resume requires the same "
            "images, labels and options; --overwrite starts again"
        )


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """Where a training stands: what a file of `save_checkpoint` holds."""

    module: dict[str, Tensor]  # Weights of now, and of the best epoch
    best: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]  # State of the optimizer for each parameter
    progress: dict[str, Any]  # How training went so far, as plain JSON values

    @classmethod
    def of(
        cls,
        module: nn.Module,
        best: Mapping[str, Tensor],
        optimizer: optim.Optimizer,
        progress: Mapping[str, Any],
    ) -> Checkpoint:
        """Copy where a training stands, so that it may go on and be stopped anywhere."""
        known = {
            place: {name: value.detach().cpu().clone() for name, value in each.items()}
            for place, each in optimizer.state_dict()["state"].items()
        }
        return cls(state_of(module), dict(best), known, dict(progress))

    def restore(self, module: nn.Module, optimizer: optim.Optimizer) -> None:
        """Put weights and what the optimizer knows back where they were."""
        module.load_state_dict(self.module)
        state = optimizer.state_dict()
        optimizer.load_state_dict({**state, "state": self.optimizer})


def save_checkpoint(path: Path, settings: Mapping[str, Any], standing: Checkpoint) -> None:
    """Write where training stands; what was there before stays until the new file is whole."""
    import safetensors.torch

    tensors = {f"module.{name}": value for name, value in standing.module.items()}
    tensors |= {f"best.{name}": value for name, value in standing.best.items()}
    for place, known in standing.optimizer.items():
        tensors |= {f"optimizer.{place}.{name}": value for name, value in known.items()}
    about = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "settings": dict(settings),
        "progress": standing.progress,
    }
    metadata = {"deepfixcx": json.dumps(about, sort_keys=True)}
    stored = {name: value.contiguous() for name, value in tensors.items()}
    write_whole(path, safetensors.torch.save(stored, metadata))


def load_checkpoint(path: Path, settings: Mapping[str, Any]) -> Checkpoint:
    """Read what `save_checkpoint` wrote."""
    import safetensors.torch

    header = read_header(path)
    check_settings(header.settings, settings)
    try:
        tensors = safetensors.torch.load(path.read_bytes())
    except (OSError, SafetensorError):
        raise ModelFileError(f"{path.name!r} is damaged; start again with --overwrite") from None
    optimizer: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            place, _, what = rest.partition(".")
            optimizer.setdefault(int(place), {})[what] = value
    return Checkpoint(
        _below("module", tensors), _below("best", tensors), optimizer, header.progress
    )


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of a module's weights, on the CPU."""
    from torch import Tensor

    state = module.state_dict()
    odd = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
    if odd:
        raise ModelError(
            f"the network contains {odd[0]!r}, which is not a tensor and cannot be stored"
        )
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _below(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{kind}."
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
