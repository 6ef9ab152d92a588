"""The key: the same pseudonym for the same patient; the table of pseudonyms."""

from __future__ import annotations

import base64
import contextlib
import csv
import hmac
import io
import os
import re
import secrets
import stat
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pydicom.dataset import Dataset

from deepfixcx.deidentify.elements import patient_of
from deepfixcx.deidentify.silence import silence
from deepfixcx.errors import DeidentifyError, OverwriteError
from deepfixcx.io.files import within, write_file
from deepfixcx.io.folders import exclusive
from deepfixcx.io.tables import TableWriter, read_rows

__all__ = ["Key", "MappingTable", "load_key"]

KEY_BYTES = 32
FIRST_WORD = "deepfixcx-key-1"
_FILE = re.compile(rf"{FIRST_WORD} ([0-9a-f]{{{2 * KEY_BYTES}}})\n?")

LEAST_WEEKS, MOST_WEEKS = 52, 519
"""Dates move one to ten years into the past, so that no shifted date lies in the future."""


@dataclass(frozen=True, slots=True)
class Key:
    """A secret of 32 bytes and what is derived from it, each with HMAC-SHA-256.

    Parameters
    ----------
    secret : bytes
        At least 32 random bytes.

    Raises
    ------
    DeidentifyError
        The secret is shorter.

    References
    ----------
    RFC 2104, HMAC: Keyed-Hashing for Message Authentication.

    Examples
    --------
    >>> key = Key(bytes(32))
    >>> key.uid("1.2.3") == Key(bytes(32)).uid("1.2.3") != Key(b"1" * 32).uid("1.2.3")
    True
    >>> key  # it does not show itself
    Key()
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a short secret."""
        if len(self.secret) < KEY_BYTES:
            raise DeidentifyError(
                f"a key needs at least {KEY_BYTES} bytes, got {len(self.secret)}; make one with "
                "load_key"
            )

    @property
    def fingerprint(self) -> str:
        """Eight letters by which two machines see that they share a key."""
        return _letters(self._digest("fingerprint"), 8).lower()

    def pseudonym(self, patient: tuple[str, ...]) -> str:
        """Return the pseudonym of a patient: ``P`` and 16 letters and digits."""
        return "P" + _letters(self._digest("patient", *patient), 16)

    def uid(self, uid: str) -> str:
        """Return the UID that stands for another one, valid and below the root 2.25."""
        number = uuid.UUID(bytes=self._digest("uid", uid)[:16], version=5)
        return f"2.25.{number.int}"

    def title(self, title: str) -> str:
        """Return the name that stands for one of a device in a network, at most 16 characters."""
        return "AE" + _letters(self._digest("title", title), 12)

    def days(self, patient: tuple[str, ...]) -> int:
        """Return by how many days the dates of a patient move: whole weeks, always back."""
        number = int.from_bytes(self._digest("days", *patient)[:8], "big")
        return -7 * (LEAST_WEEKS + number % (MOST_WEEKS - LEAST_WEEKS + 1))

    def _digest(self, purpose: str, *parts: str) -> bytes:
        # Each part with its length, so that ("ab", "c") and ("a", "bc") differ.
        encoded = [part.encode("utf-8", "surrogatepass") for part in (purpose, *parts)]
        message = b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
        return hmac.digest(self.secret, message, sha256)


def load_key(path: str | os.PathLike[str], *, apart_from: str | os.PathLike[str] = "") -> Key:
    """Read a key from its file, which is made on first use.

    An attacker with the key can undo the pseudonyms of patients whose numbers can be guessed. Keep
    it as you keep the names themselves, give it only to machines whose releases are to match, and
    keep a copy: without it the same patient becomes another one.

    Parameters
    ----------
    path : path-like
        The file. A new one can be read by its owner alone (mode 600).
    apart_from : path-like
        Folder that is going to be shared; a key in it is refused.

    Returns
    -------
    Key
        The key.

    Raises
    ------
    DeidentifyError
        The file lies in `apart_from`, holds no key, can be read by others, or cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "hospital.key"
    >>> load_key(path).fingerprint == load_key(path).fingerprint
    True
    """
    path = Path(path)
    if os.fspath(apart_from):
        refuse_inside(path, Path(apart_from), "the key")
    try:
        if not path.exists():
            _make(path)
        status = path.stat()
        text = path.read_text("ascii")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise DeidentifyError(
            f"the key {path.name!r} cannot be read or created: {error.strerror}"
        ) from None
    found = _FILE.fullmatch(text)
    if found is None:
        raise DeidentifyError(
            f"{path.name!r} is not a key file of deepfixcx; name the right file, or a new file "
            "name to create a key"
        )
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DeidentifyError(
            f"the key {path.name!r} can be read by other users of this machine; restrict it "
            "with chmod 600"
        )
    return Key(bytes.fromhex(found[1]))


