"""Which objects a route takes, and the profile by which it changes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deepfixcx.choices import CONTENTS
from deepfixcx.errors import NodeError, SpecError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from deepfixcx.node.config import NodeConfig
    from deepfixcx.release.deidentified import DeidentifyOptions
    from deepfixcx.release.dicom_output import DicomOutput
    from deepfixcx.release.options import ReleaseOptions

__all__ = [
    "Profile",
    "Route",
    "check_config",
    "check_keyword",
    "make_profile",
    "sop_class_uid",
]

COMMON: Final[dict[str, tuple[type, ...]]] = {
    "kind": (str,),
    "key": (str,),
    "retain": (list,),
    "mask": (str,),
    "max_pixels": (int,),
}
NAMES: Final[dict[str, dict[str, tuple[type, ...]]]] = {
    "deidentify": COMMON
    | {"rules": (str,), "private_elements": (str,), "ocr": (str,), "also": (list,)},
    "privatize": COMMON
    | {
        "level": (int,),
        "patches": (int, str),
        **dict.fromkeys(("wavelet", "boundary", "grid", "output", "size", "dtype"), (str,)),
        "pooling": (str,),
        "mechanism": (list,),
    },
}
"""Names of a profile by its kind; those of the options of the command of this name."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is done to an object: options of ``deidentify`` or ``privatize``, and the key."""

    name: str
    options: ReleaseOptions
    key: Path | None
    dicom: DicomOutput | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """Which objects get which profile and go to which destinations."""

    name: str
    profile: str
    to: tuple[str, ...]
    sources: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    sop_class: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()

    def takes(self, header: Dataset, calling: str) -> bool:
        """Return whether this route is for an object."""
        return (
            (not self.sources or calling in self.sources)
            and (not self.modality or self._is_one(header, "Modality", self.modality))
            and (not self.sop_class or self._is_one(header, "SOPClassUID", self.sop_class))
            and all(self._is_one(header, keyword, (pattern,)) for keyword, pattern in self.where)
        )

    @staticmethod
    def _is_one(header: Dataset, keyword: str, patterns: Iterable[str]) -> bool:
        """Return whether a value of an element fits a pattern; one that is absent is empty."""
        value = header.get(keyword)
        values = [value] if value is None or isinstance(value, str) else value
        values = values if isinstance(values, list) or hasattr(values, "__iter__") else [values]
        texts = ["" if each is None else str(each).strip() for each in values]
        return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)


def make_profile(name: str, content: Any, folder: Path, inbox: Path) -> Profile:
    """Make a profile of its table; paths are relative to a folder, and the key is made if new."""
    where = f"[profiles.{name}]"
    if not isinstance(content, dict):
        raise NodeError(f"{where} is not a table")
    kind = content.get("kind")
    names = NAMES.get(kind) if isinstance(kind, str) else None
    if names is None:
        raise NodeError(f"{where} has kind {kind!r}; it is one of {', '.join(NAMES)}")
    if unknown := sorted(set(content) - set(names)):
        raise NodeError(
            f"{where} has an unknown name, {unknown[0]!r}; known are {', '.join(sorted(names))}"
        )
    for each, value in content.items():
        texts = value if isinstance(value, list) else ()
        if type(value) not in names[each] or not all(isinstance(text, str) for text in texts):
            raise NodeError(f"{where} {each} has a value of the wrong type")
    make = _deidentify_options if kind == "deidentify" else _privatize_options
    try:
        options = make(content, folder)
    except SpecError as error:
        raise NodeError(f"{where}: {error}") from None
    if "key" not in content:
        if options.writes("dicom"):
            raise NodeError(f"{where} has no 'key'; name the key file, which is made on first use")
        return Profile(name, options, None, None)
    from deepfixcx.release.dicom_output import dicom_output

    key = folder / content["key"]
    return Profile(name, options, key, dicom_output(options, key, inbox))


def _deidentify_options(content: dict[str, Any], folder: Path) -> DeidentifyOptions:
    from deepfixcx.images import DEFAULT_MAX_PIXELS
    from deepfixcx.release.deidentified import (
        DeidentifyOptions,
        chosen_mask,
        chosen_objects,
        chosen_profile,
    )

    def path(each: str) -> Path | None:
        return folder / content[each] if each in content else None

    mask = content.get("mask")
    if mask is not None and mask not in ("phi", "all"):
        mask = str(folder / mask)
    return DeidentifyOptions(
        profile=chosen_profile(content.get("retain", []), path("rules"), path("private_elements")),
        also=chosen_objects(content.get("also", [])),
        mask=None if mask is None else chosen_mask(mask, content.get("ocr", "tesseract")),
        max_pixels=content.get("max_pixels", DEFAULT_MAX_PIXELS),
    )


