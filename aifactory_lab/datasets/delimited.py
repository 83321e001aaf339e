r"""What a CSV file does not say of itself: its separator, its types, its word for "missing".

A column of numbers in which one word stands for a missing value (`NA` as R writes it, `NULL`, `?`) is a column of
numbers; in a column of text the same word stays text, for NA is also Namibia. This module looks at one file.

>>> import tempfile
>>> path = Path(tempfile.mkdtemp()) / "a.csv"
>>> _ = path.write_text("country;delay\nNA;3\nDE;NA\n")
>>> separator(path), look(path, None, 100)
(';', Columns(types={'country': String, 'delay': Int64}, marks={'delay': 'NA'}))
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from aifactory_lab.errors import DataError

SEPARATORS = ",;\t|"
UTF8_MARK = b"\xef\xbb\xbf"
MISSING = ("NA", "N/A", "NULL", "null", "None", "\\N", "?", "-", "#N/A")
Schema = dict[str, pl.DataType]


@dataclass(frozen=True)
class Columns:
    """Columns with their types (`pl.Null` where no value was seen), and the words for missing numbers."""

    types: Schema
    marks: Mapping[str, str] = field(default_factory=dict)


def look(path: Path, rows: int | None, sample: int) -> Columns:
    """Infer a CSV file's columns.

    Parameters
    ----------
    path
        The file.
    rows
        From how many rows to infer the types; None for all.
    sample
        How many rows to look at for words that stand for missing numbers.
    """
    divider = separator(path)
    head = pl.scan_csv(path, separator=divider, infer_schema_length=rows, glob=False).head(sample).collect()
    types: Schema = {c.name: pl.Null() if _unseen(c, whole=head.height < sample) else c.dtype for c in head}
    if not (marks := {c.name: mark for c in head if (mark := _mark(c))}):
        return Columns(types)
    marked = pl.scan_csv(path, separator=divider, infer_schema_length=rows, null_values=marks, glob=False)
    numbers = {name: type_ for name, type_ in marked.collect_schema().items() if name in marks and type_.is_numeric()}
    types |= numbers
    return Columns(types, {name: mark for name, mark in marks.items() if name in numbers or types[name] == pl.Null})


def separator(path: Path) -> str:
    """Return what separates the fields of a CSV file, by its header line: comma, semicolon, tab or bar.

    Raises
    ------
    DataError
        If the file is not UTF-8 text.
    """
    with path.open("rb") as stream:
        line = stream.readline(1 << 20)
    try:
        header = line.removeprefix(UTF8_MARK).decode()
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text (byte {error.start} of its first line)"
        mend = f"iconv -f UTF-16 -t UTF-8 '{path}' > utf8.csv  # or -f WINDOWS-1252"
        raise DataError(msg, mend=mend) from error
    outside_quotes = "".join(header.split('"')[::2])
    return max(SEPARATORS, key=outside_quotes.count)


def _unseen(column: pl.Series, *, whole: bool) -> bool:
    """Tell whether a column has no value, or (in a file that was seen whole) nothing but one word for missing."""
    if column.dtype != pl.String:
        return False
    words = column.drop_nulls().unique()
    return words.is_empty() or (whole and words.len() == 1 and words[0] in MISSING)


def _mark(column: pl.Series) -> str:
    """Return the one word among the numbers of a text column; "NA" if it must come later; "" if it is text."""
    if column.dtype != pl.String or column.null_count() == column.len():
        return ""
    values = column.drop_nulls()
    words = values.filter(values.cast(pl.Float64, strict=False).is_null()).unique()
    word = str(words[0]) if words.len() else MISSING[0]
    return word if words.len() < 2 and word in MISSING else ""
