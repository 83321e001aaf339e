"""The clients of a load test: many connections from one process, so thin that the server is what is measured.

A general HTTP library costs more per request than the service under test (httpx takes about a millisecond),
so this is a keep-alive HTTP/1.1 client on asyncio and httptools, one request at a time per connection. It
runs in a process of its own (`python -m aifactory_lab.serve.clients`), takes its plan and the bodies on standard input
and returns one line per request. It does not know what the answers mean.

Closed loop: each connection sends its next request when the last is answered. Open loop: requests arrive by
a Poisson process whether or not earlier ones are answered, and latency counts from the arrival, so a slow
server cannot hide behind clients that wait (Schroeder et al., "Open versus closed", NSDI 2006).

>>> from itertools import islice
>>> plan = Plan("127.0.0.1", 8000, rate=10.0)
>>> [round(time, 2) for time in islice(_arrivals(plan), 3)]
[0.07, 0.17, 0.17]
"""

import asyncio
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

PATIENCE = 15.0  # seconds that a request may take, and that the last ones may take to come home
LOST = 0  # the "status" of a request whose connection broke or that outlasted our patience


@dataclass(frozen=True)
class Plan:
    """What the clients shall do.

    Attributes
    ----------
    concurrency
        Connections: exactly so many in a closed loop, at most so many in an open loop.
    seconds, requests
        When to stop sending: after this time, or after so many requests, whichever comes first (0: no bound).
    rate
        Arrivals per second of the open loop; 0 is a closed loop.
    key_variable
        Name of the environment variable that holds the service's token; the token itself is in no plan.
    """

    host: str
    port: int
    path: str = "/predict"
    media_type: str = "application/json"
    concurrency: int = 32
    seconds: float = 0.0
    requests: int = 0
    rate: float = 0.0
    seed: int = 0
    key_variable: str = ""


class Connection(asyncio.Protocol):
    """One keep-alive connection that answers `ask` with the status of the response."""

    def __init__(self) -> None:
        import httptools

        self._parser_type = httptools.HttpResponseParser
        self._parser = self._parser_type(self)
        self._answer: asyncio.Future[int] | None = None
        self.open = True

    def connection_made(self, transport: Any) -> None:
        """Keep the transport (asyncio's callback)."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Feed the parser (asyncio's callback)."""
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Fail the request under way (asyncio's callback)."""
        self.open = False
        self._finish(LOST)

    def on_message_complete(self) -> None:
        """Hand the status over (the parser's callback)."""
        status, keep = self._parser.get_status_code(), self._parser.should_keep_alive()
        self._parser = self._parser_type(self)
        if not keep:
            self.close()
        self._finish(status)

    async def ask(self, request: bytes) -> int:
        """Send a request and return the status of its response; `LOST` if the connection breaks."""
        if not self.open:
            return LOST
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close the connection."""
        self.open = False
        self._transport.close()

    def _finish(self, status: int) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(status)


class Clients:
    """Carry a plan out; `lines` holds (seconds since the start, latency in seconds, status) per request."""

    def __init__(self, plan: Plan, bodies: Sequence[bytes]) -> None:
        self.plan = plan
        self.lines: list[tuple[float, float, int]] = []
        self._requests = [_request(plan, body) for body in bodies]
        self._numbers = count()
        self._idle: list[Connection] = []

    async def run(self) -> None:
        """Send everything and wait for the answers."""
        self._start = time.perf_counter()
        self._end = self._start + (self.plan.seconds or float("inf"))
        work = self._open_loop() if self.plan.rate else self._closed_loop()
        await work
        for connection in self._idle:
            connection.close()

    async def _closed_loop(self) -> None:
        tasks = [asyncio.create_task(self._one_after_another()) for _ in range(self.plan.concurrency)]
        await asyncio.gather(*tasks)

    async def _one_after_another(self) -> None:
        while time.perf_counter() < self._end and (number := next(self._numbers)) < (self.plan.requests or sys.maxsize):
            status = await self._once(number, time.perf_counter())
            if status == LOST:
                await asyncio.sleep(0.02)  # a server that is down is not to be hammered

    async def _open_loop(self) -> None:
        tasks, room = set(), asyncio.Semaphore(self.plan.concurrency)
        for number, arrival in enumerate(_arrivals(self.plan)):
            due = self._start + arrival
            if due >= self._end or number >= (self.plan.requests or sys.maxsize):
                break
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            task = asyncio.create_task(self._in_turn(number, due, room))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)

    async def _in_turn(self, number: int, due: float, room: asyncio.Semaphore) -> None:
        async with room:
            await self._once(number, due)

    async def _once(self, number: int, since: float) -> int:
        """Send one request over an idle connection or a new one, and note how it went."""
        connection = await self._connection()
        status = LOST
        if connection:
            try:
                request = self._requests[number % len(self._requests)]
                status = await asyncio.wait_for(connection.ask(request), PATIENCE)
            except TimeoutError:
                connection.close()
            if connection.open:
                self._idle.append(connection)
        self.lines.append((since - self._start, time.perf_counter() - since, status))
        return status

    async def _connection(self) -> Connection | None:
        while self._idle:
            if (connection := self._idle.pop()).open:
                return connection
        try:
            _, made = await asyncio.get_running_loop().create_connection(Connection, self.plan.host, self.plan.port)
        except OSError:
            return None
        return made


def _arrivals(plan: Plan) -> Iterator[float]:
    """Yield the arrival times of a Poisson process of the plan's rate."""
    random, now = np.random.default_rng(plan.seed), 0.0
    while True:
        for gap in random.exponential(1 / plan.rate, size=1_024).tolist():
            now += gap
            yield now


def _request(plan: Plan, body: bytes) -> bytes:
    lines = [f"POST {plan.path} HTTP/1.1", f"Host: {plan.host}:{plan.port}"]
    lines += [f"Content-Type: {plan.media_type}", f"Content-Length: {len(body)}"]
    if plan.key_variable and (key := os.environ.get(plan.key_variable)):
        lines.append(f"Authorization: Bearer {key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def main() -> None:
    """Read a plan and the bodies from standard input, carry it out, write the lines to standard output."""
    import uvloop

    values = json.loads(sys.stdin.buffer.readline())
    bodies = [sys.stdin.buffer.read(length) for length in values["lengths"]]
    clients = Clients(Plan(**values["plan"]), bodies)
    uvloop.run(clients.run())
    kept = io.BytesIO()  # numpy asks a file for its position, and a pipe has none
    np.save(kept, np.array(clients.lines, dtype=np.float64).reshape(-1, 3))
    sys.stdout.buffer.write(kept.getvalue())


if __name__ == "__main__":
    main()
