"""XGBoost on a two-worker cluster of real processes, some of which are killed; and the rows that cuML would get."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from aifactory_lab import cluster, train
from aifactory_lab.errors import DeviceError, ModelError
from aifactory_lab.train import distributed, estimators, many_gpus
from aifactory_lab.train.table import Table

SMALL = {"device": "cpu", "threads": 1, "rounds": 15, "refit": False, "groups": ("schedule", "weather")}


@pytest.fixture(scope="module")
def client():
    with cluster.start("cpu", workers=2) as here:
        yield here.client


def test_two_workers_agree_with_one_process(client, features, tmp_path):
    # Without drawing rows and columns, only the bins differ: each worker sketches its own part.
    exact = SMALL | {"subsample": 1.0, "colsample_bytree": 1.0}
    alone = train.fit(features, out=tmp_path / "alone", **exact)
    together = train.fit(features, out=tmp_path / "together", client=client, **exact)
    one, two = (result.predicted()["probability"].to_numpy() for result in (alone, together))
    assert np.corrcoef(one, two)[0, 1] > 0.98
    assert together.scores["auc"].value == pytest.approx(alone.scores["auc"].value, abs=0.01)
    assert together.bundle.names == alone.bundle.names
    assert together.history().columns == ["round", "learn", "valid"]


LONG = SMALL | {"rounds": 200, "learning_rate": 0.02}


def test_a_worker_killed_in_the_middle_does_not_change_the_model(client, features, tmp_path, caplog):
    """Rows and columns are drawn, so the same model needs the same rows on the same workers."""
    quiet = train.fit(features, out=tmp_path / "quiet", client=client, **LONG)
    killed = []
    killer = threading.Thread(target=kill_while_it_trains, args=(client, killed))
    killer.start()
    noisy = train.fit(features, out=tmp_path / "noisy", client=client, **LONG)
    killer.join()
    assert killed
    assert "died in attempt 1" in caplog.text
    one, two = (result.predicted()["probability"].to_numpy() for result in (quiet, noisy))
    np.testing.assert_array_equal(one, two)
    assert quiet.history().equals(noisy.history())


def kill_while_it_trains(client, killed) -> None:
    """Kill the first worker once XGBoost's own task (it calls it fn) has run for a while."""
    pids = client.run(os.getpid)
    while not any(str(key).startswith("fn-") for keys in client.processing().values() for key in keys):
        time.sleep(0.005)
    time.sleep(0.1)
    os.kill(min(pids.values()), signal.SIGKILL)
    killed.append(min(pids.values()))


def test_an_error_of_the_training_itself_is_not_tried_again(client, features, tmp_path, caplog):
    from xgboost.core import XGBoostError

    with pytest.raises(XGBoostError):
        train.fit(features, out=tmp_path, client=client, **SMALL | {"max_depth": -3})
    assert "attempt" not in caplog.text


def test_the_workers_are_in_the_order_of_their_names(client):
    names = client.scheduler_info(n_workers=-1)["workers"]
    assert [str(names[address]["name"]) for address in distributed.addresses(client)] == ["0", "1"]


@pytest.mark.parametrize("name", ["random_forest", "logistic_regression", "kmeans"])
def test_every_worker_prepares_its_own_rows_as_one_process_would(name, client, features):
    table = Table.open(features, ("schedule", "weather"))
    whole = table.rows("learn")
    prepare = estimators.preparation(name).fit(whole.x)
    x, y = many_gpus.on_workers(client, table, "learn", prepare)
    assert len(x.chunks[0]) == 2
    assert (x.dtype, sum(x.chunks[0])) == (np.float32, len(whole))
    ours, theirs = (np.sort(rows, axis=0) for rows in (x.compute(), prepare.transform(whole.x)))
    np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(ours).all()
    assert y.sum().compute() == whole.y.sum()


def test_what_cuml_cannot_train_on_many_gpus_is_answered_with_what_it_can():
    with pytest.raises(ModelError, match="cuML does not train hdbscan on many GPUs; it does: random_forest, logistic"):
        estimators.dask_call("hdbscan")


def test_only_xgboost_is_distributed(client, features, tmp_path):
    with pytest.raises(ModelError, match="random_forest does not train on a cluster of CPUs; xgboost does"):
        train.fit(features, "random_forest", out=tmp_path, client=client)


def test_a_cluster_without_workers_is_an_error(features, tmp_path):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        pytest.raises(DeviceError, match="no workers"),
    ):
        train.fit(features, out=tmp_path, client=client, **SMALL)
