"""Target encodings without leakage: the share of late flights in recent months, per category, smoothed.

A category's code in a month (of four weeks) is computed from flights that had landed in the three months before
and from nothing else: it follows the season, training and test rows are treated alike, and no fold is needed.
Rare categories are drawn towards the overall share: `(late + m × prior) / (n + m)`, with m = 20 (the form of
Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes", SIGKDD Explorations 3(1),
2001; 20 is the `min_samples_leaf` of category_encoders' TargetEncoder). Flights are counted once, into a
monthly timetable that is a small part of their number; every code is computed there.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

from aifactory_lab.etl.history import earlier, window
from aifactory_lab.etl.steps import DAY, LATE_MINUTES

Tables = Mapping[str, pl.LazyFrame]
MONTH = 28 * DAY
MONTHS = 3
# A row's own month, those before it, and a landing as late as is counted, with a day to fly.
REACH = timedelta(minutes=(1 + MONTHS + 1) * MONTH + DAY)
SMOOTHING = 20
TIMETABLE = ("carrier", "flight", "origin", "dest", "hour")
ENCODINGS: dict[str, tuple[str, ...]] = {
    "carrier_late": ("carrier",),
    "dest_late": ("dest",),
    "hour_late": ("origin", "hour"),
    "flight_late": ("carrier", "flight"),
}
ALL = "everything"


def timetable(tables: Tables) -> pl.LazyFrame:
    """Return the codes of every flight number, route and hour, month by month (`period`: its first minute, UTC)."""
    counts = tables["counts"]
    codes = counts.select(*TIMETABLE, "period").unique().with_columns(pl.lit(0).alias(ALL))
    prior = pl.when(pl.col("n") > 0).then(pl.col("late") / pl.col("n")).alias("prior")
    codes = codes.join(_recent(counts, [ALL]).select(ALL, "period", prior), on=[ALL, "period"], how="left")
    for name, keys in ENCODINGS.items():
        code = (pl.col("late") + SMOOTHING * pl.col("prior")) / (pl.col("n") + SMOOTHING)
        codes = codes.join(_recent(counts, keys), on=[*keys, "period"], how="left").with_columns(code.alias(name))
        codes = codes.drop("late", "n")
    return codes.drop(ALL, "prior")


def monthly(tables: Tables) -> pl.LazyFrame:
    """Count landed and late flights per timetable entry, month of departure and month of landing.

    A flight that lands more than a month late is not counted: so no count reaches further back than that.
    """
    period, cell = (pl.col(at) // MONTH * MONTH for at in ("scheduled", "landed"))
    late = (pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int64)
    known = pl.col("arr_delay") <= MONTH
    counts = tables["flights"].group_by(*TIMETABLE, period.alias("period"), pl.when(known).then(cell).alias("cell"))
    return counts.agg(known.sum().cast(pl.Int64).alias("n"), late.sum().alias("late"))


def _recent(counts: pl.LazyFrame, keys: Sequence[str]) -> pl.LazyFrame:
    """Return landed (`n`) and `late` flights of the months before each month, per category."""
    counts = counts.with_columns(pl.lit(0).alias(ALL))
    landed = counts.filter(pl.col("cell").is_not_null()).select(*keys, "cell", "n", "late")
    events = landed.group_by(*keys, "cell").agg(pl.col("n", "late").sum())
    asked = counts.select(*keys, pl.col("period").alias("cell")).unique()
    return earlier(window(events, MONTHS * MONTH, ["n", "late"]), asked, keys, ["n", "late"]).rename({"cell": "period"})
