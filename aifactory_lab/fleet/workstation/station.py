"""The place where jobs run: GPUs by their ids, and one job from its turn in the queue to its end.

Dask decides whose turn it is and counts; a `Station` hands out ids, starts processes, and writes down what became of
them. All of it in threads of one process; each job's record is written by the thread that runs it.

>>> pool = Pool(["0", "1", "2"])
>>> pool.take(2), pool.take(1)
(['0', '1'], ['2'])
"""

import signal
import threading
import time
from collections.abc import Callable, Sequence

import psutil
from submitit.core.utils import JobPaths

from aifactory_lab.fleet.births import before_boot, birth
from aifactory_lab.fleet.calls import attempts
from aifactory_lab.fleet.frames import State
from aifactory_lab.fleet.workstation import processes
from aifactory_lab.fleet.workstation.records import Ledger, Record

LOSSES = 3  # times that a job is started again because the machine went down, or it may be what brings it down


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
        self._adopted: set[str] = set()

    def adopt(self, record: Record) -> None:
        """Keep the GPUs of a job that runs already for it, until its turn comes."""
        self._adopted.add(record.id)
        self.pool.hold(record.devices)

    def run(self, job_id: str) -> State:
        """Run a job whose turn it is, one attempt; return how it ended, or REQUEUED if it is to have another turn."""
        record = self.ledger.load(job_id)
        try:
            return record.state if record.ended else self._turn(record)
        except Exception as error:  # noqa: BLE001 - whatever hinders the start, whoever waits for the job must hear of it
            return self._end(record, "FAILED", f"it could not be started: {type(error).__name__}: {error}")

    def _turn(self, record: Record) -> State:
        alive = processes.find(self.ledger, record)
        if record.id in self._adopted:
            self._adopted.discard(record.id)
            if not alive:
                self.pool.give(record.devices)
        if alive:
            return self._attempt(record, alive)
        if self.ledger.wished(record.id, "cancel"):
            return self._end(record, "CANCELLED", "cancelled while it waited")
        if failed := self._failed_before(record):
            return self._end(record, "CANCELLED", f"{failed}, and this job was to come after it")
        if record.interrupted and (told := self._after_a_gap(record)):
            return told
        record.devices = self.pool.take(record.order.gpus)
        return self._attempt(record)

    def _attempt(self, record: Record, alive: psutil.Process | None = None) -> State:
        try:
            process = alive or self._start(record)
            record.pid, record.born = process.pid, birth(process.pid)
            record.state, record.reason = "RUNNING", ""
            self.ledger.save(record)
            until = record.spans[-1][0] + 3600 * record.order.hours
            cancelled = _Once(lambda: self.ledger.wished(record.id, "cancel"))
            code = processes.wait(process, until, cancelled)
            told = self._verdict(record, code, cancelled.said, timed_out=time.time() >= until)
        finally:
            self.pool.give(record.devices)
        record.spans[-1].append(time.time())
        return self._end(record, *(told or ("REQUEUED", "")))

    def _start(self, record: Record) -> psutil.Process:
        """Start a process; that it is about to be started is on disk before, so that no engine ever starts a second."""
        record.pid, record.born = 0, ""
        record.spans.append([time.time()])
        self.ledger.save(record)
        return processes.start(self.ledger, record)

    def _verdict(
        self, record: Record, code: int | None, cancelled: bool, *, timed_out: bool
    ) -> tuple[State, str] | None:
        """Return how a job ended and why, or None if it is to be started again."""
        found = self._result(record)
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
        if code == -signal.SIGUSR2:  # told to hand over before submitit was there to hear it: nothing is lost
            return None
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
        record.spans[-1].append(time.time())
        if record.pid:
            processes.bury(record.pid)
        told = self._verdict(record, None, self.ledger.wished(record.id, "cancel"), timed_out=False)
        if told and told[0] == "FAILED" and not self._result(record) and self._lost(record):
            record.losses += 1
            return None
        return self._end(record, *told) if told else None

    def _lost(self, record: Record) -> bool:
        """Whether it is gone through no fault of its own: the machine went down, or the engine before it started it."""
        went_down = record.born != "" and before_boot(record.born)
        never_started = not record.pid and len(attempts(self.ledger.folder, record.id)) < len(record.spans)
        return record.losses < LOSSES and (went_down or never_started)

    def _result(self, record: Record) -> str | None:
        return processes.outcome(JobPaths(self.ledger.folder, job_id=record.id).result_pickle)

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
