"""Tiny generated copies of public datasets, in their true layouts with their quirks."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[[Path, str], None]

Picture = Callable[..., Path]


@pytest.fixture
def picture() -> Picture:
    """Write a small image; another seed, other bytes."""

    def write(path: Path, seed: int = 0, side: int = 8) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG" if path.suffix == ".png" else "JPEG")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        return path

    return write


@pytest.fixture
def write_csv() -> Callable[..., Path]:
    """Write a table, gzipped where its name says so."""

    def write(path: Path, header: Sequence[str], *rows: Sequence[object]) -> Path:
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text.getvalue().encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return path

    return write


OBSERVATIONS = [
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
]


def states(**cells: str) -> list[str]:
    """Return fourteen cells, blank except for the given ones (with _ for spaces)."""
    reported = {name.replace("_", " "): cell for name, cell in cells.items()}
    assert reported.keys() <= set(OBSERVATIONS)
    return [reported.get(name, "") for name in OBSERVATIONS]


@pytest.fixture
def chexpert(tmp_path: Path, picture: Picture, write_csv: Callable[..., Path]) -> Path:
    root = tmp_path / "CheXpert-v1.0-small"
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS]
    first = "CheXpert-v1.0-small"
    names = [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00001/study2/view1_frontal.jpg",
        "train/patient00001/study2/view2_lateral.jpg",
        "train/patient00002/study1/view1_frontal.jpg",
    ]
    write_csv(
        root / "train.csv",
        header,
        [f"{first}/{names[0]}", "Female", 68, "Frontal", "AP", *states(No_Finding="1.0")],
        [f"{first}/{names[1]}", "Female", 69, "Frontal", "PA", *states(Edema="-1.0")],
        [f"{first}/{names[2]}", "Female", 69, "Lateral", "", *states(Edema="-1.0")],
        [
            f"{first}/{names[3]}",
            "Unknown",
            0,
            "Frontal",
            "LL",
            *states(Edema="1.0", Fracture="0.0"),
        ],
        [
            f"{first}/train/patient00003/study1/view1_frontal.jpg",
            *["Male", 1, "Frontal", "AP"],
            *states(),
        ],
        [f"{first}/readme.txt", "Male", 1, "Frontal", "AP", *states()],
    )
    write_csv(
        root / "valid.csv",
        header,
        [
            f"{first}/valid/patient64541/study1/view1_frontal.jpg",
            *["Male", 73, "Frontal", "AP"],
            *states(Edema="0.0"),
        ],
    )
    for number, name in enumerate([*names, "valid/patient64541/study1/view1_frontal.jpg"]):
        picture(root / name, number)
    return root


@pytest.fixture
def nih(tmp_path: Path, picture: Picture) -> Path:
    root = tmp_path / "nih"
    root.mkdir()
    (root / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
        "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
        "00000001_000.png,Cardiomegaly|Emphysema,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
        "00000001_001.png,Pleural_Thickening,1,1,58,M,PA,2894,2729,0.143,0.143,\n"
        "00000002_000.png,No Finding,0,2,414,F,AP,2500,2048,0.168,0.168,\n"
        "00000003_000.png,Hernia,0,3,8,F,PA,2500,2048,0.168,0.168,\n"
        "00000003_001.png,Broken Heart,1,3,8,F,PA,2500,2048,0.168,0.168,\n"
    )
    picture(root / "images_001" / "images" / "00000001_000.png", 1)
    picture(root / "images_001" / "images" / "00000001_001.png", 2)
    picture(root / "images_012" / "images" / "00000002_000.png", 3)
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (root / "test_list.txt").write_text("00000002_000.png\n00000003_000.png")
    return root


MIMIC_ROWS = [
    ("02aa804e-bde0afdd-112c0b34-7bc16630-4e384014", "10000032", "50414267", "PA"),
    ("174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962", "10000032", "50414267", "LATERAL"),
    ("2a2277a9-b0ded155-c0de8eb9-c124d10e-82c5caab", "10000032", "53189527", ""),
    ("e084de3b-be89b11e-20fe3f9f-9c8d8dfe-4cfd202c", "10000764", "57375967", "AP"),
]


@pytest.fixture
def mimic(tmp_path: Path, picture: Picture, write_csv: Callable[..., Path]) -> Path:
    root = tmp_path / "2.0.0"
    write_csv(
        root / "mimic-cxr-2.0.0-metadata.csv.gz",
        ["dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition"],
        *(
            [image, patient, study, "CHEST (PA AND LAT)", view]
            for image, patient, study, view in MIMIC_ROWS
        ),
        ["../../x", "10000764", "57375967", "", "AP"],
    )
    write_csv(
        root / "mimic-cxr-2.0.0-split.csv.gz",
        ["dicom_id", "study_id", "subject_id", "split"],
        *(
            [image, study, patient, "validate" if patient == "10000764" else "train"]
            for image, patient, study, _ in MIMIC_ROWS
        ),
    )
    # the columns of these tables are in alphabetical order, and one study has no row
    order = sorted(OBSERVATIONS)
    for labeller, edema in (("chexpert", "-1.0"), ("negbio", "1.0")):
        cells = dict(zip(OBSERVATIONS, states(Edema=edema, Pneumonia="0.0"), strict=True))
        write_csv(
            root / f"mimic-cxr-2.0.0-{labeller}.csv",
            ["subject_id", "study_id", *order],
            ["10000032", "50414267", *(cells[name] for name in order)],
            ["10000764", "57375967", *("1.0" if name == "No Finding" else "" for name in order)],
        )
    for number, (image, patient, study, _) in enumerate(MIMIC_ROWS):
        picture(
            root / "files" / f"p{patient[:2]}" / f"p{patient}" / f"s{study}" / f"{image}.jpg",
            number,
        )
    return root


@pytest.fixture
def kimeye(tmp_path: Path, picture: Picture) -> Path:
    root = tmp_path / "kim_eye"
    for start, (stage, count) in enumerate(
        (("normal_control", 3), ("early_glaucoma", 2), ("advanced_glaucoma", 1))
    ):
        for number in range(1, count + 1):
            picture(root / stage / f"{number}.png", 100 * start + number)
    (root / "normal_control" / ".DS_Store").write_bytes(b"x")
    return root


@pytest.fixture
def mobileodt(tmp_path: Path, picture: Picture, write_csv: Callable[..., Path]) -> Path:
    root = tmp_path / "intel"
    for seed, name in enumerate(
        (
            "train/train/Type_1/0.jpg",
            "train/train/Type_2/1.jpg",
            "train/train/Type_3/2.jpg",
            "additional_Type_1_v2/Type_1/3.jpg",
            "additional_Type_2_v2/Type_2/4.jpg",
            "additional_Type_2_v2/Type_2/5.jpg",
            "test/test/0.jpg",
            "test/test/1.jpg",
            "test_stg2/0.jpg",
        )
    ):
        picture(root / name, seed, side=16 + seed)
    additional = root / "additional_Type_1_v2" / "Type_1"
    (additional / "5893.jpg").touch()
    whole = picture(additional / "3068.jpg", 50, side=64).read_bytes()
    (additional / "3068.jpg").write_bytes(whole[: len(whole) // 2])
    # copies: one across parts under the same type, one under another type
    (root / "test" / "test" / "2.jpg").write_bytes((root / "train/train/Type_1/0.jpg").read_bytes())
    (additional / "9.jpg").write_bytes((root / "train/train/Type_3/2.jpg").read_bytes())
    (root / "__MACOSX" / "train").mkdir(parents=True)
    picture(root / "__MACOSX" / "train" / "Type_1" / "0.jpg", 99)
    write_csv(
        root / "solution_stg1_release.csv",
        ["image_name", "Type_1", "Type_2", "Type_3"],
        ["0.jpg", 0, 1, 0],
        ["2.jpg", 1, 0, 0],
        ["1.jpg", 1, 1, 0],
    )
    changes = ["filename", "old_label", "new_label"]
    write_csv(
        root / "fixed_labels_v2.csv",
        changes,
        ["4.jpg", "Type_2", "Type_3"],
        ["1.jpg", "Type_2", "Type_1"],
    )
    write_csv(root / "removed_files.csv", changes, ["5.jpg", "Type_2", "remove"])
    return root
