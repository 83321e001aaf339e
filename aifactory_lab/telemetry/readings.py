"""What was read, when, and how far to believe it: entities, their layout, and immutable snapshots.

A metric is a value, or it is *unsupported* (this device has no such thing), *lost* (the device fell off the bus,
the endpoint does not answer) or *stale* (nothing new for too long). It is never a silent zero. This module does
not know where readings come from.

>>> layout = Layout((Entity(("lab", "rack 1", "node 1", "gpu 0"), "gpu", "H100"),), ("busy", "power"), "simulated")
>>> snapshot = Snapshot.blank(layout, time=0.0).put("lab/rack 1/node 1/gpu 0", busy=97.0)
>>> print(snapshot.reading(layout.entities[0].id, "busy"), snapshot.reading(layout.entities[0].id, "power"))
97 % unsupported
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.metrics import METRICS

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["gpu", "mig", "host", "worker", "service", "station", "training", "fleet", "project"]
Origin = Literal["measured", "recorded", "simulated"]


class State(IntEnum):
    """Whether a metric has a value, and if not, why."""

    VALUE = 0
    UNSUPPORTED = 1
    LOST = 2
    STALE = 3


@dataclass(frozen=True)
class Entity:
    """One thing that is watched.

    Attributes
    ----------
    path
        Where it stands, from the outside in: site, rack, node, unit. The last part is its label.
    kind
        What it is; a MIG instance stands below its GPU.
    name
        What it is called: ``"NVIDIA H100 80GB HBM3"``.
    uid
        What identifies it for ever: the UUID of a GPU, the URL of an endpoint.
    """

    path: tuple[str, ...]
    kind: Kind = "gpu"
    name: str = ""
    uid: str = ""

    @cached_property
    def id(self) -> str:
        """The path as one string, unique in a layout."""
        return "/".join(self.path)


@dataclass(frozen=True)
class Layout:
    """Which entities and metrics a source reads; constant until the source is opened again.

    Attributes
    ----------
    origin, label
        Measured here, recorded earlier or simulated, and the words that say so on screen.
    """

    entities: tuple[Entity, ...]
    metrics: tuple[str, ...]
    origin: Origin = "measured"
    label: str = ""

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of each entity id."""
        return {entity.id: row for row, entity in enumerate(self.entities)}

    @cached_property
    def columns(self) -> dict[str, int]:
        """Column of each metric name."""
        return {name: column for column, name in enumerate(self.metrics)}

    @property
    def shape(self) -> tuple[int, int]:
        """Entities × metrics."""
        return len(self.entities), len(self.metrics)

    def row(self, entity: str) -> int:
        """Return the row of an entity.

        Raises
        ------
        TelemetryError
            If there is none of that id; the message names some that there are.
        """
        if entity not in self.rows:
            msg = f"no entity {entity!r}; there are: {', '.join(list(self.rows)[:8]) or 'none'}"
            raise TelemetryError(msg)
        return self.rows[entity]

    def column(self, metric: str) -> int:
        """Return the column of a metric.

        Raises
        ------
        TelemetryError
            If this source does not read it.
        """
        if metric not in self.columns:
            msg = f"no metric {metric!r} here; there are: {', '.join(self.metrics)}"
            raise TelemetryError(msg)
        return self.columns[metric]


@dataclass(frozen=True)
class Reading:
    """One metric of one entity at one moment."""

    metric: str
    value: float
    state: State

    def __str__(self) -> str:
        return METRICS[self.metric].text(self.value) if self.state == State.VALUE else self.state.name.lower()


@dataclass(frozen=True)
class Process:
    """A process on a GPU."""

    pid: int
    name: str = ""
    user: str = ""
    memory_bytes: int | None = None
    busy: float | None = None


@dataclass(frozen=True)
class Finding:
    """Something about a device's health that a person should know."""

    severity: Literal["info", "warning", "critical"]
    code: str
    text: str


@dataclass(frozen=True)
class Facts:
    """What changes slowly: processes, health, and details in words."""

    processes: tuple[Process, ...] = ()
    health: tuple[Finding, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """All entities × all metrics at one moment.

    Attributes
    ----------
    time
        Seconds since the epoch.
    values, states
        Arrays of shape (entities, metrics): float64, NaN wherever there is no value; uint8 of `State`.
    notes
        What went wrong in this sample, in words; empty if nothing did.
    """

    time: float
    layout: Layout
    values: NDArray[np.float64]
    states: NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    @classmethod
    def blank(cls, layout: Layout, *, time: float, state: State = State.UNSUPPORTED) -> Self:
        """Return a snapshot without a single value."""
        return cls(time, layout, np.full(layout.shape, np.nan), np.full(layout.shape, state, dtype=np.uint8))

    def put(self, entity: str, **values: float | State) -> Self:
        """Write values or states of one entity into the arrays (for sources, while they build it)."""
        row = self.layout.row(entity)
        for name, value in values.items():
            column = self.layout.column(name)
            if isinstance(value, State):
                self.values[row, column], self.states[row, column] = np.nan, value
            else:
                self.values[row, column], self.states[row, column] = value, State.VALUE
        return self

    def reading(self, entity: str, metric: str) -> Reading:
        """Return one cell."""
        row, column = self.layout.row(entity), self.layout.column(metric)
        return Reading(metric, float(self.values[row, column]), State(int(self.states[row, column])))

    def column(self, metric: str) -> NDArray[np.float64]:
        """Return one metric of all entities, NaN where there is no value."""
        return self.values[:, self.layout.column(metric)]

    def aged(self, now: float, limit: float) -> Self:
        """Return this snapshot, its values marked stale if it is older than `limit` seconds."""
        if now - self.time <= limit:
            return self
        states = np.where(self.states == State.VALUE, np.uint8(State.STALE), self.states)
        values = np.full_like(self.values, np.nan)
        return replace(self, values=values, states=states, notes=(*self.notes, f"no data for {now - self.time:.0f} s"))

    def frame(self) -> "pl.DataFrame":
        """Return one row per entity: its path, kind, name, and a column per metric (null where there is no value)."""
        import polars as pl

        who = [{"entity": e.id, "kind": e.kind, "name": e.name} for e in self.layout.entities]
        schema = {"entity": pl.String, "kind": pl.String, "name": pl.String}
        values = {name: pl.Series(self.column(name)).fill_nan(None) for name in self.layout.metrics}
        return pl.DataFrame(who, schema=schema).with_columns(**values)


def lost(layout: Layout, *, time: float, notes: Iterable[str] = ()) -> Snapshot:
    """Return a snapshot in which everything is lost, with the reason."""
    return replace(Snapshot.blank(layout, time=time, state=State.LOST), notes=tuple(notes))
