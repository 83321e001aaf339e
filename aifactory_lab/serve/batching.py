"""Dynamic batching: predict together whatever is waiting, and never wait for more.

Requests that arrive while the model is busy form the next batch by themselves; holding one back for a few
milliseconds in the hope of company only adds latency. Small batches run on the event loop, since a hop to
another thread would cost more than the prediction; large ones run in a thread. The queue is bounded by the
time that its rows would take: what comes on top is refused at once (`Busy`), so that those inside are served.

>>> import asyncio, numpy as np
>>> class Doubling:
...     best_batch = 64
...
...     def seconds(self, count):
...         return 0.0
...
...     def __call__(self, rows):
...         return 2 * rows[:, 0]
>>> async def two_requests():
...     batcher = Batcher()
...     model = Doubling()
...     rows = np.ones((1, 1), dtype=np.float32)
...     return [
...         float(answer[0])
...         for answer in await asyncio.gather(batcher.predict(model, rows), batcher.predict(model, 2 * rows))
...     ]
>>> asyncio.run(two_requests())
[2.0, 4.0]
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np

from aifactory_lab.serve.meters import Meters
from aifactory_lab.serve.rows import Rows

INLINE_SECONDS = 0.002
MAX_WAIT_SECONDS = 1.0


class Model(Protocol):
    """What the batcher needs of a `Predictor`."""

    @property
    def best_batch(self) -> int:
        """The batch beyond which larger ones are hardly faster per row."""

    def seconds(self, count: int) -> float:
        """Return about how long `count` rows take."""

    def __call__(self, rows: Rows) -> Rows:
        """Predict."""


class Busy(Exception):  # noqa: N818 - a state, not a fault
    """The queue is full; try again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"busy for about {seconds:.1f} s")

    @property
    def retry_after(self) -> str:
        """The value of the Retry-After header: whole seconds, at least one (RFC 9110, 10.2.3)."""
        return str(max(1, ceil(self.seconds)))


@dataclass(slots=True)
class _Job:
    model: Model
    rows: Rows
    answer: "asyncio.Future[Rows]"


class Batcher:
    """A queue in front of one predictor; belongs to one event loop.

    Parameters
    ----------
    max_wait
        Seconds of work that may wait; a request that would wait longer is refused. An empty queue takes any.
    meters
        Where batches are counted.
    """

    def __init__(self, *, max_wait: float = MAX_WAIT_SECONDS, meters: Meters | None = None) -> None:
        self.max_wait = max_wait
        self._meters = meters or Meters()
        self._queue: deque[_Job] = deque()
        self._waiting_seconds = 0.0
        self._active = False
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="aifactory-predict")
        self._meters.watch_queue(lambda: sum(len(job.rows) for job in list(self._queue)))

    async def predict(self, model: Model, rows: Rows) -> Rows:
        """Return the probabilities, predicted together with whatever else waits.

        Raises
        ------
        Busy
            If the queue already holds `max_wait` seconds of work.
        """
        if self._queue and self._waiting_seconds > self.max_wait:
            raise Busy(self._waiting_seconds)
        loop = asyncio.get_running_loop()
        job = _Job(model, rows, loop.create_future())
        self._queue.append(job)
        self._waiting_seconds += model.seconds(len(rows))
        if not self._active:
            self._active = True
            loop.call_soon(self._drain)
        return await job.answer

    def close(self) -> None:
        """End the thread; what was accepted has been answered by then, since the server waits for it."""
        self._threads.shutdown(wait=True)

    def _drain(self) -> None:
        """Take the next batch; runs on the event loop, one at a time."""
        if not self._queue:
            self._active = False
            self._waiting_seconds = 0.0
            return
        jobs = self._take()
        rows = jobs[0].rows if len(jobs) == 1 else np.concatenate([job.rows for job in jobs])
        self._meters.batch(rows=len(rows), requests=len(jobs))
        model, loop = jobs[0].model, asyncio.get_running_loop()
        if model.seconds(len(rows)) > INLINE_SECONDS:
            future = loop.run_in_executor(self._threads, model, rows)
            future.add_done_callback(lambda done: self._deliver(jobs, done))
            return
        done: asyncio.Future[Rows] = loop.create_future()
        try:
            done.set_result(model(rows))
        except Exception as error:  # noqa: BLE001 - handed to every request of the batch
            done.set_exception(error)
        self._deliver(jobs, done)

    def _take(self) -> list[_Job]:
        """Take jobs of one model up to its best batch; at least one."""
        first = self._queue.popleft()
        jobs, count = [first], len(first.rows)
        while self._queue and self._queue[0].model is first.model:
            if count + len(self._queue[0].rows) > first.model.best_batch:
                break
            jobs.append(job := self._queue.popleft())
            count += len(job.rows)
        self._waiting_seconds = max(0.0, self._waiting_seconds - sum(j.model.seconds(len(j.rows)) for j in jobs))
        return jobs

    def _deliver(self, jobs: list[_Job], done: "asyncio.Future[Rows]") -> None:
        start, error = 0, done.exception()
        for job in jobs:
            stop = start + len(job.rows)
            if not job.answer.done():  # its client may have gone
                job.answer.set_exception(error) if error else job.answer.set_result(done.result()[start:stop])
            start = stop
        asyncio.get_running_loop().call_soon(self._drain)
