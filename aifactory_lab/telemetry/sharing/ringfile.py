"""The last samples of one layout in a file that many processes map: one writes, the others read.

Every sample lies in its place with its number and a checksum over all of it. A reader copies, then believes what
fits: a sample that was being written meanwhile, or was written over, does not, on any processor and without a lock
(x86 and ARM order stores differently, and Python has no barriers). The file is written aside and renamed, never
changed in size. Who may write is not decided here.

>>> import tempfile
>>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
>>> layout = Layout((Entity(("gpu 0",)),), ("power",), "simulated")
>>> writer = RingFile.create(Path(tempfile.mkdtemp()) / "doctest.ring", layout, key="doctest", capacity=2)
>>> for second in range(3):
...     writer.append(Snapshot.blank(layout, time=float(second)).put("gpu 0", power=100.0 * second))
>>> reader = RingFile(writer.path, key="doctest")
>>> print(reader.newest().reading("gpu 0", "power"), reader.history().times.tolist())
200 W [1.0, 2.0]
"""

import math
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson

from aifactory_lab import decoding
from aifactory_lab.aside import write_aside
from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.readings import Layout, Snapshot
from aifactory_lab.telemetry.sharing.documents import read_layout, write_layout
from aifactory_lab.telemetry.sharing.election import boot

MAGIC = b"aifring\x01"  # the last byte is the version of all that follows
HEAD = struct.Struct("<8sQQQ")  # magic, bytes of JSON, bytes before the first sample, samples written so far
COUNT_AT = 24
NOTE_BYTES = 1_000
PAGE = 4_096
TRIES = 5


