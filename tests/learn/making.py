"""A small dataset that can be learned: sick images have fine texture in one corner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepfixcx import CodecSpec
from deepfixcx.datasets import Dataset, load_dataset

SPEC = CodecSpec(level=2, patches=4)
SIDE = 32


def make_image(generator: np.random.Generator, sick: bool) -> NDArray[np.uint8]:
    image = generator.normal(120, 6, (SIDE, SIDE)) + 30 * generator.random()
    if sick:
        image[: SIDE // 4, : SIDE // 4] += generator.normal(0, 30, (SIDE // 4, SIDE // 4))
    return image.clip(0, 255).astype(np.uint8)


def make_dataset(folder: Path, images: int = 80, labels: str = "sick", seed: int = 0) -> Dataset:
    """Write images of half as many patients, and read them as a dataset.

    The columns ``sick`` and ``odd`` are labels; some of ``odd`` are unknown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    rows = ["file,patient_id,view,sick,odd"]
    for number in range(images):
        patient = number // 2
        sick = patient % 2 == 0
        Image.fromarray(make_image(generator, sick)).save(folder / f"{number}.png")
        odd = "" if number % 5 == 0 else number % 2
        rows.append(f"{number}.png,p{patient},{'AP' if patient % 3 else 'PA'},{int(sick)},{odd}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return load_dataset(folder, labels=labels)
