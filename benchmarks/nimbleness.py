"""How fast, and with how little memory, models learn from codes, against networks on images."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.command import set_threads
from benchmarks.table import Table, number, put_section
from deepfixcx import CodecSpec
from deepfixcx.bench.machine import describe_machine, write_samples
from deepfixcx.datasets import ImageRecord
from deepfixcx.learn.fitting import fit
from deepfixcx.learn.loading import encode_records, load_pixels
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.scorers import build_module, choose_device

__all__ = ["Contender", "Nimbleness", "bytes_of_a_step", "largest_batch", "main", "table_of"]

NETWORKS = ("densenet121", "resnet18")
TWO_BATCHES = (4, 8)
"""Memory is measured for batches of these sizes, and grows in proportion between them."""


@dataclass(frozen=True, slots=True)
class Nimbleness:
    """What was measured of one model.

    Attributes
    ----------
    model : str
        Its name.
    reading : float
        Seconds to read `images` files, and to encode them where the model is on codes.
    epoch : float
        Seconds of an epoch over so many images, everything in memory: the median of a few.
    end_to_end : float
        Seconds from the disk through all epochs.
    image_bytes, fixed_bytes : float
        Memory of a training step for each image of a batch, and without any.
    batch : int
        Largest batch in the memory that was given.
    """

    model: str
    reading: float
    epoch: float
    end_to_end: float
    image_bytes: float
    fixed_bytes: float
    batch: int


@dataclass(frozen=True, eq=False, slots=True)
class Contender:
    """A model, what it sees, and how many of the images its epochs are timed on."""

    options: TrainingOptions
    inputs: NDArray[np.float32]
    timed: int


# -- memory -----------------------------------------------------------------------------------


def bytes_of_a_step(build: Callable[[], nn.Module], batch: Tensor, device: torch.device) -> float:
    """Return the bytes that one training step needs.

    On a GPU that is the peak that torch counts. On a CPU it is counted: the batch, what is kept for
    the backward pass, each tensor once, and for each weight itself, its gradient and the two means
    of Adam.

    Parameters
    ----------
    build : callable
        Makes the module.
    batch : Tensor, shape (B, ...)
        What it sees, on the CPU.
    device : torch.device
        Where it works.
    """
    module = build().to(device).train()
    inputs = batch.to(device)
    weights = sum(each.numel() * each.element_size() for each in module.parameters())
    if device.type == "cuda":
        optimizer = torch.optim.AdamW(module.parameters())
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(2):  # the first step makes the means of Adam
            optimizer.zero_grad()
            module(inputs).sum().backward()
            optimizer.step()
        return float(torch.cuda.max_memory_allocated(device))
    kept: dict[int, int] = {}
    owners = {each.untyped_storage().data_ptr() for each in module.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owners:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total = module(inputs).sum()  # alive until here, so that no place is used twice
    kept[inputs.untyped_storage().data_ptr()] = inputs.untyped_storage().nbytes()
    del total
    return float(sum(kept.values()) + 4 * weights)


def largest_batch(image_bytes: float, fixed_bytes: float, memory: float) -> int:
    """Return the largest batch whose step fits into a memory.

    Examples
    --------
    >>> largest_batch(image_bytes=2e6, fixed_bytes=1e8, memory=1e9)
    450
    """
    return max(0, int((memory - fixed_bytes) // image_bytes))


def _memory(contender: Contender, device: torch.device) -> tuple[float, float]:
    """Return bytes for each image of a batch, and those without any."""
    channels = int(contender.inputs.shape[1])
    source = torch.from_numpy(contender.inputs[:1])
    small, large = (
        bytes_of_a_step(
            lambda: build_module(contender.options, channels, 1),
            source.expand(count, *source.shape[1:]).clone(),
            device,
        )
        for count in TWO_BATCHES
    )
    each = (large - small) / (TWO_BATCHES[1] - TWO_BATCHES[0])
    return each, small - TWO_BATCHES[0] * each


# -- time -------------------------------------------------------------------------------------


def _epoch_seconds(contender: Contender, epochs: int, device: torch.device) -> float:
    """Return the median seconds of an epoch over all images, scaled up from those timed."""
    channels, count = int(contender.inputs.shape[1]), contender.timed
    module: Any = build_module(contender.options, channels, 1)
    inputs = torch.from_numpy(contender.inputs[:count])
    module.fit_normalization(inputs)
    labels = torch.from_numpy((np.arange(count) % 2).astype(np.float32)[:, None])
    nothing = np.array([], np.int64)
    on_codes = contender.options.kind == "mlp"
    fitted = fit(
        module.to(device),
        inputs.to(device) if on_codes else inputs,
        labels,
        np.arange(count),
        nothing,
        contender.options,
    )
    seconds = [epoch.seconds for epoch in fitted.history][-epochs:]
    return float(np.median(seconds)) * len(contender.inputs) / count


def measure(
    records: Sequence[ImageRecord], options: argparse.Namespace, device: torch.device
) -> list[Nimbleness]:
    """Measure every model on the same files, one after the other."""
    spec = CodecSpec(options.level, options.patches)
    encode_records(records, spec)  # files are in the disk's cache, and kernels compiled
    start = time.perf_counter()
    codes = encode_records(records, spec, workers=options.threads).array
    encoding = time.perf_counter() - start
    start = time.perf_counter()
    pixels = load_pixels(records, options.side, workers=options.threads).array
    reading = time.perf_counter() - start
    timed = min(options.timed, len(records))
    repeats = options.repeats
    contenders = [
        (Contender(_of_mlp(spec, repeats, options.batch), codes, len(codes)), encoding),
        *(
            (Contender(_of_network(name, options.side, repeats), pixels, timed), reading)
            for name in options.networks
        ),
    ]
    found = []
    for contender, seconds in contenders:
        epoch = _epoch_seconds(contender, repeats, device)
        each, fixed = _memory(contender, device)
        found.append(
            Nimbleness(
                contender.options.model,
                seconds,
                epoch,
                seconds + options.epochs * epoch,
                each,
                fixed,
                largest_batch(each, fixed, options.memory * 1e9),
            )
        )
        print(found[-1], flush=True)
    return found


def _of_mlp(spec: CodecSpec, repeats: int, batch: int) -> TrainingOptions:
    # the first epoch is not timed: it fills caches
    epochs = repeats + 1
    return TrainingOptions("mlp", spec=spec, epochs=epochs, patience=epochs, batch=batch)


def _of_network(name: str, side: int, repeats: int) -> TrainingOptions:
    epochs = repeats + 1
    return TrainingOptions(name, "original", side=side, epochs=epochs, patience=epochs, batch=16)


def table_of(found: Sequence[Nimbleness]) -> Table:
    """Lay the models out; the first is compared with the others."""
    table = Table(
        [
            "model",
            "read (and encode), s",
            "epoch, s",
            "× of mlp",
            "read and one epoch, × of mlp",
            "disk to model, s",
            "× of mlp",
            "MB an image",
            "largest batch",
            "÷ of mlp",
        ]
    )
    first = found[0]
    for each in found:
        once = (each.reading + each.epoch) / (first.reading + first.epoch)
        table.add(
            each.model,
            number(each.reading),
            number(each.epoch),
            number(each.epoch / first.epoch),
            number(once),
            number(each.end_to_end),
            number(each.end_to_end / first.end_to_end),
            number(each.image_bytes / 1e6),
            f"{each.batch:,}",
            number(first.batch / each.batch) if each.batch else "–",
        )
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Draw images, and measure every model on them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512, help="files to draw and read")
    parser.add_argument("--timed", type=int, default=32, help="images of a network's timed epoch")
    parser.add_argument("--side", type=int, default=320, help="pixels a side")
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--patches", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=50, help="of disk to model, for all models")
    parser.add_argument("--repeats", type=int, default=3, help="timed epochs")
    parser.add_argument("--batch", type=int, default=64, help="images a step of the mlp")
    parser.add_argument("--memory", type=float, default=8.0, help="GB that a batch may fill")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--device", default="auto", help="where torch works")
    parser.add_argument("--threads", type=int, default=2, help="threads, and reading processes")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the program out")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(words)
    if options.tiny:
        options.images, options.timed, options.side, options.repeats = 16, 4, 64, 1
        options.networks = ["resnet18"]
    set_threads(options.threads)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    machine = describe_machine()
    with TemporaryDirectory(prefix="deepfixcx-bench-") as place:
        write_samples(Path(place) / "images", "PNG", options.side, options.images)
        files = sorted((Path(place) / "images").iterdir())
        found = measure([ImageRecord(path) for path in files], options, device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "the processor"
    parts = [
        table_of(found).markdown(),
        f"{options.images} PNG of {options.side}×{options.side}, mlp on codes of "
        f"J={options.level}, P={options.patches}, networks on the images themselves; torch works "
        f"on {where}. An epoch is one pass over all images that are in memory already (of networks "
        f"timed on {min(options.timed, options.images)} images and scaled up), the median of "
        f"{options.repeats}. *Disk to model* is reading once and {options.epochs} epochs. The "
        f"largest batch is the one whose training step fits into {options.memory:g} GB, "
        + (
            "by torch's count of the peak."
            if device.type == "cuda"
            else "counted as inputs, what is kept for the backward pass, weights, gradients and "
            "the state of Adam."
        ),
        f"Made by `{_command(options)}`. {machine}.",
    ]
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, "nimbleness", parts)
    if options.json is not None:
        options.json.write_text(
            json.dumps([asdict(each) for each in found], indent=2) + "\n", "utf-8"
        )


def _command(options: argparse.Namespace) -> str:
    if options.tiny:
        return "python -m benchmarks.nimbleness --tiny"
    names = ("images", "timed", "side", "level", "patches", "epochs", "repeats", "memory")
    told = " ".join(f"--{name} {getattr(options, name):g}" for name in names)
    return (
        f"python -m benchmarks.nimbleness {told} --threads {options.threads} --device "
        f"{options.device}"
    )


if __name__ == "__main__":
    main()
