"""Privatize a whole dataset: find the inputs, plan shards, process them, write the ledger.

inputs -> plan -> (workers: shard after shard) -> ledger -> manifest

The release folder may be shared. Beside it stands a second folder, ``NAME.private``, with what must
not be: the table from source files to the neutral names of the release, and the ledger that makes a
stopped release resumable. Inputs and release may lie in stores that fsspec knows; the private
folder never does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfixcx.release.deidentified import DeidentifyOptions
    from deepfixcx.release.folders import private_folder
    from deepfixcx.release.inputs import Source, find_sources
    from deepfixcx.release.options import ReleaseOptions, RunOptions
    from deepfixcx.release.plan import Plan, make_plan
    from deepfixcx.release.private import PrivateFolder, ReleaseStatus, read_status
    from deepfixcx.release.protected import (
        ProtectedSummary,
        privatize_protected,
        read_members,
    )
    from deepfixcx.release.release import (
        Release,
        ReleasedRecords,
        load_codes,
        load_records,
        release_checksum,
    )
    from deepfixcx.release.run import Progress, Summary, privatize_dataset
    from deepfixcx.release.surveying import survey
    from deepfixcx.release.verify import Verification, verify_release
    from deepfixcx.release.withdrawal import Notice, Withdrawal, apply_withdrawal, withdraw

__all__ = [
    "DeidentifyOptions",
    "Notice",
    "Plan",
    "PrivateFolder",
    "Progress",
    "ProtectedSummary",
    "Release",
    "ReleaseOptions",
    "ReleaseStatus",
    "ReleasedRecords",
    "RunOptions",
    "Source",
    "Summary",
    "Verification",
    "Withdrawal",
    "apply_withdrawal",
    "find_sources",
    "load_codes",
    "load_records",
    "make_plan",
    "private_folder",
    "privatize_dataset",
    "privatize_protected",
    "read_members",
    "read_status",
    "release_checksum",
    "survey",
    "verify_release",
    "withdraw",
]

_HOMES = {
    "DeidentifyOptions": "deidentified",
    "Notice": "withdrawal",
    "Plan": "plan",
    "PrivateFolder": "private",
    "Progress": "run",
    "ProtectedSummary": "protected",
    "Release": "release",
    "ReleaseOptions": "options",
    "ReleaseStatus": "private",
    "ReleasedRecords": "release",
    "RunOptions": "options",
    "Source": "inputs",
    "Summary": "run",
    "Verification": "verify",
    "Withdrawal": "withdrawal",
    "apply_withdrawal": "withdrawal",
    "find_sources": "inputs",
    "load_codes": "release",
    "load_records": "release",
    "make_plan": "plan",
    "private_folder": "folders",
    "privatize_dataset": "run",
    "privatize_protected": "protected",
    "read_members": "protected",
    "read_status": "private",
    "release_checksum": "release",
    "survey": "surveying",
    "verify_release": "verify",
    "withdraw": "withdrawal",
}
"""Names load on first use: a worker needs no verification, and the parent no decoder."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepfixcx.release' has no attribute {name!r}")
    return getattr(import_module(f"deepfixcx.release.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
