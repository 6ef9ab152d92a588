"""Fitted mechanisms on disk: one safetensors file of plain arrays; reading executes nothing.

Its metadata has one entry, ``deepfixcx``, JSON with sorted keys: ``format``
("deepfixcx.mechanism"), ``version``, ``spec``, ``channels``, ``labels``, and ``steps``, each with
the name and the parameters of a mechanism. Tensors are called by the number of their step:
``0.weights``, ``0.whitening.mean``, …; all are float64.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from deepfixcx.errors import (
    BrokenFileError,
    CodeFileError,
    DeepfixcxError,
    ForeignFileError,
    FormatVersionError,
    MechanismError,
)
from deepfixcx.mechanisms.independent import BandSelection, Quantization
from deepfixcx.mechanisms.label_model import LabelModel
from deepfixcx.mechanisms.mixing import KMixing
from deepfixcx.mechanisms.projection import (
    FittedProjection,
    FittedSuppression,
    IdentitySuppression,
    TaskProjection,
)
from deepfixcx.mechanisms.protocol import FittedChain, FittedMechanism, Plain
from deepfixcx.mechanisms.resampling import FittedResampling, LabelResampling
from deepfixcx.mechanisms.synthesis import FittedSynthesis, ShrunkSynthesis
from deepfixcx.mechanisms.whitening import Whitening
from deepfixcx.spec import CodecSpec

__all__ = ["MECHANISM_FILE", "PublishedMechanism", "load_mechanism", "mechanism_bytes"]

MECHANISM_FILE = "mechanism.safetensors"
FORMAT_NAME = "deepfixcx.mechanism"
FORMAT_VERSION = 1

Arrays = dict[str, NDArray[np.float64]]

MODEL_PARTS = ("centre", "slopes", "root", "errors", "prior")

_Unlearned: TypeAlias = Plain | BandSelection | Quantization | KMixing

_UNLEARNED: Mapping[str, type[_Unlearned]] = {
    "plain": Plain,
    "bands": BandSelection,
    "quantization": Quantization,
    "mixing": KMixing,
}


@dataclass(frozen=True, eq=False, slots=True)
class PublishedMechanism:
    """A fitted mechanism as a release holds it, for its recipients.

    Attributes
    ----------
    fitted : FittedMechanism
        Brings codes into the form of the release.
    spec : CodecSpec
        How images are encoded before.
    channels : int
        1 for gray, 3 for colour.
    label_names : tuple of str
        Labels that it was fitted to keep, and that are released with the records.

    Examples
    --------
    >>> from deepfixcx.mechanisms.protocol import Plain
    >>> published = PublishedMechanism(Plain(), CodecSpec(1, 2), 1, ("pneumonia",))
    >>> published.represent(np.ones((3, 1, 4, 2, 2), np.float32)).shape
    (3, 1, 4, 2, 2)
    """

    fitted: FittedMechanism
    spec: CodecSpec
    channels: int
    label_names: tuple[str, ...]

    @property
    def makes_codes(self) -> bool:
        """Whether records have the shape of codes, rather than of vectors."""
        shape = self.spec.code_shape(self.channels)
        return self.represent(np.zeros((1, *shape), np.float32)).shape[1:] == shape

    def represent(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring codes into the form of the release, without protection.

        Parameters
        ----------
        array : ndarray of float32, shape (N, C, 4**J, P, P)
            Of the same spec and channels; `Code.array`.

        Returns
        -------
        ndarray of float32
            Vectors (N, K), or codes of the same shape.

        Raises
        ------
        MechanismError
            Codes of another shape.
        """
        wanted = self.spec.code_shape(self.channels)
        if array.shape[1:] != wanted:
            raise MechanismError(
                f"this mechanism takes codes of shape {('N', *wanted)}, got {array.shape}; encode "
                f"with {self.spec} and {self.channels} channels"
            )
        return self.fitted.represent(array)


