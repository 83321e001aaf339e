"""A recipe for anyone's table: numbers, categories, perhaps a time, and a label, all by the names of their columns.

Rows are split by time: the latest are for the test. Where there is no time, every row gets one from a hash of its key,
so that the split, the validation and the blocks of the intervals are random and yet the same in every run (on one kind
of device: cuDF's hash is another). A category becomes the share of positive labels among its training rows of *earlier
days*, drawn towards the share of all (m = 20, as in `encoding`): no row sees its own label, nor one of its own day, and
test labels are never looked at. This module does not know what the columns mean.

>>> made = recipe(Columns("rows", "late", time="left", time_format="%Y-%m-%d %H:%M", numbers=("km",)))
>>> made.spec.groups, made.spec.target
({'numbers': ('km',), 'clock': ('hour_of_day', 'weekday')}, 'late')
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.etl.contracts import Column, Contract, Table
from aifactory_lab.etl.encoding import SMOOTHING
from aifactory_lab.etl.features import FeatureSpec
from aifactory_lab.etl.recipes import Recipe, Step

Tables = Mapping[str, pl.LazyFrame]
Label = str | int | float | bool
TIME, SPLIT = "instant", "split"
CLOCK = ("hour_of_day", "weekday")
MINUTE_US = 60_000_000  # microseconds
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
DAYS = 1_000  # over which rows without a time are spread
SEED = 7
ALL = "_all"


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are what.

    Attributes
    ----------
    table
        The table's name in the raw material.
    label
        What is to be known: 0 or 1; or a number, with `above`; or anything, with `equals`. Rows without it are left
        out.
    time, time_format
        When a row's features were known: a column of times, or of text written as the format says (``strptime``). Times
        without a zone are taken as UTC.
    numbers, categories
        The features. Only what is known at the moment of the decision: anything later is a leak.
    keys
        Columns that name a row, kept beside the features; together they must be unique.
    test_share, test_from
        The share of rows, the latest, for the test; or from when on (ISO 8601), instead.
    """

    table: str
    label: str
    above: float | None = None
    equals: Label | None = None
    time: str = ""
    time_format: str = ""
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    test_share: float = 0.25
    test_from: str = ""

    @property
    def target(self) -> str:
        """What the label is called among the features: its column, and what of it."""
        if self.above is not None:
            return f"{self.label}_above_{self.above:g}"
        return self.label if self.equals is None else f"{self.label}_is_{self.equals}"

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features that come out."""
        return (*self.numbers, *map(code, self.categories), *(CLOCK if self.time else ()))


# Rain by the hour from what else the instruments said: the vendored table that has all that this recipe knows.
EXAMPLE = Columns(
    "weather",
    "precip",
    above=0,
    time="time_hour",
    time_format="%Y-%m-%dT%H:%M:%SZ",
    numbers=("temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure", "visib"),
    categories=("origin",),
)


def code(category: str) -> str:
    """Return what the feature of a category is called."""
    return f"{category}_rate"


def recipe(columns: Columns) -> Recipe:
    """Return the recipe for a table.

    Raises
    ------
    DataError
        If the columns contradict one another: no feature, a label among the features, a name twice.
    """
    for problem in contradictions(columns):
        msg = f"table {columns.table!r}: {problem}"
        raise DataError(msg, mend="numbers=('km',), categories=('carrier',)")
    spec = FeatureSpec(columns.target, TIME, SPLIT, _groups(columns), descriptions=dict(_descriptions(columns)))
    makes = columns.table
    return Recipe(
        name="table",
        title=f"Columns of {columns.table} as they are, categories by their record",
        table=makes,
        steps=(
            Step("label", "rows with a label and a time; which are for the test", makes, partial(_labelled, columns)),
            Step("record", "labels of earlier days, by category", makes, partial(_coded, columns)),
            Step("clock", "hour and weekday", makes, partial(_clock, columns)),
        ),
        spec=spec,
        keys=(TIME, *columns.keys),
        contract=Contract((Table(columns.table, tuple(_terms(columns)), key=columns.keys),)),
    )


def contradictions(columns: Columns) -> Iterator[str]:
    """Yield what cannot be, in words."""
    features = (*columns.numbers, *columns.categories)
    if not features:
        yield "there is no feature; name columns as numbers or categories"
    if columns.label in features:
        yield f"the label {columns.label!r} is among the features: it would be known before it is asked for"
    if columns.above is not None and columns.equals is not None:
        yield "the label is either above a number or equal to a value"
    if columns.time_format and not columns.time:
        yield "a format of the time, but no time"
    named = [*columns.features, columns.target, TIME, SPLIT, *columns.keys]
    if twice := next((name for place, name in enumerate(named) if name in named[:place]), ""):
        yield f"{twice!r} would be the name of two columns"


def _groups(columns: Columns) -> dict[str, tuple[str, ...]]:
    groups = {"numbers": columns.numbers, "categories": tuple(map(code, columns.categories))}
    groups["clock"] = CLOCK if columns.time else ()
    return {name: features for name, features in groups.items() if features}


def _descriptions(columns: Columns) -> Iterator[tuple[str, str]]:
    yield from ((name, f"{columns.table}.{name}") for name in columns.numbers)
    said = f"share of {columns.target} among the category's training rows of earlier days, smoothed"
    yield from ((code(name), said) for name in columns.categories)
    if columns.time:
        yield from zip(CLOCK, (f"hour of {columns.time}, UTC", f"weekday of {columns.time}, 1 is Monday"), strict=True)


def _terms(columns: Columns) -> Iterator[Column]:
    """Yield what each column must be like."""
    if columns.above is not None:
        yield Column(columns.label, "number")
    elif columns.equals is not None:
        yield Column(columns.label, "category")
    else:
        yield Column(columns.label, "integer", minimum=0, maximum=1)
    if columns.time and columns.time_format:
        yield Column(columns.time, "text", format=columns.time_format)
    elif columns.time:
        yield Column(columns.time, "time")
    known = {columns.label, columns.time}
    yield from (Column(name, "number") for name in columns.numbers if name not in known)
    others = dict.fromkeys((*columns.categories, *columns.keys))
    yield from (Column(name, "category") for name in others if name not in {*known, *columns.numbers})


def _labelled(columns: Columns, tables: Tables) -> pl.LazyFrame:
    """Keep rows whose label and time are known; add the label (Int8), the time and the split."""
    frame = tables[columns.table].filter(pl.col(columns.label).is_not_null())
    label = pl.col(columns.label)
    if columns.above is not None:
        label = label > columns.above
    elif isinstance(columns.equals, str):
        label = label.cast(pl.String) == columns.equals
    elif columns.equals is not None:
        label = label == columns.equals
    frame = frame.with_columns(_microseconds(columns, frame).alias(TIME), label.cast(pl.Int8).alias(columns.target))
    frame = _split(columns, frame.filter(pl.col(TIME).is_not_null()))
    return frame.with_columns(pl.col(TIME).cast(pl.Datetime("us", "UTC")))


def _split(columns: Columns, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Add the split: from an instant on, or from the minute before which there are enough rows to train on."""
    test, train = pl.lit("test"), pl.lit("train")
    if columns.test_from:
        return frame.with_columns(
            pl.when(pl.col(TIME) >= _instant(columns.test_from)).then(test).otherwise(train).alias(SPLIT)
        )
    frame = frame.with_columns((pl.col(TIME) // MINUTE_US).alias("_minute"))
    # Counted by minutes and joined: a quantile of the whole column would collapse onto one GPU of many.
    rows = frame.group_by("_minute").agg(pl.len().cast(pl.Int64).alias("_n")).with_columns(pl.lit(0).alias(ALL))
    before, total = pl.col("_n").cum_sum().over(ALL, order_by="_minute") - pl.col("_n"), pl.col("_n").sum().over(ALL)
    late = before >= total * (1 - columns.test_share)
    minutes = rows.select("_minute", pl.when(late).then(test).otherwise(train).alias(SPLIT))
    return frame.join(minutes, on="_minute", how="left").drop("_minute")


def _microseconds(columns: Columns, frame: pl.LazyFrame) -> pl.Expr:
    """Return microseconds since 1970, of the row's time or of its key's hash."""
    if not columns.time:
        key = columns.keys or (*columns.numbers, *columns.categories)
        text = pl.concat_str([pl.col(name).cast(pl.String) for name in key], separator="|", ignore_nulls=True)
        return (text.hash(SEED) % (DAYS * 1_440)).cast(pl.Int64) * MINUTE_US
    time = pl.col(columns.time)
    if frame.collect_schema()[columns.time] == pl.String:
        time = time.str.to_datetime(columns.time_format or None, time_unit="us", cache=False)
    return time.cast(pl.Datetime("us")).cast(pl.Int64)


def _instant(text: str) -> int:
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _coded(columns: Columns, tables: Tables) -> pl.LazyFrame:
    """Add the record of every category: smoothed share of positive labels on earlier days of the training."""
    frame = tables[columns.table].with_columns(
        pl.lit(0).alias(ALL),
        (pl.col(TIME).cast(pl.Int64) // DAY_US).alias("_day"),
        pl.when(pl.col(SPLIT) == "train").then(pl.col(columns.target)).cast(pl.Int64).alias("_label"),
    )
    every = _before(frame, ALL).with_columns((pl.col("_yes") / pl.col("_n")).alias("_share"))
    every = every.with_columns(pl.when(pl.col("_n") > 0).then(pl.col("_share")).alias("_share"))
    frame = frame.join(every.select(ALL, "_day", "_share"), on=[ALL, "_day"], how="left")
    for name in columns.categories:
        known = (pl.col("_yes") + SMOOTHING * pl.col("_share")) / (pl.col("_n") + SMOOTHING)
        frame = frame.join(_before(frame, name), on=[name, "_day"], how="left").with_columns(known.alias(code(name)))
        frame = frame.drop("_yes", "_n")
    return frame.drop(ALL, "_day", "_label", "_share")


def _before(frame: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """Return, by key and day, the training rows of earlier days (`_n`) and the positive ones among them (`_yes`)."""
    yes, count = pl.col("_label").sum().alias("_yes"), pl.col("_label").is_not_null().sum().cast(pl.Int64).alias("_n")
    daily = frame.group_by(key, "_day").agg(yes, count)
    earlier = [pl.col(name).cum_sum().over(key, order_by="_day") - pl.col(name) for name in ("_yes", "_n")]
    return daily.with_columns(earlier)


def _clock(columns: Columns, tables: Tables) -> pl.LazyFrame:
    """Add hour and weekday of the row's time, if it has one."""
    frame = tables[columns.table]
    if not columns.time:
        return frame
    instant = pl.col(TIME).cast(pl.Int64)
    hour = (instant % DAY_US // HOUR_US).alias(CLOCK[0])
    return frame.with_columns(hour, ((instant // DAY_US + 3) % 7 + 1).alias(CLOCK[1]))  # 1970-01-01: a Thursday