def _privatize_options(content: dict[str, Any], folder: Path) -> ReleaseOptions:
    from deepfixcx.images.masking import load_mask
    from deepfixcx.images.text_mask import TextMask
    from deepfixcx.release.options import ReleaseOptions
    from deepfixcx.spec import CodecSpec

    if missing := {"level", "patches"} - set(content):
        raise SpecError(f"it has no {min(missing)!r}; add it")
    patches, pooling = content["patches"], content.get("pooling", "l1")
    if isinstance(patches, str):
        rows, cross, columns = patches.partition("x")
        if not (cross and rows.isdecimal() and columns.isdecimal()):
            raise SpecError(f"patches is a number such as 4, or a text such as '4x6': {patches!r}")
        patches = (int(rows), int(columns))
    settings = {each: content[each] for each in ("wavelet", "boundary", "grid") if each in content}
    plain = {each: content[each] for each in ("size", "dtype", "max_pixels") if each in content}
    mask: Any = content.get("mask")
    if mask == "ocr":
        mask = TextMask()
        mask.check()
    elif mask is not None:
        mask = load_mask(folder / mask)
    return ReleaseOptions(
        CodecSpec(content["level"], patches, pooling=pooling, **settings),
        output=content.get("output", "dicom"),
        retain=tuple(content.get("retain", ())),
        mechanisms=tuple(content.get("mechanism", ())),
        mask=mask,
        **plain,
    )


def sop_class_uid(text: str, where: str) -> str:
    """Return the UID of a SOP class that is named by its keyword or UID."""
    from pydicom._uid_dict import UID_dictionary

    if re.fullmatch(r"[0-9.]{1,64}", text):
        return text
    for uid, row in UID_dictionary.items():
        if row[4] == text:
            return uid
    raise NodeError(f"{where}: {text!r} is no SOP class; write its UID or keyword")


def check_keyword(keyword: str, where: str) -> None:
    """Refuse a condition on an attribute that does not exist."""
    from pydicom.datadict import tag_for_keyword

    if tag_for_keyword(keyword) is None:
        raise NodeError(f"{where}: {keyword!r} is no attribute of DICOM; write its keyword")


# -- whether the parts of a configuration fit together --------------------------------------------

TITLE: Final = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")
"""An AE title: 1 to 16 printable characters without a backslash."""


def check_config(config: NodeConfig) -> None:
    """Refuse a configuration whose parts do not fit together."""
    titles = [each.title for each in config.sources]
    for title in (config.title, *titles, *(each.title for each in config.destinations.values())):
        if title and not TITLE.fullmatch(title):
            raise NodeError(f"{title!r} is no AE title: 1 to 16 printable characters")
    _check_once(titles, "AE titles of sources")
    _check_once([route.name for route in config.routes], "names of routes")
    if not config.routes or not titles:
        raise NodeError("the configuration needs at least one of [[routes]] and of [[sources]]")
    for route in config.routes:
        for names, known, what in (
            ((route.profile,), config.profiles, "profile"),
            (route.to, config.destinations, "destination"),
            (route.sources, {*titles, *(("STOW",) if config.web else ())}, "source"),
        ):
            if missing := sorted(set(names) - set(known)):
                raise NodeError(f"route {route.name!r} names an unknown {what}: {missing[0]!r}")
        _check_output(config, route)
    for port in (config.port, *(each.port for each in config.destinations.values())):
        if not 0 <= port <= 65535:
            raise NodeError(f"{port} is no port; use 1 to 65535, or 0 for a free one")
    if config.workers < 1 or config.limits.pdu_kb < 4:
        raise NodeError("the node needs at least one worker, and limits.pdu_kb of at least 4")
    for each in config.destinations.values():
        if each.path is not None:
            from deepfixcx.io.files import within

            if within(each.path, config.folder) or within(config.folder, each.path):
                raise NodeError(
                    f"destination {each.name!r} and the folder of the node overlap; separate them"
                )


TAKEN: Final = {
    "dicom": ("dicom", "deidentified"),
    "stow": ("dicom", "deidentified"),
    "folder": ("dicom", "deidentified", "codes"),
    "url": ("dicom", "deidentified", "codes"),
    "release": tuple(CONTENTS),
}
"""Outputs of profiles that each kind of destination takes."""


def _check_output(config: NodeConfig, route: Route) -> None:
    """Refuse a route to a destination that cannot take what its profile makes."""
    output = config.profiles[route.profile].options.output
    for name in route.to:
        kind = config.destinations[name].kind
        if output not in TAKEN[kind]:
            raise NodeError(
                f"route {route.name!r}: a destination of kind {kind!r} cannot take the output "
                f"{output!r} of profile {route.profile!r}; choose another kind or output"
            )
        keyed = config.profiles[route.profile].key is not None
        if kind != "release":
            if not keyed:
                raise NodeError(
                    f"profile {route.profile!r} has no 'key', which makes the names of files of "
                    "codes; name the key file, which is made on first use"
                )
            continue
        if keyed and "dicom" not in CONTENTS[output]:
            raise NodeError(
                f"profile {route.profile!r}: a release of {output} has no pseudonyms; omit key"
            )
        if len(route.to) > 1:
            raise NodeError(
                f"route {route.name!r}: a release has a route of its own; write one more route"
            )
        others = [each.profile for each in config.routes if name in each.to]
        if len(set(others)) > 1:
            raise NodeError(f"the routes to the release {name!r} have different profiles; use one")


def _check_once(names: list[str], what: str) -> None:
    if len(set(names)) < len(names):
        raise NodeError(f"two {what} are equal; each stands once")
