"""Where training stands, in one file, so that it can go on after a crash with the same result.

The file is safetensors: ``module.*`` and ``best.*`` are the weights of now and of the best epoch,
``optimizer.PLACE.NAME`` what the optimizer knows of each parameter. Its metadata entry
``deepfixcx`` is JSON: ``format`` ("deepfixcx.training"), ``version``, ``settings``, ``progress``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from deepfixcx._optional import require
from deepfixcx.errors import ModelError, ModelFileError
from deepfixcx.learn._files import write_whole
from deepfixcx.learn.checkpoint_header import (
    FORMAT_NAME,
    FORMAT_VERSION,
    check_settings,
    read_header,
)

require("torch", extra="learn")

import safetensors.torch
from torch import Tensor, nn, optim

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """Where a training stands: what a file of `save_checkpoint` holds.

    Attributes
    ----------
    module, best : dict of str to Tensor
        Weights of now, and of the best epoch.
    optimizer : dict of int to dict of str to Tensor
        What the optimizer knows of each parameter.
    progress : dict
        How training went so far, as plain JSON values.
    """

    module: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    progress: dict[str, Any]

    @classmethod
    def of(
        cls,
        module: nn.Module,
        best: Mapping[str, Tensor],
        optimizer: optim.Optimizer,
        progress: Mapping[str, Any],
    ) -> Checkpoint:
        """Copy where a training stands, so that it may go on and be stopped anywhere.

        Raises
        ------
        ModelError
            The module keeps something else than tensors.
        """
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
    """Write where training stands; what was there before stays until the new file is whole.

    Parameters
    ----------
    path : Path
        File to write or replace.
    settings : mapping
        What decides the result, so that a training with others does not go on with it.
    standing : Checkpoint
        Where training stands.

    Raises
    ------
    TrainingStoppedError
        The file cannot be written.
    """
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
    """Read what `save_checkpoint` wrote.

    Raises
    ------
    ModelFileError
        The file is damaged, or of another format.
    ModelError
        It is of other data or options.
    """
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
    """Return copies of a module's weights, on the CPU.

    Raises
    ------
    ModelError
        It keeps something else than tensors.
    """
    state = module.state_dict()
    odd = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
    if odd:
        raise ModelError(f"the network keeps {odd[0]!r}, which is no tensor and cannot be stored")
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _below(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{kind}."
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
