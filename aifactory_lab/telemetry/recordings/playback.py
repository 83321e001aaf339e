"""A recording as a source: it is watched like the plant it was made of, as fast as one likes, without a GPU.

The moment that is played lies under the time *now*, so that a board's lines run and nothing looks stale; values are
as they were recorded (a rate stays per recorded second, a counter counts the recorded joules). When it really was
stands in the label and in the facts. This module does not know what is played.

>>> import tempfile
>>> from aifactory_lab.telemetry.recordings.gathering import Gathering
>>> from aifactory_lab.telemetry.readings import Entity
>>> layout = Layout((Entity(("lab", "rack 1", "node-3", "gpu 0"), "gpu", "H100"),), ("busy",), "measured", "node-3")
>>> gathering = Gathering(tempfile.mkdtemp() + "/run")
>>> gathering.add([Snapshot.blank(layout, time=1795528930.0 + t).put(layout.entities[0].id, busy=t) for t in (0, 1)])
>>> with RecordingSource(gathering.finish(), speed=10) as source:
...     print(source.layout.label)
recording of node-3, 24 Nov 2026 14:02:10 UTC, 1 × H100, 10×
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.readings import Facts, Layout, Snapshot
from aifactory_lab.telemetry.recordings.damage import clock
from aifactory_lab.telemetry.recordings.recording import Recording, contents
from aifactory_lab.telemetry.sampler import STALE_AFTER, Sampler, watch
from aifactory_lab.telemetry.sources import Source

LEAST_PERIOD, MOST_PERIOD = 0.1, 1.0  # seconds between samples of a player, whatever was recorded
MOST_SPEED = 60.0
TOLD = 64  # entities that are told when it was; every board shows one of them first
End = Literal["loop", "hold"]


class RecordingSource(Source):
    """Plays a recording.

    Parameters
    ----------
    recording
        A recording, or its path.
    speed
        Recorded seconds per second, 0 (it stands still) to 60.
    end
        What comes after the last sample: it loops to the first, or holds the last and notes that it does.

    Raises
    ------
    TelemetryError
        If it cannot be opened, or `speed` is out of range.
    """

    def __init__(self, recording: Recording | Path | str, speed: float = 1.0, *, end: End = "loop") -> None:
        self.recording = recording if isinstance(recording, Recording) else Recording.open(recording)
        self.end = end
        self._speed = _checked(speed)
        self._anchor = time.monotonic(), 0.0  # a moment of the player's, and the recorded seconds it shows
        self._layouts: list[tuple[Layout, Layout]] = []
        self.key = f"recording {self.recording.name}"

    @property
    def speed(self) -> float:
        """Recorded seconds per second; may be set while it plays."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        here = self.position
        self._speed = _checked(speed)
        self._layouts = []  # the label says the speed
        self.seek(here)

    @property
    def position(self) -> float:
        """Recorded seconds from the start that are played now."""
        since, shown = self._anchor
        position, length = shown + (time.monotonic() - since) * self._speed, self._length
        return position % length if self.end == "loop" else min(position, self.recording.seconds)

    def seek(self, seconds: float) -> None:
        """Go to a place, in recorded seconds from the start; beyond the ends it is the end."""
        self._anchor = time.monotonic(), min(max(0.0, seconds), self.recording.seconds)

    def open(self) -> Layout:
        """Say what was recorded first."""
        self.seek(0.0)
        return self._labelled(self.recording.chunks[0].layout)

    def sample(self) -> Snapshot:
        """Return what was read at the moment that is played, under the time now."""
        position, now = self.position, time.time()
        moment = self.recording.start + position
        recorded = self.recording.at(moment)
        # a gap in the recording shows as it did then: stale after three periods
        recorded = recorded.aged(moment, max(STALE_AFTER * self.recording.period, 2.0))
        held = self.end == "hold" and position >= self.recording.seconds
        notes = (*recorded.notes, "the recording has ended: the last readings are held") if held else recorded.notes
        return replace(recorded, time=now, layout=self._labelled(recorded.layout), notes=notes)

    def facts(self) -> dict[str, Facts]:
        """Tell when it really was."""
        moment = self.recording.start + self.position
        then = {"recorded": clock(moment), "recording": self.recording.name}
        facts = Facts(details=then | ({"damage": self.recording.damage} if self.recording.damage else {}))
        return {entity.id: facts for entity in self.recording.chunk(moment).layout.entities[:TOLD]}

    def bands(self) -> list[dict[str, Any]]:
        """Return when which station worked, in the player's time: what is played now lies under *now*.

        Those that are still to come are left out, and one that works at the moment played has no end yet.
        """
        if not self._speed:
            return []
        now, position = time.time(), self.position
        shown = []
        for event in self.recording.events:
            start, stop = (moment - self.recording.start for moment in (event.start, event.stop or self.recording.stop))
            if start <= position:
                ended = None if stop > position else now - (position - stop) / self._speed
                begun = now - (position - start) / self._speed
                shown.append({"station": event.station, "start": begun, "stop": ended})
        return shown

    @property
    def best_period(self) -> float:
        """Seconds between samples that show every recorded sample, within reason."""
        return min(MOST_PERIOD, max(LEAST_PERIOD, self.recording.period / max(self._speed, 1e-9)))

    @property
    def _length(self) -> float:
        return self.recording.seconds + self.recording.period or 1.0  # the last sample lasts as long as any

    def _labelled(self, layout: Layout) -> Layout:
        """Return a layout that says it is recorded; the same one each time, for a sampler sees a change by identity."""
        for recorded, shown in self._layouts:
            if recorded is layout:
                return shown
        shown = replace(
            layout, origin="simulated" if layout.origin == "simulated" else "recorded", label=self._label(layout)
        )
        self._layouts.append((layout, shown))
        return shown

    def _label(self, layout: Layout) -> str:
        where = layout.label or "/".join(layout.entities[0].path[:3])
        simulated = "simulated " if layout.origin == "simulated" and "simulated" not in where else ""
        return f"recording of {simulated}{where}, {clock(self.recording.start)}, {contents(layout)}, {self.speed:g}×"


def replay(recording: Recording | Path | str, speed: float = 10.0, *, end: End = "loop") -> Sampler:
    """Play a recording; a player of the same recording that runs already is replaced.

    Parameters
    ----------
    recording, speed, end
        As for `RecordingSource`.

    Returns
    -------
    sampler
        Watched, shown and recorded like any other; `sampler.source.seek(seconds)` goes to a place.
    """
    source = RecordingSource(recording, speed, end=end)
    return watch(source, period=source.best_period)


def _checked(speed: float) -> float:
    if not 0 <= speed <= MOST_SPEED:
        msg = f"speed={speed!r} must be between 0 and {MOST_SPEED:g} recorded seconds per second"
        raise TelemetryError(msg, mend="telemetry.replay(path, speed=10)")
    return speed
