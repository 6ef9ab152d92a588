"""Every error this package raises on purpose.

DeepfixcxError
├── SpecError                  the arguments of a codec do not fit together      (ValueError)
├── PixelsError                an array of pixels cannot be encoded              (ValueError)
│   ├── PixelsShapeError       wrong number of axes, no pixels, or a wrong dtype
│   ├── ImageTooSmallError     the image is too small for the spec
│   └── NonFiniteError         NaN or infinity among the pixels
├── CodeError                  an operation does not fit this code               (ValueError)
├── CodeFileError              a file of codes cannot be used
│   ├── ForeignFileError       it was not written by deepfixcx
│   ├── BrokenFileError        it is truncated or its parts contradict each other
│   └── FormatVersionError     it was written by a newer format
├── ImageFileError             a file on disk is not a usable image
│   ├── UnreadableFileError    the file cannot be opened (permissions, vanished)
│   ├── FolderLoopError        a symbolic link leads back to a folder above it
│   ├── EmptyFileError         the file has no bytes
│   ├── NotAnImageError        no known image format
│   ├── NoPixelsError          a valid file without pixels (report, plan, directory)
│   ├── OversizedImageError    more pixels than the limit, or than the memory holds
│   ├── NotAVolumeError        an image, or a file without a place in space, where a volume is due
│   ├── SeriesError            the slices of a series do not form one volume
│   └── DecodeError            an image whose pixels cannot be read correctly
│       ├── DamagedImageError         truncated or damaged bytes: copy the file again
│       ├── UnsupportedImageError     a sound file of a kind that is not read: convert it
│       └── ContradictoryHeaderError  the header contradicts itself or the pixels: correct it
├── DatasetError               a dataset on disk cannot be used                  (ValueError)
│   ├── LayoutError            no known layout, or not the requested one
│   ├── LabelError             a label that the dataset does not have
│   ├── RowError               one row of a table names no usable image
│   └── SplitError             too few patients, or parts that do not add up
├── ReleaseError               a release cannot begin, be resumed or be read
│   ├── ReleaseStoppedError    a release that had begun cannot go on (a full disk)
│   └── WorkerDiedError        a worker process died on this file
├── ModelError                 a model cannot be built, trained or used as asked (ValueError)
│   ├── ModelFileError         a folder holds no model, or a damaged or newer one
│   └── TrainingStoppedError   training that had begun cannot go on (a full disk)
├── ExplanationError           a code or a model cannot be explained as asked    (ValueError)
├── AuditError                 an attack cannot be made with these arrays        (ValueError)
├── MechanismError             a mechanism cannot be applied as asked            (ValueError)
├── DeidentifyError            a header, a key or a rule file cannot be used     (ValueError)
├── NodeError                  a node of the DICOM network cannot run as configured (ValueError)
├── OverwriteError             the target is a file that deepfixcx did not make
├── InUseError                 another process is writing that folder
└── MissingExtraError          an optional dependency is not installed            (ImportError)

Messages say what was wrong, with which shape, file or spec, and what to do. They never contain
pixel values, header values or anything else that was read from inside a medical file.
"""

from __future__ import annotations

__all__ = [
    "AuditError",
    "BrokenFileError",
    "CodeError",
    "CodeFileError",
    "ContradictoryHeaderError",
    "DamagedImageError",
    "DatasetError",
    "DecodeError",
    "DeepfixcxError",
    "DeidentifyError",
    "EmptyFileError",
    "ExplanationError",
    "FolderLoopError",
    "ForeignFileError",
    "FormatVersionError",
    "ImageFileError",
    "ImageTooSmallError",
    "InUseError",
    "LabelError",
    "LayoutError",
    "MechanismError",
    "MissingExtraError",
    "ModelError",
    "ModelFileError",
    "NoPixelsError",
    "NodeError",
    "NonFiniteError",
    "NotAVolumeError",
    "NotAnImageError",
    "OversizedImageError",
    "OverwriteError",
    "PixelsError",
    "PixelsShapeError",
    "ReleaseError",
    "ReleaseStoppedError",
    "RowError",
    "SeriesError",
    "SpecError",
    "SplitError",
    "TrainingStoppedError",
    "UnreadableFileError",
    "UnsupportedImageError",
    "WorkerDiedError",
]


class DeepfixcxError(Exception):
    """Base of every error that deepfixcx raises on purpose: catch it to go on with the next image.

    Only files that are missing or not to be opened may raise what Python raises for them.

    Examples
    --------
    >>> import numpy as np
    >>> from deepfixcx import Codec, DeepfixcxError
    >>> for size in (8, 64):
    ...     try:
    ...         print(Codec(level=3, patches=4).encode(np.ones((size, size))).array.shape)
    ...     except DeepfixcxError as error:
    ...         print(type(error).__name__)
    ImageTooSmallError
    (1, 1, 64, 4, 4)
    """


# -- settings, pixels and codes: the arguments of the codec ---------------------------------------


