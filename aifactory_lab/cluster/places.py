"""Where workers are started, and the client to them.

| where | what |
|---|---|
| `gpu` | `dask_cuda.LocalCUDACluster`: a worker for each GPU of this machine |
| `cpu` | `distributed.LocalCluster`: processes on this machine's cores |
| an address, a scheduler file | workers that run already: on a Slurm cluster, on other machines |

`auto` takes GPUs if `device.current()` finds them. Everything that is started here listens on 127.0.0.1 only. This
module does not know what the workers will do.

>>> with start("cpu", workers=1) as here:
...     here.client.submit(pow, 2, 10).result()
1024
"""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from aifactory_lab import device
from aifactory_lab.cluster.options import Options, refuse
from aifactory_lab.errors import FleetError, require

ANSWER_SECONDS = 5
LEAVE_SECONDS = 10
STOP_SECONDS = 60  # a worker that was killed in the middle, on a machine that is busy


def start(
    where: str = "auto",
    *,
    workers: int | None = None,
    threads: int = 1,
    protocol: str | None = None,
    rmm_pool: str | float | None = None,
    spill: bool = True,
    device_memory_limit: str | float | None = "default",
    memory_limit: str | float = "auto",
    folder: Path | str | None = None,
) -> "Cluster":
    """Start workers, or find those that run.

    On GPUs call it before anything imports cuDF: the first to open CUDA takes memory of GPU 0.

    Parameters
    ----------
    where
        ``"auto"``, ``"gpu"``, ``"cpu"``, an address like ``"tcp://10.0.0.1:8786"``, or the path of a scheduler file
        (``dask scheduler --scheduler-file``).
    workers, threads, protocol, rmm_pool, spill, device_memory_limit, memory_limit, folder
        See `cluster.Options`; for workers that run already none can be set.

    Returns
    -------
    Cluster
        A context manager; all workers are there when it is returned.

    Raises
    ------
    FleetError
        If an option is wrong or means nothing in this place, or nothing answers at the address.
    DeviceError
        If GPUs were asked for and there are none.
    """
    options = Options(
        workers=workers,
        threads=threads,
        protocol=protocol,
        rmm_pool=rmm_pool,
        spill=spill,
        device_memory_limit=device_memory_limit,
        memory_limit=memory_limit,
        folder=folder,
    )
    if where not in ("auto", "cpu", "gpu"):
        return _found(where, options.at_address(where))
    found = device.current(where)
    return _on_gpus(options, found) if found.kind == "gpu" else _on_cpu(options, found.reason)


class Cluster:
    """Workers and a client to them.

    Attributes
    ----------
    client
        The `distributed.Client`.
    reason
        What the workers are, and why, in words.
    """

    def __init__(self, client: Any, reason: str, owned: Any = None) -> None:
        self.client, self.reason, self._owned = client, reason, owned

    @property
    def workers(self) -> pl.DataFrame:
        """The workers now: name, address, threads, memory (bytes; 0 is no limit), device (GPU, or empty), pid."""
        told = self.client.scheduler_info(n_workers=-1)["workers"]
        processes = self.client.run(_process, workers=list(told), on_error="return") if told else {}
        rows = [
            (str(one["name"]), address, one["nthreads"], one["memory_limit"] or 0, *_told(processes.get(address)))
            for address, one in told.items()
        ]
        names = {"name": pl.String, "address": pl.String, "threads": pl.Int64, "memory": pl.Int64}
        return pl.DataFrame(rows, schema={**names, "device": pl.String, "pid": pl.Int64}, orient="row").sort("name")

    @property
    def dashboard(self) -> str:
        """Link to Dask's own pages; empty without bokeh, which draws them."""
        return str(self.client.dashboard_link or "") if find_spec("bokeh") else ""

    def stop(self) -> None:
        """Stop what was started here; workers at an address go on. May be called twice."""
        if self._owned is not None and self.client.status == "running":
            # A worker whose heartbeat is under way would call the end an error, with its traceback.
            with suppress(KeyError, OSError):  # a worker that was replaced in this moment: Dask does not find it
                self.client.run(_keep_quiet, on_error="ignore")
        self.client.close(timeout=LEAVE_SECONDS)
        if self._owned is not None:
            self._owned.close(timeout=STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Cluster({self.client.scheduler.address!r})  # {self.reason}"


def _on_cpu(options: Options, reason: str) -> Cluster:
    dask, distributed = require("dask", extra="fleet"), require("distributed", extra="fleet")
    words = options.on_cpu(reason)
    with dask.config.set(options.settings()):
        return _joined(lambda: distributed.LocalCluster(**options.local()), words, options.count())


def _on_gpus(options: Options, found: device.Device) -> Cluster:
    words = options.on_gpus(found)
    local = require("dask_cuda", extra="gpu").LocalCUDACluster
    return _joined(lambda: local(**options.local_cuda()), words, options.workers or len(found.gpus))


def _joined(build: Callable[[], Any], words: str, workers: int) -> Cluster:
    """Build a cluster and wait for its workers; leave nothing behind if they do not come."""
    distributed = require("distributed", extra="fleet")
    owned = build()
    try:
        client = distributed.Client(owned)
        client.wait_for_workers(workers)
    except BaseException:
        owned.close()
        raise
    return Cluster(client, words, owned)


def _found(where: str, words: str) -> Cluster:
    distributed = require("distributed", extra="fleet")
    address = where if "://" in where else _written(Path(where).expanduser())
    try:
        return Cluster(distributed.Client(address, timeout=ANSWER_SECONDS), words)
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"no Dask scheduler answers at {address}: {' '.join(str(error).split()) or type(error).__name__}"
        raise FleetError(
            msg, mend="cluster.start()  # workers of this machine; or start `dask scheduler` there"
        ) from error


def _written(file: Path) -> str:
    """Return the address that a scheduler has written into its file."""
    if not file.is_file():
        refuse(f"{str(file)!r} is neither auto, cpu, gpu, an address (tcp://host:8786) nor a scheduler file", '"auto"')
    try:
        return str(json.loads(file.read_text())["address"])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{file} was not written by a Dask scheduler: {type(error).__name__}: {error}"
        raise FleetError(msg, mend=f"dask scheduler --scheduler-file {file}") from error


def _process() -> tuple[str, int]:
    """Return a worker's own GPU, the first of those that it sees, and its process."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0], os.getpid()


def _keep_quiet() -> None:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


def _told(answer: Any) -> tuple[str, int | None]:
    return answer if isinstance(answer, tuple) else ("", None)
