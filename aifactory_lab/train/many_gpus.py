"""cuML on many GPUs: its Dask estimators by the house's names, trained where the rows are.

Every worker reads its own part of the feature table, prepares it and moves it to its GPU. The model that comes back is
a scikit-learn pipeline like every other of the house, so that any machine can serve it. What prepares rows (medians,
means) is learnt in the process that calls: it costs one pass over the slice, in host memory. XGBoost has a way of its
own (`train.distributed`). cuML has no Dask form of HDBSCAN, and of UMAP one that only transforms.

>>> estimators.dask_call("random_forest", n_estimators=50)[0]
'cuml.dask.ensemble.RandomForestClassifier'
"""

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from aifactory_lab.errors import ModelError, require
from aifactory_lab.train import distributed, estimators
from aifactory_lab.train.fitting import Fitted
from aifactory_lab.train.table import Slice, Table

# cuML's forest counts labels and wants whole numbers; its other solvers compute with them.
LABELS = {"random_forest": np.int32}


def learn(client: Any, name: str, table: Table, part: Slice, **params: Any) -> Fitted:
    """Train an estimator on the GPUs of the client's workers.

    Parameters
    ----------
    client
        A `dask.distributed.Client` of workers with a GPU each (``cluster.start("gpu")``); this process needs one too,
        to take the model over.
    name
        An estimator of the house that `estimators.dask_call` knows.
    table, part
        The feature table, and the slice to learn from.
    **params
        House parameters.

    Returns
    -------
    Fitted
        Its model is a scikit-learn `Pipeline`.

    Raises
    ------
    ModelError
        If cuML cannot train it on many GPUs.
    DeviceError
        If the cluster has no workers.
    """
    path, said = estimators.dask_call(name, **params)
    require("cuml", extra="gpu")
    module, _, last = path.rpartition(".")
    prepare = estimators.preparation(name)
    if prepare is not None:
        prepare.fit(table.rows(part).x)
    x, y = on_workers(client, table, part, prepare)
    classify = name in estimators.names("classify")
    x = x.map_blocks(_to_gpu, dtype=np.float32)
    y = y.map_blocks(partial(_to_gpu, dtype=LABELS.get(name, np.float32)), dtype=LABELS.get(name, np.float32))
    model = getattr(import_module(module), last)(client=client, **said)
    model.fit(*((x, y) if classify else (x,)))
    steps = list(prepare.steps) if prepare is not None else []
    pipeline = import_module("sklearn.pipeline").Pipeline
    return Fitted(estimators.portable(pipeline([*steps, (name, model.get_combined_model())])))


def on_workers(client: Any, table: Table, part: Slice, prepare: Any = None) -> tuple[Any, Any]:
    """Return a slice as Dask arrays (features, labels), prepared, one block for each worker."""
    x, y = distributed.arrays(table, part, len(distributed.addresses(client)))
    return (x if prepare is None else x.map_blocks(prepare.transform, dtype=np.float32)), y


def refuse(name: str) -> None:
    """Say that an estimator does not train on a cluster, and which do.

    Raises
    ------
    ModelError
        Always.
    """
    others = [word for word in estimators.names("classify") if estimators.TABLE[word].dask]
    msg = f"{name} does not train on a cluster of CPUs; xgboost does, and on GPUs {' and '.join(others)}"
    raise ModelError(msg, mend="leave client out")


def _to_gpu(block: Any, dtype: Any = np.float32) -> Any:
    return import_module("cupy").asarray(block, dtype=dtype)
