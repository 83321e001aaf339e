"""The plant as a Prometheus endpoint: what the samplers of this process read, for anyone's Grafana.

`export()` serves the running samplers under the names that dcgm-exporter, node_exporter and this house use;
`dashboard()` is a Grafana dashboard for them. It listens on the loopback address unless told otherwise, since it has
no password. It does not know what the metrics mean.

>>> with export(port=0, samplers=[]) as exporter:
...     exporter.url.startswith("http://127.0.0.1:")
True
"""

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry import sampler as running
from aifactory_lab.telemetry.prometheus.plant_families import PlantCollector
from aifactory_lab.telemetry.sampler import Sampler

PORT = 9400  # dcgm-exporter's
PATIENCE_SECONDS = 10.0


class Exporter:
    """A running endpoint; made by `export`.

    Attributes
    ----------
    url
        What to give to Prometheus: ``http://127.0.0.1:9400/metrics``.
    """

    def __init__(self, server: "_Server", host: str) -> None:
        self._server = server
        self._address = (host, server.server_port)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{server.server_port}/metrics"
        serve = threading.Thread(target=server.serve_forever, args=(0.1,), name="aifactory-exporter", daemon=True)
        self._thread: threading.Thread | None = serve
        serve.start()

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
    """Serve what the samplers of this process read, until closed.

    Run again on the same port, as a cell is, it replaces the one before.

    Parameters
    ----------
    port, host
        Where to listen; port 0 takes a free one, host "0.0.0.0" lets other machines in.
    samplers
        Whose readings; by default all that run at the time of a scrape.

    Raises
    ------
    TelemetryError
        If the address cannot be bound.
    """
    if (before := _EXPORTERS.get((host, port))) is not None:
        before.close()
    chosen = None if samplers is None else list(samplers)
    registry = CollectorRegistry()
    registry.register(PlantCollector(lambda: running.samplers() if chosen is None else chosen))
    family = _Server6 if ":" in host else _Server
    try:
        server = make_server(host, port, make_wsgi_app(registry), family, _Handler)
    except (OSError, OverflowError) as error:
        msg = f"{host}:{port} cannot be bound: {getattr(error, 'strerror', None) or error}"
        raise TelemetryError(msg, mend="telemetry.export(port=0)  # any free port") from error
    exporter = _EXPORTERS[host, server.server_port] = Exporter(server, host)
    return exporter


def dashboard() -> Path:
    """Return the Grafana dashboard for these metrics: import it, and choose the Prometheus that scrapes them."""
    return Path(__file__).with_name("grafana.json")


_EXPORTERS: dict[tuple[str, int], Exporter] = {}


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_SECONDS  # of a client that connects and asks nothing

    def log_message(self, *_: Any) -> None:
        """Say nothing: it would land in somebody's cell."""


class _Server(ThreadingWSGIServer):
    """One thread a connection, as prometheus_client has it, but `server_close` ends them all."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(*args, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="aifactory-scrape", daemon=True
        )
        self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        super().process_request_thread(request, client_address)
        self._connections.pop(threading.current_thread(), None)

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
