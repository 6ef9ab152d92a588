"""Options that several commands have: one word, one meaning, one line of help.

A command names the type and the default. Where its default is none, because it has to know whether
a user chose, the help still says what is taken. A shell completes the words of options whose words
are no type: names, and lists of names. At the end: where commands may write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deepfixcx._optional import require
from deepfixcx.errors import ReleaseError
from deepfixcx.io.files import check_apart
from deepfixcx.io.release_files import release_around
from deepfixcx.io.results import check_result

if TYPE_CHECKING:
    from deepfixcx.choices import Boundary, Grid
    from deepfixcx.images.masking import Mask
    from deepfixcx.release.leaves import Leaves
    from deepfixcx.spec import CodecSpec

__all__ = [
    "ABOUT",
    "ADD",
    "BLANK",
    "BOUNDARY",
    "CACHE",
    "DATASET",
    "DEVICE",
    "DRY_RUN",
    "GRID",
    "JSON",
    "KEY",
    "LAYOUT",
    "LEVEL",
    "LEVEL_Z",
    "LOG",
    "MAX_PIXELS",
    "MODEL_FOLDER",
    "NAMES",
    "NETWORK",
    "OVERWRITE",
    "PATCHES",
    "PATIENT",
    "POOLING",
    "PRIVATE",
    "PRIVATE_OF",
    "PSEUDONYMS",
    "READ",
    "RESUME",
    "SUGGESTED_LEVEL",
    "SUGGESTED_PATCHES",
    "TABLES",
    "UNCERTAIN",
    "VOLUMES",
    "WAVELET",
    "WORKERS",
    "WRITTEN",
    "check_outside",
    "check_places",
    "complete_attackers",
    "complete_baselines",
    "complete_mechanisms",
    "complete_methods",
    "complete_outputs",
    "complete_retained",
    "leaves_of",
    "parse_patches",
    "spec_of",
    "words_in",
]

SUGGESTED_LEVEL, SUGGESTED_PATCHES = 3, 4
"""Where to begin: 1,024 numbers an image, one per cent of 320 x 320 pixels."""


def complete_poolings(incomplete: str) -> list[str]:
    """Offer ways to pool, with commas between."""
    from typing import get_args

    from deepfixcx.choices import Pooling

    return _listed(incomplete, get_args(Pooling))


def complete_retained(incomplete: str) -> list[str]:
    """Offer what may stay of headers, with commas between."""
    from typing import get_args

    from deepfixcx.choices import Retained

    return _listed(incomplete, get_args(Retained))


def complete_wavelets(incomplete: str) -> list[str]:
    """Offer discrete wavelets."""
    import pywt

    return _begun(incomplete, pywt.wavelist(kind="discrete"))


def complete_mechanisms(incomplete: str) -> list[str]:
    """Offer mechanisms, with commas between."""
    from deepfixcx.mechanisms.catalogue import OFFERED

    return _listed(incomplete, OFFERED)


def complete_outputs(incomplete: str) -> list[str]:
    """Offer what a release may hold, with commas between."""
    return _listed(incomplete, ("images", "codes", "both", "dicom"))


def complete_attackers(incomplete: str) -> list[str]:
    """Offer attackers of linkage, with commas between."""
    from deepfixcx.audit.linkage import ATTACKERS

    return _listed(incomplete, ATTACKERS)


def complete_methods(incomplete: str) -> list[str]:
    """Offer ways to explain a model."""
    from deepfixcx.explain.methods import METHODS

    return _begun(incomplete, METHODS)


def complete_baselines(incomplete: str) -> list[str]:
    """Offer what answers of a model are compared with."""
    from deepfixcx.explain.models import BASELINES

    return _begun(incomplete, BASELINES)


def _begun(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _listed(incomplete: str, words: Iterable[str]) -> list[str]:
    """Return what goes on with the last word of a list; none twice."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{word}" for word in _begun(last, words) if word not in taken]


# what lies where
DATASET = typer.Argument(metavar="DATASET", help="Folder of a dataset, or a table of images.")
MODEL_FOLDER = typer.Argument(metavar="MODEL", help="Model folder, written by train.")

# a spec
LEVEL = typer.Option(
    "--level", "-J", help="J: depth of the packet; 4^J bands.", show_default=str(SUGGESTED_LEVEL)
)
PATCHES = typer.Option(
    "--patches",
    "-P",
    help="P: cells per axis of a band; 4, or 4x6.",
    show_default=str(SUGGESTED_PATCHES),
)
INPUTS = typer.Argument(
    metavar="IN", help="Folder, image, or .csv with a column 'path' or 'file'; or its URL."
)
SIZE = typer.Option(help="Image side: P·2^J pixels, or the source's.")
WAVELET = typer.Option(
    help="Discrete wavelet of PyWavelets.", show_default="haar", autocompletion=complete_wavelets
)
POOLING = typer.Option(
    help="l1, l2, sum, max, min, median, sum_pos, sum_neg.",
    show_default="l1",
    autocompletion=complete_poolings,
)
BOUNDARY = typer.Option(help="Pixels assumed beyond the edge.", show_default="zero")
GRID = typer.Option(help="How bands are divided; padded: as in the paper.", show_default="balanced")

