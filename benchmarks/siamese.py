"""What makes the siamese CNN strong enough to count: its parts left away one by one.

    python -m benchmarks.siamese --markdown docs/privacy-research.md

An attacker counts if it links raw images with an AUC of 0.75 or more. Each row trains the network
anew on raw X-rays of 64 x 64 pixels, or on codes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Table, put_section
from deepfixcx import CodecSpec
from deepfixcx.audit.linkage import Records, attack_linkage, figure_of, siamese_cnn
from deepfixcx.datasets import load_dataset
from deepfixcx.learn.loading import encode_records, load_pixels

ROOT = Path(__file__).resolve().parents[1]
LABELS = "pneumonia,effusion,infiltration,atelectasis"
SIDE = 64

Change = tuple[Any, str, Any]
"""A module, a name in it, and what it is while an idea is tried."""


def _as_it_is(images: Any) -> Any:
    return images


def _protocol_alone() -> list[Change]:
    """Start from random weights and take as many pairs and epochs as the protocol does."""
    long = replace(siamese_cnn.PROTOCOL, pairs=5000, epochs=100)
    return [
        (siamese_cnn, "CONTRAST", replace(siamese_cnn.CONTRAST, epochs=0)),
        (siamese_cnn, "PROTOCOL", long),
    ]


def _contrast_alone() -> list[Change]:
    return [(siamese_cnn, "PROTOCOL", replace(siamese_cnn.PROTOCOL, epochs=0))]


def _images_as_they_are() -> list[Change]:
    return [(siamese_cnn, "vary", _as_it_is)]


IDEAS: dict[str, tuple[str, Callable[[], list[Change]]]] = {
    "protocol": ("the protocol from random weights", _protocol_alone),
    "unvaried": ("contrast of images as they are, then the protocol", _images_as_they_are),
    "contrast": ("contrast of varied images", _contrast_alone),
    "both": ("contrast of varied images, then the protocol", list),
}


@contextmanager
def changed(changes: Sequence[Change]) -> Iterator[None]:
    """Let names of modules stand for something else for a while."""
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def link(
    idea: str, seen: NDArray[np.float32], patients: NDArray[Any], labels: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Return the figures of one idea, as plain values."""
    begin = time.process_time()
    with changed(IDEAS[idea][1]()):
        results = attack_linkage(
            Records(seen), patients, attacker="siamese-cnn", labels=labels, seed=seed
        )
    return {
        "AUC": str(figure_of(results, "AUC").value),
        "precision@1": str(figure_of(results, "precision@1").value),
        "seconds": time.process_time() - begin,
    }


def load(folder: Path) -> tuple[dict[str, NDArray[np.float32]], NDArray[Any], NDArray[Any]]:
    """Return what can be linked, whose it is, and its labels."""
    dataset = load_dataset(folder / "cxr_nih", labels=LABELS)
    seen = {
        "raw": load_pixels(dataset.records, SIDE).array,
        "J=2, P=19": encode_records(dataset.records, CodecSpec(2, 19)).array,
        "J=3, P=4": encode_records(dataset.records, CodecSpec(3, 4)).array,
    }
    return seen, dataset.patients, np.array(dataset.labels)


def main(words: Sequence[str] | None = None) -> None:
    """Try every idea on raw images, and the whole on codes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--ideas", nargs="+", default=list(IDEAS), choices=[*IDEAS])
    parser.add_argument("--seed", type=int, default=0, help="of folds, network and intervals")
    parser.add_argument("--json", type=Path, help="keep figures there, and go on with them")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args(words)
    data = options.data or Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data")
    seen, patients, labels = load(data)
    kept: dict[str, dict[str, Any]] = {}
    if options.json is not None and options.json.is_file():
        kept = json.loads(options.json.read_text("utf-8"))
    table = Table(["siamese CNN", "on", "AUC", "precision@1", "processor time"], words=2)
    tried = [(idea, "raw") for idea in options.ideas]
    tried += [("both", what) for what in seen if what != "raw" and "both" in options.ideas]
    for idea, what in tried:
        name = f"{idea} {what}"
        if name not in kept:
            kept[name] = link(idea, seen[what], patients, labels, options.seed)
            print(name, kept[name], flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
        row = kept[name]
        where = f"raw, {SIDE} × {SIDE}" if what == "raw" else f"codes, {what}"
        table.add(IDEAS[idea][0], where, row["AUC"], row["precision@1"], f"{row['seconds']:.0f} s")
    command = (
        f"python -m benchmarks.siamese --seed {options.seed} --ideas {' '.join(options.ideas)}"
    )
    parts = [table.markdown(), f"Made by `{command}`."]
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, "siamese", parts)


if __name__ == "__main__":
    main()
