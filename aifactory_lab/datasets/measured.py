"""What the flights card says in numbers, measured from the files: a card that cannot lie.

Each function returns one block of `datasets/flights/README.md`; ``python -m aifactory_lab.datasets.measured``
writes them between the card's marks. The words around them are in the card itself, meanings and units in
`columns.csv` beside it.

>>> print(sizes(places.vendored("flights")).splitlines()[2])
| flights | 336,776 | 19 |
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from aifactory_lab.aside import write_text
from aifactory_lab.datasets import places
from aifactory_lab.datasets.copies import shift
from aifactory_lab.workspace import file_hash

TABLES = ("flights", "weather", "planes", "airports", "airlines")
FLIGHT_KEY = ("year", "month", "day", "carrier", "flight", "origin")
KEYS = {
    "flights": FLIGHT_KEY,
    "weather": ("origin", "time_hour"),
    "planes": ("tailnum",),
    "airports": ("faa",),
    "airlines": ("carrier",),
}
JOINS = {  # table: (columns of flights, columns of the table)
    "weather": (("origin", "time_hour"), ("origin", "time_hour")),
    "planes": (("tailnum",), ("tailnum",)),
    "airports": (("dest",), ("faa",)),
    "airlines": (("carrier",), ("carrier",)),
}
LATE = pl.col("arr_delay") > 15
LAST_TRAINING_MONTH = 9


def sizes(folder: Path) -> str:
    """Return rows and columns of every table."""
    frames = {name: _read(folder, name) for name in TABLES}
    return _table(("table", "rows", "columns"), [(name, f"{f.height:,}", f"{f.width}") for name, f in frames.items()])


def columns(folder: Path) -> str:
    """Return one table per file: column, type, unit, missing share, meaning."""
    words = pl.read_csv(folder / "columns.csv").fill_null("")
    return "\n\n".join(_columns_of(_read(folder, name), name, words.filter(table=name)) for name in TABLES)


def _columns_of(frame: pl.DataFrame, name: str, words: pl.DataFrame) -> str:
    said = {row["column"]: row for row in words.iter_rows(named=True)}
    lines = [
        (f"`{c.name}`", f"{c.dtype}", said[c.name]["unit"], _share(c.null_count(), c.len()), said[c.name]["meaning"])
        for c in frame
    ]
    return f"### {name}\n\n" + _table(("column", "type", "unit", "missing", "meaning"), lines)


def keys(folder: Path) -> str:
    """Return each table's key, whether it is unique, and the share of flights that find a partner."""
    flights = _read(folder, "flights")
    lines = []
    for name, key in KEYS.items():
        table = _read(folder, name)
        repeated = table.height - table.unique(key).height
        lines.append((name, " + ".join(f"`{c}`" for c in key), f"{repeated:,}", _coverage(flights, table, name)))
    return _table(("table", "key", "rows that repeat it", "flights that find a partner"), lines)


def _coverage(flights: pl.DataFrame, table: pl.DataFrame, name: str) -> str:
    if name not in JOINS:
        return "—"
    left, right = JOINS[name]
    found = flights.join(table, left_on=left, right_on=right, how="semi").height
    return f"{found:,} ({found / flights.height:.1%})"


def quirks(folder: Path) -> str:
    """Return what surprises in these tables, each with its count."""
    flights, weather, planes, airports = (_read(folder, name) for name in TABLES[:4])
    lines = (
        *_of_flights(flights, airports),
        *_of_joins(flights, weather, planes),
        *_of_others(flights, weather, airports),
    )
    return "\n".join(f"- {line}" for line in lines)


def _of_flights(flights: pl.DataFrame, airports: pl.DataFrame) -> list[str]:
    cancelled = flights["dep_time"].null_count()
    diverted = flights.filter(pl.col("dep_time").is_not_null() & pl.col("arr_delay").is_null()).height
    midnight = flights.filter((pl.col("dep_time") == 2400) | (pl.col("arr_time") == 2400)).height
    unplaced = flights.join(airports, left_on="dest", right_on="faa", how="anti")
    places_ = ", ".join(sorted(unplaced["dest"].unique()))
    next_year = flights.filter(pl.col("time_hour").str.head(4).cast(pl.Int64) > pl.col("year")).height
    known = flights.drop_nulls("tailnum")
    ties = known.height - known.unique(["tailnum", "year", "month", "day", "sched_dep_time"]).height
    return [
        f"**{cancelled:,} flights were cancelled** (no `dep_time`); {diverted:,} more left but have no `arr_delay` "
        "(diverted, or not recorded).",
        f"**Clock times are local HHMM integers**, not minutes: 517 is 5:17. {midnight:,} flights say 2400 for "
        "midnight. `arr_time` is in the destination's zone and may be on the next day.",
        f"`time_hour` is UTC, as text: {next_year:,} flights of the evening of 31 December lie in the next year there.",
        f"{unplaced.height:,} flights go to airports that are not in `airports` ({places_}: Puerto Rico and the Virgin "
        "Islands).",
        f"{ties:,} flights share tail number and scheduled departure with another: an order by these two alone is not "
        "total, and engines will differ in what the previous flight was.",
        f"Flight numbers are not unique in a day: {flights.height - flights.unique(FLIGHT_KEY[:-1]).height:,} rows "
        "repeat date, carrier and number (from another airport).",
    ]


