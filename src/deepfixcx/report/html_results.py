"""Results of other commands, as the report and the studio show them: audits, sweeps, frontiers.

Everything is read from the files that those commands wrote; what a file lacks is left out.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepfixcx._words import TableReader
from deepfixcx.errors import ReleaseError
from deepfixcx.frontier.rows import FrontierRow
from deepfixcx.learn.sweep.rows import Row
from deepfixcx.measures import Interval
from deepfixcx.spec import CodecSpec

__all__ = [
    "Attack",
    "Audit",
    "Evaluated",
    "Evidence",
    "check_bound",
    "read_audit",
    "read_evaluation",
    "read_evidence",
    "read_frontier",
    "read_notes",
    "read_sweep",
]


@dataclass(frozen=True, slots=True)
class Attack:
    """One figure of one attack, as of `AttackResult`.

    Attributes
    ----------
    attack, mode, attacker, figure : str
        What was tried, how, by whom, and what was measured.
    value : Interval
        With its 95 % interval.
    chance, floor, raw, risk : float
        By guessing; without the images; on raw images; residual risk. NaN where not known.
    patients : int
        How many were attacked.
    valid : bool
        Whether the figure counts.
    reason : str
        Why not.
    """

    attack: str
    mode: str
    attacker: str
    figure: str
    value: Interval
    chance: float
    floor: float
    raw: float
    risk: float
    patients: int
    valid: bool
    reason: str

    @property
    def base(self) -> float:
        """What needs no image: the floor, or chance where no floor is known."""
        return self.chance if math.isnan(self.floor) else self.floor

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Attack:
        """Read what `AttackResult.to_dict` made.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is none.
        """
        value, low, high = (_number(end) for end in values["value"])
        return cls(
            attack=str(values["attack"]),
            mode=str(values["mode"]),
            attacker=str(values["attacker"]),
            figure=str(values["figure"]),
            value=Interval(value, low, high),
            chance=_number(values.get("chance")),
            floor=_number(values.get("floor")),
            raw=_number(values.get("raw")),
            risk=_number(values.get("residual_risk")),
            patients=int(values.get("n") or 0),
            valid=bool(values.get("valid", True)),
            reason=str(values.get("reason") or ""),
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    attacks : tuple of Attack
        Every figure.
    verdict : tuple of str
        Its sentences.
    untested : tuple of str
        What it did not test.
    """

    attacks: tuple[Attack, ...]
    verdict: tuple[str, ...]
    untested: tuple[str, ...]

    def linkage(self) -> list[Attack]:
        """Return the attacks that count and tell patients apart."""
        return [
            each
            for each in self.attacks
            if each.attack == "linkage" and each.figure == "AUC" and each.valid
        ]

    def strongest_linkage(self) -> Attack | None:
        """Return the attack that counts and tells patients apart best; None where there is none."""
        return max(self.linkage(), key=lambda each: each.value.value, default=None)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How well a classifier does on what was released.

    Attributes
    ----------
    label : str
        What it tells.
    auc : Interval
        Area under the ROC curve, over patients.
    """

    label: str
    auc: Interval


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a scan for remains of headers found.

    Attributes
    ----------
    files, holding, unsearched : int
        Files searched; those that hold something; those that could not be searched.
    findings : int
        Places in which something was found.
    strings, sources : int
        What was searched for, and of how many sources.
    ignored : int
        Strings that were left out of the search on purpose.
    harmless : tuple of (str, int)
        Reasons why strings may stand where they were found, and how often each; most first.
    """

    files: int
    holding: int
    unsearched: int
    findings: int
    strings: int
    sources: int
    ignored: int = 0
    harmless: tuple[tuple[str, int], ...] = ()


def read_audit(path: Path) -> Audit:
    """Read the JSON of an audit.

    Raises
    ------
    ReleaseError
        It cannot be read, or is none.
    """
    values = _json(path, "the audit.json that deepfixcx audit wrote")
    try:
        attacks = tuple(Attack.of_json(each) for each in _list(values, "results", "attacks"))
    except (KeyError, TypeError, ValueError):
        raise ReleaseError(f"{path.name!r} is no audit of deepfixcx, or a damaged one") from None
    return Audit(attacks, _texts(values.get("verdict")), _texts(values.get("not_tested")))


def read_evaluation(path: Path) -> tuple[Evaluated, ...]:
    """Read the JSON of ``deepfixcx evaluate --json``.

    Raises
    ------
    ReleaseError
        It cannot be read, or is none.
    """
    values = _json(path, "the file that deepfixcx evaluate --json wrote")
    try:
        labels = values["labels"]
        named = labels.items() if isinstance(labels, dict) else ((x["label"], x) for x in labels)
        return tuple(Evaluated(str(name), _interval(found["auc"])) for name, found in named)
    except (KeyError, TypeError, ValueError):
        raise ReleaseError(
            f"{path.name!r} is no result of deepfixcx evaluate --json, or a damaged one"
        ) from None


