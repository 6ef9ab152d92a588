"""Names and shards of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.errors import SpecError
from deepfixcx.release import ReleaseOptions, Source, make_plan
from deepfixcx.release.inputs import Sources
from deepfixcx.spec import CodecSpec

SPEC = CodecSpec(level=2, patches=3)


def sources(*names: str) -> Sources:
    return Sources(tuple(Source(Path("/in") / name, name, 10) for name in sorted(names)))


def test_same_inputs_and_seed_give_the_same_plan() -> None:
    inputs = sources(*(f"{number:03d}.png" for number in range(200)))
    first = make_plan(inputs, ReleaseOptions(SPEC, seed=1))
    again = make_plan(inputs, ReleaseOptions(SPEC, seed=1))
    assert list(first.items) == list(again.items)
    assert first.identity() == again.identity()
    other = make_plan(inputs, ReleaseOptions(SPEC, seed=2))
    assert [i.source.name for i in first.items] != [i.source.name for i in other.items]
    assert {i.source for i in first.items} == {i.source for i in other.items}


def test_order_does_not_follow_the_alphabet() -> None:
    inputs = sources(*(f"{number:03d}.png" for number in range(200)))
    order = [item.source.name for item in make_plan(inputs, ReleaseOptions(SPEC)).items]
    assert order != sorted(order)


def test_order_cannot_be_undone_without_names_and_sizes_of_the_inputs() -> None:
    names = [f"{number:03d}.png" for number in range(200)]
    other = Sources(tuple(Source(Path(name), name, 11) for name in names))
    first, second = (make_plan(inputs, ReleaseOptions(SPEC)) for inputs in (sources(*names), other))
    orders = [[item.source.name for item in plan.items] for plan in (first, second)]
    assert orders[0] != orders[1]


def test_folders_are_numbered_without_a_gap() -> None:
    names = [f"ward{number}/x.png" for number in range(9)]
    items = make_plan(sources(*names), ReleaseOptions(SPEC)).items
    assert {item.image_stem.partition("/")[0] for item in items} == {
        f"folder-{number:04d}" for number in range(1, 10)
    }


@pytest.mark.parametrize("names", ["neutral", "keep"])
def test_table_cannot_lead_the_output_out_of_its_folder(names: Any) -> None:
    inputs = sources("../a.png", "/etc/a.png", "../../b/./a.png", "b/a.png")
    stems = [item.image_stem for item in make_plan(inputs, ReleaseOptions(SPEC, names=names)).items]
    assert len(set(stems)) == 4
    assert not any(stem.startswith("/") or ".." in stem.split("/") for stem in stems)


def test_neutral_names_hold_nothing_of_the_sources_but_keep_the_tree() -> None:
    inputs = sources("DOE/JOHN/a.png", "DOE/JOHN/b.png", "DOE/c.png", "d.png")
    items = make_plan(inputs, ReleaseOptions(SPEC)).items
    text = " ".join(item.image_stem + item.source_id for item in items)
    assert "DOE" not in text
    assert "JOHN" not in text
    depth = {item.source.name: item.image_stem.count("/") for item in items}
    assert depth == {"DOE/JOHN/a.png": 2, "DOE/JOHN/b.png": 2, "DOE/c.png": 1, "d.png": 0}
    stems = {item.source.name: item.image_stem for item in items}
    shared = stems["DOE/JOHN/a.png"].rpartition("/")[0]
    assert stems["DOE/JOHN/b.png"].startswith(shared)
    assert shared.startswith(stems["DOE/c.png"].rpartition("/")[0])


def test_kept_names_drop_the_suffix() -> None:
    items = make_plan(sources("a/x.png", "b/x.dcm"), ReleaseOptions(SPEC, names="keep")).items
    assert {(item.source_id, item.image_stem) for item in items} == {
        ("a/x.png", "a/x"),
        ("b/x.dcm", "b/x"),
    }


@given(
    st.sets(
        st.builds(
            "".join,
            st.lists(
                st.sampled_from(["a", "b", ".png", ".jpg", ".image", ".frame0001", "_", "/a"]),
                min_size=1,
                max_size=5,
            ),
        ).map(lambda name: "x" + name),
        min_size=1,
        max_size=12,
    )
)
def test_kept_names_never_collide(names: set[str]) -> None:
    stems = [
        i.image_stem for i in make_plan(sources(*names), ReleaseOptions(SPEC, names="keep")).items
    ]
    frames = [f"{stem}.frame{number:04d}" for stem in stems for number in range(3)]
    assert len(set(stems + frames)) == len(stems + frames)


@pytest.mark.parametrize(
    ("files", "shards"),
    [(1, 1), (16, 1), (17, 2), (601, 38), pytest.param(65_537, 65, marks=pytest.mark.slow)],
)
def test_number_of_shards_depends_on_the_files_alone(files: int, shards: int) -> None:
    plan = make_plan(sources(*map(str, range(files))), ReleaseOptions(SPEC))
    assert plan.shards == shards
    assert [item for n in range(shards) for item in plan.shard(n)] == list(plan.items)


@pytest.mark.parametrize(
    "change",
    [
        {"output": "codes"},
        {"size": "original"},
        {"dtype": "uint8"},
        {"names": "keep"},
        {"seed": 1},
        {"max_pixels": 5},
        {"spec": CodecSpec(level=2, patches=4)},
    ],
)
def test_every_option_is_part_of_the_identity(change: dict[str, object]) -> None:
    inputs = sources("a.png", "b.png")
    options = {"spec": SPEC} | change
    changed = make_plan(inputs, ReleaseOptions(**options)).identity()  # type: ignore[arg-type]
    before = make_plan(inputs, ReleaseOptions(SPEC)).identity()
    assert {name for name in before if before[name] != changed[name]} == set(change)


def test_inputs_are_part_of_the_identity() -> None:
    one = make_plan(sources("a.png"), ReleaseOptions(SPEC)).identity()
    two = make_plan(sources("a.png", "b.png"), ReleaseOptions(SPEC)).identity()
    assert one.pop("inputs") != two.pop("inputs")
    assert one.pop("order") != two.pop("order")
    assert one == two


def test_an_input_of_another_size_keeps_its_place_in_the_order_of_the_first_run() -> None:
    names = [f"{number:03d}.png" for number in range(50)]
    first = make_plan(sources(*names), ReleaseOptions(SPEC))
    repaired = Sources(tuple(Source(Path("/in") / name, name, 11) for name in names))
    other = make_plan(repaired, ReleaseOptions(SPEC))
    again = make_plan(repaired, ReleaseOptions(SPEC), order=first.order)
    assert (other.inputs, other.order != first.order) == (first.inputs, True)
    assert again.identity() == first.identity()
    assert [i.source.name for i in again.items] == [i.source.name for i in first.items]


@pytest.mark.parametrize("option", ["output", "size", "dtype", "names"])
def test_unknown_option_names_what_is_allowed(option: str) -> None:
    with pytest.raises(SpecError, match=f"{option} is one of .*, got 'other'"):
        ReleaseOptions(SPEC, **{option: "other"})  # type: ignore[arg-type]


def test_negative_seed_or_no_pixels_are_refused() -> None:
    with pytest.raises(SpecError):
        ReleaseOptions(SPEC, seed=-1)
    with pytest.raises(SpecError):
        ReleaseOptions(SPEC, max_pixels=0)
