"""Clients without manners, on raw sockets: they hang up, dawdle, say half of it, say too much, come all at once.

Whoever is merely slow must be answered right; whoever is gone must cost nothing afterwards.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import numpy as np
import orjson

from aifactory_lab.serve.schemas import FLOAT32
from tests.benchmarks.soak import predictions, tokens
from tests.benchmarks.soak.asked import demand
from tests.benchmarks.soak.plant import BODY, REQUESTS, SLOTS, WAITING

SILENT = 45.0  # seconds after which a server has hung up on who says nothing
PIPELINED = 40
NARROW = 4_096  # bytes that a slow reader's socket holds
GARBAGE = (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\x00" * 200, b"PRI * HTTP/9.9\r\n\r\n")


@asynccontextmanager
async def connected(
    url: str, *, narrow: bool = False
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection; leaving it hangs up at once."""
    place = urlsplit(url)
    raw = socket.socket()
    if narrow:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (place.hostname, place.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=NARROW if narrow else 1 << 20)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def request(path: str, body: bytes, media: str = "application/json", *, length: int | None = None) -> bytes:
    """Return a request as bytes."""
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer that says its length."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), predictions.PATIENCE)
    lines = head.decode().lower().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
    return int(lines[0].split()[1]), await asyncio.wait_for(reader.readexactly(length), predictions.PATIENCE)


def _version(head: bytes) -> str:
    lines = head.decode().lower().split("\r\n")
    return next(line.split(": ")[1] for line in lines if line.startswith("x-model-version"))


