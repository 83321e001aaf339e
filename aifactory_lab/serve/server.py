"""Start and stop the HTTP service: in a process of its own, in a thread, or here until it is interrupted.

It binds the loopback address unless it is told otherwise, and then it asks for a token (`access`). A server that
`start` made ends with its `with` block, with `stop()`, or with the process that started it, whichever comes first;
before it ends it answers what it has accepted.

>>> from aifactory_lab.serve import start
>>> with start("no/such/model"):
...     pass
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is not a model of ours: no bundle.json in it
"""

import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aifactory_lab.access import tokens
from aifactory_lab.access.asgi import Guarded
from aifactory_lab.access.gate import Gate
from aifactory_lab.access.tokens import Token
from aifactory_lab.errors import FactoryError
from aifactory_lab.serve.champions import Source
from aifactory_lab.serve.engines import cores
from aifactory_lab.serve.processes import (
    GRACE_SECONDS,
    HOST,
    Server,
    address,
    bind,
    config,
    end,
    spawn,
    tell,
    told_token,
)

if TYPE_CHECKING:
    from aifactory_lab.serve.service import Limits

Where = Literal["process", "thread"]


def start(
    source: Source,
    *,
    host: str = HOST,
    port: int = 0,
    threads: int | None = None,
    engines: Sequence[str] = (),
    watch: float = 0.0,
    limits: "Limits | None" = None,
    where: Where = "process",
) -> Server:
    """Start the service and return when it answers.

    Parameters
    ----------
    source
        A model folder, a text file with the path of one, or (with ``where="thread"``) a function that
        returns the path.
    host, port
        Where to listen; port 0 takes a free one. On any address but this machine's own it asks for a token: that of
        ``$AIFACTORY_TOKEN`` or ``$AIFACTORY_TOKEN_FILE``, else a new one, which is the server's ``token``.
    threads
        The most threads one prediction may use; by default all cores but one, which the network needs.
    engines
        Restrict the choice by batch size to these (`serve.engines`); by default every one that can serve the model.
    watch
        Seconds between two looks at the source for a new champion; 0 reloads on ``POST /reload`` only.
    limits
        How much a client may ask for, and how long he may take; by default `connections.Limits()`.
    where
        ``"process"`` (a process of its own: nothing in this one slows it) or ``"thread"``.

    Raises
    ------
    ModelError
        If the model folder is refused, with the reason.
    FactoryError
        If the address cannot be bound, or the token that was given is not sound.
    """
    token = tokens.wanted(host)
    options = {"host": host, "port": port, "threads": threads, "watch": watch}
    if where == "thread":
        return _start_thread(source, token, limits=limits, engines=engines, **options)
    if callable(source):
        msg = "a function as the source of the champion works in a thread only"
        raise FactoryError(msg, mend='serve.start(function, where="thread")')
    named = {"engines": ",".join(engines)} if engines else {}
    return _start_process(source, token, options | named | (asdict(limits) if limits else {}))


def run(
    source: Source,
    *,
    host: str = HOST,
    port: int = 0,
    threads: int | None = None,
    engines: Sequence[str] = (),
    watch: float = 0.0,
    limits: "Limits | None" = None,
    token: Token | None = None,
    ready: Callable[[Any, str], None] = lambda _server, _url: None,
) -> None:
    """Serve until interrupted (SIGINT or SIGTERM).

    Parameters
    ----------
    token
        What to ask for; by default the environment's, or a new one, which the terminal shows once.
    ready
        Called with the uvicorn server and the URL once requests are answered.
    """
    import uvicorn

    from aifactory_lab.serve.endpoints import Application
    from aifactory_lab.serve.service import Service

    gate = Gate.of(host, token)
    if token is None:
        tokens.show(gate.token)
    listening = bind(host, port)  # before the model is read: a port that is taken is known at once
    url = address(listening, host)

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            tell(told, f"{url}/metrics", gate.token)  # not before it answers: a dashboard would call it lost
            ready(self, url)

    with listening, ExitStack() as told:
        allowed = threads or max(1, cores() - 1)
        service = Service(source, limits=limits, threads=allowed, watch=watch, engines=engines)
        Announcing(config(Guarded(Application(service), gate))).run(sockets=[listening])


def _start_process(source: Path | str, token: Token, options: dict[str, Any]) -> Server:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None]
    command = [sys.executable, "-m", "aifactory_lab.serve", str(source), *words, "--attached"]
    process, answer = spawn(command, environment=told_token(token))
    return Server(answer["url"], process.pid, lambda: end(process), token=token)


def _start_thread(source: Source, token: Token, **options: Any) -> Server:
    answered = threading.Event()
    found: dict[str, Any] = {}

    def ready(server: Any, url: str) -> None:
        found.update(server=server, url=url)
        answered.set()

    def work() -> None:
        try:
            run(source, token=token, ready=ready, **options)
        except (FactoryError, OSError) as error:
            found["error"] = error
        finally:
            answered.set()

    thread = threading.Thread(target=work, name="aifactory-serve", daemon=True)
    thread.start()
    answered.wait()
    if "error" in found:
        raise found["error"]

    def stop() -> None:
        found["server"].should_exit = True
        thread.join(GRACE_SECONDS + 5)

    return Server(found["url"], os.getpid(), stop, token=token)
