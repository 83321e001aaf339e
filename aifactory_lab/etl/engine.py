"""Run a recipe: the contract first, then one streamed query into Parquet, then a report.

| engine | what runs the query |
|---|---|
| `cpu` | Polars, streaming, on all cores; more than a million rows in slices of time |
| `in-memory` | Polars, everything in memory: for comparison |
| `gpu` | cuDF through cudf-polars, one GPU, spilling when the data is larger than its memory |
| `cluster` | the workers of a Dask cluster: cuDF on their GPUs, without GPUs Polars, a slice of time each |

`auto` takes the GPUs if `device.current()` finds them, else `cpu`. The engine is chosen here, by name and with
the reason, and never changes silently while the query runs. This module does not know what a recipe computes.

>>> choose("cpu").reason
'cpu was asked for'
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import device
from aifactory_lab.aside import sweep, write_aside
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.errors import DeviceError, FactoryError, WorkspaceError, require
from aifactory_lab.etl import contracts, scale_out, slices
from aifactory_lab.etl.features import SPEC, TABLE
from aifactory_lab.etl.progress import counting, growing
from aifactory_lab.etl.recipes import Recipe
from aifactory_lab.measure import Meter, StationReport

Work = Callable[[Recipe, RawMaterial, Path, bool, Any], int]


@dataclass(frozen=True)
class Choice:
    """An engine, the device that it uses, and why it was chosen."""

    engine: str
    device: device.Device
    reason: str


def run(
    recipe: Recipe,
    raw: RawMaterial,
    *,
    engine: str = "auto",
    out: Path | str,
    progress: bool = True,
    client: Any = None,
) -> StationReport:
    """Turn raw material into `features.parquet` and `features.json` in a folder.

    Parameters
    ----------
    recipe
        What to compute, for example ``recipes.flights()``.
    raw
        The raw tables, for example ``datasets.load("flights")``; may be larger than memory.
    engine
        ``"auto"``, ``"cpu"``, ``"in-memory"``, ``"gpu"`` or ``"cluster"``.
    out
        The folder; made if it is not there. Both files are written aside and renamed, the specification last:
        a folder that holds it is complete.
    progress
        Whether to show a bar.
    client
        A `distributed.Client`, for example ``cluster.start().client``: whose workers the engine ``"cluster"`` uses.
        Without one it starts workers on this machine and stops them afterwards.

    Returns
    -------
    StationReport
        Rows, bytes, seconds, peak memory; `details` name the recipe, the engine and why it was chosen.

    Raises
    ------
    ContractError
        If the raw material does not keep the recipe's contract; nothing is written.
    DeviceError
        If the engine is unknown, or needs a GPU that is not there.
    WorkspaceError
        If the folder cannot be written, for example when the disk is full.
    """
    choice = choose(engine, client)
    if recipe.contract is not None:
        contracts.check(raw, recipe.contract)
    out = Path(out)
    with Meter("etl", unit="rows", device_used=choice.device) as meter:
        with _writing(out), contracts.reading(raw, recipe.contract):
            _clear(out)
            with write_aside(out / TABLE) as aside:
                parts = ENGINES[choice.engine](recipe, raw, aside, progress, client)
            recipe.spec.save(out)
        rows = pl.scan_parquet(out / TABLE).select(pl.len()).collect().item()
        written = (out / TABLE).stat().st_size
        meter.count(rows, bytes_in=raw.bytes, bytes_out=written, recipe=recipe.name)
        meter.count(engine=choice.engine, reason=choice.reason, slices=parts)
        if choice.engine == "gpu":  # cuDF sends Parquet as it is, and unpacks and packs it on the GPU
            meter.count(host_to_device_bytes=raw.bytes, device_to_host_bytes=written)
    return meter.report


def choose(engine: str, client: Any = None) -> Choice:
    """Resolve an engine's name, and say why.

    Raises
    ------
    DeviceError
        If there is no such engine, or it needs a GPU that is not there; the message says what is missing.
    """
    if engine not in ("auto", *ENGINES):
        msg = f"unknown engine {engine!r}; it must be one of auto, {', '.join(ENGINES)}"
        raise DeviceError(msg, mend='etl.run(recipe, raw, out=folder, engine="auto")')
    if client is not None:
        return _choose_workers(engine, client)
    found = device.current()
    if engine == "auto":
        name = "cpu" if found.kind == "cpu" else "gpu" if len(found.gpus) == 1 else "cluster"
        return Choice(name, found, f"auto: {found.reason}")
    if engine not in ("gpu", "cluster"):
        return Choice(engine, device.current("cpu"), f"{engine} was asked for")
    if found.kind == "cpu" and engine == "gpu":
        msg = f"engine {engine!r} needs a GPU, but the device is cpu: {found.reason}"
        raise DeviceError(msg, mend='etl.run(recipe, raw, out=folder, engine="cpu")')
    return Choice(engine, found, f"{engine} was asked for: {found.reason}")


def _choose_workers(engine: str, client: Any) -> Choice:
    if engine not in ("auto", "cluster"):
        msg = f"engine {engine!r} runs in this process and has no use for a client"
        raise DeviceError(msg, mend='etl.run(…, engine="cluster", client=client)')
    found = scale_out.compute(client)
    why = "auto: a client was given" if engine == "auto" else "cluster was asked for"
    return Choice("cluster", found, f"{why}: workers={len(client.scheduler_info(n_workers=-1)['workers'])}, {found}")


def _cpu(recipe: Recipe, raw: RawMaterial, path: Path, progress: bool) -> int:
    """Stream; when there are more rows than one slice holds, slice by slice, so that memory stays flat."""
    parts = slices.plan(recipe, raw)
    if len(parts) == 1:
        with growing(path, recipe.name, show=progress):
            recipe.query(raw.tables, slices.hold).sink_parquet(path, engine="streaming")
    else:
        with counting(recipe.name, sum(part.rows for part in parts), show=progress) as count:
            for rows in slices.write(recipe, raw, parts, path):
                count(rows)
    return len(parts)


def _in_memory(recipe: Recipe, raw: RawMaterial, path: Path, progress: bool) -> int:
    with growing(path, recipe.name, show=progress):
        recipe.query(raw.tables).collect(engine="in-memory").write_parquet(path)
    return 1


def _gpu(recipe: Recipe, raw: RawMaterial, path: Path, progress: bool) -> int:
    require("cudf_polars", extra="gpu")
    with growing(path, recipe.name, show=progress):
        recipe.query(raw.tables).sink_parquet(path, engine=pl.GPUEngine(executor="streaming", raise_on_fail=True))
    return 1


def _alone(work: Callable[[Recipe, RawMaterial, Path, bool], int]) -> Work:
    """Let an engine of one process be called like those that have a client."""
    return lambda recipe, raw, path, progress, _: work(recipe, raw, path, progress)


ENGINES: dict[str, Work] = {
    "cpu": _alone(_cpu),
    "in-memory": _alone(_in_memory),
    "gpu": _alone(_gpu),
    "cluster": scale_out.run,
}


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Say which folder could not be written when the system refuses."""
    try:
        yield
    except FactoryError:
        raise
    except (OSError, pl.exceptions.ComputeError) as error:
        if isinstance(error, pl.exceptions.ComputeError) and "os error" not in str(error):
            raise  # Polars wraps what the system refuses to its Parquet writer
        msg = f"{out} cannot be written: {error}"
        raise WorkspaceError(
            msg, mend=f"free space on {out}, or choose another folder: etl.run(…, out=folder)"
        ) from error


def _clear(out: Path) -> None:
    """Make the folder, and take away what an earlier run has left: its specification, a killed one's fragments."""
    out.mkdir(parents=True, exist_ok=True)
    (out / SPEC).unlink(missing_ok=True)
    sweep(out, TABLE)
