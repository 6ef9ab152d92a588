"""Find level and patches by a grid search, with the codec as a step of a pipeline."""

from __future__ import annotations

import numpy as np
from drawing import dataset_of_arguments
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline

from deepfixcx.learn.loading import load_pixels
from deepfixcx.sklearn import CodecTransformer


def main() -> None:
    """Print the best setting, and the area under the ROC curve it reaches on other patients."""
    dataset = dataset_of_arguments()
    dataset = dataset.select(dataset.known[:, 0])
    loaded = load_pixels(dataset.records, side=128)
    dataset = dataset.select(loaded.places)
    labels = dataset.labels[:, 0].astype(int)

    pipeline = make_pipeline(
        CodecTransformer(level=2, patches=4),
        PCA(n_components=8, whiten=True),
        LogisticRegression(),
    )
    search = GridSearchCV(
        pipeline,
        {"codectransformer__level": [1, 2, 3], "codectransformer__patches": [2, 4]},
        scoring="roc_auc",
        cv=StratifiedGroupKFold(n_splits=5),  # no patient is learned from and tested
    )
    search.fit(np.asarray(loaded.array), labels, groups=dataset.patients)
    level = search.best_params_["codectransformer__level"]
    patches = search.best_params_["codectransformer__patches"]
    numbers = search.best_estimator_[0].codec_.spec.numbers(loaded.array.shape[1])
    print(f"best: J={level}, P={patches}, {numbers} of {loaded.array[0].size} numbers an image")
    print(f"AUC of other patients, mean of 5 folds: {search.best_score_:.3f}")


if __name__ == "__main__":
    main()
