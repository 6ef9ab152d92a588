"""Where commands write: never into a release, into what they read, or over other files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deepfixcx.errors import ReleaseError
from deepfixcx.io.files import check_apart
from deepfixcx.io.release_files import release_around
from deepfixcx.io.results import check_result

__all__ = ["READ", "WRITTEN", "check_outside", "check_places"]

WRITTEN = {
    "out": "-o",
    "json": "--json",
    "cache": "--cache",
    "key": "--key",
    "pseudonyms": "--pseudonyms",
    "notice": "--notice",
    "scores": "--scores",
    "table": "--table",
    "log": "--log",
}
"""Parameters of commands that name what is to be written, and how a user spells them."""

READ = {
    **{"where": "IN", "folder": "the folder", "release": "the release", "model": "the model"},
    **dict.fromkeys(("against", "originals"), "the originals"),
    **{"patients": "the table of patients", "public": "the public images"},
    **{"private": "the private folder", "audit": "the audit", "evaluation": "the evaluation"},
    **{"sweep": "the sweep", "frontier": "the frontier", "evidence": "the evidence"},
    **{"ignore": "the file of ignored strings", "spec": "the settings"},
    **{"about": "the description", "rules": "the rules", "config": "the configuration"},
    **{"compare": "the other scores"},
    **{"received": "the notice", "private_elements": "the table of private elements"},
}
"""Parameters that name what is read, or what privatize makes, and what messages call it."""

MAYBE_URLS = ("where", "folder", "release", "private", "public")
"""Parameters that some commands take as a text, because it may be a URL."""


def check_outside(options: Mapping[str, object]) -> None:
    """Refuse, before any work, to write into a release."""
    for name, spelled in WRITTEN.items():
        path = options.get(name)
        if isinstance(path, Path) and release_around(path) is not None:
            raise ReleaseError(
                f"{str(path)!r} lies in the release, which is shared; choose another {spelled}"
            )
    out = options.get("out")
    if isinstance(out, Path) and out.is_dir():
        from deepfixcx.release.folders import is_private

        if is_private(out):
            raise ReleaseError(
                f"{str(out)!r} is the private folder of a release; choose another {WRITTEN['out']}"
            )


def check_places(options: Mapping[str, object]) -> None:
    """Refuse, before any work, places of results that hold something else or do not lie apart."""
    named = {name: _path(name, options.get(name)) for name in (*WRITTEN, *READ)}
    read = {READ[name]: path for name in READ if (path := named[name]) is not None}
    written = {name: path for name in WRITTEN if (path := named[name]) is not None}
    secret = {name: path for name, path in written.items() if name in ("key", "pseudonyms")}
    results = {name: path for name, path in written.items() if name not in secret}
    check_apart({WRITTEN[name]: path for name, path in results.items()}, read)
    shared = {what: path for what, path in read.items() if what != READ["private"]}
    check_apart({WRITTEN[name]: path for name, path in secret.items()}, shared)
    if (json := results.get("json")) is not None:
        # it repeats the panel, so an earlier one is replaced unasked
        check_result(json, WRITTEN["json"], ".json", overwrite=True)


def _path(name: str, value: object) -> Path | None:
    """Return a path of this machine, None where a parameter is none."""
    if name in MAYBE_URLS and isinstance(value, str) and value:
        from deepfixcx.release.storage import locate

        value = locate(value)
    return value if isinstance(value, Path) else None
