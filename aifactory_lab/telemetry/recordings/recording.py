"""Open what was recorded: a finished file, a recording that still runs, or what a killed kernel left.

Only what is whole is believed; `damage` says in words what is missing. Rows are read when they are asked for, so
that a day opens at once and fits small memories. This module does not know how a recording is played or drawn.

>>> Recording.open("no/such/run")
Traceback (most recent call last):
    ...
aifactory_lab.errors.TelemetryError: there is no recording no/such/run.parquet, nor a folder run.recording beside it
  mend: telemetry.record(sampler, 'no/such/run')
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.history import CELL_BYTES, History
from aifactory_lab.telemetry.readings import Layout, Snapshot, State
from aifactory_lab.telemetry.recordings import columns, damage, parts
from aifactory_lab.telemetry.recordings.bands import Band, united
from aifactory_lab.telemetry.recordings.chunks import Chunk, Part
from aifactory_lab.telemetry.recordings.columns import Samples
from aifactory_lab.telemetry.recordings.damage import clock

if TYPE_CHECKING:
    import polars as pl

HISTORY_BYTES = 256 << 20  # a day of 8 GPUs × 24 metrics is 149 MB


class Recording:
    """A recording on disk.

    Attributes
    ----------
    name, path
        What it is called, and the file or folder that was opened.
    events
        The stations that worked meanwhile.
    damage
        What is missing, in words; empty if nothing is.
    """

    def __init__(self, path: Path, found: list[Part], missing: str = "") -> None:
        self.path, self.damage = path, missing
        self.name = path.stem
        self.chunks = tuple(chunk for part in found for chunk in part.chunks)
        bands = united(band for part in found for band in part.bands)
        self.events: tuple[Band, ...] = tuple(band for band in bands if band.within(self.start, self.stop))
        self._read: tuple[Chunk, Samples] | None = None

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a recording by its name, its file or its folder.

        Raises
        ------
        TelemetryError
            If there is none, or nothing of it can be read.
        """
        return cls(*damage.find(path))

    @property
    def start(self) -> float:
        """Time of the first sample, seconds since the epoch."""
        return self.chunks[0].start

    @property
    def stop(self) -> float:
        """Time of the last sample."""
        return self.chunks[-1].stop

    @property
    def seconds(self) -> float:
        """Seconds from the first sample to the last."""
        return self.stop - self.start

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(chunk.samples for chunk in self.chunks)

    @cached_property
    def period(self) -> float:
        """Seconds between samples: the median of the longest chunk, 0 if there is but one sample."""
        longest = max(self.chunks, key=lambda chunk: chunk.samples)
        gaps = np.diff(columns.times(longest.table(["time"]), longest.layout.shape[0]))
        return float(np.median(gaps)) if len(gaps) else 0.0

    @cached_property
    def layout(self) -> Layout:
        """All entities and metrics that were ever recorded; simulated if any of them was."""
        layouts = parts.distinct(chunk.layout for chunk in self.chunks)
        if len(layouts) == 1:
            return layouts[0]
        entities = {entity.id: entity for layout in layouts for entity in layout.entities}
        metrics = tuple(dict.fromkeys(name for layout in layouts for name in layout.metrics))
        first = next((layout for layout in layouts if layout.origin == "simulated"), layouts[0])
        return replace(first, entities=tuple(entities.values()), metrics=metrics)

    def history(
        self,
        start: float = -np.inf,
        stop: float = np.inf,
        *,
        step: float = 0.0,
        metrics: Sequence[str] | None = None,
    ) -> History:
        """Read samples.

        Parameters
        ----------
        start, stop
            Seconds since the epoch, both included, as in `History.between`.
        step
            Keep the first sample of every so many seconds; 0 keeps all.
        metrics
            Read only these; the others stay on disk.

        Returns
        -------
        history
            Of `layout`; what an entity's layout of that time lacked is unsupported.

        Raises
        ------
        TelemetryError
            If that takes more than 256 MiB, with the step that fits, or if what is on disk is damaged.
        """
        layout = self.layout if metrics is None else self._only(metrics)
        picked = list(self._picked(start, stop, step))
        count = sum(len(places) for _, places in picked)
        self._check(count, layout, step)
        times, values = np.empty(count), np.full((count, *layout.shape), np.nan)
        states, at = np.full((count, *layout.shape), State.UNSUPPORTED, dtype=np.uint8), 0
        for chunk, places in picked:
            read = self._samples(chunk, metrics).history
            rows, cells = slice(at, at := at + len(places)), columns.cells(read.layout, layout)
            times[rows] = read.times[places]
            values[rows][:, *cells], states[rows][:, *cells] = read.values[places], read.states[places]
        return History(layout, times, values, states)

    def at(self, time: float) -> Snapshot:
        """Return the last sample at or before a time, in the layout it was recorded with; before all, the first."""
        samples = self._samples(self.chunk(time))
        return samples.snapshot(max(0, int(np.searchsorted(samples.history.times, time, side="right")) - 1))

    def chunk(self, time: float) -> Chunk:
        """Return the chunk of the last sample at or before a time; before all, the first."""
        return next((chunk for chunk in reversed(self.chunks) if chunk.start <= time), self.chunks[0])

    def frame(self, start: float = -np.inf, stop: float = np.inf, *, step: float = 0.0) -> "pl.DataFrame":
        """Read samples as a table: one row per sample and entity, a column per metric."""
        return self.history(start, stop, step=step).frame()

    def histories(self) -> Iterator[History]:
        """Yield all samples, chunk after chunk, each in its own layout: a pass in bounded memory."""
        for chunk in self.chunks:
            yield self._samples(chunk).history

    def save(self, path: Path | str) -> Path:
        """Write what is whole as one finished file, of what a killed kernel left or for another place.

        Raises
        ------
        TelemetryError
            If it cannot be written, or there is something of that name.
        """
        target, folder = parts.places(path)
        if target.exists() or (folder.exists() and folder != self.path):
            msg = f"there is a recording {target.with_suffix('')} already"
            raise TelemetryError(msg, mend="recording.save('another/name')")
        try:
            return parts.merge(target, self.chunks, self.events).path
        except OSError as error:
            msg = f"{target} cannot be written ({error})"
            raise TelemetryError(msg, mend="recording.save('another/folder/name')") from error

    def __repr__(self) -> str:
        return f"Recording({self.name!r}: {', '.join(self._facts().values())})"

    def _repr_html_(self) -> str:
        facts = {name: escape(text) for name, text in self._facts().items()}
        facts |= {"stations": "<br>".join(escape(str(band)) for band in self.events[:12])}
        rows = [f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in facts.items() if text]
        return f"<table><caption>{escape(self.name)}</caption>{''.join(rows)}</table>"

    def _facts(self) -> dict[str, str]:
        facts = {
            "of": f"{contents(self.layout)} × {len(self.layout.metrics)} metrics",
            "from": clock(self.start),
            "for": f"{self.seconds:,.0f} s",
            "samples": f"{self.samples:,} samples",
            "origin": f"{self.layout.origin} ({self.layout.label})" if self.layout.label else self.layout.origin,
        }
        return facts | ({"damage": self.damage} if self.damage else {})

    def _picked(self, start: float, stop: float, step: float) -> Iterator[tuple[Chunk, Any]]:
        """Yield each chunk that has samples in that time, with their places in it."""
        before = -1.0
        for chunk in self.chunks:
            if chunk.stop < start or chunk.start > stop:
                continue
            times = columns.times(chunk.table(["time"]), chunk.layout.shape[0])
            places = np.flatnonzero((times >= start) & (times <= stop))
            if step > 0:
                bins = np.floor((times[places] - self.start) / step)
                places, bins = places[bins > before], bins[bins > before]
                places = places[np.unique(bins, return_index=True)[1]]
                before = bins[-1] if len(bins) else before
            yield chunk, places

    def _only(self, metrics: Sequence[str]) -> Layout:
        for name in metrics:
            self.layout.column(name)
        return replace(self.layout, metrics=tuple(metrics))

    def _check(self, samples: int, layout: Layout, step: float) -> None:
        entities, metrics = layout.shape
        if (size := samples * entities * metrics * CELL_BYTES) > HISTORY_BYTES:
            fits = np.ceil(max(self.period, step) * size / HISTORY_BYTES)
            msg = f"{samples:,} samples of {entities:,} × {metrics} take {size / 2**20:,.0f} MiB"
            raise TelemetryError(msg, mend=f"recording.history(step={fits:.0f})")

    def _samples(self, chunk: Chunk, metrics: Sequence[str] | None = None) -> Samples:
        if metrics is not None:
            kept = [name for name in metrics if name in chunk.layout.columns]
            return columns.decode(chunk.table([*columns.WHO, *kept]), chunk.layout, kept)
        read = self._read  # one tuple: a player's thread and a cell may both read
        if read is None or read[0] is not chunk:
            read = self._read = chunk, columns.decode(chunk.table(), chunk.layout)
        return read[1]


def contents(layout: Layout) -> str:
    """Return what a layout is of: ``"8 × NVIDIA H100"``, ``"8 × gpu, 2 × mig"``."""
    names = {entity.name or entity.kind for entity in layout.entities}
    if len(names) == 1:
        return f"{len(layout.entities):,} × {names.pop()}"
    kinds = Counter(entity.kind for entity in layout.entities)
    return ", ".join(f"{count:,} × {kind}" for kind, count in kinds.items()) or "nothing"
