"""Any size from real rows: the flight tables again, one year later with every copy.

Copy `i` has `year + i` and the year digits of `time_hour` moved by `i`, in flights and weather alike, so that
every key stays unique and every join finds the same partners. Planes, airports and airlines are not copied.
One Parquet file per year is streamed into a folder, written aside, renamed and sealed by its sha256; a file
whose seal is broken is made again. Files of an earlier call are reused, whatever number it asked for.

The clock is moved, not recomputed: `time_hour` keeps the UTC offsets of 2013, while the days on which summer
time begins and ends differ from year to year (see the card's quirks).

>>> shift(pl.LazyFrame({"year": [2013], "time_hour": ["2014-01-01T04:00:00Z"]}), 3).collect().rows()
[(2016, '2017-01-01T04:00:00Z')]
"""

import operator
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from aifactory_lab.aside import write_aside, write_text
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.errors import DataError
from aifactory_lab.workspace import file_hash, files_hash

MOVED = ("flights", "weather")
FIRST_YEAR, LAST_YEAR = 2013, 9998  # four digits in the text of `time_hour`, which reaches into the next year
ROW_GROUP = 122_880  # DuckDB's default; stated, so that the same rows make the same bytes on every machine


def multiply(raw: RawMaterial, copies: int, folder: Path) -> RawMaterial:
    """Return the flight tables with `copies` years of flights and weather.

    Parameters
    ----------
    raw
        The tables as published (one year).
    copies
        How many years, from 1.
    folder
        Where the files go: ``<folder>/flights-<source key>/<table>/<table>-<year>.parquet``.

    Raises
    ------
    DataError
        If `copies` is not a whole number from 1, or the folder cannot be written.
    """
    count = check_count(copies)
    if count == 1:
        return raw
    home = folder / f"{raw.name}-{files_hash([path for name in MOVED for path in raw.paths[name]])[:8]}"
    paths = dict(raw.paths)
    for name in MOVED:
        paths[name] = tuple(_year(name, raw[name], index, home / name) for index in range(count))
    return RawMaterial(f"{raw.name} × {count}", paths)


def check_count(copies: int) -> int:
    """Return a valid number of copies.

    Raises
    ------
    DataError
        If it is not a whole number from 1 to the last year with four digits.
    """
    most = LAST_YEAR - FIRST_YEAR + 1
    try:
        count = operator.index(copies)
    except TypeError:
        count = 0
    if not 1 <= count <= most:
        msg = f"copies={copies!r}; it must be a whole number from 1 to {most:,}"
        raise DataError(msg, mend="datasets.load('flights', copies=30)  # 10.1 million rows")
    return count


def shift(table: pl.LazyFrame, years: int) -> pl.LazyFrame:
    """Move a table by whole years: its `year` and the year digits of `time_hour` (UTC text).

    Parameters
    ----------
    table
        A table with the columns `year` (integer) and `time_hour` (``"2013-01-01T10:00:00Z"``).
    years
        By how many; 0 changes nothing.
    """
    moved = (pl.col("time_hour").str.head(4).cast(pl.Int64) + years).cast(pl.String)
    return table.with_columns(
        year=pl.col("year") + years,
        time_hour=pl.concat_str(moved, pl.col("time_hour").str.slice(4)),
    )


def _year(name: str, table: pl.LazyFrame, index: int, folder: Path) -> Path:
    """Return one year's file, making it if it is not there whole."""
    path = folder / f"{name}-{FIRST_YEAR + index}.parquet"
    if not sealed(path):
        try:
            _write(shift(table, index), path)
        except (OSError, pl.exceptions.PolarsError) as error:
            msg = f"{path} cannot be written: {error}"
            raise DataError(msg, mend="datasets.load('flights', copies=…, folder='/a/folder/with/space')") from error
    return path


def _write(table: pl.LazyFrame, path: Path) -> None:
    """Write the file, then its seal: a kill between the two leaves a file that is not believed."""
    _seal_of(path).unlink(missing_ok=True)
    with write_aside(path) as aside:
        table.sink_parquet(aside, compression="zstd", row_group_size=ROW_GROUP, engine="streaming")
        digest = file_hash(aside)
    write_text(_seal_of(path), f"{digest}  {path.name}\n")


def sealed(path: Path) -> bool:
    """Tell whether a file is there and still has the sha256 that was noted when it was written.

    The seal is in the form of `sha256sum`, so ``sha256sum -c *.sha256`` checks a folder by hand.
    """
    try:
        return _seal_of(path).read_text() == f"{file_hash(path)}  {path.name}\n"
    except (OSError, UnicodeDecodeError):
        return False


def _seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def rows(tables: Mapping[str, Sequence[Path]]) -> dict[str, int]:
    """Return the rows of Parquet tables from their footers, without reading them."""
    return {name: sum(_footer_rows(path) for path in files) for name, files in tables.items()}


def _footer_rows(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
