"""Results of other commands, as the report and the studio show them: audits, sweeps, frontiers.

Everything is read from the files that those commands wrote; what a file lacks is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from deepfixcx._words import counted
from deepfixcx.audit.result import QUESTIONS, WORDS, AttackResult
from deepfixcx.errors import ReleaseError
from deepfixcx.experiments.rows import FrontierRow, Row
from deepfixcx.io.results import check_unchanged
from deepfixcx.io.tables import own_rows
from deepfixcx.measures import Interval
from deepfixcx.spec import CodecSpec

__all__ = [
    "Audit",
    "Evaluated",
    "Evaluation",
    "Evidence",
    "is_bound",
    "read_audit",
    "read_evaluation",
    "read_evidence",
    "read_frontier",
    "read_sweep",
]

UNKNOWN = Interval.unknown()
RowType = TypeVar("RowType")


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found: the word that answers each question, and all that it rests on."""

    attacks: tuple[AttackResult, ...]
    verdict: tuple[str, ...]
    untested: tuple[str, ...]
    answers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sample: str = ""
    images: int | None = None
    left_out: int = 0  # records of the release


@dataclass(frozen=True, slots=True)
class Evaluated:
    """AUC of a label; of public images alone; and what the release adds to that."""

    label: str
    auc: Interval
    public: Interval = UNKNOWN
    added: Interval = UNKNOWN


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What ``deepfixcx evaluate`` found: its labels, its notes, and on which images."""

    labels: tuple[Evaluated, ...]
    notes: tuple[str, ...] = ()
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a scan for remains of headers found."""

    files: int
    holding: int
    unsearched: int
    findings: int
    strings: int
    sources: int
    ignored: int = 0
    harmless: tuple[tuple[str, int], ...] = ()
    unread: int = 0
    missing: int = 0
    unchecked: bool = False
    as_bytes: int = 0
    words: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the strings of every source were searched for in every file."""
        return self.strings > 0 and not (self.unsearched or self.unread or self.missing)


def is_bound(path: Path, what: str, checksum: str, spec: CodecSpec | None = None) -> bool:
    """Return whether a result names this release; refuse one of another release or codec."""
    values = _json(path, what) if path.exists() else {}
    own = values.get("release_checksum")
    if own is not None and own != checksum:
        raise ReleaseError(
            f"{what} in {path.name!r} belongs to another release (checksum {str(own)[:16]}…); "
            f"this one has the checksum {checksum[:16]}…; run the command again on this release"
        )
    if own is None and spec is not None and values.get("on") == "original":
        raise ReleaseError(
            f"{what} in {path.name!r} is of a model on original images and does not describe "
            "this release; evaluate a model on codes or privatized images"
        )
    if own is None and spec is not None and values.get("spec", str(spec)) != str(spec):
        raise ReleaseError(
            f"{what} in {path.name!r} is of a model on another codec than this release ({spec}); "
            "evaluate a model on the same codec"
        )
    return own is not None


def read_audit(path: Path) -> Audit:
    """Read the JSON of an audit."""
    values = _json(path, "the audit.json that deepfixcx audit wrote")
    try:
        listed = values["results"] if "results" in values else values["attacks"]
        attacks = tuple(map(_attack, listed))
        answers = {str(asked): str(word) for asked, word in values.get("answers", {}).items()}
        if not (answers.keys() <= set(QUESTIONS) and set(answers.values()) <= set(WORDS)):
            raise ValueError("answers")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ReleaseError(f"{path.name!r} is not an audit of deepfixcx, or is damaged") from None
    effort = "all attackers" if values.get("full") is True else "quick attackers, no networks"
    sample = _sample(values)
    return Audit(
        attacks,
        _texts(values.get("verdict")),
        _texts(values.get("not_tested")),
        answers,
        _texts(values.get("notes")),
        f"{sample}; {effort}" if sample else "",
        values["images"] if sample else None,
        _left_out(values),
    )


def read_evaluation(path: Path) -> Evaluation:
    """Read the JSON of ``deepfixcx evaluate --json``."""
    values = _json(path, "the file that deepfixcx evaluate --json wrote")
    try:
        labels = values["labels"]
        named = labels.items() if isinstance(labels, dict) else ((x["label"], x) for x in labels)
        found = tuple(_evaluated(str(name), each) for name, each in named)
        failed = int(values.get("images_failed") or 0)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ReleaseError(
            f"{path.name!r} is not a result of deepfixcx evaluate --json, or is damaged"
        ) from None
    notes = _texts(values.get("notes"))
    notes += (f"{counted(failed, 'image')} could not be read",) if failed else ()
    sample, part = _sample(values), values.get("part")
    return Evaluation(found, notes, f"{sample}, part {part}" if sample and part else sample)


def read_sweep(folder: Path) -> tuple[Row, ...]:
    """Read the table of a sweep."""
    return _table(folder, "sweep", _row)


def read_frontier(folder: Path) -> tuple[FrontierRow, ...]:
    """Read the table of a frontier."""
    return _table(folder, "frontier", _frontier_row)


def read_evidence(folder: Path) -> Evidence:
    """Read the summary of a scan."""
    values = _json(folder / "summary.json", "the summary.json that deepfixcx scan wrote")
    names = ("files", "files_found", "files_failed", "findings", "strings", "sources_read")
    try:
        counts = {name: int(values[name]) for name in names}
        reasons = [(str(why), int(count)) for why, count in values.get("harmless", {}).items()]
        words = values.get("words_after")
        return Evidence(
            files=counts["files"],
            holding=counts["files_found"],
            unsearched=counts["files_failed"],
            findings=counts["findings"],
            strings=counts["strings"],
            sources=counts["sources_read"],
            ignored=int(values.get("ignored") or 0),
            harmless=tuple(sorted(reasons, key=lambda each: (-each[1], each[0]))),
            unread=int(values.get("sources_failed") or 0),
            missing=int(values.get("sources_missing") or 0),
            as_bytes=int(values.get("sources_as_bytes") or 0),
            unchecked=values.get("sources_expected") is None,
            words=None if words is None else int(words),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ReleaseError("summary.json is not a summary of deepfixcx scan") from None


def _attack(values: Mapping[str, Any]) -> AttackResult:
    """Read what `AttackResult.to_dict` made; NaN where a baseline is not known."""
    return AttackResult(
        attack=str(values["attack"]),
        mode=str(values["mode"]),
        attacker=str(values["attacker"]),
        figure=str(values["figure"]),
        value=Interval.from_json(values["value"]),
        chance=_number(values.get("chance")),
        floor=_number(values.get("floor")),
        gain=Interval.from_json(values.get("gain")),
        control=_number(values.get("control")),
        raw=_number(values.get("raw")),
        n=int(values.get("n") or 0),
        seed=int(values.get("seed") or 0),
        reference=str(values.get("reference") or ""),
        valid=bool(values.get("valid", True)),
        reason=str(values.get("reason") or ""),
        detectable=_number(values.get("detectable")),
    )


def _left_out(values: Mapping[str, Any]) -> int:
    """Return how many records of the release an audit did not attack."""
    records, attacked = values.get("records"), values.get("records_attacked")
    if isinstance(records, int) and isinstance(attacked, int):
        return max(records - attacked, 0)
    return 0


def _evaluated(label: str, values: Mapping[str, Any]) -> Evaluated:
    others = (Interval.from_json(values.get(name)) for name in ("public_auc", "added"))
    return Evaluated(label, Interval.from_json(values["auc"]), *others)


def _sample(values: Mapping[str, Any]) -> str:
    """Return the images and patients of a result in words; nothing where they are not stated."""
    images, patients = values.get("images"), values.get("patients")
    if not isinstance(images, int):
        return ""
    whose = counted(patients, "patient") if isinstance(patients, int) else "unknown patients"
    return f"{counted(images, 'image')} of {whose}"


def _table(
    folder: Path, what: str, read: Callable[[Mapping[str, str]], RowType]
) -> tuple[RowType, ...]:
    """Read the rows of ``WHAT.csv`` in the folder of a sweep or a frontier."""
    try:
        rows = tuple(map(read, own_rows(folder / f"{what}.csv")))
        check_unchanged(folder / f"{what}.csv")
        return rows
    except OSError:
        raise ReleaseError(
            f"{folder.name!r} has no {what}.csv; it is not a finished {what}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(f"{what}.csv cannot be read; it is damaged") from None


def _frontier_row(values: Mapping[str, str]) -> FrontierRow:
    named = ("level", "patches", "mechanism", "numbers")
    level, patches = (int(values[name]) if values[name] else None for name in ("level", "patches"))
    numbers = int(values["numbers"])
    return FrontierRow(level, patches, values["mechanism"], numbers, _figures(values, named))


def _row(values: Mapping[str, str]) -> Row:
    level, patches = (int(values[name]) if values[name] else None for name in ("level", "patches"))
    return Row(level, patches, _figures(values, ("what", "level", "patches")))


def _figures(values: Mapping[str, str], named: Sequence[str]) -> dict[str, float]:
    return {
        name: float(text) if text else math.nan
        for name, text in values.items()
        if name not in named
    }


def _json(path: Path, wanted: str) -> dict[str, Any]:
    """Read a result of another command; an error says which file is `wanted`."""
    try:
        values = json.loads(path.read_text("utf-8"))
        check_unchanged(path)
    except OSError:
        raise ReleaseError(f"there is no file {str(path)!r} that can be read") from None
    except (ValueError, RecursionError):
        raise ReleaseError(f"{path.name!r} is not JSON; expected: {wanted}") from None
    if not isinstance(values, dict):
        raise ReleaseError(f"{path.name!r} is not a result of deepfixcx; expected: {wanted}")
    return values


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, dict):
        return tuple(f"{name}: {text}" for name, text in value.items())
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
