r"""A streamed answer over HTTP: the connection that times its pieces, and what the pieces say.

An OpenAI-compatible server streams server-sent events (WHATWG HTML, "Server-sent events"): one JSON chunk after
another, a last one with the usage if it was asked for, then ``[DONE]``. Here they are timed as they come and read
when all are there, so that reading does not slow the clock. Tokens are counted from the usage alone: a chunk may
hold none, one or several. This module does not know why it is asked.

>>> pieces = [
...     (5, b'data: {"choices": [{"text": "a"}]}\n\nda'),
...     (
...         9,
...         b'ta: {"choices": [{"text": "b", "finish_reason":'
...         b' "length"}]}\n\ndata: {"choices": [], "usage": {"completion_tokens": 2}}\n\ndata: [DONE]\n\n',
...     ),
... ]
>>> answer = Answer.read(pieces)
>>> answer.chunks, answer.finish, answer.output_tokens
([5, 9], 'length', 2)
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from aifactory_lab.serve.clients import LOST, Connection

Pieces = Iterable[tuple[int, bytes]]  # (nanoseconds, bytes) as they came
LONGEST_MESSAGE = 300
SPOKEN = ("content", "reasoning_content", "reasoning", "tool_calls")  # what of a chat chunk counts as content


class Stream(Connection):
    """A keep-alive connection that keeps the pieces of an answer with the time of each."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[tuple[int, bytes]] = []
        self.status = LOST
        self.used = False
        self._now = 0

    def data_received(self, data: bytes) -> None:
        """Look at the clock, then feed the parser (asyncio's callback)."""
        self._now = time.perf_counter_ns()
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        """Keep the status: a stream may break after it (the parser's callback)."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep a piece (the parser's callback)."""
        self.pieces.append((self._now, body))

    async def stream(self, request: bytes) -> bool:
        """Send a request and wait for the end of its answer; tell whether it came whole."""
        self.pieces, self.status, self.used = [], LOST, True
        return await self.ask(request) != LOST


@dataclass
class Answer:
    """What a streamed answer said.

    Attributes
    ----------
    chunks
        Nanoseconds at which chunks with content came; empty content does not count.
    finish
        Why the model stopped: ``length``, ``stop``, …; empty if the stream never said so.
    input_tokens, output_tokens
        From the usage; `None` if the server gave none.
    done
        Whether ``[DONE]`` came.
    error
        The server's words, if it reported an error in the stream.
    """

    chunks: list[int] = field(default_factory=list)
    finish: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    done: bool = False
    error: str = ""

    @classmethod
    def read(cls, pieces: Pieces) -> Self:
        """Read the pieces of one answer."""
        answer = cls()
        for moment, data in events(pieces):
            answer._take(moment, data)
        return answer

    def _take(self, moment: int, data: bytes) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            self.error = self.error or f"not JSON: {data[:LONGEST_MESSAGE].decode(errors='replace')}"
            return
        if not isinstance(chunk, dict):
            self.error = self.error or f"no chunk: {data[:LONGEST_MESSAGE].decode(errors='replace')}"
            return
        if chunk.get("error"):
            self.error = message(data)
        choices, usage = chunk.get("choices"), chunk.get("usage")
        for choice in (one for one in choices if isinstance(one, dict)) if isinstance(choices, list) else ():
            if _content(choice):
                self.chunks.append(moment)
            self.finish = str(choice.get("finish_reason") or self.finish)
        if usage and isinstance(usage, dict):
            self.input_tokens, self.output_tokens = (
                _count(usage.get("prompt_tokens")),
                _count(usage.get("completion_tokens")),
            )


def events(pieces: Pieces) -> Iterator[tuple[int, bytes]]:
    r"""Yield the data of each event with the time at which its last byte came.

    Examples
    --------
    >>> list(events([(1, b"data: a\n"), (2, b"\ndata: b\n\n: a comment\n\n")]))
    [(2, b'a'), (2, b'b')]
    """
    rest = b""
    for moment, piece in pieces:
        *whole, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in whole:
            lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
            if lines:
                yield moment, b"\n".join(lines)


def message(body: bytes) -> str:
    """Return the words of an error: OpenAI's ``error.message``, FastAPI's ``detail``, or the body as it is.

    Examples
    --------
    >>> message(b'{"error": {"message": "no such model", "code": 404}}')
    'no such model'
    """
    words: Any
    try:
        words = orjson.loads(body)
    except orjson.JSONDecodeError:
        words = body.decode(errors="replace")
    for key in ("error", "message", "detail"):
        if isinstance(words, Mapping) and words.get(key):
            words = words[key]
    return str(words)[:LONGEST_MESSAGE]


def _content(choice: Mapping[str, Any]) -> bool:
    if choice.get("text"):
        return True
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(delta.get(key) for key in SPOKEN)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