class SpecError(DeepfixcxError, ValueError):
    """The arguments of a codec do not fit together, or do not fit an image."""


class PixelsError(DeepfixcxError, ValueError):
    """An array of pixels cannot be encoded."""


class PixelsShapeError(PixelsError):
    """Pixels with a wrong number of axes, an empty axis, or a wrong dtype."""


class ImageTooSmallError(PixelsError):
    """The bands of this image have fewer rows or columns than the code has cells."""


class NonFiniteError(PixelsError):
    """NaN or infinity among the pixels."""


class CodeError(DeepfixcxError, ValueError):
    """An operation does not fit this code."""


# -- files of codes -------------------------------------------------------------------------------


class CodeFileError(DeepfixcxError):
    """A file of codes cannot be used."""


class ForeignFileError(CodeFileError):
    """The file was not written by deepfixcx."""


class BrokenFileError(CodeFileError):
    """The file is truncated, or its parts contradict each other."""


class FormatVersionError(CodeFileError):
    """The file was written by a newer format than this version reads."""


# -- files of images: one of them never stops the others ------------------------------------------


class ImageFileError(DeepfixcxError):
    """A file on disk is not a usable image."""


class UnreadableFileError(ImageFileError):
    """The file cannot be opened: permissions, vanished, or an input/output error."""


class FolderLoopError(ImageFileError):
    """A symbolic link leads back to a folder above it."""


class EmptyFileError(ImageFileError):
    """The file has no bytes."""


class NotAnImageError(ImageFileError):
    """The content is not of any image format that deepfixcx reads."""


class NoPixelsError(ImageFileError):
    """A valid file without pixels, such as a structured report or a radiotherapy plan."""


class OversizedImageError(ImageFileError):
    """The image declares more pixels than the limit, or needs more memory than is available."""


class NotAVolumeError(ImageFileError):
    """A file of images that is no volume: a picture, one slice, or slices without positions."""


class SeriesError(ImageFileError):
    """The slices of a series do not form one volume: a gap, a duplicate, or mixed geometry."""


class DecodeError(ImageFileError):
    """The pixels of an image cannot be read correctly; the subclasses say why.

    The readers raise one of the three subclasses. Catch this class where the cause does not matter.
    """


class DamagedImageError(DecodeError):
    """The file is truncated or damaged. A new copy from the source may be sound."""


class UnsupportedImageError(DecodeError):
    """A sound file of a kind that is not read. The message names the kind: convert the file."""


class ContradictoryHeaderError(DecodeError):
    """The header contradicts itself or the pixels, or lacks what the pixels need."""


# -- datasets -------------------------------------------------------------------------------------


class DatasetError(DeepfixcxError, ValueError):
    """A dataset on disk cannot be read, labelled or split as asked."""


class LayoutError(DatasetError):
    """Files and folders have no known layout, or not the requested one."""


class LabelError(DatasetError):
    """A label that the dataset does not have, or a column that is no label."""


class RowError(DatasetError):
    """One row of a table cannot be read, or names no image, or one that was there before."""


class SplitError(DatasetError):
    """Too few patients for the parts, or parts that do not add up."""


# -- releases -------------------------------------------------------------------------------------


class ReleaseError(DeepfixcxError):
    """A release cannot begin, be resumed or be read."""


class ReleaseStoppedError(ReleaseError):
    """A release that had begun cannot go on, because of a full disk, say; it can be resumed."""


class WorkerDiedError(ReleaseError):
    """A worker process died while it worked on this file."""


# -- models, explanations, attacks, mechanisms, headers -------------------------------------------


class ModelError(DeepfixcxError, ValueError):
    """A model cannot be built, trained or used as asked."""


class ModelFileError(ModelError):
    """A folder holds no model of deepfixcx, or one that is damaged or of a newer format."""


class TrainingStoppedError(ModelError):
    """Training that had begun cannot go on, because of a full disk, say; it can be resumed."""


class ExplanationError(DeepfixcxError, ValueError):
    """A code or a model cannot be explained as asked: shapes, a baseline or a target do not fit."""


class AuditError(DeepfixcxError, ValueError):
    """An attack cannot be made with these arrays, such as too few patients with two images."""


class MechanismError(DeepfixcxError, ValueError):
    """A mechanism cannot be applied as asked, so its guarantee would not hold."""


class DeidentifyError(DeepfixcxError, ValueError):
    """A header cannot be de-identified, or a key or a rule file cannot be used."""


class NodeError(DeepfixcxError, ValueError):
    """A node of the DICOM network cannot run as configured, or its folder cannot be used."""


class OverwriteError(DeepfixcxError):
    """The target is a file that deepfixcx did not make, or that was changed since; it is kept."""


class InUseError(DeepfixcxError):
    """Another process is writing that folder right now."""


# -- the installation -----------------------------------------------------------------------------


class MissingExtraError(DeepfixcxError, ImportError):
    """An optional dependency is not installed."""
