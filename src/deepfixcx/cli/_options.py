"""Options that several commands have: one word, one meaning, one line of help.

A command names the type and the default. Where its default is none, because it has to know whether
a user chose, the help still says what is taken.
"""

from __future__ import annotations

import typer

from deepfixcx.cli._completion import poolings, wavelets
from deepfixcx.cli._settings import SUGGESTED_LEVEL, SUGGESTED_PATCHES

__all__ = [
    "BLANK",
    "BOUNDARY",
    "CACHE",
    "DATASET",
    "DEVICE",
    "GRID",
    "JSON",
    "LAYOUT",
    "LEVEL",
    "MAX_PIXELS",
    "MODEL_FOLDER",
    "NETWORK",
    "OVERWRITE",
    "PATCHES",
    "PATIENT",
    "POOLING",
    "RESUME",
    "UNCERTAIN",
    "WAVELET",
    "WORKERS",
]

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
WAVELET = typer.Option(
    help="Discrete wavelet of PyWavelets.", show_default="haar", autocompletion=wavelets
)
POOLING = typer.Option(
    help="l1, l2, sum, max, min, median, sum_pos, sum_neg.",
    show_default="l1",
    autocompletion=poolings,
)
BOUNDARY = typer.Option(help="Pixels assumed beyond the edge.", show_default="zero")
GRID = typer.Option(help="How bands are divided; padded: as in the paper.", show_default="balanced")

# a dataset
PATIENT = typer.Option(
    "--patient", metavar="<column>", help="Column of the patient IDs.", show_default="recognised"
)
LAYOUT = typer.Option(metavar="<name>", help="Layout of the dataset.", show_default="recognised")
UNCERTAIN = typer.Option(metavar="<word>", help="Uncertain labels: ignore, positive, negative.")
BLANK = typer.Option(metavar="<word>", help="Blank labels: ignore, negative.")

# a model
NETWORK = typer.Option(help="package.module:Class of your own network.")
DEVICE = typer.Option(help="cpu, cuda, …", show_default="auto")
CACHE = typer.Option(help="Folder where codes are kept for later runs.")

# a run
MAX_PIXELS = typer.Option(help="Refuse files that declare more pixels.")
WORKERS = typer.Option(help="Number of worker processes.", show_default="the cores")
RESUME = typer.Option("--resume", help="Continue a stopped run.")
OVERWRITE = typer.Option("--overwrite", help="Replace what an earlier run wrote.")
JSON = typer.Option("--json", help="Write the summary as JSON.")
