"""The documents frame: what a corpus hands to curation, and curation to the tokenizer.

One row a document. Whether a document is for training or held out follows from a hash of its path alone, so that it
stays on its side when the corpus grows, and all that comes from one file stays together. This module does not know
where documents come from.

>>> frame([("a.py", "code", "a.py", "x = 1")]).rows()
[('a.py', 'a.py', 'code', 'train', 'x = 1')]
>>> check(frame([])).height
0
"""

import hashlib
from collections.abc import Iterable
from pathlib import PurePath

import polars as pl

from aifactory_lab.errors import DataError

SCHEMA = {"id": pl.String, "path": pl.String, "kind": pl.String, "split": pl.String, "text": pl.String}
KINDS = ("code", "docstring", "prose", "text")
TRAIN, VALID = "train", "valid"
VALID_SHARE = 0.06
# Where both copies of a text are found, the held-out one stays: a loss on what was trained on would measure memory.
ORDER = (pl.col("split") != VALID, pl.col("id"))


def split(path: str, share: float = VALID_SHARE) -> str:
    """Return ``"valid"`` for about so large a share of all paths, by their SHA-256, else ``"train"``.

    Examples
    --------
    >>> [split(f"{letter}.py") for letter in "abc"], split("a.py", share=1.0)
    (['train', 'train', 'train'], 'valid')
    """
    number = int.from_bytes(hashlib.sha256(PurePath(path).as_posix().encode()).digest()[:8])
    return VALID if number < share * 2**64 else TRAIN


def frame(rows: Iterable[tuple[str, str, str, str]]) -> pl.DataFrame:
    """Return a documents frame, sorted by id.

    Parameters
    ----------
    rows
        (id, kind, path, text) of each document; ids shall be unique.
    """
    whole = [(name, path, kind, split(path), text) for name, kind, path, text in rows]
    return pl.DataFrame(whole, schema=SCHEMA, orient="row").sort("id")


def check(documents: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return the five columns of a documents frame, lazy or not, in memory.

    Raises
    ------
    DataError
        If it is no frame, lacks a column, has another type or a null there, or two documents have one id.
    """
    if isinstance(documents, pl.LazyFrame):
        documents = documents.collect()
    wrong = [name for name, dtype in SCHEMA.items() if documents.schema.get(name) != dtype]
    if wrong:
        msg = f"not a documents frame: {', '.join(f'{name} is {documents.schema.get(name)}' for name in wrong)}"
        raise DataError(msg, mend=f"text columns {', '.join(SCHEMA)}; lm.corpus.files(folder) makes them")
    documents = documents.select(list(SCHEMA))
    holes = [name for name in SCHEMA if documents[name].null_count()]
    if holes:
        msg = f"documents have nulls in {', '.join(holes)}"
        raise DataError(msg, mend="documents.drop_nulls()")
    twice = documents.filter(pl.col("id").is_duplicated())["id"]
    if len(twice):
        msg = f"{twice.n_unique()} ids are not unique, for example {twice.sort()[0]!r}"
        raise DataError(msg, mend='documents.unique("id"), or number them: documents.with_row_index()')
    return documents


def digest(documents: pl.DataFrame) -> str:
    """Return the SHA-256 over ids and texts in order of ids, whatever the order of rows; their lengths go first."""
    ordered = documents.select("id", "text").sort("id")
    whole = hashlib.sha256()
    for column in ordered:
        whole.update(column.str.len_bytes().cast(pl.UInt64).to_numpy().tobytes())
        whole.update("".join(column).encode())
    return whole.hexdigest()
