"""A dataset on disk becomes records: where each image is, whose it is, and its labels.

`load_dataset` recognises the layout of a folder and says which it took; `split_by_patient` and
`folds_by_patient` divide a dataset so that no patient is in two parts. No image is decoded here.
"""

from deepfixcx.datasets.dataset import Dataset, ImageRecord, Problem, find_duplicates
from deepfixcx.datasets.features import FeatureMatrix, read_features
from deepfixcx.datasets.files import Published
from deepfixcx.datasets.folder import read_folder
from deepfixcx.datasets.labels import Labels
from deepfixcx.datasets.loading import LAYOUTS, PUBLISHED, load_dataset, read_published
from deepfixcx.datasets.published import MIMIC_NEGBIO
from deepfixcx.datasets.splits import Split, folds_by_patient, official_split, split_by_patient
from deepfixcx.datasets.table import Columns, read_table

__all__ = [
    "LAYOUTS",
    "MIMIC_NEGBIO",
    "PUBLISHED",
    "Columns",
    "Dataset",
    "FeatureMatrix",
    "ImageRecord",
    "Labels",
    "Problem",
    "Published",
    "Split",
    "find_duplicates",
    "folds_by_patient",
    "load_dataset",
    "official_split",
    "read_features",
    "read_folder",
    "read_published",
    "read_table",
    "split_by_patient",
]
