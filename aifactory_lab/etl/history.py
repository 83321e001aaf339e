"""What was known before push-back: the state of an airport, an airline, an aircraft at a given time.

The rule, in words: **an outcome counts for a flight only if it happened before that flight was scheduled to
leave.** A departure delay happens when the aircraft leaves, an arrival delay when it lands, and that a flight
is overdue can be seen as soon as its time has passed. So delays are summed by the time at which they happened,
never by the time for which they were scheduled.

Time is cut into cells; a flight sees the cells before its own. A moving window needs no rolling window: an
event adds its value when it happens and takes it away when it leaves the window, and a running sum does the
rest. That form runs on CPUs, on one GPU and on many (`cum_sum().over(key, order_by="cell")`). All sums are of
whole numbers, so they are the same in any order.

>>> import polars as pl
>>> events = pl.LazyFrame({"place": ["A", "A"], "cell": [0, 60], "n": [1, 2]})
>>> asked = pl.LazyFrame({"place": ["A"] * 4, "cell": [0, 30, 90, 150]})
>>> now = earlier(window(events, 60, ["n"]), asked, ["place"], ["n"]).sort("cell").collect()
>>> dict(now.select("cell", "n").iter_rows())
{0: 0, 30: 1, 60: 1, 90: 2, 120: 2, 150: 0}
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

Tables = Mapping[str, pl.LazyFrame]
BOARD = 30  # minutes: cell of the departures board
LANDINGS = 180  # minutes: cell of the landings
LEFT_BACK = 120  # minutes: how far back departures count
LANDED_BACK = 360  # minutes: how far back landings count
GIVE_UP = 240  # minutes: a flight that has not left by then counts as cancelled, no more as overdue
CAP = 300  # minutes: a flight delayed by a day says no more about the airport than one delayed by five hours
NEAR = 1_440  # minutes: an aircraft's previous leg counts if it was scheduled within a day before
# What happens after a flight was due counts on the boards for hours; a delay of up to 28 days is seen in full.
REACH = timedelta(days=29)
AIRLINE = ("origin", "carrier")


def cell(minute: str | pl.Expr, size: int) -> pl.Expr:
    """Return the start of the cell in which a minute lies."""
    minute = pl.col(minute) if isinstance(minute, str) else minute
    return (minute // size * size).alias("cell")


def window(events: pl.LazyFrame, minutes: int, values: Sequence[str]) -> pl.LazyFrame:
    """Return the events and, for each, its opposite `minutes` later."""
    leave = events.with_columns(pl.col("cell") + minutes, *(-pl.col(value) for value in values))
    return pl.concat([events, leave])


def earlier(events: pl.LazyFrame, asked: pl.LazyFrame, keys: Sequence[str], values: Sequence[str]) -> pl.LazyFrame:
    """Sum the values of all events in earlier cells, key by key.

    Parameters
    ----------
    events
        Columns `keys`, ``cell`` and `values` (Int64).
    asked
        Columns `keys` and ``cell``: where a sum is wanted, besides where events are; repeated rows do no harm.

    Returns
    -------
    LazyFrame
        One row per key and cell: `keys`, ``cell`` and, for each value, its sum over the cells before this one.
    """
    zero = (pl.lit(0, dtype=pl.Int64).alias(value) for value in values)
    points = pl.concat([events.select(*keys, "cell", *values), asked.select(*keys, "cell", *zero)])
    cells = points.group_by(*keys, "cell").agg(pl.col(value).sum() for value in values)
    return cells.with_columns(running(value, keys) for value in values)


def running(value: str, keys: Sequence[str]) -> pl.Expr:
    """Return the sum of a column over the earlier cells of its key; there is one row per key and cell."""
    return pl.col(value).cum_sum().over(keys, order_by="cell") - pl.col(value)


def board(tables: Tables) -> pl.LazyFrame:
    """Return the departures board of every half hour: one row per origin, airline and cell with a departure.

    `*_left_delay`: mean minutes late of those that left in the two hours before; `*_overdue`: flights past
    their time that have not left, `*_overdue_minutes`: how long they have waited on average. For the airline at
    this origin (`carrier_…`) and for all airlines (`origin_…`), with the table `hours` of the origin's hours.
    """
    values = ["n", "delay", "overdue", "since"]
    cells = pl.concat(_departures(tables["flights"]), how="diagonal").fill_null(0)
    cells = cells.group_by(*AIRLINE, "cell").agg(pl.col(*values, "due").sum())
    airport = cells.group_by("origin", "cell").agg(pl.col(values).sum())
    airport = _board_columns(airport, ["origin"], "origin")
    hour = (pl.col("cell") // 60).alias("hour_utc")
    airport = airport.with_columns(hour).join(tables["hours"], on=["origin", "hour_utc"], how="left").drop("hour_utc")
    airline = _board_columns(cells, AIRLINE, "carrier", "due").filter(pl.col("due") > 0).drop("due")
    return airline.join(airport, on=["origin", "cell"], how="left")


def _departures(flights: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Return per airline and cell: flights due; flights that left, and again when they leave the window; given up.

    A flight that leaves early counts from its scheduled time, so that none is less than not overdue.
    """
    late = pl.col("dep_delay").clip(0, None)
    due = flights.group_by(*AIRLINE, cell("scheduled", BOARD)).agg(*_overdue(1), pl.len().cast(pl.Int64).alias("due"))
    gone = flights.filter(pl.col("dep_delay").is_not_null())
    here = pl.col("dep_delay") <= GIVE_UP
    left = gone.group_by(*AIRLINE, cell(pl.col("scheduled") + late, BOARD)).agg(
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("dep_delay").clip(-CAP, CAP).sum().alias("delay"),
        (-here.cast(pl.Int64)).sum().alias("overdue"),
        (pl.when(here).then(-pl.col("scheduled")).otherwise(0)).sum().alias("since"),
    )
    expired = left.select(*AIRLINE, pl.col("cell") + LEFT_BACK, -pl.col("n"), -pl.col("delay"))
    stuck = flights.filter(pl.col("dep_delay").is_null() | ~here)
    given_up = stuck.group_by(*AIRLINE, cell(pl.col("scheduled") + GIVE_UP, BOARD)).agg(*_overdue(-1))
    return [due, left, expired, given_up]


