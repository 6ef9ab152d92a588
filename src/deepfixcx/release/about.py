"""What people state about a release in about.toml: its purpose, licence, contact and others."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from deepfixcx.errors import ReleaseError

__all__ = ["NAMES", "STATED", "About", "read_about"]

NAMES = (
    "title",
    "institution",
    "purpose",
    "recipients",
    "date",
    "contact",
    "licence",
    "collection",
)
"""Keys of about.toml that hold one text."""

STATED = ("title", "institution", "purpose", "date", "contact", "licence", "collection")
"""Those that a release states itself; recipients and signatures are for its report."""

LISTS = ("agree", "signatures")


@dataclass(frozen=True, slots=True)
class About:
    """What people state about a release: for its report, its README and its descriptions."""

    title: str = ""
    institution: str = ""
    purpose: str = ""
    recipients: str = ""
    date: str = ""
    contact: str = ""
    licence: str = ""
    collection: str = ""
    agree: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()

    def stated(self) -> dict[str, str]:
        """Return the texts that a release states itself."""
        texts = {name: str(getattr(self, name)) for name in STATED}
        return {name: text for name, text in texts.items() if text}


def read_about(path: Path) -> About:
    """Read ``about.toml``: texts, and lists of what remains to be agreed and of who signs."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError:
        raise ReleaseError(f"there is no file {str(path)!r} that can be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ReleaseError(f"{path.name!r} is not TOML; correct it") from None
    known = {each.name for each in fields(About)}
    if unknown := sorted(values.keys() - known):
        raise ReleaseError(
            f"{path.name!r} has an unknown key {unknown[0]!r}; the keys are {', '.join(NAMES)} "
            f"(texts), {' and '.join(LISTS)} (lists of texts)"
        )
    for name in LISTS:
        listed = values.get(name, [])
        if not (isinstance(listed, list) and all(isinstance(each, str) for each in listed)):
            raise ReleaseError(f"{name} in {path.name!r} is not a list of texts; correct it")
    texts = {name: " ".join(str(values.get(name, "")).split()) for name in NAMES}
    agree, signatures = (tuple(values.get(name, ())) for name in LISTS)
    return About(**texts, agree=agree, signatures=signatures)
