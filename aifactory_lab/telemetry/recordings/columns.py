"""Samples as columns: what one row, one column and the metadata of a recording hold.

A row is one entity in one sample: ``time`` (UTC, microseconds), ``entity``, ``states``, ``notes`` and a column per
metric, so that any tool that reads Parquet reads a recording. A cell without a value is null, and the digit of its
metric in ``states`` says why. Counters are kept exactly, gauges and rates to seven digits. This module does not
know files.

>>> from aifactory_lab.telemetry.readings import Entity, Snapshot
>>> layout = Layout((Entity(("gpu 0",)),), ("busy", "power"), "simulated")
>>> table = encode(layout, [Snapshot.blank(layout, time=1.5).put("gpu 0", busy=97.0)])
>>> table["states"][0].as_py(), decode(table, layout).history.snapshot().reading("gpu 0", "busy").value
('01', 97.0)
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from aifactory_lab import decoding
from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Layout, Snapshot, State
from aifactory_lab.telemetry.sharing.documents import sound

WHO = ("time", "entity", "states", "notes")  # the columns that are no metric
ZERO = ord("0")


@dataclass(frozen=True)
class Samples:
    """Samples that were read back: a history, and what was noted at each sample."""

    history: History
    notes: tuple[tuple[str, ...], ...]

    def snapshot(self, index: int) -> Snapshot:
        """Return one sample with its notes."""
        bare = self.history.snapshot(index)
        return Snapshot(bare.time, bare.layout, bare.values, bare.states, self.notes[index])


def schema(metrics: Sequence[str]) -> Any:
    """Return the Arrow schema of a recording of these metrics."""
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    who = [("time", pa.timestamp("us", tz="UTC")), ("entity", word), ("states", word), ("notes", word)]
    return pa.schema([*who, *((name, pa.float64() if _exact(name) else pa.float32()) for name in metrics)])


def encode(layout: Layout, snapshots: Sequence[Snapshot]) -> Any:
    """Return snapshots of one layout as an Arrow table, in order of time, then of the layout's entities."""
    import pyarrow as pa

    entities, metrics = layout.shape
    rows = len(snapshots) * entities, metrics
    values = np.stack([snapshot.values for snapshot in snapshots]).reshape(rows)
    states = np.stack([snapshot.states for snapshot in snapshots]).reshape(rows)
    empty = np.isnan(values) | (states != State.VALUE)
    times = np.repeat([microseconds(snapshot.time) for snapshot in snapshots], entities)
    places = np.tile(np.arange(entities, dtype=np.int32), len(snapshots))
    names = _strings([entity.id for entity in layout.entities])
    kinds = schema(layout.metrics)
    columns = {
        "time": _array(times, kinds.field("time").type),
        "entity": pa.DictionaryArray.from_arrays(_array(places, pa.int32()), names),
        "states": _digits(states).dictionary_encode(),
        "notes": _notes(snapshots, entities).dictionary_encode(),
    }
    for place, name in enumerate(layout.metrics):
        kind = kinds.field(name).type
        with np.errstate(over="ignore"):  # what no float32 holds is infinite
            cells = values[:, place].astype("f8" if kind == pa.float64() else "f4")
        columns[name] = _array(cells, kind, ~empty[:, place])
    return pa.table(columns, schema=kinds)


