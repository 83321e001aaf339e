"""What was known before push-back: the state of an airport, an airline, an aircraft at a given minute.

The rule, in words: **an outcome counts for a flight only if it happened before that flight was scheduled to
leave.** A departure delay happens when the aircraft leaves, an arrival delay when it lands, and that a flight
is overdue can be seen as soon as its time has passed. So delays are summed over a table of events by the
minute in which they happened, never by the minute in which they were scheduled.

A moving window over events needs no rolling window: an event adds its value when it happens and takes it away
when it leaves the window, and a running sum does the rest. That form runs out of core on CPUs, on one GPU and
on many (`cum_sum().over(key, order_by=minute)`).

>>> import polars as pl
>>> events = pl.LazyFrame({"place": ["A", "A"], "minute": [3, 68], "n": [1, 1]})
>>> asked = pl.LazyFrame({"place": ["A"] * 4, "minute": [9, 10, 69, 70]})
>>> now = running(window(events, 60, ["n"]), asked, ["place"], ["n"]).sort("minute").collect()
>>> dict(now.select("minute", "n").iter_rows())
{0: 0, 10: 1, 60: 1, 70: 1, 130: 0}
"""

from collections.abc import Mapping, Sequence

import polars as pl

Tables = Mapping[str, pl.LazyFrame]
GRID = 10  # minutes: the state is looked up as of the last full ten minutes before the scheduled departure
HOURS_BACK = 120  # window over departures, minutes
LANDED_BACK = 240  # window over landings, minutes
GIVE_UP = 240  # a flight that has not left after so many minutes counts as cancelled, no more as overdue
CAP = 300  # minutes: one flight delayed by a day says no more about the airport than one delayed by five hours
FAR = 1_440  # minutes: an aircraft's earlier leg counts if it was scheduled within a day before


def window(events: pl.LazyFrame, minutes: int, values: Sequence[str]) -> pl.LazyFrame:
    """Return the events with, for each, its opposite `minutes` later."""
    leave = events.with_columns(pl.col("minute") + minutes, *(-pl.col(v) for v in values))
    return pl.concat([events, leave])


