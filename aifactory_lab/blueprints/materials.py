"""What a blueprint's lines start from: tables, documents, pairs; paths start in the blueprint's folder.

This module does not look into them: the stations do.

>>> from aifactory_lab.blueprints.models import Blueprint, Decisions
>>> tables(Blueprint(name="night", decisions=Decisions())).name
'flights'
"""

from pathlib import Path
from typing import TYPE_CHECKING

from aifactory_lab import datasets
from aifactory_lab.blueprints.models import Blueprint
from aifactory_lab.datasets import RawMaterial

if TYPE_CHECKING:
    import polars as pl

ROWS = "rows"  # what the one table of a decision line's own files is called


def tables(blueprint: Blueprint) -> RawMaterial:
    """Open what the decision line starts from.

    Raises
    ------
    DataError
        If files are missing or damaged, or a download fails.
    """
    assert blueprint.decisions is not None
    data, folder = blueprint.decisions.data, blueprint.folder
    if data.dataset is not None:
        return datasets.load(data.dataset, copies=data.copies)
    named = data.tables if data.tables is not None else {ROWS: data.files or []}
    return datasets.load({name: _placed(files, folder) for name, files in named.items()})


def documents(blueprint: Blueprint) -> "pl.DataFrame | None":
    """Return what the token line starts from; None for Python's own library as it is.

    Raises
    ------
    DataError
        If files are missing or not text.
    """
    from aifactory_lab import lm

    assert blueprint.tokens is not None
    corpus = blueprint.tokens.corpus
    if corpus.files is not None:
        found = lm.corpus.files([str(path) for path in _placed(corpus.files, blueprint.folder)])
    elif corpus.library is None and corpus.every == 1:
        return None
    else:
        found = lm.corpus.standard_library(tuple(corpus.library or ("code", "prose")))
    return found.gather_every(corpus.every)


def pairs(blueprint: Blueprint) -> "pl.DataFrame | None":
    """Return the questions and answers for the adapter; None for those of the corpus itself.

    Raises
    ------
    DataError
        If the file of pairs cannot be read, or holds none.
    """
    from aifactory_lab import lm

    assert blueprint.tokens is not None
    tuning = blueprint.tokens.tuning
    if tuning.file is not None:
        return lm.pairs.read(_placed([tuning.file], blueprint.folder)[0])
    return lm.pairs.docstrings(lm.corpus.standard_library(("code",))) if tuning.pairs == "library" else None


def _placed(files: list[str], folder: Path) -> list[Path]:
    """Let relative paths start in the blueprint's folder, and ``~`` in the user's."""
    return [folder / Path(file).expanduser() for file in files]
