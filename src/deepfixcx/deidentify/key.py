"""The key: what makes one patient the same pseudonym everywhere, and nobody able to guess it."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import re
import secrets
import stat
import uuid
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from deepfixcx.errors import DeidentifyError, OverwriteError
from deepfixcx.io.files import write_file
from deepfixcx.io.paths import within

__all__ = ["Key", "load_key"]

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
        At least 32 bytes that nobody can guess.

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
                f"a key needs at least {KEY_BYTES} bytes, got {len(self.secret)}; "
                f"load_key makes a good one"
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

    Whoever has the key can undo the pseudonyms of patients whose numbers he can guess. Keep it as
    you keep the names themselves, give it only to machines whose releases are to match, and keep a
    copy: without it the same patient becomes another one.

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
            f"the key {path.name!r} cannot be read or made: {error.strerror}"
        ) from None
    found = _FILE.fullmatch(text)
    if found is None:
        raise DeidentifyError(
            f"{path.name!r} holds no key of deepfixcx; name the right file, or one that does not "
            f"exist yet to make a new key"
        )
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DeidentifyError(
            f"the key {path.name!r} can be read by others on this machine; run: chmod 600 on it"
        )
    return Key(bytes.fromhex(found[1]))


def refuse_inside(path: Path, folder: Path, what: str) -> None:
    """Refuse a file that would be shared with a folder.

    Raises
    ------
    DeidentifyError
        `path` lies in `folder`, or is it.
    """
    if within(path, folder):
        raise DeidentifyError(
            f"{what} would lie in the folder that is shared; choose a place outside {folder.name!r}"
        )


def _make(path: Path) -> None:
    """Write a new key, whole or not at all; of two processes at once the first one's stays."""
    with contextlib.suppress(OverwriteError):
        write_file(path, f"{FIRST_WORD} {secrets.token_hex(KEY_BYTES)}\n", mode=0o600)


def _letters(digest: bytes, count: int) -> str:
    return base64.b32encode(digest).decode("ascii")[:count]
