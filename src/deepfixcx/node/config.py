"""The configuration of a node: one TOML file, in which every unknown name is an error."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from deepfixcx.errors import NodeError
from deepfixcx.node.routing import (
    Profile,
    Route,
    check_config,
    check_keyword,
    make_profile,
    sop_class_uid,
)

__all__ = [
    "Destination",
    "Limits",
    "NodeConfig",
    "Source",
    "Tls",
    "Web",
    "read_config",
]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates of one side of a connection; with `authorities` the other side needs one."""

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sender may ask of the node.

    Attributes
    ----------
    object_mb, pdu_kb : int
        Largest object in megabytes, and largest PDU in kilobytes.
    associations : int
        Associations at one time.
    idle_s : int
        Seconds without data after which a connection is closed.
    free_mb : int
        Free space in megabytes below which the node refuses associations.
    waiting : int
        Objects that wait for processing or a destination, above which the node refuses more.
    remember_days : int
        Days after which the node forgets delivered objects and no longer knows a repetition.
    """

    object_mb: int = 2048
    pdu_kb: int = 1024
    associations: int = 50
    idle_s: int = 60
    free_mb: int = 1024
    waiting: int = 1_000_000
    remember_days: int = 90


@dataclass(frozen=True, slots=True)
class Source:
    """A device that may send: its AE title, and optionally its address."""

    title: str
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Web:
    """Where the node listens for DICOMweb and metrics; the token is asked of every request."""

    host: str = "127.0.0.1"
    port: int = 8042
    token_file: Path | None = None
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where results go.

    Attributes
    ----------
    kind : str
        ``dicom`` (C-STORE), ``stow`` (STOW-RS), ``folder``, ``url`` (a store of fsspec), or
        ``release``: a release folder, to which images are added study by study.
    whole_studies : bool
        Wait until a study has received nothing for `idle_s` seconds, then send it at once.
    timeout_s, retry_s : float
        Seconds until an answer is missed, and until the first repetition; later ones wait longer.
    give_up_h : float
        Hours without an answer, after which an object is a dead letter.
    """

    name: str
    kind: str
    title: str = ""
    host: str = ""
    port: int = 0
    calling: str = ""
    url: str = ""
    path: Path | None = None
    private: Path | None = None
    token_file: Path | None = None
    tls: Tls | None = None
    whole_studies: bool = False
    idle_s: float = 30.0
    timeout_s: float = 30.0
    retry_s: float = 5.0
    give_up_h: float = 72.0


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything about a node.

    Parameters
    ----------
    title : str
        Its AE title.
    folder : Path
        Inbox, results that wait, and the ledger. It holds patient data.
    sources : tuple of Source
        Devices that may send.
    profiles, destinations : mapping
        What is done to objects, and where results go, by name.
    routes : tuple of Route
        Which objects get which profile and go to which destinations.
    host, port : str, int
        Address of the C-STORE SCP.
    workers : int
        Processes that de-identify.
    tls : Tls or None
        Certificates of the C-STORE SCP; without it connections are not encrypted.
    limits : Limits
        What a sender may ask.
    web : Web or None
        Where the node listens for DICOMweb and metrics.

    Raises
    ------
    NodeError
        By `read_config`, where the parts do not fit together.

    Examples
    --------
    >>> read_config("node.toml").title  # doctest: +SKIP
    'DEEPFIXCX'
    """

    title: str
    folder: Path
    sources: tuple[Source, ...]
    profiles: Mapping[str, Profile]
    destinations: Mapping[str, Destination]
    routes: tuple[Route, ...]
    host: str = "127.0.0.1"
    port: int = 11112
    workers: int = 2
    tls: Tls | None = None
    limits: Limits = Limits()
    web: Web | None = None

    @property
    def gathered(self) -> frozenset[str]:
        """Names of the routes to releases, which apply the profile themselves."""
        return frozenset(
            route.name
            for route in self.routes
            if any(self.destinations[name].kind == "release" for name in route.to)
        )


def read_config(path: str | Path) -> NodeConfig:
    r"""Read the configuration of a node.

    Parameters
    ----------
    path : path-like
        The TOML file. Paths in it are relative to its folder. docs/how-to-node.md lists the names.

    Returns
    -------
    NodeConfig
        With profiles that are ready to use; keys are made on first use.

    Raises
    ------
    NodeError
        The file cannot be read, has an unknown name, lacks one, or its parts do not fit together.
    DeidentifyError
        A rule file, a mask or a key cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "node.toml"
    >>> _ = path.write_text('''
    ... [node]
    ... title = "DEEPFIXCX"
    ... folder = "spool"
    ... [[sources]]
    ... title = "CT1"
    ... [profiles.research]
    ... kind = "deidentify"
    ... key = "hospital.key"
    ... [destinations.shared]
    ... kind = "folder"
    ... path = "shared"
    ... [[routes]]
    ... name = "all"
    ... profile = "research"
    ... to = ["shared"]
    ... ''')
    >>> read_config(path).routes[0].to
    ('shared',)
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise NodeError(
            f"the configuration {path.name!r} cannot be read: {error.strerror}"
        ) from None
    except (ValueError, RecursionError) as error:  # the parser says where
        raise NodeError(f"{path.name!r} cannot be read as a configuration: {error}") from None
    return _Reader(path.absolute().parent).config(content)