def running(
    events: pl.LazyFrame, asked: pl.LazyFrame, keys: Sequence[str], values: Sequence[str], grid: int = GRID
) -> pl.LazyFrame:
    """Sum the values of all events before each asked minute, key by key.

    Parameters
    ----------
    events
        Columns `keys`, ``minute`` (Int64) and `values` (Int64, so that sums are exact in any order).
    asked
        Columns `keys` and ``minute``; repeated rows do no harm.
    grid
        Minutes are cut into grid cells; an event counts from the cell after its own, so what is summed
        happened strictly before the asked minute.

    Returns
    -------
    LazyFrame
        `keys`, ``minute`` (start of the grid cell) and the sums; one row per key and cell.
    """
    happened = events.select(*keys, (pl.col("minute") // grid + 1) * grid, *values)
    zero = (pl.lit(0, dtype=pl.Int64).alias(value) for value in values)
    points = asked.select(*keys, pl.col("minute") // grid * grid, *zero)
    cells = pl.concat([happened, points]).group_by(*keys, "minute").agg(pl.col(value).sum() for value in values)
    sums = (pl.col(value).cum_sum().over(keys, order_by="minute") for value in values)
    return cells.with_columns(*sums)


def airport_now(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Add the state of the origin: recent departures and their delay, and how many are overdue since when."""
    return _join_state(flights, ["origin"], "origin", departures(tables["log"], ["origin"]))


def carrier_now(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Add the same for the airline at this origin."""
    keys = ["origin", "carrier"]
    return _join_state(flights, keys, "carrier", departures(tables["log"], keys))


def dest_now(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Add how late recent flights to the same destination landed."""
    log = tables["log"]
    landed = log.filter(pl.col("landed").is_not_null()).select(
        "dest", pl.col("landed").alias("minute"), *_counted(pl.col("arr_delay"))
    )
    state = running(window(landed, LANDED_BACK, ["n", "delay"]), _asked(log, ["dest"]), ["dest"], ["n", "delay"])
    means = state.select("dest", pl.col("minute").alias("cell"), _mean("delay", "n").alias("dest_landed_delay"))
    return _on_cell(flights, means, ["dest"])


def departures(flights: pl.LazyFrame, keys: Sequence[str]) -> pl.LazyFrame:
    """Return the departures board at every asked minute: left and overdue flights, their delays.

    Columns: `n`, `delay` of those that left in the last two hours; `overdue`, `since` (the sum of the
    scheduled minutes) of those that should have left and have not.
    """
    values = ["n", "delay", "overdue", "since"]
    gone = flights.filter(pl.col("left").is_not_null())
    left = gone.select(*keys, pl.col("left").alias("minute"), *_counted(pl.col("dep_delay")))
    left = window(left, HOURS_BACK, ["n", "delay"]).with_columns(_zero("overdue"), _zero("since"))
    due = flights.select(*keys, pl.col("scheduled").alias("minute"), _zero("n"), _zero("delay"), *_overdue(1))
    done = (pl.col("scheduled") + pl.col("dep_delay").fill_null(GIVE_UP).clip(0, GIVE_UP)).alias("minute")
    done_rows = flights.select(*keys, done, _zero("n"), _zero("delay"), *_overdue(-1))
    return running(pl.concat([left, due, done_rows]), _asked(flights, keys), keys, values)


def previous_leg(flights: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:  # noqa: ARG001
    """Add how late the same aircraft's previous leg is known to be, and the slack to turn it around.

    `leg_delay`: its arrival delay if it has landed before this scheduled departure; else its departure delay
    if it has left; else how long it has been overdue. `leg_slack`: minutes between this departure and the
    earliest time that the aircraft could be back (twice the scheduled block, plus that delay). Null for the
    first leg within a day and for flights without a tail number.
    """
    before = {name: _shifted(name) for name in ("scheduled", "left", "landed", "block", "dep_delay", "arr_delay")}
    flights = flights.with_columns(expr.alias(f"_{name}") for name, expr in before.items())
    now = pl.col("scheduled")
    near = pl.col("tailnum").is_not_null() & (now - pl.col("_scheduled") <= FAR)
    known = (
        pl.when(pl.col("_landed") < now)
        .then(pl.col("_arr_delay"))
        .when(pl.col("_left") < now)
        .then(pl.col("_dep_delay"))
        .otherwise(now - pl.col("_scheduled"))
    )
    gap = now - pl.col("_scheduled")
    return flights.with_columns(
        pl.when(near).then(known).alias("leg_delay"),
        pl.when(near).then(gap - 2 * pl.col("_block") - known).alias("leg_slack"),
        pl.when(near).then(gap).alias("leg_gap"),
    ).drop(f"_{name}" for name in before)


def _shifted(name: str) -> pl.Expr:
    # One key, not two: cuDF orders by several only on a single GPU. Flight numbers have at most four digits.
    order = pl.col("scheduled") * 10_000 + pl.col("flight")
    return pl.col(name).shift(1).over("tailnum", order_by=order)


def _counted(delay: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    return pl.lit(1, dtype=pl.Int64).alias("n"), delay.clip(-CAP, CAP).cast(pl.Int64).alias("delay")


def _overdue(sign: int) -> tuple[pl.Expr, pl.Expr]:
    one = pl.lit(sign, dtype=pl.Int64)
    return one.alias("overdue"), (pl.col("scheduled") * sign).alias("since")


def _zero(name: str) -> pl.Expr:
    return pl.lit(0, dtype=pl.Int64).alias(name)


def _mean(total: str, count: str) -> pl.Expr:
    return pl.when(pl.col(count) > 0).then(pl.col(total) / pl.col(count))


def _asked(flights: pl.LazyFrame, keys: Sequence[str]) -> pl.LazyFrame:
    return flights.select(*keys, pl.col("scheduled").alias("minute"))


def _join_state(flights: pl.LazyFrame, keys: Sequence[str], name: str, state: pl.LazyFrame) -> pl.LazyFrame:
    waited = pl.when(pl.col("overdue") > 0).then(pl.col("minute") - pl.col("since") / pl.col("overdue"))
    columns = state.select(
        *keys,
        pl.col("minute").alias("cell"),
        _mean("delay", "n").alias(f"{name}_left_delay"),
        pl.col("overdue").alias(f"{name}_overdue"),
        waited.alias(f"{name}_overdue_minutes"),
    )
    return _on_cell(flights, columns, keys)


def _on_cell(flights: pl.LazyFrame, state: pl.LazyFrame, keys: Sequence[str]) -> pl.LazyFrame:
    cell = (pl.col("scheduled") // GRID * GRID).alias("cell")
    return flights.with_columns(cell).join(state, on=[*keys, "cell"], how="left").drop("cell")