def mechanism_bytes(published: PublishedMechanism) -> bytes:
    """Return the file of a fitted mechanism; equal mechanisms give equal bytes."""
    fitted = published.fitted
    steps: Sequence[FittedMechanism] = (
        fitted.steps if isinstance(fitted, FittedChain) else (fitted,)
    )
    arrays: Arrays = {}
    entries = []
    for number, step in enumerate(steps):
        entry, own = _taken_apart(step)
        entries.append(entry)
        arrays |= {f"{number}.{name}": np.ascontiguousarray(own[name]) for name in own}
    about = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "spec": published.spec.to_dict(),
        "channels": published.channels,
        "labels": list(published.label_names),
        "steps": entries,
    }
    return safetensors.numpy.save(
        arrays, metadata={"deepfixcx": json.dumps(about, sort_keys=True, allow_nan=False)}
    )


def load_mechanism(where: str | Path) -> PublishedMechanism:
    """Read the fitted mechanism of a release; nothing of the file is executed.

    Parameters
    ----------
    where : path-like
        The folder of a release or of a model, or the file ``mechanism.safetensors`` itself.

    Returns
    -------
    PublishedMechanism
        Equal to the one that was written.

    Raises
    ------
    CodeFileError
        There is no such file: the release has no mechanism that needs one.
    ForeignFileError, BrokenFileError, FormatVersionError
        The file is not from deepfixcx, is damaged, or is of a newer format.

    Examples
    --------
    >>> load_mechanism("no such folder")
    Traceback (most recent call last):
    deepfixcx.errors.CodeFileError: there is no mechanism.safetensors in 'no such folder'...
    """
    place = Path(where)
    path = place / MECHANISM_FILE if place.is_dir() or not place.suffix else place
    try:
        data = path.read_bytes()
    except OSError:
        raise CodeFileError(
            f"there is no {path.name} in {path.parent.name!r} that can be read; only a release "
            "of a mechanism that learns from other images, such as projection, has one"
        ) from None
    about = _about(path, data)
    damaged = BrokenFileError(f"{path.name} is damaged or truncated; copy it again")
    try:
        arrays = safetensors.numpy.load(data)
        parts = [
            _put_together(entry, _of_step(arrays, number))
            for number, entry in enumerate(about["steps"])
        ]
        spec = CodecSpec.from_dict(about["spec"])
        channels, labels = int(about["channels"]), tuple(str(name) for name in about["labels"])
        fits = bool(parts) and channels in (1, 3)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, DeepfixcxError):
        raise damaged from None
    except safetensors.SafetensorError:
        raise damaged from None
    if not fits:
        raise damaged
    fitted = parts[0] if len(parts) == 1 else FittedChain(tuple(parts))
    return PublishedMechanism(fitted, spec, channels, labels)


def _taken_apart(fitted: FittedMechanism) -> tuple[dict[str, Any], Arrays]:
    """Return a mechanism as plain JSON values and arrays."""
    if isinstance(fitted, _Unlearned):
        (name,) = (name for name, kind in _UNLEARNED.items() if isinstance(fitted, kind))
        return {"mechanism": name, "parameters": asdict(fitted)}, {}
    if isinstance(fitted, FittedSuppression):
        name, arrays = "suppression", {"removed": fitted.removed}
    elif isinstance(fitted, FittedProjection):
        name, arrays = "projection", {"weights": fitted.weights, "back": fitted.back}
    elif isinstance(fitted, FittedResampling):
        name, arrays = "resampling", {}
    elif isinstance(fitted, FittedSynthesis):
        before, arrays = _taken_apart(fitted.projection)
        arrays |= {f"model.{part}": getattr(fitted.model, part) for part in MODEL_PARTS}
        own = {"mechanism": "synthesis", "parameters": asdict(fitted.mechanism)}
        projection = before["parameters"]
        return {**before, **own, "projection": projection}, arrays | {"rest": fitted.rest}
    else:
        raise MechanismError(
            f"{type(fitted).__name__} is not a mechanism of deepfixcx and cannot be stored; "
            "share its parameters instead"
        )
    entry: dict[str, Any] = {"mechanism": name, "parameters": asdict(fitted.mechanism)}
    whitening = fitted.whitening
    if whitening is not None:
        entry["shape"] = list(whitening.shape)
        for part in ("mean", "scale", "components", "deviations"):
            arrays[f"whitening.{part}"] = getattr(whitening, part)
    return entry, arrays


