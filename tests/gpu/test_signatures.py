"""Every call that the library makes into RAPIDS binds to the real signature, and what can be made here is made."""

import inspect
from importlib import import_module
from typing import Any

import pytest

from aifactory_lab import device
from aifactory_lab.cluster import Options
from aifactory_lab.cluster.members import STATUS, _spoken
from aifactory_lab.errors import DeviceError
from aifactory_lab.etl import engine, scale_out
from aifactory_lab.train import estimators

pytestmark = pytest.mark.rapids
# Whose CPU twin is the same class that cuML maps from; cuML's HDBSCAN maps from the hdbscan package instead.
MAPPED = sorted(set(estimators.names()) - {"xgboost", "hdbscan"})


def thing(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("name", estimators.names())
def test_every_estimator_binds_and_can_be_made(name):
    path, params = estimators.gpu_call(name)
    inspect.signature(thing(path)).bind(**params)
    made = thing(path)(**params)
    accepted = made.get_params()
    assert {word: accepted[word] for word in params} == params


@pytest.mark.parametrize("name", estimators.names())
def test_every_house_parameter_reaches_the_gpu_or_is_known_not_to(name):
    twin = estimators.TABLE[name].gpu
    _, params = estimators.gpu_call(name, threads=2)
    for word in estimators.house(name):
        assert twin.words.get(word, word) in {*params, None}


@pytest.mark.parametrize("name", MAPPED)
def test_both_twins_mean_the_same_by_cumls_own_translation(name):
    """cuML's private mapping from scikit-learn is the one GPU-free judge of whether two parameter sets agree."""
    path, params = estimators.gpu_call(name)
    made = estimators.make(name, device="cpu")
    translated = thing(path)._params_from_cpu(made[-1])
    shared = set(params) & set(translated)
    assert shared
    assert {word: translated[word] for word in shared} == {word: params[word] for word in shared}


@pytest.mark.parametrize("name", MAPPED)
def test_a_model_can_leave_the_gpu(name):
    path, _ = estimators.gpu_call(name)
    assert callable(thing(path).as_sklearn)


# Where cuML's Dask classes hand their keywords on to, on every worker.
ON_WORKERS = {
    "random_forest": "cuml.ensemble.RandomForestClassifier",
    "logistic_regression": "cuml.linear_model.logistic_regression_mg.LogisticRegressionMG",
    "kmeans": "cuml.cluster.kmeans_mg.KMeansMG",
    "pca": "cuml.decomposition.pca_mg.PCAMG",
}


@pytest.mark.parametrize("name", [name for name in estimators.names() if estimators.TABLE[name].dask])
def test_every_estimator_of_many_gpus_binds_and_its_workers_take_its_words(name):
    path, params = estimators.dask_call(name)
    inspect.signature(thing(path)).bind(client=None, **params)
    rows = (None, None) if name in estimators.names("classify") else (None,)
    inspect.signature(thing(path).fit).bind(None, *rows)
    inspect.signature(thing(path).get_combined_model).bind(None)
    worker = thing(ON_WORKERS[name])
    known = set().union(*(inspect.signature(each.__init__).parameters for each in worker.__mro__))
    assert set(params) <= known
    assert callable(worker.as_sklearn)


def test_the_cluster_binds():
    """As `cluster` and `etl.scale_out` call them; constructing any of them needs a driver."""
    local = inspect.signature(thing("dask_cuda.LocalCUDACluster"))
    every = Options(rmm_pool=0.5, protocol="tcp", folder="/tmp").local_cuda()
    local.bind(**every)
    every |= _spoken("a key")
    own = set(local.parameters) | set(inspect.signature(thing("distributed.LocalCluster")).parameters)
    assert {*every, "CUDA_VISIBLE_DEVICES"} <= own, "nothing is passed on to a worker that does not know it"
    worker = inspect.signature(thing("dask_cuda.cuda_worker.CUDAWorker"))
    asked = {"host": "127.0.0.1", "name": "n1", "enable_cudf_spill": True, "dashboard": False}
    asked |= {"dashboard_address": STATUS, "security": None}
    worker.bind("tcp://127.0.0.1:1", **asked)
    assert set(asked) <= set(worker.parameters)


def test_the_query_on_all_gpus_binds():
    source = inspect.getsource(scale_out._on_gpus)
    binding = thing("cudf_polars.engine.hardware_binding.HardwareBindingPolicy")(enabled=False)
    options = {"hardware_binding": binding, "raise_on_fail": True}
    inspect.signature(thing("cudf_polars.engine.dask.DaskEngine")).bind(dask_client=None, engine_options=options)
    for word in ("DaskEngine", "dask_client=", "engine_options=", "enabled=False"):
        assert word in source


@pytest.mark.skipif(device.probe().gpus != (), reason="there is a GPU here, so asking for it is no error")
@pytest.mark.parametrize("ask", [device.current, engine.choose])
def test_asking_for_a_gpu_that_is_not_there_says_what_is_missing(ask):
    with pytest.raises(DeviceError, match=r"no CUDA driver|sees no GPU|cannot start") as caught:
        ask("gpu")
    assert caught.value.mend
