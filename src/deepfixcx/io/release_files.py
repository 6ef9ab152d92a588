"""How a release is recognised: by its manifest files, which every layer has to keep clear of."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

__all__ = [
    "ABOUT",
    "CATALOG",
    "CROISSANT",
    "DATA",
    "FAILURES",
    "FORMAT",
    "KINDS",
    "LABELS",
    "LICENCE",
    "MANIFEST",
    "README",
    "ROWS",
    "SOURCES",
    "VECTORS",
    "WITHHELD",
    "checksum_of",
    "holds_codes",
    "holds_records",
    "is_leaf",
    "is_release",
    "release_around",
]

ABOUT, MANIFEST, FAILURES = "dataset.json", "manifest.csv", "failures.csv"
LABELS, VECTORS = "labels.csv", "records.safetensors"
"""Of a release by a mechanism that needs labels: labels, and records that are vectors."""

README, LICENCE, CROISSANT, CATALOG = "README.md", "LICENCE", "croissant.json", "dcat.jsonld"
"""Descriptions of a release for people, for machine learning and for catalogs of health data."""

ROWS, DATA = "manifest.parquet", "data/"
"""The manifest with types, and the folder of tables with images, codes and labels."""

SOURCES, WITHHELD = "sources.csv", "withheld.csv"
"""Of the private folder: the source of each image, and the images that are in no record."""

KINDS = {"image": "images", "dicom": "dicom", "code": "codes"}
"""Kinds of results, as in the columns image_file and others, with the folder of each."""

FORMAT = "deepfixcx.release"


def checksum_of(folder: Path) -> str:
    """Return the SHA-256 of dataset.json; empty where a folder is no release."""
    try:
        content = (folder / ABOUT).read_bytes() if (folder / ABOUT).is_file() else b""
        about = json.loads(content)  # a pipe, which would wait for its writer, is no file
    except (OSError, ValueError, RecursionError):
        return ""
    is_one = isinstance(about, dict) and about.get("format") == FORMAT
    return hashlib.sha256(content).hexdigest() if is_one else ""


def is_release(folder: Path) -> bool:
    """Return whether a folder is a finished release."""
    return (folder / MANIFEST).is_file() and checksum_of(folder) != ""


def holds_codes(folder: Path) -> bool:
    """Return whether a folder has the manifest and the codes of a release."""
    return (folder / MANIFEST).is_file() and (folder / "codes").is_dir()


def holds_records(folder: Path) -> bool:
    """Return whether a folder is a release by a mechanism that needs labels."""
    return (folder / LABELS).is_file() and (folder / ABOUT).is_file()


def is_leaf(name: str) -> bool:
    """Return whether a file of a release describes it, or repeats its content as a table."""
    described = name in (README, LICENCE, CROISSANT, CATALOG, ROWS)
    return described or re.fullmatch(r"data/[\w-]+\.parquet", name) is not None


def release_around(path: Path) -> Path | None:
    """Return the release that a path is, or lies in, whether or not the path exists."""
    path = path.resolve()
    return next((folder for folder in (path, *path.parents) if is_release(folder)), None)
