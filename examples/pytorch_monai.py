"""Two ways into PyTorch: codes made once in front of a small network, and a transform of MONAI."""

from __future__ import annotations

import numpy as np
import torch
from drawing import dataset_of_arguments
from monai.transforms import Compose, EnsureChannelFirst, ScaleIntensity
from torch import nn

from deepfixcx.datasets import folds_by_patient
from deepfixcx.images import read_image
from deepfixcx.learn.loading import load_pixels
from deepfixcx.measures import roc_auc
from deepfixcx.torch import Encode
from deepfixcx.torch.monai import Privatize


def main() -> None:
    """Print the area under the ROC curve of a small network on codes, and a privatized image."""
    dataset = dataset_of_arguments()
    dataset = dataset.select(dataset.known[:, 0])
    loaded = load_pixels(dataset.records, side=128)
    dataset = dataset.select(loaded.places)
    fold = folds_by_patient(dataset, 5)[0]

    encode = Encode(level=2, patches=4)  # no parameters: nothing of it is learned
    codes = encode(torch.from_numpy(loaded.array)).flatten(1).log1p()
    labels = torch.from_numpy(np.array(dataset.labels))
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm1d(codes.shape[1]), nn.Linear(codes.shape[1], 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        logits = network(codes[fold.train])
        nn.functional.binary_cross_entropy_with_logits(logits, labels[fold.train]).backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        scores = network(codes[fold.test])[:, 0].numpy()
    print(f"AUC of other patients: {roc_auc(dataset.labels[fold.test, 0], scores):.3f}")

    transform = Compose(
        [EnsureChannelFirst(channel_dim="no_channel"), ScaleIntensity(), Privatize(2, 4)]
    )
    image = read_image(dataset.records[0].path).pixels[0, 0].astype(np.float32)
    print(f"privatized by a transform of MONAI: {tuple(image.shape)} to {transform(image).shape}")


if __name__ == "__main__":
    main()
