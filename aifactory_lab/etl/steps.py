"""The plain steps of the flights recipe: times, calendar, planes, the hour at the origin, the label.

Every step reads tables and makes one. None of those that make `flights` drops or duplicates a row, except
`label`, which keeps the flights whose outcome is known. Instants are whole minutes since 1970 UTC (Int64):
exact, cheap to compare, and the same on every engine. What happened before what stands in `history`; this
module looks at the timetable.

>>> import polars as pl
>>> pl.DataFrame({"hhmm": [5, 517, 2359, 2400]}).select(minute_of_day(pl.col("hhmm"))).to_series().to_list()
[5, 317, 1439, 0]
"""

from collections.abc import Mapping

import polars as pl

from aifactory_lab.etl.geography import distance

Tables = Mapping[str, pl.LazyFrame]
DAY = 24 * 60  # minutes
LATE_MINUTES = 15  # a flight is late if it arrives more than 15 minutes after schedule
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

LOG = (
    *("year", "month", "hour", "carrier", "flight", "tailnum", "origin", "dest", "dep_delay", "arr_delay"),
    *("hour_utc", "scheduled", "left", "landed", "block", "local_hour", "weekday", "distance_miles", "schedule_speed"),
)


def minute_of_day(hhmm: pl.Expr) -> pl.Expr:
    """Return minutes after midnight of an HHMM clock reading; 2400 is midnight."""
    return (hhmm // 100 * 60 + hhmm % 100) % DAY


def hours_utc(text: pl.Expr) -> pl.Expr:
    """Return hours since 1970 of texts like 2013-01-01T10:00:00Z."""
    return text.str.to_datetime(TIME_FORMAT, time_unit="us", cache=False).cast(pl.Int64) // 3_600_000_000


def instant(minutes: pl.Expr) -> pl.Expr:
    """Return minutes since 1970 as a Datetime in UTC."""
    return (minutes * 60_000_000).cast(pl.Datetime("us", "UTC"))


def repair_times(tables: Tables) -> pl.LazyFrame:
    """Turn local HHMM clocks into instants (minutes, UTC) and flag what never flew.

    Adds `hour_utc`; `scheduled`, `left`, `landed` (scheduled and actual departure, actual arrival at the
    gate; null if it never happened); `block`, the scheduled minutes from gate to gate; `cancelled`,
    `diverted`. The origin's offset from UTC, daylight saving included, follows from `hour` against
    `time_hour`; the destination's from its standard offset and the origin's daylight saving.
    """
    flights = tables["flights"].join(tables["routes"], on=["origin", "dest"], how="left")
    flights = flights.with_columns(hours_utc(pl.col("time_hour")).alias("hour_utc"))
    flights = flights.with_columns((pl.col("hour_utc") * 60 + pl.col("minute")).alias("scheduled"), _block())
    return flights.with_columns(
        (pl.col("scheduled") + pl.col("dep_delay")).alias("left"),
        (pl.col("scheduled") + pl.col("block") + pl.col("arr_delay")).alias("landed"),
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


def add_calendar(tables: Tables) -> pl.LazyFrame:
    """Add what a timetable says: local hour and weekday, the checked distance, and the speed that it demands."""
    local = minute_of_day(pl.col("sched_dep_time"))
    # Minute 0 of the local day, give or take the clock's offset from UTC (under half a day), in whole days.
    local_day = (pl.col("scheduled") - local + DAY // 2) // DAY
    flights = tables["flights"].with_columns(
        (local / 60).alias("local_hour"),
        ((local_day + 3) % 7 + 1).alias("weekday"),  # 1970-01-01 was a Thursday
        *distance("distance", "great_circle_miles"),
    )
    return flights.with_columns((pl.col("distance_miles") / pl.col("block") * 60).alias("schedule_speed"))


def log(tables: Tables) -> pl.LazyFrame:
    """Keep what later steps read: they read it many times."""
    return tables["flights"].select(LOG)


def observations(tables: Tables) -> pl.LazyFrame:
    """Return the weather by origin and the hour in which it is known: the one after it was recorded.

    A row of the weather table holds the rain of its whole hour, so a departure early in that hour would look
    into the future; the row of the hour before is known to every departure.
    """
    known = (hours_utc(pl.col("time_hour")) + 1).alias("hour_utc")
    return tables["weather"].select("origin", known, *(pl.col(raw).alias(name) for name, raw in WEATHER.items()))


def congestion(tables: Tables) -> pl.LazyFrame:
    """Return scheduled departures by origin and hour, and in the hours before and after, beside the weather.

    The timetable is known in advance, so the hour after may be looked at.
    """
    counts = tables["flights"].group_by("origin", "hour_utc").agg(pl.len().cast(pl.Int64).alias("departures_hour"))
    before = counts.select("origin", pl.col("hour_utc") + 1, pl.col("departures_hour").alias("departures_before"))
    after = counts.select("origin", pl.col("hour_utc") - 1, pl.col("departures_hour").alias("departures_after"))
    key = ["origin", "hour_utc"]
    hours = counts.join(before, on=key, how="left").join(after, on=key, how="left")
    hours = hours.with_columns(pl.col("departures_before", "departures_after").fill_null(0))
    return hours.join(tables["observations"], on=key, how="left")


def join_planes(tables: Tables) -> pl.LazyFrame:
    """Add the plane's seats and engines, and its age in years; null where the registry does not know the tail.

    Both tables have a column `year`: of the flight, and in which the plane was built.
    """
    planes = tables["planes"].select("tailnum", pl.col("year").alias("built"), "seats", "engines")
    age = (pl.col("year") - pl.col("built")).alias("plane_age")
    return tables["flights"].join(planes, on="tailnum", how="left").with_columns(age)


def label(tables: Tables) -> pl.LazyFrame:
    """Keep the flights whose arrival is known; add `late` (Int8), `split` and the key `sched_dep`."""
    split = pl.when(pl.col("month") <= TRAIN_MONTHS).then(pl.lit("train")).otherwise(pl.lit("test"))
    return (
        tables["flights"]
        .filter(pl.col("arr_delay").is_not_null())
        .with_columns(
            instant(pl.col("scheduled")).alias("sched_dep"),
            (pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int8).alias("late"),
            split.alias("split"),
        )
    )
