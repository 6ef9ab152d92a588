"""What releases of a private folder have spent of one privacy budget, and what they have measured.

A JSON file in the private folder. It outlasts ``--overwrite``, because a release that was shared
cannot be taken back. It is written before anything that was measured is released, so that a run
that goes on draws from the same sums and spends nothing again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepfixcx.errors import MechanismError, ReleaseError
from deepfixcx.io.files import writing_text
from deepfixcx.mechanisms.label_model import Measured
from deepfixcx.mechanisms.records import Records
from deepfixcx.mechanisms.sensitivity import rho_of
from deepfixcx.mechanisms.synthesis import FittedSynthesis

__all__ = ["BUDGET", "FIRST", "LATER", "measured_within"]

BUDGET = "budget.json"
FORMAT, VERSION = "deepfixcx.budget", 1
FIRST, LATER = 0.8, 0.1
"""Shares of rho that the first release spends, and each later one, such as that of a late label."""

ROUNDING = 1e-9


def measured_within(
    private: Path, fitted: FittedSynthesis, records: Records, identity: Mapping[str, str]
) -> Measured:
    """Return the sums of a release: those of an earlier run, or new ones within what is left.

    Another budget, or too little left, is a `MechanismError`; a damaged file is a `ReleaseError`.
    """
    own = fitted.mechanism
    if own.epsilon is None:
        return fitted.measure(records, None)
    about = _read(private) or {"epsilon": own.epsilon, "delta": own.delta, "releases": []}
    if (about["epsilon"], about["delta"]) != (own.epsilon, own.delta):
        raise MechanismError(
            f"this private folder has the budget epsilon {about['epsilon']:g} and delta "
            f"{about['delta']:g} for all of its releases; name the same budget"
        )
    asked = {name: value for name, value in identity.items() if name != "seed"}
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    for each in about["releases"]:
        if each["key"] == key:
            sums, (first, second) = np.array(each["sums"]), each["noise"]
            return Measured(np.array(each["counts"]), sums, (float(first), float(second)))
    share = LATER if about["releases"] else FIRST
    if sum(each["share"] for each in about["releases"]) + share > 1 + ROUNDING:
        raise MechanismError(
            f"the budget of this private folder is spent by {len(about['releases'])} releases: "
            "another one would reveal more than epsilon states. Share the earlier releases instead"
        )
    measured = fitted.measure(records, share * rho_of(own.epsilon, own.delta))
    about["releases"].append(
        {
            "key": key,
            "labels": identity.get("labels", ""),
            "share": share,
            "counts": measured.counts.tolist(),
            "sums": measured.sums.tolist(),
            "noise": list(measured.noise),
        }
    )
    with writing_text(private / BUDGET, mode=0o600, replace=True) as file:
        json.dump({"format": FORMAT, "version": VERSION, **about}, file, indent=1, sort_keys=True)
        file.write("\n")
    return measured


def _read(private: Path) -> dict[str, Any] | None:
    try:
        about = json.loads((private / BUDGET).read_text(encoding="utf-8"))
        if (about.pop("format"), about.pop("version")) == (FORMAT, VERSION):
            return {
                "epsilon": float(about["epsilon"]),
                "delta": float(about["delta"]),
                "releases": [
                    {**each, "key": str(each["key"]), "share": float(each["share"])}
                    for each in about["releases"]
                ],
            }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ReleaseError(
        f"{BUDGET} in {private.name!r} is damaged or of another version of deepfixcx, so what "
        "earlier releases have spent is unknown; restore it from a backup"
    )
