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
from html import escape
from typing import Self

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.etl import geography, history, steps
from aifactory_lab.etl.contracts import FLIGHTS, Contract
from aifactory_lab.etl.encoding import encode
from aifactory_lab.etl.features import FeatureSpec

Tables = Mapping[str, pl.LazyFrame]


@dataclass(frozen=True)
class Step:
    """One named transformation: the table so far and all raw tables in, the table with more columns out.

    `keep` names the result as a further table for later steps: those that need all rows once more read it
    instead of everything that was added since, so that the query grows with the number of steps, not faster.
    """

    name: str
    what: str
    function: Callable[[pl.LazyFrame, Tables], pl.LazyFrame]
    keep: str = ""


@dataclass(frozen=True)
class Recipe:
    """Steps from raw tables to a feature table.

    Attributes
    ----------
    name, title
        For the command line and for people.
    table
        The raw table that the steps start from.
    steps
        In order.
    spec
        What the feature table says of itself.
    keys
        Columns that identify a row, kept beside the features.
    contract
        What the raw tables must be like; checked before a run.
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
    whole: bool = True

    def query(self, tables: Tables) -> pl.LazyFrame:
        """Return the lazy query over these raw tables; nothing is read yet."""
        if self.table not in tables:
            msg = f"recipe {self.name!r} starts from the table {self.table!r}; there are: {', '.join(tables)}"
            raise DataError(msg)
        frame = tables[self.table]
        for step in self.steps:
            frame = step.function(frame, tables)
            tables = {**tables, step.keep: frame} if step.keep else tables
        return self._output(frame) if self.whole else frame

    def until(self, step: str) -> Self:
        """Return the recipe cut after a step, with every column so far: to look at what a step does."""
        names = [each.name for each in self.steps]
        if step not in names:
            msg = f"recipe {self.name!r} has no step {step!r}; its steps are: {', '.join(names)}"
            raise DataError(msg)
        return replace(self, steps=self.steps[: names.index(step) + 1], whole=False)

    def _output(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        features = [column for group in self.spec.groups for column in self.spec.columns(group)]
        return frame.select(*self.keys, self.spec.target, self.spec.split, pl.col(features).cast(pl.Float32))

    def __str__(self) -> str:
        lines = [f"  {number}. {step.name}: {step.what}" for number, step in enumerate(self.steps, 1)]
        return "\n".join([f"{self.name}: {self.title}", *lines])

    def _repr_html_(self) -> str:
        items = "".join(f"<li><b>{escape(step.name)}</b> {escape(step.what)}</li>" for step in self.steps)
        return f"<div><b>{escape(self.title)}</b><ol>{items}</ol></div>"


ENCODINGS = {
    "carrier_late": ("carrier",),
    "dest_late": ("dest",),
    "hour_late": ("origin", "hour"),
    "flight_late": ("carrier", "flight"),
}
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
        "carrier_late": "share of the airline's flights that were late, on earlier days (smoothed)",
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
        "dest_landed_delay": "mean minutes late of flights that landed there in the last four hours",
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
            Step("routes", "great circle and clocks of both ends; mend distances", geography.join_routes),
            Step(
                "times",
                "local HHMM clocks become instants (UTC); flag cancelled, diverted",
                steps.repair_times,
                keep="log",
            ),
            Step("calendar", "local hour, weekday, scheduled speed", steps.add_calendar),
            Step("planes", "seats, engines and age of the plane", steps.join_planes),
            Step("origin hours", "scheduled departures and weather at the origin", steps.join_origin_hours),
            Step("previous leg", "how late the aircraft is known to be", history.previous_leg),
            Step("airport now", "departures and overdue flights at the origin", history.airport_now),
            Step("airline now", "the same for the airline", history.carrier_now),
            Step("destination now", "how late flights landed there", history.dest_now),
            Step("encodings", "share of late flights on earlier days, by category", _encode),
            Step("label", "late or not; temporal split; only flights with a known arrival", steps.label),
        ),
        spec=spec,
        keys=("sched_dep", "carrier", "flight", "tailnum", "origin", "dest"),
        contract=FLIGHTS,
    )


def _encode(frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    return encode(frame, tables["log"], ENCODINGS)
