"""The queue: Dask's scheduler and one worker of it in this process, which counts GPUs and cores.

Dask orders jobs by priority and then by their turn, lets none start before what it waits for, and starts one only when
all its GPUs are free; nobody overtakes, so that a job for many GPUs is never starved. The queue itself is the ledger
on disk: an engine that comes back takes it up. Scheduler and worker meet in memory; no port leads to them.

>>> PRIORITY["inference"] > PRIORITY["interactive"] > PRIORITY["train"]
True
"""

import os
from collections.abc import Sequence
from typing import Any

from aifactory_lab.errors import require
from aifactory_lab.fleet.workstation import processes
from aifactory_lab.fleet.workstation.records import Ledger, Record
from aifactory_lab.fleet.workstation.station import Pool, Station

PRIORITY = {"train": 0, "interactive": 1, "inference": 2}
FIRST = 100  # those that run already come before all
_STATIONS: dict[str, Station] = {}  # a task reaches its station by name: what Dask carries is pickled


class Queue:
    """Jobs of one ledger on `gpus` GPUs and this machine's cores."""

    def __init__(self, ledger: Ledger, gpus: int) -> None:
        self.ledger = ledger
        pool = Pool([str(index) for index in range(gpus)])
        _STATIONS[str(ledger.folder)] = Station(ledger, pool)
        cores = os.cpu_count() or 1
        distributed = require("distributed", extra="fleet")
        self._cluster = distributed.LocalCluster(
            n_workers=1,
            processes=False,
            threads_per_worker=gpus + cores,
            resources={"GPU": gpus, "CPU": cores},
            dashboard_address="127.0.0.1:0",  # Dask's status pages, to be read only; without a word they are for all
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=0,
        )
        self._client = distributed.Client(self._cluster)
        self._futures: dict[str, Any] = {}
        self._recover(pool)

    def submit(self, ids: Sequence[str]) -> None:
        """Take jobs into the queue, in this order; one that is there already stays where it is."""
        for job_id in ids:
            if job_id not in self._futures and not (record := self.ledger.load(job_id)).ended:
                self._admit(record, PRIORITY[record.order.priority])
        self._futures = {key: future for key, future in self._futures.items() if not future.done()}

    def cancel(self, job_id: str) -> None:
        """Let a job go; one that others wait for stays in the queue until its turn, and ends then."""
        self.ledger.wish(job_id, "cancel")
        record = self.ledger.load(job_id)
        future = self._futures.get(job_id)
        awaited = any(job_id in other.before for other in self.ledger.all() if not other.ended)
        if future is None or awaited or record.state != "PENDING" or self._began(job_id):
            return
        future.cancel(force=True)
        del self._futures[job_id]
        record.state, record.reason = "CANCELLED", "cancelled while it waited"
        self.ledger.save(record)

    def close(self) -> None:
        """End the scheduler; the jobs' processes live on."""
        self._client.close(timeout=1)
        self._cluster.close(timeout=1)

    def _admit(self, record: Record, priority: int) -> None:
        before = [self._futures[job_id] for job_id in record.before if job_id in self._futures]
        order = record.order
        self._futures[record.id] = self._client.submit(
            _run,
            str(self.ledger.folder),
            record.id,
            before,
            key=f"job-{record.id}",
            priority=priority,
            resources={"GPU": order.gpus} if order.gpus else {"CPU": min(order.cpus, os.cpu_count() or 1)},
            fifo_timeout="0 ms",  # else Dask puts what comes within 100 ms on one level
            pure=False,
        )

    def _recover(self, pool: Pool) -> None:
        """Take up what an earlier engine left: first those that still run, with the GPUs that they hold."""
        open_ones = [record for record in self.ledger.all() if not record.ended]
        running = [record for record in open_ones if record.pid and processes.find(record)]
        for record in running:
            pool.hold(record.devices)
            self._admit(record, FIRST)
        self.submit([record.id for record in open_ones])

    def _began(self, job_id: str) -> bool:
        """Whether the worker has begun with a job; its thread writes the record then, nobody else."""
        worker = next(iter(self._cluster.workers.values()))
        task = worker.state.tasks.get(f"job-{job_id}")
        return task is not None and task.state == "executing"


def _run(folder: str, job_id: str, before: list[str]) -> str:
    del before  # how those ended is in their records
    return _STATIONS[folder].run(job_id)
