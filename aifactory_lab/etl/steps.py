"""The plain steps of the flights recipe: times, calendar, planes, the hour at the origin, the label.

A step takes the flights so far and the raw tables, and returns the flights with more columns; none of them
drops or duplicates a row, except `label`, which keeps the flights whose outcome is known. Instants are whole
minutes since 1970 UTC (Int64): exact, cheap to compare, and the same on every engine. What happened before
what stands in `history`; this module looks at one flight at a time.

>>> import polars as pl
>>> pl.DataFrame({"hhmm": [5, 517, 2359, 2400]}).select(minute_of_day(pl.col("hhmm"))).to_series().to_list()
[5, 317, 1439, 0]
"""

from collections.abc import Mapping

import polars as pl

Tables = Mapping[str, pl.LazyFrame]
DAY = 24 * 60  # minutes
LATE_MINUTES = 15  # a flight is late if it arrives more than 15 minutes after schedule (US DOT: 15 or more)
TRAIN_MONTHS = 9  # January to September train, October to December test
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
WEATHER = {
    "temperature": "temp",
    "humidity": "humid",
    "wind_speed": "wind_speed",
    "wind_gust": "wind_gust",
    "precipitation": "precip",
    "pressure": "pressure",
    "visibility": "visib",
}


def minute_of_day(hhmm: pl.Expr) -> pl.Expr:
    """Return minutes after midnight of an HHMM clock reading; 2400 is midnight."""
    return (hhmm // 100 * 60 + hhmm % 100) % DAY


def hours_utc(text: pl.Expr) -> pl.Expr:
    """Return hours since 1970 of texts like 2013-01-01T10:00:00Z."""
    instant = text.str.to_datetime(TIME_FORMAT, time_unit="us", cache=False)
    return instant.cast(pl.Int64) // 3_600_000_000


def instant(minutes: pl.Expr) -> pl.Expr:
    """Return minutes since 1970 as a Datetime in UTC."""
    return (minutes * 60_000_000).cast(pl.Datetime("us", "UTC"))


def repair_times(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:  # noqa: ARG001
    """Turn local HHMM clocks into instants (minutes, UTC) and flag what never flew.

    Adds `hour_utc`; `scheduled`, `left`, `landed` (scheduled and actual departure, actual arrival at the
    gate; null if it never happened); `block`, the scheduled minutes from gate to gate; `cancelled`,
    `diverted`. The origin's offset from UTC, daylight saving included, follows from `hour` against
    `time_hour`; the destination's from its standard offset and the origin's daylight saving.
    """
    flights = flights.with_columns(hours_utc(pl.col("time_hour")).alias("hour_utc"))
    flights = flights.with_columns((pl.col("hour_utc") * 60 + pl.col("minute")).alias("scheduled"), _block())
    left = pl.col("scheduled") + pl.col("dep_delay")
    landed = pl.col("scheduled") + pl.col("block") + pl.col("arr_delay")
    return flights.with_columns(
        left.alias("left"),
        landed.alias("landed"),
        pl.col("dep_time").is_null().alias("cancelled"),
        (pl.col("dep_time").is_not_null() & pl.col("arr_delay").is_null()).alias("diverted"),
    )


def _block() -> pl.Expr:
    """Scheduled minutes from gate to gate: the clock difference less the difference of the two clocks."""
    origin_offset = (pl.col("hour") - pl.col("hour_utc") % 24 + 36) % 24 - 12  # hours, in [-12, 12)
    saving = (origin_offset - pl.col("origin_tz")).clip(0, 1)
    dest_offset = pl.col("dest_tz") + pl.when(pl.col("dest_dst") == "A").then(saving).otherwise(0)
    clocks = minute_of_day(pl.col("sched_arr_time")) - minute_of_day(pl.col("sched_dep_time"))
    return ((clocks - (dest_offset - origin_offset) * 60 + DAY) % DAY).alias("block")


def add_calendar(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:  # noqa: ARG001
    """Add what a timetable says: the local hour, the weekday, and the speed that the schedule demands."""
    local = minute_of_day(pl.col("sched_dep_time"))
    # 1970-01-01 was a Thursday; the local date is the UTC instant less the clock's lag behind UTC.
    local_day = (pl.col("scheduled") - local + DAY // 2) // DAY
    return flights.with_columns(
        (local / 60).alias("local_hour"),
        ((local_day + 3) % 7 + 1).alias("weekday"),
        (pl.col("distance_miles") / pl.col("block") * 60).alias("schedule_speed"),
    )


def join_planes(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Add the plane's seats and engines, and its age in years; null where the registry does not know the tail.

    Both tables have a column `year`: of the flight, and in which the plane was built.
    """
    planes = tables["planes"].select("tailnum", pl.col("year").alias("built"), "seats", "engines")
    age = (pl.col("year") - pl.col("built")).alias("plane_age")
    return flights.join(planes, on="tailnum", how="left").with_columns(age)


def origin_hours(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Return one row per (origin, hour): scheduled departures around it, and the weather one hour before.

    The timetable is known in advance, so the hour after may be looked at. A weather row of an hour holds the
    rain of that whole hour, so only the row of the hour before is known to every departure in this one.
    """
    counts = flights.group_by("origin", "hour_utc").agg(pl.len().cast(pl.Int64).alias("departures_hour"))
    before = counts.select("origin", pl.col("hour_utc") + 1, pl.col("departures_hour").alias("departures_before"))
    after = counts.select("origin", pl.col("hour_utc") - 1, pl.col("departures_hour").alias("departures_after"))
    key = ["origin", "hour_utc"]
    return (
        counts.join(before, on=key, how="left")
        .join(after, on=key, how="left")
        .with_columns(pl.col("departures_before", "departures_after").fill_null(0))
        .join(observations(tables["weather"]), on=key, how="left")
    )


def observations(weather: pl.LazyFrame) -> pl.LazyFrame:
    """Return the weather under the hour in which it is known: the one after it was recorded."""
    known = (hours_utc(pl.col("time_hour")) + 1).alias("hour_utc")
    return weather.select("origin", known, *(pl.col(raw).alias(name) for name, raw in WEATHER.items()))


def join_origin_hours(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Add congestion and weather at the origin, joined once from the small table of origin-hours."""
    return flights.join(origin_hours(tables["log"], tables), on=["origin", "hour_utc"], how="left")


def label(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:  # noqa: ARG001
    """Keep the flights whose arrival is known; add `late` (Int8), `split` and the key `sched_dep`."""
    split = pl.when(pl.col("month") <= TRAIN_MONTHS).then(pl.lit("train")).otherwise(pl.lit("test"))
    return flights.filter(pl.col("arr_delay").is_not_null()).with_columns(
        instant(pl.col("scheduled")).alias("sched_dep"),
        (pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int8).alias("late"),
        split.alias("split"),
    )
