"""The place where jobs run: GPUs by their ids, and one job from its turn in the queue to its end.

Dask decides whose turn it is and counts; a `Station` hands out ids, starts processes, and writes down what became of
them. All of it in threads of one process; each job's record is written by the thread that runs it.

>>> pool = Pool(["0", "1", "2"])
>>> pool.take(2), pool.take(1)
(['0', '1'], ['2'])
"""

import threading
import time
from collections.abc import Callable, Sequence

import psutil
from submitit.core.utils import JobPaths

from aifactory_lab.fleet.frames import State
from aifactory_lab.fleet.workstation import processes
from aifactory_lab.fleet.workstation.records import Ledger, Record


class Pool:
    """Ids of GPUs, each held by one job at most."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._free = list(ids)
        self._lock = threading.Lock()

    def take(self, count: int) -> list[str]:
        """Take the first free ones; the scheduler has counted that there are enough."""
        with self._lock:
            taken, self._free = self._free[:count], self._free[count:]
        if len(taken) < count:
            msg = f"{count} GPUs were granted, {len(taken)} are free"
            raise RuntimeError(msg)
        return taken

    def hold(self, ids: Sequence[str]) -> None:
        """Take these: a job that outlived an engine has them."""
        with self._lock:
            self._free = [one for one in self._free if one not in ids]

    def give(self, ids: Sequence[str]) -> None:
        """Give them back."""
        with self._lock:
            self._free = sorted({*self._free, *ids}, key=lambda one: (len(one), one))


class Station:
    """Runs the jobs of a ledger on a pool of GPUs."""

    def __init__(self, ledger: Ledger, pool: Pool) -> None:
        self.ledger, self.pool = ledger, pool

    def run(self, job_id: str) -> State:
        """Run a job whose turn it is, all its attempts; return how it ended."""
        record = self.ledger.load(job_id)
        if record.ended:
            return record.state
        alive = processes.find(record) if record.pid else None
        if alive is None:
            if self.ledger.wished(job_id, "cancel"):
                return self._end(record, "CANCELLED", "cancelled while it waited")
            if failed := self._failed_before(record):
                return self._end(record, "CANCELLED", f"{failed}, and this job was to come after it")
            if record.pid and (told := self._after_a_gap(record)):
                return told
            record.devices = self.pool.take(record.order.gpus)
        try:
            return self._attempts(record, alive)
        finally:
            self.pool.give(record.devices)

    def _attempts(self, record: Record, alive: psutil.Process | None) -> State:
        while True:
            process = alive or self._start(record)
            alive = None
            until = record.spans[-1][0] + 3600 * record.order.hours
            cancelled = _Once(lambda: self.ledger.wished(record.id, "cancel"))
            code = processes.wait(process, until, cancelled)
            record.spans[-1].append(time.time())
            told = self._verdict(record, code, cancelled.said, timed_out=time.time() >= until)
            if told:
                return self._end(record, *told)
            record.state = "REQUEUED"
            self.ledger.save(record)

    def _start(self, record: Record) -> psutil.Process:
        process = processes.start(self.ledger, record)
        record.pid, record.born = process.pid, process.create_time()
        record.spans.append([time.time()])
        record.state, record.reason = "RUNNING", ""
        self.ledger.save(record)
        return process

    def _verdict(
        self, record: Record, code: int | None, cancelled: bool, *, timed_out: bool
    ) -> tuple[State, str] | None:
        """Return how a job ended and why, or None if it is to be started again."""
        found = processes.outcome(JobPaths(self.ledger.folder, job_id=record.id).result_pickle)
        if found == "success":
            return "COMPLETED", ""
        if cancelled:
            return "CANCELLED", "cancelled while it ran"
        if timed_out:
            return "TIMEOUT", f"its {record.order.hours:g} hours were over"
        if self.ledger.wished(record.id, "requeue"):
            self.ledger.forget(record.id, "requeue")
            return None
        if found == "error":
            return "FAILED", "its function raised"
        return self._killed(record, code)

    def _killed(self, record: Record, code: int | None) -> tuple[State, str] | None:
        if code is not None and code >= 0:
            return "FAILED", f"its process ended with code {code} and left no result"
        if record.kills < record.order.retries:
            record.kills += 1
            return None
        how = f"by signal {-code}" if code else "while no engine watched"
        again = f" {record.kills + 1} times, its last" if record.kills else ""
        return "FAILED", f"its process was killed{again} {how}; retries={record.order.retries}"

    def _after_a_gap(self, record: Record) -> State | None:
        """Judge a job that ran when the engine died and runs no more; None if it is to run again."""
        if len(record.spans[-1]) == 1:
            record.spans[-1].append(time.time())
        told = self._verdict(record, None, self.ledger.wished(record.id, "cancel"), timed_out=False)
        return self._end(record, *told) if told else None

    def _failed_before(self, record: Record) -> str:
        for job_id in record.order.after:
            if (state := self.ledger.load(job_id).state) != "COMPLETED":
                return f"job {job_id} is {state}"
        return ""

    def _end(self, record: Record, state: State, reason: str) -> State:
        record.state, record.reason = state, reason
        self.ledger.save(record)
        return state


class _Once:
    """A question whose first yes stays."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask, self.said = ask, False

    def __call__(self) -> bool:
        self.said = self.said or self._ask()
        return self.said
