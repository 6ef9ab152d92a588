"""A file becomes pixels, and pixels become a file.

`read_image` reads PNG, JPEG, TIFF, BMP, DICOM and NIfTI, recognised by their content;
`inspect_image` says what a file holds; `write_png` writes one; `phantom` makes a synthetic
radiograph.

Importing this package loads neither pillow nor pydicom nor nibabel: the module of a format is
imported when the first file of that format is read.
"""

from __future__ import annotations

from deepfixcx.images.frames import DEFAULT_MAX_PIXELS, ImageFacts, ImageFrames
from deepfixcx.images.phantoms import phantom
from deepfixcx.images.plain import write_png
from deepfixcx.images.reading import inspect_image, read_image

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "ImageFacts",
    "ImageFrames",
    "inspect_image",
    "phantom",
    "read_image",
    "write_png",
]
