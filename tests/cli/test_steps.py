"""Work of many steps answers Ctrl-C with the command that goes on, where there is one."""

from __future__ import annotations

import pytest

from deepfixcx.cli._console import StepBar


def stopped(resumable: bool) -> None:
    with StepBar("sweep", resumable=resumable) as bar:
        bar.step("J=2", 1, 4)
        raise KeyboardInterrupt


@pytest.mark.parametrize("resumable", [True, False])
def test_ctrl_c_says_how_to_go_on(
    resumable: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["deepfixcx", "sweep", "xrays", "-o", "out"])
    with pytest.raises(KeyboardInterrupt):
        stopped(resumable)
    said = " ".join(capsys.readouterr().out.split())
    assert ("sweep xrays -o out --resume" in said) == resumable
    with StepBar("sweep", resumable=resumable) as bar:
        bar.read(1, 4)
    assert "Stopped" not in capsys.readouterr().out
