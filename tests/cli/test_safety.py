"""No command replaces, changes or removes a file that deepfixcx did not write.

``DEEPFIXCX_SAFETY_RUNS=2000 python -m pytest tests/cli/test_safety.py`` tries the full count.
"""

from __future__ import annotations

import random
import shutil
import threading
import typing
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from deepfixcx import Codec, CodecSpec
from deepfixcx.cli._options import READ, WRITTEN
from deepfixcx.cli.app import app
from deepfixcx.datasets import load_dataset
from deepfixcx.errors import DeepfixcxError, ModelError, ReleaseError
from deepfixcx.experiments.sweep import SweepOptions, run_sweep
from deepfixcx.io.results import claimed_folder
from tests.learn.making import make_dataset
from tests.release.test_safety import FOLDERS, NAMES, RUNS, World

Run = Callable[..., Result]
Made = dict[str, Path]

COMMANDS = [str(each.name) for each in app.registered_commands]
FILES = {"show": "show.png", "predict": "scores.csv", "report": "report.html"}
"""Commands whose -o names a file; that of the others names a folder."""

RESULTS = {
    "train": ("model.json", "model.safetensors", "training.safetensors"),
    "sweep": ("sweep.json", "sweep.csv", "failures.csv", "heatmaps.png", "rows/J1_P2.json"),
    "frontier": ("frontier.json", "frontier.csv", "failures.csv", "frontier.png"),
    "explain": ("explanation.png", "bands.csv", "explanation.json", "images.csv", "model.json"),
    "audit": ("audit.json", "verdict.md", "verdict.png", "top1_by_gallery.png"),
    "scan": ("summary.json", "evidence.csv"),
}
"""Files in the folders that commands write."""

ALL_NAMES = (
    *NAMES,
    *FILES.values(),
    *sorted({name for each in RESULTS.values() for name in each if "/" not in name}),
    *("figures.json", "k", "t.csv", "code.safetensors"),
)
"""What a user's files are called in the property test."""

MINE = b'{"years": "of work"}'


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def hints(command: str) -> dict[str, typing.Any]:
    """Return the types of the parameters of a command."""
    callback = next(each.callback for each in app.registered_commands if each.name == command)
    assert callback
    return typing.get_type_hints(callback, include_extras=True)


def takes(command: str, option: str) -> bool:
    return option in hints(command)


