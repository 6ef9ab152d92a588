"""Attack and protect features of a network, here an untrained one of torch."""

from __future__ import annotations

import numpy as np
import torch
from drawing import dataset_of_arguments
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepfixcx.audit.linkage import Records, attack_linkage
from deepfixcx.datasets import FeatureMatrix
from deepfixcx.learn.loading import load_pixels
from deepfixcx.measures import roc_auc
from deepfixcx.sklearn import TaskProjector


def features_of(images: np.ndarray) -> np.ndarray:
    """Return what a network of random filters sees of images (N, 1, H, W), (N, 96)."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 48, 7, 2), torch.nn.ReLU(), torch.nn.Conv2d(48, 96, 5, 2),
        torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


def main() -> None:
    """Print how well features link patients and serve the label, before and after a projection."""
    dataset = dataset_of_arguments()
    dataset = dataset.select(dataset.known[:, 0])
    loaded = load_pixels(dataset.records, side=64, channels=1)
    dataset = dataset.select(loaded.places)
    features = features_of(loaded.array)
    matrix = FeatureMatrix(dataset, features)
    labels, patients = dataset.labels[:, 0], dataset.patients
    public = np.unique(patients, return_inverse=True)[1] % 5 < 2  # of other patients
    projector = TaskProjector().fit(matrix.array[public], labels[public], groups=patients[public])
    private = ~public
    for name, rows in (
        ("features", matrix.array[private]),
        ("one number an image", projector.transform(matrix.array[private])),
    ):
        linkage = attack_linkage(Records(rows), patients[private], attacker="whitening")[0]
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        scores = cross_val_predict(
            model, rows, labels[private] > 0.5, groups=patients[private],
            cv=GroupKFold(5), method="decision_function",
        )  # fmt: skip
        utility = roc_auc(labels[private], scores)
        print(f"linkage AUC, from {name}: {linkage.value}")
        print(f"AUC of other patients, from {name}: {utility:.3f}")


if __name__ == "__main__":
    main()
