"""A gate in front of an ASGI application: what it refuses never reaches the application.

>>> import asyncio
>>> async def app(scope, receive, send):
...     await send({"type": "http.response.start", "status": 200, "headers": []})
>>> async def ask(host):
...     sent = []
...
...     async def send(message):
...         sent.append(message.get("status"))
...
...     scope = {"type": "http", "method": "GET", "path": "/model", "headers": [(b"host", host)]}
...     await Guarded(app, Gate.of("127.0.0.1"))(scope, None, send)
...     return sent[0]
>>> asyncio.run(ask(b"localhost:8000")), asyncio.run(ask(b"rebound.example"))
(200, 403)
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from aifactory_lab.access.gate import OPEN, Gate, Refused, refused_as_json

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class Guarded:
    """An application behind a gate (ASGI 3); `/health` is open to all."""

    def __init__(self, application: Application, gate: Gate) -> None:
        self.application, self.gate = application, gate

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection event, or refuse it."""
        if scope["type"] == "http":
            health = scope["path"] in OPEN and scope["method"] in ("GET", "HEAD")
            if refused := self.gate.refuses(scope["method"], scope["headers"], open_to_all=health):
                await _say(refused, send)
                return
        await self.application(scope, receive, send)


async def _say(refused: Refused, send: Send) -> None:
    body = json.dumps(refused_as_json(refused)).encode()
    # The body of the request is not read, so its connection cannot be used again.
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close"), *refused.headers]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
