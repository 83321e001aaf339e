"""Every call that the library makes into RAPIDS binds to the real signature, and what can be made here is made."""

import inspect
from importlib import import_module
from typing import Any

import pytest

from aifactory_lab import device
from aifactory_lab.errors import DeviceError
from aifactory_lab.etl import engine
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


def test_the_cluster_binds():
    """As `etl.engine` calls them; constructing any of the three needs a driver."""
    source = inspect.getsource(engine._cluster)
    inspect.signature(thing("dask_cuda.LocalCUDACluster")).bind()
    binding = thing("cudf_polars.engine.hardware_binding.HardwareBindingPolicy")(enabled=False)
    options = {"hardware_binding": binding, "raise_on_fail": True}
    inspect.signature(thing("cudf_polars.engine.dask.DaskEngine")).bind(dask_client=None, engine_options=options)
    inspect.signature(thing("distributed.Client").wait_for_workers).bind(None, 2)
    for word in ("LocalCUDACluster()", "DaskEngine", "dask_client=", "engine_options=", "enabled=False"):
        assert word in source


@pytest.mark.skipif(device.probe().gpus != (), reason="there is a GPU here, so asking for it is no error")
@pytest.mark.parametrize("ask", [device.current, engine.choose])
def test_asking_for_a_gpu_that_is_not_there_says_what_is_missing(ask):
    with pytest.raises(DeviceError, match=r"no CUDA driver|sees no GPU|cannot start") as caught:
        ask("gpu")
    assert caught.value.mend
