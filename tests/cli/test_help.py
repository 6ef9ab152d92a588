"""The words of the command line: help that fits a screen, one meaning a word, completion."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from deepfixcx.cli.app import GROUPS, SELDOM, app

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]

OWN_WORDS = {
    "--about": "beside OUT in privatize, beside RELEASE in report",
    "--against": "audit attacks with what scan searches for",
    "--epochs": "a sweep has two models that it could be of",
    "--labels": "to learn in train, to map in evaluate, to protect in audit",
    "--levels": "a frontier begins with one level, a sweep with six",
    "--mask": "deidentify distinguishes measurements from identifiers",
    "--model": "which kind to train, but in explain the folder of a trained one",
    "--ocr": "also read text in scan, the engine that finds it in deidentify",
    "--originals": "in the studio a folder of many",
    "--out": "a folder in most commands, a file in show, predict and report",
    "--patches": "privatize asks for it; the others suggest one",
    "--public": "a dataset in privatize, a share of one in a frontier",
    "--patient": "a column of a table; in withdraw the patient",
    "--patients": "asked for in audit, an addition in the studio",
    "--private": "local in privatize, a URL where a release is read",
    "--retain": "deidentify keeps more kinds of elements",
    "--seed": "of what is drawn in that command",
    "--side": "a sweep has a default",
    "--within": "asked of one model, or of many",
}
"""Options whose help, default or type differs between commands, and why."""

ARGUMENTS = {"IN", "IMAGE", "NOTICE", "OUT", "DATASET", "MODEL", "RELEASE", "[FOLDER]"}
ARGUMENTS |= {"[ACTION]", "CONFIG"}

LINES, COLUMNS, OPTIONS = 60, 80, 20
"""A terminal of this size shows the help of every command, which has no more options than this."""


def options(name: str) -> list[Any]:
    return [each for each in COMMANDS[name].params if each.param_type_name == "option"]


def long_name(option: Any) -> str:
    return str(max(option.opts, key=len))


def described(option: Any) -> tuple[object, ...]:
    """Return what a user reads of an option, and what it takes; a default may be left to later."""
    return option.help, option.type_descriptor.annotation, option.opts


def help_of(name: str, word: str = "--help") -> str:
    done = CliRunner().invoke(app, [name, word])
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen(name: str) -> None:
    text = help_of(name).rstrip().splitlines()
    assert len(text) <= LINES
    assert max(map(len, text)) <= COLUMNS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_usual_options_in_groups_and_help_all_every_one(name: str) -> None:
    def listed(text: str) -> list[str]:
        _, below = re.split(r"^(?:Needs|Options):$", text, maxsplit=1, flags=re.MULTILINE)
        return re.findall(r"^  (?:-\w, )?--([\w-]+)", below, re.MULTILINE)

    usual, names = listed(help_of(name)), {long_name(each)[2:] for each in options(name)}
    assert len(usual) == len(set(usual)) <= OPTIONS
    if "help-all" in usual:
        whole = listed(help_of(name, "--help-all"))
        assert set(whole) == names | {"help"}
        assert len(whole) == len(set(whole)) > OPTIONS
        assert set(usual) - {"help-all"} == set(whole) - SELDOM
        assert f"{len(whole) - len(usual) + 1} more options" in help_of(name)
        assert re.search(r"^Run:$", help_of(name), re.MULTILINE)
    else:
        assert set(usual) == names | {"help"}


def test_every_name_in_a_group_is_an_option_of_a_command() -> None:
    names = [name for group in GROUPS.values() for name in group.split()]
    every = {long_name(each)[2:] for command in COMMANDS for each in options(command)}
    assert len(names) == len(set(names))
    assert SELDOM <= set(names) <= every


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(name: str) -> None:
    """A sentence, an example that begins with this command, and a text for each option."""
    text = help_of(name)
    assert re.search(rf"Example: deepfixcx {name}\b", text)
    assert "[bold]" not in text
    for option in COMMANDS[name].params:
        assert option.help or long_name(option) == "--help", option.opts
        assert not option.help or option.help.endswith((".", "…")), option.help


@pytest.mark.parametrize("name", COMMANDS)
def test_example_of_the_help_names_options_that_exist(name: str) -> None:
    (example,) = re.findall(r"Example: (deepfixcx .*?)\n\n", help_of(name), re.DOTALL)
    asked = set(re.findall(r"(?<=\s)--?[a-zA-Z][\w-]*", example))
    assert asked <= {word for option in options(name) for word in option.opts}


def test_defaults_are_shown_once_in_brackets() -> None:
    text = help_of("privatize", "--help-all")
    assert "[haar]" in text
    assert "[compact]" in text
    assert "default:" not in re.sub(r";\s+default: \S+", "", text)
    assert "[required]" not in text


def test_the_program_says_of_each_command_what_it_does() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert "..." not in text.partition("Commands:")[2]
    assert len(text.splitlines()) <= 52
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\w", text, re.MULTILINE)


@pytest.mark.parametrize("word", sorted({long_name(o) for name in COMMANDS for o in options(name)}))
def test_a_word_means_the_same_everywhere(word: str) -> None:
    found = [o for name in COMMANDS for o in options(name) if long_name(o) == word]
    same = len({repr(described(option)) for option in found}) == 1
    assert same != (word in OWN_WORDS), "the same now: no reason needed" if same else described


def test_every_reason_is_for_an_option() -> None:
    assert set(OWN_WORDS) <= {long_name(option) for name in COMMANDS for option in options(name)}


def test_arguments_are_called_by_few_names() -> None:
    used = {
        argument.metavar
        for command in COMMANDS.values()
        for argument in command.params
        if argument.param_type_name == "argument"
    }
    assert used <= ARGUMENTS


def complete(*words: str) -> list[str]:
    """Return what bash is offered after these words, the last of which is begun."""
    environment = {
        "_DEEPFIXCX_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["deepfixcx", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = CliRunner().invoke(app, env=environment, prog_name="deepfixcx")
    return done.output.split()


def test_completion_of_commands_options_and_words() -> None:
    assert complete("pri") == ["privatize"]
    assert complete("privatize", "--pool") == ["--pooling"]
    assert complete("privatize", "IN", "OUT", "--output", "") == [
        "images",
        "codes",
        "both",
        "dicom",
    ]
    assert complete("train", "--layout", "mi") == ["mimic-cxr-jpg"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("privatize --pooling me", ["median"]),
        ("privatize --pooling l1,m", ["l1,max", "l1,min", "l1,median"]),
        ("sweep --pooling max,ma", []),
        ("train --wavelet coif1", [f"coif{n}" for n in (1, *range(10, 18))]),
        ("explain --method occlusion-", ["occlusion-by-cell", "occlusion-by-band"]),
        ("explain --baseline d", ["details"]),
        ("frontier --mechanisms plain,mixing", []),
        ("frontier --attackers distance,siamese-m", ["distance,siamese-mlp"]),
        ("sweep --model l", ["logistic"]),
    ],
)
def test_completion_of_words_that_are_no_type(words: str, offered: list[str]) -> None:
    assert complete(*words.split()) == offered


@pytest.mark.parametrize("name", COMMANDS)
def test_every_choice_is_offered(name: str) -> None:
    """A literal is checked and completed by the command line itself."""
    for option in options(name):
        if get_origin(option.type_descriptor.annotation) is Literal:
            words = [str(word) for word in get_args(option.type_descriptor.annotation)]
            done = CliRunner().invoke(app, [name, long_name(option), "no-such-word"])
            assert done.exit_code == 2
            assert all(word in done.output for word in words)
