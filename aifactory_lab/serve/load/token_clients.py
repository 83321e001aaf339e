"""The clients of a token load test: streams from one process, so thin that the server is what is measured.

The keep-alive HTTP/1.1 client of `aifactory_lab.serve.clients`, with a clock at every piece of an answer. It runs in a
process of its own (`python -m aifactory_lab.serve.load.token_clients`): on standard input a plan, the times of the
arrivals and the bodies of the requests, on standard output one JSON line about the run and one for each request. What
it costs itself is in the first line. It does not know what a token is worth, nor any percentile.

Closed loop: each connection sends its next request when the last is answered. Open loop: requests are sent at their
times whether or not earlier ones are answered (Schroeder et al., "Open versus closed", NSDI 2006).

>>> TokenPlan("127.0.0.1", 8000, concurrency=8).loop
'closed'
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import orjson

from aifactory_lab.serve.clients import LOST
from aifactory_lab.serve.load.process_time import tree_seconds
from aifactory_lab.serve.load.streams import Answer, Stream, message

OK = "200"  # the outcome of a request that was answered whole, with its usage
NANO = 1_000_000_000
REFUSED_PAUSE = 0.01  # seconds: a server that is not there would else be asked thousands of times a second


@dataclass(frozen=True)
class TokenPlan:
    """What the clients shall do.

    Attributes
    ----------
    concurrency
        Connections: exactly so many in a closed loop, at most so many in an open loop.
    seconds, requests
        When a closed loop stops sending: after this time or so many requests, whichever comes first (0: no bound).
    warmup
        Requests before the clock starts; they are not in the records.
    patience
        Seconds that one request may take.
    loop
        ``"closed"``, or ``"open"``: at the times that come with the plan.
    pid
        The server's process, if it is on this machine: its processor time is read before and after.
    key_variable
        Name of the environment variable that holds the server's key; the key itself is in no plan.
    """

    host: str
    port: int
    path: str = "/v1/completions"
    tls: bool = False
    concurrency: int = 1
    seconds: float = 0.0
    requests: int = 0
    warmup: int = 0
    patience: float = 120.0
    loop: str = "closed"
    pid: int | None = None
    key_variable: str = ""


class TokenClients:
    """Carry a plan out; `lines` holds one mapping for each request, times in nanoseconds since the start."""

    def __init__(self, plan: TokenPlan, bodies: Sequence[bytes], times: Sequence[float] = ()) -> None:
        self.plan = plan
        self.times = times
        self.lines: list[dict[str, Any]] = []
        self.about: dict[str, Any] = {}
        self._requests = [_request(plan, body) for body in bodies]
        self._idle: list[Stream] = []

    async def run(self) -> None:
        """Send everything and wait for the answers."""
        if self.plan.warmup:
            self._begin()
            await self._closed_loop(self.plan.warmup, 0.0)
            self.lines.clear()
        self._begin()
        origin, cpu, server = time.time_ns(), time.process_time(), tree_seconds(self.plan.pid)
        if self.plan.loop == "open":
            await self._open_loop()
        else:
            await self._closed_loop(self.plan.requests, self.plan.seconds)
        own, after = time.process_time() - cpu, tree_seconds(self.plan.pid)
        spent = None if server is None or after is None else after - server
        self.about = {"origin_ns": origin, "cpu_seconds": own, "server_cpu_seconds": spent}
        for stream in self._idle:
            stream.close()

    def _begin(self) -> None:
        self._numbers = count()
        self._start = time.perf_counter_ns()

    async def _closed_loop(self, requests: int, seconds: float) -> None:
        end = self._start + int(seconds * NANO) if seconds else sys.maxsize
        most = requests or sys.maxsize
        workers = min(self.plan.concurrency, most)
        await asyncio.gather(*(self._one_after_another(most, end) for _ in range(workers)))

    async def _one_after_another(self, most: int, end: int) -> None:
        while time.perf_counter_ns() < end and (number := next(self._numbers)) < most:
            await self._once(number)

    async def _open_loop(self) -> None:
        room = asyncio.Semaphore(self.plan.concurrency)
        tasks = set()
        for number, due in enumerate(self.times):
            await asyncio.sleep(0)  # when all are late, those that are under way must have their turn
            while (left := due - (time.perf_counter_ns() - self._start) / NANO) > 0:
                await asyncio.sleep(left)  # again where it woke early: the loop's own clock counts in milliseconds
            tasks.add(asyncio.create_task(self._in_turn(number, int(due * NANO), room)))
        if tasks:
            await asyncio.wait(tasks)

    async def _in_turn(self, number: int, scheduled: int, room: asyncio.Semaphore) -> None:
        async with room:
            await self._once(number, scheduled)

    async def _once(self, number: int, scheduled: int | None = None) -> None:
        """Send one request and note how it went; the clock starts before a connection is looked for."""
        start = time.perf_counter_ns()
        request = self._requests[number % len(self._requests)]
        stream, whole, outcome = None, False, ""
        try:
            async with asyncio.timeout(self.plan.patience):
                stream = await self._connection()
                kept, whole = stream.used, await stream.stream(request)
                if kept and not whole and stream.status == LOST:  # the server had closed it meanwhile
                    stream = await self._connection(fresh=True)
                    whole = await stream.stream(request)
        except TimeoutError:
            outcome = "timeout"
        except OSError:
            outcome = "refused"
        line = self._line(stream, outcome, whole=whole)
        timing = {"scheduled": scheduled, "start": start - self._start, "end": time.perf_counter_ns() - self._start}
        self.lines.append({"number": number, "prompt": number % len(self._requests), **timing, **line})
        self._keep(stream, whole=whole)
        if outcome == "refused":
            await asyncio.sleep(REFUSED_PAUSE)

    def _keep(self, stream: Stream | None, *, whole: bool) -> None:
        if stream and stream.open:
            if whole:
                self._idle.append(stream)
            else:
                stream.close()

    async def _connection(self, *, fresh: bool = False) -> Stream:
        while self._idle and not fresh:
            if (stream := self._idle.pop()).open:
                return stream
        loop = asyncio.get_running_loop()
        ssl = True if self.plan.tls else None
        _, made = await loop.create_connection(Stream, self.plan.host, self.plan.port, ssl=ssl)
        return made

    def _line(self, stream: Stream | None, outcome: str, *, whole: bool) -> dict[str, Any]:
        if stream is None:
            return {"outcome": outcome, "finish": "", "input": None, "output": None, "chunks": [], "error": ""}
        if stream.status not in (LOST, 200):
            answer = Answer(error=message(b"".join(piece for _, piece in stream.pieces)))
        else:
            answer = Answer.read(stream.pieces)
        return {
            "outcome": outcome or outcome_of(stream.status, answer, whole=whole),
            "finish": answer.finish,
            "input": answer.input_tokens,
            "output": answer.output_tokens,
            "chunks": [moment - self._start for moment in answer.chunks],
            "error": answer.error,
        }


def outcome_of(status: int, answer: Answer, *, whole: bool) -> str:
    """Name how a request ended: ``"200"`` if all is there, else the first thing that is missing.

    Examples
    --------
    >>> outcome_of(200, Answer(chunks=[1], finish="length"), whole=False)
    'cut'
    """
    if status != 200:
        return "lost" if status == LOST else str(status)
    checks = (
        ("error", bool(answer.error)),
        ("cut", not (whole or answer.done) or not answer.finish),
        ("no usage", answer.output_tokens is None),
        ("empty", not answer.chunks),
    )
    return next((name for name, missing in checks if missing), OK)


def _request(plan: TokenPlan, body: bytes) -> bytes:
    key = os.environ.get(plan.key_variable, "") if plan.key_variable else ""
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: {plan.host}:{plan.port}\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        + (f"Authorization: Bearer {key}\r\n" if key else "")
    )
    return head.encode() + b"\r\n" + body


def main() -> None:
    """Read a plan and the bodies from standard input, carry it out, write the lines to standard output."""
    import uvloop

    values = json.loads(sys.stdin.buffer.readline())
    bodies = [sys.stdin.buffer.read(length) for length in values["lengths"]]
    clients = TokenClients(TokenPlan(**values["plan"]), bodies, values["times"])
    uvloop.run(clients.run())
    for line in (clients.about, *sorted(clients.lines, key=lambda line: line["number"])):
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")


if __name__ == "__main__":
    main()
