"""Any table of images: its columns are recognised by their names and by what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepfixcx.datasets.dataset import Dataset
from deepfixcx.datasets.files import Collector, absolute, is_missing, local_path, sex_letter
from deepfixcx.datasets.labels import (
    Blank,
    Labels,
    State,
    Uncertain,
    find_name,
    is_odd,
    normal_name,
    parse_labels,
    read_state,
)
from deepfixcx.errors import LabelError, LayoutError, RowError
from deepfixcx.io.tables import Row, Table, has_table_name

__all__ = [
    "Columns",
    "Listed",
    "is_table",
    "label_columns",
    "listed_images",
    "read_table",
    "roles_in",
]

_KNOWN_AS: Mapping[str, tuple[str, ...]] = {
    "path": (
        *("path", "file", "filename", "file_name", "filepath", "file_path"),
        *("image", "image_path", "image_file", "image_name", "image_index"),
    ),
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id", "subjectid"),
    "study": ("study", "study_id", "studyid", "exam", "exam_id", "visit", "visit_id"),
    "view": ("view", "view_position", "viewposition", "projection"),
    "split": ("split", "repo_split", "data_split", "subset", "partition"),
    "sex": ("sex", "gender", "patient_sex", "patient_gender"),
    "age": ("age", "patient_age", "age_years"),
}
"""Names of columns in the form of `normal_name`, the likeliest first."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table that have a meaning; None to recognise one by its name.

    Attributes
    ----------
    path : str or None
        Files, relative to the table's own folder, or absolute.
    patient, study, view, split : str or None
        As in `ImageRecord`.

    Examples
    --------
    >>> Columns(path="image", patient="case").view is None
    True
    """

    path: str | None = None
    patient: str | None = None
    study: str | None = None
    view: str | None = None
    split: str | None = None


def read_table(
    table: str | os.PathLike[str],
    labels: Labels | None = None,
    *,
    columns: Columns | None = None,
    images: str | os.PathLike[str] | None = None,
    uncertain: Uncertain = "ignore",
    blank: Blank = "ignore",
) -> Dataset:
    r"""Read a table with one image a row.

    Parameters
    ----------
    table : path-like
        A CSV file with a header: commas, semicolons or tabs, UTF-8, plain or gzipped.
    labels : str, sequence of str, or mapping of str to str, optional
        As in `Dataset.with_labels`. Left away, every column that holds nothing but answers
        (1 and 0, yes and no, ...) is a label, and the others are attributes.
    columns : Columns, optional
        Names of columns that are not recognised by themselves.
    images : path-like, optional
        The folder that paths are relative to, where it is not the table's own.
    uncertain : {"ignore", "positive", "negative"}
        What -1 counts as.
    blank : {"ignore", "negative"}
        What a blank cell counts as. A word that is no answer counts as a blank cell.

    Returns
    -------
    Dataset
        Rows that cannot be used are in `Dataset.problems`.

    Raises
    ------
    LayoutError
        The table cannot be read, has no column of paths, or names no image that can be used.
    LabelError
        A label that is not there, or a column of numbers that are no answers.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.png", "b.png"):
    ...     _ = (folder / name).write_bytes(b"any")
    >>> _ = (folder / "list.csv").write_text(
    ...     "file,patient_id,kind,sick\na.png,p1,virus,yes\nb.png,p1,,no\nc.png,p2,,no\n"
    ... )
    >>> dataset = read_table(folder / "list.csv")
    >>> dataset, dataset.label_names, str(dataset.problems[0])
    (Dataset('table': 2 images, 1 patient, 1 label), ('sick',),
     'list.csv, row 4: UnreadableFileError: the file does not exist')
    >>> read_table(folder / "list.csv", "kind=virus").known[:, 0].tolist()
    [True, False]
    """
    path = absolute(table)
    source = Table(path)
    roles = _roles(source, columns or Columns())
    rows = list(source)
    names = label_columns(source.columns, rows, set(roles.values()), labels)
    root = path.parent if images is None else absolute(images)
    collector = Collector("table", root, names, uncertain, blank, table=path.name)
    others = [name for name in source.columns if name not in {*roles.values(), *names}]
    for row in rows:
        _add(collector, path.name, root, row, roles, names, others)
    notes = [f"the table was read with {_listing(roles)}", *_odd_cells(rows, names)]
    return collector.dataset(notes, labels)


def is_table(path: Path) -> bool:
    """Whether a file is a readable table with a column of paths."""
    if not has_table_name(path.name) or not path.is_file():
        return False
    try:
        return "path" in _roles(Table(path), Columns())
    except LayoutError:
        return False


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of a table of images: the path in it, its patient, or why it has none."""

    number: int
    path: str
    patient: str = ""
    problem: RowError | None = None


