"""The gateway: OpenAI's paths in front of any engine, with its own errors, limits, keys and metrics.

`/v1/completions`, `/v1/chat/completions` and `/v1/models` under OpenAI's protocol, `/health` and `/metrics` beside
them. A request is checked, waits for a slot, and is passed to the engine; what comes back is passed on byte by byte. A
client that hangs up is hung up upon: its slot is free at once. The application is raw ASGI, because a framework's
handling costs more than a token of a small model. This module opens no sockets to listen on: see `server`.

>>> sorted(PATHS)
['/health', '/metrics', '/v1/chat/completions', '/v1/completions', '/v1/models']
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from aifactory_lab.access.asgi import Message, Receive, Send
from aifactory_lab.access.gate import OPEN, Gate
from aifactory_lab.serve.llm import refusals, requests, streams
from aifactory_lab.serve.llm.admission import Admission, Full
from aifactory_lab.serve.llm.engines import Engine
from aifactory_lab.serve.llm.meters import Meters
from aifactory_lab.serve.llm.refusals import Refusal
from aifactory_lab.serve.llm.streams import Stream, interrupted
from aifactory_lab.serve.llm.upstream import Exchange, Unreachable, fetch
from aifactory_lab.serve.llm.wholes import Whole

JSON, TEXT, EVENTS = b"application/json", b"text/plain; version=0.0.4; charset=utf-8", b"text/event-stream"
KINDS: dict[str, type[requests.Sampling]] = {
    "/v1/completions": requests.Completion,
    "/v1/chat/completions": requests.Chat,
}
PATHS = {"/health": "GET", "/metrics": "GET", "/v1/models": "GET", **dict.fromkeys(KINDS, "POST")}
CLOSE = (b"connection", b"close")  # the body is not read, so the connection cannot be used again
READER_SECONDS = 60.0  # that a client may take nothing of its answer, as nginx has it (send_timeout)
LOG = logging.getLogger("aifactory_lab.serve.llm")
SENSELESS = (ValueError, TypeError, AttributeError, LookupError, RecursionError)  # what nonsense makes one stumble over


@dataclass(frozen=True)
class Limits:
    """What the gateway refuses rather than collapse under.

    Attributes
    ----------
    waiting
        Requests that may wait for a slot.
    max_body_bytes
        Of a request.
    """

    waiting: int = 64
    max_body_bytes: int = 4 << 20


@dataclass
class Gateway:
    """The ASGI application in front of an engine.

    Parameters
    ----------
    engine
        What computes the tokens.
    limits
        What is refused.
    gate
        Who may come in; `/health` is open to all.
    default
        The model of a request that names none; empty takes the first.
    """

    engine: Engine
    limits: Limits = field(default_factory=Limits)
    gate: Gate = field(default_factory=Gate)
    default: str = ""

    def __post_init__(self) -> None:
        self.default = self.default or self.engine.models[0].id
        self.admission = Admission(slots=self.engine.slots, waiting=self.limits.waiting)
        self.meters = Meters(self.engine.models[0].id, engine=self.engine.name)
        self.meters.watch(running=lambda: self.admission.running, waiting=lambda: self.admission.waiting)
        self._since = int(time.time())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        answer = Answer(send)
        try:
            await self._route(scope, receive, answer)
        except Refusal as refusal:
            self.meters.refused(refusal.status)
            await answer.refuse(refusal)
        except Stalled:
            return  # uvicorn closes what was not completed
        except Exception:
            LOG.exception("a request failed")
            self.meters.refused(500)
            await answer.refuse(Refusal(500, "the gateway failed; its log says why"))

    async def _route(self, scope: Message, receive: Receive, answer: "Answer") -> None:
        path = scope["path"].rstrip("/")
        self._let_in(scope, path)
        if path not in PATHS:
            raise Refusal(404, f"no path {scope['path']!r}; there are: {', '.join(PATHS)}", code="not_found")
        if scope["method"] != PATHS[path]:
            allow = ((b"allow", PATHS[path].encode()),)
            raise Refusal(405, f"{path} takes {PATHS[path]}", code="method_not_allowed", headers=allow)
        if path == "/health":
            await self._health(answer)
        elif path == "/metrics":
            await answer.whole(200, self.meters.text() + await self._upstream_metrics(), kind=TEXT)
        elif path == "/v1/models":
            await answer.whole(200, self._models())
        else:
            await self._generate(path, scope, receive, answer)

    def _let_in(self, scope: Message, path: str) -> None:
        refused = self.gate.refuses(scope["method"], scope["headers"], open_to_all=path in OPEN)
        if refused:
            code = "invalid_api_key" if refused.status == 401 else "forbidden"
            raise Refusal(refused.status, str(refused), code=code, headers=(*refused.headers, CLOSE))

    async def _health(self, answer: "Answer") -> None:
        trouble = await self.engine.trouble()
        state: dict[str, Any] = {"status": trouble or "ok", "engine": self.engine.name, "reason": self.engine.reason}
        state |= {"model": self.engine.models[0].id, "slots": self.engine.slots}
        state |= {"running": self.admission.running, "waiting": self.admission.waiting}
        await answer.whole(503 if trouble else 200, orjson.dumps(state))

    async def _upstream_metrics(self) -> bytes:
        if not self.engine.metrics_path:
            return b""
        with suppress(Unreachable):
            status, text = await fetch(self.engine.address, self.engine.metrics_path)
            return text if status == 200 else b""
        return b""

    def _models(self) -> bytes:
        cards = [
            {
                "id": model.id,
                "object": "model",
                "created": self._since,
                "owned_by": "aifactory_lab",
                "root": model.id,
                "parent": model.parent,
                "max_model_len": model.context,
            }
            for model in self.engine.models
        ]
        return orjson.dumps({"object": "list", "data": cards})

    async def _generate(self, path: str, scope: Message, receive: Receive, answer: "Answer") -> None:
        body = await _read(scope, receive, self.limits.max_body_bytes)
        if body is None:
            return
        request = requests.read(KINDS[path], body)
        names = [model.id for model in self.engine.models]
        request["model"] = request.get("model") or self.default
        if request["model"] not in names:
            raise refusals.unknown_model(request["model"], names)
        work = asyncio.ensure_future(Job(self, path, request, answer).run())
        gone = asyncio.ensure_future(_hung_up(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
        with suppress(asyncio.CancelledError):
            await work


class Stalled(Exception):  # noqa: N818 - what a client does, not a fault
    """A client that neither reads nor hangs up; its slot is for others."""


class Job:
    """One request for tokens, from the gate to its last byte."""

    def __init__(self, gateway: Gateway, path: str, request: dict[str, Any], answer: "Answer") -> None:
        self.gateway, self.path, self.request, self.answer = gateway, path, request, answer
        self.started = time.perf_counter()
        options = request.get("stream_options") or {}
        # llama.cpp signs with the name of the base, whichever adapter spoke.
        base = gateway.engine.models[0].id
        self.signatures = [b'"model":' + orjson.dumps(name) for name in (base, request["model"])]
        self.streams = bool(request.get("stream"))
        self.joined = None if self.streams or gateway.engine.hears_hangups else Whole()
        self.stream = Stream(
            usage_wanted=bool(options.get("include_usage")),
            collect=self.joined.add if self.joined else None,
            continuous=bool(options.get("continuous_usage_stats")),
            meters=gateway.meters,
            started=self.started,
        )

    async def run(self) -> None:
        """Wait for a slot, ask the engine, pass on its answer."""
        engine, admission = self.gateway.engine, self.gateway.admission
        request = engine.prepare(self.path, self.request)
        if self.streams or self.joined:
            request["stream"] = True
            request["stream_options"] = {**(request.get("stream_options") or {}), "include_usage": True}
        try:
            async with admission.slot():
                await self._ask(orjson.dumps(request))
        except Full:
            raise refusals.busy(admission.running, admission.waiting, admission.retry_after) from None
        except (asyncio.CancelledError, Stalled):
            self._finish("abort")
            raise

    async def _ask(self, body: bytes) -> None:
        engine = self.gateway.engine
        try:
            async with Exchange(engine.address, "POST", self.path, body) as exchange:
                if exchange.status != 200:
                    raise refusals.of_engine(exchange.status, await exchange.body())
                if self.streams:
                    await self._pass_stream(exchange)
                elif self.joined:
                    await self._join(exchange, self.joined)
                else:
                    await self._pass_whole(exchange)
        except Unreachable as error:
            self._finish("error")
            trouble = await engine.trouble() or str(error)
            refusal = Refusal(503, f"the engine {engine.name} did not answer: {trouble}", code="engine_unavailable")
            if not self.answer.begun:
                raise refusal from error
            await self.answer.more(interrupted(refusal), last=True)

    async def _pass_stream(self, exchange: Exchange) -> None:
        stream = self.stream
        await self.answer.begin(200, EVENTS)
        while data := await exchange.piece():
            if passed := stream.pass_on(data, time.perf_counter()):
                await self.answer.more(self._signed(passed))
        await self.answer.more(self._signed(stream.end(time.perf_counter())), last=True)
        self._finish(stream.reason or "stop")

    async def _join(self, exchange: Exchange, joined: Whole) -> None:
        try:
            while data := await exchange.piece():
                self.stream.pass_on(data, time.perf_counter())
            self.stream.end(time.perf_counter())
            body = orjson.dumps(joined.answer())
        except SENSELESS as error:
            raise refusals.senseless(error) from error
        await self.answer.whole(200, self._signed(body))
        self._finish(self.stream.reason or "stop")

    async def _pass_whole(self, exchange: Exchange) -> None:
        body = await exchange.body()
        try:
            found = orjson.loads(body)
            usage, choices = found.get("usage") or {}, found.get("choices") or [{}]
            self.stream.prompt_tokens = streams.count(usage.get("prompt_tokens"))
            reason, tokens = str(choices[0].get("finish_reason") or "stop"), usage.get("completion_tokens")
        except SENSELESS as error:
            raise refusals.senseless(error) from error
        await self.answer.whole(200, self._signed(body))
        self._finish(reason, streams.count(tokens))

    def _signed(self, body: bytes) -> bytes:
        own, wanted = self.signatures
        return body if own == wanted else body.replace(own, wanted)

    def _finish(self, reason: str, tokens: int | None = None) -> None:
        stream = self.stream
        self.gateway.meters.finished(
            reason,
            seconds=time.perf_counter() - self.started,
            prompt_tokens=stream.prompt_tokens,
            tokens=stream.uncounted if tokens is None else tokens,
        )


class Answer:
    """The way back to one client."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def begin(self, status: int, kind: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Send the head."""
        self.begun = True
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *headers]}
        )

    async def more(self, body: bytes, *, last: bool = False) -> None:
        """Send a piece of the body; raise `Stalled` if the client takes nothing for `READER_SECONDS`."""
        try:
            async with asyncio.timeout(READER_SECONDS):
                await self._send({"type": "http.response.body", "body": body, "more_body": not last})
        except TimeoutError:
            raise Stalled from None

    async def whole(
        self, status: int, body: bytes, *, kind: bytes = JSON, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Send an answer at once."""
        await self.begin(status, kind, ((b"content-length", str(len(body)).encode()), *headers))
        await self.more(body, last=True)

    async def refuse(self, refusal: Refusal) -> None:
        """Send a refusal, unless the client has part of an answer already."""
        if not self.begun:
            await self.whole(refusal.status, refusal.body(), headers=refusal.headers)


async def _read(scope: Message, receive: Receive, limit: int) -> bytes | None:
    """Return the body; `None` if the client went away before it was whole."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if int(length) > limit:
        raise refusals.too_large(limit)
    parts, size = [], 0
    while (message := await receive())["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise refusals.too_large(limit)
        if not message.get("more_body"):
            return b"".join(parts)
    return None


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
