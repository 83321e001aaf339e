"""The engine behind the gateway, asked over HTTP/1.1: bytes in, bytes out, on a socket of their own.

A request has its connection to itself, because hanging up is how an OpenAI-style server is told to stop generating,
and because llama.cpp closes after each stream anyway. What comes back is handed on as it arrives; a reader that falls
behind makes the engine wait. This module does not know what the bytes mean.

>>> Address.of("https://user:secret@api.example.com/v1", key="abc")
Address('https://api.example.com')
>>> Address(unix="/run/engine.sock")
Address('unix:/run/engine.sock')
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Self, cast
from urllib.parse import urlsplit

import httptools

from aifactory_lab.errors import FactoryError

MOST_BUFFERED = 1 << 18  # bytes that wait for a slow reader before the engine is made to wait
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 10.0  # in which an engine says how it is
SILENCE_SECONDS = 600.0  # between two pieces of an answer; what OpenAI's own clients wait for one


class Unreachable(Exception):  # noqa: N818 - what happened, not whose fault
    """The engine does not answer, or stopped in the middle."""


@dataclass(frozen=True, repr=False)
class Address:
    """Where an engine listens.

    Attributes
    ----------
    unix
        Path of a Unix socket; else `host` and `port` count.
    prefix
        What comes before ``/v1`` in its paths.
    key
        Sent as a bearer token, and never shown.
    """

    unix: str = ""
    host: str = ""
    port: int = 0
    secure: bool = False
    prefix: str = ""
    key: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, *, key: str = "") -> Self:
        """Return the address that a URL names; with or without ``/v1`` at its end.

        Raises
        ------
        FactoryError
            If it is not a URL of http or https.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = "the address of an OpenAI-compatible server begins with http:// or https:// and names a host"
            raise FactoryError(msg, mend='serve.llm.start("http://127.0.0.1:8000/v1", engine="external")')
        secure = parts.scheme == "https"
        prefix = parts.path.rstrip("/").removesuffix("/v1")
        return cls("", parts.hostname, port or (443 if secure else 80), secure, prefix, key)

    @property
    def authority(self) -> str:
        """What the Host header says."""
        if self.unix:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Where it is, in words that may be shown."""
        return f"unix:{self.unix}" if self.unix else f"http{'s' * self.secure}://{self.authority}{self.prefix}"

    def __repr__(self) -> str:
        return f"Address({self.url!r})"

    def head(self, method: str, path: str, length: int) -> bytes:
        """Return the head of a request."""
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", f"Host: {self.authority}", "Connection: close"]
        lines += ["Content-Type: application/json", f"Content-Length: {length}", "Accept-Encoding: identity"]
        lines += [f"Authorization: Bearer {self.key}"] if self.key else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Exchange(asyncio.Protocol):
    """One request and its answer, as it arrives; leaving the block hangs up.

    Parameters
    ----------
    silence
        Seconds without a byte after which the engine counts as unreachable: a process that stands still, or a network
        that is cut, closes no connection.

    Attributes
    ----------
    status
        Of the answer, once the block is entered.
    """

    def __init__(
        self, address: Address, method: str, path: str, body: bytes = b"", *, silence: float = SILENCE_SECONDS
    ) -> None:
        self.address, self.status, self.silence = address, 0, silence
        self._request = address.head(method, path, len(body)) + body
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._buffered, self._paused, self._whole = 0, False, False
        self._broken: BaseException | str = ""
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):  # wait_for of Python 3.11 may swallow a cancellation
                await self._connect()
        except (OSError, TimeoutError) as error:
            msg = f"{self.address.url} cannot be reached: {error or 'no answer'}"
            self.close()
            raise Unreachable(msg) from error
        try:
            if self._transport:
                self._transport.write(self._request)
            while not self.status:
                await self._more()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def piece(self) -> bytes:
        """Return what has arrived since the last call, at least a byte; nothing when the answer is whole.

        Raises
        ------
        Unreachable
            If the engine hung up in the middle, or fell silent.
        """
        while not self._pieces and not self._whole:
            await self._more()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        if self._paused and self._transport:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def body(self) -> bytes:
        """Return the rest of the answer."""
        parts = []
        while piece := await self.piece():
            parts.append(piece)
        return b"".join(parts)

    def close(self) -> None:
        """Hang up at once, whatever has not been sent or read."""
        if self._transport:
            self._transport.abort()

    async def _connect(self) -> None:
        loop, address = asyncio.get_running_loop(), self.address
        if address.unix:
            await loop.create_unix_connection(lambda: self, address.unix)
            return
        context = ssl.create_default_context() if address.secure else None
        await loop.create_connection(lambda: self, address.host, address.port, ssl=context)

    async def _more(self) -> None:
        if self._broken:
            msg = f"{self.address.url} stopped in the middle of its answer: {self._broken}"
            raise Unreachable(msg)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self.silence):
                await self._waiter
        except TimeoutError:
            msg = f"{self.address.url} has said nothing for {self.silence:g} s"
            raise Unreachable(msg) from None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    # The callbacks of asyncio and of httptools, by the names that those give them.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its ancestry

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._broken = error
        self._wake()
        if self._buffered > MOST_BUFFERED and self._transport and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Close when the engine does."""

    def connection_lost(self, error: Exception | None) -> None:
        """Note that nothing more will come."""
        self._broken = self._broken or error or "the connection was closed"
        self._wake()

    def on_headers_complete(self) -> None:
        """Take the status."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._pieces.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        """Note that the answer is whole."""
        self._whole = True


async def fetch(address: Address, path: str, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    """Ask once for what an engine says at once; return the status and the body.

    Raises
    ------
    Unreachable
        If the engine does not answer, or falls silent for `ANSWER_SECONDS`.
    """
    async with Exchange(address, method, path, body, silence=ANSWER_SECONDS) as exchange:
        return exchange.status, await exchange.body()
