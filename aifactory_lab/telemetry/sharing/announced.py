"""Endpoints that run on this machine, announced by those who start them, and one source that follows them all.

A service announces the address of its metrics while it runs, in a folder that only this user can enter. A dashboard
that was open before the service finds it at its next look, and shows it as lost when it dies without a word. What the
metrics mean is `prometheus`' business.

>>> import tempfile
>>> folder = tempfile.mkdtemp()
>>> with announce("http://127.0.0.1:8000/metrics", folder):
...     print(announced(folder))
['http://127.0.0.1:8000/metrics']
>>> announced(folder)
[]
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aifactory_lab import decoding
from aifactory_lab.aside import write_text
from aifactory_lab.telemetry.metrics import SERVICE
from aifactory_lab.telemetry.readings import Facts, Layout, Snapshot, State
from aifactory_lab.telemetry.sharing.election import lives, runtime_folder
from aifactory_lab.telemetry.sources import Source

FOLDER = "endpoints"


@dataclass(frozen=True)
class _Said:
    url: str
    pid: int
    since: float


@contextmanager
def announce(url: str, folder: Path | str | None = None) -> Iterator[None]:
    """Say that metrics can be read at `url` while the block runs.

    Raises
    ------
    TelemetryError
        If the folder is not private.
    """
    kept = _folder(folder) / f"{os.getpid()}-{time.time_ns()}.json"
    write_text(kept, json.dumps({"url": url, "pid": os.getpid(), "since": time.time()}))
    try:
        yield
    finally:
        kept.unlink(missing_ok=True)


def announced(folder: Path | str | None = None) -> list[str]:
    """Return the addresses that are announced now, oldest first; what killed processes left is swept."""
    found = []
    for kept in sorted(_folder(folder).glob("*.json")):
        with suppress(OSError, ValueError):
            said = decoding.decode(_Said, kept.read_bytes())
            if lives(said.pid, said.since):
                found.append((said.since, said.url))
            else:
                kept.unlink(missing_ok=True)
    return list(dict.fromkeys(url for _, url in sorted(found)))


class EndpointsSource(Source):
    """Every endpoint given, and every one that is announced, each an entity of kind "service".

    Parameters
    ----------
    make
        From an address to its source.
    given
        Addresses to read whether they are announced or not.
    """

    key = "endpoints"

    def __init__(
        self, make: Callable[[str], Source], given: Sequence[str] = (), folder: Path | str | None = None
    ) -> None:
        self._make, self._given, self._folder = make, list(given), folder
        self._sources: dict[str, Source] = {}

    def open(self) -> Layout:
        """Look who is there; nobody yet is no error."""
        self._look()
        return _joined([source.layout for source in self._sources.values()])

    def sample(self) -> Snapshot:
        """Read all of them; one that fails is lost, and the others go on."""
        self._look()
        parts = [_sampled(source) for source in self._sources.values()]
        layout = _joined([part.layout for part in parts])
        if layout != self.layout:
            self.layout = layout
        snapshot = Snapshot.blank(self.layout, time=time.time())
        notes: list[str] = []
        for part in parts:
            rows = [self.layout.rows[entity.id] for entity in part.layout.entities if entity.kind == "service"]
            mine = [row for row, entity in enumerate(part.layout.entities) if entity.kind == "service"]
            for name in set(part.layout.metrics) & set(SERVICE):
                place, column = self.layout.columns[name], part.layout.columns[name]
                snapshot.values[rows, place] = part.values[mine, column]
                snapshot.states[rows, place] = part.states[mine, column]
            notes += part.notes
        return Snapshot(snapshot.time, self.layout, snapshot.values, snapshot.states, tuple(notes))

    def facts(self) -> Mapping[str, Facts]:
        """Return the facts of all of them."""
        return {entity: fact for source in self._sources.values() for entity, fact in source.facts().items()}

    def close(self) -> None:
        """Close all of them."""
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def _look(self) -> None:
        """Take in who came; let go of who said good-bye."""
        urls = list(dict.fromkeys([*self._given, *announced(self._folder)]))
        for url in [url for url in self._sources if url not in urls]:
            self._sources.pop(url).close()
        for url in [url for url in urls if url not in self._sources]:
            self._sources[url] = self._make(url)


def _sampled(source: Source) -> Snapshot:
    try:
        return source.sample()
    except Exception as error:  # noqa: BLE001 - one endpoint's fault is not the others'
        lost = Snapshot.blank(source.layout, time=time.time(), state=State.LOST)
        return Snapshot(lost.time, lost.layout, lost.values, lost.states, (str(error),))


def _joined(layouts: Sequence[Layout]) -> Layout:
    entities = [entity for layout in layouts for entity in layout.entities if entity.kind == "service"]
    unique = {entity.id: entity for entity in entities}
    return Layout(tuple(unique.values()), SERVICE, "measured", "endpoints")


def _folder(folder: Path | str | None) -> Path:
    return runtime_folder(Path(folder) if folder is not None else runtime_folder() / FOLDER)