class _Reader:
    """Makes the parts of a configuration; paths are relative to one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def config(self, content: dict[str, Any]) -> NodeConfig:
        top = {"node", "limits", "sources", "profiles", "destinations", "routes", "web"}
        _check_names(content, top, {"node", "sources", "profiles", "destinations", "routes"}, "")
        node = self._table(content["node"], NodeConfig, "[node]", needs=("title", "folder"))
        for name in ("sources", "profiles", "destinations", "routes", "limits", "web"):
            if name in node:
                raise NodeError(f"[node] has the table {name!r}; write it as a table of its own")
        folder = node["folder"]
        sources = tuple(
            Source(**self._table(each, Source, f"[[sources]] {n}", needs=("title",)))
            for n, each in _listed(content, "sources")
        )
        destinations = {
            name: self._destination(name, each) for name, each in _named(content, "destinations")
        }
        profiles = {
            name: make_profile(name, each, self._folder, folder)
            for name, each in _named(content, "profiles")
        }
        routes = tuple(self._route(n, each) for n, each in _listed(content, "routes"))
        limits = self._table(content.get("limits", {}), Limits, "[limits]")
        web = content.get("web")
        made = NodeConfig(
            **node,
            sources=sources,
            profiles=profiles,
            destinations=destinations,
            routes=routes,
            limits=Limits(**limits),
            web=None if web is None else Web(**self._table(web, Web, "[web]")),
        )
        check_config(made)
        return made

    def _destination(self, name: str, content: Any) -> Destination:
        where = f"[destinations.{name}]"
        needs = {
            "dicom": ("title", "host", "port"),
            "stow": ("url",),
            "folder": ("path",),
            "url": ("url",),
            "release": ("path",),
        }
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind not in needs:
            raise NodeError(f"{where} has kind {kind!r}; it is one of {', '.join(needs)}")
        made = Destination(name, **self._table(content, Destination, where, needs=needs[kind]))
        if made.kind == "release":  # each addition reads the whole release, so none is small
            return replace(made, whole_studies=True)
        return made

    def _route(self, number: int, content: Any) -> Route:
        where = f"[[routes]] {number}"
        if not isinstance(content, dict):
            raise NodeError(f"{where} is not a table")
        content = {("sources" if name == "from" else name): each for name, each in content.items()}
        conditions = content.pop("where", {})
        if not isinstance(conditions, dict) or not all(
            isinstance(each, str) for each in conditions.values()
        ):
            raise NodeError(f"{where}: where is a table of keywords and patterns of text")
        made = self._table(content, Route, where, needs=("name", "profile", "to"))
        made["sop_class"] = tuple(sop_class_uid(each, where) for each in made.get("sop_class", ()))
        for keyword in conditions:
            check_keyword(keyword, where)
        return Route(**made, where=tuple(sorted(conditions.items())))

    def _table(
        self, content: Any, kind: type, where: str, needs: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return the values of a table, each checked against the type of the field it fills."""
        if not isinstance(content, dict):
            raise NodeError(f"{where} is not a table")
        types = {each.name: str(each.type) for each in fields(kind)}
        if where.startswith(("[destinations", "[profiles")):
            types.pop("name", None)
        _check_names(content, set(types), set(needs), where)
        return {
            name: self._value(value, types[name], f"{where} {name}")
            for name, value in content.items()
        }

    def _value(self, value: Any, kind: str, where: str) -> object:
        if kind.startswith("Tls"):
            return Tls(**self._table(value, Tls, where))
        expected: tuple[type, ...] = {
            "str": (str,),
            "int": (int,),
            "float": (int, float),
            "bool": (bool,),
            "Path": (str,),
            "Path | None": (str,),
            "tuple[str, ...]": (list,),
        }.get(kind, ())
        if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
            raise NodeError(f"{where} has a value of the wrong type; docs/how-to-node.md lists it")
        if isinstance(value, list):
            if not value or not all(isinstance(each, str) for each in value):
                raise NodeError(f"{where} is a list of texts")
            return tuple(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
            raise NodeError(f"{where} is negative")
        return self._folder / str(value) if kind.startswith("Path") else value


# -- checks -----------------------------------------------------------------------------------


def _check_names(content: Mapping[str, Any], known: set[str], needs: set[str], where: str) -> None:
    before = f"{where} has" if where else "the configuration has"
    if unknown := sorted(set(content) - known):
        raise NodeError(
            f"{before} an unknown name, {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )
    if missing := sorted(needs - set(content)):
        raise NodeError(f"{before} no {missing[0]!r}; add it")


def _listed(content: Mapping[str, Any], name: str) -> Iterator[tuple[int, Any]]:
    rows = content[name]
    if not isinstance(rows, list):
        raise NodeError(f"{name} is a list of tables: write [[{name}]]")
    yield from enumerate(rows, start=1)


def _named(content: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    tables = content[name]
    if not isinstance(tables, dict) or not tables:
        raise NodeError(f"{name} are named tables: write [{name}.NAME]")
    for each, table in tables.items():
        if not NAME.fullmatch(each):
            raise NodeError(f"{each!r} is no name of [{name}]: use letters, digits, - and _")
        yield each, table
