"""XGBoost on many workers: each reads its own part of the feature table, and the trees are grown together.

Written against `dask.distributed.Client`: processes on one machine, a GPU per worker, or any address (`cluster.start`).
The model that comes back is an ordinary booster. Each worker always gets the same rows, so that a training that is
begun again, because a worker was killed, gives the same model. On one machine a cluster is slower than one process with
as many threads; it is for data or GPUs beyond one. This module does not start clusters and does not make checkpoints.

Use it through `train.fit`::

    with cluster.start(workers=2) as here:
        train.fit(features, out=out, client=here.client)
"""

import logging
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import chain, pairwise
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.errors import DeviceError
from aifactory_lab.train import boosting, estimators
from aifactory_lab.train.fitting import Fitted
from aifactory_lab.train.table import Rows, Slice, Table

PARTS_PER_WORKER = 2
ATTEMPTS = 4  # of a training whose workers are killed; as often as Dask itself tries a task
RETURN_SECONDS = 60  # how long a killed worker may take to come back: a new process that imports XGBoost
log = logging.getLogger(__name__)


def learn(
    client: Any, table: Table, part: Slice, stop: Slice | None = None, *, device: str | None = None, **params: Any
) -> Fitted:
    """Train XGBoost on the client's workers; begin again when one of them is killed.

    Parameters
    ----------
    client
        A `dask.distributed.Client` whose workers can read the table's file.
    table, part, stop
        The feature table, the slice to learn from, and the slice that stops training early.
    **params
        House parameters of ``"xgboost"``.

    Raises
    ------
    DeviceError
        If the cluster has no workers, or they were killed in every one of several attempts.
    """
    there = addresses(client)
    count = len(there) * PARTS_PER_WORKER
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _learn(client, there, count, table, part, stop, device, params)
        except (Exception, CancelledError) as error:
            if not (lost := set(there) - set(_workers(client))):
                raise
            log.warning("worker %s died in attempt %d (%s)", ", ".join(sorted(lost)), attempt, type(error).__name__)
            there = _whole_again(client, len(there))
    msg = f"workers were killed in each of {ATTEMPTS} attempts to train"
    raise DeviceError(msg, mend="cluster.start(workers=1), or more memory for each: cluster.start(memory_limit=…)")


def addresses(client: Any) -> list[str]:
    """Return the workers' addresses in the order of their names, which stay when a worker is started again.

    Raises
    ------
    DeviceError
        If there is none.
    """
    if not (found := _workers(client)):
        msg = "the Dask cluster has no workers"
        raise DeviceError(msg, mend="client.wait_for_workers(1)")
    return sorted(found, key=lambda address: str(found[address]["name"]))


def _workers(client: Any) -> dict[str, Any]:
    return dict(client.scheduler_info(n_workers=-1)["workers"])


def _whole_again(client: Any, count: int) -> list[str]:
    """Wait until as many workers are there as before, else go on with those that are left."""
    try:
        client.wait_for_workers(count, timeout=RETURN_SECONDS)
    except TimeoutError:
        log.warning("%d of %d workers are left: the model may differ in its last digits", len(_workers(client)), count)
    return addresses(client)


def _learn(
    client: Any,
    there: Sequence[str],
    count: int,
    table: Table,
    part: Slice,
    stop: Slice | None,
    device: str | None,
    params: Mapping[str, Any],
) -> Fitted:
    from xgboost import dask as distributed

    native, rounds = estimators.xgboost_params(device, **params)
    matrix = _placed(distributed.DaskQuantileDMatrix(client, *arrays(table, part, count)), there)
    watched = [(matrix, "learn")]
    if stop:
        valid = distributed.DaskQuantileDMatrix(client, *arrays(table, stop, count), ref=matrix)
        watched.append((_placed(valid, there), "valid"))
    found = distributed.train(
        client,
        native,
        matrix,
        num_boost_round=rounds,
        evals=watched,
        early_stopping_rounds=boosting.PATIENCE if stop else None,
        verbose_eval=False,
    )
    return _fitted(found, native["nthread"], stopped=stop is not None)


def _placed(matrix: Any, there: Sequence[str]) -> Any:
    """Give each worker the same parts in every training, wherever Dask happened to compute them.

    XGBoost sketches its bins and draws its rows worker by worker: other parts would give another model.
    """
    parts = sorted(chain.from_iterable(matrix.worker_map.values()), key=lambda part: matrix.partition_order[part.key])
    matrix.worker_map = {
        address: [part for number, part in enumerate(parts) if number * len(there) // len(parts) == place]
        for place, address in enumerate(there)
    }
    return matrix


def _fitted(found: dict[str, Any], threads: int, *, stopped: bool) -> Fitted:
    losses = {name: list(next(iter(metrics.values()))) for name, metrics in found["history"].items()}
    booster = found["booster"]
    rounds = booster.best_iteration + 1 if stopped else booster.num_boosted_rounds()
    booster = booster[:rounds]
    booster.set_param({"device": "cpu", "nthread": threads})
    return Fitted(booster, rounds, boosting.Boosted(booster, rounds, losses).history())


def arrays(table: Table, part: Slice, count: int) -> tuple[Any, Any]:
    """Return a slice as Dask arrays (features, labels) whose blocks the workers read themselves."""
    from dask.delayed import delayed

    array: Any = import_module("dask.array")
    rows = int(table.lazy.filter(table.where(part)).select(pl.len()).collect().item())
    ends = np.linspace(0, rows, count + 1).astype(int)
    features, labels = [], []
    for start, end in pairwise(ends):
        block = delayed(_read)(table, part, int(start), int(end - start))
        features.append(array.from_delayed(block[0], (end - start, len(table.columns)), np.float32))
        labels.append(array.from_delayed(block[1], (end - start,), np.int8))
    return array.concatenate(features), array.concatenate(labels)


def _read(table: Table, part: Slice, start: int, length: int) -> tuple[Any, Any]:
    rows: Rows = table.rows(part, start, length)
    return rows.x, rows.y