def _put_together(entry: Mapping[str, Any], arrays: Arrays) -> FittedMechanism:
    """Undo `_taken_apart`; a part that does not fit raises."""
    name, parameters = str(entry["mechanism"]), dict(entry["parameters"])
    if name in _UNLEARNED:
        made: FittedMechanism = _UNLEARNED[name](**parameters)
        return made
    whitening = _whitening(entry, arrays)
    if name == "resampling":
        return FittedResampling(LabelResampling(**parameters), whitening)
    if whitening is None:
        raise KeyError("whitening")
    components = whitening.components.shape[1]
    if name == "synthesis":
        projected = {**entry, "mechanism": "projection", "parameters": entry["projection"]}
        projection = _put_together(projected, arrays)
        if not isinstance(projection, FittedProjection):
            raise KeyError(name)
        model = _label_model(arrays, projection.weights.shape[1])
        rest = _shaped(arrays["rest"], components)
        return FittedSynthesis(ShrunkSynthesis(**parameters), projection, model, rest)
    if name == "suppression":
        removed = _shaped(arrays["removed"], components, None)
        return FittedSuppression(IdentitySuppression(**parameters), whitening, removed)
    if name != "projection":
        raise KeyError(name)
    weights = _shaped(arrays["weights"], components, None)
    back = _shaped(arrays["back"], weights.shape[1], components)
    return FittedProjection(TaskProjection(**parameters), whitening, weights, back)


def _label_model(arrays: Arrays, numbers: int) -> LabelModel:
    labels = len(_shaped(arrays["model.centre"], None))
    return LabelModel(
        arrays["model.centre"],
        _shaped(arrays["model.slopes"], labels + 1, numbers),
        _shaped(arrays["model.root"], numbers, numbers),
        _shaped(arrays["model.errors"], labels + 1, labels + 1),
        _shaped(arrays["model.prior"], 2**labels),
    )


def _whitening(entry: Mapping[str, Any], arrays: Arrays) -> Whitening | None:
    if "shape" not in entry:
        return None
    shape = tuple(int(length) for length in entry["shape"])
    numbers = int(np.prod(shape))
    components = _shaped(arrays["whitening.components"], numbers, None)
    return Whitening(
        shape,
        _shaped(arrays["whitening.mean"], numbers),
        _shaped(arrays["whitening.scale"], numbers),
        components,
        _shaped(arrays["whitening.deviations"], components.shape[1]),
    )


def _shaped(array: NDArray[np.float64], *shape: int | None) -> NDArray[np.float64]:
    """Return an array as it is, if it is finite and of this shape; None stands for any length."""
    fits = array.dtype == np.float64 and array.ndim == len(shape) and np.isfinite(array).all()
    if not fits or any(
        wanted not in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    ):
        raise ValueError("an array does not fit")
    return array


def _of_step(arrays: Mapping[str, NDArray[Any]], number: int) -> Arrays:
    prefix = f"{number}."
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _about(path: Path, data: bytes) -> dict[str, Any]:
    """Return the metadata entry of a file; raise if it has none."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        about = json.loads(header["__metadata__"]["deepfixcx"])
        found = about["format"] == FORMAT_NAME and isinstance(about["version"], int)
    except (ValueError, KeyError, TypeError, RecursionError):
        found = False
    if not found:
        raise ForeignFileError(
            f"{path.name} is not a fitted mechanism of deepfixcx, or is truncated; copy it again "
            f"from the release"
        )
    if about["version"] != FORMAT_VERSION:
        raise FormatVersionError(
            f"{path.name} has format version {about['version']} and this deepfixcx reads "
            f"{FORMAT_VERSION}; update deepfixcx to read it"
        )
    return dict(about)