class RudeToPredictions:
    """What is done to the predictions; during a burst they refuse with 429 and close, which may overtake the answer."""

    def __init__(self, client: predictions.Predictions) -> None:
        self.polite, self.url, self.asked = client, client.plant.predictions.url, client.asked
        self.alone = asyncio.Lock()  # two bursts at once would leave no room for anybody
        self.acts = {
            self.leave_in_body: 2, self.leave_before_answer: 2, self.dawdle: 1, self.say_nothing: 1,
            self.read_slowly: 1, self.pipeline: 1, self.garbage: 1, self.too_large: 1, self.chunked_too_large: 0.5,
            self.burst: 0.15,
        }  # fmt: skip

    @contextmanager
    def refused_in_a_burst(self) -> Iterator[None]:
        """Let a connection be closed while the server is full: nobody knows then who was told 429."""
        began = time.monotonic()
        try:
            yield
        except (ConnectionError, asyncio.IncompleteReadError):
            self.asked.unprompted += not self.polite.bursts.since(began)
            for status in ("200", "429"):
                self.asked.unsure[predictions.HERE, status] += PIPELINED
            self.asked.busy += 1

    async def leave_in_body(self) -> None:
        """Hang up in the middle of the body."""
        async with connected(self.url) as (_, writer):
            writer.write(request("/predict", b"{", length=1_000))
            await writer.drain()
            await asyncio.sleep(0.2)

    async def leave_before_answer(self) -> None:
        """Ask, and be gone before the answer comes."""
        self.asked.unsure[predictions.HERE, "200"] += 1
        async with connected(self.url) as (_, writer):
            writer.write(request("/predict", self.polite.some(300).tobytes(), FLOAT32))

    async def dawdle(self) -> None:
        """Send the body drop by drop (slow loris): it is answered all the same."""
        rows = self.polite.some(2)
        whole = request("/predict", rows.tobytes(), FLOAT32)
        with self.refused_in_a_burst():
            await self._drop_by_drop(whole, len(rows))

    async def _drop_by_drop(self, whole: bytes, rows: int) -> None:
        async with connected(self.url) as (reader, writer):
            for piece in np.array_split(np.frombuffer(whole, "u1"), 20):
                writer.write(piece.tobytes())
                await writer.drain()
                await asyncio.sleep(0.5)
            status, body = await answer(reader)
        self.asked.count(predictions.HERE, status)
        if status != 429:
            demand(status == 200 and len(body) == 4 * rows, (status, body[:200]))

    async def say_nothing(self) -> None:
        """Connect and say nothing, or half a head, for longer than the server waits: it hangs up."""
        async with connected(self.url) as (reader, writer):
            if self.polite.random.random() < 0.5:
                writer.write(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConte")
            demand(not await asyncio.wait_for(reader.read(), SILENT), "an answer to half a head")

    async def read_slowly(self) -> None:
        """Take a large answer in sips."""
        rows = np.repeat(self.polite.some(200), 60, axis=0)
        with self.refused_in_a_burst():
            await self._in_sips(rows)

    async def _in_sips(self, rows: np.ndarray) -> None:
        async with connected(self.url, narrow=True) as (reader, writer):
            writer.write(request("/predict", rows.tobytes(), FLOAT32))
            await writer.drain()
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), predictions.PATIENCE)
            status, found = int(head.split()[1]), b""
            self.asked.count(predictions.HERE, status)
            while status == 200 and len(found) < 4 * len(rows):
                found += await asyncio.wait_for(reader.read(NARROW), predictions.PATIENCE)
                await asyncio.sleep(0.3)
        if status == 200:
            model = self.polite.plant.champions[_version(head)]
            demand(np.allclose(np.frombuffer(found, "<f4"), model(rows), atol=2e-6), "a large answer is wrong")
        demand(status in (200, 429), head)

    async def pipeline(self) -> None:
        """Send many requests at once on one connection, and keep it for more."""
        rows = self.polite.some(PIPELINED)
        with self.refused_in_a_burst():
            async with connected(self.url) as (reader, writer):
                for _ in range(3):
                    writer.write(b"".join(request("/predict", row.tobytes(), FLOAT32) for row in rows))
                    for _ in rows:
                        status, body = await answer(reader)
                        self.asked.count(predictions.HERE, status)
                        demand(status == 429 or (status == 200 and len(body) == 4), (status, body[:200]))

    async def garbage(self) -> None:
        """Speak something else than HTTP: 400, and the connection is closed."""
        async with connected(self.url) as (reader, writer):
            writer.write(self.polite.random.choice(GARBAGE))
            found = await asyncio.wait_for(reader.read(), predictions.PATIENCE)
        demand(found.startswith(b"HTTP/1.1 400"), found[:100])

    async def too_large(self) -> None:
        """Announce a body above the limit."""
        async with connected(self.url) as (reader, writer):
            writer.write(request("/predict", b"0", length=BODY + 1))
            status, _ = await answer(reader)
        self.asked.count(predictions.HERE, status)
        demand(status in (413, 429), status)

    async def chunked_too_large(self) -> None:
        """Send a body of unknown length that never ends."""
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        piece = b"%x\r\n%s\r\n" % (1 << 16, b"0" * (1 << 16))
        status = 0
        async with connected(self.url) as (reader, writer):
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                writer.write(head)
                for _ in range(2 * BODY >> 16):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                status, _ = await answer(reader)
        if status:
            self.asked.count(predictions.HERE, status)
        else:  # it closed while we were still sending, which is its right
            self.asked.unsure[predictions.HERE, "413"] += 1
        demand(status in (0, 413, 429), status)

    async def burst(self) -> None:
        """More requests inside than may be: those beyond get 429, those inside are answered."""
        rows = self.polite.some(1)
        whole = request("/predict", rows.tobytes(), FLOAT32)
        async with self.alone:
            found = await self._burst(whole)
        for status in found:
            self.asked.count(predictions.HERE, status)
        demand(set(found) == {200, 429} and found.count(429) >= 12, found)

    async def _burst(self, whole: bytes) -> list[int]:
        with self.polite.bursts.burst():
            found = await asyncio.gather(*(self._hesitant(whole) for _ in range(REQUESTS + 12)))
            await asyncio.sleep(1)
        return found

    async def _hesitant(self, whole: bytes) -> int:
        async with connected(self.url) as (reader, writer):
            writer.write(whole[:-4])
            await writer.drain()
            with suppress(TimeoutError):
                return (await asyncio.wait_for(answer(reader), 2))[0]  # refused at once
            writer.write(whole[-4:])
            return (await answer(reader))[0]


