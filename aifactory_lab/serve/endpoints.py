"""The HTTP service: `/predict` for rows, and `/health`, `/model`, `/metrics`, `/reload` around it.

`POST /predict` takes JSON (one row, or many), an Arrow stream or raw float32, and answers in kind; a bad row
gets an error that names its field while the others are answered. The application is FastAPI's; the path of
predictions goes around FastAPI's own request handling, which costs several times more than a prediction.
This module does not open sockets (see `aifactory_lab.serve.server`) and does not ask who comes (see `access`).

>>> _media_type_and_length([(b"content-type", b"application/json; charset=utf-8"), (b"content-length", b"12")])
('application/json', 12)
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from aifactory_lab.access.asgi import Message, Receive, Send
from aifactory_lab.errors import FactoryError
from aifactory_lab.serve.answers import Answer, refusal
from aifactory_lab.serve.schemas import JSON
from aifactory_lab.serve.service import Limits, Service

CLOSE = (b"connection", b"close")  # the rest of the body is not read, so the connection cannot be used again


class Application:
    """The ASGI application: predictions by the short way, everything else through FastAPI."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.api = create_api(service)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection event (ASGI 3)."""
        if scope["type"] == "http" and scope["path"] == "/predict" and scope["method"] == "POST":
            await self._predict(scope, receive, send)
        else:
            await self.api(scope, receive, send)

    async def _predict(self, scope: Message, receive: Receive, send: Send) -> None:
        service, start = self.service, time.perf_counter()
        service.open_requests += 1
        try:
            answer = await self._answer(scope, receive)
        except Exception:
            answer = refusal(500, "the prediction failed; the log of the service says why")
            logging.getLogger("aifactory_lab.serve").exception("a prediction failed")
        finally:
            service.open_requests -= 1
        if answer is None:  # the client went away before its request was whole
            return
        service.meters.answered(answer.status, seconds=time.perf_counter() - start)
        await _respond(answer, send)

    async def _answer(self, scope: Message, receive: Receive) -> Answer | None:
        media_type, length = _media_type_and_length(scope["headers"])
        limits = self.service.limits
        if self.service.open_requests > limits.max_requests:
            return refusal(429, "too many open requests", headers=((b"retry-after", b"1"), CLOSE))
        if length > limits.max_body_bytes:
            return _too_large(limits)
        body = await _read(receive, limits.max_body_bytes)
        if body is None:
            return None
        if len(body) > limits.max_body_bytes:
            return _too_large(limits)
        return await self.service.predict(media_type, body)


def create_api(service: Service) -> FastAPI:
    """Return the FastAPI application around a service, with its documentation at `/docs`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watcher = asyncio.create_task(service.watch_source()) if service.watch > 0 else None
        yield
        if watcher:
            watcher.cancel()
        service.batcher.close()

    api = FastAPI(title="aifactory_lab predictions", lifespan=lifespan)

    @api.post("/predict", responses={code: {} for code in (400, 413, 415, 422, 429)})
    async def predict(request: Request) -> Response:
        """Predict rows: JSON, an Arrow stream or raw float32."""
        media_type, _ = _media_type_and_length(request.scope["headers"])
        answer = await service.predict(media_type, await request.body())
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        return Response(answer.body, answer.status, headers, answer.media_type)

    @api.get("/health")
    async def health() -> dict[str, Any]:
        """Say that the service answers, and with which model."""
        return {"status": "ok", "model": service.champion.version, "open_requests": service.open_requests}

    @api.get("/model")
    async def model() -> Response:
        """Describe the model: name, version, features, threshold, engines."""
        return Response(orjson.dumps(service.champion.describe()), media_type=JSON)

    @api.get("/metrics")
    async def metrics() -> Response:
        """Return the counters in Prometheus' text format."""
        return Response(service.meters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @api.post("/reload")
    async def reload() -> Response:
        """Load the champion that the source names now; 409 and the reason if it is refused."""
        try:
            changed = await service.reload()
        except FactoryError as error:
            return Response(orjson.dumps(_refusal(error, service.champion.version)), 409, media_type=JSON)
        return Response(orjson.dumps({"model": service.champion.version, "changed": changed}), media_type=JSON)

    return api


def _refusal(error: FactoryError, version: str) -> dict[str, Any]:
    return {"error": {"field": None, "message": str(error)}, "model": version, "changed": False}


def _too_large(limits: Limits) -> Answer:
    message = f"the body is larger than {limits.max_body_bytes:,} bytes; send fewer rows per request"
    return refusal(413, message, headers=(CLOSE,))


def _media_type_and_length(headers: list[tuple[bytes, bytes]]) -> tuple[str, int]:
    media_type, length = JSON, 0
    for name, value in headers:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower().decode("latin-1")
        elif name == b"content-length":
            length = int(value)
    return media_type, length


async def _read(receive: Receive, limit: int) -> bytes | None:
    """Return the body, cut off just above the limit; `None` if the client went away."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return message.get("body", b"")  # type: ignore[no-any-return]
    parts, size = [], 0
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit or not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


async def _respond(answer: Answer, send: Send) -> None:
    headers = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
