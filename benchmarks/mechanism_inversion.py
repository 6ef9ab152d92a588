"""Every inverter of the audit against what mechanisms release.

    python -m benchmarks.mechanism_inversion --markdown docs/privacy-research.md

Attackers know what a receiver gets: records, and the fitted mechanism. Those that need codes get
them by undoing the projection as far as that is possible, to the mean of all codes with the same
few numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.mechanism_ideas import ROOT, SIDE, Data, load
from benchmarks.table import Table, put_section
from deepfixcx.audit.reconstruction import INVERTERS
from deepfixcx.audit.reconstruction.attackers import Released
from deepfixcx.audit.result import AttackResult, figure_of
from deepfixcx.code import Code
from deepfixcx.experiments.trial import Trial
from deepfixcx.mechanisms.catalogue import mechanism_named
from deepfixcx.mechanisms.projection import FittedProjection
from deepfixcx.mechanisms.protocol import FittedChain, FittedMechanism
from deepfixcx.spec import CodecSpec

Array = NDArray[np.float32]

MECHANISMS = ("plain", "mixing-3", "resampling")
MOST_SSIM, MOST_DECIBELS = 0.05, 3.0
"""The goal: no inverter gains more on the mean image."""


def as_codes(
    fitted: FittedMechanism, spec: CodecSpec, sides: tuple[int, int]
) -> Callable[[Array], Released]:
    """Return what makes codes of records: nothing, or undoing a projection."""
    steps = fitted.steps if isinstance(fitted, FittedChain) else (fitted,)
    projections = [step for step in steps if isinstance(step, FittedProjection)]

    def see(records: Array) -> Released:
        if records.ndim == 2:
            if not projections:
                return records
            back = projections[0]
            records = back.whitening.rebuild(records.astype(np.float64) @ back.back)
        return Code(np.maximum(records, 0), spec, np.tile(np.array([sides]), (len(records), 1)))

    return see


def invert(
    name: str, attacker: str, data: Data, spec: CodecSpec, sides: tuple[int, int], seed: int
) -> tuple[AttackResult, ...]:
    """Attack one release by one attacker."""
    trial = Trial(data.inputs["codes"], data.labels, data.patients, seed=seed)
    fitted = trial.fit(mechanism_named(name))
    return trial.reconstruction(
        trial.release(fitted),
        data.small,
        attacker=attacker,
        see=as_codes(fitted, spec, sides) if attacker in ("plain", "variation") else None,
    )


def try_all(
    data: Data, spec: CodecSpec, sides: tuple[int, int], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Return figures by mechanism and attacker; those in the file `--json` are not made again."""
    kept: dict[str, dict[str, Any]] = {}
    if options.json is not None and options.json.is_file():
        kept = json.loads(options.json.read_text("utf-8"))
    for name in options.mechanisms:
        for attacker in options.attackers:
            if f"{name} {attacker}" in kept:
                continue
            begin = time.process_time()
            several = [invert(name, attacker, data, spec, sides, n) for n in range(options.seeds)]
            row: dict[str, Any] = {}
            for figure in ("SSIM", "PSNR"):
                gains = [figure_of(results, figure).gain for results in several]
                row[figure] = [float(np.mean([gain.value for gain in gains]))]
                row[figure] += [min(gain.low for gain in gains), max(gain.high for gain in gains)]
            row["seconds"] = (time.process_time() - begin) / options.seeds
            kept[f"{name} {attacker}"] = row
            print(name, attacker, row, flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    return kept


def table_of(rows: dict[str, dict[str, Any]], options: argparse.Namespace) -> Table:
    """Lay the gains out, an attacker in each row."""
    columns = [f"{name}: {what}" for name in options.mechanisms for what in ("SSIM", "PSNR")]
    table = Table(["attacker", *columns, "processor time"])
    for attacker in options.attackers:
        found = [rows[f"{name} {attacker}"] for name in options.mechanisms]
        cells = [cell for row in found for cell in (_gain(row["SSIM"], 3), _gain(row["PSNR"], 2))]
        table.add(attacker, *cells, f"{max(row['seconds'] for row in found):.0f} s")
    strongest = []
    for name in options.mechanisms:
        of_all = [rows[f"{name} {attacker}"] for attacker in options.attackers]
        ssim, decibels = (max(row[figure][0] for row in of_all) for figure in ("SSIM", "PSNR"))
        met = ssim <= MOST_SSIM and decibels <= MOST_DECIBELS
        strongest += [f"{ssim:+.3f}", f"{decibels:+.2f} {'(goal met)' if met else '(not met)'}"]
    table.add("the strongest", *strongest, "")
    return table


def _gain(three: Sequence[float], digits: int) -> str:
    value, low, high = (f"{each:+.{digits}f}" for each in three)
    return f"{value} [{low}, {high}]"


def main(words: Sequence[str] | None = None) -> None:
    """Attack every release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real images; DEEPFIXCX_DATA if absent")
    parser.add_argument("--seeds", type=int, default=1, help="divisions of the patients")
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--patches", type=int, default=4)
    parser.add_argument("--mechanisms", nargs="+", default=list(MECHANISMS))
    parser.add_argument("--attackers", nargs="+", default=list(INVERTERS), choices=[*INVERTERS])
    parser.add_argument("--json", type=Path, help="keep figures there, and go on with them")
    parser.add_argument("--markdown", type=Path, help="page whose section to replace")
    options = parser.parse_args(words)
    folder = options.data or Path(
        os.environ.get("DEEPFIXCX_DATA") or ROOT.parent / "shared" / "data"
    )
    spec = CodecSpec(options.level, options.patches)
    data = load(folder, spec, noise=False)
    table = table_of(try_all(data, spec, (SIDE, SIDE), options), options)
    command = (
        f"python -m benchmarks.mechanism_inversion --level {options.level} --patches "
        f"{options.patches} --seeds {options.seeds} --mechanisms {' '.join(options.mechanisms)}"
    )
    parts = [table.markdown(), f"Made by `{command}`."]
    print("\n\n".join(parts))
    if options.markdown is not None:
        put_section(options.markdown, "inversion", parts)


if __name__ == "__main__":
    main()
