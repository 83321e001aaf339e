"""A server that streams what its script says, faults included: what a real one does only when something breaks."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Writer: TypeAlias = asyncio.StreamWriter
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
KIND = {"object": "text_completion"}  # AIPerf reads no chunk that does not say what it is


class Scripted:
    """Answer requests by a script; keep their bodies, and when each chunk was sent (`time.perf_counter_ns`)."""

    def __init__(self, script: Callable[["Scripted", Writer, int], Any]) -> None:
        self.script = script
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.sent: list[list[int]] = []
        self.connections = 0

    async def answer(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        while head := await _head(reader):
            if not head.startswith("POST"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-l"))
            self.heads.append(head)
            self.bodies.append(json.loads(await reader.readexactly(length)))
            self.sent.append([])
            await self.script(self, writer, len(self.bodies) - 1)
            if writer.is_closing():
                return

    async def event(self, writer: Writer, number: int, value: Any) -> None:
        """Send one event in a chunk of its own."""
        data = b"data: " + (value.encode() if isinstance(value, str) else json.dumps(value).encode()) + b"\n\n"
        self.sent[number].append(time.perf_counter_ns())
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()

    async def stream(self, writer: Writer, number: int, texts: list[str], *, pause: float = 0.0, **end: Any) -> None:
        """Send a whole answer; `end` may leave out ``usage`` or ``done`` or name another ``finish``."""
        writer.write(HEAD)
        for text in texts:
            await asyncio.sleep(pause)
            await self.event(writer, number, KIND | {"choices": [{"index": 0, "text": text, "finish_reason": None}]})
        last = {"index": 0, "text": "", "finish_reason": end.get("finish", "length")}
        await self.event(writer, number, KIND | {"choices": [last]})
        if end.get("usage", True):
            usage = {"prompt_tokens": 3, "completion_tokens": 2 * len(texts)}
            await self.event(writer, number, KIND | {"choices": [], "usage": usage})
        if end.get("done", True):
            await self.event(writer, number, "[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return ""


@contextmanager
def serving(script: Callable[[Scripted, Writer, int], Any]) -> Iterator[tuple[str, Scripted]]:
    """Serve a script from a thread; yield the URL and the server."""
    scripted, ready = Scripted(script), threading.Event()
    found: list[Any] = []

    async def run() -> None:
        stop = asyncio.Event()
        async with await asyncio.start_server(scripted.answer, "127.0.0.1", 0) as server:
            found.extend((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    ready.wait(10)
    port, loop, stop = found
    try:
        yield f"http://127.0.0.1:{port}", scripted
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
