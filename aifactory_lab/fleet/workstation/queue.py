"""The queue: Dask's scheduler and two workers of it in this process, one that counts GPUs and one that counts cores.

Dask orders jobs by priority and then by their turn, and starts one only when all its GPUs are free; nobody overtakes,
so that a job for many GPUs is never starved; jobs without GPUs have a line of their own. What must wait for other jobs
is held back here until those have ended. The queue itself is the ledger on disk: an engine that comes back takes it up.
Scheduler and workers meet in memory; no port leads to them.

>>> PRIORITY["inference"] > PRIORITY["interactive"] > PRIORITY["train"]
True
"""

import os
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aifactory_lab.errors import require
from aifactory_lab.fleet.workstation import processes
from aifactory_lab.fleet.workstation.records import Ledger, Record
from aifactory_lab.fleet.workstation.station import Pool, Station

PRIORITY = {"train": 0, "interactive": 1, "inference": 2}
FIRST = 100  # those that run already come before all
STATUS = "127.0.0.1:0"  # of counts, to be read only; without a word they are for all the network
QUIET = {  # Dask looks after itself fifty times a second, for clusters that are busier than this
    "distributed.admin.tick.interval": "1h",
    "distributed.admin.tick.cycle": "1h",
    "distributed.admin.tick.limit": "24h",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.worker-ttl": None,
}
_STATIONS: dict[str, Station] = {}  # a task reaches its station by name: what Dask carries is pickled


class Queue:
    """Jobs of one ledger on `gpus` GPUs and this machine's cores."""

    def __init__(self, ledger: Ledger, gpus: int) -> None:
        self.ledger = ledger
        self._station = _STATIONS[str(ledger.folder)] = Station(ledger, Pool(_ids(gpus)))
        self._cluster = _cluster({"GPU": gpus, "CPU": os.cpu_count() or 1})
        self._client = require("distributed", extra="fleet").Client(self._cluster)
        self._lock = threading.RLock()
        self._held: dict[str, Record] = {}  # not yet in Dask's hands
        self._futures: dict[str, Any] = {}  # in Dask's hands
        self._busy: Counter[str] = Counter()  # by map, how many of its jobs are in Dask's hands
        self._recover()

    def submit(self, ids: Sequence[str]) -> None:
        """Take jobs into the queue, in this order; one that is there already stays where it is."""
        with self._lock:
            for job_id in ids:
                if job_id not in self._futures and not (record := self.ledger.load(job_id)).ended:
                    self._held.setdefault(job_id, record)
            self._release()

    def cancel(self, job_id: str) -> None:
        """Let a job go, in the queue or not; one that runs is ended by the thread that waits for it."""
        self.ledger.wish(job_id, "cancel")
        with self._lock:
            if future := self._futures.get(job_id):
                if self._began(job_id):
                    return
                future.cancel(force=True)
            elif self._held.pop(job_id, None) is None:
                return
            record = self.ledger.load(job_id)
            record.state, record.reason = "CANCELLED", "cancelled while it waited"
            self.ledger.save(record)
            self._gone(record)

    def close(self) -> None:
        """End the scheduler; the jobs' processes live on."""
        self._client.close(timeout=1)
        self._cluster.close(timeout=1)

    def _release(self) -> None:
        """Hand over what waits for no other job any more."""
        for record in list(self._held.values()):
            if self._free(record):
                del self._held[record.id]
                self._admit(record, PRIORITY[record.order.priority])

    def _free(self, record: Record) -> bool:
        if record.at_most and self._busy[record.first] >= record.at_most:
            return False
        return not any(job_id in self._futures or job_id in self._held for job_id in record.order.after)

    def _admit(self, record: Record, priority: int) -> None:
        order = record.order
        self._busy[record.first] += 1
        self._futures[record.id] = future = self._client.submit(
            _run,
            str(self.ledger.folder),
            record.id,
            key=f"job-{record.id}",
            priority=priority,
            resources={"GPU": order.gpus} if order.gpus else {"CPU": min(order.cpus, os.cpu_count() or 1)},
            fifo_timeout="0 ms",  # else Dask puts what comes within 100 ms on one level
            pure=False,
        )
        future.add_done_callback(lambda _: self._gone(record))

    def _gone(self, record: Record) -> None:
        """Forget a job that has ended, and let come who waited for it."""
        with self._lock:
            if self._futures.pop(record.id, None) is not None:
                self._busy[record.first] -= 1
            self._release()

    def _recover(self) -> None:
        """Take up what an earlier engine left: first those that still run, with the GPUs that they hold."""
        open_ones = [record for record in self.ledger.all() if not record.ended]
        for record in open_ones:
            if processes.find(self.ledger, record):
                self._station.adopt(record)
                self._admit(record, FIRST)
        self.submit([record.id for record in open_ones])

    def _began(self, job_id: str) -> bool:
        """Whether a worker has begun with a job; its thread writes the record then, nobody else."""
        tasks = (worker.state.tasks.get(f"job-{job_id}") for worker in self._cluster.workers.values())
        return any(task is not None and task.state in ("executing", "long-running", "cancelled") for task in tasks)


def _run(folder: str, job_id: str) -> str:
    state = _STATIONS[folder].run(job_id)
    if state == "REQUEUED":  # its turn comes again, and whoever goes before it comes first
        raise require("distributed", extra="fleet").Reschedule
    return state


def _ids(gpus: int) -> list[str]:
    """Return the names of this many GPUs: those that the engine itself may see, else their numbers."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[:gpus] if len(visible) >= gpus else [str(index) for index in range(gpus)]


def _cluster(counted: dict[str, int]) -> Any:
    """Return Dask's cluster: a worker for each thing that is counted, since a worker has one line."""
    distributed = require("distributed", extra="fleet")
    require("dask", extra="fleet").config.set(QUIET)
    workers = {
        name: {
            "cls": distributed.Worker,
            "options": {
                "nthreads": max(1, count),
                "resources": {name: count},
                "memory_limit": 0,
                "dashboard_address": STATUS,
                "dashboard": False,
            },
        }
        for name, count in counted.items()
    }
    scheduler = {
        "cls": distributed.Scheduler,
        "options": {"protocol": "inproc://", "dashboard_address": STATUS, "dashboard": False},
    }
    return distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs="WARNING")
