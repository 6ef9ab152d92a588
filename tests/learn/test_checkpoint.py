"""A training that was stopped goes on to the same result, whatever stopped it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from deepfixcx import CodecSpec
from deepfixcx.errors import ModelError, ModelFileError, TrainingStoppedError
from deepfixcx.learn.checkpoint import Clock, Keeping, load_checkpoint, write_whole
from deepfixcx.learn.fitting import Epoch, Fitted, fit
from deepfixcx.learn.options import TrainingOptions
from deepfixcx.learn.training import train_model
from tests.conftest import ROOT
from tests.learn.making import SPEC, make_dataset

TRAIN, VALIDATION = np.arange(40), np.arange(40, 60)
OPTIONS = TrainingOptions(spec=CodecSpec(2, 2), epochs=7, batch=8, learning_rate=0.01)
SAME = {"labels": ["sick"]}


class KilledError(Exception):
    """Stands in for whatever ends a process."""


def network() -> nn.Module:
    """Return a network with dropout and with statistics that change in training."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 4, generator=generator)
    return inputs, (inputs[:, :1] + torch.randn(60, 1, generator=generator) > 0).float()


def run(
    keeping: Keeping | None, *, until: int = 100, inverted: bool = False
) -> tuple[nn.Module, Fitted]:
    """Train; with inverted labels of validation, it gets worse with every epoch."""

    def stop(epoch: Epoch, _: Fitted) -> None:
        if epoch.number == until:
            raise KilledError

    module = network()
    inputs, labels = data()
    if inverted:
        labels[VALIDATION] = 1 - labels[VALIDATION]
    return module, fit(
        module, inputs, labels, TRAIN, VALIDATION, OPTIONS, keeping=keeping, report=stop
    )


def losses(fitted: Fitted) -> list[float]:
    return [epoch.train_loss for epoch in fitted.history]


@pytest.mark.parametrize("until", [1, 4])
def test_resumed_training_has_the_same_result(
    tmp_path: Path, until: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfixcx.learn.checkpoint.MOST_SHARE", 1e9)  # write after every epoch
    whole, expected = run(None)
    path = tmp_path / "state.safetensors"
    with pytest.raises(KilledError):
        run(Keeping(path, SAME, seconds=0), until=until)
    assert len(Fitted.from_dict(load_checkpoint(path, SAME).progress).history) == until
    module, fitted = run(Keeping(path, SAME, resume=True))
    assert losses(fitted) == losses(expected)
    assert fitted.best_epoch == expected.best_epoch
    for name, value in whole.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name


def test_the_best_epoch_before_the_stop_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfixcx.learn.checkpoint.MOST_SHARE", 1e9)
    whole, expected = run(None, inverted=True)
    assert expected.best_epoch < 4 < len(expected.history)
    path = tmp_path / "state.safetensors"
    with pytest.raises(KilledError):
        run(Keeping(path, SAME, seconds=0), until=4, inverted=True)
    module, fitted = run(Keeping(path, SAME, resume=True), inverted=True)
    assert fitted.best_epoch == expected.best_epoch
    for name, value in whole.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name


def test_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    run(Keeping(path, SAME, seconds=0))
    with safe_open(path, framework="np") as file:
        names = set(file.keys())
    assert {"module.0.weight", "best.0.weight", "optimizer.0.exp_avg"} <= names


def test_other_data_or_options_do_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    run(Keeping(path, SAME, seconds=0))
    with pytest.raises(ModelError, match="labels was sick and is odd"):
        run(Keeping(path, {"labels": ["odd"]}, resume=True))


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "foreign"])
def test_damaged_checkpoint(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state.safetensors"
    run(Keeping(path, SAME, seconds=0))
    data = path.read_bytes()
    broken = {
        "cut": data[:-40],
        "text": b"not a checkpoint",
        "empty": b"",
        "foreign": data.replace(b"deepfixcx.training", b"deepfixcx.whatever"),
    }
    path.write_bytes(broken[damage])
    with pytest.raises(ModelFileError, match="damaged"):
        run(Keeping(path, SAME, resume=True))


def test_checkpoint_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    run(Keeping(path, SAME, seconds=0))
    path.write_bytes(path.read_bytes().replace(b'\\"version\\": 2', b'\\"version\\": 9'))
    with pytest.raises(ModelFileError, match="another version of deepfixcx"):
        run(Keeping(path, SAME, resume=True))


def test_checkpoints_are_rare_and_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("deepfixcx.learn.checkpoint.time.monotonic", lambda: now[0])
    clock = Clock(Keeping(Path("any"), SAME, seconds=10))
    assert not clock.is_time()
    now[0] = 10
    assert clock.is_time()

    def slow_write() -> None:
        now[0] += 5

    clock.measure(slow_write)
    now[0] += 99  # a write of 5 s may happen each 100 s
    assert not clock.is_time()
    now[0] += 1
    assert clock.is_time()
    assert not Clock(None).is_time()


def test_a_full_disk_stops_training_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deepfixcx.io.files.os.fsync", full)
    with pytest.raises(TrainingStoppedError, match="No space left"):
        write_whole(path, b"new")
    assert [each.name for each in tmp_path.glob("[!.]*")] == ["state"]
    assert path.read_bytes() == b"old"
    with pytest.raises(TrainingStoppedError):
        write_whole(tmp_path / "gone" / "state", b"new")


def test_a_file_is_whole_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def replace(temporary: Path, path: Path) -> None:
        seen.append((temporary.read_bytes(), path.read_bytes()))

    path = tmp_path / "state"
    write_whole(path, b"old")
    monkeypatch.setattr("deepfixcx.io.files.os.replace", replace)
    write_whole(path, b"new")
    assert seen == [(b"new", b"old")]


SCRIPT = """
import functools, os, signal, sys
import torch
from deepfixcx.datasets import load_dataset
from deepfixcx.learn import checkpoint, training
from tests.learn.test_checkpoint import OF_KILLED

torch.set_num_threads(int(sys.argv[3]))
training.Keeping = functools.partial(checkpoint.Keeping, seconds=0)
checkpoint.MOST_SHARE = 1e9  # after every epoch

def report(epoch, fitted):
    if epoch.number == 5:
        os.kill(os.getpid(), signal.SIGKILL)

dataset = load_dataset(sys.argv[1], labels="sick")
training.train_model(dataset, sys.argv[2], OF_KILLED, device="cpu", report=report)
"""

OF_KILLED = TrainingOptions("mlp", spec=SPEC, epochs=8)


@pytest.mark.slow
def test_killed_process(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "images", 40)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    words = [str(tmp_path / "images"), str(killed), str(torch.get_num_threads())]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], cwd=ROOT, check=False, timeout=240
    )
    assert done.returncode == -signal.SIGKILL
    assert [each.name for each in killed.glob("[!.]*")] == ["training.safetensors"]
    with pytest.raises(ModelError, match="--resume"):
        train_model(dataset, killed, OF_KILLED, device="cpu")
    seen: list[int] = []
    train_model(
        dataset,
        killed,
        OF_KILLED,
        device="cpu",
        resume=True,
        report=lambda epoch, _: seen.append(epoch.number),
    )
    assert seen == [6, 7, 8]
    train_model(dataset, whole, OF_KILLED, device="cpu")
    weights = [(folder / "model.safetensors").read_bytes() for folder in (killed, whole)]
    assert weights[0] == weights[1]
    assert {each.name for each in killed.glob("[!.]*")} == {"model.json", "model.safetensors"}
