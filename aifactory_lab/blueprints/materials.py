"""What a blueprint's lines start from: tables, documents, pairs; paths start in the blueprint's folder.

What cannot be opened, and a column that a table does not have, is said with the line of the blueprint that names it.
Beyond the names of columns this module does not look into the material: the stations do.

>>> from aifactory_lab.blueprints.models import Blueprint, Decisions
>>> opened(Blueprint(name="night", decisions=Decisions(data={"dataset": "flights"}))).raw.name
'flights'
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aifactory_lab import datasets
from aifactory_lab.blueprints import words
from aifactory_lab.blueprints.document import Document
from aifactory_lab.blueprints.models import Blueprint
from aifactory_lab.blueprints.problems import BlueprintError, Problem
from aifactory_lab.datasets import RawMaterial
from aifactory_lab.errors import DataError

if TYPE_CHECKING:
    import polars as pl

ROWS = "rows"  # what the one table of a decision line's own files is called
Way = tuple[str | int, ...]


@dataclass(frozen=True)
class Material:
    """What was opened; None where the line takes what it takes by itself."""

    raw: RawMaterial | None = None
    table: str = ""
    documents: "pl.DataFrame | None" = None
    pairs: "pl.DataFrame | None" = None


def opened(blueprint: Blueprint) -> Material:
    """Open what the lines start from.

    Raises
    ------
    BlueprintError
        If something cannot be opened, or a column is not there; with every such line of the blueprint.
    DataError
        The same, of a blueprint that was not read from a text.
    """
    problems: list[tuple[Way, DataError]] = []
    raw, table = _tables(blueprint, problems) if blueprint.decisions is not None else (None, "")
    documents, pairs = _texts(blueprint, problems) if blueprint.tokens is not None else (None, None)
    if problems and blueprint.text is None:
        raise problems[0][1]
    if problems and blueprint.text is not None:
        raise BlueprintError(blueprint.text.name, [_placed(blueprint.text, *each) for each in problems])
    return Material(raw, table, documents, pairs)


def _placed(text: Document, way: Way, error: DataError) -> Problem:
    found = text.nearest(way)
    return text.problem(text.spots[found], error.what, at=found, mend=error.mend)


def _tables(blueprint: Blueprint, problems: list[tuple[Way, DataError]]) -> tuple[RawMaterial | None, str]:
    assert blueprint.decisions is not None
    data, wanted = blueprint.decisions.data, blueprint.decisions.table
    kind = "dataset" if data.dataset else "tables" if data.tables else "files"
    try:
        raw = _raw(blueprint)
    except DataError as error:
        problems.append((("decisions", "data", kind), error))
        return None, ""
    table = (wanted.of or next(iter(raw.paths))) if wanted else ""
    problems += list(_columns(blueprint, raw, table)) if wanted else []
    return raw, table


def _raw(blueprint: Blueprint) -> RawMaterial:
    assert blueprint.decisions is not None
    data, folder = blueprint.decisions.data, blueprint.folder
    if data.dataset is not None:
        return datasets.load(data.dataset, copies=data.copies)
    named = data.tables if data.tables is not None else {ROWS: data.files or []}
    return datasets.load({name: _within(folder, files) for name, files in named.items()})


def _columns(blueprint: Blueprint, raw: RawMaterial, table: str) -> Iterator[tuple[Way, DataError]]:
    """Yield columns, or the table itself, that are named and not there."""
    assert blueprint.decisions is not None
    assert blueprint.decisions.table is not None
    wanted, way = blueprint.decisions.table, ("decisions", "table")
    if table not in raw.paths or (wanted.of is None and len(raw.paths) > 1):
        what = f"no table {table!r}" if table not in raw.paths else "say which table, by a line of: …"
        yield (*way, "of"), DataError(f"{what}; there are: {', '.join(raw.paths)}")
        return
    there = raw[table].collect_schema().names()
    named: list[tuple[Way, str]] = [(("label", "column"), wanted.label.column)]
    named += [(("time", "column"), wanted.time.column)] if wanted.time else []
    for part in ("numbers", "categories", "key"):
        named += [((part, place), column) for place, column in enumerate(getattr(wanted, part))]
    for where, column in named:
        if column not in there:
            meant = words.near(column, there)
            hint = f"did you mean {meant!r}? There" if meant else "there"
            what = f"no column {column!r} in {raw.paths[table][0].name}; {hint} are: {', '.join(there)}"
            yield (*way, *where), DataError(what, mend=f"write {meant} for {column}" if meant else "")


def _texts(
    blueprint: Blueprint, problems: list[tuple[Way, DataError]]
) -> tuple["pl.DataFrame | None", "pl.DataFrame | None"]:
    found = []
    for opening, way in ((_documents, ("corpus", "files")), (_pairs, ("tuning", "file"))):
        try:
            found.append(opening(blueprint))
        except DataError as error:
            problems.append((("tokens", *way), error))
            found.append(None)
    return found[0], found[1]


def _documents(blueprint: Blueprint) -> "pl.DataFrame | None":
    """Return what the token line starts from; None for Python's own library as it is."""
    from aifactory_lab import lm

    assert blueprint.tokens is not None
    corpus, usual = blueprint.tokens.corpus, ("code", "prose")
    if corpus.files is not None:
        found = lm.corpus.files([str(path) for path in _within(blueprint.folder, corpus.files)])
    elif tuple(corpus.library or usual) == usual and corpus.every == 1:
        return None
    else:
        found = lm.corpus.standard_library(tuple(corpus.library or usual))
    return found.gather_every(corpus.every)


def _pairs(blueprint: Blueprint) -> "pl.DataFrame | None":
    """Return the questions and answers for the adapter; None for those of the corpus itself."""
    from aifactory_lab import lm

    assert blueprint.tokens is not None
    tuning = blueprint.tokens.tuning
    if tuning.file is not None:
        return lm.pairs.read(_within(blueprint.folder, [tuning.file])[0])
    return lm.pairs.docstrings(lm.corpus.standard_library(("code",))) if tuning.pairs == "library" else None


def _within(folder: Path, files: list[str]) -> list[Path]:
    """Let relative paths start in the blueprint's folder, and ``~`` in the user's."""
    return [folder / Path(file).expanduser() for file in files]
