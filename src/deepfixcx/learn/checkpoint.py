"""Where training stands, in one file, so that it can go on after a crash with the same result.

The file is safetensors: ``module.*`` and ``best.*`` are the weights of now and of the best epoch,
``optimizer.PLACE.NAME`` what the optimizer knows of each parameter. Its metadata entry
``deepfixcx`` is JSON: ``format`` ("deepfixcx.training"), ``version``, ``identity``, ``progress``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from deepfixcx._optional import require
from deepfixcx.errors import ModelError, ModelFileError
from deepfixcx.learn._files import write_whole

require("torch", extra="learn")

import safetensors.torch  # noqa: E402
from torch import Tensor, nn, optim  # noqa: E402

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT_NAME = "deepfixcx.training"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """What a file of `save_checkpoint` holds.

    Attributes
    ----------
    module, best : dict of str to Tensor
        Weights of now, and of the best epoch.
    optimizer : dict of int to dict of str to Tensor
        What the optimizer knows of each parameter.
    progress : dict
        Plain JSON values that `save_checkpoint` was given.
    """

    module: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    progress: dict[str, Any]

    def restore(self, module: nn.Module, optimizer: optim.Optimizer) -> None:
        """Put weights and what the optimizer knows back where they were."""
        module.load_state_dict(self.module)
        state = optimizer.state_dict()
        optimizer.load_state_dict({**state, "state": self.optimizer})


def save_checkpoint(
    path: Path,
    identity: str,
    module: nn.Module,
    best: Mapping[str, Tensor],
    optimizer: optim.Optimizer,
    progress: Mapping[str, Any],
) -> None:
    """Write where training stands; what was there before stays until the new file is whole.

    Parameters
    ----------
    path : Path
        File to write or replace.
    identity : str
        Of the data and options, so that other ones do not go on with it.
    module : nn.Module
        Its weights of now.
    best : mapping of str to Tensor
        Its weights of the best epoch.
    optimizer : torch.optim.Optimizer
        Of the module's parameters.
    progress : mapping
        Plain JSON values.

    Raises
    ------
    TrainingStoppedError
        The file cannot be written.
    ModelError
        The module keeps something else than tensors.
    """
    tensors = {f"module.{name}": value for name, value in state_of(module).items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for place, known in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{place}.{name}": value for name, value in known.items()}
    about = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "identity": identity,
        "progress": dict(progress),
    }
    metadata = {"deepfixcx": json.dumps(about, sort_keys=True)}
    write_whole(path, safetensors.torch.save(_stored(tensors), metadata))


def load_checkpoint(path: Path, identity: str) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises
    ------
    ModelFileError
        The file is damaged, or of a newer format.
    ModelError
        It is of other data or options.
    """
    damaged = ModelFileError(f"{path.name!r} is damaged; start again with --overwrite")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["deepfixcx"])
        tensors = safetensors.torch.load(path.read_bytes())
        version, found, progress = about["version"], about["identity"], about["progress"]
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        raise damaged from None
    if about.get("format") != FORMAT_NAME or not isinstance(progress, dict):
        raise damaged
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{path.name!r} was written by another deepfixcx; start again with --overwrite"
        )
    if found != identity:
        raise ModelError(
            "the training that was stopped had other images, labels or options; --resume goes on "
            "with the same ones, --overwrite starts again"
        )
    optimizer: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            place, _, what = rest.partition(".")
            optimizer.setdefault(int(place), {})[what] = value
    return Checkpoint(_below("module", tensors), _below("best", tensors), optimizer, progress)


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


def _stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _below(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{kind}."
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
