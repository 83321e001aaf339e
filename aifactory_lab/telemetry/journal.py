"""What the stations do, as events: a station begins, has made so many, ends or fails.

`measure.Meter` publishes; boards, recordings and the production source listen. Inside `into(path)` every event is
also appended to a file as one JSON line, so that a dashboard in another process sees what `make run` does in a
terminal. Telemetry lies below the stations, so this module does not know them.

>>> events = []
>>> end = listen(events.append)
>>> publish(Event("begin", "etl", run="doctest", unit="rows", time=0.0))
>>> end()
>>> events[0].station
'etl'
"""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from aifactory_lab import decoding

FILE = "production.jsonl"
KEPT = 4_000
Kind = Literal["begin", "progress", "end", "failed", "reused"]


@dataclass(frozen=True)
class Event:
    """One thing that happened at a station.

    Attributes
    ----------
    run
        Identifies one visit to the station: ``"<pid>.<nanoseconds>"``.
    made, unit
        How many of what so far.
    seconds, joules, floor_share
        Of the whole visit, once it ended; joules are `None` where no counter can be read.
    """

    kind: Kind
    station: str
    run: str
    unit: str = ""
    made: int = 0
    seconds: float = 0.0
    joules: float | None = None
    floor_share: float | None = None
    time: float = field(default_factory=time.time)


_LISTENERS: list[Callable[[Event], None]] = []
_FILES: list[Path] = []
_LOCK = threading.Lock()
_RECENT: deque[Event] = deque(maxlen=KEPT)


def new_run() -> str:
    """Return the name of a new visit."""
    return f"{os.getpid()}.{time.time_ns()}"


def publish(event: Event) -> None:
    """Tell every listener, and append to the file of the innermost `into`."""
    _RECENT.append(event)
    for listener in _LISTENERS:
        listener(event)
    if _FILES:
        with suppress(OSError):  # a full disk may cost a line of the journal, never the work that it tells of
            append(_FILES[-1], event)


def recent() -> list[Event]:
    """Return the last events of this process, oldest first."""
    return list(_RECENT)


def forget() -> None:
    """Forget the events of this process; files and listeners stay."""
    _RECENT.clear()


def listen(listener: Callable[[Event], None]) -> Callable[[], None]:
    """Call `listener` with every event of this process, in the thread that publishes; return what ends that."""
    _LISTENERS.append(listener)
    return lambda: _LISTENERS.remove(listener) if listener in _LISTENERS else None


@contextmanager
def into(path: Path) -> Iterator[None]:
    """Append the events of this process to a file while the block runs."""
    with _LOCK:
        _FILES.append(path)
    try:
        yield
    finally:
        with _LOCK:
            _FILES.remove(path)


def append(path: Path, event: Event) -> None:
    """Append one event; a single write, so that processes do not tear each other's lines."""
    line = b"\n" + json.dumps(asdict(event)).encode() + b"\n"  # the newline before it ends a line torn by a kill
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def read(path: Path, position: int = 0) -> tuple[list[Event], int]:
    """Return the whole events after a position, and the position after them; a line torn by a kill is passed over."""
    if not path.exists():
        return [], 0
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) < position:  # the file was begun anew
            position = 0
        stream.seek(position)
        text = stream.read()
    whole = text[: text.rfind(b"\n") + 1]
    events = [event for line in whole.splitlines() if (event := _event(line)) is not None]
    return events, position + len(whole)


def _event(line: bytes) -> Event | None:
    try:
        event = decoding.decode(Event, line)
    except ValueError:  # torn, or not an event at all
        return None
    return event if abs(event.time) <= decoding.LAST_MOMENT and abs(event.seconds) <= decoding.LAST_MOMENT else None
