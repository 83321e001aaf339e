"""Record a sampler: what it reads goes to disk every few seconds, in bounded memory, safe against a killed kernel.

Snapshots wait in memory until the recorder's own thread writes them, so that a slow disk holds up neither the
sampler nor a cell. A full disk ends the recording, not the sampling. This module does not know what is recorded.

>>> import tempfile
>>> from aifactory_lab.telemetry.hosts.source import HostSource
>>> from aifactory_lab.telemetry.sampler import watch
>>> with watch(HostSource(), period=0.01) as sampler, record(sampler, Path(tempfile.mkdtemp()) / "run") as recorder:
...     _ = sampler.first()
>>> recorder.path.name, recorder.error
('run.parquet', None)
"""

import atexit
import shutil
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.production import Production
from aifactory_lab.telemetry.readings import Snapshot
from aifactory_lab.telemetry.recordings import parts
from aifactory_lab.telemetry.recordings.bands import Band, Bands
from aifactory_lab.telemetry.recordings.chunks import read
from aifactory_lab.telemetry.recordings.gathering import Gathering
from aifactory_lab.telemetry.sampler import Sampler

MEMORY_BYTES = 64 << 20  # of cells that wait for the disk; beyond it samples are left out, and counted


class Recorder:
    """Records until it is closed; made by `record`.

    Attributes
    ----------
    path
        The folder while it records; the finished file once it is closed.
    error
        What stopped it, with its mend; `None` while all is well.
    missed, note
        Samples that were left out because the disk was too slow; why no stations are kept, if they could not be told.
    """

    def __init__(self, sampler: Sampler, path: Path | str, *, every: float = 5.0, bands: Bands | None = None) -> None:
        self.every, self.missed, self.note = every, 0, ""
        self.error: TelemetryError | None = None
        self._gathering = Gathering(path)
        self.path = self._gathering.folder
        self._production = Production() if bands is None else None
        self._bands, self._since = bands or self._listen, time.time()
        self._waiting: list[Snapshot] = []
        self._bytes = self._skipped = 0
        self._queue, self._disk = threading.Lock(), threading.RLock()
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name=f"aifactory-recorder-{self.path.stem}", daemon=True)
        self._end = sampler.subscribe(self._hear)
        _OPEN.add(self)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it records."""
        return not self._closed and self.error is None

    @property
    def samples(self) -> int:
        """Samples recorded so far, those in memory too."""
        return self._gathering.samples - self.missed + len(self._waiting)

    def flush(self) -> None:
        """Write what waits in memory now."""
        with self._disk:
            with self._queue:
                waiting, self._waiting = self._waiting, []
                skipped, self._skipped, self._bytes = self._skipped, 0, 0
            if not waiting or self.error:
                return
            try:
                self._gathering.add(waiting, self._told())
                self._gathering.skip(skipped)
            except Exception as error:  # noqa: BLE001 - a traceback of a thread would land in somebody's cell
                self._stop(error)

    def close(self) -> None:
        """Write what waits, and make one file of the parts; may be called twice.

        It raises nothing: what went wrong is in `error`, and what was written stays.
        """
        if self._closed:
            return
        self._closed = True
        self._end()
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._finish()
        if self._production is not None:
            self._production.close()
        _OPEN.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"stopped: {self.error.what}" if self.error else "recording" if self.running else "closed"
        note = f", {self.note}" if self.note else ""
        return f"Recorder({str(self.path)!r}, {self.samples:,} samples, {state}{note})"

    def _hear(self, sampler: Sampler, snapshot: Snapshot) -> None:  # noqa: ARG002 - what every listener is given
        if not self.running:
            return
        with self._queue:
            if self._bytes >= MEMORY_BYTES:
                self._skipped += 1
                self.missed += 1
            else:
                self._waiting.append(snapshot)
                self._bytes += snapshot.values.nbytes + snapshot.states.nbytes
        if self._bytes >= MEMORY_BYTES // 2:
            self._wake.set()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(self.every)
            self._wake.clear()
            self.flush()
        self.flush()

    def _finish(self) -> None:
        with self._disk:
            if self.error:
                return
            if not self._gathering.samples:
                self.error = TelemetryError("nothing was recorded: no sample came", mend="sampler.first()")
            try:
                self.path = self._gathering.finish(self._told())
            except Exception as error:  # noqa: BLE001 - the parts are kept, and hold everything
                self._stop(error)

    def _stop(self, error: Exception) -> None:
        what = f"{self.path.parent} took no more ({error}); {self._gathering.samples:,} samples are kept"
        self.error = TelemetryError(what, mend=f"telemetry.Recording.open({str(self.path)!r})")
        self._end()

    def _told(self) -> list[Band]:
        """Return the stations that worked since this was asked last."""
        since, self._since = self._since, time.time()
        try:
            return [Band.of(band) for band in self._bands(since)]
        except Exception as error:  # noqa: BLE001 - the readings are good without the stations
            self.note = f"the stations could not be told: {type(error).__name__}: {error}"
            return []

    def _listen(self, since: float) -> list[dict[str, object]]:
        production = self._production
        if production is None:
            return []
        _ = production.layout  # it listens from the first time on, and knows what the journal kept from before
        return production.bands(since)


def record(
    sampler: Sampler, path: Path | str, *, every: float = 5.0, bands: Bands | None = None, overwrite: bool = False
) -> Recorder:
    """Start to record what a sampler reads, until the recorder is closed or the interpreter ends.

    Parameters
    ----------
    path
        Where: ``"runs/night"`` becomes the folder ``runs/night.recording``, and ``runs/night.parquet`` on close.
    every
        Seconds between two writes: what a killed kernel loses at most.
    bands
        Tells the stations at work since a time, as `Production.bands` does; by default those of this process.
    overwrite
        Whether a recording of that name gives way.

    Raises
    ------
    TelemetryError
        If there is a recording or another file of that name, or the folder cannot be written.
    """
    if not every > 0:
        msg = f"every={every!r} must be a positive number of seconds"
        raise TelemetryError(msg, mend="telemetry.record(sampler, path, every=5.0)")
    _make_room(path, overwrite=overwrite)
    try:
        return Recorder(sampler, path, every=every, bands=bands)
    except OSError as error:
        msg = f"{path} cannot be written ({error})"
        raise TelemetryError(msg, mend="telemetry.record(sampler, 'another/folder/name')") from error


def _make_room(path: Path | str, *, overwrite: bool) -> None:
    places = parts.places(path)
    there = next((place for place in places if place.exists()), None)
    if there is None:
        return
    if not overwrite:
        msg = f"there is a recording {there} already"
        raise TelemetryError(msg, mend=f"telemetry.record(sampler, {str(path)!r}, overwrite=True)")
    for recorder in [recorder for recorder in _OPEN if recorder.path.resolve() == there.resolve()]:
        recorder.close()
    if places[0].exists():
        read(places[0])  # raises over anybody else's Parquet file: that is not ours to remove
        places[0].unlink()
    shutil.rmtree(places[1], ignore_errors=True)


_OPEN: set[Recorder] = set()  # holds them: a recorder that nobody keeps still records


@atexit.register
def close_all() -> None:
    """Close every recorder of this process."""
    for recorder in list(_OPEN):
        recorder.close()
