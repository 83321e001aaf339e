"""Workers one by one: each pinned to its own GPU, or on a core without any, for a scheduler here or on another node.

`cluster.start` lets Dask share a machine out; a job may use only what it was given. `crew` starts a scheduler with
the members of this node, `serve` brings the members of another. The processes of both die with the process that
called, so a killed job leaves none. Real GPUs are served by `dask_cuda`, pretend ones by plain workers.

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


def crew(here: Sequence[Member], host: str = LOOPBACK) -> Any:
    """Start a scheduler and the members of this node; others may join at its ``scheduler_address``.

    Returns
    -------
    distributed.SpecCluster
        A context manager; its scheduler lives in this process.
    """
    dask, distributed = require("dask", extra="fleet"), require("distributed", extra="fleet")
    if _real(here):
        shown = ",".join(member.device for member in here)
        place = {**Options().local_cuda(), "host": host, "dashboard_address": f"{host}:0"}
        return require("dask_cuda", extra="gpu").LocalCUDACluster(**{**place, "CUDA_VISIBLE_DEVICES": shown})
    scheduler = {"cls": distributed.Scheduler, "options": {"host": host, "dashboard_address": f"{host}:0"}}
    with dask.config.set(Options().settings()):
        return distributed.SpecCluster(
            scheduler=scheduler,
            silence_logs=logging.WARNING,
            workers={one.name: {"cls": distributed.Nanny, "options": _worker(one, host)} for one in here},
        )


def serve(address: str, here: Sequence[Member], host: str = LOOPBACK) -> None:
    """Bring members to a scheduler elsewhere; return when it has closed or does not answer any more."""
    asyncio.run(_serve(address, here, host))


async def _serve(address: str, here: Sequence[Member], host: str) -> None:
    nannies = _nannies(address, here, host)
    try:
        await asyncio.gather(*nannies)
        while await _answers(address) and any(nanny.status.name == "running" for nanny in nannies):
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await asyncio.gather(*(nanny.close(timeout=CLOSE_SECONDS) for nanny in nannies), return_exceptions=True)


def _nannies(address: str, here: Sequence[Member], host: str) -> list[Any]:
    """Return one nanny for each member, not yet started: what restarts its worker when that is killed."""
    dask, distributed = require("dask", extra="fleet"), require("distributed", extra="fleet")
    if _real(here):
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(member.device for member in here)
        node = here[0].name.partition(":")[0]
        worker = require("dask_cuda.cuda_worker", extra="gpu").CUDAWorker(
            address, host=host, name=node, enable_cudf_spill=True, dashboard=False
        )
        return list(worker.nannies)
    with dask.config.set(Options().settings()):
        return [distributed.Nanny(address, name=one.name, **_worker(one, host)) for one in here]


def _worker(member: Member, host: str) -> dict[str, Any]:
    shown = {"CUDA_VISIBLE_DEVICES": member.device}
    return {"nthreads": 1, "host": host, "dashboard": False, "env": shown, "silence_logs": logging.WARNING}


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
