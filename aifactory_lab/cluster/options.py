"""What a worker gets: threads, memory, GPU memory, and how it talks; checked for the place where it will run.

An option that means nothing in a place is refused there, not passed over. This module starts nothing.

>>> Options(workers=2, memory_limit="2GB").local()["n_workers"]
2
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aifactory_lab import device
from aifactory_lab.errors import FleetError

LOOPBACK = "127.0.0.1"
UCX = ("ucx", "ucxx")
PROTOCOLS = ("tcp", *UCX)
ONLY_ON_GPUS: Mapping[str, Any] = {"protocol": (None, "tcp"), "rmm_pool": (None,), "device_memory_limit": ("default",)}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `cluster.start`, with its defaults.

    Attributes
    ----------
    workers
        How many; None is one for each GPU, or on CPUs one for each `threads` cores.
    threads
        Of each worker.
    protocol
        None (tcp), ``"tcp"``, or ``"ucx"`` between GPUs.
    rmm_pool
        GPU memory that each worker takes at once: a share (0.8) or a size ("20GB").
    spill
        Whether what does not fit is moved: on GPUs by cuDF to the host's memory, on CPUs by Dask to disk.
    device_memory_limit
        What Dask may hold of a GPU's memory; ``"default"`` is 80 %. It does not bound what libraries take.
    memory_limit
        Host memory of each worker: ``"auto"`` shares all of it out, ``"4GB"``, or 0 for no limit.
    folder
        Where workers put what they spill; a local disk. By default the system's folder for temporary files.
    """

    workers: int | None = None
    threads: int = 1
    protocol: str | None = None
    rmm_pool: str | float | None = None
    spill: bool = True
    device_memory_limit: str | float | None = "default"
    memory_limit: str | float = "auto"
    folder: Path | str | None = None

    def __post_init__(self) -> None:
        """Refuse what no place can give.

        Raises
        ------
        FleetError
            With the value and what it may be.
        """
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                refuse(f"{name} must be a whole number, at least 1; it is {value!r}", f"{name}=1")
        if self.protocol not in (None, *PROTOCOLS):
            refuse(f"protocol {self.protocol!r} is not one of {', '.join(PROTOCOLS)}", 'protocol="tcp"')

    def on_cpu(self, reason: str) -> str:
        """Say what the workers will be on CPUs.

        Raises
        ------
        FleetError
            If an option was set that only GPUs have.
        """
        for name, unset in ONLY_ON_GPUS.items():
            if (value := getattr(self, name)) not in unset:
                msg = f"{name}={value!r} is for GPUs, but the workers run on CPUs: {reason}"
                raise FleetError(msg, mend=f"leave {name} out of cluster.start(…)")
        each = "one worker for every core" if self.threads == 1 else f"one worker for every {self.threads} cores"
        number = f"{self.workers} workers of {self.threads} threads" if self.workers else each
        spill = "goes to disk" if self.spill else "fails: spilling is off"
        return f"{number}, no GPU ({reason}); what a worker cannot hold {spill}"

    def on_gpus(self, found: device.Device) -> str:
        """Say what the workers will be on this machine's GPUs.

        Raises
        ------
        FleetError
            If there are fewer GPUs than workers, or UCX was asked for and is not installed.
        """
        there = len(found.gpus)
        if self.workers is not None and self.workers > there:
            refuse(f"{self.workers} workers need as many GPUs; there are {there}", f"workers={there}")
        if self.protocol in UCX and find_spec("distributed_ucxx") is None:
            msg = f"protocol {self.protocol!r} needs distributed-ucxx, which is not installed"
            raise FleetError(msg, mend="pip install distributed-ucxx-cu12, or cluster.start(protocol=None)")
        # A library that has opened CUDA holds memory of GPU 0 in this process, beside the worker there.
        late = (
            "; cudf was imported before the workers were started: restart the kernel" if "cudf" in sys.modules else ""
        )
        spill = "cuDF moves what does not fit to the host" if self.spill else "cuDF does not spill"
        return f"{self.workers or there} workers with a GPU each ({found.reason}); {spill}{late}"

    def at_address(self, address: str) -> str:
        """Say whose workers they are.

        Raises
        ------
        FleetError
            If any option was set: workers that run already cannot be changed.
        """
        for name, default in _DEFAULTS.items():
            if (value := getattr(self, name)) != default:
                msg = f"{name}={value!r} cannot be set: the workers of {address} are running already"
                raise FleetError(msg, mend=f"cluster.start({address!r})")
        return f"the workers of {address}"

    def count(self, cores: int | None = None) -> int:
        """Return how many workers there will be on CPUs."""
        return self.workers or max(1, (cores or len(os.sched_getaffinity(0))) // self.threads)

    def local(self) -> dict[str, Any]:
        """Return the arguments of `distributed.LocalCluster`."""
        return {
            "n_workers": self.count(),
            "threads_per_worker": self.threads,
            "host": LOOPBACK,
            "dashboard_address": f"{LOOPBACK}:0",
            "memory_limit": self.memory_limit,
            "local_directory": self._folder,
        }

    def local_cuda(self) -> dict[str, Any]:
        """Return the arguments of `dask_cuda.LocalCUDACluster` (26.10)."""
        return {
            "n_workers": self.workers,
            "threads_per_worker": self.threads,
            "host": LOOPBACK,
            "dashboard_address": f"{LOOPBACK}:0",
            "protocol": self.protocol,
            "rmm_pool_size": self.rmm_pool,
            "enable_cudf_spill": self.spill,
            "device_memory_limit": self.device_memory_limit,
            "memory_limit": self.memory_limit,
            "local_directory": self._folder,
        }

    def settings(self) -> dict[str, Any]:
        """Return Dask's settings for CPU workers: threads of the libraries that they run, and whether they spill.

        They are set before a worker's process begins, because Polars and OpenMP read them when they are loaded.
        """
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
        threads = {f"distributed.nanny.pre-spawn-environ.{name}": str(self.threads) for name in names}
        memory = {} if self.spill else {f"distributed.worker.memory.{name}": False for name in ("target", "spill")}
        return {**threads, **memory}

    @property
    def _folder(self) -> str | None:
        return None if self.folder is None else str(Path(self.folder).expanduser())


_DEFAULTS = {name: field.default for name, field in Options.__dataclass_fields__.items()}


def refuse(what: str, mend: str) -> None:
    """Raise the error of a wrong option."""
    raise FleetError(what, mend=f"cluster.start(…, {mend})")
