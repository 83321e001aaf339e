"""A recipe on the workers of a Dask cluster: slices of time on CPUs, one query over all GPUs.

On CPUs every worker computes slices (`etl.slices`) and writes each into a file of its own; they are joined in order
into one file, with the rows that one process would have written. A worker that dies loses nothing: its slice is
computed again elsewhere. On GPUs cudf-polars runs the query on all workers at once. Workers must see the raw files and
the output folder. What a recipe's steps cost twice that way, `etl.distribution` tells.

    with cluster.start(workers=4) as here:
        etl.run(recipe, raw, out=folder, engine="cluster", client=here.client)
"""

import os
import shutil
import threading
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import cluster, device
from aifactory_lab.aside import write_aside
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.errors import DeviceError, FactoryError, require
from aifactory_lab.etl import slices
from aifactory_lab.etl.features import TABLE
from aifactory_lab.etl.progress import counting, growing
from aifactory_lab.etl.recipes import Recipe
from aifactory_lab.etl.slices import ROWS, Slice


@contextmanager
def workers(client: Any = None) -> Iterator[Any]:
    """Yield the client, or one of workers of this machine's that are stopped afterwards."""
    if client is not None:
        yield client
        return
    with cluster.start() as here:
        yield here.client


def compute(client: Any) -> device.Device:
    """Return what the client's workers compute on, as they find it themselves.

    Raises
    ------
    DeviceError
        If the scheduler or the workers are gone, they cannot run this package, or only some of them have GPUs.
    """
    if client.scheduler is None or client.status != "running":
        msg = f"the client is {client.status}: its Dask scheduler is gone"
        raise DeviceError(msg, mend="cluster.start()")
    answers = client.run(device.current, on_error="return")
    if error := next((answer for answer in answers.values() if isinstance(answer, ImportError | FactoryError)), None):
        msg = f"the workers of {client.scheduler.address} cannot run this package: {error}"
        raise DeviceError(msg, mend="start them with the Python of this environment") from error
    # A worker that dies while it is asked answers with a broken connection: those that live speak for it.
    told = {address: answer for address, answer in answers.items() if isinstance(answer, device.Device)}
    if not told:
        msg = f"the Dask cluster at {client.scheduler.address} has no workers"
        raise DeviceError(msg, mend="client.wait_for_workers(1)")
    if len({found.kind for found in told.values()}) > 1:
        without = ", ".join(sorted(address for address, found in told.items() if found.kind == "cpu"))
        msg = f"some workers have a GPU and some have none: {without}"
        raise DeviceError(msg, mend=f"export {device.VARIABLE}=cpu on all of them, or leave those out")
    return next(iter(told.values()))


def run(recipe: Recipe, raw: RawMaterial, path: Path, progress: bool, client: Any = None) -> int:
    """Write the recipe's features into one file; return the number of slices.

    Raises
    ------
    DeviceError
        If there are no workers, a slice has killed too many of them, or the scheduler is gone.
    """
    closed = require("distributed.comm", extra="fleet").CommClosedError
    with workers(client) as client:
        try:
            return _run(client, recipe, raw, path, progress)
        except (closed, CancelledError) as error:
            msg = f"the Dask scheduler is gone: {' '.join(str(error).split()) or type(error).__name__}"
            raise DeviceError(msg, mend="cluster.start(), then etl.run(…) again") from error


def _run(client: Any, recipe: Recipe, raw: RawMaterial, path: Path, progress: bool) -> int:
    if compute(client).kind == "gpu":
        _on_gpus(client, recipe, raw, path, progress)
        return 1
    parts = plan(recipe, raw, max(1, len(client.scheduler_info(n_workers=-1)["workers"])))
    with counting(recipe.name, sum(part.rows for part in parts), show=progress) as count:
        for rows in write(client, recipe, raw, parts, path):
            count(rows)
    return len(parts)


def plan(recipe: Recipe, raw: RawMaterial, count: int, rows: int = ROWS) -> list[Slice]:
    """Cut the recipe's raw table into as many slices as fill `count` workers evenly, of at most about `rows` rows.

    Few slices: each computes the rows within its reach again. A recipe without a reach gives one, for one worker.
    """
    total = raw[recipe.table].select(pl.len()).collect().item()
    number = -(-max(1, -(-total // rows)) // count) * count
    return slices.plan(recipe, raw, max(1, -(-total // number)))


def write(client: Any, recipe: Recipe, raw: RawMaterial, parts: list[Slice], path: Path) -> Iterator[int]:
    """Compute the slices on the workers, join them in order, and yield the raw rows that are done."""
    killed = require("distributed.scheduler", extra="fleet").KilledWorker
    seen = replace(raw, paths={name: tuple(file.absolute() for file in files) for name, files in raw.paths.items()})
    with _folder_of_parts(path.absolute().parent) as folder:
        files = [folder / f"{number}.arrow" for number in range(len(parts))]
        tasks = client.map(_write_part, parts, files, recipe=recipe, raw=seen, pure=False, key="etl-slice")
        try:
            yield from slices.join(_in_order(tasks, files), [part.rows for part in parts], path)
        except killed as error:
            msg = f"a slice of {recipe.name} killed the workers that tried it: {error}"
            raise DeviceError(
                msg, mend="cluster.start(workers=1), or fewer of them: each slice needs about 1 GiB"
            ) from error
        finally:
            client.cancel(tasks)


@contextmanager
def _folder_of_parts(out: Path) -> Iterator[Path]:
    """Yield a folder beside the output that every worker sees; a killed run's is swept away by the next."""
    folder = out / f".{TABLE}.partial-parts-{threading.get_ident()}-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _in_order(tasks: list[Any], files: list[Path]) -> Iterator[Any]:
    """Yield each part as soon as those before it are there; a part that has been read is deleted."""
    for task, file in zip(tasks, files, strict=True):
        task.result()
        yield pl.read_ipc(file, memory_map=False).to_arrow()
        file.unlink()


def _write_part(part: Slice, file: Path, recipe: Recipe, raw: RawMaterial) -> None:
    """Compute one slice, on a worker."""
    with write_aside(file) as aside:
        part.query(recipe, raw.tables).collect(engine="streaming").write_ipc(aside, compression="lz4")


def _on_gpus(client: Any, recipe: Recipe, raw: RawMaterial, path: Path, progress: bool) -> None:
    """Run one query on every worker's GPU; all workers must be there before it starts, and stay."""
    engine = require("cudf_polars.engine.dask", extra="gpu").DaskEngine
    binding = require("cudf_polars.engine.hardware_binding", extra="gpu").HardwareBindingPolicy
    # The cluster has pinned its workers already; the engine must not do it again.
    options: dict[str, Any] = {"hardware_binding": binding(enabled=False), "raise_on_fail": True}
    with engine(dask_client=client, engine_options=options) as gpus, growing(path, recipe.name, show=progress):
        recipe.query(raw.tables).sink_parquet(path, engine=gpus)
