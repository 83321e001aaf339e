"""A gang: one job with a Dask cluster of its own, made of exactly what the job was given.

The job starts on all its nodes or not at all. Its rank 0 starts the scheduler, every rank one worker for each of its
GPUs (without GPUs one for each core of the order); when all are there rank 0 calls ``function(client, …)``, and then
everything is shut down. A worker that is killed is started again and its tasks are run again; workers that stay away
end the job with an error. On one machine all of it listens on 127.0.0.1, on several on the addresses between them,
where it speaks TLS with a key that lies in the job's folder; Dask's pages stay on the node of rank 0. This module does
not know the scheduler that started the job.

>>> Gang(lambda client, x: client.submit(abs, x).result(), (-3,), {})()
3
"""

import os
import socket
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from aifactory_lab.cluster.members import Member, crew, members, secured, serve
from aifactory_lab.cluster.options import LOOPBACK
from aifactory_lab.errors import FleetError, require
from aifactory_lab.fleet.rendezvous import PATIENCE, Rendezvous

LOST_SECONDS = 30.0  # how long workers may be fewer: a killed one is back within seconds
LOOK_SECONDS = 0.5
ROLES = ("scheduler", "worker", "client")  # of Dask's TLS


class Gang:
    """A function of a Dask client, to be called in a job on one or more nodes.

    Parameters
    ----------
    function, args, kwargs
        ``function(client, *args, **kwargs)`` is called on rank 0; what it returns is the job's result. It must not
        return futures: their workers are gone.
    gpus, cpus
        Of each node, as ordered; a worker for each GPU, without GPUs one for each core.
    patience
        Seconds to wait for all ranks, and again for all workers.
    lost_after
        Seconds after which workers that are gone are lost.

    Raises
    ------
    FleetError
        When it is called: if a rank or a worker does not come, or workers are lost for good.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        gpus: int = 0,
        cpus: int = 1,
        patience: float = PATIENCE,
        lost_after: float = LOST_SECONDS,
    ) -> None:
        self.function, self.args, self.kwargs = function, args, dict(kwargs)
        self.gpus, self.cpus = gpus, cpus
        self.patience, self.lost_after = patience, lost_after

    def __call__(self) -> Any:
        """Run this process's part: lead as rank 0, follow as any other."""
        meeting = Rendezvous.of_this_job(self.patience)
        try:
            here = members(_node(), devices=_devices(self.gpus), cores=self.cpus)
        except FleetError as error:
            meeting.come(trouble=error.what)
            raise
        meeting.come()
        return self._lead(meeting, here) if meeting.rank == 0 else _follow(meeting, here)

    def _lead(self, meeting: Rendezvous, here: list[Member]) -> Any:
        distributed = require("distributed", extra="fleet")
        try:
            host = _towards(meeting.everybody())
            key = secured(host)
            with crew(here, host, key) as cluster, distributed.Client(cluster) as client:
                pages = cluster.dashboard_link.replace(f"//{host}:", f"//{LOOPBACK}:") if find_spec("bokeh") else ""
                meeting.announce(cluster.scheduler_address, pages, _written(key))
                count = len(here) * meeting.ranks
                self._wait_for(client, count)
                with _Watch(client, cluster.scheduler, count, self.lost_after):
                    return self.function(client, *self.args, **self.kwargs)
        finally:
            meeting.leave()

    def _wait_for(self, client: Any, count: int) -> None:
        try:
            client.wait_for_workers(count, timeout=self.patience)
        except TimeoutError as error:
            there = sorted(str(one["name"]) for one in client.scheduler_info(n_workers=-1)["workers"].values())
            msg = f"{len(there)} of {count} workers came within {self.patience:g} s: {', '.join(there)}"
            raise FleetError(msg, mend="fleet.nodes()  # is a node down, or its memory full?") from error


class _Watch:
    """Look whether all workers are there while a block runs; end its waiting when some are lost for good."""

    def __init__(self, client: Any, scheduler: Any, count: int, lost_after: float) -> None:
        self.client, self.scheduler, self.count, self.lost_after = client, scheduler, count, lost_after
        self.lost = ""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="aifactory-gang-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self.lost and isinstance(error, (Exception, CancelledError)):
            raise FleetError(self.lost, mend="fleet.nodes()  # then send the job again, with retries=1") from error

    def _look(self) -> None:
        whole = time.monotonic()
        while not self._done.wait(LOOK_SECONDS):
            there = len(self.scheduler.workers)
            if there >= self.count:
                whole = time.monotonic()
            elif time.monotonic() - whole > self.lost_after:
                self.lost = f"{self.count - there} of {self.count} workers were lost and have not come back"
                self.client.close()  # the function waits for futures, which are cancelled now
                return


def _follow(meeting: Rendezvous, here: list[Member]) -> None:
    address = meeting.address()
    host = address.rpartition("://")[2].rpartition(":")[0]
    serve(address, here, LOOPBACK if host == LOOPBACK else _route(host), _read(meeting.key()))


def _written(key: Any) -> dict[str, str]:
    """Return a gang's key as words: one certificate, and its private key, for all roles."""
    return {name: getattr(key, f"tls_client_{name}") for name in ("cert", "key")} if key is not None else {}


def _read(words: Mapping[str, str]) -> Any:
    if not words:
        return None
    roles = {
        f"tls_{role}_{name}": words[name] for role in ("scheduler", "worker", "client") for name in ("cert", "key")
    }
    made = require("distributed.security", extra="fleet").Security
    return made(tls_ca_file=words["cert"], require_encryption=True, **roles)


def _towards(hosts: list[str]) -> str:
    """Return the address at which this node's neighbours reach it; loopback if all ranks are on this one."""
    others = [host for host in hosts if host != socket.gethostname()]
    return _route(others[0]) if others else LOOPBACK


def _route(host: str) -> str:
    return str(require("distributed.utils", extra="fleet").get_ip(host))


def _node() -> str:
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def _devices(gpus: int) -> list[str]:
    """Return the ids of the GPUs that this job was given here; an engine that gives none lets it count from 0."""
    given = [index for index in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if index]
    if gpus and given and len(given) != gpus:
        msg = f"the job asked for {gpus} GPUs on each node and was given {len(given)}: {', '.join(given)}"
        raise FleetError(msg, mend="fleet.gang(…, gpus=…, nodes=…)")
    return (given or [str(index) for index in range(gpus)]) if gpus else []