def refuse_inside(path: Path, folder: Path, what: str) -> None:
    """Refuse a file that would be shared with a folder."""
    if within(path, folder):
        raise DeidentifyError(
            f"{what} would lie in the release, which is shared; choose a path outside "
            f"{folder.name!r}"
        )


def _make(path: Path) -> None:
    """Write a new key, whole or not at all; of two processes at once the first one's stays."""
    with contextlib.suppress(OverwriteError):
        write_file(path, f"{FIRST_WORD} {secrets.token_hex(KEY_BYTES)}\n", mode=0o600)


def _letters(digest: bytes, count: int) -> str:
    return base64.b32encode(digest).decode("ascii")[:count]


COLUMNS = ("issuer_or_birth_date", "patient", "pseudonym")


class MappingTable:
    """A table of patients and their pseudonyms, kept apart from what is shared.

    Nothing needs it: the key alone gives the same pseudonyms again. It is for the way back, when a
    finding has to reach the patient.

    Parameters
    ----------
    path : path-like
        The table, a ``.csv`` file. If it exists, its rows stay.
    apart_from : path-like
        Folder that is going to be shared; a table in it is refused.

    Raises
    ------
    DeidentifyError
        The file lies in `apart_from`, or is no such table.

    Examples
    --------
    >>> import tempfile
    >>> from pydicom import examples
    >>> from deepfixcx.deidentify import Deidentifier, Key, Profile
    >>> _, actions = Deidentifier(Profile(), Key(bytes(32))).apply(examples.ct)
    >>> folder = Path(tempfile.mkdtemp())
    >>> table = MappingTable(folder / "patients.csv", apart_from=folder / "shared")
    >>> table.add(examples.ct, actions.pseudonym)
    >>> table.save()
    >>> len((folder / "patients.csv").read_text().splitlines())
    2
    """

    def __init__(self, path: str | os.PathLike[str], *, apart_from: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        refuse_inside(self.path, Path(apart_from), "the table of patients")
        self._rows: dict[tuple[str, ...], None] = {}
        if self.path.exists():
            self._rows = dict.fromkeys(self._read())

    def add(self, source: Dataset, pseudonym: str) -> None:
        """Note who a pseudonym stands for.

        Parameters
        ----------
        source : Dataset
            A header of the patient, not de-identified.
        pseudonym : str
            What stands for the patient, as `Deidentifier` says.
        """
        with silence():
            kind, *known = patient_of(source)
        if kind == "name":  # name and date of birth, and the date stands first here
            known.reverse()
        self._rows[(*[""] * (2 - len(known)), *known, pseudonym)] = None

    def __len__(self) -> int:
        """Return how many patients the table names."""
        return len(self._rows)

    def remove(self, names: Collection[str]) -> None:
        """Remove the patients with these IDs or pseudonyms from the file."""
        with exclusive(self.path):
            kept = [row for row in self._read() if not {*row[1:]} & {*names}]
            write_file(self.path, _as_csv(kept), mode=0o600, replace=True)
        self._rows = dict.fromkeys(kept)

    def save(self) -> None:
        """Write the table, readable by its owner alone.

        Raises
        ------
        DeidentifyError
            It cannot be written.
        """
        try:
            with contextlib.suppress(OverwriteError):  # it is there
                write_file(self.path, _as_csv({}), mode=0o600)
            with exclusive(self.path):
                self._rows |= dict.fromkeys(self._read())  # of another process since
                write_file(self.path, _as_csv(self._rows), mode=0o600, replace=True)
        except OSError as error:
            raise DeidentifyError(
                f"the table of patients cannot be written: {error.strerror}"
            ) from None

    def _read(self) -> list[tuple[str, ...]]:
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [tuple(row) for row in read_rows(file)]
        except (OSError, UnicodeDecodeError, csv.Error):
            rows = []
        if not rows or rows[0] != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
            raise DeidentifyError(
                f"{self.path.name!r} is not a patient table of deepfixcx; choose another file"
            )
        return rows[1:]


def _as_csv(rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO(newline="")
    TableWriter(text, "\r\n").writerows([COLUMNS, *sorted(rows)])
    return text.getvalue()