class RudeToTokens:
    """What is done to the token server."""

    def __init__(self, client: tokens.Tokens) -> None:
        self.polite, self.url, self.asked = client, client.plant.tokens.url, client.asked
        self.acts = {
            self.leave_in_body: 2, self.leave_in_stream: 3, self.leave_before_answer: 2, self.dawdle: 1,
            self.say_nothing: 1, self.read_slowly: 1, self.garbage: 1, self.too_large: 1, self.burst: 0.3,
        }  # fmt: skip

    def endless(self, *, stream: bool) -> bytes:
        """Return a request that takes a while."""
        fields = {"prompt": self.polite.prompt(), "max_tokens": 150, "ignore_eos": True, "stream": stream}
        return request(tokens.COMPLETION, orjson.dumps(fields))

    async def leave_in_body(self) -> None:
        """Hang up in the middle of the body."""
        async with connected(self.url) as (_, writer):
            writer.write(request(tokens.COMPLETION, b'{"prompt"', length=1_000))
            await writer.drain()
            await asyncio.sleep(0.2)

    async def leave_in_stream(self) -> None:
        """Hang up after the first tokens."""
        async with connected(self.url) as (reader, writer):
            writer.write(self.endless(stream=True))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), tokens.PATIENCE)
            if b" 429 " in head:
                self.asked.count(tokens.HERE, 429)
                return
            await asyncio.wait_for(reader.read(200), tokens.PATIENCE)
        # it may have been whole in the gateway's books before the news of the hang-up came
        self.asked.unsure[tokens.HERE, "abort"] += 1
        self.asked.unsure[tokens.HERE, "length"] += 1

    async def leave_before_answer(self) -> None:
        """Ask for a long answer in one piece, and be gone before it comes."""
        async with connected(self.url) as (_, writer):
            writer.write(self.endless(stream=False))
            await writer.drain()
            await asyncio.sleep(0.02)
        for what in ("abort", "length", "429"):
            self.asked.unsure[tokens.HERE, what] += 1

    async def dawdle(self) -> None:
        """Send the body drop by drop: it is answered all the same."""
        whole = request(tokens.COMPLETION, b'{"prompt": "import", "max_tokens": 4, "ignore_eos": true}')
        async with connected(self.url) as (reader, writer):
            for piece in np.array_split(np.frombuffer(whole, "u1"), 20):
                writer.write(piece.tobytes())
                await writer.drain()
                await asyncio.sleep(0.5)
            status, body = await answer(reader)
        if status == 429:
            self.asked.count(tokens.HERE, status)
            return
        demand(status == 200 and orjson.loads(body)["usage"]["completion_tokens"] == 4, body)
        self.asked.count(tokens.HERE, "length")
        self.asked.tokens += 4

    async def say_nothing(self) -> None:
        """Connect and say nothing, or half a head, for longer than the server waits: it hangs up."""
        async with connected(self.url) as (reader, writer):
            if self.polite.random.random() < 0.5:
                writer.write(b"POST /v1/completions HTTP/1.1\r\nHo")
            demand(not await asyncio.wait_for(reader.read(), SILENT), "an answer to half a head")

    async def read_slowly(self) -> None:
        """Take a stream in sips: the engine waits, and everybody else is served."""
        async with connected(self.url, narrow=True) as (reader, writer):
            writer.write(self.endless(stream=True))
            found = b""
            while piece := await asyncio.wait_for(reader.read(1_000), tokens.PATIENCE):
                found += piece
                if b" 429 " in found[:20]:
                    self.asked.count(tokens.HERE, 429)
                    return
                if b"[DONE]" in found[-40:]:
                    break
                await asyncio.sleep(0.2)
        demand(b"[DONE]" in found[-40:], found[-100:])
        self.asked.count(tokens.HERE, "length")
        self.asked.tokens += 150

    async def garbage(self) -> None:
        """Speak something else than HTTP: 400, and the connection is closed."""
        async with connected(self.url) as (reader, writer):
            writer.write(self.polite.random.choice(GARBAGE))
            found = await asyncio.wait_for(reader.read(), tokens.PATIENCE)
        demand(found.startswith(b"HTTP/1.1 400"), found[:100])

    async def too_large(self) -> None:
        """Announce a body above the limit."""
        async with connected(self.url) as (reader, writer):
            writer.write(request(tokens.COMPLETION, b"{", length=(4 << 20) + 1))
            status, body = await answer(reader)
        self.asked.count(tokens.HERE, status)
        demand(status == 413 and orjson.loads(body)["error"]["code"] == "request_too_large", body)

    async def burst(self) -> None:
        """More requests at once than run and wait: those beyond get 429 with a time, the others their tokens."""
        fields = {"prompt": "import os", "max_tokens": 40, "ignore_eos": True}
        with self.polite.bursts.burst():
            async with httpx.AsyncClient(base_url=self.url, timeout=tokens.PATIENCE) as client:
                asked = [client.post(tokens.COMPLETION, json=fields) for _ in range(SLOTS + WAITING + 12)]
                found = await asyncio.gather(*asked)
        for one in found:
            if one.status_code == 429:
                self.asked.count(tokens.HERE, 429)
                self.polite.busy(one)
            else:
                demand(one.status_code == 200 and one.json()["usage"]["completion_tokens"] == 40, one.text)
                self.asked.count(tokens.HERE, "length")
                self.asked.tokens += 40
        demand(any(one.status_code == 429 for one in found), "nobody was refused")
