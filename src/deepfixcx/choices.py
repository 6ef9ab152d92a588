"""The values of every option with a fixed choice.

They are types, so that the type checker, the library, the command line and its completion use the
same values; the module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

__all__ = [
    "CONTENTS",
    "Blank",
    "Boundary",
    "CodeModel",
    "Engine",
    "FreeTexts",
    "Grid",
    "Independent",
    "Layout",
    "Names",
    "Ocr",
    "On",
    "Output",
    "Part",
    "Parting",
    "Pooling",
    "Retained",
    "Size",
    "Storage",
    "Uncertain",
    "Written",
]

Boundary = Literal["zero", "periodic"]
"""Continuation of the image beyond its edge: zeros, or the image repeated."""

Grid = Literal["balanced", "padded"]
"""How a band is divided into cells: a partition without empty cells, or the paper's equal cells."""

Pooling = Literal["l1", "l2", "sum", "max", "min", "median", "sum_pos", "sum_neg"]
"""How the coefficients of a cell become one number."""

Independent = Literal["bands", "quantization"]
"""Mechanisms that need neither other images nor labels."""

Size = Literal["compact", "original"]
"""Size of a reconstruction: P * 2**J pixels a side, or that of the source image."""

Storage = Literal["float32", "float16", "uint8"]
"""How the numbers of a code are stored on disk."""

Output = Literal[
    "images", "codes", "both", "dicom", "images,dicom", "codes,dicom", "images,codes,dicom"
]
"""What a release holds: privatized images, codes (both: images and codes), images as DICOM."""

Written = Literal[Output, "deidentified"]
"""What a release may hold: an `Output`, or de-identified DICOM files with their own pixels."""

CONTENTS: Final[Mapping[str, frozenset[str]]] = {
    "images": frozenset({"image"}),
    "codes": frozenset({"code"}),
    "both": frozenset({"image", "code"}),
    "dicom": frozenset({"dicom"}),
    "images,dicom": frozenset({"image", "dicom"}),
    "codes,dicom": frozenset({"code", "dicom"}),
    "images,codes,dicom": frozenset({"image", "code", "dicom"}),
    "deidentified": frozenset({"dicom"}),
}
"""Kinds of files of each `Written`, as in the columns image_file, code_file and dicom_file."""

IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib"}
    | {".dcm", ".dicom", ".ima", ".dc3"}
)
"""Endings of the names of images in two dimensions."""

Retained = Literal["dates", "patient", "device", "descriptors"]
"""What may stay in DICOM headers: shifted dates, sex and age, the device, harmless words."""

Names = Literal["neutral", "keep"]
"""What files and folders of a release are called: numbers, or as their sources."""

Engine = Literal["local", "dask"]
"""Where a release is computed: in processes of this machine, or on a dask cluster."""

Ocr = Literal["tesseract", "rapidocr"]
FreeTexts = Literal["drop", "keep"]
"""What finds text in pixels: the program tesseract, or the networks of RapidOCR."""

On = Literal["codes", "images", "original"]
"""What a model sees: codes, privatized images made from them, or images as they are."""

Parting = Literal["patient", "official"]
"""How a dataset is divided: by patient at random, or as published."""

Part = Literal["train", "validation", "test", "all"]
"""Which images of a dataset."""

CodeModel = Literal["logistic", "mlp"]
"""Models of a sweep on codes."""

Layout = Literal["chexpert", "nih", "mimic-cxr-jpg", "kimeye", "mobileodt", "table", "folder"]
"""Layouts of a dataset on disk."""

Uncertain = Literal["ignore", "positive", "negative"]
"""What an uncertain label (-1) counts as: unknown, positive, or negative."""

Blank = Literal["ignore", "negative"]
"""What a label that is not mentioned counts as: unknown, or negative."""
