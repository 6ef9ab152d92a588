"""What a release by a mechanism was begun with, and the secret of what it draws.

One JSON file in the private folder, for its owner's eyes only.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from deepfixcx.datasets import Dataset
from deepfixcx.errors import ReleaseError, ReleaseStoppedError
from deepfixcx.io.folders import MARKER, FileLedger
from deepfixcx.release.folders import PROTECTED
from deepfixcx.release.ledger import id_from
from deepfixcx.release.manifest import as_json

__all__ = ["State", "fingerprint", "open_state"]

FORMAT_NAME = "deepfixcx.protected"
FORMAT_VERSION = 1
SECRET_BYTES = 32
ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class State:
    """What must be the same when a release goes on."""

    identity: Mapping[str, str]
    secret: str = field(repr=False)
    codes: str = ""
    again: str = ""
    folder: str = ""
    id: str = ""

    @property
    def release_id(self) -> str:
        """What ``dataset.json`` calls the release; known to the private folder alone."""
        return id_from(self.secret)

    def generator(self) -> np.random.Generator:
        """Return what draws; the same for the same secret."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(int(self.secret, 16))))

    def save(self, private: Path) -> None:
        """Write it down."""
        about = {"format": FORMAT_NAME, "version": FORMAT_VERSION, **asdict(self)}
        try:
            ledger = FileLedger(private / MARKER, mode=0o600)
            ledger.write(private, PROTECTED, as_json(about), mode=0o600)
        except OSError as error:
            raise ReleaseStoppedError(
                f"the private folder cannot be written: {error.strerror}; free disk space or "
                "change its permissions, then run the same command with --resume"
            ) from None

    def applied_to(self, codes: str, private: Path) -> None:
        """See that the mechanism is applied to one set of codes only, and write down which."""
        if self.codes not in ("", codes):
            raise ReleaseError(
                "images changed since this release was made; --overwrite makes it again with "
                "new random draws"
            )
        replace(self, codes=codes).save(private)


def open_state(
    private: Path, identity: Mapping[str, str], seed: int | None, *, resume: bool
) -> State:
    """Begin, with a fresh secret, or go on with what an earlier run has left."""
    again = os.getcwd()
    if resume and (private / PROTECTED).is_file():
        before = _read(private / PROTECTED)
        differing = [name for name in identity if before.identity.get(name) != identity[name]]
        if "labels" in differing:  # the hashes of images hold labels, too
            differing = [name for name in differing if "images" not in name]
        if differing:
            raise ReleaseError(
                f"this release was started with other {' and '.join(differing)}; --resume "
                "requires the same inputs and options; --overwrite starts again"
            )
        return replace(before, folder=again)
    secret = secrets.token_hex(SECRET_BYTES) if seed is None else f"{seed:x}"
    return State(dict(identity), secret, folder=again, id=secrets.token_hex(ID_BYTES))


def fingerprint(dataset: Dataset | None) -> str:
    """Return a hash of files, patients and labels, whatever their order."""
    if dataset is None:
        return ""
    rows = sorted(
        f"{record.path}\0{record.patient}\0{record.labels}\0{record.known}"
        for record in dataset.records
    )
    text = "\n".join([*dataset.label_names, *rows])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def read_state(private: Path) -> State:
    """Read the state of a release by a mechanism."""
    return _read(private / PROTECTED)


def _read(path: Path) -> State:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if (about.pop("format"), about.pop("version")) == (FORMAT_NAME, FORMAT_VERSION):
            state = State(**about)
            int(state.secret, 16)
            return state
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ReleaseError(
        f"{path.name} in {path.parent.name!r} is damaged or of another version of deepfixcx; "
        f"start again with --overwrite"
    )
