"""A configuration is read strictly: what is unknown, missing or contradictory is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from deepfixcx.errors import DeidentifyError, NodeError
from deepfixcx.node import conformance, read_config
from deepfixcx.node.routing import Route

WHOLE = """
[node]
title = "NODE"
folder = "spool"
[[sources]]
title = "CT1"
[profiles.research]
kind = "deidentify"
key = "hospital.key"
[destinations.shared]
kind = "folder"
path = "shared"
[[routes]]
name = "all"
profile = "research"
to = ["shared"]
"""


def read(folder: Path, text: str) -> object:
    path = folder / "node.toml"
    path.write_text(text)
    return read_config(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('folder = "spool"', 'folder = "spool"\nfolders = "x"', "unknown name, 'folders'"),
        ('title = "NODE"', "", "no 'title'"),
        ('title = "NODE"', "title = 3", "wrong type"),
        ('title = "NODE"', 'title = "A TITLE THAT IS TOO LONG"', "no AE title"),
        ('kind = "folder"', 'kind = "ftp"', "'ftp'"),
        ('kind = "deidentify"', 'kind = "none"', "deidentify"),
        ('key = "hospital.key"', "", "no 'key'"),
        ('to = ["shared"]', 'to = ["archive"]', "unknown destination: 'archive'"),
        ('profile = "research"', 'profile = "other"', "unknown profile: 'other'"),
        ('to = ["shared"]', 'to = ["shared"]\nfrom = ["MR1"]', "unknown source: 'MR1'"),
        ('to = ["shared"]', 'to = ["shared"]\nwhere = { Nonsense = "x" }', "'Nonsense'"),
        ('to = ["shared"]', 'to = ["shared"]\nsop_class = ["Nonsense"]', "no SOP class"),
        ('path = "shared"', 'path = "spool/x"', "overlap"),
        ("[[sources]]", "[sourcess]", "unknown name, 'sourcess'"),
        ('[node]', '[limits]\nidle_s = -1\n[node]', "negative"),
    ],
)  # fmt: skip
def test_errors_name_what_is_wrong(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(NodeError, match=words):
        read(tmp_path, WHOLE.replace(old, new))


def test_words_of_a_profile_are_those_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(DeidentifyError, match="retain"):
        read(tmp_path, WHOLE.replace('key = "hospital.key"', 'key = "k"\nretain = ["date"]'))


def test_the_key_stays_out_of_the_folder_of_the_node(tmp_path: Path) -> None:
    with pytest.raises(DeidentifyError, match="key"):
        read(tmp_path, WHOLE.replace("hospital.key", "spool/hospital.key"))


@pytest.mark.parametrize(
    ("conditions", "taken"),
    [
        ({}, True),
        ({"sources": ("CT1",)}, True),
        ({"sources": ("MR1",)}, False),
        ({"modality": ("MR", "CT")}, True),
        ({"modality": ("MR",)}, False),
        ({"sop_class": ("1.2.840.10008.5.1.4.1.1.2",)}, True),
        ({"where": (("BodyPartExamined", "CHE*"),)}, True),
        ({"where": (("BodyPartExamined", "HEAD"),)}, False),
        ({"where": (("StationName", "*"),)}, True),
        ({"where": (("StationName", "?*"),)}, False),
        ({"where": (("ImageType", "PRIMARY"), ("Rows", "512"))}, True),
    ],
)
def test_a_route_takes_what_meets_all_its_conditions(
    conditions: dict[str, tuple[str, ...]], taken: bool
) -> None:
    header = Dataset()
    header.Modality, header.SOPClassUID = "CT", "1.2.840.10008.5.1.4.1.1.2"
    header.BodyPartExamined, header.ImageType, header.Rows = "CHEST", ["ORIGINAL", "PRIMARY"], 512
    route = Route("r", "p", ("d",), **conditions)  # type: ignore[arg-type]
    assert route.takes(header, "CT1") is taken


def test_the_conformance_statement_names_classes_syntaxes_and_roles(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(WHOLE)
    text = conformance(read_config(path))
    for words in ("CT Image Storage", "JPEG-LS Lossless", "SCP", "A700", "NODE"):
        assert words in text
    assert "MPEG" not in text
