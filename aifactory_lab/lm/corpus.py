r"""Raw text for a language model: the standard library of the interpreter that runs, or the user's own files.

The standard library is read where it lies: some 12 MB of well-kept Python (Python Software Foundation License 2.0)
that every user already has, so nothing is downloaded or passed on. It differs between versions of Python: `survey`
says which one was read, and its hash. This module does not judge text: `etl.curation` does.

>>> topics = standard_library(kinds=("prose",))
>>> topics.filter(pl.col("id") == "pydoc_data/topics.py#while")["text"][0][:23]
'The "while" statement\n*'
>>> sorted(set(topics["split"]))
['train', 'valid']
"""

import ast
import logging
import os
import platform
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.etl.curation import documents
from aifactory_lab.lm.folders import files

__all__ = ["Survey", "files", "manifest", "standard_library", "survey"]

LICENCE = "PSF-2.0"
KINDS = ("code", "docstring", "prose")
TOPICS = "pydoc_data/topics.py"  # a module that holds nothing but the language reference, as text
# Other people's packages, and test data: among it files that are wrong on purpose.
OTHERS = frozenset({"site-packages", "dist-packages", "__pycache__"})
TESTS = frozenset({"test", "tests", "idle_test", "lib2to3"})
LOG = logging.getLogger(__name__)
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Survey:
    """The documents of a standard library, and what could not become one.

    Attributes
    ----------
    documents
        The documents frame.
    left_out
        path, why: files that do not decode or do not parse.
    manifest
        Where the text is from: version, licence, counts, bytes, SHA-256.
    """

    documents: pl.DataFrame
    left_out: pl.DataFrame
    manifest: dict[str, Any]


def standard_library(kinds: Sequence[str] = ("code", "prose"), *, tests: bool = False) -> pl.DataFrame:
    """Return the documents of the running interpreter's standard library; `survey` says more.

    Parameters
    ----------
    kinds
        ``"code"``: each source file; ``"docstring"``: each docstring, a document of its own; ``"prose"``: each
        topic of the language reference.
    tests
        Whether to read the test-suite too (and lib2to3): 2.7 times as much, of lower quality.

    Returns
    -------
    DataFrame
        id, path, kind, split, text, sorted by id. A docstring has its file's path, so both are on one side of the
        split.

    Raises
    ------
    DataError
        If a kind is unknown, or this interpreter has no sources to read.
    """
    found = survey(kinds, tests=tests)
    if found.left_out.height:
        paths = found.left_out["path"].to_list()
        LOG.warning("%d files of the standard library were left out: %s", len(paths), ", ".join(paths))
    return found.documents


def survey(kinds: Sequence[str] = ("code", "prose"), *, tests: bool = False) -> Survey:
    """Read the standard library and say what was read, from where, and what was left out; see `standard_library`.

    Raises
    ------
    DataError
        If there is no such kind.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown or not kinds:
        msg = f"no kinds {unknown or list(kinds)} in the standard library; there are: {', '.join(KINDS)}"
        raise DataError(msg, mend='lm.corpus.standard_library(kinds=("code", "prose"))')
    root = Path(sysconfig.get_path("stdlib"))
    rows: list[Row] = []
    left_out: list[tuple[str, str]] = []
    wanted = [root / TOPICS] if set(kinds) == {"prose"} else sources(root, tests=tests)
    for path in wanted:
        name = path.relative_to(root).as_posix()
        try:
            rows += [row for row in documents_of(path, name) if row[1] in kinds]
        except (SyntaxError, UnicodeDecodeError, ValueError) as error:
            left_out.append((name, f"{type(error).__name__}: {error}"))
    if not rows:
        msg = f"no Python sources in {root}"
        raise DataError(msg, mend="install the interpreter with its sources")
    found = documents.frame(rows)
    told = pl.DataFrame(left_out, schema={"path": pl.String, "why": pl.String}, orient="row")
    return Survey(found, told, manifest(found, source=str(root), licence=LICENCE, left_out=len(left_out)))


def manifest(found: pl.DataFrame, **facts: Any) -> dict[str, Any]:
    """Return what identifies a corpus: version of Python, files, documents by kind, UTF-8 bytes, SHA-256."""
    kinds = found.group_by("kind").agg(pl.len().alias("documents"), pl.col("text").str.len_bytes().sum().alias("bytes"))
    return {
        **facts,
        "python": platform.python_version(),
        "files": found["path"].n_unique(),
        "documents": found.height,
        "bytes": int(found["text"].str.len_bytes().sum()),
        "kinds": {row["kind"]: row for row in kinds.sort("kind").to_dicts()},
        "sha256": documents.digest(found),
    }


def sources(root: Path, *, tests: bool = False) -> list[Path]:
    """Return the Python files below a folder, in order; not those of installed packages, nor of tests."""
    avoided = OTHERS if tests else OTHERS | TESTS
    found: list[Path] = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in avoided]
        found += [Path(folder, name) for name in names if name.endswith(".py")]
    return sorted(found)


def documents_of(path: Path, name: str) -> Iterator[Row]:
    """Yield (id, kind, path, text) of what one file holds: itself and its docstrings, or its topics.

    Raises
    ------
    SyntaxError, UnicodeDecodeError, ValueError
        If the file does not decode as it declares, or does not parse.
    """
    with tokenize.open(path) as stream:
        text = stream.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old escapes in string literals
        tree = ast.parse(text)
    if name == TOPICS:
        yield from _topics(tree)
        return
    yield name, "code", name, text
    yield from _docstrings(tree, name)


def _topics(tree: ast.Module) -> Iterator[Row]:
    """Yield each topic of the language reference; each is a path of its own, so that some are held out."""
    assigned = next(node.value for node in tree.body if isinstance(node, ast.Assign))
    for topic, text in sorted(ast.literal_eval(assigned).items()):
        name = f"{TOPICS}#{topic}"
        yield name, "prose", name, text


def _docstrings(tree: ast.Module, name: str) -> Iterator[Row]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            line = getattr(node, "lineno", 0)
            yield f"{name}#{getattr(node, 'name', '')}:{line}", "docstring", name, text
