"""Privatize a whole dataset: find the inputs, plan shards, work them off, keep the books.

inputs -> plan -> (workers: shard after shard) -> ledger -> manifest

The release folder may be shared. Beside it stands a second folder, ``NAME.private``, with what must
not be: the table from source files to the neutral names of the release, and the ledger that makes a
stopped release resumable. Inputs and release may lie in stores that fsspec knows; the private
folder never does.
"""

from deepfixcx.release.deidentified import DeidentifyOptions
from deepfixcx.release.folders import private_folder
from deepfixcx.release.inputs import find_sources
from deepfixcx.release.listing import Source
from deepfixcx.release.plan import Plan, ReleaseOptions, make_plan
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
from deepfixcx.release.status import ReleaseStatus, read_status
from deepfixcx.release.survey import survey
from deepfixcx.release.verify import Verification, verify_release

__all__ = [
    "DeidentifyOptions",
    "Plan",
    "Progress",
    "ProtectedSummary",
    "Release",
    "ReleaseOptions",
    "ReleaseStatus",
    "ReleasedRecords",
    "Source",
    "Summary",
    "Verification",
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
]
