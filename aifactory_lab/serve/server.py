"""Start and stop the HTTP service: in a process of its own, in a thread, or here until it is interrupted.

It binds the loopback address unless it is told otherwise. A server that `start` made ends with its `with`
block, with `stop()`, or with the process that started it, whichever comes first; before it ends it answers
what it has accepted.

>>> from aifactory_lab.serve import start
>>> with start("no/such/model"):
...     pass
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is not a model of ours: no bundle.json in it
"""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from aifactory_lab.errors import FactoryError, ModelError, TelemetryError
from aifactory_lab.serve.champions import Source
from aifactory_lab.serve.engines import cores
from aifactory_lab.telemetry.sharing.announced import announce

if TYPE_CHECKING:
    from aifactory_lab.serve.service import Limits

HOST = "127.0.0.1"
START_SECONDS = 120.0
GRACE_SECONDS = 30
Where = Literal["process", "thread"]


class Server:
    """A running service.

    Attributes
    ----------
    url
        Where it answers: ``http://127.0.0.1:<port>``.
    pid
        Its process; that of the caller for a server in a thread.
    """

    def __init__(self, url: str, pid: int, stop: Callable[[], None]) -> None:
        self.url = url
        self.pid = pid
        self._stop = stop

    def stop(self) -> None:
        """Answer what was accepted, then end; may be called again."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Server({self.url!r}, pid={self.pid})"


def start(
    source: Source,
    *,
    host: str = HOST,
    port: int = 0,
    threads: int | None = None,
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
        Where to listen; port 0 takes a free one.
    threads
        The most threads one prediction may use; by default all cores but one, which the network needs.
    watch
        Seconds between two looks at the source for a new champion; 0 reloads on ``POST /reload`` only.
    where
        ``"process"`` (a process of its own: nothing in this one slows it) or ``"thread"``.

    Raises
    ------
    ModelError
        If the model folder is refused, with the reason.
    FactoryError
        If the address cannot be bound.
    """
    options = {"host": host, "port": port, "threads": threads, "watch": watch}
    if where == "thread":
        return _start_thread(source, limits=limits, **options)
    if callable(source):
        msg = "a function as the source of the champion works in a thread only"
        raise FactoryError(msg, mend='serve.start(function, where="thread")')
    return _start_process(source, options | (asdict(limits) if limits else {}))


def run(
    source: Source,
    *,
    host: str = HOST,
    port: int = 0,
    threads: int | None = None,
    watch: float = 0.0,
    limits: "Limits | None" = None,
    ready: Callable[[Any, str], None] = lambda _server, _url: None,
) -> None:
    """Serve until interrupted (SIGINT or SIGTERM).

    Parameters
    ----------
    ready
        Called with the uvicorn server and the URL once requests are answered.
    """
    import uvicorn

    from aifactory_lab.serve.endpoints import Application
    from aifactory_lab.serve.service import Service

    listening = _bind(host, port)  # before the model is read: a port that is taken is known at once
    url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            _announce(told, f"{url}/metrics")  # not before it answers: a dashboard would call it lost
            ready(self, url)

    with listening, ExitStack() as told:
        service = Service(source, limits=limits, threads=threads or max(1, cores() - 1), watch=watch)
        Announcing(_config(Application(service))).run(sockets=[listening])


def _announce(told: ExitStack, metrics: str) -> None:
    """Tell the dashboards of this user while the service runs; where that cannot be said, it serves all the same."""
    with suppress(TelemetryError, OSError):
        told.enter_context(announce(metrics))


def _config(application: Any) -> Any:
    import uvicorn

    return uvicorn.Config(
        application,
        access_log=False,
        log_level="warning",
        ws="none",
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        msg = f"{host}:{port} cannot be bound: {error.strerror or error}"
        raise FactoryError(msg, mend="serve.start(folder, port=0)  # any free port") from error


def _start_process(source: Path | str, options: dict[str, Any]) -> Server:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None]
    command = [sys.executable, "-m", "aifactory_lab.serve", str(source), *words, "--attached"]
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    process = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.start()
    try:
        answer = _first_line(process)
    except BaseException:
        _end(process)
        raise
    finally:
        timer.cancel()
    return Server(answer["url"], process.pid, lambda: _end(process))


def _first_line(process: "subprocess.Popen[bytes]") -> dict[str, str]:
    """Read what the child says once it answers, or why it never will."""
    line = process.stdout.readline() if process.stdout else b""
    answer: dict[str, str] = json.loads(line) if line.strip() else {}
    if "url" in answer:
        return answer
    kind = ModelError if answer.get("kind") == "ModelError" else FactoryError
    what = answer.get("what") or f"the server ended before it answered (exit {process.wait()})"
    raise kind(what, mend=answer.get("mend", ""))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Close the child's standard input, which asks it to finish; kill it if it does not."""
    for pipe in (process.stdin, process.stdout):
        if pipe and not pipe.closed:
            pipe.close()
    try:
        process.wait(GRACE_SECONDS + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _start_thread(source: Source, **options: Any) -> Server:
    answered = threading.Event()
    found: dict[str, Any] = {}

    def ready(server: Any, url: str) -> None:
        found.update(server=server, url=url)
        answered.set()

    def work() -> None:
        try:
            run(source, ready=ready, **options)
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

    return Server(found["url"], os.getpid(), stop)
