"""What goes over the wire to a board: a layout once, then one small binary buffer a tick.

Small fleets travel as float32 with a byte of state per cell. Large ones travel as one byte per cell: 0 to 250 is the
share of the metric's full scale, `LEAST_STATE` and above is a state; beyond `MOST_CELLS` only the metrics that a
person picks first are sent. A board keeps what it received, so that picking a metric, a GPU or a time needs no
answer from a kernel that may be computing. Nothing here knows widgets or comms.

>>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
>>> layout = Layout(tuple(Entity((f"gpu {i}",)) for i in range(1024)), ("busy", "power"), "simulated")
>>> packer = Packer(layout)
>>> message, buffers = packer.tick(Snapshot.blank(layout, time=0.0))
>>> packer.codec, len(buffers[0])
('u8', 2048)
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State

LEVELS = 250  # a byte's shares of full scale: 0.4 % each, finer than a screen shows
LEAST_STATE = 252  # LEAST_STATE + State.UNSUPPORTED, …
EXACT_CELLS = 512  # up to here cells travel as float32: 8 GPUs with all metrics
MOST_CELLS = 2_560  # up to here all metrics travel; beyond, FIRST alone: 64 GPUs × 24, and 4 bytes × 1,024
FIRST = ("busy", "memory_used", "power", "temperature")
HISTORY_BYTES = 1 << 20
MOST_HISTORY = 600
Message: TypeAlias = dict[str, Any]
Buffers: TypeAlias = list[bytes]
Codec = Literal["f32", "u8"]


class Packer:
    """Encodes the snapshots of one layout; made anew when the layout changes.

    Attributes
    ----------
    codec
        ``"f32"`` or ``"u8"``.
    metrics
        The metrics that travel, in the order of the columns of the buffer.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        rows, exact = layout.shape[0], layout.shape[0] * layout.shape[1] <= EXACT_CELLS
        known = [name for name in layout.metrics if name in METRICS]  # not those of a later version
        wanted = [name for name in known if exact or METRICS[name].kind in ("gauge", "rate")]
        if rows * len(wanted) > MOST_CELLS:
            wanted = [name for name in FIRST if name in layout.columns]
        self.metrics = tuple(wanted)
        self.codec: Codec = "f32" if rows * len(wanted) <= EXACT_CELLS else "u8"
        self._columns = np.array([layout.columns[name] for name in self.metrics], dtype=np.intp)
        self._tops = np.array([_fixed_top(name) for name in self.metrics])
        self._sent_tops: list[float] = []

    def describe(self, **more: Any) -> Message:
        """Return the layout as JSON: sent once to every viewer, and again when it changes."""
        return {
            "k": "layout",
            "codec": self.codec,
            "levels": LEVELS,
            "origin": self.layout.origin,
            "label": self.layout.label,
            "entities": [_entity(entity) for entity in self.layout.entities],
            "metrics": [asdict(METRICS[name]) for name in self.metrics],
            "tops": self._tops.tolist(),
            **more,
        }

    def tick(self, snapshot: Snapshot, **more: Any) -> tuple[Message, Buffers]:
        """Return one sample: ``{"k": "tick", "t": seconds, "tops"?: […], "notes"?: […]}`` and its cells."""
        cells = self._cells(snapshot.values[None], snapshot.states[None])
        message: Message = {"k": "tick", "t": round(snapshot.time, 3), **more}
        tops = self._tops.tolist()
        if self.codec == "u8" and tops != self._sent_tops:
            message["tops"] = self._sent_tops = tops
        if snapshot.notes:
            message["notes"] = list(snapshot.notes[:8])
        return message, [cells]

    def history(self, history: History, **more: Any) -> tuple[Message, Buffers]:
        """Return many samples at once, the newest that fit: their times (float64), and their cells in a row."""
        most = min(MOST_HISTORY, max(1, HISTORY_BYTES // max(1, self.bytes_per_tick)))
        times, values, states = history.times[-most:], history.values[-most:], history.states[-most:]
        cells = self._cells(values, states)
        message: Message = {"k": "history", "count": len(times), "tops": self._tops.tolist(), **more}
        return message, [times.astype("<f8").tobytes(), cells]

    @property
    def bytes_per_tick(self) -> int:
        """Bytes of one sample's cells."""
        cells = self.layout.shape[0] * len(self.metrics)
        return cells * 5 if self.codec == "f32" else cells

    def _cells(self, values: NDArray[np.float64], states: NDArray[np.uint8]) -> bytes:
        """Encode (samples, entities, metrics); per sample: float32 cells then states, or bytes."""
        values, states = values[:, :, self._columns], states[:, :, self._columns]
        if self.codec == "f32":
            cells = (len(values), values.shape[1] * values.shape[2])
            exact = values.astype("<f4", order="C").reshape(cells).view(np.uint8)
            return np.concatenate([exact, states.reshape(cells)], axis=1).tobytes()
        self._grow(values)
        with np.errstate(invalid="ignore"):
            shares = np.clip(np.rint(values * (LEVELS / self._tops)), 0, LEVELS)
        return np.where(states == State.VALUE, np.nan_to_num(shares), LEAST_STATE + states).astype(np.uint8).tobytes()

    def _grow(self, values: NDArray[np.float64]) -> None:
        """Widen full scale to what is seen, in steps of 1, 2, 5, so that it seldom changes."""
        if not values.size:
            return
        seen = np.where(np.isnan(values), 0.0, values).max(axis=(0, 1))
        for place, most in enumerate(seen):
            if most > self._tops[place]:
                self._tops[place] = _round_up(float(most))


def _entity(entity: Entity) -> list[str]:
    return ["/".join(entity.path), entity.kind, entity.name, entity.uid]


def _fixed_top(name: str) -> float:
    top = METRICS[name].top
    return float(top) if isinstance(top, int | float) else 1.0


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, … that is at least `value`.

    Examples
    --------
    >>> _round_up(700.0), _round_up(1.0), _round_up(3e9)
    (1000.0, 1.0, 5000000000.0)
    """
    size = 10.0 ** np.floor(np.log10(value))
    return float(next(step * size for step in (1, 2, 5, 10) if step * size >= value * (1 - 1e-12)))


def describe_facts(facts: Sequence[tuple[str, Any]]) -> Message:
    """Return facts of some entities as JSON: processes, health and details, by entity id."""
    return {"k": "facts", "facts": {entity: asdict(fact) for entity, fact in facts}}
