"""The comparison with names, numbers and dates equals a slow one, is fast, and seldom wrong."""

from __future__ import annotations

import contextlib
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfixcx.deidentify.identity import (
    SHORTEST_INITIALS,
    SHORTEST_NUMBER,
    SHORTEST_PART,
    SHORTEST_WORD,
    Identity,
)
from deepfixcx.deidentify.silence import silence
from deepfixcx.deidentify.spelling import CAMEL, TOKEN, dates_in, folded, skeleton, sound
from tests.deidentify.making import make_header

NAMES = (
    "Mustermann^Hansjakob", "Müller^Jörg", "Lee^Kim", "山田^太郎", "Smith^John", "Ng^Bo", "Li^Wu",
    "Иванов^Игорь", "김^희중", "محمد^علي", "García Lorca^José", "van der Berg^Jan", "McDonald^Ron",
)  # fmt: skip


def identity(name: str, number: int = 774411) -> Identity:
    with silence():
        return Identity.of(
            make_header(
                PatientName=name, PatientID=f"KH{number}", InstitutionName="Klinikum Lindenhof",
                ReferringPhysicianName="Roth^Eva", OperatorsName="Ito^Ken",
            )
        )  # fmt: skip


def slow(known: Identity, text: str) -> bool:
    """Compare every token, and every run of tokens joined, by itself."""
    plain = folded(text)
    everything = known.joined | known.words | known.numbers
    for spelled in {plain.lower(), CAMEL.sub(" ", plain).lower()}:
        tokens = TOKEN.findall(spelled)
        for token in tokens:
            if token.isdigit():
                if {token, token.lstrip("0")} & known.numbers:
                    return True
            elif (
                {token, sound(token)} & known.joined
                or sound(token) in known.words
                or (token in known.initials and len(token) >= SHORTEST_INITIALS)
                or any(each in sound(token) for each in known.words if len(each) >= SHORTEST_PART)
            ):
                return True
        for first in range(len(tokens)):
            for last in range(first + 2, len(tokens) + 1):
                run = "".join(tokens[first:last])
                if len(run) > max(map(len, everything), default=0) + 8:
                    break
                if run.isdigit() and len(run) >= SHORTEST_NUMBER and run.lstrip("0") in everything:
                    return True
                if all(len(each) == 1 for each in tokens[first:last]) and run in known.initials:
                    return True
                if len(run) >= SHORTEST_WORD and (
                    run in known.joined
                    or (len(sound(run)) >= SHORTEST_WORD and sound(run) in everything)
                ):
                    return True
    if any(part in text.casefold() for part in known.parts):
        return True
    return any(each in known.dates for each in dates_in(plain.lower()))


WORDS = """
muster mann Mustermann müller MUELLER jörg lee kim k L smith j john bo ng li wu iwan ow van der berg
mac donald mc ron hm 774 411 774411 007 1951 06 07 june sch tsch lindenhof ck ph aa rr garzia lorka
jose roth rot h ito
"""
PIECES = st.sampled_from(WORDS.split())
TEXTS = st.lists(
    st.tuples(PIECES, st.sampled_from(["", " ", "-", "_", ".", "^", "/", "7", "x"])), max_size=8
).map(lambda pairs: "".join(part for pair in pairs for part in pair))
KNOWN = [identity(name) for name in NAMES]


def test_ordinary_words_of_an_institution_do_not_count_alone() -> None:
    known = Identity.of(make_header(InstitutionName="Larkspur Imaging Center"))
    assert not known.stands_in_text("Acme Imaging")
    assert known.stands_in_text("of Larkspur")
    assert known.stands_in_text("Larkspur-Imaging-Center")


@settings(max_examples=600, deadline=None)
@given(st.one_of(TEXTS, st.text(alphabet="aeiouhkcqstzphvwmrn17 -_AE", max_size=30)))
def test_a_text_is_compared_as_slowly(text: str) -> None:
    for known in KNOWN:
        assert known.stands_in_text(text) is slow(known, text)


@settings(max_examples=600, deadline=None)
@given(st.text(alphabet="aeiouyjhckqtszpfvwbdglmnrx1234", max_size=14))
def test_words_of_one_sound_have_one_skeleton(word: str) -> None:
    assert skeleton(sound(word)) == skeleton(word)
    for cut in range(len(word)):
        assert skeleton(word).startswith(skeleton(word[:cut]))
        assert skeleton(word[cut:]) in skeleton(word)


def as_written(name: str) -> list[bytes]:
    """Return a family name in bytes as programs write it."""
    family = re.split("[ ^-]", name)[name.count(" ")]
    found = [family.encode(form) for form in ("utf-8", "utf-16-le", "utf-16-be")]
    for form in ("latin-1", "cp1251", "euc_kr", "iso8859-6", "shift_jis"):
        with contextlib.suppress(UnicodeEncodeError):
            found.append(family.upper().encode(form))
    return [each for each in found if len(each) > 3]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"Lee^Kim", "Ng^Bo", "Li^Wu"}))
def test_a_name_is_found_in_a_large_table(name: str) -> None:
    table = bytearray(np.linspace(0, 65535, 65536).astype("<u2").tobytes())
    for written in as_written(name):
        at = 70_001
        held = bytes(table[:at]) + b"\0\7" + written + b"\7\0" + bytes(table[at:])
        assert identity(name).stands_in_bytes(held), written


def tables(generator: np.random.Generator, size: int) -> dict[str, bytes]:
    """Return tables as devices write them, and uniformly random bytes."""
    words, share = size // 2, np.linspace(0, 1, size // 2)
    curve = share ** generator.uniform(0.4, 2.5)
    noise = generator.normal(0, 4, words)
    return {
        "random bytes": generator.bytes(size),
        "ramp of 16 bits": (np.arange(words) * generator.uniform(0.3, 1)).astype("<u2").tobytes(),
        "curve of 16 bits": (65535 * curve).astype("<u2").tobytes(),
        "curve of 12 bits": (4095 * curve).astype("<u2").tobytes(),
        "curve of 8 bits": (255 * curve).astype(np.uint8).tobytes(),
        "noise of 8 bits in words": np.clip(255 * share + noise, 0, 255).astype("<u2").tobytes(),
    }


@pytest.mark.parametrize("size", [256, 4096, pytest.param(131_072, marks=pytest.mark.slow)])
def test_tables_hold_no_name_by_chance(size: int) -> None:
    generator, hits, count = np.random.default_rng(size), [], 0
    for number, known in enumerate(KNOWN * (2 if size < 100_000 else 1)):
        for kind, table in tables(generator, size).items():
            count += 1
            if known.stands_in_bytes(table):
                hits.append((kind, number))
    assert len(hits) <= count / 50, hits


def test_a_table_of_65536_entries_is_compared_at_once() -> None:
    known = identity("García Lorca^José")
    for kind, table in tables(np.random.default_rng(1), 131_072).items():
        began = time.process_time()
        known.stands_in_bytes(table)
        assert time.process_time() - began < 0.5, kind  # it was 9 s
    text = b"\1" + (b"The quick brown fox jumps over the lazy dog, 12 times. " * 2400)
    began = time.process_time()
    assert not known.stands_in_bytes(text)
    assert time.process_time() - began < 1
