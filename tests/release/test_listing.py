"""A listing gives back the inputs it was made of, whatever they are, and holds little."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfixcx.errors import UnreadableFileError
from deepfixcx.release import ReleaseOptions, make_plan
from deepfixcx.release.inputs import Listing, Source, Sources
from deepfixcx.release.storage import RemoteFile
from deepfixcx.release.workers import Waiting
from deepfixcx.spec import CodecSpec

PROBLEM = UnreadableFileError("cannot be opened: Permission denied; check its permissions")

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
sizes = st.integers(0, 2**40)
near = st.builds(lambda name, size: Source(Path("/in") / name, name, size), names, sizes)
elsewhere = st.builds(lambda name, size: Source(Path("/other") / name, name, size), names, sizes)
broken = st.builds(lambda name: Source(Path("/in") / name, name, problem=PROBLEM), names)
far = st.builds(
    lambda name, stamp, size: Source(
        RemoteFile("s3://b/in", f"b/in/{name}", stamp, size), name, size
    ),
    names,
    names,
    sizes,
)  # fmt: skip


@given(st.lists(near | elsewhere | broken | far))
def test_a_listing_gives_back_what_it_was_made_of(sources: list[Source]) -> None:
    listing = Listing(sources)
    assert list(listing) == sources
    assert len(listing) == len(sources)
    assert listing[1:3] == tuple(sources[1:3])
    assert [listing[place] for place in range(-len(sources), 0)] == sources
    assert listing == Listing(iter(sources))


@given(st.lists(near | far, min_size=1), st.randoms())
def test_another_order(sources: list[Source], random: object) -> None:
    order = list(range(len(sources)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert list(Listing(sources).select(order)) == [sources[place] for place in order]
    by_name = Listing(sources).by_name()
    assert [sources[place].name for place in by_name] == sorted(each.name for each in sources)


def test_other_listings_are_unequal() -> None:
    one = Source(Path("/in/a.png"), "a.png", 10)
    assert Listing([one]) != Listing([one, one])
    assert Listing([one]) != Listing([Source(Path("/in/a.png"), "a.png", 11)])
    assert Listing([one]) != [one]


@pytest.mark.slow
def test_the_memory_of_a_plan_is_about_that_of_the_names() -> None:
    count = 20_000
    tracemalloc.start()
    plan = make_plan(
        Sources(
            Listing(
                Source(Path("/in") / name, name, 1000)
                for name in (f"ward/{number:06d}.png" for number in range(count))
            )
        ),
        ReleaseOptions(CodecSpec(2, 3)),
    )
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    # what Python itself keeps of paths, a table that grows in leaps, is not counted
    own = snapshot.filter_traces([tracemalloc.Filter(True, "*/release/*.py")])
    held = sum(each.size for each in own.statistics("filename"))
    assert len(plan.items) == count
    assert held / count < 150  # as objects with paths they take over 700


def test_jobs_are_made_when_they_are_needed() -> None:
    made: list[int] = []

    class Numbered:
        def __init__(self, number: int) -> None:
            self.number = number
            made.append(number)

        def work(self, *_: object) -> None: ...

    waiting = Waiting(map(Numbered, range(sys.maxsize)))
    assert waiting.count(3) == 3
    assert made == [0, 1, 2]
    first, second = waiting.take(), waiting.take()
    waiting.again([first, second])
    assert [waiting.take().number for _ in range(waiting.count(3))] == [0, 1, 2]
    assert made == [0, 1, 2]
    assert Waiting([]).count(2) == 0