def _overdue(sign: int) -> tuple[pl.Expr, pl.Expr]:
    return (pl.len().cast(pl.Int64) * sign).alias("overdue"), (pl.col("scheduled").sum() * sign).alias("since")


def _board_columns(cells: pl.LazyFrame, keys: Sequence[str], name: str, *kept: str) -> pl.LazyFrame:
    now = cells.with_columns(running(value, keys) for value in ("n", "delay", "overdue", "since"))
    waited = pl.when(pl.col("overdue") > 0).then(pl.col("cell") - pl.col("since") / pl.col("overdue"))
    return now.select(
        *keys,
        "cell",
        mean("delay", "n").alias(f"{name}_left_delay"),
        pl.col("overdue").alias(f"{name}_overdue"),
        waited.alias(f"{name}_overdue_minutes"),
        *kept,
    )


def landings(tables: Tables) -> pl.LazyFrame:
    """Return how late flights to each destination have landed in the six hours before each cell of three hours."""
    flights = tables["flights"]
    landed = flights.filter(pl.col("landed").is_not_null()).group_by("dest", cell("landed", LANDINGS))
    delay = pl.col("arr_delay").clip(-CAP, CAP).sum().alias("delay")
    events = window(landed.agg(pl.len().cast(pl.Int64).alias("n"), delay), LANDED_BACK, ["n", "delay"])
    asked = flights.select("dest", cell("scheduled", LANDINGS)).unique()
    state = earlier(events, asked, ["dest"], ["n", "delay"])
    return state.filter(pl.col("n") > 0).select("dest", "cell", mean("delay", "n").alias("dest_landed_delay"))


def previous_leg(tables: Tables) -> pl.LazyFrame:
    """Add how late the same aircraft's previous leg is known to be, and the slack to turn it around.

    `leg_delay`: its arrival delay if it has landed before this scheduled departure; else its departure delay
    if it has left; else how long it has been overdue. `leg_slack`: minutes between this departure and the
    earliest time that the aircraft could be back (twice the scheduled block, plus that delay). Null for the
    first leg within a day and for flights without a tail number.

    The log names the aircraft that flew in the end, not the one that was planned. Where the plan left no time to
    fly there and back, the aircraft was changed later, most often because the flight was late already (72 % of
    them): such a leg would tell the future, and is left out. A change between two feasible plans stays unseen.
    """
    names = ("scheduled", "left", "landed", "block")
    flights = tables["flights"].with_columns(_shifted(name).alias(f"_{name}") for name in names)
    now, due, left, landed, block = (pl.col(name) for name in ("scheduled", *(f"_{name}" for name in names)))
    near = pl.col("tailnum").is_not_null() & (now - due <= NEAR) & (now - due > 2 * block)
    known = pl.when(landed < now).then(landed - due - block).when(left < now).then(left - due).otherwise(now - due)
    return flights.with_columns(
        pl.when(near).then(known).alias("leg_delay"),
        pl.when(near).then(now - due - 2 * block - known).alias("leg_slack"),
        pl.when(near).then(now - due).alias("leg_gap"),
    ).drop(f"_{name}" for name in names)


def _shifted(name: str) -> pl.Expr:
    # One key, not two: cuDF orders by several on a single GPU only. Flight numbers have at most four digits.
    order = pl.col("scheduled") * 10_000 + pl.col("flight")
    return pl.col(name).shift(1).over("tailnum", order_by=order)


def mean(total: str, count: str) -> pl.Expr:
    """Return total ÷ count, null where nothing was counted."""
    return pl.when(pl.col(count) > 0).then(pl.col(total) / pl.col(count))