def overwriting(command: str) -> list[str]:
    """Return the option to replace an earlier result; scan does so unasked."""
    return ["--overwrite"] if takes(command, "overwrite") else []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A dataset, a model, a release of it and one of its codes."""
    root = tmp_path_factory.mktemp("made")
    make_dataset(root / "xrays", 60)
    codec = ("-J", 1, "-P", 2, "--workers", 1)
    train = ("train", root / "xrays", "--labels", "sick", "--model", "logistic")
    assert call(*train, "-o", root / "model", *codec).exit_code == 0
    assert call("privatize", root / "xrays", root / "shared", *codec).exit_code == 0
    (root / "scans").mkdir()
    shutil.copy(root / "xrays" / "0.png", root / "scans" / "Mustermann-Erika.png")
    names = ("xrays", "model", "shared", "scans")
    return {name: root / name for name in names} | {"root": root}


def line(command: str, made: Made) -> list[object]:
    """Return a command line that runs in seconds, without what it writes."""
    xrays, image = made["xrays"], made["xrays"] / "0.png"
    dataset = (xrays, "--labels", "sick", "--workers", 1)
    lines: dict[str, list[object]] = {
        "status": ["status", made["shared"]],
        "verify": ["verify", made["shared"]],
        "scan": ["scan", made["shared"], "--against", made["scans"]],
        "inspect": ["inspect", xrays, "--workers", 1],
        "show": ["show", image, "-J", 1, "-P", 2],
        "train": ["train", *dataset, "--model", "logistic", "-J", 1, "-P", 2],
        "evaluate": ["evaluate", made["model"], xrays, "--samples", 5, "--workers", 1],
        "predict": ["predict", made["model"], xrays, "--workers", 1],
        "sweep": ["sweep", *dataset, "-J", 1, "-P", 2, "--folds", 3],
        "explain": ["explain", image, "-J", 1, "-P", 2],
        "report": ["report", made["shared"]],
        "audit": ["audit", made["shared"], "--against", xrays, "--patients",
                  xrays / "manifest.csv", "--workers", 1],
        "frontier": ["frontier", *dataset, "-J", 1, "-P", 2, "--mechanisms", "plain", "--seeds", 1,
                     "--attackers", "whitening", "--min-patients", 2],
        "privatize": ["privatize", xrays, made["root"] / "other", "-J", 1, "-P", 2],
        "deidentify": ["deidentify", made["scans"], made["root"] / "cleaned"],
        "demo": ["demo", "--folder", made["root"] / "demo"],
        "bench": ["bench"],
        "withdraw": ["withdraw", made["shared"], "--image", "000001"],
        "apply-withdrawal": ["apply-withdrawal", made["root"] / "notice.json", made["shared"]],
        "node": ["node", "status", made["root"] / "node.toml"],
    }  # fmt: skip
    return lines[command]


def test_every_parameter_that_names_a_path_is_known_to_be_read_or_written() -> None:
    """A new one must be added to WRITTEN or READ, by which each command checks its places."""
    found = {
        (command, name)
        for command in COMMANDS
        for name, hint in hints(command).items()
        if "Path" in str(hint)
    }
    assert len(found) > 40
    assert {name for _, name in found} <= {*WRITTEN, *READ}
    assert {command for command, name in found if name == "out"} == {*FILES, *RESULTS}
    assert all(takes(command, "overwrite") for command in {*FILES, *RESULTS} - {"scan"})


@pytest.mark.parametrize("command", [each for each in COMMANDS if takes(each, "json")])
def test_json_replaces_no_file_of_others(command: str, made: Made, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    flags = [["--overwrite"]] if takes(command, "overwrite") else []
    out = ["-o", tmp_path / FILES.get(command, "out")] if takes(command, "out") else []
    path.write_bytes(MINE)
    for more in ([], *flags):
        done = call(*line(command, made), *out, "--json", path, *more)
        assert done.exit_code == 2, done.output
        assert "figures.json' exists and was not made by deepfixcx" in done.output
    assert path.read_bytes() == MINE
    assert sorted(tmp_path.iterdir()) == [path]
    path.unlink()
    path.symlink_to("mine.txt")
    assert "is a link" in call(*line(command, made), *out, "--json", path, *more).output
    assert not (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize("command", ["status", "evaluate", "inspect"])
def test_json_replaces_its_own_file(command: str, made: Made, tmp_path: Path) -> None:
    path = tmp_path / "figures"
    words = (*line(command, made), "--json", path)
    for _ in range(2):
        assert call(*words).exit_code == 0
    path.write_bytes(path.read_bytes().replace(b"command", b"comment"))
    changed = path.read_bytes()
    assert "was changed since" in call(*words).output
    assert path.read_bytes() == changed


@pytest.mark.parametrize("command", FILES)
def test_a_result_file_replaces_only_its_own(command: str, made: Made, tmp_path: Path) -> None:
    path = tmp_path / FILES[command]
    words = (*line(command, made), "-o", path)
    path.write_bytes(MINE)
    for more in ((), ("--overwrite",)):
        done = call(*words, *more)
        assert done.exit_code == 2, done.output
        assert f"{path.name}' exists and was not made by deepfixcx" in done.output
    assert path.read_bytes() == MINE
    path.unlink()
    assert call(*words).exit_code == 0
    whole = path.read_bytes()
    assert "replace it with --overwrite" in call(*words).output
    assert call(*words, "--overwrite").exit_code == 0
    assert path.read_bytes() == whole
    path.write_bytes(whole + b"\n,")
    assert "was changed since" in call(*words, "--overwrite").output


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command in RESULTS for name in RESULTS[command]]
)
def test_a_result_folder_replaces_no_file_of_others(
    command: str, name: str, made: Made, tmp_path: Path
) -> None:
    """Refused by name, or left alone where the run does not need the name."""
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_bytes(MINE)
    done = call(*line(command, made), "-o", tmp_path / "out", *overwriting(command))
    assert mine.read_bytes() == MINE
    if done.exit_code != 2:
        assert (command, name) in {("explain", "images.csv"), ("explain", "model.json")}
    else:
        assert mine.name in done.output or "'out' is not empty" in done.output
        assert sorted(each for each in tmp_path.rglob("*") if each.is_file()) == [mine]


@pytest.mark.parametrize("command", ["explain", "scan", "sweep", "train"])
def test_a_result_folder_replaces_its_own_when_asked(
    command: str, made: Made, tmp_path: Path
) -> None:
    words = (*line(command, made), "-o", tmp_path / "out")
    ended = call(*words).exit_code
    assert ended in (0, 3)
    (tmp_path / "out" / "notes.txt").write_bytes(MINE)
    assert command == "scan" or "--overwrite" in call(*words).output
    assert call(*words, *overwriting(command)).exit_code == ended
    assert (tmp_path / "out" / "notes.txt").read_bytes() == MINE


@pytest.mark.parametrize("command", RESULTS)
def test_a_folder_that_another_process_writes_is_refused(
    command: str, made: Made, tmp_path: Path
) -> None:
    with claimed_folder(tmp_path / "out", ReleaseError):
        done = call(*line(command, made), "-o", tmp_path / "out", *overwriting(command))
        assert done.exit_code == 2, done.output
        assert "another process is writing" in done.output
    assert not (tmp_path / "out").exists()


def test_of_two_sweeps_at_once_one_is_whole_and_one_refused(made: Made, tmp_path: Path) -> None:
    dataset, options = load_dataset(made["xrays"], labels="sick"), SweepOptions((1,), (2,), folds=3)
    start = threading.Barrier(2)

    def sweep() -> str:
        start.wait(60)
        try:
            run_sweep(dataset, tmp_path / "out", options)
        except ModelError as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(2) as pool:
        ended = sorted(each.result(300) for each in [pool.submit(sweep) for _ in range(2)])
    assert ended.count("done") == 1
    assert "another process is writing" in ended[0] + ended[1] or "earlier sweep" in str(ended)
    assert len((tmp_path / "out" / "sweep.csv").read_text().splitlines()) == 3
    alone = run_sweep(dataset, tmp_path / "alone", options)
    assert run_sweep(dataset, tmp_path / "out", options, resume=True).rows == alone.rows


@pytest.mark.parametrize(
    "words",
    [
        "scan shared --against in -o shared/e",
        "scan shared --against in -o in/e",
        "scan shared --against in -o shared.private/e",
        "scan shared --against in -o .",
        "scan shared --against in/sub --private p -o link/e",
        "scan shared --against in -o p --private p/q",
        "privatize in out -J 1 -P 2 --output dicom --key in/k",
        "privatize in out -J 1 -P 2 --output dicom --key link/k",
        "privatize in out -J 1 -P 2 --output dicom --key out/k",
        "privatize in out -J 1 -P 2 --output dicom --pseudonyms in/t.csv",
        "privatize in out -J 1 -P 2 --output dicom --pseudonyms out/t.csv",
        "privatize in out -J 1 -P 2 --output dicom --key k.csv --pseudonyms k.csv",
        "privatize in out -J 1 -P 2 --json in/x.json",
        "privatize in out -J 1 -P 2 --private p --json p/x.json",
        "train in --labels sick -o in/model",
        "train in --labels sick -o model --cache model/cache",
        "evaluate p in --cache p/cache",
        "inspect in --json in/x.json",
        "audit shared --against in --patients t.csv -o p",
        "report shared -o in/report.html --originals in",
    ],
)
def test_places_that_do_not_lie_apart_are_refused_before_any_work(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/sub", "shared", "shared.private", "p/q"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("in/sub" if words.startswith("scan") else "in")
    make_dataset(tmp_path / "in", 2)
    if words.startswith("audit"):
        words += " --private p/q"
    before = sorted(tmp_path.rglob("*"))
    done = call(*words.split())
    assert done.exit_code == 2, done.output
    assert "lies in" in done.output or "would replace" in done.output, done.output
    assert sorted(tmp_path.rglob("*")) == before


class CommandWorld(World):
    """A world in which commands of every kind run."""

    def __init__(self, root: Path, draw: random.Random, made: Made) -> None:
        super().__init__(root, draw, ALL_NAMES)
        self.made = made
        self.ended: Counter[tuple[str, str]] = Counter()

    def plant(self) -> None:
        super().plant()
        own = [path for path in self.root.rglob("*") if self._is_result(path)]
        if own and self.draw.random() < 0.2:  # the user goes on with what was written here
            path = self.draw.choice(own)
            path.write_bytes(path.read_bytes() + b"\n,my notes")
            self.theirs[path] = path.read_bytes()

    def _is_result(self, path: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(self.root).parts)
        books = path.suffix in (".sqlite", ".jsonl") or path.name in ("k", "deidentify.key")
        return path.is_file() and not (hidden or books or path.is_symlink() or path in self.theirs)

    def words(self, command: str) -> list[object]:
        """Return a command line with places and options drawn at random."""
        draw, root = self.draw, self.root
        folders = [root / name for name in (*FOLDERS, "results", "results", "link")]
        words = line(command, self.made)
        if command == "privatize":
            where, out = root / draw.choice(["in", "in", "in/sub", "x"]), draw.choice(folders)
            kinds = ["images", "codes", "both", "dicom", "dicom"]
            words = [command, where, out, "-J", 1, "-P", 2, "--workers", 1]
            words += ["--output", draw.choice(kinds), "--names", draw.choice(["neutral", "keep"])]
            words += draw.choice([[], [], ["--private", draw.choice(folders)]])
            words += draw.choice([[], ["--key", draw.choice(folders) / "k"]])
            words += draw.choice([[], ["--pseudonyms", draw.choice(folders) / "t.csv"]])
        if command in ("scan", "verify", "status", "report") and draw.random() < 0.7:
            words[1] = root / draw.choice(["out", "out", "x", "p/out"])
        if command == "scan" and draw.random() < 0.5:
            words[3] = root / "in"
        if command == "demo":
            words = [command, "--folder", draw.choice(folders)]
        if takes(command, "out"):
            where = draw.choice(folders)
            words += ["-o", where / FILES[command] if command in FILES else where]
        if takes(command, "json"):
            words += draw.choice([[], ["--json", draw.choice(folders) / draw.choice(self.names)]])
        if takes(command, "cache"):
            words += draw.choice([[], ["--cache", draw.choice(folders)]])
        ways = [way for way in ("resume", "overwrite") if takes(command, way)]
        return words + draw.choice([[], *([f"--{way}"] for way in ways)])

    def ask(self) -> str:
        """Run a command; return how it ended."""
        cheap = ["privatize"] * 8 + ["scan", "verify", "status", "inspect", "show", "explain"] * 2
        cheap += ["train", "evaluate", "predict", "report", "encode"]
        dear = ["sweep", "audit", "frontier", "demo"]
        command = self.draw.choice(dear if self.draw.random() < 0.03 else cheap)
        if command == "encode":
            path = self.root / self.draw.choice(FOLDERS) / self.draw.choice(self.names)
            try:
                Codec(CodecSpec(1, 2)).encode(np.full((1, 1, 16, 16), 0.5)).save(path)
            except (DeepfixcxError, OSError):
                return "refused"
            return "done"
        done = call(*self.words(command))
        assert done.exit_code in (0, 1, 2, 3), (command, done.output, done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        ended = "refused" if done.exit_code == 2 else "done"
        self.ended[command, ended] += 1
        return ended


@pytest.mark.usefixtures("in_this_process")
def test_no_file_of_a_user_changes_or_disappears(made: Made, tmp_path: Path) -> None:
    ended: Counter[tuple[str, str]] = Counter()
    for seed in range(max(6, RUNS // 8)):
        draw = random.Random(seed)
        world = CommandWorld(tmp_path / str(seed), draw, made)
        for _ in range(8):
            for _ in range(draw.choice([0, 0, 1, 3])):
                world.plant()
            world.ask()
            world.check()
        ended += world.ended
        shutil.rmtree(tmp_path / str(seed))
    assert {way for _, way in ended} == {"done", "refused"}
    if RUNS >= 1000:
        assert {command for command, way in ended if way == "done"} >= {*COMMANDS} - {
            "bench",
            "studio",
            "apply-withdrawal",
            "node",
        }
