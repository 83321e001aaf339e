"""Target encodings without leakage: the share of late flights so far, per category, smoothed.

A category's code on a day is computed from flights that had landed on earlier days (UTC) and from nothing else, so
training and test rows are treated alike and no fold is needed. Rare categories are drawn towards the overall
share: `(late + m × prior) / (n + m)`, with m = 20 (the form of Micci-Barreca, "A preprocessing scheme for
high-cardinality categorical attributes", SIGKDD Explorations 3(1), 2001; 20 is the `min_samples_leaf` that
category_encoders' TargetEncoder takes by default). This module does not know which categories matter.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from aifactory_lab.etl.history import running
from aifactory_lab.etl.steps import DAY, LATE_MINUTES

SMOOTHING = 20
ALL = "everything"


def encode(flights: pl.LazyFrame, log: pl.LazyFrame, encodings: Mapping[str, Sequence[str]]) -> pl.LazyFrame:
    """Add one column per encoding: the smoothed share of late flights known at the start of the day.

    Parameters
    ----------
    flights
        Where the columns are added; with `scheduled` (minutes, UTC).
    log
        All flights, with `scheduled`, `landed` and `arr_delay`.
    encodings
        Name of the new column → the columns whose combination is the category.
    """
    flights = flights.with_columns((pl.col("scheduled") // DAY * DAY).alias("_day"))
    share = pl.when(pl.col("n") > 0).then(pl.col("late") / pl.col("n"))
    prior = _so_far(log, []).select("_day", share.alias("_prior"))
    flights = flights.join(prior, on="_day", how="left")
    for name, keys in encodings.items():
        flights = flights.join(_so_far(log, keys), on=[*keys, "_day"], how="left")
        code = (pl.col("late") + SMOOTHING * pl.col("_prior")) / (pl.col("n") + SMOOTHING)
        flights = flights.with_columns(code.alias(name)).drop("late", "n")
    return flights.drop("_day", "_prior")


def _so_far(flights: pl.LazyFrame, keys: Sequence[str]) -> pl.LazyFrame:
    """Return landed and late flights before each day, per category (or overall, if there are no keys)."""
    flights = flights.with_columns(pl.lit(0).alias(ALL))
    by = [*keys] or [ALL]
    late = (pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int64).alias("late")
    landed = flights.filter(pl.col("landed").is_not_null())
    events = landed.select(*by, pl.col("landed").alias("minute"), pl.lit(1, dtype=pl.Int64).alias("n"), late)
    asked = flights.select(*by, pl.col("scheduled").alias("minute"))
    sums = running(events, asked, by, ["n", "late"], grid=DAY).rename({"minute": "_day"})
    return sums if keys else sums.drop(ALL)
