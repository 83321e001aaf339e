"""The folder of a recording while it grows: parts are added at its end, and merged as they become many.

It is written by one thread. This module does not know when to write or what to do about a full disk: the recorder
does.

>>> import tempfile
>>> from aifactory_lab.telemetry.readings import Entity, Layout
>>> layout = Layout((Entity(("gpu 0",)),), ("busy",), "simulated")
>>> gathering = Gathering(Path(tempfile.mkdtemp()) / "run")
>>> gathering.add([Snapshot.blank(layout, time=1.0), Snapshot.blank(layout, time=2.0)])
>>> [part.name for part in gathering.folder.iterdir()], gathering.finish().name
(['000000000-000000001.parquet'], 'run.parquet')
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from aifactory_lab.telemetry.readings import Snapshot
from aifactory_lab.telemetry.recordings import parts
from aifactory_lab.telemetry.recordings.bands import Band
from aifactory_lab.telemetry.recordings.chunks import Chunk, Part
from aifactory_lab.telemetry.recordings.columns import encode, microseconds

FAN_IN = 16


class Gathering:
    """A growing recording on disk.

    Parameters
    ----------
    path
        Its name; the folder must not exist.

    Attributes
    ----------
    folder, target
        Where the parts gather, and the file that they become.
    samples
        Samples given numbers so far, those that were skipped too.

    Raises
    ------
    OSError
        From every method, if the disk does not take what is written.
    """

    def __init__(self, path: Path | str) -> None:
        import pyarrow.parquet  # noqa: F401 - now: in the last moments of an interpreter it can no longer be imported

        self.target, self.folder = parts.places(path)
        self.folder.mkdir(parents=True)
        self.samples = 0
        self._parts: list[tuple[int, Part]] = []
        self._last, self._gap, self._shift = 0, 1_000_000, 0

    def add(self, snapshots: Sequence[Snapshot], bands: Sequence[Band] = ()) -> None:
        """Write samples: one part, or one for each run of one layout."""
        timed = [snapshot for snapshot in map(self._timed, snapshots) if snapshot is not None]
        for _, run in groupby(timed, key=lambda snapshot: id(snapshot.layout)):
            self._write(list(run), bands)
        self._merge()

    def skip(self, samples: int) -> None:
        """Leave a gap in the numbers, from which a reader knows that samples are missing."""
        self.samples += samples

    def finish(self, bands: Sequence[Band] = ()) -> Path:
        """Make one file of the parts, then remove them; a kill in between leaves both, and a reader takes the file."""
        if self._parts:
            _merged(self.target, [part for _, part in self._parts], bands)
        shutil.rmtree(self.folder)
        return self.target

    def _write(self, run: list[Snapshot], bands: Sequence[Band]) -> None:
        layout, first, last = run[0].layout, self.samples, self.samples + len(run) - 1
        path = self.folder / parts.part_name(first, last)
        chunk = Chunk(path, 0, layout, first, len(run), run[0].time, run[-1].time)
        self._parts.append((0, parts.write(path, [(encode(layout, run), chunk)], [layout], bands)))
        self.samples += len(run)

    def _merge(self) -> None:
        """Merge the last parts while sixteen of them are of one level."""
        while len(self._parts) >= FAN_IN and len({level for level, _ in self._parts[-FAN_IN:]}) == 1:
            level, last = self._parts[-1][0], [part for _, part in self._parts[-FAN_IN:]]
            name = parts.part_name(last[0].numbers[0], last[-1].numbers[1])
            self._parts[-FAN_IN:] = [(level + 1, _merged(self.folder / name, last))]
            for part in last:
                part.path.unlink(missing_ok=True)

    def _timed(self, snapshot: Snapshot) -> Snapshot | None:
        """Return a snapshot with the time it is kept under; `None` if it says nothing new, or is of nothing.

        Where the machine's clock was set back, time goes on from the last sample: the seconds between samples stay
        true, and their order.
        """
        time = microseconds(snapshot.time) + self._shift
        if time == self._last or not snapshot.layout.entities:
            return None
        if time < self._last:
            self._shift += self._last + self._gap - time
            time = self._last + self._gap
        elif self._last:
            self._gap = time - self._last
        self._last = time
        return replace(snapshot, time=time / 1e6)


def _merged(path: Path, found: Sequence[Part], bands: Sequence[Band] = ()) -> Part:
    chunks = [chunk for part in found for chunk in part.chunks]
    return parts.merge(path, chunks, [*(band for part in found for band in part.bands), *bands])