def listed_images(table: Table, patient: str | None = None) -> Iterator[Listed]:
    """Yield the images that a table lists, each path once, by the columns of `read_table`."""
    roles = _roles(table, Columns(patient=patient))
    seen = set()
    for row in table:
        path = row.cells.get(roles["path"], "")
        if row.problem is not None:
            yield Listed(row.number, "", problem=row.problem)
        elif path and path not in seen:
            seen.add(path)
            who = row.cells[roles["patient"]] if "patient" in roles else ""
            yield Listed(row.number, path, "" if is_missing(who) else who)


def _roles(table: Table, columns: Columns) -> dict[str, str]:
    """Find the column of each role in a table of images."""
    roles = roles_in(table.columns, columns, repr(table.name))
    if "path" not in roles:
        raise LayoutError(
            f"{table.name!r} has no column of paths; name one of its columns 'file' or 'path'. "
            f"Its columns are: {', '.join(table.columns) or 'none, because it has no header'}"
        )
    return roles


def roles_in(names: Sequence[str], columns: Columns, what: str) -> dict[str, str]:
    """Find the column of each role; a column that a user names may have two of them."""
    roles: dict[str, str] = {}
    normal = {normal_name(name): name for name in reversed(names)}
    for role, known_as in _KNOWN_AS.items():
        named = getattr(columns, role, None)
        if named is None:
            here = next((normal[name] for name in known_as if name in normal), None)
            if here is not None and here not in roles.values():
                roles[role] = here
            continue
        column = find_name(named, names)
        if column is None:
            raise LayoutError(
                f"{what} has no column {named!r} for the {role}; its columns are: "
                f"{', '.join(names) or 'none'}"
            )
        roles[role] = column
    return roles


def label_columns(
    columns: Sequence[str], rows: Sequence[Row], taken: set[str], labels: Labels | None
) -> list[str]:
    """Return the columns that hold answers, and those that a user calls labels."""
    free = [name for name in columns if name not in taken]
    asked = set()
    for rule in parse_labels(labels) if labels is not None else ():
        column = None if rule.values else find_name(rule.column, free)
        if column is not None:
            asked.add(column)
    return [
        name
        for name in free
        if _holds_answers(name, (row.cells.get(name, "") for row in rows), name in asked)
    ]


def _holds_answers(name: str, cells: Iterable[str], asked: bool) -> bool:
    answers = False
    for cell in set(cells):
        state = read_state(cell)
        answers = answers or state in ("yes", "no", "uncertain")
        if (state is None or is_odd(cell, state)) and not asked:
            return False
        if state is None:
            raise LabelError(
                f"{name!r} contains numbers other than 1, 0 and -1; write {name}=VALUE to select "
                "a value"
            )
    if asked and not answers:
        raise LabelError(
            f"{name!r} does not contain yes and no; write {name}=VALUE to select a value"
        )
    return answers


def _add(
    collector: Collector,
    source: str,
    root: Path,
    row: Row,
    roles: Mapping[str, str],
    labels: Sequence[str],
    others: Sequence[str],
) -> None:
    if row.problem is not None:
        collector.fail(source, row.number, row.problem)
        return
    named = {role: row.cells[name] for role, name in roles.items()}
    if not named["path"]:
        collector.fail(source, row.number, RowError("the row names no file"))
        return
    states: list[State] = [read_state(row.cells[name]) or "blank" for name in labels]
    attributes = {normal_name(name): row.cells[name] for name in others}
    attributes["sex"] = sex_letter(named.pop("sex", ""))
    attributes["age"] = named.pop("age", "")
    try:
        path = absolute(root / local_path(named.pop("path"), "an image"))
    except LayoutError as error:
        collector.fail(source, row.number, RowError(str(error)))
        return
    collector.add(source, row.number, path, states, attributes=attributes, **named)


def _listing(roles: Mapping[str, str]) -> str:
    return ", ".join(f"{role} = {name!r}" for role, name in roles.items())


def _odd_cells(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    notes = []
    for name in names:
        cells = [row.cells.get(name, "") for row in rows]
        odd = sum(is_odd(cell, read_state(cell)) for cell in cells)
        if odd:
            notes.append(
                f"label {name!r}: {odd} cells are neither positive nor negative and count as blank"
            )
    return notes
