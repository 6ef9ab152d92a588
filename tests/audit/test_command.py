"""``deepfixcx audit``: from folders to a verdict."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from deepfixcx.cli._released import find_listed, find_target
from deepfixcx.cli.app import app
from deepfixcx.errors import AuditError
from deepfixcx.images import write_png
from tests.audit.making import make_images

Run = Callable[..., Result]

OLD = Path(__file__).parents[1] / "release" / "fixtures" / "releases-0.1.0.zip"


@pytest.fixture
def run() -> Run:
    def call(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})

    return call


@pytest.fixture
def released(tmp_path: Path, run: Run) -> Path:
    """A folder with scans/, their table and shared/, a release of them."""
    images, owners = make_images(patients=30, side=48)
    (tmp_path / "scans" / "in").mkdir(parents=True)
    rows = ["file,patient_id,sick,sex,age,view,scanner"]
    for number, (image, owner) in enumerate(zip(images, owners, strict=True)):
        write_png(tmp_path / "scans" / "in" / f"{number}.png", image, bits=8)
        words = ("MF"[owner % 2], 30 + owner, "AP" if owner % 3 else "PA", f"S{owner % 2}")
        rows.append(f"in/{number}.png,patient-{owner},{owner % 2},{','.join(map(str, words))}")
    (tmp_path / "scans" / "table.csv").write_text("\n".join(rows))
    passed(run("privatize", tmp_path / "scans" / "in", tmp_path / "shared", "-J", 2, "-P", 4,
               "--output", "codes", "--workers", 1))  # fmt: skip
    return tmp_path


def passed(done: Result) -> Result:
    assert done.exit_code == 0, done.output
    return done


def flat(done: Result) -> str:
    """Return what was printed in one line, without the frame."""
    return " ".join(done.output.replace("│", " ").split())


def words(folder: Path) -> list[object]:
    return ["audit", folder / "shared", "--against", folder / "scans" / "in",
            "--patients", folder / "scans" / "table.csv", "--workers", 1]  # fmt: skip


def test_from_folders_to_a_verdict(run: Run, released: Path) -> None:
    done = passed(run(*words(released), "--json", released / "figures.json"))
    assert "singled out?" in done.output
    out = released / "shared.audit"
    names = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    assert names == ["audit.json", "top1_by_gallery.png", "verdict.md", "verdict.png"]
    for name in names[1::2]:
        assert (out / name).read_bytes()[1:4] == b"PNG"
        assert f"shared.audit/{name}" in flat(done).replace(" ", "")
    reported = json.loads((out / "audit.json").read_text())
    figures = json.loads((released / "figures.json").read_text())
    assert reported["format"] == "deepfixcx.audit"
    assert (figures["images"], figures["patients"]) == (60, 30)
    assert (reported["records"], reported["records_attacked"]) == (60, 60)
    assert figures["answers"] == reported["answers"]
    assert len(reported["verdict"]) == 5
    content = (released / "shared" / "dataset.json").read_bytes()
    assert reported["release_checksum"] == hashlib.sha256(content).hexdigest()
    assert figures["release_checksum"] == reported["release_checksum"]
    assert reported["release_checksum"] in (out / "verdict.md").read_text()
    curve = next(each for each in reported["top1_by_gallery"] if each["attacker"] == "whitening")
    assert len(curve["strangers"]) == len(curve["top1"]) == len(curve["chance"])
    assert reported["copies"] == {
        "identical_pairs": 0,
        "near_identical_pairs": 0,
        "pairs_across_patients": reported["copies"]["pairs_across_patients"],
    }
    guessed = {each["mode"] for each in reported["results"] if each["attack"] == "inference"}
    assert guessed == {"sex", "view", "scanner", "age above the median"}
    linked = [each for each in reported["results"]
              if (each["attack"], each["figure"]) == ("linkage", "AUC")]  # fmt: skip
    assert max(each["value"]["value"] for each in linked) > 0.7
    assert {each["floor"] != 0.5 for each in linked} == {True}  # the label "sick" is known
    everything = (out / "audit.json").read_text() + (out / "verdict.md").read_text() + done.output
    assert "patient-" not in everything
    for name in names:
        everything = everything.replace(name, "")
    assert ".png" not in everything


def test_patients_are_those_of_the_release_unless_a_table_names_them(
    run: Run, released: Path
) -> None:
    scans = released / "scans"
    refused = run("audit", released / "shared", "--against", scans / "in")
    assert refused.exit_code == 2
    assert "the release names no patients, so its audit needs --patients" in flat(refused)
    made = run("privatize", scans / "table.csv", released / "known", "-J", 2, "-P", 4,
               "--output", "codes", "--patient", "patient_id", "--workers", 1)  # fmt: skip
    assert made.exit_code == 0, made.output
    known = released / "known"
    table = scans / "table.csv"
    by_table = find_listed(known, table, table, private=None, labels=None)
    by_release = find_listed(known, table, None, private=None, labels=None)
    for listed in (by_table, by_release):
        assert (len(listed.dataset), listed.dataset.patient_count) == (60, 30)
    owner_of = {each.path: each.patient for each in by_table.dataset.records}
    pairs = {(each.patient, owner_of[each.path]) for each in by_release.dataset.records}
    assert len(pairs) == 30  # a pseudonym for a patient
    assert any("pseudonyms of the release" in note for note in by_release.notes)
    assert not any("pseudonyms of the release" in note for note in by_table.notes)
    for option, value in (("labels", "sick"), ("known", "view"), ("patient", "patient_id")):
        words: dict[str, str | None] = {"labels": None, option: value}
        with pytest.raises(AuditError, match="requires --patients"):
            find_listed(known, table, None, private=None, **words)  # type: ignore[arg-type]


@pytest.mark.slow
def test_records_join_their_own_images(run: Run, released: Path) -> None:
    """Neutral names are shuffled; were they joined wrongly, nothing would come back."""
    passed(run(*words(released)))
    reported = json.loads((released / "shared.audit" / "audit.json").read_text())
    ridge = next(each for each in reported["results"]
                 if (each["attacker"], each["figure"]) == ("ridge", "PSNR"))  # fmt: skip
    assert ridge["value"]["low"] > ridge["control"] + 1
    assert ridge["gain"]["low"] > 1


def test_an_audit_is_not_replaced_unasked(run: Run, released: Path) -> None:
    (released / "shared.audit").mkdir()
    (released / "shared.audit" / "audit.json").write_text("{}")
    done = run(*words(released))
    assert done.exit_code == 2
    assert "'audit.json' in" in done.output
    assert "was not made by deepfixcx" in done.output
    for out, reason in (("shared/audit", "lies in the release"), ("scans/table.csv", "replace")):
        done = run(*words(released), "-o", released / out)
        assert done.exit_code == 2
        assert reason in done.output


def test_what_cannot_be_joined_is_refused(run: Run, released: Path) -> None:
    base = words(released)
    elsewhere = released / "elsewhere"
    elsewhere.mkdir()
    for call, reason in (
        ([*base, "--private", elsewhere], "name the private folder"),
        ([*base[:3], elsewhere, *base[4:]], "--against is the input folder (IN) of privatize"),
        ([*base[:3], released / "nowhere", *base[4:]], "there is no file or folder"),
        (["audit", elsewhere, *base[2:]], "was not finished"),
        ([*base[:5], released / "gone.csv", *base[6:]], "gone.csv"),
        (["audit", "s3://bucket/x", *base[2:]], "cannot be read from a URL"),
        ([*base, "--labels", "nosuch"], "nosuch"),
    ):
        done = run(*call)
        assert done.exit_code == 2, (reason, done.output)
        assert reason in flat(done)
    assert not (released / "shared.audit").exists()


def test_patients_have_to_be_known(run: Run, released: Path) -> None:
    table = released / "scans" / "table.csv"
    table.write_text("file\n" + "\n".join(f"in/{n}.png" for n in range(60)))
    done = run(*words(released))
    assert done.exit_code == 2
    assert "have no patient ID" in done.output


@pytest.mark.slow
def test_mixed_releases_are_refused(run: Run, released: Path) -> None:
    about = json.loads((released / "shared" / "dataset.json").read_text())
    about["mechanisms"] = [{"mechanism": "mixing", "k": 3}]
    (released / "shared" / "dataset.json").write_text(json.dumps(about))
    done = run(*words(released))
    assert done.exit_code == 2
    assert "mixes images and has no labels.csv" in done.output
    about["mechanisms"] = [{"mechanism": "quantization"}]
    (released / "shared" / "dataset.json").write_text(json.dumps(about))
    done = passed(run(*words(released)))
    assert "made with quantization; the attacker's images were encoded without it" in flat(done)


def test_some_released_some_broken(run: Run, released: Path) -> None:
    """A part is released, so that unreleased images are looked up; broken originals are counted."""
    table, part = released / "scans" / "table.csv", released / "scans" / "part.csv"
    rows = list(csv.reader(table.read_text().splitlines()))
    part.write_text("\n".join(",".join(row) for row in [rows[0], *rows[1:41]]))
    done = passed(run("privatize", part, released / "half", "-J", 2, "-P", 4, "--output", "codes",
               "--workers", 1))  # fmt: skip
    (released / "scans" / "in" / "59.png").write_bytes(b"no image")
    rows.append(["in/gone.png", "patient-1", "0", "F", "40", "AP", "S1"])
    table.write_text("\n".join(",".join(row) for row in rows))
    call = ["audit", released / "half", "--against", part, "--patients", table]
    done = run(*call, "--workers", 1, "--json", released / "figures.json")
    assert done.exit_code == 3, done.output
    figures = json.loads((released / "figures.json").read_text())
    assert figures["images"] == 59
    assert figures["images_failed"] == 2
    reported = json.loads((released / "half.audit" / "audit.json").read_text())
    raw = next(each for each in reported["results"]
               if (each["attack"], each["mode"], each["figure"])
               == ("linkage", "released-raw", "AUC"))  # fmt: skip
    assert raw["n"] == 20
    assert np.isfinite(list(raw["value"].values())).all()


def other_people(folder: Path) -> Path:
    """Files of other people, with the same names as those in scans/, and the same table."""
    images, _ = make_images(patients=30, side=48)
    (folder / "strangers" / "in").mkdir(parents=True)
    for number, image in enumerate(images[::-1]):
        write_png(folder / "strangers" / "in" / f"{number}.png", image, bits=8)
    shutil.copy(folder / "scans" / "table.csv", folder / "strangers" / "table.csv")
    return folder / "strangers"


def test_originals_of_other_people_are_refused(run: Run, released: Path) -> None:
    strangers = other_people(released)
    base = words(released)
    call = [*base[:3], strangers / "in", base[4], strangers / "table.csv", *base[6:]]
    done = run(*call)
    assert done.exit_code == 2, done.output
    assert "60 of 60 originals differ from the files that were privatized" in flat(done)
    for number in range(1, 60):
        source = released / "scans" / "in" / f"{number}.png"
        shutil.copy(source, strangers / "in" / f"{number}.png")
    assert "1 of 60 originals differ from the files" in flat(run(*call))
    shutil.copy(released / "scans" / "in" / "0.png", strangers / "in" / "0.png")
    done = run(*call)  # a copy is as good as where they were
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_where_no_hash_is_known_nothing_is_refused(run: Run, released: Path) -> None:
    (released / "scans" / "in" / "0.png").write_bytes(
        (released / "scans" / "in" / "1.png").read_bytes()
    )
    assert run(*words(released)).exit_code == 2
    (released / "shared.private" / "ledger.sqlite").write_bytes(b"of another version")
    passed(run(*words(released)))


@pytest.mark.slow
def test_records_without_an_original_are_counted(run: Run, released: Path) -> None:
    for number in (3, 4):
        (released / "scans" / "in" / f"{number}.png").unlink()
    table = released / "scans" / "table.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join(row for row in rows if not row.startswith(("in/3.", "in/5."))))
    done = run(*words(released))
    assert done.exit_code == 3, done.output  # the table lists number 4
    assert "2 records have no original: left out" in flat(done)
    assert "1 record has no patient in the table: left out" in flat(done)


def test_what_is_wrong_comes_before_overwrite(run: Run, released: Path) -> None:
    (released / "shared.audit").mkdir()
    (released / "shared.audit" / "audit.json").write_text("{}")
    base = words(released)
    done = run(*base[:5], released / "gone.csv", *base[6:])
    assert "gone.csv" in done.output
    assert "--overwrite" not in done.output


def test_an_audit_of_images_names_the_required_options(run: Run, released: Path) -> None:
    done = passed(run("privatize", released / "scans" / "in", released / "pictures", "-J", 2, "-P",
               4, "--output", "images", "--workers", 1))  # fmt: skip
    done = run("audit", released / "pictures", *words(released)[2:])
    assert done.exit_code == 2
    assert "holds no codes, which an audit attacks" in flat(done)
    assert "--output codes" in flat(done)


# -- releases by mechanisms that know labels, or several images --------------------------------


def protect(run: Run, folder: Path, mechanism: str, *more: object) -> list[object]:
    """Make a release of the patients in table.csv, and return the words of an audit of it."""
    passed(run("privatize", folder / "scans" / "table.csv", folder / "safer", "-J", 2, "-P", 4,
               "--output", "codes", "--mechanism", mechanism, "--labels", "sick", "--seed", 1,
               "--workers", 1, *more))  # fmt: skip
    return ["audit", folder / "safer", "--against", folder / "scans",
            "--patients", folder / "scans" / "table.csv", "--workers", 1]  # fmt: skip


@pytest.mark.slow
def test_mixed_releases_know_their_members(run: Run, released: Path) -> None:
    words = protect(run, released, "mixing-3")
    done = passed(run(*words))
    assert "made with mixing" in done.output
    reported = json.loads((released / "safer.audit" / "audit.json").read_text())
    areas = {each["mode"]: each for each in reported["results"]
             if (each["attacker"], each["figure"]) == ("whitening", "AUC")}  # fmt: skip
    assert areas["released-raw"]["value"]["value"] < areas["raw images"]["value"]["value"]
    assert areas["released-raw"]["n"] == 30
    assert areas["released-raw"]["value"] != areas["released-released"]["value"]
    made = {each["attacker"] for each in reported["results"] if each["attack"] == "reconstruction"}
    assert {"plain", "ridge"} <= made
    everything = (released / "safer.audit" / "verdict.md").read_text() + done.output
    assert "patient-" not in everything
    (released / "safer.private" / "members.csv").unlink()
    lost = run(*words, "--overwrite")
    assert lost.exit_code == 2
    assert "members.csv" in lost.output


def test_members_are_held_against_the_originals(run: Run, released: Path) -> None:
    words = protect(run, released, "mixing-3")
    strangers = other_people(released)
    for against, reason in (
        (released / "nowhere", "there is no file or folder"),
        (strangers, "60 of 60 originals of this release do not lie in 'strangers'"),
        (strangers / "table.csv", "60 of 60 originals of this release do not lie in 'table.csv'"),
    ):
        done = run(*words[:3], against, *words[4:])
        assert done.exit_code == 2, done.output
        assert reason in flat(done)
    shutil.copy(strangers / "in" / "7.png", released / "scans" / "in" / "7.png")
    done = run(*words[:3], released / "scans" / "table.csv", *words[4:])
    assert done.exit_code == 2, done.output
    assert "1 of 60 originals differ from the files that were privatized" in flat(done)


def test_own_record_and_partners_are_neither_match_nor_stranger(released: Path, run: Run) -> None:
    """The members of each record are those of the private table, by the places of the images."""
    protect(run, released, "mixing-3")
    scans = released / "scans"
    listed = find_listed(released / "safer", scans, scans / "table.csv", private=None, labels=None)
    found = find_target(listed, workers=1)
    with (released / "safer.private" / "members.csv").open() as file:
        rows = list(csv.DictReader(file))
    wanted: dict[str, set[str]] = {}
    for row in rows:
        wanted.setdefault(row["source_id"], set()).add(row["patient"])
    patients = found.target.patients
    seen = [{str(patients[place]) for place in images} for images in found.target.members or ()]
    assert seen == list(wanted.values())
    assert min(map(len, seen)) >= 3


@pytest.mark.slow
def test_releases_of_few_numbers_are_attacked_in_their_own_form(run: Run, released: Path) -> None:
    table = released / "scans" / "table.csv"
    head, *rows = table.read_text().splitlines()
    (released / "scans" / "public.csv").write_text("\n".join([head, *rows[:20]]))
    table.write_text("\n".join([head, *rows[20:]]))
    public = ("--public", released / "scans" / "public.csv")
    words = protect(run, released, "projection", *public, "--min-patients", 5)
    passed(run(*words))
    reported = json.loads((released / "safer.audit" / "audit.json").read_text())
    assert reported["images"] == 40
    assert any(
        "undoing the transform" in each and "not codes" in each for each in reported["not_tested"]
    )
    assert not any("spec" in each or "array" in each for each in reported["not_tested"])
    ridge = next(each for each in reported["results"]
                 if (each["attacker"], each["figure"]) == ("ridge", "PSNR"))  # fmt: skip
    assert ridge["gain"]["value"] < 3


@pytest.mark.slow
def test_labels_that_the_table_lacks_are_said(run: Run, released: Path) -> None:
    words = protect(run, released, "mixing-3")
    table = released / "scans" / "table.csv"
    table.write_text(table.read_text().replace("sick", "ill"))
    done = passed(run(*words))
    assert "lacks some of the released labels (sick)" in done.output


# -- what must not be believed -----------------------------------------------------------------


def forget_ids(release: Path) -> None:
    """Make dataset.json one of version 0.1, which has no id."""
    about = json.loads((release / "dataset.json").read_text())
    del about["id"]
    (release / "dataset.json").write_text(json.dumps(about))


def forget_checksums(private: Path) -> None:
    (private / "release.jsonl").unlink()
    (private / "ledger.sqlite").unlink(missing_ok=True)


def binding(folder: Path) -> object:
    return json.loads((folder / "audit.json").read_text())["private_folder_known_by"]


def test_the_private_folder_of_another_release_is_refused(run: Run, released: Path) -> None:
    """The same images and another seed: records would be paired with other patients."""
    first = protect(run, released, "mixing-3")
    table = released / "scans" / "table.csv"
    done = passed(run("privatize", table, released / "other", "-J", 2, "-P", 4, "--output", "codes",
               "--mechanism", "mixing-3", "--labels", "sick", "--seed", 2,
               "--workers", 1))  # fmt: skip
    done = run(*first, "--private", released / "other.private")
    assert done.exit_code == 2, done.output
    assert "private folder of another release: its ID" in flat(done)
    forget_ids(released / "safer")
    done = run(*first, "--private", released / "other.private")
    assert "private folder of another release: its checksum" in flat(done)
    forget_checksums(released / "other.private")
    done = run(*first, "--private", released / "other.private")
    assert done.exit_code == 2, done.output
    assert "it belongs to another release" in flat(done)
    members = released / "other.private" / "members.csv"
    rows = members.read_text().splitlines()
    members.write_text("\n".join(rows[: len(rows) // 2]))
    done = run(*first, "--private", released / "other.private")
    assert done.exit_code == 2, done.output
    assert "is the private folder of another release: it lists" in flat(done)


def test_a_private_folder_that_was_shuffled_is_refused(run: Run, released: Path) -> None:
    sources = released / "shared.private" / "sources.csv"
    head, *rows = sources.read_text().splitlines()
    split = [row.split(",", 1) for row in rows]
    moved = [
        f"{one[0]},{other[1]}" for one, other in zip(split, split[1:] + split[:1], strict=True)
    ]
    sources.write_text("\n".join([head, *moved]) + "\n")
    (released / "shared.private" / "ledger.sqlite").unlink()
    done = run(*words(released))
    assert done.exit_code == 2, done.output
    assert "pairs the records of 'shared' with other images" in flat(done)
    sources.write_text("\n".join([head, *rows[:40]]) + "\n")
    done = run(*words(released))
    assert done.exit_code == 2, done.output
    assert "it does not list 20 records of 'shared'" in flat(done)


@pytest.mark.slow
def test_known_columns_make_the_baseline_stronger(run: Run, released: Path) -> None:
    floors = []
    for columns in ((), ("--known-columns", "sex,age,view")):
        done = run(*words(released), "--overwrite", *columns)
        assert done.exit_code == 0, done.output
        reported = json.loads((released / "shared.audit" / "audit.json").read_text())
        floors.append(next(each["floor"] for each in reported["results"]
                           if (each["attack"], each["figure"]) == ("linkage", "AUC")))  # fmt: skip
    assert floors[1] > floors[0]
    assert "the label-only baseline knows: sick, sex, age, view" in flat(done)
    done = run(*words(released), "--overwrite", "--known-columns", "height")
    assert done.exit_code == 2
    assert "no values in a column 'height'" in flat(done)


@pytest.mark.slow
def test_attackers_with_public_images_only(run: Run, released: Path) -> None:
    table = released / "scans" / "table.csv"
    head, *rows = table.read_text().splitlines()
    (released / "scans" / "public.csv").write_text("\n".join([head, *rows[40:]]))
    (released / "scans" / "mine.csv").write_text("\n".join([head, *rows[:40]]))
    done = passed(run("privatize", released / "scans" / "mine.csv", released / "part", "-J", 2,
               "-P", 4, "--output", "codes", "--workers", 1))  # fmt: skip
    call = ["audit", released / "part", "--against", released / "scans" / "mine.csv",
            "--patients", released / "scans" / "mine.csv", "--workers", 1]  # fmt: skip
    done = passed(run(*call, "--public", released / "scans" / "public.csv"))
    reported = json.loads((released / "part.audit" / "audit.json").read_text())
    made = {each["attacker"] for each in reported["results"]}
    assert {"whitening, public images", "ridge, public images"} <= made
    done = run(*call, "--public", table, "--overwrite")
    assert done.exit_code == 2
    assert "20 patients are in both tables" in flat(done)


@pytest.mark.parametrize("other", ["7.0", "007"])
def test_one_patient_is_not_written_in_two_ways(run: Run, released: Path, other: str) -> None:
    """Split across two IDs, the images of one patient would be those of strangers."""
    table = released / "scans" / "table.csv"
    text = table.read_text().replace("patient-1,", "7,", 1)
    table.write_text(text.replace("patient-2,", f"{other},", 1))
    done = run(*words(released))
    assert done.exit_code == 2, done.output
    assert "spells 1 patient ID in several ways" in flat(done)


def test_an_audit_of_two_patients_says_too_few(run: Run, released: Path) -> None:
    table = released / "scans" / "table.csv"
    head, *rows = table.read_text().splitlines()
    (released / "scans" / "two.csv").write_text("\n".join([head, *rows[:4]]))
    passed(run("privatize", released / "scans" / "two.csv", released / "two", "-J", 2, "-P",
               4, "--output", "codes", "--workers", 1))  # fmt: skip
    passed(run("audit", released / "two", "--against", released / "scans" / "two.csv",
               "--patients", released / "scans" / "two.csv", "--workers", 1))  # fmt: skip
    reported = json.loads((released / "two.audit" / "audit.json").read_text())
    assert "not shown" not in reported["answers"].values(), reported["verdict"]


@pytest.mark.slow
def test_a_folder_of_another_release_of_the_same_codes_is_refused(run: Run, released: Path) -> None:
    """The codes and the names are equal, so that no attack could notice; the ids are not."""
    base = words(released)
    call = ["privatize", released / "scans" / "in", released / "twin", "-J", 2, "-P", 4,
            "--output", "codes", "--workers", 1]  # fmt: skip
    assert run(*call).exit_code == 0
    done = run(*base, "--private", released / "twin.private")
    assert done.exit_code == 2, done.output
    assert "'twin.private' is the private folder of another release: its ID" in flat(done)
    done = passed(run(*base))
    assert binding(released / "shared.audit") == "checksums"


def test_the_same_seed_does_not_make_two_releases_one(run: Run, released: Path) -> None:
    """With --seed, a smaller release has the same id; its private folder is refused, too."""
    first = protect(run, released, "mixing-3", "--min-patients", 5)
    table = released / "scans" / "table.csv"
    half = released / "scans" / "half.csv"
    half.write_text("\n".join(table.read_text().splitlines()[:41]))
    passed(run("privatize", half, released / "smaller", "-J", 2, "-P", 4, "--output",
               "codes", "--mechanism", "mixing-3", "--labels", "sick", "--min-patients", 5,
               "--seed", 1, "--workers", 1))  # fmt: skip
    ids = {json.loads((released / name / "dataset.json").read_text())["id"]
           for name in ("safer", "smaller")}  # fmt: skip
    assert len(ids) == 1
    for private in ("smaller.private", "shared.private"):
        done = run(*first, "--private", released / private)
        assert done.exit_code == 2, done.output
        assert f"'{private}' is the private folder of another release" in flat(done)


@pytest.mark.slow
def test_folders_without_ids_are_known_by_checksums_or_not_at_all(run: Run, released: Path) -> None:
    """As in version 0.1: by the recorded codes, by similarity, or the audit says that it cannot."""
    base = [*words(released), "--overwrite"]
    forget_ids(released / "shared")
    private, out = released / "shared.private", released / "shared.audit"
    (private / "release.jsonl").unlink()
    assert run(*base).exit_code == 0
    assert binding(out) == "checksums"
    (private / "ledger.sqlite").unlink()
    done = passed(run(*base))
    assert binding(out) == "similarity"
    assert "accepted because the records resemble the originals" in flat(done)


def test_a_release_of_version_0_1_is_audited(run: Run, tmp_path: Path) -> None:
    """Of four records nothing can be proved, which the audit says."""
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "both.private").mkdir()
    (tmp_path / "in").mkdir()
    rows, sources = ["file,patient_id"], ["source_id,source"]
    for number, (image, owner) in enumerate(zip(*make_images(2, 2, 24), strict=True)):
        write_png(tmp_path / "in" / f"{number}.png", image[:, :16], bits=8)
        rows.append(f"in/{number}.png,{owner}")
        sources.append(f"{(1, 3, 4, 5)[number]:06d},{number}.png")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    (tmp_path / "both.private" / "sources.csv").write_text("\n".join(sources))
    done = passed(run("audit", tmp_path / "both", "--against", tmp_path / "in",
               "--patients", tmp_path / "table.csv", "--workers", 1))  # fmt: skip
    assert binding(tmp_path / "both.audit") == "none"
    assert "not bound: the private folder holds no ID" in flat(done)
    reported = json.loads((tmp_path / "both.audit" / "audit.json").read_text())
    assert any(each.startswith("not bound") for each in reported["notes"])


def test_records_that_changed_since_the_release_was_made_are_not_attacked(
    run: Run, released: Path
) -> None:
    """Other codes under the same dataset.json would get an audit with the checksum of these."""
    code = min((released / "shared" / "codes").iterdir())
    code.write_bytes(code.read_bytes()[:-4] + b"\0\0\0\0")
    done = run(*words(released))
    assert done.exit_code == 2, done.output
    assert "1 file of 'shared' changed after the release was made" in flat(done)


def test_a_table_that_splits_patients_of_the_release_is_refused(run: Run, released: Path) -> None:
    """Images of one patient under two IDs would count as those of strangers."""
    call = protect(run, released, "mixing-3", "--min-patients", 5)
    table = released / "scans" / "table.csv"
    head, *rows = table.read_text().splitlines()
    rows[0::2] = [row.replace("patient-", "other-") for row in rows[0::2]]
    table.write_text("\n".join([head, *rows]))
    done = run(*call)
    assert done.exit_code == 2, done.output
    assert "gives the images of 30 patients of the release to several patients" in flat(done)
