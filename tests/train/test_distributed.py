"""XGBoost on a two-worker cluster of real processes."""

import numpy as np
import pytest

from aifactory_lab import train
from aifactory_lab.errors import DeviceError, ModelError

SMALL = {"device": "cpu", "threads": 1, "rounds": 15, "refit": False, "groups": ("schedule", "weather")}


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


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


def test_only_xgboost_is_distributed(client, features, tmp_path):
    with pytest.raises(ModelError, match="random_forest does not train on a cluster"):
        train.fit(features, "random_forest", out=tmp_path, client=client)


def test_a_cluster_without_workers_is_an_error(features, tmp_path):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        pytest.raises(DeviceError, match="no workers"),
    ):
        train.fit(features, out=tmp_path, client=client, **SMALL)
