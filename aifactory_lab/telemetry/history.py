"""Readings over time: `History`, three arrays and a layout, and `Ring`, which keeps the last of them in flat memory.

Boards, figures, recordings and energy sums all take a `History`; none of them needs to know whether it came from
a live ring, a file or another process. Nothing here knows what the metrics mean.

>>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
>>> layout = Layout((Entity(("gpu 0",)),), ("power",), "simulated")
>>> ring = Ring(layout, capacity=2)
>>> for second in range(3):
...     ring.append(Snapshot.blank(layout, time=float(second)).put("gpu 0", power=100.0 * second))
>>> ring.history().series("gpu 0", "power")[1].tolist()
[100.0, 200.0]
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry.readings import Layout, Snapshot, State

if TYPE_CHECKING:
    import polars as pl

RING_BYTES = 64 << 20
MOST_SAMPLES = 3_600
CELL_BYTES = 9  # float64 value and uint8 state
Values: TypeAlias = NDArray[np.float64]
States: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class History:
    """Samples of one layout, oldest first.

    Attributes
    ----------
    times
        Shape (samples,), seconds since the epoch, ascending.
    values, states
        Shape (samples, entities, metrics); NaN where there is no value.
    """

    layout: Layout
    times: Values
    values: Values
    states: States

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """Return a history without samples."""
        shape = (0, *layout.shape)
        return cls(layout, np.empty(0), np.empty(shape), np.empty(shape, dtype=np.uint8))

    def series(self, entity: str, metric: str) -> tuple[Values, Values]:
        """Return times and values of one metric of one entity, NaN in the gaps."""
        return self.times, self.values[:, self.layout.row(entity), self.layout.column(metric)]

    def metric(self, name: str) -> Values:
        """Return one metric of every entity, shape (samples, entities)."""
        return self.values[:, :, self.layout.column(name)]

    def between(self, start: float = -np.inf, stop: float = np.inf) -> Self:
        """Return the samples from `start` to `stop` (seconds since the epoch, both included)."""
        kept = (self.times >= start) & (self.times <= stop)
        return replace(self, times=self.times[kept], values=self.values[kept], states=self.states[kept])

    def snapshot(self, index: int = -1) -> Snapshot:
        """Return one sample."""
        return Snapshot(float(self.times[index]), self.layout, self.values[index], self.states[index])

    def frame(self) -> "pl.DataFrame":
        """Return one row per sample and entity: time (s), entity, a column per metric (null without a value)."""
        import polars as pl

        count, entities = len(self.times), [entity.id for entity in self.layout.entities]
        columns = {
            name: pl.Series(self.values[:, :, place].ravel()).fill_nan(None)
            for place, name in enumerate(self.layout.metrics)
        }
        times = np.repeat(self.times, len(entities))
        return pl.DataFrame({"time": times, "entity": entities * count, **columns})


class Ring:
    """The last samples of one layout, in arrays that are laid out once and never grow.

    Parameters
    ----------
    capacity
        Samples kept; by default as many as fit `RING_BYTES`, at most an hour at one a second.
    """

    def __init__(self, layout: Layout, capacity: int | None = None) -> None:
        self.layout = layout
        self.capacity = capacity or default_capacity(layout)
        self.count = 0
        self._times = np.full(self.capacity, np.nan)
        self._values = np.full((self.capacity, *layout.shape), np.nan)
        self._states = np.full((self.capacity, *layout.shape), State.UNSUPPORTED, dtype=np.uint8)

    def __len__(self) -> int:
        return min(self.count, self.capacity)

    def append(self, snapshot: Snapshot) -> None:
        """Keep one sample; the oldest gives way."""
        place = self.count % self.capacity
        self._times[place] = snapshot.time
        self._values[place] = snapshot.values
        self._states[place] = snapshot.states
        self.count += 1

    def history(self, samples: int | None = None) -> History:
        """Return a copy of the last samples, by default all that are kept.

        A sampler thread may append meanwhile: what it overwrote during the copy is left out.
        """
        stop = self.count
        places, first = self._places(stop, samples), stop - min(samples or self.capacity, self.capacity, stop)
        copied = History(self.layout, self._times[places], self._values[places], self._states[places])
        overwritten = max(0, self.count + 1 - self.capacity - first) if self.count != stop else 0
        return replace(
            copied,
            times=copied.times[overwritten:],
            values=copied.values[overwritten:],
            states=copied.states[overwritten:],
        )

    def moved_to(self, layout: Layout) -> "Ring":
        """Return a ring of another layout that keeps the history of the entities and metrics in both."""
        ring, kept = Ring(layout), self.history()
        to_rows, rows = _shared(ring.layout.rows, self.layout.rows)
        to_columns, columns = _shared(ring.layout.columns, self.layout.columns)
        for moment in range(max(0, len(kept) - ring.capacity), len(kept)):
            snapshot = Snapshot.blank(layout, time=float(kept.times[moment]))
            snapshot.values[np.ix_(to_rows, to_columns)] = kept.values[moment][np.ix_(rows, columns)]
            snapshot.states[np.ix_(to_rows, to_columns)] = kept.states[moment][np.ix_(rows, columns)]
            ring.append(snapshot)
        return ring

    def _places(self, stop: int, samples: int | None) -> NDArray[np.int64]:
        length = min(samples or self.capacity, self.capacity, stop)
        return np.arange(stop - length, stop) % self.capacity


def _shared(to: dict[str, int], of: dict[str, int]) -> tuple[list[int], list[int]]:
    """Return the places in both of the names that both have."""
    names = [name for name in to if name in of]
    return [to[name] for name in names], [of[name] for name in names]


def default_capacity(layout: Layout) -> int:
    """Return how many samples a ring keeps of this layout.

    Examples
    --------
    >>> from aifactory_lab.telemetry.readings import Entity
    >>> default_capacity(Layout(tuple(Entity((str(i),)) for i in range(1024)), ("busy",) * 24))
    303
    """
    cells = max(1, layout.shape[0] * layout.shape[1])
    return int(min(MOST_SAMPLES, max(60, RING_BYTES // (CELL_BYTES * cells))))
