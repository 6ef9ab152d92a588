"""Fitted mechanisms on disk: what is read does exactly what was written did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import safe_open

from deepfixcx.errors import (
    BrokenFileError,
    CodeFileError,
    ForeignFileError,
    FormatVersionError,
    MechanismError,
)
from deepfixcx.mechanisms import PublishedMechanism, load_mechanism, mechanism_named
from deepfixcx.mechanisms.catalogue import MECHANISMS
from deepfixcx.mechanisms.files import MECHANISM_FILE, mechanism_bytes
from deepfixcx.spec import CodecSpec
from tests.mechanisms.making import make_records

SPEC = CodecSpec(level=2, patches=2)
CHAINS = ("bands,projection-codes,mixing-3", "suppression,resampling", "quantization,mixing-4")


def published(name: str) -> PublishedMechanism:
    fitted = mechanism_named(name).fit(make_records(seed=1), np.random.default_rng(0))
    return PublishedMechanism(fitted, SPEC, 1, ("sick", "wet"))


@pytest.mark.parametrize("name", [*MECHANISMS, *CHAINS])
def test_every_mechanism_comes_back_exactly(name: str, tmp_path: Path) -> None:
    written = published(name)
    (tmp_path / MECHANISM_FILE).write_bytes(mechanism_bytes(written))
    read = load_mechanism(tmp_path)
    assert (read.spec, read.channels, read.label_names) == (SPEC, 1, ("sick", "wet"))
    assert read.fitted.to_manifest() == written.fitted.to_manifest()
    assert read.fitted.guarantee == written.fitted.guarantee
    others = make_records(seed=2)
    assert np.array_equal(read.represent(others.array), written.represent(others.array))
    one, other = (
        each.fitted.apply(others, np.random.default_rng(5)).array for each in (read, written)
    )
    assert np.array_equal(one, other)
    assert mechanism_bytes(read) == mechanism_bytes(written)
    assert np.array_equal(
        load_mechanism(tmp_path / MECHANISM_FILE).represent(others.array),
        written.represent(others.array),
    )


def test_codes_of_another_shape_are_refused() -> None:
    with pytest.raises(MechanismError, match="channels"):
        published("mixing").represent(np.zeros((1, 3, 16, 2, 2), np.float32))


def test_a_mechanism_of_ones_own_cannot_be_written() -> None:
    class Own:
        guarantee = "none"

    with pytest.raises(MechanismError, match="not a mechanism of deepfixcx"):
        mechanism_bytes(PublishedMechanism(Own(), SPEC, 1, ()))  # type: ignore[arg-type]


def rewritten(data: bytes, tensors: dict[str, NDArray[Any]], **about: object) -> bytes:
    """Write the file again with other parts."""
    length = int.from_bytes(data[:8], "little")
    before = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["deepfixcx"])
    return safetensors.numpy.save(
        safetensors.numpy.load(data) | tensors,
        metadata={"deepfixcx": json.dumps(before | about)},
    )


def test_bad_files_are_named(tmp_path: Path) -> None:
    data = mechanism_bytes(published("projection"))
    path = tmp_path / MECHANISM_FILE
    wrong = np.zeros((3, 3))
    for content, error in [
        (b"", ForeignFileError),
        (b"no such thing", ForeignFileError),
        (data[:100], ForeignFileError),
        (data[:-8], BrokenFileError),
        (rewritten(data, {"0.weights": wrong}), BrokenFileError),
        (rewritten(data, {"0.whitening.mean": np.full(64, np.nan)}), BrokenFileError),
        (rewritten(data, {}, steps=[]), BrokenFileError),
        (rewritten(data, {}, steps=[{"mechanism": "os.system", "parameters": {}}]),
         BrokenFileError),
        (rewritten(data, {}, channels=7), BrokenFileError),
        (rewritten(data, {}, version=2), FormatVersionError),
    ]:  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(error):
            load_mechanism(tmp_path)
    path.unlink()
    with pytest.raises(CodeFileError, match="there is no mechanism"):
        load_mechanism(tmp_path)


def test_any_reader_of_safetensors_reads_it(tmp_path: Path) -> None:
    path = tmp_path / MECHANISM_FILE
    path.write_bytes(mechanism_bytes(published("projection")))
    with safe_open(path, framework="np") as file:
        assert set(file.keys()) == {
            "0.back", "0.weights", "0.whitening.components", "0.whitening.deviations",
            "0.whitening.mean", "0.whitening.scale",
        }  # fmt: skip
