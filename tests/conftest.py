"""What every test shares: the folder of real images, and settings that make runs repeatable."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

COMMANDS = ["privatize", "status", "verify", "inspect", "show", "demo", "bench"]
COMMANDS += ["train", "evaluate", "predict", "sweep", "explain"]
COMMANDS += ["node", "scan", "audit", "report", "frontier"]
"""Every subcommand; a new one is named here and gets what the tests ask of all."""

# No window is ever opened, here or in a subprocess.
os.environ["MPLBACKEND"] = "Agg"

# Panels are as wide as a test asks, not as the terminal that pytest-xdist tells its workers.
os.environ.pop("COLUMNS", None)

# A first call compiles, so an example has no deadline. CI tries the same examples every time.
settings.register_profile(
    "deepfixcx",
    deadline=None,
    max_examples=40,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
)
settings.load_profile("deepfixcx")


class FailuresAtOnce:
    """Print the name of a test when it fails, since a run that is ended prints no summary."""

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.write_line(f"\nFAILED in {report.when}: {report.nodeid}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(OneWorker(), "one-worker")
    terminal = config.pluginmanager.getplugin("terminalreporter")  # workers have none
    if terminal is not None:
        config.pluginmanager.register(FailuresAtOnce(terminal), "failures-at-once")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real medical images: DEEPFIXCX_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not (folder / "README.md").is_file():
        pytest.skip("no folder of real images; name it in the environment variable DEEPFIXCX_DATA")
    return folder


class OneWorker:
    """Make releases that need one worker in the process of the test: to start another takes longer.

    Jobs are pickled all the same, as they are for a worker. A test whose images end the process
    that decodes them has the fixture `stand_in`, and gets a worker.
    """

    here = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.here = "stand_in" not in getattr(item, "fixturenames", ())

    def run_jobs(self, jobs: Iterable[Any], workers: int, deaths: Any) -> Iterator[Any]:
        from deepfixcx.release import run
        from deepfixcx.release import workers as processes

        jobs = iter(jobs)
        first = list(islice(jobs, 2))
        if self.here and (workers == 1 or len(first) == 1):
            copies = (pickle.loads(pickle.dumps(job)) for job in chain(first, jobs))
            return run._run_here(copies, deaths)
        return processes.run_jobs(chain(first, jobs), workers, deaths)


@pytest.fixture(scope="session", autouse=True)
def one_worker(request: pytest.FixtureRequest) -> Iterator[None]:
    """See `OneWorker`."""
    from deepfixcx.release import run

    plugin = request.config.pluginmanager.getplugin("one-worker")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run_jobs", plugin.run_jobs)
        yield


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode without worker processes, whose start takes longer than a few small images."""
    from deepfixcx.release import run

    here = run.choose_run("memory://")
    monkeypatch.setattr(run, "choose_run", lambda *_, **__: here)
