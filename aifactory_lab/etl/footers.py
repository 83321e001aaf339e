"""What a data file says of itself without its rows being read: columns, types, row count, value ranges.

A Parquet file keeps these in its footer; a CSV or JSON-lines file shows names and guessed types in its first
rows. A file that cannot even say that is damaged, and `DamagedError` says how. This module does not know what
anyone expects of a file.

>>> from aifactory_lab import datasets
>>> flights = describe(datasets.load("flights").paths["flights"][0])
>>> flights.rows, str(flights.schema["year"]), flights.ranges["year"].maximum
(336776, 'Int64', 2013)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.datasets import formats
from aifactory_lab.errors import DataError

MAGIC = b"PAR1"  # first and last four bytes: https://parquet.apache.org/docs/file-format/
# What reading a damaged file may raise; a panic in Polars' reader is none of its own errors.
BROKEN = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, DataError)


@dataclass(frozen=True)
class Range:
    """Least and greatest value and the number of nulls of one column."""

    minimum: Any
    maximum: Any
    nulls: int


@dataclass(frozen=True)
class Footer:
    """A readable file's own description; `rows` is `None` and `ranges` empty where that needs a full read."""

    path: Path
    schema: Mapping[str, pl.DataType]
    rows: int | None
    ranges: Mapping[str, Range] = field(default_factory=dict)


class DamagedError(Exception):
    """The file cannot be read as what its name says; the text is what was found instead."""


def scan(path: Path) -> pl.LazyFrame:
    """Open one file lazily, as raw material is opened."""
    return formats.scan([path])


def describe(path: Path) -> Footer:
    """Return what the file says of itself.

    Raises
    ------
    DamagedError
        If the file is missing, empty, cut off or of another format.
    """
    if not path.is_file():
        found = "no such file"
        raise DamagedError(found)
    if path.stat().st_size == 0:
        found = "an empty file (0 bytes)"
        raise DamagedError(found)
    try:
        kind = formats.format_of([path])
    except DataError as error:
        raise DamagedError(error.what) from error
    return _parquet(path) if kind == "parquet" else _text(path, kind)


def _parquet(path: Path) -> Footer:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _look_at_ends(path)
    try:
        metadata = pq.read_metadata(path)
        schema = pl.read_parquet_schema(path)
    except (pa.ArrowException, *BROKEN) as error:
        found = f"a damaged footer ({first_line(error)})"
        raise DamagedError(found) from error
    return Footer(path, schema, metadata.num_rows, _ranges(metadata))


def _look_at_ends(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(max(0, path.stat().st_size - 4))
        tail = stream.read(4)
    if head != MAGIC:
        found = f"a file of another format (it begins with {head!r})"
        raise DamagedError(found)
    if tail != MAGIC or path.stat().st_size < 12:
        found = f"a file cut off at {path.stat().st_size:,} bytes (its end is not {MAGIC!r})"
        raise DamagedError(found)


def _text(path: Path, kind: str) -> Footer:
    try:
        schema = formats.schema(path)
        rows = None if scan(path).head(1).collect().height else 0
    except BROKEN as error:
        found = f"text that cannot be read as {kind} ({first_line(error)})"
        raise DamagedError(found) from error
    return Footer(path, schema, rows)


def _ranges(metadata: Any) -> dict[str, Range]:
    """Merge the statistics of all row groups; a column with a gap in them is left out."""
    ranges: dict[str, Range] = {}
    for index in range(metadata.num_columns):
        chunks = [metadata.row_group(group).column(index) for group in range(metadata.num_row_groups)]
        statistics = [chunk.statistics for chunk in chunks]
        if statistics and all(s is not None and s.has_null_count for s in statistics):
            known = [s for s in statistics if s.has_min_max]
            if len(known) == len(statistics):
                ranges[chunks[0].path_in_schema] = Range(
                    min(s.min for s in known), max(s.max for s in known), sum(s.null_count for s in statistics)
                )
    return ranges


def first_line(error: BaseException) -> str:
    """Return what an error says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