VOLUMES = typer.Option("--volumes", help="Read NIfTI volumes and DICOM series, not images.")
LEVEL_Z = typer.Option(
    "--level-z", help="J_z: splits along the slices of volumes.", show_default="J"
)

# a dataset
PATIENT = typer.Option(
    "--patient", metavar="<column>", help="Column of the patient IDs.", show_default="recognised"
)
LAYOUT = typer.Option(metavar="<name>", help="Layout of the dataset.", show_default="recognised")
UNCERTAIN = typer.Option(metavar="<word>", help="Uncertain labels: ignore, positive, negative.")
BLANK = typer.Option(metavar="<word>", help="Blank labels: ignore, negative.")

# a release
NAMES = typer.Option(help="Neutral numbers, or source names.")
KEY = typer.Option("--key", help="Key file of pseudonyms; default: in the private folder.")
PSEUDONYMS = typer.Option("--pseudonyms", help="CSV of patients and pseudonyms; outside OUT.")
PRIVATE = typer.Option(
    "--private", help="Folder for the ledger and source names.", show_default="OUT.private"
)
PRIVATE_OF = typer.Option(
    "--private", help="Private folder of the release.", show_default="the one beside it"
)

# a model
NETWORK = typer.Option(help="package.module:Class of your own network.")
DEVICE = typer.Option(help="cpu, cuda, …", show_default="auto")
CACHE = typer.Option(help="Folder where codes are kept for later runs.")

# a run
MAX_PIXELS = typer.Option(help="Refuse files that declare more pixels.")
WORKERS = typer.Option(help="Number of worker processes.", show_default="the cores")
ABOUT = typer.Option(
    "--about",
    help="TOML of title, purpose, licence, contact and others for the README of the release.",
    show_default="OUT.about.toml",
)
ADD = typer.Option("--add", help="Put new images of IN into the release OUT.")
RESUME = typer.Option("--resume", help="Continue a stopped run.")
OVERWRITE = typer.Option("--overwrite", help="Replace what an earlier run wrote.")
TABLES = typer.Option(
    "--tables/--no-tables",
    help="Write Parquet tables beside every kind of output.",
    show_default="if pyarrow is installed",
)
DRY_RUN = typer.Option("--dry-run", help="Estimate time and size from a sample; write nothing.")
LOG = typer.Option("--log", help="Log of the run for monitoring (JSON lines); outside OUT.")
JSON = typer.Option("--json", help="Write the summary as JSON.")


def spec_of(
    level: int,
    patches: str,
    wavelet: str,
    pooling: str,
    boundary: Boundary,
    grid: Grid,
    volumes: bool = False,
    level_z: int | None = None,
) -> CodecSpec:
    """Return the spec that the options of a command name."""
    from deepfixcx.errors import SpecError
    from deepfixcx.spec import CodecSpec

    if level_z is not None and not volumes:
        raise SpecError("--level-z is for volumes; add --volumes, or omit --level-z")
    names = tuple(pooling.split(",")) if "," in pooling else pooling
    ndim = 3 if volumes else 2
    cells = parse_patches(patches, ndim)
    return CodecSpec(level, cells, wavelet, names, boundary, grid, ndim, level_z)


def mask_of(text: str | None) -> Mask | None:
    """Return the mask that privatize is asked for, and see now that it can be used."""
    from deepfixcx.images.masking import load_mask

    if text != "ocr":
        return None if text is None else load_mask(text)
    from deepfixcx.images.text_mask import TextMask

    mask = TextMask()
    mask.check()
    return mask


def words_in(text: str) -> list[str]:
    """Return the words of a list with commas between."""
    return [word.strip() for word in text.split(",") if word.strip()]


def leaves_of(folder: str, about: Path | None, tables: bool | None) -> Leaves:
    """Read what people state about a release, by default from the file beside it."""
    from deepfixcx.release.about import About, read_about
    from deepfixcx.release.leaves import Leaves

    if tables:
        require("pyarrow", extra="tables")  # now, not when all images are done
    beside = Path(f"{folder.rstrip('/')}.about.toml")
    about = beside if about is None and "://" not in folder and beside.is_file() else about
    return Leaves(About() if about is None else read_about(about), tables)


def parse_patches(text: str, ndim: int = 2) -> int | tuple[int, ...]:
    """Read ``4`` or ``4x6``; of volumes ``4`` or ``2x4x6``."""
    from deepfixcx.errors import SpecError

    numbers = text.lower().split("x")
    if len(numbers) not in (1, ndim) or not all(number.strip().isdigit() for number in numbers):
        axes = "rows x columns as 4x6" if ndim == 2 else "slices x rows x columns as 2x4x4"
        raise SpecError(f"--patches is a number such as 4, or {axes}; got {text!r}")
    return int(numbers[0]) if len(numbers) == 1 else tuple(map(int, numbers))


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
