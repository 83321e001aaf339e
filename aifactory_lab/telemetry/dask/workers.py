"""The workers of a Dask cluster and the GPUs of their nodes, wherever these stand, without Prometheus.

One call a second asks the scheduler for what the workers' heartbeats said; a plugin adds each node's GPUs to them,
read in a thread of its own. So nothing waits for a busy worker, and the notebook's event loop is left alone. A dead
worker is lost by name, and the others go on. It starts no cluster, and connects only when it is opened:
`telemetry.watch(DaskSource(client))`.

>>> DaskSource("tcp://scheduler:8786", racks={"node7": "rack 3"}).key
'dask tcp://scheduler:8786'
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.dask.answers import NAME, Reader, announced
from aifactory_lab.telemetry.dask.roster import Roster
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Snapshot
from aifactory_lab.telemetry.sources import Source

if TYPE_CHECKING:
    from distributed import WorkerPlugin

OPEN_SECONDS = 4.0  # for the workers to say where they stand, before they are shown without
INSTALL_WAIT_SECONDS = 0.5  # the scheduler goes on alone: one worker that hangs must not hold up the readings
INSTALL_SECONDS = 10.0  # between two attempts to have the workers report GPUs


class DaskSource(Source):
    """Every worker, and every GPU of the workers' nodes once, by UUID.

    Parameters
    ----------
    client
        A `distributed.Client`, or the address of a scheduler. An address, or a client that lives on the notebook's
        event loop (``asynchronous=True``), is asked through a connection of our own.
    site, racks
        What the site is called, and the rack of each node by host name.
    gpus
        Whether to have the workers read their nodes' GPUs (a worker plugin; `close` takes it off again).
    timeout
        Seconds after which an answer of the scheduler is given up.

    Raises
    ------
    TelemetryError
        If the client is not connected; from `open`, if the scheduler does not answer.

    Notes
    -----
    A scheduler that itself lives on the notebook's event loop can only answer while no cell runs: start the sampler
    with ``await asyncio.to_thread(telemetry.watch, source)``, and expect silence while cells compute.
    """

    def __init__(
        self,
        client: Any,
        *,
        site: str = "this site",
        racks: Mapping[str, str] | None = None,
        gpus: bool = True,
        timeout: float = 2.0,
    ) -> None:
        self.address = client if isinstance(client, str) else _address(client)
        self.key = f"dask {self.address}"
        self.timeout = timeout
        self._given = None if isinstance(client, str) else client
        self._ask_own = isinstance(client, str) or client.asynchronous or getattr(client, "_asynchronous", False)
        self._own: Any = None
        self._reader = Reader(gpus=gpus, site=site, racks=racks or {})
        self._roster = Roster(f"Dask, {self.address}")
        self._install_due, self._words = 0.0, ""

    def open(self) -> Layout:
        """Ask for the workers, and wait a moment until each has said where it stands."""
        deadline = time.monotonic() + OPEN_SECONDS
        self._look()
        while self._reader.waits and not self._words and time.monotonic() < deadline:
            time.sleep(0.1)
            self._look()
        return self._roster.layout

    def sample(self) -> Snapshot:
        """Ask the scheduler once.

        Raises
        ------
        TelemetryError
            If the client is closed, or the scheduler does not answer in time.
        """
        self._look()
        snapshot = self._roster.snapshot(time=time.time())
        more = [*self._reader.notes, self._words] if self._words else self._reader.notes
        return replace(snapshot, notes=(*snapshot.notes, *more))

    def facts(self) -> Mapping[str, Facts]:
        """Return what changed: workers' addresses and states, GPUs' processes and health."""
        facts, self._reader.facts = self._reader.facts, {}
        return facts

    def close(self) -> None:
        """Take the plugin off the workers, and close a connection of our own."""
        if self._install_due:
            self._install_due = 0.0
            with suppress(TelemetryError):  # closed, gone, or taken off by another viewer
                self._ask("unregister_worker_plugin", name=NAME)
        if self._own is not None:
            self._own.close(timeout=self.timeout)
            self._own = None

    def _look(self) -> None:
        """Take in the scheduler's answer."""
        workers: Mapping[str, Any] = self._ask("identity", n_workers=-1)["workers"]
        rows = self._reader.rows(workers, time.monotonic(), _part("scheduler").heartbeat_interval(len(workers)))
        self._roster.look(rows, now=time.monotonic(), left=self._left)
        if self._reader.gpus and not all(NAME in info["metrics"] for info in workers.values()):
            self._install()

    def _left(self, entity: Entity) -> bool:
        """Whether a worker that is gone was meant to go; GPUs go with the last worker of their node."""
        if entity.kind != "worker":
            return not self._roster.has("worker", entity.path[:3])
        if self._reader.knows(entity.id):  # it has said by now on which node it is
            return True
        try:
            events = self._ask("events", topic=self._reader.addresses[entity.id])
        except TelemetryError:
            return False
        return announced(events)

    def _install(self) -> None:
        """Have the workers report GPUs; costs nothing where they do so already."""
        if time.monotonic() < self._install_due:
            return
        self._install_due = time.monotonic() + INSTALL_SECONDS
        plugin = _part("protocol.pickle").dumps(_plugin(self.address))
        options = {"plugin": plugin, "name": NAME, "idempotent": True}
        try:
            self._ask("register_worker_plugin", timeout=INSTALL_WAIT_SECONDS, **options)
            self._words = ""
        except TelemetryError as error:
            slow = isinstance(error.__cause__, TimeoutError)
            self._words = "" if slow else f"the workers' GPUs are not read: {error.what}"

    def _ask(self, operation: str, *, timeout: float | None = None, **options: Any) -> Any:
        if self._given is not None and self._given.status in ("closing", "closed"):
            msg = f"the client of the Dask scheduler {self.address} is closed"
            raise TelemetryError(msg, mend="telemetry.watch(telemetry.DaskSource(Client(...)))")
        try:
            client = self._client()
            call = getattr(client.scheduler, operation)
            return client.sync(call, callback_timeout=timeout or self.timeout, **options)
        # distributed raises what the scheduler raised, and its own: OSError, TimeoutError, RuntimeError of a loop
        except Exception as error:
            msg = f"the Dask scheduler {self.address} does not answer: {type(error).__name__} {error}".rstrip()
            raise TelemetryError(msg) from error

    def _client(self) -> Any:
        if self._given is not None and not self._ask_own:
            return self._given
        if self._own is None:
            security = None if self._given is None else self._given.security
            self._own = _part("client").Client(
                self.address, security=security, timeout=self.timeout, set_as_default=False, asynchronous=False
            )
        return self._own


