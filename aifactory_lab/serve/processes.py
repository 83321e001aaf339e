"""A service in a process of its own: how it is started, how it says that it answers, and how it ends.

The first line that a child writes is JSON: ``{"url": …}`` once it answers, or ``{"what": …, "mend": …}`` why it never
will. It ends when its standard input closes, which the death of its parent does, too. This module does not know what
is served.

>>> with bind("127.0.0.1", 0) as listening:
...     address(listening, "127.0.0.1").startswith("http://127.0.0.1:")
True
"""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from aifactory_lab.access.tokens import VARIABLE, Token
from aifactory_lab.errors import FactoryError, ModelError, TelemetryError

HOST = "127.0.0.1"
START_SECONDS = 120.0
GRACE_SECONDS = 30
IDLE_SECONDS = 75  # nginx's; the pools of clients (httpx: 5 s) must let go first, else they ask while we hang up


class Server:
    """A running service.

    Attributes
    ----------
    url
        Where it answers: ``http://127.0.0.1:<port>``.
    pid
        Its process; that of the caller for a server in a thread.
    """

    def __init__(self, url: str, pid: int, stop: Callable[[], None], *, token: Token | None = None) -> None:
        self.url = url
        self.pid = pid
        self._stop = stop
        self._token = token or Token()

    @property
    def token(self) -> str:
        """What it asks for; on the loopback address nothing, unless the environment gives one. It is in no repr."""
        return self._token.value

    @property
    def secret(self) -> Token:
        """The token, with whether it was made here: for `access.show`."""
        return self._token

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends to be heard: the token, or nothing."""
        return self._token.headers

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


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises
    ------
    FactoryError
        If the address cannot be bound, with the reason.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        msg = f"{host}:{port} cannot be bound: {error.strerror or error}"
        raise FactoryError(msg, mend="serve.start(folder, port=0)  # any free port") from error


def address(listening: socket.socket, host: str) -> str:
    """Return the URL under which a listening socket is reached."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def spawn(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, seconds: float = START_SECONDS
) -> tuple["subprocess.Popen[bytes]", dict[str, Any]]:
    """Start a child and wait for its first line.

    Parameters
    ----------
    environment
        What the child sees besides this process' own environment.
    seconds
        How long it may take to answer before it is killed.

    Returns
    -------
    tuple
        The process, and what it said.

    Raises
    ------
    ModelError
        If the child refuses the model.
    FactoryError
        If it says any other reason, or ends without a word.
    """
    surroundings = {"OMP_WAIT_POLICY": "passive", **os.environ, **(environment or {})}
    process = subprocess.Popen(  # noqa: S603
        # A group of its own: to interrupt a cell, Jupyter signals the whole group of its kernel.
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=surroundings, process_group=0
    )  # fmt: skip
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        return process, _first_line(process)
    except BaseException:
        end(process)
        raise
    finally:
        timer.cancel()


def end(process: "subprocess.Popen[bytes]") -> None:
    """Close the child's standard input, which asks it to finish; kill it if it does not."""
    for pipe in (process.stdin, process.stdout):
        if pipe and not pipe.closed:
            pipe.close()
    try:
        process.wait(GRACE_SECONDS + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tell(told: ExitStack, metrics: str, token: Token) -> None:
    """Tell the dashboards of this user while the service runs; where that cannot be said, it serves all the same.

    They find the token in the address, which lies in a folder that only this user can enter.
    """
    from aifactory_lab.telemetry.sharing.announced import announce

    if token:
        metrics = metrics.replace("://", f"://aifactory:{quote(token.value, safe='')}@", 1)
    with suppress(TelemetryError, OSError):
        told.enter_context(announce(metrics))


def config(application: Any) -> Any:
    """Return how uvicorn runs our applications."""
    import uvicorn

    from aifactory_lab.serve.connections import Connection

    return uvicorn.Config(
        application,
        http=Connection,
        access_log=False,
        log_level="warning",
        ws="none",
        lifespan="on",
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def told_token(token: Token, variable: str = VARIABLE) -> dict[str, str]:
    """Return the environment by which a child learns of a token that was made; a given one it finds by itself."""
    return {variable: token.value} if token.made else {}


def attached(finish: Callable[[], None]) -> None:
    """In a child: call `finish`, from a thread, when the parent closes our standard input or dies."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin: its lock, held by a daemon thread, would abort the interpreter's exit
        finish()

    threading.Thread(target=wait, daemon=True).start()


def say(answer: Mapping[str, Any]) -> None:
    """In a child: write the first line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def refuse(error: FactoryError) -> None:
    """In a child: write as the first line why it never will answer."""
    say({"kind": type(error).__name__, "what": error.what, "mend": error.mend})


def _first_line(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """Read what the child says once it answers, or why it never will."""
    line = process.stdout.readline() if process.stdout else b""
    answer: dict[str, Any] = json.loads(line) if line.strip() else {}
    if "url" in answer:
        return answer
    kind = ModelError if answer.get("kind") == "ModelError" else FactoryError
    what = answer.get("what") or f"the server ended before it answered (exit {process.wait()})"
    raise kind(what, mend=answer.get("mend", ""))
