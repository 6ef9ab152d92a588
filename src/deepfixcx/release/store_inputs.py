"""Find the inputs of a release in a store that fsspec reads."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deepfixcx.errors import ReleaseError
from deepfixcx.images.frames import SNIFFED_BYTES, sniff
from deepfixcx.io.tables import has_table_name
from deepfixcx.release.inputs import (
    Listing,
    Source,
    Sources,
    cannot_open,
    counts_by_name,
    hidden_part,
    in_table,
    printable,
    source_on_disk,
)
from deepfixcx.release.storage import (
    Location,
    RemoteFile,
    asking,
    at_once,
    is_url,
    locate,
    name_below,
    open_store,
    stamp_in,
)

__all__ = ["find_in_store", "sources_at"]


def find_in_store(url: str) -> Sources:
    """List the inputs below a URL, in a table, or one image."""
    try:
        with asking(url):
            system, root = open_store(url)
            system.invalidate_cache()
            if url.endswith("/") or system.info(root)["type"] == "directory":
                return _in_store_folder(url, system, root)
            if has_table_name(root):
                return Sources(tuple(_in_store_table(url, system, root)))
            return Sources((_asked(url, root, posixpath.basename(root)),))
    except FileNotFoundError:
        raise ReleaseError(f"there is no file or folder {url!r}; check the URL") from None


def sources_at(places: Iterable[tuple[Location, str]]) -> list[Source]:
    """Return the input at each path or URL, under the name beside it."""
    places = list(places)

    def ask(place: tuple[str, str]) -> Source:
        url, name = place
        with asking(url):
            return _asked(url, open_store(url)[1], name)

    remote = at_once(ask, ((where, name) for where, name in places if isinstance(where, str)))
    local = [source_on_disk(where, name) for where, name in places if isinstance(where, Path)]
    return remote + local


def _in_store_folder(url: str, system: Any, root: str) -> Sources:
    listing: dict[str, Mapping[str, Any]] = system.find(root, detail=True)
    unsized = [path for path, about in listing.items() if about["size"] is None]  # in HTTP, all
    listing |= zip(unsized, at_once(system.info, unsized), strict=True)
    files = {
        name: RemoteFile(url, path, stamp_in(about), int(about["size"] or 0))
        for path, about in listing.items()
        if about["type"] == "file" and not (name := name_below(root, path)).endswith("/")
    }
    del listing
    system.invalidate_cache()  # which keeps a listing of millions otherwise
    hidden = {name: part for name in files if (part := hidden_part(name))}
    files = {name: file for name, file in files.items() if name not in hidden}
    unclear = [name for name in files if not counts_by_name(name)]
    images = at_once(lambda name: _is_image(system, files[name]), unclear)
    skipped = {name for name, image in zip(unclear, images, strict=True) if not image}
    found = (
        Source(file, printable(name), file.size)
        for name, file in files.items()
        if name not in skipped
    )
    return Sources(Listing(found), tuple(sorted(map(printable, skipped | {*hidden.values()}))))


def _is_image(system: Any, file: RemoteFile) -> bool:
    if not file.size:
        return False
    try:
        return bool(sniff(system.cat_file(file.path, start=0, end=SNIFFED_BYTES)))
    except (FileNotFoundError, PermissionError):
        return False


def _in_store_table(url: str, system: Any, table: str) -> Iterator[Source]:
    name = posixpath.basename(table)
    paths, bad = in_table(bytes(system.cat_file(table)), name)
    yield from bad
    yield from sources_at((locate(path), path) for path in paths if is_url(path))
    folder = posixpath.dirname(table)

    def ask(path: str) -> Source:
        return _asked(url, posixpath.normpath(posixpath.join(folder, path)), path)

    yield from at_once(ask, (path for path in paths if not is_url(path)))


def _asked(url: str, path: str, name: str) -> Source:
    """Ask a store about one file."""
    system, _ = open_store(url)
    try:
        about = system.info(path)
    except FileNotFoundError:
        reason = errno.ENOENT
    except PermissionError:
        reason = errno.EACCES
    else:
        size = int(about["size"] or 0)
        return Source(RemoteFile(url, path, stamp_in(about), size), printable(name), size)
    problem = cannot_open(os.strerror(reason))
    return Source(RemoteFile(url, path), printable(name), problem=problem)