def check_bound(path: Path, what: str, checksum: str, spec: CodecSpec | None = None) -> str:
    """Refuse a result of another release; return a sentence where it is bound to none.

    Parameters
    ----------
    path : Path
        JSON of the result.
    what : str
        Such as ``"the audit"``.
    checksum : str
        Of the release.
    spec : CodecSpec, optional
        Of the release: a model on codes of another codec, or on originals, is not one for it.

    Raises
    ------
    ReleaseError
        The result is of another release.
    """
    values = _json(path, what) if path.exists() else {}
    own = values.get("release_checksum")
    if own is not None and own != checksum:
        raise ReleaseError(
            f"{what} in {path.name!r} belongs to another release, of checksum {str(own)[:16]}…; "
            f"this one has {checksum[:16]}…. Run the command again on this release"
        )
    if own is not None:
        return ""
    if values.get("on") == "original":
        raise ReleaseError(
            f"{what} in {path.name!r} is of a model on original images, so it says nothing of this "
            f"release; evaluate one on codes or privatized images"
        )
    if spec is not None and values.get("spec", str(spec)) != str(spec):
        raise ReleaseError(
            f"{what} in {path.name!r} is of a model on another codec than this release ({spec}); "
            f"evaluate one on the same codec"
        )
    return (
        f"{what.capitalize()} names no release, so nothing proves that it belongs to this one: it "
        f"is of other images or of an earlier version of deepfixcx"
    )


def read_notes(path: Path) -> tuple[str, ...]:
    """Return the notes of an evaluation, such as that its images trained the model."""
    return _texts(_json(path, "the file that deepfixcx evaluate --json wrote").get("notes"))


def read_sweep(folder: Path) -> tuple[Row, ...]:
    """Read the table of a sweep.

    Raises
    ------
    ReleaseError
        There is none, or it is damaged.
    """
    try:
        with (folder / "sweep.csv").open(newline="", encoding="utf-8") as file:
            return tuple(map(_row, TableReader(file)))
    except OSError:
        raise ReleaseError(f"{folder.name!r} has no sweep.csv; it is no finished sweep") from None
    except (ValueError, KeyError, TypeError, csv.Error):
        raise ReleaseError("sweep.csv cannot be read; it is damaged") from None


def read_frontier(folder: Path) -> tuple[FrontierRow, ...]:
    """Read the table of a frontier.

    Raises
    ------
    ReleaseError
        There is none, or it is damaged.
    """
    try:
        with (folder / "frontier.csv").open(newline="", encoding="utf-8") as file:
            return tuple(map(_frontier_row, TableReader(file)))
    except OSError:
        raise ReleaseError(
            f"{folder.name!r} has no frontier.csv; it is no finished frontier"
        ) from None
    except (ValueError, KeyError, TypeError, csv.Error):
        raise ReleaseError("frontier.csv cannot be read; it is damaged") from None


def read_evidence(folder: Path) -> Evidence:
    """Read the summary of a scan.

    Raises
    ------
    ReleaseError
        There is none, or it is damaged.
    """
    values = _json(folder / "summary.json", "the summary.json that deepfixcx scan wrote")
    names = ("files", "files_found", "files_failed", "findings", "strings", "sources_read")
    try:
        counts = {name: int(values[name]) for name in names}
        reasons = [(str(why), int(count)) for why, count in values.get("harmless", {}).items()]
        harmless = tuple(sorted(reasons, key=lambda each: (-each[1], each[0])))
        return Evidence(
            files=counts["files"],
            holding=counts["files_found"],
            unsearched=counts["files_failed"],
            findings=counts["findings"],
            strings=counts["strings"],
            sources=counts["sources_read"],
            ignored=int(values.get("ignored", 0)),
            harmless=harmless,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ReleaseError("summary.json is no summary of deepfixcx scan") from None


def _frontier_row(values: Mapping[str, str]) -> FrontierRow:
    named = ("level", "patches", "mechanism", "numbers")
    figures = {
        name: float(text) if text else math.nan
        for name, text in values.items()
        if name not in named
    }
    level, patches = int(values["level"]), int(values["patches"])
    return FrontierRow(level, patches, values["mechanism"], int(values["numbers"]), figures)


def _row(values: Mapping[str, str]) -> Row:
    level, patches = (int(values[name]) if values[name] else None for name in ("level", "patches"))
    figures = {
        name: float(text) if text else math.nan
        for name, text in values.items()
        if name not in ("what", "level", "patches")
    }
    return Row(level, patches, figures)


def _json(path: Path, wanted: str) -> dict[str, Any]:
    """Read a result of another command; an error says which file is `wanted`."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except OSError:
        raise ReleaseError(f"there is no file {str(path)!r} that can be read") from None
    except ValueError:
        raise ReleaseError(f"{path.name!r} is no JSON; wanted: {wanted}") from None
    if not isinstance(values, dict):
        raise ReleaseError(f"{path.name!r} is no result of deepfixcx; wanted: {wanted}")
    return values


def _list(values: Mapping[str, Any], *names: str) -> Sequence[Any]:
    for name in names:
        if isinstance(values.get(name), list):
            found: Sequence[Any] = values[name]
            return found
    raise KeyError(names[0])


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, dict):
        return tuple(f"{name}: {text}" for name, text in value.items())
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _interval(value: object) -> Interval:
    if isinstance(value, dict):
        return Interval(*(_number(value.get(name)) for name in ("value", "low", "high")))
    if isinstance(value, list) and len(value) == 3:
        return Interval(*map(_number, value))
    return Interval(_number(value), math.nan, math.nan)
