"""Who is there, who is missed and who has left: the rows of a plant whose members come and go.

Each look brings the rows of those who answered. Who no longer does is lost for a minute, so that a board shows what
died rather than a gap; who left as announced is gone at once. A newcomer is another layout. It does not know who
the members are, or how they were asked.

>>> roster = Roster()
>>> gpu = Row.of(Entity(("lab", "gpu 0")), ("busy",), [97.0])
>>> roster.look([gpu], now=0.0)
>>> roster.look([], now=10.0)
>>> print(roster.snapshot(time=0.0).reading("lab/gpu 0", "busy"))
lost
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State

FORGET_SECONDS = 60.0
HOLD_SECONDS = {"worker": 0.0}  # how long a missed member keeps its values: the scheduler is sure about workers
HOLD_OTHERS = 3.0  # GPUs: another worker on the node speaks for them soon


@dataclass(frozen=True)
class Row:
    """What one entity's metrics are, in the order of `metrics`; `note` says what is wrong with it."""

    entity: Entity
    metrics: tuple[str, ...]
    values: NDArray[np.float64]
    states: NDArray[np.uint8]
    note: str = ""

    @classmethod
    def of(cls, entity: Entity, metrics: tuple[str, ...], values: Sequence[float]) -> Self:
        """Return a row of values; NaN is unsupported."""
        array = np.array(values, dtype=np.float64)
        states = np.where(np.isnan(array), np.uint8(State.UNSUPPORTED), np.uint8(State.VALUE))
        return cls(entity, metrics, array, states)

    def without(self, state: State, note: str) -> Self:
        """Return this row, its values replaced by a state."""
        states = np.where(self.states == State.UNSUPPORTED, self.states, np.uint8(state))
        return replace(self, values=np.full_like(self.values, np.nan), states=states, note=note)


@dataclass
class _Member:
    row: Row
    seen: float
    missed: bool = False


class Roster:
    """The members by entity id, and the layout that they make.

    Parameters
    ----------
    label
        The layout's words.
    """

    def __init__(self, label: str = "") -> None:
        self.label = label
        self._members: dict[str, _Member] = {}
        self._layout = Layout((), (), "measured", label)
        self._entities: dict[str, Entity] = {}
        self._places: dict[tuple[str, ...], NDArray[np.intp]] = {}

    @property
    def layout(self) -> Layout:
        """Everybody who is there or missed; the same object until somebody comes or goes."""
        return self._layout

    def look(self, rows: Sequence[Row], *, now: float, left: Callable[[Entity], bool] = lambda _: False) -> None:
        """Take in who answered at `now` (any clock that only goes forward).

        Parameters
        ----------
        left
            Called once for everyone who answered at the last look and does not now: whether that was announced.
        """
        there = {row.entity.id for row in rows}
        for name in [name for name in self._members if name not in there]:
            self._miss(name, now, left)
        for row in rows:
            self._members[row.entity.id] = _Member(row, now)
        self._lay_out()

    def has(self, kind: str, node: tuple[str, ...]) -> bool:
        """Whether there is, or is missed, somebody of a kind on a node."""
        return any(
            member.row.entity.kind == kind and member.row.entity.path[: len(node)] == node
            for member in self._members.values()
        )

    def snapshot(self, *, time: float) -> Snapshot:
        """Return everybody's readings."""
        snapshot = Snapshot.blank(self._layout, time=time)
        notes = []
        for place, entity in enumerate(self._layout.entities):
            row = self._members[entity.id].row
            columns = self._columns(row.metrics)
            snapshot.values[place, columns], snapshot.states[place, columns] = row.values, row.states
            notes.append(row.note)
        return replace(snapshot, notes=tuple(note for note in notes if note))

    def _miss(self, name: str, now: float, left: Callable[[Entity], bool]) -> None:
        member = self._members[name]
        age, entity = now - member.seen, member.row.entity
        if age > FORGET_SECONDS or (not member.missed and left(entity)):
            del self._members[name]
        elif age > HOLD_SECONDS.get(entity.kind, HOLD_OTHERS):
            member.row = member.row.without(State.LOST, f"{name} is gone")
        member.missed = True

    def _lay_out(self) -> None:
        entities = {name: member.row.entity for name, member in self._members.items()}
        used = set[str]().union(*{member.row.metrics for member in self._members.values()})
        if entities == self._entities and used == set(self._layout.metrics):
            return
        self._entities, self._places = entities, {}
        metrics = tuple(name for name in METRICS if name in used)
        self._layout = Layout(tuple(sorted(entities.values(), key=_natural)), metrics, "measured", self.label)

    def _columns(self, metrics: tuple[str, ...]) -> NDArray[np.intp]:
        if metrics not in self._places:
            self._places[metrics] = np.array([self._layout.column(name) for name in metrics], dtype=np.intp)
        return self._places[metrics]


def _natural(entity: Entity) -> list[tuple[int, str]]:
    """Return a key by which gpu 2 comes before gpu 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", entity.id)]