def decode(table: Any, layout: Layout, metrics: Sequence[str] | None = None) -> Samples:
    """Return the samples of a table that `encode` made of a layout, all metrics or some.

    Raises
    ------
    TelemetryError
        If a cell has a value and a reason for having none: the file is damaged.
    """
    _check(table, layout)
    entities, names = layout.shape[0], layout.metrics if metrics is None else tuple(metrics)
    shape = (table.num_rows // entities, entities, len(layout.metrics))
    read = [table[name].to_numpy().astype(np.float64) for name in names]
    values = np.stack(read, axis=-1) if read else np.empty((table.num_rows, 0))
    words, which = _coded(table["states"])
    digits = np.array([list(word.encode()) for word in words], dtype=np.uint8).reshape(len(words), -1) - ZERO
    states = digits[which].reshape(shape)
    places = [layout.column(name) for name in names]
    values, states = values.reshape(*shape[:2], len(names)), states[:, :, places]
    if ((states != State.VALUE) & ~np.isnan(values)).any():
        raise TelemetryError("states and values of a recording contradict each other", mend="take it from a backup")
    told, which = _coded(table["notes"])
    split = [tuple(text.split("\n")) for text in told] + [()]  # a null has place -1
    kept = layout if metrics is None else replace(layout, metrics=names)
    return Samples(
        History(kept, times(table, entities), values, states),
        tuple(split[place] for place in which[::entities]),
    )


def _check(table: Any, layout: Layout) -> None:
    """Refuse rows that are not whole samples of a layout, and states that there are not."""
    entities, metrics = layout.shape
    words, which = _coded(table["states"])
    digits = set("".join(map(str, words))) - {str(int(state)) for state in State}
    if table.num_rows % max(1, entities) or digits or {len(word or "") for word in words} - {metrics} or -1 in which:
        raise TelemetryError("rows of a recording do not fit its layout", mend="take it from a backup")


def times(table: Any, entities: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the time of every sample, in seconds since the epoch."""
    return np.asarray(table["time"].to_numpy().astype(np.int64)[::entities] / 1e6)


def cells(of: Layout, within: Layout) -> tuple[Any, ...]:
    """Return the places of a layout's cells in a larger one, as an index."""
    rows = [within.rows[entity.id] for entity in of.entities]
    return np.ix_(rows, [within.columns[name] for name in of.metrics])


def microseconds(time: float) -> int:
    """Return a time as a recording keeps it."""
    return round(time * 1e6)


def pack(layout: Layout) -> dict[str, Any]:
    """Return a layout as plain values for JSON."""
    return asdict(layout)


def unpack(values: dict[str, Any]) -> Layout:
    """Return the layout that `pack` described; `ValueError` if it cannot be one."""
    return sound(decoding.fit(Layout, values))


def _exact(name: str) -> bool:
    """Tell whether a metric needs all digits: a counter's differences are what matters; unknown metrics may."""
    return name not in METRICS or METRICS[name].kind == "counter"


def _array(cells: np.ndarray[Any, Any], kind: Any, valid: np.ndarray[Any, Any] | None = None) -> Any:
    """Return an Arrow array over a NumPy array.

    `pyarrow.array` would import pandas, to ask whether it is given a series: too late in an interpreter that ends,
    and 50 MB more in every other.
    """
    import pyarrow as pa

    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(kind, len(cells), [bits, pa.py_buffer(np.ascontiguousarray(cells))])


def _coded(column: Any) -> tuple[list[str], np.ndarray[Any, np.dtype[np.int32]]]:
    """Return the words of a column and the place of each row's word among them, -1 for a null."""
    whole = column.unify_dictionaries().combine_chunks()
    whole = whole.chunk(0) if hasattr(whole, "num_chunks") else whole
    return whole.dictionary.to_pylist(), whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)


def _strings(texts: Sequence[str | None]) -> Any:
    import pyarrow as pa

    encoded = [(text or "").encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    bits = np.packbits([text is not None for text in texts], bitorder="little")
    return pa.StringArray.from_buffers(len(texts), *map(pa.py_buffer, (offsets, b"".join(encoded), bits)))


def _digits(states: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
    """Return each row of states as a string of digits, without a loop over rows."""
    import pyarrow as pa

    rows, width = states.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    text = np.ascontiguousarray(states + ZERO)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))


def _notes(snapshots: Sequence[Snapshot], entities: int) -> Any:
    """Return the notes of each sample in the row of its first entity."""
    rows: list[str | None] = [None] * (len(snapshots) * entities)
    for place, snapshot in enumerate(snapshots):
        rows[place * entities] = "\n".join(note.replace("\n", " ") for note in snapshot.notes) or None
    return _strings(rows)
