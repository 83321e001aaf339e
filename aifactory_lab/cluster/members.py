"""Workers one by one: each pinned to its own GPU, or on a core without any, for a scheduler here or on another node.

`cluster.start` lets Dask share a machine out; a job may use only what it was given. `crew` starts a scheduler with
the members of this node, `serve` brings the members of another. The processes of both die with the process that
called, so a killed job leaves none. Real GPUs are served by `dask_cuda`, pretend ones by plain workers. Who reaches a
Dask scheduler runs code there: between machines all of it speaks TLS, with one key that only the members have.

>>> [member.device for member in members("n1", devices=("2", "5"))], members("n1", cores=2)[1].name
(['2', '5'], 'n1-core-1')
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aifactory_lab import device
from aifactory_lab.cluster.options import LOOPBACK, Options
from aifactory_lab.errors import require

STATUS = f"{LOOPBACK}:0"  # Dask's pages ask nobody who comes: from elsewhere by ssh -L
LOOK_SECONDS = 1.0
CLOSE_SECONDS = 10


@dataclass(frozen=True)
class Member:
    """A worker of one thread: its name in the cluster, and the id of its GPU (empty: none)."""

    name: str
    device: str = ""


def members(node: str, *, devices: Sequence[str] = (), cores: int = 1) -> list[Member]:
    """Return the members of a node: one for each device, or without any one for each core."""
    if devices:
        return [Member(f"{node}:{index}", index) for index in devices]
    return [Member(f"{node}-core-{number}") for number in range(cores)]


def secured(host: str) -> Any:
    """Return a new key for a crew that listens on an address; None where only this machine reaches it.

    Returns
    -------
    distributed.Security or None
        Certificate and key for all roles, of which each asks for the others'.
    """
    return None if host == LOOPBACK else require("distributed.security", extra="fleet").Security.temporary()


def crew(here: Sequence[Member], host: str = LOOPBACK, key: Any = None) -> Any:
    """Start a scheduler and the members of this node; others may join at its ``scheduler_address``.

    Parameters
    ----------
    key
        Of `secured`; without it, who comes is not asked.

    Returns
    -------
    distributed.SpecCluster
        A context manager; its scheduler lives in this process.
    """
    dask, distributed = require("dask", extra="fleet"), require("distributed", extra="fleet")
    if _real(here):
        shown = ",".join(member.device for member in here)
        place = {**Options().local_cuda(), **_spoken(key), "host": host, "CUDA_VISIBLE_DEVICES": shown}
        return require("dask_cuda", extra="gpu").LocalCUDACluster(**place)
    options = {"host": host, "dashboard_address": STATUS, **_spoken(key)}
    scheduler = {"cls": distributed.Scheduler, "options": options}
    with dask.config.set(Options().settings()):
        return distributed.SpecCluster(
            scheduler=scheduler,
            security=key,
            silence_logs=logging.WARNING,
            workers={one.name: {"cls": distributed.Nanny, "options": _worker(one, host, key)} for one in here},
        )


def serve(address: str, here: Sequence[Member], host: str = LOOPBACK, key: Any = None) -> None:
    """Bring members to a scheduler elsewhere; return when it has closed or does not answer any more."""
    asyncio.run(_serve(address, here, host, key))


async def _serve(address: str, here: Sequence[Member], host: str, key: Any) -> None:
    nannies = _nannies(address, here, host, key)
    try:
        await asyncio.gather(*nannies)
        while await _answers(address) and any(nanny.status.name == "running" for nanny in nannies):
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await asyncio.gather(*(nanny.close(timeout=CLOSE_SECONDS) for nanny in nannies), return_exceptions=True)


def _nannies(address: str, here: Sequence[Member], host: str, key: Any) -> list[Any]:
    """Return one nanny for each member, not yet started: what restarts its worker when that is killed."""
    dask, distributed = require("dask", extra="fleet"), require("distributed", extra="fleet")
    if _real(here):
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(member.device for member in here)
        node = here[0].name.partition(":")[0]
        worker = require("dask_cuda.cuda_worker", extra="gpu").CUDAWorker(
            address,
            host=host,
            name=node,
            enable_cudf_spill=True,
            dashboard=False,
            dashboard_address=STATUS,
            security=key,
        )
        return list(worker.nannies)
    with dask.config.set(Options().settings()):
        return [distributed.Nanny(address, name=one.name, **_worker(one, host, key)) for one in here]


def _worker(member: Member, host: str, key: Any) -> dict[str, Any]:
    shown = {"CUDA_VISIBLE_DEVICES": member.device}
    place = {"host": host, "dashboard": False, "dashboard_address": STATUS, **_spoken(key)}
    return {"nthreads": 1, **place, "env": shown, "silence_logs": logging.WARNING}


def _spoken(key: Any) -> dict[str, Any]:
    """Return how a server of Dask speaks."""
    return {"protocol": "tls://", "security": key} if key is not None else {}


def _real(here: Sequence[Member]) -> bool:
    return bool(here and here[0].device) and device.kind() == "gpu"


async def _answers(address: str) -> bool:
    """Ask at the door only: whether anything still listens there."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), timeout=CLOSE_SECONDS)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
