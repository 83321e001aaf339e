"""What is known of a job of this machine, on disk: the queue outlives the process that serves it.

A job is a file ``<id>_record.json``. Who sends a job writes it once; from then on only the engine writes it, aside and
renamed. Wishes reach the engine as empty files beside it: ``<id>_cancel``, ``<id>_requeue``. This module starts
nothing.

>>> import tempfile
>>> ledger = Ledger(Path(tempfile.mkdtemp()))
>>> ledger.add(Order(name="a", gpus=2), environment={}).id, ledger.load("1").state
('1', 'PENDING')
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from aifactory_lab import decoding
from aifactory_lab.aside import write_text
from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.folders import made
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.states import ENDED, State

Wish = Literal["cancel", "requeue"]


@dataclass
class Record:
    """How a job stands.

    Attributes
    ----------
    id, wishes
        Its id and its order, as a dict.
    state, reason
        See `fleet.frames`.
    submitted, spans
        Seconds since 1970: when it was sent, and from when to when each attempt ran; a span without end runs now.
    devices
        Ids of its GPUs.
    pid, born
        Its process, and its birth (`fleet.births`): a pid alone may be somebody else's by now.
    kills, losses
        How often it was started again because its process was killed, or the machine went down.
    first, at_most
        Of a bounded map: the id of its first job, and how many of its jobs may be in the queue's hands at a time.
    folder, python
        The sender's current folder and interpreter.
    """

    id: str
    wishes: dict[str, Any]
    state: State = "PENDING"
    reason: str = ""
    submitted: float = field(default_factory=time.time)
    spans: list[list[float]] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    pid: int = 0
    born: str = ""
    kills: int = 0
    losses: int = 0
    first: str = ""
    at_most: int = 0
    folder: str = field(default_factory=os.getcwd)
    python: str = sys.executable

    @cached_property
    def order(self) -> Order:
        """What was asked for."""
        return decoding.fit(Order, self.wishes)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def interrupted(self) -> bool:
        """Whether an attempt began whose end nobody wrote down: it runs, or the engine died with it."""
        return bool(self.spans) and len(self.spans[-1]) == 1


class Ledger:
    """The records of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = made(folder)
        self._ended: dict[str, Record] = {}  # nothing more happens to these: a board that looks reads them once

    def add(self, order: Order, environment: Mapping[str, str], *, first: str = "", at_most: int = 0) -> Record:
        """Write the record of a new job, which waits; the environment is for its owner's eyes only."""
        record = Record(self._next(), {**asdict(order), "after": list(order.after)}, first=first, at_most=at_most)
        record.first = record.first or record.id
        with os.fdopen(
            os.open(self._path(record.id, "environment.json"), os.O_CREAT | os.O_WRONLY, 0o600), "w"
        ) as file:
            json.dump(dict(environment), file)
        self.save(record)
        return record

    def save(self, record: Record) -> None:
        """Replace a record in one step."""
        write_text(self._path(record.id, "record.json"), json.dumps(asdict(record)))

    def load(self, job_id: str) -> Record:
        """Read a record.

        Raises
        ------
        FleetError
            If there is no such job, or its record is damaged.
        """
        try:
            record = decoding.decode(Record, self._path(job_id, "record.json").read_bytes())
            assert record.order  # what was asked for must be an order, too
        except FileNotFoundError as error:
            msg = f"there is no job {job_id!r} in {self.folder}"
            raise FleetError(msg, mend="fleet.jobs()  # their ids") from error
        except ValueError as error:
            msg = f"the record of job {job_id!r} in {self.folder} is damaged: {error}"
            raise FleetError(msg, mend=f"rm {self._path(job_id, 'record.json')}") from error
        return record

    def all(self) -> Iterator[Record]:
        """Read all records, oldest first."""
        ids = [path.name.removesuffix("_record.json") for path in self.folder.glob("*_record.json")]
        for job_id in sorted(ids, key=int):
            record = self._ended.get(job_id) or self.load(job_id)
            if record.ended:
                self._ended[job_id] = record
            yield record

    def has(self, job_id: str) -> bool:
        """Whether there is such a job."""
        return self._path(job_id, "record.json").exists()

    def environment(self, job_id: str) -> dict[str, str]:
        """Return the sender's environment."""
        told: dict[str, str] = json.loads(self._path(job_id, "environment.json").read_text())
        return told

    def wish(self, job_id: str, wish: Wish) -> None:
        """Leave a wish for the engine."""
        self._path(job_id, wish).touch(mode=0o600)

    def wished(self, job_id: str, wish: Wish) -> bool:
        """Whether somebody left this wish."""
        return self._path(job_id, wish).exists()

    def forget(self, job_id: str, wish: Wish) -> None:
        """Take a wish back that was granted."""
        self._path(job_id, wish).unlink(missing_ok=True)

    def _path(self, job_id: str, what: str) -> Path:
        return self.folder / f"{job_id}_{what}"

    def _next(self) -> str:
        """Count jobs, across processes and for ever: a number only gains digits, so there is never none in the file."""
        file = os.open(self.folder / "counter", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            number = int(os.pread(file, 32, 0) or 0) + 1
            while self.has(str(number)):  # the counter was lost: no job's record is ever written over
                number += 1
            os.pwrite(file, str(number).encode(), 0)
        finally:
            os.close(file)
        return str(number)