class RingFile:
    """A ring file, mapped into memory.

    Parameters
    ----------
    key
        What the file must hold.
    write
        Whether this process may append.

    Attributes
    ----------
    layout, capacity, period
        What is in it, how many samples at most, and the seconds between them that the writer intends.

    Raises
    ------
    TelemetryError
        If there is no such file, or it is damaged, of another version, of an earlier boot, or of another key.
    """

    def __init__(self, path: Path, *, key: str, write: bool = False) -> None:
        self.path = path
        try:
            with path.open("rb+" if write else "rb") as stream:
                self._file = os.fstat(stream.fileno())
                access = mmap.ACCESS_WRITE if write else mmap.ACCESS_READ
                mapped = mmap.mmap(stream.fileno(), 0, access=access)
            start, head, self.layout = _read_head(mapped)
            self.capacity, self.period = head.capacity, head.period
            known = (head.key, head.boot) == (key, boot()) and head.capacity >= 1 and head.period > 0
            known = known and math.prod(self.layout.shape) <= len(mapped)  # else the sizes below were beyond all bounds
            self._slot = _slot(self.layout if known else Layout((), ()))
        except (OSError, ValueError, struct.error) as error:
            msg = f"{path} cannot be read: {error}"
            raise TelemetryError(msg) from error
        if not known or len(mapped) != start + self.capacity * self._slot.itemsize:
            msg = f"{path} is of another source, of an earlier boot, or cut off; it is not believed"
            raise TelemetryError(msg)
        self._count = np.frombuffer(mapped, dtype="<u8", count=1, offset=COUNT_AT)
        samples = np.frombuffer(mapped, dtype=np.uint8, offset=start)
        self._samples = samples.reshape(self.capacity, self._slot.itemsize)
        self._next = self.count
        self._seen: tuple[int, Snapshot | None] = (0, None)

    @classmethod
    def create(
        cls,
        path: Path,
        layout: Layout,
        *,
        key: str,
        capacity: int,
        period: float = 1.0,
        history: History | None = None,
    ) -> Self:
        """Put a new file in the place of whatever was there, and open it for writing.

        Parameters
        ----------
        history
            Samples of this layout that it holds from the start.

        Raises
        ------
        TelemetryError
            If there is no room for it.
        """
        head = {"key": key, "boot": boot(), "capacity": capacity, "period": period}
        text = orjson.dumps({**head, "layout": orjson.Fragment(write_layout(layout))})
        start = -(-(HEAD.size + len(text)) // PAGE) * PAGE
        size = start + capacity * _slot(layout).itemsize
        try:
            with write_aside(path) as aside:
                with aside.open("wb") as stream:
                    # room now or an error now: a full disk would end a process that writes to its mapping
                    os.posix_fallocate(stream.fileno(), 0, size)
                    stream.write(HEAD.pack(MAGIC, len(text), start, 0) + text)
                if history is not None:
                    _fill(cls(aside, key=key, write=True), history)
        except OSError as error:
            msg = f"cannot make {path} with {size / 1e6:.1f} MB: {error.strerror}"
            raise TelemetryError(msg, mend="Shared(source, folder=a folder with room)") from error
        return cls(path, key=key, write=True)

    @property
    def count(self) -> int:
        """Samples written so far, those included that gave way."""
        return int(self._count[0])

    @property
    def in_place(self) -> bool:
        """Whether this is still the file at its path, and not one that was replaced."""
        try:
            return os.path.samestat(self._file, self.path.stat())
        except OSError:
            return False

    def append(self, snapshot: Snapshot) -> None:
        """Write one sample; the oldest gives way. Only one process may do so."""
        count, self._next = self._next, self._next + 1
        raw = np.zeros(self._slot.itemsize, dtype=np.uint8)
        sample = raw.view(self._slot)
        sample["index"], sample["time"] = count, snapshot.time
        sample["values"], sample["states"] = snapshot.values, snapshot.states
        notes = _notes(snapshot.notes)
        sample["length"], sample["notes"][0, : len(notes)] = len(notes), np.frombuffer(notes, dtype=np.uint8)
        sample["check"] = zlib.crc32(raw[4:].data)
        self._samples[count % self.capacity] = raw
        self._count[0] = count + 1

    def newest(self) -> Snapshot | None:
        """Return the newest sample, the very same object while there is no newer one; `None` before the first.

        Raises
        ------
        TelemetryError
            If it is damaged.
        """
        for _ in range(TRIES):
            count = self.count
            if count != self._seen[0] and (snapshot := self._snapshot(count - 1)):
                self._seen = (count, snapshot)
            if count == self._seen[0]:
                return self._seen[1]
        msg = f"sample {self.count} in {self.path} is damaged"
        raise TelemetryError(msg)

    def history(self, *, skip: int = 0) -> History:
        """Return a copy of all samples that are whole, oldest first, without the newest `skip`."""
        numbers = range(max(0, self.count - self.capacity), max(0, self.count - skip))
        times, values = np.empty(len(numbers)), np.empty((len(numbers), *self.layout.shape))
        states, kept = np.empty(values.shape, dtype=np.uint8), 0
        for number in numbers:
            if (sample := self._sample(number)) is not None:
                times[kept], values[kept], states[kept] = sample["time"], sample["values"], sample["states"]
                kept += 1
        return History(self.layout, times[:kept], values[:kept], states[:kept])

    def _snapshot(self, number: int) -> Snapshot | None:
        sample = self._sample(number)
        if sample is None:
            return None
        notes = sample["notes"][: sample["length"]].tobytes().decode(errors="ignore")
        return Snapshot(
            float(sample["time"]), self.layout, sample["values"], sample["states"], tuple(notes.splitlines())
        )

    def _sample(self, number: int) -> Any:
        """Return a copy of a sample, `None` if it is not whole, or is another by now."""
        raw = self._samples[number % self.capacity].copy()
        sample = raw.view(self._slot)[0]
        return sample if sample["index"] == number and sample["check"] == zlib.crc32(raw[4:].data) else None


def _fill(ring: RingFile, history: History) -> None:
    for index in range(max(0, len(history) - ring.capacity), len(history)):
        ring.append(history.snapshot(index))


def _slot(layout: Layout) -> np.dtype[Any]:
    """Return the place of one sample; `check` covers all bytes after it."""
    fields: Any = [
        ("check", "<u4"),
        ("length", "<u4"),
        ("index", "<u8"),
        ("time", "<f8"),
        ("notes", "u1", NOTE_BYTES),
        ("values", "<f8", layout.shape),
        ("states", "u1", layout.shape),
    ]
    slot: np.dtype[Any] = np.dtype(fields, align=True)
    return slot


@dataclass(frozen=True)
class _Head:
    """What stands before the samples."""

    key: str
    boot: str
    capacity: int
    period: float
    layout: dict[str, Any]


def _read_head(mapped: mmap.mmap) -> tuple[int, _Head, Layout]:
    """Return where the samples begin, the head, and the layout; `ValueError` if it is none of ours."""
    magic, length, start, _ = HEAD.unpack_from(mapped)
    if magic != MAGIC:
        msg = "it is no ring, or one of another version"
        raise ValueError(msg)
    head = decoding.decode(_Head, mapped[HEAD.size : min(len(mapped), HEAD.size + length)])
    return start, head, read_layout(orjson.dumps(head.layout))


def _notes(notes: Sequence[str]) -> bytes:
    return "\n".join(" ".join(note.split()) for note in notes).encode()[:NOTE_BYTES]
