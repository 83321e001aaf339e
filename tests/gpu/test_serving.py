"""nvforest, NVIDIA's forest inference: its calls bind, and its CPU engine predicts what XGBoost predicts."""

import inspect

import numpy as np
import pytest

from aifactory_lab.serve import engines
from aifactory_lab.train import estimators
from aifactory_lab.train.bundle import Bundle, Feature

pytestmark = pytest.mark.rapids


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_nvforest_binds(kind):
    import nvforest

    source = inspect.getsource(engines)
    inspect.signature(nvforest.load_model).bind("model.ubj", device=kind, layout="layered")
    inspect.signature(nvforest.load_from_sklearn).bind(object(), device=kind, layout="layered")
    assert source.count('device=kind, layout="layered")') == 2


@pytest.fixture(scope="module")
def forest(tmp_path_factory) -> tuple[Bundle, np.ndarray]:
    """A small XGBoost model of ours in its folder, and rows for it."""
    import xgboost

    rng = np.random.default_rng(7)
    rows = rng.normal(size=(2000, 4)).astype(np.float32)
    late = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0.5).astype(np.int8)
    params, _ = estimators.xgboost_params("cpu", threads=2)
    booster = xgboost.train(params, xgboost.DMatrix(rows, late), 30)
    bundle = Bundle(
        kind="xgboost",
        estimator="xgboost",
        target="late",
        threshold=0.5,
        features=tuple(Feature(name, 0.0, -9.0, 9.0) for name in "abcd"),
    )
    return bundle.save(tmp_path_factory.mktemp("model"), booster), rows


def test_nvforest_serves_a_model_of_ours_without_a_gpu(forest):
    bundle, rows = forest
    exact = engines.open_engine("xgboost", bundle, threads=1)
    fast = engines.open_engine("nvforest", bundle, threads=1)
    np.testing.assert_allclose(fast.predict(rows), exact.predict(rows), atol=1e-6)
