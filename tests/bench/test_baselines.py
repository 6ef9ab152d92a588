"""The programs that the codec is compared with compute its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from deepfixcx import Codec, CodecSpec
from deepfixcx.bench.machine import sample_pixels

pytest.importorskip("torch", reason="torch is not installed: see benchmarks/requirements.txt")
pytest.importorskip("ptwt", reason="ptwt is not installed: see benchmarks/requirements.txt")

CASES = [(1, 9), (1, 20), (2, 5), (3, 3), (5, 1)]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("level", "patches"), CASES)
def test_everyone_encodes_alike(level: int, patches: int, dtype: str) -> None:
    from benchmarks.baselines import Conv, Ptwt, PyWavelets

    spec = CodecSpec(level, patches, grid="padded")
    pixels = sample_pixels(3, 44, 40, dtype)
    wanted = Codec(spec).encode(pixels[:, None]).array[:, 0]
    for other in (Conv(spec, 2, 2), Ptwt(spec, 2, 2), PyWavelets(spec, 2, 2)):
        assert np.abs(other.encode(pixels) - wanted).max() < 1e-4


@pytest.mark.parametrize("size", ["compact", "original"])
@pytest.mark.parametrize("wavelet", ["haar", "db2", "coif2", "bior4.4"])
def test_transposed_convolutions_decode_alike(wavelet: str, size: str) -> None:
    from benchmarks.baselines import Conv

    spec = CodecSpec(2, 3, wavelet, grid="padded")
    codec = Codec(spec)
    pixels = sample_pixels(3, 45, 39)
    code = codec.encode(pixels[:, None])
    conv = Conv(spec, 2, 2)
    assert np.abs(conv.encode(pixels) - code.array[:, 0]).max() < 1e-4
    wanted = np.asarray(codec.decode(code, size))[:, 0]  # type: ignore[arg-type]
    found = conv.decode(np.ascontiguousarray(code.array[:, 0]), 45, 39, size)
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize("name", ["Ptwt", "PyWavelets"])
def test_other_packets_are_inverted(name: str) -> None:
    """On cells of one coefficient without signs, so only the size of the result is known."""
    from benchmarks import baselines

    other = getattr(baselines, name)(CodecSpec(1, 20, grid="padded"), 2, 4)
    decoded = other.decoder(sample_pixels(4, 40, 40))()
    image = decoded if name == "Ptwt" else decoded[0]
    assert image.shape == (4, 40, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encode", "decode", "volumes"])
def test_a_whole_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import decode, encode, volumes

    {"encode": encode, "decode": decode, "volumes": volumes}[name].main(["--tiny", "--rounds", "1"])
    assert f"benchmarks.{name}" in capsys.readouterr().out