def _of_joins(flights: pl.DataFrame, weather: pl.DataFrame, planes: pl.DataFrame) -> list[str]:
    without_plane = flights.drop_nulls("tailnum").join(planes, on="tailnum", how="anti")
    mostly = without_plane.filter(pl.col("carrier").is_in(["AA", "MQ"])).height
    no_weather = flights.join(weather, on=["origin", "time_hour"], how="anti")
    last_days = no_weather.filter((pl.col("month") == 12) & (pl.col("day") >= 30)).height
    local_key = ["origin", "year", "month", "day", "hour"]
    return [
        f"`year` means two things: of the flight, and built (in `planes`, {planes['year'].null_count():,} missing).",
        f"{without_plane.height:,} flights have a tail number that `planes` does not know, {mostly:,} of them of "
        "American Airlines and Envoy Air (AA, MQ), which report fleet numbers: missing, but not at random.",
        f"{no_weather.height:,} flights have no weather, {last_days:,} of them on 30 and 31 December, where it ends.",
        f"The local hour is no key of `weather`: {weather.height - weather.unique(local_key).height:,} rows repeat it "
        "(the night on which summer time ends). Join on `time_hour`.",
    ]


def _of_others(flights: pl.DataFrame, weather: pl.DataFrame, airports: pl.DataFrame) -> list[str]:
    storm = weather.filter(pl.col("wind_speed") > 200)
    abroad = airports.filter(pl.col("tzone").str.starts_with("Asia/"))
    moved = _moved_hours(flights.lazy())
    return [
        f"{storm.height:,} weather row has a `wind_speed` of {storm['wind_speed'].sum():,.0f} mph, which no wind has.",
        f"{abroad.height:,} airports ({', '.join(abroad['faa'].sort())}) lie in China: `lon` lost its sign, and `tz` "
        "followed.",
        f"`copies=` moves the year, not the clock: in the copy of 2014, {moved:,} flights have a `time_hour` one hour "
        "off from their local `hour`, because summer time begins and ends on other days. Compute instants from "
        "`time_hour`.",
    ]


def _moved_hours(flights: pl.LazyFrame) -> int:
    """Count the flights of the first copy whose local hour and UTC hour disagree."""
    local = pl.datetime("year", "month", "day", "hour").dt.replace_time_zone(
        "America/New_York", ambiguous="earliest", non_existent="null"
    )
    instant = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    return shift(flights, 1).filter(local.dt.convert_time_zone("UTC") != instant).collect().height


def target(folder: Path) -> str:
    """Return the number of labelled flights and the share of late ones."""
    labelled = _read(folder, "flights").drop_nulls("arr_delay")
    return f"{labelled.height:,} flights have a label; {_mean(labelled):.1%} are late."


def split(folder: Path) -> str:
    """Return rows and late share on both sides of the temporal split."""
    labelled = _read(folder, "flights").drop_nulls("arr_delay")
    early = pl.col("month") <= LAST_TRAINING_MONTH
    sides = {"train (1–9)": labelled.filter(early), "test (10–12)": labelled.filter(~early)}
    return _table(("side", "flights", "late"), [(n, f"{f.height:,}", f"{_mean(f):.1%}") for n, f in sides.items()])


def scores(folder: Path) -> str:
    """Return the area under the ROC curve of the public baseline and of the least honest model."""
    from aifactory_lab.datasets.scores import HONEST, PUBLIC, auc, flights_with_weather

    flights = flights_with_weather(folder)
    lines = [
        ("public baseline", PUBLIC.target, ", ".join((*PUBLIC.numbers, *PUBLIC.codes)), "random 3 : 1"),
        ("schedule only", HONEST.target, ", ".join((*HONEST.numbers, *HONEST.codes)), "by time"),
    ]
    found = [(*line, f"{auc(flights, score):.3f}") for line, score in zip(lines, (PUBLIC, HONEST), strict=True)]
    late = flights.select(pl.sql_expr(PUBLIC.target).mean()).item()
    population = (
        f"{flights.height:,} flights that arrived and have weather; {late:.2%} of them are 30 minutes late or more."
    )
    return f"{population}\n\n" + _table(("logistic regression", "target", "features", "split", "ROC AUC"), found)


def sums(folder: Path) -> str:
    """Return the sha256 of every file."""
    return _table(("file", "sha256"), [(f"{n}.parquet", f"`{file_hash(folder / f'{n}.parquet')}`") for n in TABLES])


BLOCKS: dict[str, Callable[[Path], str]] = {
    block.__name__: block for block in (sizes, columns, keys, quirks, target, split, scores, sums)
}


def measure(text: str, folder: Path) -> str:
    """Return the card's text with every measured block written anew from the files of `folder`."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- measured: {match[1]} -->\n\n{BLOCKS[match[1]](folder)}\n\n<!-- end -->"

    return re.sub(r"<!-- measured: (\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


def _read(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / f"{name}.parquet")


def _mean(labelled: pl.DataFrame) -> float:
    return float(labelled.select(LATE.mean()).item())


def _share(part: int, whole: int) -> str:
    if 0 < part / whole < 0.0001:
        return "< 0.01%"
    return f"{part / whole:.2%}" if part else "0"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    home = places.vendored("flights")
    write_text(home / "README.md", measure((home / "README.md").read_text(), home))
    sys.stdout.write(f"{home / 'README.md'} was measured again\n")
