"""Recipes: named steps that turn raw tables into features, as one lazy query.

A recipe is data: a name, its steps, and the specification of what comes out. It holds no frames and starts no
computation; `etl.run` does, on any engine.

>>> from aifactory_lab import datasets
>>> recipe = flights()
>>> print(recipe.until("times").query(datasets.load("flights").tables).collect_schema()["scheduled"])
Int64
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from html import escape
from typing import Self

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.etl import encoding, geography, history, steps
from aifactory_lab.etl.contracts import FLIGHTS, Contract
from aifactory_lab.etl.features import FeatureSpec

Tables = Mapping[str, pl.LazyFrame]
Hold = Callable[[pl.LazyFrame], pl.LazyFrame]


@dataclass(frozen=True)
class Reach:
    """How far a row's features look: at rows of `tables` whose `column` (ISO text) is within reach of its own.

    Only steps that are `far` look as far as `before`; the others look back `near`, by `minute` (since 1970, UTC).
    """

    column: str
    tables: tuple[str, ...]
    before: timedelta
    after: timedelta
    minute: str
    near: timedelta


@dataclass(frozen=True)
class Step:
    """One named transformation: reads the tables made so far, raw ones included, and makes or replaces one.

    `shared` says that several later steps read what it makes: an engine may compute it once and hold it. `far` says
    that it looks as far as the recipe's reach; steps that do not may be given fewer rows once a table is held.
    """

    name: str
    what: str
    makes: str
    function: Callable[[Tables], pl.LazyFrame]
    shared: bool = False
    far: bool = False


@dataclass(frozen=True)
class Recipe:
    """Steps from raw tables to a feature table.

    Attributes
    ----------
    name, title
        For the command line and for people.
    table
        The table that becomes the feature table.
    steps
        In order.
    spec
        What the feature table says of itself.
    keys
        Columns that identify a row, kept beside the features.
    contract
        What the raw tables must be like; checked before a run.
    reach
        How far around itself a row looks, for runs in slices of time; None if it must see all rows at once.
    whole
        False for a recipe that was cut by `until`.
    """

    name: str
    title: str
    table: str
    steps: tuple[Step, ...]
    spec: FeatureSpec
    keys: tuple[str, ...] = ()
    contract: Contract | None = None
    reach: Reach | None = None
    whole: bool = True

    def query(self, raw: Tables, hold: Hold | None = None, near: Hold | None = None) -> pl.LazyFrame:
        """Return the lazy query over raw tables; nothing is read yet, unless `hold` computes shared tables.

        `near` cuts the recipe's table, once it is held, to the rows that steps which are not `far` look at.

        Raises
        ------
        DataError
            If the table to start from is not among them.
        """
        tables = dict(raw)
        if self.table not in tables:
            msg = f"recipe {self.name!r} starts from the table {self.table!r}; there are: {', '.join(tables)}"
            raise DataError(msg)
        far: dict[str, pl.LazyFrame] = {}
        for step in self.steps:
            made = step.function(tables | far if step.far else tables)
            tables[step.makes] = hold(made) if hold and step.shared else made
            if near and step.shared and step.makes == self.table:
                far = {self.table: tables[self.table]}
                tables[self.table] = near(tables[self.table])
        return self._output(tables[self.table]) if self.whole else tables[self.steps[-1].makes]

    def until(self, step: str) -> Self:
        """Return the recipe cut after a step; its query gives the table which that step makes, all columns.

        Raises
        ------
        DataError
            If the recipe has no such step.
        """
        names = [each.name for each in self.steps]
        if step not in names:
            msg = f"recipe {self.name!r} has no step {step!r}; its steps are: {', '.join(names)}"
            raise DataError(msg)
        return replace(self, steps=self.steps[: names.index(step) + 1], whole=False)

    def _output(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        features = [column for group in self.spec.groups for column in self.spec.columns(group)]
        return frame.select(*self.keys, self.spec.target, self.spec.split, pl.col(features).cast(pl.Float32))

    def __str__(self) -> str:
        lines = (f"  {number}. {step.name} → {step.makes}: {step.what}" for number, step in enumerate(self.steps, 1))
        return "\n".join([f"{self.name}: {self.title}", *lines])

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><b>{escape(step.name)}</b> → <code>{escape(step.makes)}</code>: {escape(step.what)}</li>"
            for step in self.steps
        )
        return f"<div><b>{escape(self.title)}</b><ol>{items}</ol></div>"


FEATURES: dict[str, dict[str, str]] = {
    "schedule": {
        "local_hour": "scheduled departure, hours after local midnight",
        "weekday": "1 = Monday … 7 = Sunday, local",
        "distance_miles": "statute miles from origin to destination",
        "block": "scheduled minutes from gate to gate",
        "schedule_speed": "distance over scheduled time, miles per hour",
        "departures_hour": "scheduled departures from the origin in the same hour",
        "departures_before": "scheduled departures in the hour before",
        "departures_after": "scheduled departures in the hour after",
    },
    "encodings": {
        "carrier_late": "share of the airline's flights that were late, in the 12 weeks before (smoothed)",
        "dest_late": "the same for flights to this destination",
        "hour_late": "the same for this origin and local hour",
        "flight_late": "the same for this flight number",
    },
    "weather": {
        "temperature": "degrees Fahrenheit at the origin, recorded in the hour before",
        "humidity": "relative humidity, percent",
        "wind_speed": "miles per hour",
        "wind_gust": "miles per hour, missing when there was none",
        "precipitation": "inches in the hour",
        "pressure": "millibars at sea level",
        "visibility": "statute miles",
    },
    "plane": {
        "seats": "seats of the plane's type",
        "engines": "number of engines",
        "plane_age": "years since the plane was built",
    },
    "history": {
        "leg_delay": "minutes that the aircraft's previous leg is known to be late",
        "leg_slack": "minutes left to turn the aircraft around, if it flies straight back",
        "leg_gap": "minutes since the aircraft's previous scheduled departure",
        "origin_left_delay": "mean minutes late of departures from the origin in the last two hours",
        "origin_overdue": "flights at the origin past their time that have not left",
        "origin_overdue_minutes": "mean minutes that those have waited",
        "carrier_left_delay": "mean minutes late of the airline's departures here in the last two hours",
        "carrier_overdue": "the airline's flights here past their time that have not left",
        "carrier_overdue_minutes": "mean minutes that those have waited",
        "dest_landed_delay": "mean minutes late of flights that landed there in the last six hours",
    },
    "leak": {"dep_delay": "minutes late at push-back: known only after the decision"},
}


def flights() -> Recipe:
    """Return the recipe of the decision line: whether a flight will arrive more than 15 minutes late."""
    spec = FeatureSpec(
        target="late",
        time="sched_dep",
        split="split",
        groups={group: tuple(features) for group, features in FEATURES.items()},
        leaks=("leak",),
        descriptions={name: what for features in FEATURES.values() for name, what in features.items()},
    )
    return Recipe(
        name="flights",
        title="Late arrivals of flights out of New York",
        table="flights",
        steps=(
            Step("routes", "great circle and clocks of every pair of airports", "routes", geography.routes),
            Step("times", "local HHMM clocks become instants in UTC", "flights", steps.repair_times),
            Step("calendar", "local hour, weekday, checked distance", "flights", steps.add_calendar),
            Step("log", "only what later steps read", "flights", steps.log, shared=True),
            Step("weather", "observations, under the hour in which they are known", "observations", steps.observations),
            Step("congestion", "scheduled departures by origin and hour", "hours", steps.congestion),
            Step("departures", "delays and overdue flights, every half hour", "board", history.board),
            Step("landings", "delays at the destination, every three hours", "landings", history.landings),
            Step("counts", "landed and late flights, every four weeks", "counts", encoding.monthly, True, far=True),
            Step("encodings", "share of late flights by category, every four weeks", "timetable", encoding.timetable),
            Step("previous leg", "how late the aircraft is known to be", "flights", history.previous_leg),
            Step("planes", "seats, engines and age of the plane", "flights", steps.join_planes),
            Step("join", "board, landings and timetable, each at its time", "flights", _join),
            Step("label", "late or not, and the split; flights with a known arrival", "flights", steps.label),
        ),
        spec=spec,
        keys=("sched_dep", "carrier", "flight", "tailnum", "origin", "dest"),
        contract=FLIGHTS,
        reach=Reach(
            *("time_hour", ("flights", "weather")), encoding.REACH, timedelta(hours=2), "scheduled", history.REACH
        ),
    )


def _join(tables: Tables) -> pl.LazyFrame:
    """Add the state of the airport, the airline, the destination and the categories to every flight."""
    frame = tables["flights"]
    for name, keys, minutes, at in (
        ("board", history.AIRLINE, history.BOARD, "cell"),
        ("landings", ("dest",), history.LANDINGS, "cell"),
        ("timetable", encoding.TIMETABLE, encoding.MONTH, "period"),
    ):
        frame = frame.with_columns(history.cell("scheduled", minutes).alias(at))
        frame = frame.join(tables[name], on=[*keys, at], how="left").drop(at)
    return frame


RECIPES: dict[str, Callable[[], Recipe]] = {"flights": flights}


def names() -> list[str]:
    """Return the names of the recipes that came with this package; each takes the dataset of the same name.

    Examples
    --------
    >>> names()
    ['flights']
    """
    return list(RECIPES)


def named(name: str) -> Recipe:
    """Return a recipe by its name.

    Raises
    ------
    DataError
        If there is none of this name; the message lists those there are.
    """
    if name not in RECIPES:
        msg = f"no recipe {name!r}; there are: {', '.join(RECIPES)}"
        raise DataError(msg, mend="etl.recipes.Recipe(name, title, table, steps, spec)  # your own")
    return RECIPES[name]()
