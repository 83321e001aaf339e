"""XGBoost on many workers: each reads its own part of the feature table, and the trees are grown together.

Written against `dask.distributed.Client`: a `LocalCluster` on one machine, a `LocalCUDACluster` with a GPU per
worker, or any address. The model that comes back is an ordinary booster. On one machine a cluster is slower than
one process with as many threads (about twice, measured); it is for data or GPUs beyond one. This module does
not start clusters and does not make checkpoints.

Use it through `train.fit`::

    with LocalCluster(n_workers=2) as cluster, Client(cluster) as client:
        train.fit(features, out=out, client=client)
"""

from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.errors import DeviceError
from aifactory_lab.train import boosting, estimators
from aifactory_lab.train.fitting import Fitted
from aifactory_lab.train.table import Rows, Slice, Table

PARTS_PER_WORKER = 2


def learn(
    client: Any, table: Table, part: Slice, stop: Slice | None = None, *, device: str | None = None, **params: Any
) -> Fitted:
    """Train XGBoost on the client's workers.

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
        If the cluster has no workers.
    """
    from xgboost import dask as distributed

    if not (workers := len(client.scheduler_info(n_workers=-1)["workers"])):
        msg = "the Dask cluster has no workers"
        raise DeviceError(msg, mend="client.wait_for_workers(1)")
    native, rounds = estimators.xgboost_params(device, **params)
    count = workers * PARTS_PER_WORKER
    matrix = distributed.DaskQuantileDMatrix(client, *_arrays(table, part, count))
    watched = [(matrix, "learn")]
    if stop:
        watched.append((distributed.DaskQuantileDMatrix(client, *_arrays(table, stop, count), ref=matrix), "valid"))
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


def _fitted(found: dict[str, Any], threads: int, *, stopped: bool) -> Fitted:
    losses = {name: list(next(iter(metrics.values()))) for name, metrics in found["history"].items()}
    booster = found["booster"]
    rounds = booster.best_iteration + 1 if stopped else booster.num_boosted_rounds()
    booster = booster[:rounds]
    booster.set_param({"device": "cpu", "nthread": threads})
    return Fitted(booster, rounds, boosting.Boosted(booster, rounds, losses).history())


def _arrays(table: Table, part: Slice, count: int) -> tuple[Any, Any]:
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
