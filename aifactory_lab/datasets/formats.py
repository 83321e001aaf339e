r"""The formats that can be read: Parquet, CSV, JSON lines; one table over many files.

Text formats carry no types. They are inferred from every file (from its first rows, where it is large) and
unified: a column that is whole in one file and fractional in another is fractional, an empty one takes the
other's type, so that twelve monthly files make one table. What cannot be unified is an error that names file
and column. A word such as NA stays text (it is also Namibia): the contract of `etl` says where one stands among
numbers. This module does not know where files come from.

>>> import tempfile
>>> from pathlib import Path
>>> folder = Path(tempfile.mkdtemp())
>>> first, second = folder / "a.csv", folder / "b.csv"
>>> first.write_text("when;late\n1;3\n"), second.write_text("when;late\n2;0.5\n")
(14, 16)
>>> scan((first, second)).collect().rows()
[(1, 3.0), (2, 0.5)]
"""

import glob
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import DataError

SAMPLE_ROWS = 10_000
WHOLE_BYTES = 64 << 20  # up to this size the types come from all rows (about one CPU-second), above it from the sample
SEPARATORS = ",;\t|"
UTF8_MARK = b"\xef\xbb\xbf"
SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
CONVERSIONS = {
    ".json": "pl.read_json('{}').write_ndjson('{}.jsonl')",
    ".xlsx": "pl.read_excel('{}').write_parquet('{}.parquet')",
    ".tsv": "pl.scan_csv('{}', separator='\\t').sink_parquet('{}.parquet')",
    ".txt": "pl.scan_csv('{}').sink_parquet('{}.parquet')",
    ".arrow": "pl.scan_ipc('{}').sink_parquet('{}.parquet')",
    ".feather": "pl.scan_ipc('{}').sink_parquet('{}.parquet')",
    ".gz": "gunzip --keep '{}'",
    ".zip": "unzip '{}'",
}
Schema = dict[str, pl.DataType]


def scan(files: Sequence[Path]) -> pl.LazyFrame:
    """Open files of one format as one lazy table.

    Raises
    ------
    DataError
        If a file is missing, empty, damaged, of another format, or does not have the columns of the first.
    """
    kind = format_of(files)
    types: Any = unify(files)
    if kind == "parquet":
        return pl.scan_parquet(list(files), glob=False)
    if kind == "csv":
        return pl.scan_csv(list(files), separator=_separator(files), schema_overrides=types, glob=False)
    return pl.scan_ndjson(_literal(files), schema_overrides=types)


def format_of(files: Sequence[Path]) -> str:
    """Return the one format of these files: ``"parquet"``, ``"csv"`` or ``"jsonl"``."""
    for path in files:
        if path.suffix.lower() not in SUFFIXES:
            msg = f"{path} has the suffix {path.suffix!r}; readable are {', '.join(SUFFIXES)}"
            raise DataError(msg, mend=_conversion(path))
    kinds = {SUFFIXES[path.suffix.lower()]: path for path in files}
    if len(kinds) > 1:
        shown = ", ".join(f"{path.name} ({kind})" for kind, path in kinds.items())
        msg = f"one table cannot mix formats; found {shown}"
        raise DataError(msg, mend=f"datasets.load('{files[0].parent}/*{files[0].suffix}')")
    return next(iter(kinds))


def unify(files: Sequence[Path]) -> Schema:
    """Return the columns and types that all files share; a column without any value anywhere is text.

    Raises
    ------
    DataError
        Naming the first file and column that does not fit, with the type expected and the type found.
    """
    expected: Schema = {}
    for path in files:
        found = dict(schema(path))
        if expected and (wrong := _other_columns(expected, found)):
            msg = f"{path} {wrong}, unlike {files[0].name}; the files of one table must have the same columns"
            raise DataError(msg, mend=_separate(files))
        for column, type_ in found.items():
            common = _common(expected.get(column, type_), type_, lenient=format_of([path]) != "parquet")
            if common is None:
                msg = f"{path}, column {column!r}: expected {expected[column]} as in {files[0].name}, found {type_}"
                raise DataError(msg, mend=_separate(files))
            expected[column] = common
    return {name: pl.String() if type_ == pl.Null else type_ for name, type_ in expected.items()}


def schema(path: Path) -> Mapping[str, pl.DataType]:
    """Return one file's columns and types; `pl.Null` stands for a column without values in the first rows.

    Raises
    ------
    DataError
        If the file is missing, empty or damaged.
    """
    try:
        status = path.stat()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise DataError(msg) from error
    if status.st_size == 0:
        msg = f"{path} is empty (0 bytes)"
        raise DataError(msg, mend=f"rm '{path}'  # or make it again")
    return _schema(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _schema(path: Path, size: int, _changed: int) -> Mapping[str, pl.DataType]:
    """Read the types once for each state of a file: tables are opened often."""
    kind = format_of([path])
    rows = None if size <= WHOLE_BYTES else SAMPLE_ROWS
    try:
        if kind == "parquet":
            return dict(pl.scan_parquet(path, glob=False).collect_schema())
        if kind == "csv":
            table = pl.scan_csv(path, separator=separator(path), infer_schema_length=rows, glob=False)
        else:
            table = pl.scan_ndjson(_literal([path]), infer_schema_length=rows)
        head = table.head(SAMPLE_ROWS).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        msg = f"{path} cannot be read as {kind}: {reason}"
        raise DataError(msg, mend="repair the file, or make or fetch it again") from error
    return {c.name: pl.Null() if c.null_count() == head.height and c.dtype == pl.String else c.dtype for c in head}


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


def _separator(files: Sequence[Path]) -> str:
    first = separator(files[0])
    for path in files:
        if (found := separator(path)) != first:
            msg = f"{path}: expected fields separated by {first!r} as in {files[0].name}, found {found!r}"
            raise DataError(msg, mend=_separate(files))
    return first


def _literal(files: Sequence[Path]) -> list[str]:
    """Escape brackets and stars in file names: `scan_ndjson` has no ``glob=False``."""
    return [glob.escape(str(path)) for path in files]


def _common(expected: pl.DataType, found: pl.DataType, *, lenient: bool) -> pl.DataType | None:
    """Return the type that holds both, or None; Parquet declares its types, so there nothing is widened."""
    if expected == found or (lenient and found == pl.Null):
        return expected
    if lenient and expected == pl.Null:
        return found
    numbers = expected.is_numeric() and found.is_numeric()
    return pl.Float64() if lenient and numbers else None


def _other_columns(expected: Schema, found: Schema) -> str:
    if missing := [name for name in expected if name not in found]:
        return f"has no column {missing[0]!r}"
    if extra := [name for name in found if name not in expected]:
        return f"has a column {extra[0]!r} more"
    if list(expected) != list(found):
        return f"has its columns in another order ({', '.join(found)})"
    return ""


def _separate(files: Sequence[Path]) -> str:
    tables = {path.stem: str(path) for path in files[:3]}
    return f"datasets.load({tables})  # as tables of their own"


def _conversion(path: Path) -> str:
    convert = CONVERSIONS.get(path.suffix.lower(), "save it as .parquet, .csv or .jsonl")
    return convert.format(path, path.with_suffix(""))
