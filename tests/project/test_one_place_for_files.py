"""Only deepfixcx.io writes, replaces and removes files: every other module is searched for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.project.test_structure import SOURCE

ALLOWED = ("src/deepfixcx/io/",)

REMOVING = {
    "move",
    "unlink",
    "rmdir",
    "rmtree",
    "remove",
    "removedirs",
    "rename",
    "renames",
    "replace",
}
MODULES = {"os", "shutil"}
"""Functions of these with a name in REMOVING are meant; a list has a `remove`, too."""

WRITING = {
    *("write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "link", "symlink"),
    *("mkstemp", "mkdtemp", "truncate", "ftruncate", "save_file", "savetxt", "savez", "memmap"),
    *("savez_compressed", "tofile", "to_csv", "to_parquet", "to_excel", "to_pickle"),
    *("copyfile", "copy2", "copytree", "chmod", "lchmod", "chown", "umask", "mkfifo"),
    *("extractall", "imwrite", "imsave", "makedirs", "mkdir"),
}
SAVING = {"save", "savefig", "save_as", "dump", "write_image"}
"""They write to a path, or to a stream in memory; the first argument decides."""

OURS = ("Code(", "Code.", "state", "replace(", "safetensors.")
"""Their `save` returns bytes, or writes with deepfixcx.io."""

STREAMS = {"stream", "content", "packed", "whole", "buffer", "file", "text"}
"""What a stream in memory, or a file that deepfixcx.io opened, is called here."""


def written(call: ast.Call) -> str:
    """Return what a call does to files, empty if it does nothing to any."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    name = function.id if isinstance(function, ast.Name) else name
    owner = function.value if isinstance(function, ast.Attribute) else None
    module = owner.id if isinstance(owner, ast.Name) else ""
    arguments = len(call.args) + len(call.keywords)
    if name in REMOVING:
        if module in MODULES or name in ("unlink", "rmdir", "rmtree"):
            return name
        # Path.rename and Path.replace take one argument, str.replace takes two
        return name if name in ("rename", "replace") and owner and arguments == 1 else ""
    if name in WRITING:
        return name
    if name in SAVING and call.args:
        first = call.args[1] if name == "dump" and len(call.args) > 1 else call.args[0]
        in_memory = isinstance(first, ast.Name) and first.id in STREAMS
        ours = name == "save" and owner is not None and ast.unparse(owner).startswith(OURS)
        return "" if in_memory or ours else name
    if name in ("open", "fdopen", "ZipFile", "TarFile", "NamedTemporaryFile"):
        return name if opens_to_write(call, module, name) else ""
    return ""


def opens_to_write(call: ast.Call, module: str, name: str) -> bool:
    if name == "NamedTemporaryFile":
        return any(each.arg == "delete" for each in call.keywords)
    if module == "os" and name == "open":
        said = ast.unparse(call)
        return "os.devnull" not in said and ("O_WRONLY" in said or "O_RDWR" in said)
    modes = [each.value for each in call.keywords if each.arg == "mode"] + call.args[:2]
    texts = [each.value for each in modes if isinstance(each, ast.Constant)]
    return any(isinstance(text, str) and is_mode(text) for text in texts)


def is_mode(text: str) -> bool:
    return 0 < len(text) <= 3 and set(text) <= set("rwxabt+") and bool(set(text) & set("wxa+"))


def calls(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and (what := written(node)):
            yield f"{node.lineno} {what}"
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            yield from (f"{node.lineno} from {node.module}" for each in node.names
                        if each.name in REMOVING | WRITING)  # fmt: skip


def test_only_one_package_writes_and_removes_files() -> None:
    others = {name: text for name, text in SOURCE.items() if not name.startswith(ALLOWED)}
    assert len(others) > 100
    found = {name: list(calls(text)) for name, text in others.items()}
    assert not {name: each for name, each in found.items() if each}


@pytest.mark.parametrize(
    "code",
    [
        "path.unlink()",
        "os.remove(path)",
        "os.replace(a, b)",
        "a.replace(b)",
        "a.rename(b)",
        "shutil.rmtree(a)",
        "path.write_text('a')",
        "path.write_bytes(b'a')",
        "open(path, 'w')",
        "path.open('ab')",
        "open(path, mode='r+')",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "os.fdopen(handle, 'wb')",
        "tempfile.mkstemp()",
        "figure.savefig(path)",
        "np.save(path, array)",
        "image.save(folder / 'a.png')",
        "image.save('a.png', 'PNG')",
        "safetensors.numpy.save_file(tensors, path)",
        "frame.to_csv(path)",
        "json.dump(about, handle)",
        "dataset.save_as(path)",
        "shutil.copyfile(a, b)",
        "from shutil import rmtree",
        "path.touch()",
        "path.mkdir()",
    ],
)
def test_every_way_to_write_or_remove_is_found(code: str) -> None:
    assert list(calls(code))


@pytest.mark.parametrize(
    "code",
    ["a.replace('x', 'y')", "names.remove('x')", "path.open('rb')", "open(path)", "open(p, 'r')",
     "image.save(stream, 'PNG')", "safetensors.numpy.save({'a': b})", "replace(options, seed=1)"],
)  # fmt: skip
def test_what_touches_no_file_is_not_found(code: str) -> None:
    assert not list(calls(code))


NAMES_OF_A_RELEASE = {
    *("dataset.json", "manifest.csv", "labels.csv", "records.safetensors", "sources.csv"),
    *("withheld.csv", "members.csv", "ledger.sqlite", "protected.json", "release.jsonl"),
}
MAY_NAME_THEM = (
    "src/deepfixcx/release/",
    "src/deepfixcx/io/release_files.py",
    "src/deepfixcx/deidentify/scan/",  # it shares no rule with what it checks
)


def test_only_the_release_names_its_files() -> None:
    """Every other module reads a release through Release, PrivateFolder or io.release_files."""
    named = [
        f"{name}:{node.lineno} {node.value}"
        for name, text in SOURCE.items()
        if not name.startswith(MAY_NAME_THEM)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.strip("/") in NAMES_OF_A_RELEASE
    ]
    assert not named
