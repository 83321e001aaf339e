"""The names of the house on the CPU, and their words on the GPU."""

import os
import subprocess
import sys

import numpy as np
import pytest

from aifactory_lab.errors import DeviceError, ModelError
from aifactory_lab.train import estimators


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    features = random.normal(size=(600, 5)).astype(np.float32)
    label = (features[:, 0] + features[:, 1] > 0).astype(np.int8)
    features[::7, 2] = np.nan
    return features, label


@pytest.mark.parametrize("name", estimators.names("classify"))
def test_every_classifier_learns_rows_with_missing_values(name, rows):
    features, label = rows
    small = {"xgboost": {"rounds": 20, "min_child_weight": 1}, "random_forest": {"n_estimators": 10}}
    model = estimators.make(name, device="cpu", threads=1, **small.get(name, {})).fit(features, label)
    chance = estimators.probability(model, features)
    assert chance.shape == (600,)
    assert ((chance > 0.5) == label).mean() > 0.85


@pytest.mark.parametrize("name", ["kmeans", "hdbscan"])
def test_clusters_label_every_row(name, rows):
    assert estimators.make(name, device="cpu").fit_predict(rows[0]).shape == (600,)


@pytest.mark.parametrize("name", ["pca", "umap"])
def test_embeddings_are_flat(name, rows):
    flat = estimators.make(name, device="cpu").fit_transform(rows[0][:200])
    assert flat.shape == (200, 2)
    assert np.isfinite(flat).all()


def test_one_set_of_house_parameters_in_two_languages():
    cpu = estimators.call("random_forest", "cpu", n_estimators=50, threads=3)[1]
    gpu = estimators.gpu_call("random_forest", n_estimators=50, threads=3)[1]
    assert cpu["n_estimators"] == gpu["n_estimators"] == 50
    assert cpu["random_state"] == gpu["random_state"] == estimators.SEED
    assert cpu["n_jobs"] == 3
    assert "n_jobs" not in gpu


def test_an_unknown_name_is_answered_with_the_names():
    with pytest.raises(ModelError, match=r"no estimator 'svm'; there are: xgboost, random_forest"):
        estimators.make("svm")


def test_an_unknown_parameter_is_answered_with_the_parameters():
    with pytest.raises(ModelError, match=r"kmeans has no parameter 'k'; it has: n_clusters"):
        estimators.make("kmeans", k=3)


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match="a GPU was asked for"):
        estimators.make("xgboost", device="gpu")


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert estimators.house("xgboost")["threads"] == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert estimators.threads() == len(os.sched_getaffinity(0))


def test_entering_the_room_is_light_and_sets_the_wait_policy():
    code = (
        "import sys, os; import aifactory_lab.train as train; train.estimators;"
        "heavy = {'xgboost', 'sklearn', 'mlflow', 'dask'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else os.environ['OMP_WAIT_POLICY'] != 'passive')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
