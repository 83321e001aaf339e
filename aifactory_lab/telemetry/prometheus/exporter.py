"""The plant as a Prometheus endpoint: what the samplers of this process read, for anyone's Grafana.

`export()` serves the running samplers under the names that dcgm-exporter, node_exporter and this house use;
`dashboard()` is a Grafana dashboard for them. It listens on the loopback address unless told otherwise, and then it
asks for a token, which Prometheus sends from an `authorization: {credentials_file: …}`. It does not know what the
metrics mean.

>>> with export(port=0, samplers=[]) as exporter:
...     exporter.url.startswith("http://127.0.0.1:")
True
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from aifactory_lab.access.gate import Gate, refused_as_json
from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry import sampler as running
from aifactory_lab.telemetry.prometheus.plant_families import PlantCollector
from aifactory_lab.telemetry.sampler import Sampler

PORT = 9400  # dcgm-exporter's
PATIENCE_SECONDS = 10.0
MOST_CONNECTIONS = 64  # each has a thread
Answers = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]  # a WSGI application


class Exporter:
    """A running endpoint; made by `export`.

    Attributes
    ----------
    url
        What to give to Prometheus: ``http://127.0.0.1:9400/metrics``.
    """

    def __init__(self, server: "_Server", host: str, gate: Gate) -> None:
        self._server, self._gate = server, gate
        self._address = (host, server.server_port)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{server.server_port}/metrics"
        serve = threading.Thread(target=server.serve_forever, args=(0.1,), name="aifactory-exporter", daemon=True)
        self._thread: threading.Thread | None = serve
        serve.start()

    @property
    def token(self) -> str:
        """What it asks for; on the loopback address nothing, unless the environment gives one. It is in no repr."""
        return self._gate.token.value

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends to be heard: the token, or nothing."""
        return self._gate.token.headers

    def close(self) -> None:
        """Stop serving, and end every connection; may be called twice."""
        if self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._thread = None
        _EXPORTERS.pop(self._address, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Exporter({self.url!r}{'' if self._thread else ', closed'})"


def export(port: int = PORT, host: str = "127.0.0.1", samplers: Sequence[Sampler] | None = None) -> Exporter:
    """Serve what the samplers of this process read, until what is returned is closed.

    Run again on the same port, as a cell is, it replaces the one before.

    Parameters
    ----------
    port, host
        Where to listen; port 0 takes a free one, host "0.0.0.0" lets other machines in: those that send the token of
        ``$AIFACTORY_TOKEN`` or ``$AIFACTORY_TOKEN_FILE``, else a new one, which is the exporter's ``token``.
    samplers
        Whose readings; by default all that run at the time of a scrape.

    Raises
    ------
    TelemetryError
        If the address cannot be bound.
    FactoryError
        If the token that was given is not sound.
    """
    gate = Gate.of(host)
    if (before := _EXPORTERS.get((host, port))) is not None:
        before.close()
    chosen = None if samplers is None else list(samplers)
    registry = CollectorRegistry()
    registry.register(PlantCollector(lambda: running.samplers() if chosen is None else chosen))
    family = _Server6 if ":" in host else _Server
    try:
        server = make_server(host, port, _guarded(make_wsgi_app(registry), gate), family, _Handler)
    except (OSError, OverflowError) as error:
        msg = f"{host}:{port} cannot be bound: {getattr(error, 'strerror', None) or error}"
        raise TelemetryError(msg, mend="telemetry.export(port=0)  # any free port") from error
    exporter = _EXPORTERS[host, server.server_port] = Exporter(server, host, gate)
    return exporter


def dashboard() -> Path:
    """Return the Grafana dashboard for these metrics: import it, and choose the Prometheus that scrapes them."""
    return Path(__file__).with_name("grafana.json")


def _guarded(application: Answers, gate: Gate) -> Answers:
    """Put a gate in front of an application (WSGI, PEP 3333)."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        sent = [(name, environ.get(f"HTTP_{name.upper()}")) for name in ("host", "origin", "authorization")]
        headers = [(name.encode(), value.encode("latin-1")) for name, value in sent if value is not None]
        refused = gate.refuses(environ["REQUEST_METHOD"], headers)
        if refused is None:
            return application(environ, start_response)
        more = [(name.decode(), value.decode()) for name, value in refused.headers]
        start_response(f"{refused.status} Refused", [("Content-Type", "application/json"), *more])
        return [json.dumps(refused_as_json(refused)).encode()]

    return answer


_EXPORTERS: dict[tuple[str, int], Exporter] = {}


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_SECONDS  # of a client that connects and asks nothing

    def log_message(self, *_: Any) -> None:
        """Say nothing: it would land in somebody's cell."""


class _Server(ThreadingWSGIServer):
    """One thread a connection, as prometheus_client has it, but not without end, and `server_close` ends them all."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._since: dict[threading.Thread, float] = {}
        super().__init__(*args, **options)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's signature
        """Hang up on those that take longer than a scrape; with too many left, hear nobody new."""
        for thread, since in list(self._since.items()):
            if time.monotonic() - since > PATIENCE_SECONDS and (slow := self._connections.get(thread)):
                with suppress(OSError):
                    slow.shutdown(socket.SHUT_RDWR)
        return len(self._connections) < MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="aifactory-scrape", daemon=True
        )
        self._connections[thread], self._since[thread] = request, time.monotonic()
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        super().process_request_thread(request, client_address)
        self._connections.pop(threading.current_thread(), None)
        self._since.pop(threading.current_thread(), None)

    def server_close(self) -> None:
        super().server_close()
        for thread, connection in list(self._connections.items()):
            with suppress(OSError):  # it ended by itself meanwhile
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Server6(_Server):
    address_family = socket.AF_INET6