def _part(name: str) -> Any:
    """Return a module of distributed, which takes most of a second to import."""
    return import_module(f"distributed.{name}")


def _address(client: Any) -> str:
    if client.scheduler is None:
        msg = f"the Dask client is not connected ({client.status})"
        raise TelemetryError(msg, mend="await client")
    return str(client.scheduler.address)


def _plugin(cluster: str) -> "WorkerPlugin":
    """Return what the workers run.

    A class made in a function travels whole: a worker that lacks this package would otherwise not even start.
    """
    from socket import gethostname

    from distributed import WorkerPlugin

    class Reports(WorkerPlugin):
        """Hands the GPUs' readings to the heartbeats."""

        def setup(self, worker: Any) -> None:
            """Begin."""
            try:
                from aifactory_lab.telemetry.dask.gpu_reports import GpuReports
            except ImportError as error:
                told = {"node": gethostname(), "words": f"aifactory_lab is not installed on the worker: {error}"}
                worker.metrics[NAME] = lambda _: told
                return
            self.reports = GpuReports(cluster)
            worker.metrics[NAME] = self.reports.report

        def teardown(self, worker: Any) -> None:
            """End."""
            worker.metrics.pop(NAME, None)
            if hasattr(self, "reports"):
                self.reports.close()

    return Reports()
